// SPDX-License-Identifier: Apache-2.0
// Spans: their records, parts, drafts in slots, and what a dead process left open.
#include <fmt/format.h>

#include "agent/decode/decoder_impl.hpp"

namespace tailrace::agent {
namespace {

constexpr std::string_view kUnnamed = "unnamed";
constexpr std::string_view kIncomplete = "tailrace.span.incomplete";
constexpr std::string_view kCrashSignal = "tailrace.crash.signal";
constexpr std::string_view kCrashAddress = "tailrace.crash.address";
constexpr std::uint8_t kStatusError = 2;
constexpr std::uint8_t kStatusCodeMax = 2;
constexpr std::uint8_t kKindMax = 5;
constexpr std::uint32_t kPartsMax = 1u << 16;
constexpr std::uint32_t kFlagRemoteKnown = 0x100;  // OTLP Span.flags
constexpr std::uint32_t kFlagRemote = 0x200;

}  // namespace

void SegmentDecoder::Impl::begin_span(const shm::SpanRecord& fixed, std::size_t item_bytes) {
  scratch_.reset();
  attributes_ = {};
  items_.open(attributes_, item_bytes + 4 * sizeof(shm::ItemHeader));  // and what leave_open() adds
  events_.clear();
  links_.clear();
  parts_expected_ = 0;
  parts_found_ = 0;
  span_ = {};
  span_.trace_id = trace_id_of(fixed.trace_id);
  span_.span_id = span_id_of(fixed.span_id);
  span_.parent_span_id = span_id_of(fixed.parent_id);
  if (fixed.name != 0) span_.name = strings_.find(fixed.name).text;
  const std::uint8_t kind = fixed.kind_status & 15u;
  const std::uint8_t status = static_cast<std::uint8_t>(fixed.kind_status >> 4);
  span_.kind = kind <= kKindMax ? kind : 0;
  span_.status_code = status <= kStatusCodeMax ? status : 0;
  span_.flags = fixed.tflags & kTraceFlags;
  if ((fixed.tflags & shm::kRemoteKnown) != 0) {
    span_.flags |= kFlagRemoteKnown;
    if ((fixed.tflags & shm::kRemote) != 0) span_.flags |= kFlagRemote;
  }
}

// The types that nearly every attribute has are taken here; the cursor checks all others.
bool SegmentDecoder::Impl::span_items(shm::Bytes items) {
  const std::uint8_t* at = items.data;
  const std::uint8_t* const end = at + items.size;
  while (at != end) {
    shm::ItemHeader header;
    const auto left = static_cast<std::size_t>(end - at);
    if (left < sizeof header) return false;
    std::memcpy(&header, at, sizeof header);
    const std::size_t whole = sizeof header + shm::padded(header.length);
    if (left < whole) return false;
    if (header.key < shm::kFirstStringId || !plain_attribute(header, at + sizeof header)) {
      ItemRef item;
      shm::ItemCursor cursor({at, whole});
      if (cursor.next(item) != shm::Next::found || !span_item(item)) return false;
    }
    at += whole;
  }
  return true;
}

// False: not one of those, nothing done. Inlined, because a call an attribute is a fifth of its cost.
[[gnu::always_inline]] inline bool SegmentDecoder::Impl::plain_attribute(shm::ItemHeader header,
                                                                         const std::uint8_t* body) {
  const auto type = static_cast<ItemType>(header.type);
  const StringCache::Entry key = strings_.find(header.key);
  if (key.text.empty()) return false;
  if (type == ItemType::string) {
    const std::string_view text =
        items_.clean({reinterpret_cast<const char*>(body), static_cast<std::size_t>(header.length)});
    items_.place(attributes_, key.text, key.hash) = otlp::Value::string(text);
    return true;
  }
  if (header.length != sizeof(std::uint64_t)) return false;
  std::uint64_t word;
  std::memcpy(&word, body, sizeof word);
  if (type == ItemType::string_id) {
    const std::string_view text = strings_.find(word).text;
    items_.place(attributes_, key.text, key.hash) = otlp::Value::string(text);
  } else if (type == ItemType::integer) {
    items_.place(attributes_, key.text, key.hash) = otlp::Value::of(static_cast<std::int64_t>(word));
  } else if (type == ItemType::boolean) {
    items_.place(attributes_, key.text, key.hash) = otlp::Value::of(word != 0);
  } else if (type == ItemType::real) {
    double real;
    std::memcpy(&real, &word, sizeof real);
    items_.place(attributes_, key.text, key.hash) = otlp::Value::of(real);
  } else {
    return false;
  }
  return true;
}

bool SegmentDecoder::Impl::span_item(const ItemRef& item) {
  if (item.type == ItemType::event) return event(item);
  if (item.type == ItemType::link) return link(item);
  if (item.key < shm::kFirstStringId && item.key > shm::kInlineKey) return reserved_span_item(item);
  return items_.add(attributes_, item);
}

bool SegmentDecoder::Impl::reserved_span_item(const ItemRef& item) {
  switch (item.key) {
    case shm::kStatusMessageKey: span_.status_message = text_or(item, {}); return true;
    case shm::kTraceStateKey: span_.trace_state = text_or(item, {}); return true;
    case shm::kNameKey: span_.name = text_or(item, span_.name); return true;
    case shm::kStatusCodeKey: {
      const std::int64_t code = integer_of(item);
      span_.status_code = code >= 0 && code <= kStatusCodeMax ? static_cast<std::uint8_t>(code) : 0;
      return true;
    }
    case shm::kDroppedAttributesKey:
      span_.dropped_attributes = add_saturating(span_.dropped_attributes, integer_of(item));
      return true;
    case shm::kDroppedEventsKey:
      span_.dropped_events = add_saturating(span_.dropped_events, integer_of(item));
      return true;
    case shm::kDroppedLinksKey:
      span_.dropped_links = add_saturating(span_.dropped_links, integer_of(item));
      return true;
    case shm::kPartCountKey:
      parts_expected_ = static_cast<std::uint32_t>(std::clamp<std::int64_t>(integer_of(item), 0, kPartsMax));
      return true;
    default: break;
  }
  ++items_.counts.items_unknown;  // a newer minor version's, or one that spans do not have
  return true;
}

bool SegmentDecoder::Impl::event(const ItemRef& item) {
  const shm::EventBody body = item.event();
  otlp::EventView& view = events_.emplace_back();
  view.time_ns = time_of(body.time, item.event_clock());
  view.name = items_.key_of(item).text;
  if (view.name.empty()) view.name = kUnnamed;
  AttributeList list;
  items_.open(list, item.body.size);
  ItemRef inner;
  for (shm::ItemCursor cursor = item.inside();;) {
    const shm::Next found = cursor.next(inner);
    if (found == shm::Next::end) break;
    if (found == shm::Next::broken) return false;
    if (inner.key == shm::kDroppedAttributesKey) {
      view.dropped_attributes = add_saturating(view.dropped_attributes, integer_of(inner));
    } else if (!items_.add(list, inner)) {
      return false;
    }
  }
  view.attributes = list.view();
  view.dropped_attributes =
      add_saturating(view.dropped_attributes, std::int64_t{body.dropped_attributes} + list.dropped);
  return true;
}

bool SegmentDecoder::Impl::link(const ItemRef& item) {
  const shm::LinkBody body = item.link();
  otlp::LinkView view;
  view.trace_id = trace_id_of(body.trace_id);
  view.span_id = span_id_of(body.span_id);
  view.flags = body.flags;
  AttributeList list;
  items_.open(list, item.body.size);
  ItemRef inner;
  for (shm::ItemCursor cursor = item.inside();;) {
    const shm::Next found = cursor.next(inner);
    if (found == shm::Next::end) break;
    if (found == shm::Next::broken) return false;
    if (inner.key == shm::kTraceStateKey) {
      view.trace_state = text_or(inner, {});
    } else if (inner.key == shm::kDroppedAttributesKey) {
      view.dropped_attributes = add_saturating(view.dropped_attributes, integer_of(inner));
    } else if (!items_.add(list, inner)) {
      return false;
    }
  }
  view.attributes = list.view();
  if ((!view.trace_id.is_valid() || !view.span_id.is_valid()) && list.count == 0 && view.trace_state.empty()) {
    span_.dropped_links = add_saturating(span_.dropped_links, 1);  // points at nothing and says nothing
    return true;
  }
  view.dropped_attributes =
      add_saturating(view.dropped_attributes, std::int64_t{body.dropped_attributes} + list.dropped);
  links_.push_back(view);
  return true;
}

// In the order of their indexes, each index once, and only those that name this span.
bool SegmentDecoder::Impl::parts(const shm::SpanRecord& fixed, std::span<const shm::Bytes> records) {
  struct Found {
    std::uint32_t index;
    shm::Bytes items;
  };
  std::vector<Found> found;
  found.reserve(records.size());
  for (const shm::Bytes& record : records) {
    shm::SpanPartRecord part;
    if (!record.load(0, part) || part.span_id != fixed.span_id ||
        std::memcmp(part.trace_id, fixed.trace_id, sizeof part.trace_id) != 0) {
      continue;
    }
    found.push_back({part.index, record.from(sizeof part)});
  }
  std::stable_sort(found.begin(), found.end(), [](const Found& a, const Found& b) { return a.index < b.index; });
  for (std::size_t i = 0; i < found.size(); ++i) {
    if (i != 0 && found[i].index == found[i - 1].index) continue;
    ++parts_found_;
    if (!span_items(found[i].items)) return false;
  }
  return true;
}

void SegmentDecoder::Impl::missing_parts() {
  if (parts_expected_ <= parts_found_) return;
  const std::uint32_t missing = parts_expected_ - parts_found_;
  counts_.missing_parts += missing;
  span_.dropped_attributes = add_saturating(span_.dropped_attributes, missing);
}

void SegmentDecoder::Impl::span_times(const shm::SpanRecord& fixed, std::uint8_t flags) {
  span_.start_ns = time_of(fixed.start, static_cast<shm::TimeClock>(flags >> shm::kFlagStartClockShift & 3u));
  span_.end_ns = time_of(fixed.end, static_cast<shm::TimeClock>(flags >> shm::kFlagEndClockShift & 3u));
}

Decoded SegmentDecoder::Impl::finish_span(const shm::SpanRecord& fixed, std::uint8_t flags) {
  if (span_.end_ns < span_.start_ns) {
    span_.end_ns = span_.start_ns;
    ++counts_.negative_durations;
  }
  last_time_ns_ = std::max(last_time_ns_, span_.end_ns);
  if (span_.name.empty()) {
    span_.name = kUnnamed;
    ++counts_.unnamed_spans;
  }
  span_.attributes = attributes_.view();
  span_.dropped_attributes = add_saturating(span_.dropped_attributes, attributes_.dropped);
  span_.events = events_;
  span_.links = links_;

  Decoded decoded;
  decoded.kind = Decoded::Kind::span;
  decoded.priority = flags & shm::kFlagPriorityMask;
  decoded.was_started = (fixed.tflags & shm::kStarted) != 0;
  decoded.truncated = (flags & shm::kFlagTruncated) != 0;
  decoded.scope = fixed.scope;
  decoded.parts = parts_expected_;
  if (decoded.parts == 0 && (flags & shm::kFlagHasParts) != 0) decoded.parts = 1;
  decoded.trace_id = span_.trace_id;
  decoded.span_id = span_.span_id;
  decoded.span = &span_;
  ++counts_.spans;
  counts_.truncated += decoded.truncated ? 1 : 0;
  return decoded;
}

Decoded SegmentDecoder::Impl::span(shm::Bytes bytes, std::uint8_t flags, bool started_only) {
  shm::SpanRecord fixed;
  if (!bytes.load(0, fixed)) return bad(BadRecord::too_short);
  if (is_zero(fixed.trace_id) || fixed.span_id == 0) return bad(BadRecord::zero_id);
  const shm::Bytes items = bytes.from(sizeof fixed);
  begin_span(fixed, items.size);
  if (!span_items(items)) return bad(BadRecord::bad_items);
  if (started_only) fixed.end = fixed.start;
  if (started_only) {
    flags = static_cast<std::uint8_t>((flags & 0x3F) | (flags >> shm::kFlagStartClockShift & 3u)
                                                           << shm::kFlagEndClockShift);
  }
  span_times(fixed, flags);
  return finish_span(fixed, flags);
}

Decoded SegmentDecoder::Impl::span_with_parts(shm::Bytes record, std::span<const shm::Bytes> part_records) {
  shm::SpanRecord fixed;
  if (!record.load(0, fixed)) return bad(BadRecord::too_short);
  if (fixed.header.type != static_cast<std::uint16_t>(shm::RecordType::span)) return bad(BadRecord::wrong_type);
  if (is_zero(fixed.trace_id) || fixed.span_id == 0) return bad(BadRecord::zero_id);
  const shm::Bytes items = record.from(sizeof fixed);
  begin_span(fixed, items.size + bytes_of(part_records));
  if (!span_items(items)) return bad(BadRecord::bad_items);
  // A part that breaks is missing like one that never came; what of it was taken stays.
  if (!parts(fixed, part_records)) --parts_found_;
  missing_parts();
  span_times(fixed, fixed.header.flags);
  return finish_span(fixed, fixed.header.flags);
}

void SegmentDecoder::Impl::leave_open(std::uint64_t end_ns, CrashMark crash) {
  // The last sign of life: the crash, if one was recorded; else the latest that is known, its own events
  // included.
  if (crash.signal != 0 && crash.counter != 0) {
    end_ns = timeline_.to_realtime(crash.counter, shm::TimeClock::counter);
  }
  for (const otlp::EventView& one : events_) end_ns = std::max(end_ns, one.time_ns);
  span_.end_ns = std::max(end_ns, span_.start_ns);
  items_.put(attributes_, kIncomplete, otlp::Value::of(true));
  if (crash.signal == 0) return;
  constexpr std::size_t kTextMax = 64;
  char* text = scratch_.take<char>(kTextMax);
  const auto written = fmt::format_to_n(text, kTextMax, "signal {} at {:#x}", crash.signal, crash.address);
  const std::string_view message(text, std::min(written.size, kTextMax));
  span_.status_code = kStatusError;
  span_.status_message = message;
  items_.put(attributes_, kCrashSignal, otlp::Value::of(std::int64_t{crash.signal}));
  items_.put(attributes_, kCrashAddress, otlp::Value::string(message.substr(message.rfind(' ') + 1)));
}

Decoded SegmentDecoder::Impl::slot(const shm::SlotSpan& slot, std::span<const shm::Bytes> part_records,
                                   std::uint64_t end_ns, CrashMark crash) {
  const bool open = slot.verdict == shm::SlotVerdict::open;
  if (!open && slot.verdict != shm::SlotVerdict::ended) return bad(BadRecord::wrong_type);
  const shm::SpanRecord& fixed = slot.record;
  if (is_zero(fixed.trace_id) || fixed.span_id == 0) return bad(BadRecord::zero_id);
  const std::span<const shm::Bytes> ranges(slot.items.data(), slot.item_ranges);
  begin_span(fixed, bytes_of(ranges) + bytes_of(part_records));
  // The draft of a process that was killed may end in the middle: what stands before that is good.
  bool whole = !slot.chain_broken;
  for (const shm::Bytes& range : ranges) whole = span_items(range) && whole;
  if (!parts(fixed, part_records)) --parts_found_;
  missing_parts();
  if (!whole) span_.dropped_attributes = add_saturating(span_.dropped_attributes, 1);
  span_times(fixed, fixed.header.flags);
  if (open) leave_open(end_ns, crash);
  return finish_span(fixed, fixed.header.flags);
}

Decoded SegmentDecoder::Impl::span_start(shm::Bytes record, std::span<const shm::Bytes> part_records,
                                         std::uint64_t end_ns, CrashMark crash) {
  shm::SpanRecord fixed;
  if (!record.load(0, fixed)) return bad(BadRecord::too_short);
  if (is_zero(fixed.trace_id) || fixed.span_id == 0) return bad(BadRecord::zero_id);
  const shm::Bytes items = record.from(sizeof fixed);
  begin_span(fixed, items.size + bytes_of(part_records));
  if (!span_items(items)) return bad(BadRecord::bad_items);
  if (!parts(fixed, part_records)) --parts_found_;
  fixed.end = fixed.start;
  span_times(fixed, fixed.header.flags);
  leave_open(end_ns, crash);
  return finish_span(fixed, fixed.header.flags);
}

}  // namespace tailrace::agent
