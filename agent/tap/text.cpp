// SPDX-License-Identifier: Apache-2.0
#include "agent/tap/text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <ctime>
#include <nlohmann/json.hpp>
#include <span>

#include "shm/reader/utf8.hpp"

namespace tailrace::agent {
namespace {

using Json = nlohmann::ordered_json;
using Type = otlp::Value::Type;

constexpr std::uint64_t kNsPerSecond = 1'000'000'000;
constexpr std::size_t kServiceWidthMax = 24;
constexpr std::size_t kKindWidth = 6;
constexpr std::size_t kAmountWidth = 10;
constexpr std::uint8_t kStatusError = 2;

constexpr std::string_view kRed = "31";
constexpr std::string_view kYellow = "33";
constexpr std::string_view kCyan = "36";
constexpr std::string_view kFaint = "2";

std::size_t characters(std::string_view text) {
  return static_cast<std::size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U; }));
}

std::string padded(std::string text, std::size_t width, bool right = false) {
  const std::size_t have = characters(text);
  if (have < width) text.insert(right ? 0 : text.size(), width - have, ' ');
  return text;
}

std::string hex(std::span<const std::uint8_t> bytes) {
  std::string out;
  for (const std::uint8_t byte : bytes) out += fmt::format("{:02x}", byte);
  return out;
}

std::string_view severity_name(std::uint8_t severity) {
  constexpr std::array<std::string_view, 7> kNames{"log", "TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"};
  return kNames[std::min<std::size_t>((severity + 3U) / 4U, kNames.size() - 1)];
}

std::string_view severity_colour(std::uint8_t severity) {
  return severity >= 17 ? kRed : severity >= 13 ? kYellow : severity >= 9 ? kCyan : kFaint;
}

// U+061C, U+200E/F, U+202A–E, U+2066–9 reorder what stands beside them; U+2028/9 end lines.
bool reorders(std::uint32_t code) {
  return code == 0x61C || code == 0x200E || code == 0x200F || (code >= 0x2028 && code <= 0x202E) ||
         (code >= 0x2066 && code <= 0x2069);
}

std::string short_number(double value, std::string_view unit) {
  const int decimals = value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2;
  return fmt::format("{:.{}f} {}", value, decimals, unit);
}

std::string clock_time(std::uint64_t unix_ns) {
  const auto seconds = static_cast<std::time_t>(unix_ns / kNsPerSecond);
  std::tm parts{};
  if (unix_ns == 0 || ::localtime_r(&seconds, &parts) == nullptr) return "--:--:--.---";
  return fmt::format("{:02}:{:02}:{:02}.{:03}", parts.tm_hour, parts.tm_min, parts.tm_sec,
                     unix_ns % kNsPerSecond / 1'000'000);
}

std::string value_text(const TapAttributes::Attribute& attribute) {
  const otlp::Value& value = attribute.value;
  switch (value.type) {
    case Type::empty: return "empty";
    case Type::boolean: return value.boolean ? "true" : "false";
    case Type::integer: return fmt::format("{}", value.integer);
    case Type::real: return fmt::format("{}", value.real);
    case Type::string: {
      std::string text = printable(value.text()) + (attribute.cut ? "…" : "");
      const bool bare = !text.empty() && text.find_first_of(" =\"") == std::string::npos;
      return bare ? text : "\"" + text + "\"";
    }
    case Type::bytes: return fmt::format("({}{} bytes)", value.size, attribute.cut ? "+" : "");
    case Type::array: return fmt::format("[{} values]", value.count);
    case Type::map: return fmt::format("{{{} members}}", value.count);
  }
  return {};
}

Json value_json(const TapAttributes::Attribute& attribute) {
  const otlp::Value& value = attribute.value;
  switch (value.type) {
    case Type::empty: return nullptr;
    case Type::boolean: return value.boolean;
    case Type::integer: return value.integer;
    case Type::real: return std::isfinite(value.real) ? Json(value.real) : Json(fmt::format("{}", value.real));
    case Type::string: return std::string(value.text());
    case Type::bytes:
    case Type::array:
    case Type::map: break;
  }
  return value_text(attribute);
}

std::string metric_value(const TapLine& line) {
  switch (static_cast<TapMetric::Kind>(line.metric_kind)) {
    case TapMetric::Kind::integer: return fmt::format("{}", static_cast<std::int64_t>(line.amount));
    case TapMetric::Kind::real: return fmt::format("{:.6g}", line.real);
    case TapMetric::Kind::histogram: break;
  }
  return fmt::format("n={}", line.amount);
}

// Everything but ASCII is escaped: what prints JSON to a terminal is safe, too.
std::string dump(const Json& json) { return json.dump(-1, ' ', true, Json::error_handler_t::replace) + "\n"; }

std::string json_line(const TapLine& line) {
  const auto signal = static_cast<Signal>(line.signal);
  Json json;
  json["signal"] = signal_name(signal);
  json["time_unix_nano"] = fmt::format("{}", line.time_ns);
  json["service"] = std::string(line.service());
  if (signal == Signal::traces) {
    json["name"] = std::string(line.name());
    json["duration_nano"] = line.amount;
    json["status"] = line.status == kStatusError ? "error" : line.status == 1 ? "ok" : "unset";
    if (!line.body().empty()) json["status_message"] = std::string(line.body());
    if ((line.flags & TapLine::kUnfinished) != 0) json["unfinished"] = true;
  } else if (signal == Signal::logs) {
    json["severity_number"] = line.severity;
    if (!line.name().empty()) json["event_name"] = std::string(line.name());
    if ((line.flags & TapLine::kHasBody) != 0) json["body"] = std::string(line.body());
  } else {
    json["name"] = std::string(line.name());
    json["unit"] = std::string(line.body());
    const auto kind = static_cast<TapMetric::Kind>(line.metric_kind);
    if (kind == TapMetric::Kind::histogram) {
      json["count"] = line.amount;
      json["sum"] = std::isfinite(line.real) ? Json(line.real) : Json(fmt::format("{}", line.real));
    } else if (kind == TapMetric::Kind::integer) {
      json["value"] = static_cast<std::int64_t>(line.amount);
    } else {
      json["value"] = std::isfinite(line.real) ? Json(line.real) : Json(fmt::format("{}", line.real));
    }
  }
  if (line.trace_id.is_valid()) json["trace_id"] = hex(line.trace_id.bytes);
  if (line.span_id.is_valid()) json["span_id"] = hex(line.span_id.bytes);
  Json attributes = Json::object();
  TapAttributes all(line.attributes());
  while (const auto attribute = all.next()) attributes[std::string(attribute->key)] = value_json(*attribute);
  json["attributes"] = std::move(attributes);
  if ((line.flags & TapLine::kCut) != 0) json["cut"] = true;
  return dump(json);
}

}  // namespace

std::string printable(std::string_view text) {
  std::string scratch;
  const std::string_view good = shm::repair_utf8(text, scratch);
  std::string out;
  out.reserve(good.size());
  for (std::size_t i = 0; i < good.size();) {
    const auto c = static_cast<unsigned char>(good[i]);
    const std::size_t bytes = c < 0x80 ? 1 : c < 0xE0 ? 2 : c < 0xF0 ? 3 : 4;
    std::uint32_t code = bytes == 1 ? c : c & (0x7FU >> bytes);
    for (std::size_t k = 1; k < bytes; ++k) code = code << 6 | (static_cast<unsigned char>(good[i + k]) & 0x3FU);
    if (c == '\n') {
      out += "\\n";
    } else if (c == '\t') {
      out += "\\t";
    } else if (code < 0x20 || code == 0x7F) {
      out += fmt::format("\\x{:02x}", code);
    } else if ((code >= 0x80 && code < 0xA0) || reorders(code)) {
      out += fmt::format("\\u{:04x}", code);
    } else {
      out.append(good.substr(i, bytes));
    }
    i += bytes;
  }
  return out;
}

std::string short_duration(std::uint64_t ns) {
  const auto value = static_cast<double>(ns);
  if (ns < 1000) return fmt::format("{} ns", ns);
  if (ns < 999'500) return short_number(value / 1e3, "µs");
  if (ns < 999'500'000) return short_number(value / 1e6, "ms");
  const std::uint64_t seconds = ns / kNsPerSecond;
  if (seconds < 60) return short_number(value / 1e9, "s");
  if (seconds < 3600) return fmt::format("{} min {} s", seconds / 60, seconds % 60);
  return fmt::format("{} h {} min", seconds / 3600, seconds / 60 % 60);
}

std::string TapText::in_colour(std::string_view code, std::string_view text) const {
  return colour_ && !text.empty() ? fmt::format("\x1b[{}m{}\x1b[0m", code, text) : std::string(text);
}

std::string TapText::line(const TapLine& line) { return json_ ? json_line(line) : columns(line); }

std::string TapText::columns(const TapLine& line) {
  const auto signal = static_cast<Signal>(line.signal);
  const std::string service = printable(line.service());
  service_width_ = std::clamp(characters(service), service_width_, kServiceWidthMax);
  std::string kind;
  std::string_view colour = kFaint;
  std::string amount;
  std::string what;
  if (signal == Signal::traces) {
    const bool failed = line.status == kStatusError;
    kind = failed ? "span !" : "span";
    colour = failed ? kRed : kCyan;
    amount = short_duration(line.amount);
    what = printable(line.name());
    if (failed) what += "  " + in_colour(kRed, line.body().empty() ? "error" : "error: " + printable(line.body()));
    if ((line.flags & TapLine::kUnfinished) != 0) what += "  " + in_colour(kYellow, "unfinished");
  } else if (signal == Signal::logs) {
    kind = severity_name(line.severity);
    colour = severity_colour(line.severity);
    what = printable(line.name());
    if ((line.flags & TapLine::kHasBody) != 0) what += (what.empty() ? "" : ": ") + printable(line.body());
  } else {
    kind = "metric";
    amount = metric_value(line);
    what = printable(line.name());
    if (!line.body().empty()) what += " " + in_colour(kFaint, printable(line.body()));
    if (static_cast<TapMetric::Kind>(line.metric_kind) == TapMetric::Kind::histogram) {
      what += fmt::format("  sum {:.6g}", line.real);
    }
  }
  std::string attributes;
  TapAttributes all(line.attributes());
  while (const auto attribute = all.next()) {
    attributes += "  " + printable(attribute->key) + "=" + value_text(*attribute);
  }
  if ((line.flags & TapLine::kCut) != 0) attributes += " …";
  std::string id;
  if (line.trace_id.is_valid()) id = "  trace=" + hex(line.trace_id.bytes);
  return fmt::format("{}  {}  {}  {}  {}{}{}\n", in_colour(kFaint, clock_time(line.time_ns)),
                     padded(service, service_width_), in_colour(colour, padded(std::move(kind), kKindWidth)),
                     padded(std::move(amount), kAmountWidth, true), what, in_colour(kFaint, attributes),
                     in_colour(kFaint, id));
}

std::string TapText::left_out(std::uint64_t more, std::uint64_t all) const {
  if (json_) return dump(Json{{"left_out", more}, {"left_out_in_all", all}});
  return in_colour(kYellow, fmt::format("… {} {} left out: more passed than a tap carries", more,
                                        more == 1 ? "line" : "lines")) +
         "\n";
}

}  // namespace tailrace::agent
