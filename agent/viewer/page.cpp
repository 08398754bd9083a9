// SPDX-License-Identifier: Apache-2.0
#include "agent/viewer/page.hpp"

#include <algorithm>
#include <array>
#include <fmt/format.h>
#include <iterator>

#include "agent/viewer/text.hpp"

namespace tailrace::agent::viewer {
namespace {

constexpr std::size_t kShownBodyBytes = 400;
constexpr std::size_t kShownIdDigits = 8;

using Out = std::back_insert_iterator<std::string>;

void put_counter(Out out, std::string_view label, std::uint64_t value, std::string_view note,
                 bool warns = false) {
  fmt::format_to(out, "<div class=\"counter{}\"><dt>{}</dt><dd>{}</dd><small>{}</small></div>\n",
                 warns && value > 0 ? " warns" : "", label, format_count(value), note);
}

void put_counters(Out out, const ViewerState& state) {
  const SignalCounters& spans = state.store.spans;
  const SignalCounters& logs = state.store.logs;
  fmt::format_to(out, "<dl class=\"counters\">\n");
  put_counter(out, "Traces kept", state.store.traces_kept,
              fmt::format("{} dropped", format_count(state.store.traces_dropped)));
  put_counter(out, "Spans received", spans.received,
              fmt::format("{} kept", format_count(spans.kept)));
  put_counter(out, "Logs received", logs.received, fmt::format("{} kept", format_count(logs.kept)));
  put_counter(out, "Metric points", state.receiver.metric_points, "counted, not kept");
  put_counter(
      out, "Dropped by budget", spans.dropped + logs.dropped,
      fmt::format("{} spans, {} logs", format_count(spans.dropped), format_count(logs.dropped)));
  put_counter(out, "Refused", spans.rejected + state.receiver.refused_requests,
              fmt::format("{} spans, {} requests", format_count(spans.rejected),
                          format_count(state.receiver.refused_requests)),
              true);
  fmt::format_to(out,
                 "<div class=\"counter\"><dt>Memory</dt><dd>{}</dd>"
                 "<progress max=\"{}\" value=\"{}\"></progress><small>of {}</small></div>\n</dl>\n",
                 format_bytes(state.store.used_bytes), state.store.budget_bytes,
                 state.store.used_bytes, format_bytes(state.store.budget_bytes));
}

std::string time_element(std::uint64_t unix_ns) {
  const std::string iso = format_iso(unix_ns);
  return fmt::format("<time datetime=\"{}\" title=\"{}\">{}</time>", iso, iso,
                     format_clock(unix_ns));
}

std::string trace_link(const TraceId& id) {
  if (is_none(id)) {
    return "<span class=\"faint\">–</span>";
  }
  const std::string hex = to_hex(id);
  return fmt::format("<a class=\"id\" href=\"/api/trace?id={}\" title=\"{}\">{}…</a>", hex, hex,
                     hex.substr(0, kShownIdDigits));
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
    spans += fmt::format(" <small>of {}</small>",
                         format_count(std::uint64_t{row.spans} + row.spans_dropped));
  }
  fmt::format_to(out,
                 "<tr><td>{}</td><td class=\"name\">{}</td><td class=\"name\">{}</td><td "
                 "class=\"number\">{}</td>"
                 "<td class=\"number\">{}</td><td>{}</td><td>{}</td></tr>\n",
                 time_element(row.start_ns), escape_html(row.service), escape_html(row.name), spans,
                 format_duration(row.end_ns > row.start_ns ? row.end_ns - row.start_ns : 0), marks,
                 trace_link(row.trace_id));
}

struct Severity {
  std::string_view name;
  std::string_view style;
};

// OTLP: 1-4 trace, 5-8 debug, 9-12 info, 13-16 warn, 17-20 error, 21-24 fatal.
Severity severity_of(std::uint8_t number) noexcept {
  static constexpr std::array<Severity, 7> kSeverities{{{"–", "quiet"},
                                                        {"TRACE", "quiet"},
                                                        {"DEBUG", "quiet"},
                                                        {"INFO", "info"},
                                                        {"WARN", "warn"},
                                                        {"ERROR", "error"},
                                                        {"FATAL", "error"}}};
  return kSeverities[std::min<std::size_t>((number + 3u) / 4u, kSeverities.size() - 1)];
}

void put_log(Out out, const LogRow& row) {
  const Severity severity = severity_of(row.severity);
  const std::string_view severity_text =
      row.severity_text.empty() ? severity.name : row.severity_text;
  const std::string_view body = clip_text(row.body, kShownBodyBytes);
  const std::string event =
      row.event_name.empty()
          ? ""
          : fmt::format("<span class=\"mark quiet\">{}</span>", escape_html(row.event_name));
  fmt::format_to(
      out,
      "<tr><td>{}</td><td><span class=\"mark {}\">{}</span></td><td class=\"name\">{}</td>"
      "<td class=\"body\">{}{}{}</td><td>{}</td></tr>\n",
      time_element(row.time_ns), severity.style, escape_html(severity_text),
      escape_html(row.service), event, escape_html(body), body.size() < row.body.size() ? "…" : "",
      trace_link(row.trace_id));
}

void put_empty(Out out, std::string_view what, const std::string& otlp_authority) {
  fmt::format_to(
      out,
      "<p class=\"empty\">No {} yet. Send OTLP/gRPC to <code>http://{}</code>, for example with "
      "<code>tailrace agent --endpoint http://{}</code>.</p>\n",
      what, otlp_authority, otlp_authority);
}

}  // namespace

std::string page_html(const ViewerState& state, const std::vector<TraceRow>& traces,
                      const std::vector<LogRow>& logs) {
  std::string html;
  html.reserve(std::size_t{64} << 10);
  const Out out(html);
  fmt::format_to(out,
                 "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
                 "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
                 "<meta name=\"color-scheme\" content=\"light dark\">\n"
                 "<title>Tailrace viewer</title>\n<link rel=\"stylesheet\" href=\"/viewer.css\">\n"
                 "<noscript><meta http-equiv=\"refresh\" content=\"3\"></noscript>\n"
                 "<script src=\"/viewer.js\" defer></script>\n</head>\n<body>\n"
                 "<header><h1>Tailrace <span>viewer</span></h1>\n"
                 "<p>OTLP/gRPC <code>{}</code><span id=\"state\" "
                 "role=\"status\"></span></p></header>\n<main>\n",
                 state.otlp_authority);
  put_counters(out, state);

  fmt::format_to(out, "<section><h2>Recent traces</h2>\n");
  if (traces.empty()) {
    put_empty(out, "traces", state.otlp_authority);
  } else {
    fmt::format_to(
        out,
        "<div class=\"table\"><table id=\"traces\">\n<thead><tr><th>Start</th><th>Service</th>"
        "<th>Root span</th><th class=\"number\">Spans</th><th class=\"number\">Duration</th>"
        "<th>Status</th><th>Trace</th></tr></thead>\n<tbody>\n");
    for (const TraceRow& row : traces) {
      put_trace(out, row);
    }
    fmt::format_to(out, "</tbody></table></div>\n");
  }
  fmt::format_to(out, "</section>\n<section><h2>Latest logs</h2>\n");
  if (logs.empty()) {
    put_empty(out, "logs", state.otlp_authority);
  } else {
    fmt::format_to(
        out,
        "<div class=\"table\"><table id=\"logs\">\n<thead><tr><th>Time</th><th>Severity</th>"
        "<th>Service</th><th>Message</th><th>Trace</th></tr></thead>\n<tbody>\n");
    for (const LogRow& row : logs) {
      put_log(out, row);
    }
    fmt::format_to(out, "</tbody></table></div>\n");
  }
  fmt::format_to(out,
                 "</section>\n</main>\n<footer>As JSON: <a href=\"/api/traces\">traces</a> · "
                 "<a href=\"/api/logs\">logs</a> · <a "
                 "href=\"/api/status\">status</a></footer>\n</body>\n</html>\n");
  return html;
}

}  // namespace tailrace::agent::viewer
