// SPDX-License-Identifier: Apache-2.0
//
// Field numbers are those of proto/opentelemetry; tests/proto compares every
// byte written here with what Protobuf reads from it.

#include "proto/encode/encode.hpp"

#include "proto/encode/backward_values.hpp"

namespace tailrace::otlp {

namespace backward {

Byte* put_container(Byte* cursor, const Byte* limit, const Value& value, int levels, BackwardWriter& writer) {
  const bool is_map = value.type == Value::Type::map;
  levels -= is_map ? kMapLevels : kArrayLevels;
  if (levels < 0) {
    writer.note_cut_value();
    return cursor;
  }
  const Byte* const end = cursor;
  for (std::size_t index = value.count; index-- > 0;) {
    const KeyValue& item = value.items[index];
    cursor = is_map ? put_key_value(cursor, limit, kElementTag, item, levels, writer)
                    : put_value(cursor, limit, kElementTag, item.value, levels, writer);
    // Elements without a text, and the ends of many nested ones, meet no check else.
    if (cursor == nullptr || cursor < limit) return nullptr;
  }
  return put_header(cursor, end, is_map ? kMapTag : kArrayTag);
}

}  // namespace backward

namespace {

using backward::Byte;
using backward::has_room;
using backward::limit_of;
using backward::put_attributes;
using backward::put_fixed32_field;
using backward::put_fixed64_field;
using backward::put_header;
using backward::put_id_field;
using backward::put_string_field;
using backward::put_value;
using backward::put_varint_field;
using backward::store;
using backward::tag;
using backward::Wire;

[[gnu::noinline]] Byte* put_events(Byte* cursor, const Byte* limit, std::span<const EventView> events,
                                   BackwardWriter& writer) {
  for (std::size_t index = events.size(); index-- > 0;) {
    const EventView& event = events[index];
    const Byte* const end = cursor;
    cursor = put_varint_field(cursor, tag(4, Wire::varint), event.dropped_attributes);
    cursor = put_attributes(cursor, limit, tag(3, Wire::length), event.attributes, writer);
    if (cursor == nullptr) return nullptr;
    cursor = put_string_field(cursor, limit, tag(2, Wire::length), event.name, writer);
    if (cursor == nullptr) return nullptr;
    cursor = put_fixed64_field(cursor, tag(1, Wire::fixed64), event.time_ns);
    cursor = put_header(cursor, end, tag(11, Wire::length));
  }
  return cursor;
}

[[gnu::noinline]] Byte* put_links(Byte* cursor, const Byte* limit, std::span<const LinkView> links,
                                  BackwardWriter& writer) {
  for (std::size_t index = links.size(); index-- > 0;) {
    const LinkView& link = links[index];
    const Byte* const end = cursor;
    cursor = put_fixed32_field(cursor, tag(6, Wire::fixed32), link.flags);
    cursor = put_varint_field(cursor, tag(5, Wire::varint), link.dropped_attributes);
    cursor = put_attributes(cursor, limit, tag(4, Wire::length), link.attributes, writer);
    if (cursor == nullptr) return nullptr;
    cursor = put_string_field(cursor, limit, tag(3, Wire::length), link.trace_state, writer);
    if (cursor == nullptr) return nullptr;
    cursor = put_id_field(cursor, tag(2, Wire::length), link.span_id);
    cursor = put_id_field(cursor, tag(1, Wire::length), link.trace_id);
    cursor = put_header(cursor, end, tag(13, Wire::length));
  }
  return cursor;
}

[[gnu::noinline]] Byte* put_status(Byte* cursor, const Byte* limit, const SpanView& span, BackwardWriter& writer) {
  const Byte* const end = cursor;
  cursor = put_varint_field(cursor, tag(3, Wire::varint), span.status_code);
  cursor = put_string_field(cursor, limit, tag(2, Wire::length), span.status_message, writer);
  if (cursor == nullptr) return nullptr;
  return put_header(cursor, end, tag(15, Wire::length));
}

Byte* put_span(Byte* cursor, const Byte* limit, const SpanView& span, BackwardWriter& writer) {
  const Byte* const end = cursor;
  if (span.flags != 0) {
    cursor -= 6;
    store(cursor, std::uint16_t{0x0185});  // field 16, fixed32: the tag takes two bytes
    store(cursor + 2, span.flags);
  }
  if (span.status_code != 0 || !span.status_message.empty()) {
    cursor = put_status(cursor, limit, span, writer);
    if (cursor == nullptr) return nullptr;
  }
  cursor = put_varint_field(cursor, tag(14, Wire::varint), span.dropped_links);
  if (!span.links.empty()) {
    cursor = put_links(cursor, limit, span.links, writer);
    if (cursor == nullptr) return nullptr;
  }
  cursor = put_varint_field(cursor, tag(12, Wire::varint), span.dropped_events);
  if (!span.events.empty()) {
    cursor = put_events(cursor, limit, span.events, writer);
    if (cursor == nullptr) return nullptr;
  }
  cursor = put_varint_field(cursor, tag(10, Wire::varint), span.dropped_attributes);
  cursor = put_attributes(cursor, limit, tag(9, Wire::length), span.attributes, writer);
  if (cursor == nullptr) return nullptr;
  cursor = put_fixed64_field(cursor, tag(8, Wire::fixed64), span.end_ns);
  cursor = put_fixed64_field(cursor, tag(7, Wire::fixed64), span.start_ns);
  cursor = put_varint_field(cursor, tag(6, Wire::varint), span.kind);
  cursor = put_string_field(cursor, limit, tag(5, Wire::length), span.name, writer);
  if (cursor == nullptr) return nullptr;
  cursor = put_id_field(cursor, tag(4, Wire::length), span.parent_span_id);
  cursor = put_string_field(cursor, limit, tag(3, Wire::length), span.trace_state, writer);
  if (cursor == nullptr) return nullptr;
  cursor = put_id_field(cursor, tag(2, Wire::length), span.span_id);
  cursor = put_id_field(cursor, tag(1, Wire::length), span.trace_id);
  return put_header(cursor, end, tag(2, Wire::length));
}

Byte* put_log(Byte* cursor, const Byte* limit, const LogView& log, BackwardWriter& writer) {
  const Byte* const end = cursor;
  cursor = put_string_field(cursor, limit, tag(12, Wire::length), log.event_name, writer);
  if (cursor == nullptr) return nullptr;
  cursor = put_fixed64_field(cursor, tag(11, Wire::fixed64), log.observed_ns);
  cursor = put_id_field(cursor, tag(10, Wire::length), log.span_id);
  cursor = put_id_field(cursor, tag(9, Wire::length), log.trace_id);
  cursor = put_fixed32_field(cursor, tag(8, Wire::fixed32), log.flags);
  cursor = put_varint_field(cursor, tag(7, Wire::varint), log.dropped_attributes);
  cursor = put_attributes(cursor, limit, tag(6, Wire::length), log.attributes, writer);
  if (cursor == nullptr) return nullptr;
  if (log.body.type != Value::Type::empty) {
    cursor = put_value(cursor, limit, tag(5, Wire::length), log.body, kNestingLevels, writer);
    if (cursor == nullptr) return nullptr;
  }
  cursor = put_string_field(cursor, limit, tag(3, Wire::length), log.severity_text, writer);
  if (cursor == nullptr) return nullptr;
  cursor = put_varint_field(cursor, tag(2, Wire::varint), log.severity);
  cursor = put_fixed64_field(cursor, tag(1, Wire::fixed64), log.time_ns);
  return put_header(cursor, end, tag(2, Wire::length));
}

Byte* put_resource(Byte* cursor, const Byte* limit, const ResourceView& resource, BackwardWriter& writer) {
  const Byte* const end = cursor;
  cursor = put_varint_field(cursor, tag(2, Wire::varint), resource.dropped_attributes);
  cursor = put_attributes(cursor, limit, tag(1, Wire::length), resource.attributes, writer);
  if (cursor == nullptr) return nullptr;
  return put_header(cursor, end, tag(1, Wire::length));
}

Byte* put_scope(Byte* cursor, const Byte* limit, const ScopeView& scope, BackwardWriter& writer) {
  const Byte* const end = cursor;
  cursor = put_varint_field(cursor, tag(4, Wire::varint), scope.dropped_attributes);
  cursor = put_attributes(cursor, limit, tag(3, Wire::length), scope.attributes, writer);
  if (cursor == nullptr) return nullptr;
  cursor = put_string_field(cursor, limit, tag(2, Wire::length), scope.version, writer);
  if (cursor == nullptr) return nullptr;
  cursor = put_string_field(cursor, limit, tag(1, Wire::length), scope.name, writer);
  if (cursor == nullptr) return nullptr;
  return put_header(cursor, end, tag(1, Wire::length));
}

}  // namespace

bool encode_span(BackwardWriter& writer, const SpanView& span) {
  return has_room(writer) && writer.advance_to(put_span(writer.cursor(), limit_of(writer), span, writer));
}

bool encode_log(BackwardWriter& writer, const LogView& log) {
  return has_room(writer) && writer.advance_to(put_log(writer.cursor(), limit_of(writer), log, writer));
}

bool encode_resource(BackwardWriter& writer, const ResourceView& resource) {
  return has_room(writer) && writer.advance_to(put_resource(writer.cursor(), limit_of(writer), resource, writer));
}

bool encode_scope(BackwardWriter& writer, const ScopeView& scope) {
  return has_room(writer) && writer.advance_to(put_scope(writer.cursor(), limit_of(writer), scope, writer));
}

bool encode_schema_url(BackwardWriter& writer, std::string_view schema_url) {
  return has_room(writer) && writer.advance_to(put_string_field(writer.cursor(), limit_of(writer), tag(3, Wire::length),
                                                                schema_url, writer));
}

}  // namespace tailrace::otlp
