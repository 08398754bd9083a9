// SPDX-License-Identifier: Apache-2.0
#include "agent/viewer/text.hpp"

#include <ctime>
#include <fmt/format.h>

namespace tailrace::agent::viewer {
namespace {

constexpr std::uint64_t kNsPerSecond = 1'000'000'000;

int hex_value(char digit) noexcept {
  if (digit >= '0' && digit <= '9') {
    return digit - '0';
  }
  if (digit >= 'a' && digit <= 'f') {
    return digit - 'a' + 10;
  }
  if (digit >= 'A' && digit <= 'F') {
    return digit - 'A' + 10;
  }
  return -1;
}

}  // namespace

std::string_view clip_text(std::string_view text, std::size_t max_bytes) noexcept {
  if (text.size() <= max_bytes) {
    return text;
  }
  std::size_t end = max_bytes;
  // A character has at most three continuation bytes; more of them is no UTF-8 and may be cut
  // anywhere.
  for (int back = 0; back < 3 && end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0u) == 0x80u; ++back) {
    --end;
  }
  return text.substr(0, end);
}

std::string escape_html(std::string_view text) {
  std::string escaped;
  escaped.reserve(text.size() + text.size() / 8);
  for (const char c : text) {
    switch (c) {
      case '&': escaped += "&amp;"; break;
      case '<': escaped += "&lt;"; break;
      case '>': escaped += "&gt;"; break;
      case '"': escaped += "&quot;"; break;
      case '\'': escaped += "&#39;"; break;
      case '\0': escaped += "\xEF\xBF\xBD"; break;
      default: escaped += c;
    }
  }
  return escaped;
}

std::string to_hex(std::span<const std::uint8_t> bytes) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string hex;
  hex.reserve(bytes.size() * 2);
  for (const std::uint8_t byte : bytes) {
    hex += kDigits[byte >> 4];
    hex += kDigits[byte & 15];
  }
  return hex;
}

bool from_hex(std::string_view hex, std::span<std::uint8_t> bytes) noexcept {
  if (hex.size() != bytes.size() * 2) {
    return false;
  }
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    const int high = hex_value(hex[2 * i]);
    const int low = hex_value(hex[2 * i + 1]);
    if (high < 0 || low < 0) {
      return false;
    }
    bytes[i] = static_cast<std::uint8_t>(high * 16 + low);
  }
  return true;
}

std::string format_duration(std::uint64_t ns) {
  const auto value = static_cast<double>(ns);
  if (ns < 1000) {
    return fmt::format("{} ns", ns);
  }
  if (ns < 1'000'000) {
    return fmt::format("{:.1f} µs", value / 1e3);
  }
  if (ns < kNsPerSecond) {
    return fmt::format("{:.2f} ms", value / 1e6);
  }
  if (ns < 120 * kNsPerSecond) {
    return fmt::format("{:.2f} s", value / 1e9);
  }
  const std::uint64_t minutes = ns / (60 * kNsPerSecond);
  if (minutes < 120) {
    return fmt::format("{} min {} s", minutes, ns / kNsPerSecond % 60);
  }
  return fmt::format("{} h {} min", minutes / 60, minutes % 60);
}

std::string format_bytes(std::uint64_t bytes) {
  if (bytes < 1024) {
    return fmt::format("{} B", bytes);
  }
  if (bytes < std::uint64_t{1} << 20) {
    return fmt::format("{:.1f} KiB", static_cast<double>(bytes) / 1024);
  }
  return fmt::format("{:.1f} MiB", static_cast<double>(bytes) / (1024.0 * 1024.0));
}

std::string format_count(std::uint64_t count) {
  std::string digits = fmt::format("{}", count);
  for (std::size_t at = digits.size(); at > 3;) {
    at -= 3;
    digits.insert(at, "\u2009");  // thin space
  }
  return digits;
}

std::string format_clock(std::uint64_t unix_ns) {
  const auto seconds = static_cast<std::time_t>(unix_ns / kNsPerSecond);
  std::tm parts{};
  if (unix_ns == 0 || ::localtime_r(&seconds, &parts) == nullptr) {
    return "unknown";
  }
  return fmt::format("{:02}:{:02}:{:02}.{:03}", parts.tm_hour, parts.tm_min, parts.tm_sec,
                     unix_ns % kNsPerSecond / 1'000'000);
}

std::string format_iso(std::uint64_t unix_ns) {
  const auto seconds = static_cast<std::time_t>(unix_ns / kNsPerSecond);
  std::tm parts{};
  if (unix_ns == 0 || ::gmtime_r(&seconds, &parts) == nullptr) {
    return "";
  }
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:09}Z", parts.tm_year + 1900, parts.tm_mon + 1,
                     parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec, unix_ns % kNsPerSecond);
}

}  // namespace tailrace::agent::viewer
