// SPDX-License-Identifier: Apache-2.0
#include "agent/viewer/api.hpp"

#include <array>
#include <cmath>
#include <cstdio>
#include <fmt/format.h>
#include <memory>
#include <utility>
#include <unistd.h>

#include "agent/viewer/otlp_reader.hpp"
#include "agent/viewer/otlp_value.hpp"
#include "agent/viewer/text.hpp"

namespace tailrace::agent::viewer {
namespace {

using Json = nlohmann::ordered_json;

const char* status_name(StatusCode status) noexcept {
  switch (status) {
    case StatusCode::kOk: return "ok";
    case StatusCode::kError: return "error";
    case StatusCode::kUnset: break;
  }
  return "unset";
}

const char* kind_name(std::uint8_t kind) noexcept {
  static constexpr std::array kNames{"unspecified", "internal", "server", "client", "producer", "consumer"};
  return kind < kNames.size() ? kNames[kind] : kNames[0];
}

template <typename Id>
std::string id_text(const Id& id) {
  return is_none(id) ? std::string() : to_hex(id);
}

std::string nano_text(std::uint64_t ns) { return fmt::format("{}", ns); }

std::uint64_t duration_ns(std::uint64_t start_ns, std::uint64_t end_ns) noexcept {
  return end_ns > start_ns ? end_ns - start_ns : 0;
}

Json counters_json(const SignalCounters& counters) {
  return {{"received", counters.received},
          {"rejected", counters.rejected},
          {"kept", counters.kept},
          {"dropped", counters.dropped}};
}

// The rows are written one by one: thousands of them as one JSON value would need many times the
// room.
template <typename Rows, typename ToJson>
std::string array_of(const Rows& rows, ToJson&& to_json) {
  std::string array = "[";
  for (const auto& row : rows) {
    if (array.size() > 1) {
      array += ',';
    }
    array += dump_json(to_json(row));
  }
  array += ']';
  return array;
}

Json json_of(const TraceRow& row) {
  return {{"trace_id", to_hex(row.trace_id)},
          {"service", row.service},
          {"name", row.name},
          {"has_root", row.has_root},
          {"spans", row.spans},
          {"spans_dropped", row.spans_dropped},
          {"errors", row.errors},
          {"unfinished", row.unfinished},
          {"start_time_unix_nano", nano_text(row.start_ns)},
          {"duration_nano", nano_text(duration_ns(row.start_ns, row.end_ns))}};
}

Json json_of(const SpanRow& row) {
  return {{"span_id", to_hex(row.span_id)},
          {"parent_span_id", id_text(row.parent_id)},
          {"service", row.service},
          {"name", row.name},
          {"kind", kind_name(row.kind)},
          {"status", status_name(row.status)},
          {"unfinished", row.unfinished},
          {"start_time_unix_nano", nano_text(row.start_ns)},
          {"end_time_unix_nano", nano_text(row.end_ns)},
          {"attributes", attributes_json(row.detail, span_field::kAttributes)},
          {"left_out", row.left_out}};
}

Json json_of(const LogRow& row) {
  return {{"time_unix_nano", nano_text(row.time_ns)},
          {"severity_number", row.severity},
          {"severity_text", row.severity_text},
          {"service", row.service},
          {"body", row.body},
          {"event_name", row.event_name},
          {"trace_id", id_text(row.trace_id)},
          {"span_id", id_text(row.span_id)},
          {"attributes", attributes_json(row.detail, log_field::kAttributes)},
          {"left_out", row.left_out}};
}

const char* metric_kind_name(MetricKind kind) noexcept {
  switch (kind) {
    case MetricKind::kGauge: return "gauge";
    case MetricKind::kSum: return "sum";
    case MetricKind::kHistogram: return "histogram";
    case MetricKind::kExponential: return "exponential_histogram";
    case MetricKind::kSummary: break;
  }
  return "summary";
}

// JSON has no NaN and no infinity.
Json real_json(double value) {
  if (std::isfinite(value)) {
    return value;
  }
  return std::isnan(value) ? "NaN" : value > 0 ? "Infinity" : "-Infinity";
}

Json json_of(const MetricRow& row) {
  const MetricPoint& point = row.point;
  Json json = {{"service", row.service},
               {"scope", row.scope},
               {"name", row.name},
               {"unit", row.unit},
               {"kind", metric_kind_name(point.kind)},
               {"attributes", attributes_json(row.attributes, kMetricAttributes)},
               {"time_unix_nano", nano_text(point.time_ns)}};
  if (point.kind != MetricKind::kGauge && point.kind != MetricKind::kSummary) {
    json["temporality"] = point.delta ? "delta" : "cumulative";
  }
  if (point.kind == MetricKind::kSum) {
    json["monotonic"] = point.monotonic;
  }
  if (point.kind == MetricKind::kGauge || point.kind == MetricKind::kSum) {
    json["value"] = point.no_value ? Json() : point.is_real ? real_json(point.real) : Json(point.integer);
  } else {
    json["count"] = point.count;
    const std::array<std::pair<const char*, const std::optional<double>*>, 5> figures{
        {{"sum", &point.sum}, {"min", &point.min}, {"max", &point.max}, {"p50", &point.p50}, {"p99", &point.p99}}};
    for (const auto& [name, value] : figures) {
      if (value->has_value()) {
        json[name] = real_json(**value);
      }
    }
  }
  json["left_out"] = row.left_out;
  return json;
}

}  // namespace

std::size_t resident_bytes() {
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen("/proc/self/statm", "re"), &std::fclose);
  unsigned long total = 0;
  unsigned long resident = 0;
  if (file == nullptr || std::fscanf(file.get(), "%lu %lu", &total, &resident) != 2) {
    return 0;
  }
  return resident * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
}

std::string status_json(const ViewerState& state) {
  Json json;
  json["otlp"] = state.otlp_authority;
  json["uptime_seconds"] = state.uptime.count();
  json["memory"] = {{"budget_bytes", state.store.budget_bytes},
                    {"used_bytes", state.store.used_bytes},
                    {"rss_bytes", state.rss_bytes}};
  json["requests"] = {{"traces", state.receiver.trace_requests},
                      {"logs", state.receiver.log_requests},
                      {"metrics", state.receiver.metric_requests},
                      {"refused", state.receiver.refused_requests},
                      {"bytes", state.receiver.request_bytes}};
  json["spans"] = counters_json(state.store.spans);
  json["logs"] = counters_json(state.store.logs);
  json["traces"] = {{"kept", state.store.traces_kept}, {"dropped", state.store.traces_dropped}};
  json["metric_points"] = {{"received", state.store.metric_points},
                           {"series_kept", state.store.series_kept},
                           {"series_dropped", state.store.series_dropped}};
  return dump_json(json);
}

std::string traces_json(const Store& store, std::size_t limit) {
  return fmt::format("{{\"traces\":{}}}",
                     array_of(store.recent_traces(limit), [](const TraceRow& row) { return json_of(row); }));
}

std::string trace_json(const Store& store, const TraceId& id) {
  const TraceSpans trace = store.spans_of(id, kMaxRows, kMaxAnswerBytes);
  return fmt::format("{{\"trace_id\":\"{}\",\"spans\":{},\"more\":{}}}", to_hex(id),
                     array_of(trace.spans, [](const SpanRow& row) { return json_of(row); }), trace.more);
}

std::string metrics_json(const Store& store, std::size_t limit) {
  return fmt::format("{{\"metrics\":{}}}", array_of(store.latest_metrics(limit, kMaxAnswerBytes),
                                                    [](const MetricRow& row) { return json_of(row); }));
}

std::string logs_json(const Store& store, std::size_t limit, const TraceId* trace) {
  return fmt::format("{{\"logs\":{}}}", array_of(store.latest_logs(limit, kMaxAnswerBytes, trace),
                                                 [](const LogRow& row) { return json_of(row); }));
}

}  // namespace tailrace::agent::viewer
