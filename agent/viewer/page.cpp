// SPDX-License-Identifier: Apache-2.0
#include "agent/viewer/page.hpp"

#include <cmath>
#include <fmt/format.h>
#include <string>

#include "agent/viewer/otlp_value.hpp"
#include "agent/viewer/page_parts.hpp"
#include "agent/viewer/text.hpp"

namespace tailrace::agent::viewer {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t kShownValueBytes = 200;

void put_counter(Out out, std::string_view label, std::uint64_t value, std::string_view note, bool warns = false) {
  fmt::format_to(out, "<div class=\"counter{}\"><dt>{}</dt><dd>{}</dd><small>{}</small></div>\n",
                 warns && value > 0 ? " warns" : "", label, format_count(value), note);
}

void put_counters(Out out, const ViewerState& state) {
  const SignalCounters& spans = state.store.spans;
  const SignalCounters& logs = state.store.logs;
  fmt::format_to(out, "<dl class=\"counters\">\n");
  put_counter(out, "Traces kept", state.store.traces_kept,
              fmt::format("{} dropped", format_count(state.store.traces_dropped)));
  put_counter(out, "Spans received", spans.received, fmt::format("{} kept", format_count(spans.kept)));
  put_counter(out, "Logs received", logs.received, fmt::format("{} kept", format_count(logs.kept)));
  put_counter(out, "Metric points", state.store.metric_points,
              fmt::format("{} series kept", format_count(state.store.series_kept)));
  put_counter(out, "Dropped by budget", spans.dropped + logs.dropped + state.store.series_dropped,
              fmt::format("{} spans, {} logs, {} series", format_count(spans.dropped), format_count(logs.dropped),
                          format_count(state.store.series_dropped)));
  put_counter(
      out, "Refused", spans.rejected + state.receiver.refused_requests,
      fmt::format("{} spans, {} requests", format_count(spans.rejected), format_count(state.receiver.refused_requests)),
      true);
  fmt::format_to(out,
                 "<div class=\"counter\"><dt>Memory</dt><dd>{}</dd>"
                 "<progress max=\"{}\" value=\"{}\"></progress><small>of {}</small></div>\n</dl>\n",
                 format_bytes(state.store.used_bytes), state.store.budget_bytes, state.store.used_bytes,
                 format_bytes(state.store.budget_bytes));
}

void put_trace(Out out, const TraceRow& row) {
  std::string marks;
  if (row.errors > 0) {
    marks += fmt::format("<span class=\"mark error\">{} {}</span>", format_count(row.errors),
                         row.errors == 1 ? "error" : "errors");
  }
  if (row.unfinished > 0) {
    marks += fmt::format(
        "<span class=\"mark unfinished\" title=\"the process died while these spans were open\">"
        "{} unfinished</span>",
        format_count(row.unfinished));
  }
  if (!row.has_root) {
    marks +=
        "<span class=\"mark quiet\" title=\"the first span has not arrived, or is no longer "
        "kept\">no root</span>";
  }
  if (marks.empty()) {
    marks = "<span class=\"faint\">ok</span>";
  }
  std::string spans = format_count(row.spans);
  if (row.spans_dropped > 0) {
    spans += fmt::format(" <small>of {}</small>", format_count(std::uint64_t{row.spans} + row.spans_dropped));
  }
  fmt::format_to(out,
                 "<tr><td>{}</td><td class=\"name\">{}</td><td class=\"name\">{}</td><td "
                 "class=\"number\">{}</td>"
                 "<td class=\"number\">{}</td><td>{}</td><td>{}</td></tr>\n",
                 time_element(row.start_ns), escape_html(row.service), escape_html(row.name), spans,
                 format_duration(row.end_ns > row.start_ns ? row.end_ns - row.start_ns : 0), marks,
                 trace_link(row.trace_id));
}

void put_empty(Out out, std::string_view what, const std::string& otlp_authority) {
  fmt::format_to(out,
                 "<p class=\"empty\">No {} yet. Send OTLP/gRPC to <code>http://{}</code>, for example with "
                 "<code>tailrace agent --endpoint http://{}</code>.</p>\n",
                 what, otlp_authority, otlp_authority);
}

// Whole numbers as they are, others with what a reader needs of them.
std::string number_text(double value) {
  if (!std::isfinite(value)) return std::isnan(value) ? "NaN" : value > 0 ? "∞" : "−∞";
  return value == std::floor(value) && std::abs(value) < 1e15 ? fmt::format("{:.0f}", value)
                                                              : fmt::format("{:.4g}", value);
}

std::string optional_text(const std::optional<double>& value) {
  return value ? number_text(*value) : std::string("<span class=\"faint\">–</span>");
}

std::string_view kind_text(const MetricPoint& point) {
  switch (point.kind) {
    case MetricKind::kGauge: return "gauge";
    case MetricKind::kSum: return point.monotonic ? "counter" : "up-down counter";
    case MetricKind::kHistogram:
    case MetricKind::kExponential: return "histogram";
    case MetricKind::kSummary: break;
  }
  return "summary";
}

void put_metric(Out out, const MetricRow& row) {
  const MetricPoint& point = row.point;
  const bool plain = point.kind == MetricKind::kGauge || point.kind == MetricKind::kSum;
  std::string value = "<span class=\"faint\">none</span>";
  if (!point.no_value) {
    value = !plain          ? fmt::format("{}", point.count)
            : point.is_real ? number_text(point.real)
                            : fmt::format("{}", point.integer);
  }
  std::string attributes;
  const Json all = attributes_json(row.attributes, kMetricAttributes);
  for (const auto& [key, held] : all.items()) {
    attributes += fmt::format(
        "<span class=\"attribute\"><b>{}</b> {}</span> ", escape_html(key),
        escape_html(clip_text(held.is_string() ? held.get<std::string>() : dump_json(held), kShownValueBytes)));
  }
  if (row.left_out > 0) attributes += "<span class=\"faint\">…</span>";
  if (!attributes.empty()) attributes = "<div>" + attributes + "</div>";
  const std::string none;
  fmt::format_to(out,
                 "<tr><td class=\"name\">{}</td><td class=\"attributes\">{} <small>{}</small>{}</td>"
                 "<td><span class=\"mark quiet\">{}{}</span></td>"
                 "<td class=\"number\">{}</td><td class=\"number\">{}</td><td class=\"number\">{}</td>"
                 "<td class=\"number\">{}</td><td>{}</td></tr>\n",
                 escape_html(row.service), escape_html(row.name), escape_html(row.unit), attributes, kind_text(point),
                 point.delta ? ", delta" : "", value, plain ? none : optional_text(point.sum),
                 plain ? none : optional_text(point.p50), plain ? none : optional_text(point.p99),
                 time_element(point.time_ns));
}

void put_metrics(Out out, const std::vector<MetricRow>& metrics, const StoreCounters& counters) {
  fmt::format_to(out,
                 "<div class=\"table\"><table id=\"metrics\">\n<thead><tr><th>Service</th><th>Metric</th><th>Kind</th>"
                 "<th class=\"number\">Value or count</th><th class=\"number\">Sum</th>"
                 "<th class=\"number\" title=\"estimated from the buckets\">p50</th>"
                 "<th class=\"number\" title=\"estimated from the buckets\">p99</th><th>Updated</th></tr></thead>\n"
                 "<tbody>\n");
  for (const MetricRow& row : metrics) {
    put_metric(out, row);
  }
  fmt::format_to(out, "</tbody></table></div>\n");
  if (metrics.size() < counters.series_kept) {
    fmt::format_to(out,
                   "<p class=\"faint\">{} of {} series, those updated last. <a href=\"/api/metrics?limit=10000\">"
                   "More as JSON</a></p>\n",
                   metrics.size(), format_count(counters.series_kept));
  }
}

}  // namespace

std::string page_html(const ViewerState& state, const std::vector<TraceRow>& traces,
                      const std::vector<MetricRow>& metrics, const std::vector<LogRow>& logs) {
  std::string html;
  html.reserve(std::size_t{64} << 10);
  const Out out(html);
  put_head(out, "Tailrace viewer", state.otlp_authority, true);
  put_counters(out, state);

  fmt::format_to(out, "<section><h2>Recent traces</h2>\n");
  if (traces.empty()) {
    put_empty(out, "traces", state.otlp_authority);
  } else {
    fmt::format_to(out,
                   "<div class=\"table\"><table id=\"traces\">\n<thead><tr><th>Start</th><th>Service</th>"
                   "<th>Root span</th><th class=\"number\">Spans</th><th class=\"number\">Duration</th>"
                   "<th>Status</th><th>Trace</th></tr></thead>\n<tbody>\n");
    for (const TraceRow& row : traces) {
      put_trace(out, row);
    }
    fmt::format_to(out, "</tbody></table></div>\n");
  }
  fmt::format_to(out, "</section>\n<section><h2>Latest metrics</h2>\n");
  if (metrics.empty()) {
    put_empty(out, "metrics", state.otlp_authority);
  } else {
    put_metrics(out, metrics, state.store);
  }
  fmt::format_to(out, "</section>\n<section><h2>Latest logs</h2>\n");
  if (logs.empty()) {
    put_empty(out, "logs", state.otlp_authority);
  } else {
    put_log_table(out, logs);
  }
  fmt::format_to(out, "</section>\n");
  put_foot(out,
           "<a href=\"/api/traces\">traces</a> · <a href=\"/api/metrics\">metrics</a> · "
           "<a href=\"/api/logs\">logs</a> · <a href=\"/api/status\">status</a>");
  return html;
}

}  // namespace tailrace::agent::viewer
