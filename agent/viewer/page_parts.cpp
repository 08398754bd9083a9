// SPDX-License-Identifier: Apache-2.0
#include "agent/viewer/page_parts.hpp"

#include <algorithm>
#include <array>
#include <fmt/format.h>

#include "agent/viewer/text.hpp"

namespace tailrace::agent::viewer {
namespace {

constexpr std::size_t kShownBodyBytes = 400;
constexpr std::size_t kShownIdDigits = 8;

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
  const std::string_view severity_text = row.severity_text.empty() ? severity.name : row.severity_text;
  const std::string_view body = clip_text(row.body, kShownBodyBytes);
  const std::string event =
      row.event_name.empty() ? "" : fmt::format("<span class=\"mark quiet\">{}</span>", escape_html(row.event_name));
  fmt::format_to(out,
                 "<tr><td>{}</td><td><span class=\"mark {}\">{}</span></td><td class=\"name\">{}</td>"
                 "<td class=\"body\">{}{}{}</td><td>{}</td></tr>\n",
                 time_element(row.time_ns), severity.style, escape_html(severity_text), escape_html(row.service), event,
                 escape_html(body), body.size() < row.body.size() ? "…" : "", trace_link(row.trace_id));
}

}  // namespace

void put_head(Out out, std::string_view title, const std::string& otlp_authority, bool refreshes) {
  fmt::format_to(out,
                 "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
                 "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
                 "<meta name=\"color-scheme\" content=\"light dark\">\n"
                 "<title>{}</title>\n<link rel=\"stylesheet\" href=\"/viewer.css\">\n{}</head>\n<body>\n"
                 "<header><h1><a href=\"/\">Tailrace <span>viewer</span></a></h1>\n"
                 "<p>OTLP/gRPC <code>{}</code>{}</p></header>\n<main>\n",
                 escape_html(title),
                 refreshes ? "<noscript><meta http-equiv=\"refresh\" content=\"3\"></noscript>\n"
                             "<script src=\"/viewer.js\" defer></script>\n"
                           : "",
                 escape_html(otlp_authority), refreshes ? "<span id=\"state\" role=\"status\"></span>" : "");
}

void put_foot(Out out, std::string_view links) {
  fmt::format_to(out, "</main>\n<footer>As JSON: {}</footer>\n</body>\n</html>\n", links);
}

std::string time_element(std::uint64_t unix_ns) {
  const std::string iso = format_iso(unix_ns);
  return fmt::format("<time datetime=\"{}\" title=\"{}\">{}</time>", iso, iso, format_clock(unix_ns));
}

std::string trace_link(const TraceId& id) {
  if (is_none(id)) {
    return "<span class=\"faint\">–</span>";
  }
  const std::string hex = to_hex(id);
  return fmt::format("<a class=\"id\" href=\"/trace?id={}\" title=\"{}\">{}…</a>", hex, hex,
                     hex.substr(0, kShownIdDigits));
}

void put_log_table(Out out, const std::vector<LogRow>& logs) {
  fmt::format_to(out,
                 "<div class=\"table\"><table id=\"logs\">\n<thead><tr><th>Time</th><th>Severity</th>"
                 "<th>Service</th><th>Message</th><th>Trace</th></tr></thead>\n<tbody>\n");
  for (const LogRow& row : logs) {
    put_log(out, row);
  }
  fmt::format_to(out, "</tbody></table></div>\n");
}

}  // namespace tailrace::agent::viewer
