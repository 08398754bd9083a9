// SPDX-License-Identifier: Apache-2.0
//
// TapFilter: which records a tap wants to see.
//
// Patterns match the whole text; `*` stands for any run of characters, `?` for one byte. A log's name is
// its event name or its text. A severity asks for logs at or above it, and for spans that failed when it is
// error or below; a duration asks for spans alone.
//
// Threads: a value; passes() from any. Memory: its own two patterns. Failure: none; the cost of a match is
// bounded whatever the pattern and the text are.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "agent/base/result.hpp"
#include "agent/base/signal.hpp"
#include "proto/encode/view.hpp"

namespace tailrace::agent {

inline constexpr std::size_t kTapPatternBytes = 128;
inline constexpr std::uint8_t kErrorSeverity = 17;

struct TapFilter {
  static constexpr std::uint8_t kAllSignals = (1U << kSignals) - 1;

  std::string service;  // empty: any
  std::string name;
  std::uint8_t signals = kAllSignals;  // one bit each
  std::uint8_t severity = 0;           // OTLP's number; 0: any
  std::uint64_t slower_than_ns = 0;
  otlp::TraceId trace_id;  // none: any

  [[nodiscard]] bool passes(std::string_view of_service, const otlp::SpanView& span) const;
  [[nodiscard]] bool passes(std::string_view of_service, const otlp::LogView& log) const;
  [[nodiscard]] bool passes_metric(std::string_view of_service, std::string_view metric) const;

 private:
  [[nodiscard]] bool wants(Signal signal, std::string_view of_service) const;
};

// Only the first 1024 bytes of a text are looked at.
[[nodiscard]] bool matches_pattern(std::string_view pattern, std::string_view text);

// "10ms", "1.5 s", "250us"; ns, us, ms, s, min, h.
[[nodiscard]] Result<std::uint64_t> parse_duration(std::string_view text);
// trace, debug, info, warn, error, fatal: the least number of each.
[[nodiscard]] Result<std::uint8_t> parse_severity(std::string_view name);
// 32 hexadecimal digits.
[[nodiscard]] Result<otlp::TraceId> parse_trace_id(std::string_view text);

}  // namespace tailrace::agent
