// SPDX-License-Identifier: Apache-2.0
#include "agent/observe/segment_text.hpp"

#include <fmt/format.h>

#include <cstring>

#include <tailrace/shm/layout.hpp>

#include "shm/reader/utf8.hpp"

namespace tailrace::agent {
namespace {

using namespace shm;

const char* const kPriorityNames[kPriorities] = {"critical", "normal", "low", "background"};

std::string time_text(std::uint64_t time, TimeClock clock) {
  switch (clock) {
    case TimeClock::counter: return fmt::format("{}", time);
    case TimeClock::monotonic: return fmt::format("{}(monotonic)", time);
    case TimeClock::realtime: return fmt::format("{}(realtime)", time);
  }
  return fmt::format("{}(clock {})", time, static_cast<unsigned>(clock));
}

const char* reserved_name(std::uint32_t key) {
  switch (key) {
    case kNoKey: return "";
    case kInlineKey: return "";
    case kStatusMessageKey: return "<status message>";
    case kTraceStateKey: return "<trace state>";
    case kEventNameKey: return "<event name>";
    case kSeverityTextKey: return "<severity text>";
    case kDroppedAttributesKey: return "<dropped attributes>";
    case kDroppedEventsKey: return "<dropped events>";
    case kDroppedLinksKey: return "<dropped links>";
    case kBodyKey: return "<body>";
    case kNameKey: return "<name>";
    case kStatusCodeKey: return "<status code>";
    case kObservedTimeKey: return "<observed time>";
    case kArgumentKey: return "<argument>";
    case kSchemaUrlKey: return "<schema url>";
    case kVersionKey: return "<version>";
    case kPartCountKey: return "<parts>";
    default: return nullptr;
  }
}

template <std::size_t N>
std::string hex_of(const std::uint8_t (&bytes)[N]) {
  return hex({bytes, N});
}
std::string id_text(std::uint64_t span_id) {
  std::uint8_t bytes[8];
  std::memcpy(bytes, &span_id, sizeof bytes);
  return hex_of(bytes);
}

bool is_continuation(char c) { return (static_cast<unsigned char>(c) & 0xC0) == 0x80; }

void append_escaped(std::string& out, std::string_view text) {
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += text[i];
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '\t') {
      out += "\\t";
    } else if (c < 0x20 || c == 0x7F) {
      out += fmt::format("\\x{:02x}", c);
    } else if (c == 0xC2 && i + 1 < text.size() && static_cast<unsigned char>(text[i + 1]) < 0xA0) {
      // U+0080 to U+009F: terminals obey them like escape sequences.
      out += fmt::format("\\u00{:02x}", static_cast<unsigned char>(text[++i]));
    } else {
      out += text[i];
    }
  }
}

}  // namespace

std::string quoted(std::string_view text, std::size_t max_bytes) {
  std::string scratch;
  std::string_view good = repair_utf8(text, scratch);
  const std::size_t whole = good.size();
  if (whole > max_bytes) {
    std::size_t cut = max_bytes;
    while (cut > 0 && is_continuation(good[cut])) --cut;
    good = good.substr(0, cut);
  }
  std::string out = "\"";
  append_escaped(out, good);
  out += '"';
  if (whole > max_bytes) out += fmt::format("…({} bytes)", whole);
  return out;
}

std::string hex(Bytes bytes) {
  std::string out;
  for (std::size_t i = 0; i < bytes.size; ++i) out += fmt::format("{:02x}", bytes.data[i]);
  return out;
}

std::string SegmentText::bad(std::string what) {
  damaged_ = true;
  return "<" + std::move(what) + ">";
}

std::string SegmentText::string(std::uint64_t id) {
  const auto text = strings_.lookup(id);
  return text ? quoted(*text) : bad(fmt::format("no string {}", id));
}

std::string SegmentText::key(const ItemRef& item) {
  if (item.key == kInlineKey) return quoted(item.inline_key.text());
  if (item.key < kFirstStringId) {
    const char* name = reserved_name(item.key);
    return name != nullptr ? name : fmt::format("<reserved key {}>", item.key);
  }
  return string(item.key);
}

std::string SegmentText::value(const ItemRef& item) {
  constexpr std::size_t kBytesShown = 64;
  switch (item.type) {
    case ItemType::empty: return "empty";
    case ItemType::boolean: return item.boolean() ? "true" : "false";
    case ItemType::integer: return fmt::format("{}", item.integer());
    case ItemType::real: return fmt::format("{}", item.real());
    case ItemType::string_id: return string(item.string_id());
    case ItemType::string: return quoted(item.body.text());
    case ItemType::bytes:
      return item.body.size <= kBytesShown
                 ? "0x" + hex(item.body)
                 : "0x" + hex(item.body.part(0, kBytesShown)) + fmt::format("…({} bytes)", item.body.size);
    case ItemType::array: return "[" + walk(item.inside(), false) + "]";
    case ItemType::map: return "{" + walk(item.inside(), true) + "}";
    case ItemType::event: {
      const EventBody event = item.event();
      std::string out = "event at " + time_text(event.time, item.event_clock());
      if (event.dropped_attributes != 0) out += fmt::format(" dropped {}", event.dropped_attributes);
      return out + " {" + walk(item.inside(), true) + "}";
    }
    case ItemType::link: {
      const LinkBody link = item.link();
      std::string out = "link to " + hex_of(link.trace_id) + "/" + id_text(link.span_id);
      if (link.flags != 0) out += fmt::format(" flags 0x{:x}", link.flags);
      if (link.dropped_attributes != 0) out += fmt::format(" dropped {}", link.dropped_attributes);
      return out + " {" + walk(item.inside(), true) + "}";
    }
  }
  return fmt::format("<type {} of {} bytes>", static_cast<unsigned>(item.type), item.body.size);
}

std::string SegmentText::item(const ItemRef& item, bool with_key) {
  if (!with_key || item.key == kNoKey) return value(item);
  return key(item) + "=" + value(item);
}

std::string SegmentText::walk(ItemCursor cursor, bool with_keys) {
  std::string out;
  ItemRef ref;
  for (;;) {
    switch (cursor.next(ref)) {
      case Next::end: return out;
      case Next::broken: return out + (out.empty() ? "" : ", ") + bad("broken items");
      case Next::found: break;
    }
    if (!out.empty()) out += ", ";
    out += item(ref, with_keys);
  }
}

std::string SegmentText::items(Bytes items) { return walk(ItemCursor(items), true); }

std::string SegmentText::span(const SpanRecord& span, TimeClock start_clock, TimeClock end_clock) {
  std::string out = span.name == 0 ? "\"\"" : string(span.name);
  out += fmt::format(" trace {} span {}", hex_of(span.trace_id), id_text(span.span_id));
  if (span.parent_id != 0) out += " parent " + id_text(span.parent_id);
  out += " from " + time_text(span.start, start_clock);
  if (span.end != 0) out += " to " + time_text(span.end, end_clock);
  out += fmt::format(" kind {}", span.kind_status & 0x0Fu);
  if (span.kind_status >> 4 != 0) out += fmt::format(" status {}", span.kind_status >> 4);
  if (span.scope != 0) out += fmt::format(" scope {}", span.scope);
  if (span.tflags != 0) out += fmt::format(" tflags 0x{:02x}", span.tflags);
  return out;
}

template <class Fixed>
bool SegmentText::take(const RecordRef& record, Fixed& fixed, std::string& line) {
  if (record.fixed(fixed)) return true;
  line += bad(fmt::format("{} bytes are too few for it", record.bytes.size));
  return false;
}

std::string SegmentText::body(const RecordRef& record) {
  std::string out;
  switch (record.type) {
    case RecordType::span:
    case RecordType::span_start: {
      SpanRecord fixed;
      if (!take(record, fixed, out)) return out;
      return span(fixed, record.start_clock(), record.end_clock()) + " {" + items(record.items<SpanRecord>()) + "}";
    }
    case RecordType::log: {
      LogRecord fixed;
      if (!take(record, fixed, out)) return out;
      out = fixed.body == 0 ? "\"\"" : string(fixed.body);
      out += fmt::format(" severity {} at {}", fixed.severity, time_text(fixed.time, record.start_clock()));
      if (fixed.span_id != 0) out += " trace " + hex_of(fixed.trace_id) + " span " + id_text(fixed.span_id);
      if (fixed.scope != 0) out += fmt::format(" scope {}", fixed.scope);
      if ((fixed.tflags & kTemplate) != 0) out += " template";
      return out + " {" + items(record.items<LogRecord>()) + "}";
    }
    case RecordType::thread: {
      ThreadRecord fixed;
      if (!take(record, fixed, out)) return out;
      return fmt::format("tid {} {}", fixed.tid,
                         quoted(std::string_view(fixed.name, ::strnlen(fixed.name, sizeof fixed.name))));
    }
    case RecordType::loss: {
      LossRecord fixed;
      if (!take(record, fixed, out)) return out;
      return fmt::format("lost {} critical, {} normal, {} low, {} background from {} to {}", fixed.lost[0],
                         fixed.lost[1], fixed.lost[2], fixed.lost[3], fixed.first, fixed.last);
    }
    case RecordType::anchor: {
      AnchorRecord fixed;
      if (!take(record, fixed, out)) return out;
      return fmt::format("counter {} realtime {} monotonic {}", fixed.counter, fixed.realtime_ns, fixed.monotonic_ns);
    }
    case RecordType::span_part: {
      SpanPartRecord fixed;
      if (!take(record, fixed, out)) return out;
      return fmt::format("{} of trace {} span {} {{", fixed.index, hex_of(fixed.trace_id), id_text(fixed.span_id)) +
             items(record.items<SpanPartRecord>()) + "}";
    }
    case RecordType::more: return bad("a MORE record has no place in a lane");
    case RecordType::none:
    case RecordType::exemplar:
    case RecordType::process_note: break;
  }
  return fmt::format("{} bytes", record.bytes.size);
}

std::string SegmentText::record(const RecordRef& record) {
  const auto name = [&]() -> std::string {
    switch (record.type) {
      case RecordType::span: return "SPAN";
      case RecordType::log: return "LOG";
      case RecordType::thread: return "THREAD";
      case RecordType::loss: return "LOSS";
      case RecordType::anchor: return "ANCHOR";
      case RecordType::span_start: return "SPAN_START";
      case RecordType::span_part: return "SPAN_PART";
      case RecordType::exemplar: return "EXEMPLAR";
      case RecordType::process_note: return "PROCESS_NOTE";
      case RecordType::more: return "MORE";
      case RecordType::none: break;
    }
    return fmt::format("TYPE_{}", static_cast<unsigned>(record.type));
  }();
  std::string out = name + " " + kPriorityNames[record.priority()];
  if ((record.flags & kFlagTruncated) != 0) out += " truncated";
  if ((record.flags & kFlagHasParts) != 0 && record.type == RecordType::span) out += " has-parts";
  return out + " " + body(record);
}

}  // namespace tailrace::agent
