// SPDX-License-Identifier: Apache-2.0
//
// One trace as a waterfall. Bars are SVG, whose positions are attributes and no style, so that the page's
// policy allows no style but the viewer's own; <details> opens a span's attributes, by mouse and by key.
#include <algorithm>
#include <array>
#include <fmt/format.h>
#include <string>
#include <vector>

#include <protozero/pbf_reader.hpp>

#include "agent/viewer/otlp_reader.hpp"
#include "agent/viewer/otlp_value.hpp"
#include "agent/viewer/page.hpp"
#include "agent/viewer/page_parts.hpp"
#include "agent/viewer/text.hpp"
#include "agent/viewer/waterfall.hpp"

namespace tailrace::agent::viewer {
namespace {

using Json = nlohmann::ordered_json;
using protozero::pbf_reader;
using protozero::pbf_wire_type;
using protozero::tag_and_type;

constexpr double kWidth = 1000;    // of a bar's drawing
constexpr double kLeastBar = 2;    // so that the shortest span is seen
constexpr unsigned kDeepest = 24;  // deeper spans are not moved further to the right
constexpr std::size_t kShownValueBytes = 2000;
constexpr std::size_t kEvents = 100;  // of one span
constexpr unsigned kTicks = 4;

double place_of(const Waterfall& waterfall, std::uint64_t time_ns) {
  if (time_ns <= waterfall.start_ns) return 0;
  const double part = static_cast<double>(time_ns - waterfall.start_ns) / static_cast<double>(waterfall.range_ns);
  return kWidth * std::min(part, 1.0);
}

std::uint64_t duration_of(const SpanRow& span) { return span.end_ns > span.start_ns ? span.end_ns - span.start_ns : 0; }

struct Event {
  std::uint64_t time_ns = 0;
  std::string name;
  Json attributes;
};

// What was checked when it was received; bytes that cannot be read all the same show nothing.
struct Detail {
  std::vector<Event> events;
  std::size_t events_more = 0;
  std::string status_message;
  std::vector<TraceId> links;
};

Event read_event(protozero::data_view message) {
  Event event;
  pbf_reader reader(message);
  while (reader.next()) {
    switch (reader.tag_and_type()) {
      case tag_and_type(1, pbf_wire_type::fixed64): event.time_ns = reader.get_fixed64(); break;
      case tag_and_type(2, pbf_wire_type::length_delimited): event.name = reader.get_string(); break;
      default: reader.skip();
    }
  }
  event.attributes = attributes_json({message.data(), message.size()}, 3);
  return event;
}

Detail read_detail(const std::string& bytes) {
  Detail detail;
  try {
    pbf_reader reader(bytes);
    while (reader.next()) {
      if (!reader.has_wire_type(pbf_wire_type::length_delimited)) {
        reader.skip();
      } else if (reader.tag() == span_field::kEvents) {
        const auto message = reader.get_view();
        if (detail.events.size() < kEvents) {
          detail.events.push_back(read_event(message));
        } else {
          ++detail.events_more;
        }
      } else if (reader.tag() == span_field::kStatus) {
        pbf_reader status(reader.get_view());
        while (status.next(2, pbf_wire_type::length_delimited)) detail.status_message = status.get_string();
      } else if (reader.tag() == span_field::kLinks) {
        pbf_reader link(reader.get_view());
        while (link.next(1, pbf_wire_type::length_delimited)) {
          const auto view = link.get_view();
          TraceId id{};
          if (view.size() == id.size() && detail.links.size() < kEvents) {
            std::copy_n(view.data(), id.size(), id.begin());
            detail.links.push_back(id);
          }
        }
      } else {
        reader.skip();
      }
    }
  } catch (const protozero::exception&) {
    return detail;
  }
  return detail;
}

void put_attributes(Out out, const Json& attributes) {
  if (attributes.empty()) return;
  fmt::format_to(out, "<dl class=\"attributes\">");
  for (const auto& [key, held] : attributes.items()) {
    const std::string text = held.is_string() ? held.get<std::string>() : dump_json(held);
    const std::string_view shown = clip_text(text, kShownValueBytes);
    fmt::format_to(out, "<dt>{}</dt><dd>{}{}</dd>", escape_html(key), escape_html(shown),
                   shown.size() < text.size() ? "…" : "");
  }
  fmt::format_to(out, "</dl>");
}

void put_axis(Out out, const Waterfall& waterfall) {
  fmt::format_to(
      out, "<div class=\"axis\" aria-hidden=\"true\"><span>Span</span><span>Service</span><span class=\"ticks\">");
  for (unsigned i = 0; i <= kTicks; ++i) {
    fmt::format_to(out, "<i>{}</i>", i == 0 ? "0" : format_duration(waterfall.range_ns / kTicks * i));
  }
  fmt::format_to(out, "</span><span class=\"number\">Duration</span></div>\n");
}

void put_bar(Out out, const Waterfall& waterfall, const SpanRow& span, const Detail& detail) {
  const double from = std::min(place_of(waterfall, span.start_ns), kWidth - kLeastBar);
  const double to = std::max(place_of(waterfall, span.end_ns), from + kLeastBar);
  fmt::format_to(out,
                 "<svg class=\"bar\" viewBox=\"0 0 {:.0f} 16\" preserveAspectRatio=\"none\" aria-hidden=\"true\">"
                 "<rect class=\"{}\" x=\"{:.2f}\" y=\"2\" width=\"{:.2f}\" height=\"12\"/>",
                 kWidth,
                 span.unfinished                     ? "open"
                 : span.status == StatusCode::kError ? "failed"
                                                     : "fine",
                 from, to - from);
  for (const Event& event : detail.events) {
    fmt::format_to(out, "<rect class=\"event\" x=\"{:.2f}\" y=\"0\" width=\"2\" height=\"16\"/>",
                   std::min(place_of(waterfall, event.time_ns), kWidth - 2));
  }
  fmt::format_to(out, "</svg>");
}

std::string marks_of(const SpanRow& span, const WaterfallRow& row) {
  std::string marks;
  if (span.status == StatusCode::kError) marks += "<span class=\"mark error\">error</span>";
  if (span.unfinished) {
    marks += "<span class=\"mark unfinished\" title=\"the process died while this span was open\">unfinished</span>";
  }
  if (row.parent_missing) {
    marks += "<span class=\"mark quiet\" title=\"its parent has not arrived, or is no longer kept\">no parent</span>";
  }
  return marks;
}

const char* kind_name(std::uint8_t kind) {
  static constexpr std::array kNames{"unspecified", "internal", "server", "client", "producer", "consumer"};
  return kind < kNames.size() ? kNames[kind] : kNames[0];
}

void put_detail(Out out, const SpanRow& span, const Detail& detail, bool with_attributes) {
  fmt::format_to(out, "<div class=\"detail\"><dl class=\"attributes\"><dt>span</dt><dd class=\"id\">{}</dd>",
                 to_hex(span.span_id));
  if (!is_none(span.parent_id)) fmt::format_to(out, "<dt>parent</dt><dd class=\"id\">{}</dd>", to_hex(span.parent_id));
  fmt::format_to(out, "<dt>kind</dt><dd>{}</dd><dt>start</dt><dd>{}</dd>", kind_name(span.kind),
                 format_iso(span.start_ns));
  if (!detail.status_message.empty()) {
    fmt::format_to(out, "<dt>status</dt><dd>{}</dd>", escape_html(clip_text(detail.status_message, kShownValueBytes)));
  }
  for (const TraceId& link : detail.links) fmt::format_to(out, "<dt>link</dt><dd>{}</dd>", trace_link(link));
  fmt::format_to(out, "</dl>");
  if (with_attributes) {
    put_attributes(out, attributes_json(span.detail, span_field::kAttributes));
  } else if (!span.detail.empty()) {
    fmt::format_to(out, "<p class=\"faint\">The trace is too large to show every span's attributes here.</p>");
  }
  for (const Event& event : detail.events) {
    fmt::format_to(out, "<p class=\"event\"><b>{}</b> at {}</p>", escape_html(clip_text(event.name, kShownValueBytes)),
                   format_duration(event.time_ns > span.start_ns ? event.time_ns - span.start_ns : 0));
    if (with_attributes) put_attributes(out, event.attributes);
  }
  if (detail.events_more > 0) fmt::format_to(out, "<p class=\"faint\">{} more events</p>", detail.events_more);
  if (span.left_out > 0) {
    fmt::format_to(out, "<p class=\"faint\">{} fields were too large to keep</p>", span.left_out);
  }
  fmt::format_to(out, "</div>");
}

}  // namespace

std::string trace_html(const std::string& otlp_authority, const TraceId& id, const TraceSpans& trace,
                       const std::vector<LogRow>& logs) {
  const Waterfall waterfall = make_waterfall(trace.spans);
  const std::string hex = to_hex(id);
  std::string html;
  html.reserve(std::size_t{64} << 10);
  const Out out(html);
  put_head(out, "Trace " + hex + " – Tailrace viewer", otlp_authority, false);
  fmt::format_to(out, "<section><h2>Trace <code>{}</code></h2>\n", hex);
  if (trace.spans.empty()) {
    fmt::format_to(out,
                   "<p class=\"empty\">No span of this trace is kept. It may have been dropped since, to stay "
                   "within the viewer's memory.</p>\n");
  } else {
    const std::size_t shown = std::min(waterfall.rows.size(), kTraceSpans);
    fmt::format_to(out, "<p class=\"faint\">{} spans over {}, from {}{}</p>\n", format_count(trace.spans.size()),
                   format_duration(waterfall.range_ns), format_iso(waterfall.start_ns),
                   shown < waterfall.rows.size() || trace.more
                       ? fmt::format("; the first {} are drawn, and more are kept", format_count(shown))
                       : std::string());
    fmt::format_to(out, "<div class=\"waterfall\">\n");
    put_axis(out, waterfall);
    std::size_t detail_bytes = 0;
    for (std::size_t i = 0; i < shown; ++i) {
      const WaterfallRow& row = waterfall.rows[i];
      const SpanRow& span = trace.spans[row.span];
      detail_bytes += span.detail.size();
      const bool with_attributes = detail_bytes <= kTraceDetailBytes;
      const Detail detail = with_attributes ? read_detail(span.detail) : Detail{};
      fmt::format_to(out, "<details><summary><span class=\"name d{}\">{}{}</span><span class=\"service\">{}</span>",
                     std::min(row.depth, kDeepest), escape_html(span.name), marks_of(span, row),
                     escape_html(span.service));
      put_bar(out, waterfall, span, detail);
      fmt::format_to(out, "<span class=\"number\">{}</span></summary>", format_duration(duration_of(span)));
      put_detail(out, span, detail, with_attributes);
      fmt::format_to(out, "</details>\n");
    }
    fmt::format_to(out, "</div>\n");
  }
  fmt::format_to(out, "</section>\n");
  if (!logs.empty()) {
    fmt::format_to(out, "<section><h2>Its logs</h2>\n");
    put_log_table(out, logs);
    fmt::format_to(out, "</section>\n");
  }
  put_foot(out,
           fmt::format("<a href=\"/api/trace?id={}\">this trace</a> · <a href=\"/api/logs?trace_id={}\">its logs</a>",
                       hex, hex));
  return html;
}

}  // namespace tailrace::agent::viewer
