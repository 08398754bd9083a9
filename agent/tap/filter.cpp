// SPDX-License-Identifier: Apache-2.0
#include "agent/tap/filter.hpp"

#include <fmt/format.h>

#include <array>
#include <cmath>
#include <cstdlib>

namespace tailrace::agent {
namespace {

constexpr std::size_t kMatchedBytes = 1024;
constexpr std::uint8_t kStatusError = 2;

bool matches_or_any(std::string_view pattern, std::string_view text) {
  return pattern.empty() || matches_pattern(pattern, text);
}

}  // namespace

// One place to go back to is enough: a later star makes every earlier one irrelevant. At most
// kMatchedBytes * kTapPatternBytes steps.
bool matches_pattern(std::string_view pattern, std::string_view text) {
  text = text.substr(0, kMatchedBytes);
  std::size_t p = 0;
  std::size_t t = 0;
  std::size_t star = std::string_view::npos;
  std::size_t resume = 0;
  while (t < text.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      resume = t;
    } else if (p < pattern.size() && (pattern[p] == '?' || pattern[p] == text[t])) {
      ++p;
      ++t;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      t = ++resume;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

bool TapFilter::wants(Signal signal, std::string_view of_service) const {
  return (signals >> index_of(signal) & 1U) != 0 && matches_or_any(service, of_service);
}

bool TapFilter::passes(std::string_view of_service, const otlp::SpanView& span) const {
  if (slower_than_ns != 0 && (span.end_ns <= span.start_ns || span.end_ns - span.start_ns < slower_than_ns)) {
    return false;
  }
  if (severity != 0 && (span.status_code != kStatusError || severity > kErrorSeverity)) return false;
  if (trace_id.is_valid() && !(span.trace_id == trace_id)) return false;
  return wants(Signal::traces, of_service) && matches_or_any(name, span.name);
}

bool TapFilter::passes(std::string_view of_service, const otlp::LogView& log) const {
  if (slower_than_ns != 0 || log.severity < severity) return false;
  if (trace_id.is_valid() && !(log.trace_id == trace_id)) return false;
  if (!wants(Signal::logs, of_service)) return false;
  if (name.empty()) return true;
  const bool has_text = log.body.type == otlp::Value::Type::string;
  return matches_pattern(name, has_text ? log.body.text() : std::string_view()) ||
         (!log.event_name.empty() && matches_pattern(name, log.event_name));
}

bool TapFilter::passes_metric(std::string_view of_service, std::string_view metric) const {
  if (slower_than_ns != 0 || severity != 0 || trace_id.is_valid()) return false;
  return wants(Signal::metrics, of_service) && matches_or_any(name, metric);
}

Result<std::uint64_t> parse_duration(std::string_view text) {
  struct Unit {
    std::string_view name;
    double ns;
  };
  constexpr std::array kUnits{Unit{"ns", 1.0}, Unit{"us", 1e3},   Unit{"µs", 1e3},  Unit{"ms", 1e6},
                              Unit{"s", 1e9},  Unit{"min", 60e9}, Unit{"h", 3600e9}};
  const std::string copy(text);
  char* end = nullptr;
  const double number = std::strtod(copy.c_str(), &end);
  std::string_view unit(end);
  while (!unit.empty() && unit.front() == ' ') unit.remove_prefix(1);
  for (const Unit& known : kUnits) {
    if (end == copy.c_str() || unit != known.name) continue;
    const double ns = number * known.ns;
    if (!std::isfinite(ns) || ns < 0 || ns > 9e18) break;
    return static_cast<std::uint64_t>(ns);
  }
  return Error{ErrorCode::kInvalidArgument,
               fmt::format("'{}' is no duration; write it as 250us, 10ms, 1.5s or 2min", text)};
}

Result<std::uint8_t> parse_severity(std::string_view name) {
  constexpr std::array<std::string_view, 6> kNames{"trace", "debug", "info", "warn", "error", "fatal"};
  for (std::size_t i = 0; i < kNames.size(); ++i) {
    if (kNames[i] == name) return static_cast<std::uint8_t>(1 + 4 * i);
  }
  return Error{ErrorCode::kInvalidArgument,
               fmt::format("'{}' is no severity; it is one of trace, debug, info, warn, error, fatal", name)};
}

Result<otlp::TraceId> parse_trace_id(std::string_view text) {
  otlp::TraceId id;
  bool good = text.size() == 2 * id.bytes.size();
  for (std::size_t i = 0; good && i < text.size(); ++i) {
    const char c = text[i];
    const int digit = c >= '0' && c <= '9'   ? c - '0'
                      : c >= 'a' && c <= 'f' ? c - 'a' + 10
                      : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                             : -1;
    good = digit >= 0;
    if (good) id.bytes[i / 2] = static_cast<std::uint8_t>(id.bytes[i / 2] << 4 | digit);
  }
  if (good && id.is_valid()) return id;
  return Error{ErrorCode::kInvalidArgument,
               fmt::format("'{}' is no trace id; it has 32 hexadecimal digits that are not all zero", text)};
}

}  // namespace tailrace::agent
