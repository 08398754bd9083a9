// SPDX-License-Identifier: Apache-2.0
//
// Attributes and their values, written in front of a cursor. Internal to encode.cpp and metrics.cpp; the
// rules are those of backward_fields.hpp.

#pragma once

#include "proto/encode/backward_fields.hpp"
#include "proto/encode/encode.hpp"

namespace tailrace::otlp::backward {

// AnyValue's members.
inline constexpr Byte kStringTag = tag(1, Wire::length);
inline constexpr Byte kBoolTag = tag(2, Wire::varint);
inline constexpr Byte kIntTag = tag(3, Wire::varint);
inline constexpr Byte kDoubleTag = tag(4, Wire::fixed64);
inline constexpr Byte kArrayTag = tag(5, Wire::length);
inline constexpr Byte kMapTag = tag(6, Wire::length);
inline constexpr Byte kBytesTag = tag(7, Wire::length);
// KeyValue's members, and the elements of ArrayValue and KeyValueList.
inline constexpr Byte kKeyTag = tag(1, Wire::length);
inline constexpr Byte kValueTag = tag(2, Wire::length);
inline constexpr Byte kElementTag = tag(1, Wire::length);

inline constexpr int kArrayLevels = 2;
inline constexpr int kMapLevels = 3;

// The body of an AnyValue that holds an array or a map. In encode.cpp.
[[gnu::noinline]] Byte* put_container(Byte* cursor, const Byte* limit, const Value& value, int levels,
                                      BackwardWriter& writer);

[[gnu::noinline]] inline Byte* put_bytes(Byte* cursor, const Byte* limit, std::string_view raw) {
  if (cursor - limit < static_cast<std::ptrdiff_t>(raw.size())) return nullptr;
  const Byte* const end = cursor;
  cursor -= raw.size();
  if (!raw.empty()) std::memcpy(cursor, raw.data(), raw.size());
  return put_header(cursor, end, kBytesTag);
}

// A field of type AnyValue. A member of the oneof is written even when it holds
// its default: an empty string is not an empty value.
[[gnu::always_inline]] inline Byte* put_value(Byte* cursor, const Byte* limit, Byte field_tag, const Value& value,
                                              int levels, BackwardWriter& writer) {
  const Byte* const end = cursor;
  switch (value.type) {
    case Value::Type::string: {
      cursor = put_text(cursor, limit, value.text(), writer);
      if (cursor == nullptr) return nullptr;
      const auto size = static_cast<std::size_t>(end - cursor);
      if (size < 0x7e) [[likely]] {
        cursor -= 4;
        store(cursor, word_of(field_tag, size + 2, kStringTag, size));
        return cursor;
      }
      cursor = put_header(cursor, end, kStringTag);
      break;
    }
    case Value::Type::integer: {
      const auto number = static_cast<std::uint64_t>(value.integer);
      if (number < 0x80) {
        cursor -= 4;
        store(cursor, word_of(field_tag, 2, kIntTag, number));
        return cursor;
      }
      cursor = put_varint(cursor, number);
      *--cursor = kIntTag;
      break;
    }
    case Value::Type::real:
      cursor -= 11;
      store(cursor, word_of(field_tag, 9, kDoubleTag, 0));
      store(cursor + 3, value.real);
      return cursor;
    case Value::Type::boolean:
      cursor -= 4;
      store(cursor, word_of(field_tag, 2, kBoolTag, value.boolean ? 1 : 0));
      return cursor;
    case Value::Type::empty: break;
    case Value::Type::bytes:
      cursor = put_bytes(cursor, limit, value.text());
      if (cursor == nullptr) return nullptr;
      break;
    case Value::Type::array:
    case Value::Type::map:
      cursor = put_container(cursor, limit, value, levels, writer);
      if (cursor == nullptr) return nullptr;
      break;
  }
  return put_header(cursor, end, field_tag);
}

// A field of type KeyValue: an attribute or a member of a map.
[[gnu::always_inline]] inline Byte* put_key_value(Byte* cursor, const Byte* limit, Byte field_tag, const KeyValue& item,
                                                  int levels, BackwardWriter& writer) {
  const Byte* const end = cursor;
  cursor = put_value(cursor, limit, kValueTag, item.value, levels, writer);
  if (cursor == nullptr) [[unlikely]]
    return nullptr;
  const Byte* const key_end = cursor;
  cursor = put_text(cursor, limit, item.key, writer);
  if (cursor == nullptr) [[unlikely]]
    return nullptr;
  const auto key_size = static_cast<std::size_t>(key_end - cursor);
  const auto size = static_cast<std::size_t>(end - cursor) + 2;
  if (size < 0x80 && key_size != 0) [[likely]] {
    cursor -= 4;
    store(cursor, word_of(field_tag, size, kKeyTag, key_size));
    return cursor;
  }
  if (key_size != 0) cursor = put_header(cursor, key_end, kKeyTag);
  return put_header(cursor, end, field_tag);
}

[[gnu::always_inline]] inline Byte* put_attributes(Byte* cursor, const Byte* limit, Byte field_tag,
                                                   Attributes attributes, BackwardWriter& writer) {
  for (std::size_t index = attributes.size(); index-- > 0;) {
    cursor = put_key_value(cursor, limit, field_tag, attributes[index], kNestingLevels, writer);
    if (cursor == nullptr) [[unlikely]]
      return nullptr;
  }
  return cursor;
}

// Room for what precedes the first text of a record. A buffer smaller than that
// has no limit inside it.
inline bool has_room(const BackwardWriter& writer) { return writer.room() >= kRoomBesideTexts; }

inline Byte* limit_of(const BackwardWriter& writer) { return writer.begin() + kRoomBesideTexts; }

}  // namespace tailrace::otlp::backward
