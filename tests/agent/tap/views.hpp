// SPDX-License-Identifier: Apache-2.0
//
// Spans, logs and metric points as a worker sees them, for the tests of taps.
#pragma once

#include <string_view>

#include "agent/tap/line.hpp"
#include "proto/encode/view.hpp"

namespace tailrace::agent::test {

inline otlp::SpanView span_view(std::string_view name, std::uint64_t duration_ns = 1000) {
  otlp::SpanView span;
  span.trace_id.bytes.fill(0xA1);
  span.span_id.bytes.fill(0x01);
  span.name = name;
  span.start_ns = 1'700'000'000'000'000'000;
  span.end_ns = span.start_ns + duration_ns;
  return span;
}

inline otlp::LogView log_view(std::string_view body, std::uint8_t severity = 9) {
  otlp::LogView log;
  log.time_ns = 1'700'000'000'000'000'000;
  log.severity = severity;
  log.body = otlp::Value::string(body);
  return log;
}

inline TapMetric metric_view(std::string_view name, std::int64_t value = 7) {
  TapMetric metric;
  metric.name = name;
  metric.unit = "By";
  metric.integer = value;
  metric.time_ns = 1'700'000'000'000'000'000;
  return metric;
}

}  // namespace tailrace::agent::test
