// SPDX-License-Identifier: Apache-2.0
//
// What passes between the viewer's receiver, its store and its page: ids, a span or log on its way
// in (views into the request), and rows on their way out (owned copies, so that no page keeps the
// store locked).
#ifndef TAILRACE_AGENT_VIEWER_RECORD_HPP_
#define TAILRACE_AGENT_VIEWER_RECORD_HPP_

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace tailrace::agent::viewer {

using TraceId = std::array<std::uint8_t, 16>;  // all zero: none
using SpanId = std::array<std::uint8_t, 8>;    // all zero: none

template <typename Id>
[[nodiscard]] constexpr bool is_none(const Id& id) noexcept {
  return id == Id{};
}

enum class StatusCode : std::uint8_t { kUnset = 0, kOk = 1, kError = 2 };

// `detail` is a run of OTLP fields of the record, as they came (attributes, events, links, status
// message …); see otlp_reader.hpp. It is opaque to the store.
struct NewSpan {
  TraceId trace_id{};
  SpanId span_id{};
  SpanId parent_id{};
  std::uint64_t start_ns = 0;
  std::uint64_t end_ns = 0;
  std::uint8_t kind = 0;
  StatusCode status = StatusCode::kUnset;
  bool unfinished = false;
  std::uint32_t left_out = 0;  // fields that did not fit into `detail`
  std::string_view service;
  std::string_view name;
  std::string_view detail;
};

struct NewLog {
  std::uint64_t time_ns = 0;  // the event's time, or where that is unknown, when it was observed
  TraceId trace_id{};
  SpanId span_id{};
  std::uint8_t severity = 0;
  std::uint32_t left_out = 0;
  std::string_view service;
  std::string_view severity_text;
  std::string_view event_name;
  std::string_view body;
  std::string_view detail;
};

enum class MetricKind : std::uint8_t { kGauge, kSum, kHistogram, kExponential, kSummary };

// The latest point of a series. p50 and p99 are estimates from buckets, or a summary's own.
struct MetricPoint {
  MetricKind kind = MetricKind::kGauge;
  bool monotonic = false;  // a sum
  bool delta = false;      // since the point before, not since the start
  bool is_real = false;    // gauge, sum
  bool no_value = false;   // the series ended
  std::uint64_t time_ns = 0;
  std::int64_t integer = 0;
  double real = 0;
  std::uint64_t count = 0;
  std::optional<double> sum;
  std::optional<double> min;
  std::optional<double> max;
  std::optional<double> p50;
  std::optional<double> p99;
};

// `attributes` are KeyValue fields number kMetricAttributes, one after another.
inline constexpr unsigned kMetricAttributes = 1;
struct NewMetric {
  std::string_view service;
  std::string_view scope;
  std::string_view name;
  std::string_view unit;
  std::string_view attributes;
  std::uint32_t left_out = 0;
  MetricPoint point;
};

struct MetricRow {
  std::string service;
  std::string scope;
  std::string name;
  std::string unit;
  std::string attributes;
  std::uint32_t left_out = 0;
  MetricPoint point;
};

struct TraceRow {
  TraceId trace_id{};
  std::string service;
  std::string name;
  bool has_root = false;            // else service and name are those of the earliest span kept
  std::uint32_t spans = 0;          // kept
  std::uint32_t spans_dropped = 0;  // seen, and since then dropped by the budget
  std::uint32_t errors = 0;         // among those kept
  std::uint32_t unfinished = 0;     // among those kept
  std::uint64_t start_ns = 0;       // over all spans seen
  std::uint64_t end_ns = 0;
};

struct SpanRow {
  SpanId span_id{};
  SpanId parent_id{};
  std::uint64_t start_ns = 0;
  std::uint64_t end_ns = 0;
  std::uint8_t kind = 0;
  StatusCode status = StatusCode::kUnset;
  bool unfinished = false;
  std::uint32_t left_out = 0;
  std::string service;
  std::string name;
  std::string detail;
};

struct LogRow {
  std::uint64_t time_ns = 0;
  TraceId trace_id{};
  SpanId span_id{};
  std::uint8_t severity = 0;
  std::uint32_t left_out = 0;
  std::string service;
  std::string severity_text;
  std::string event_name;
  std::string body;
  std::string detail;
};

struct TraceSpans {
  std::vector<SpanRow> spans;  // newest arrival first
  bool more = false;           // cut by a limit
};

}  // namespace tailrace::agent::viewer

#endif  // TAILRACE_AGENT_VIEWER_RECORD_HPP_
