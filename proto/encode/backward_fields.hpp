// SPDX-License-Identifier: Apache-2.0
//
// Fields written in front of a cursor. Internal to encode.cpp.
//
// Every function takes the cursor and returns the new one; a text that does not
// fit returns nullptr. `limit` is the buffer's begin plus kRoomBesideTexts: a
// text leaves the cursor at or behind it, so what is written up to the next
// check has that much room. The cursor lives in a register: a writer passed by
// reference through all of this was slower, its members went through memory.

#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include "proto/encode/backward_writer.hpp"
#include "proto/encode/utf8.hpp"

namespace tailrace::otlp::backward {

static_assert(std::endian::native == std::endian::little, "words are stored as they go on the wire");

using Byte = std::uint8_t;

enum class Wire : std::uint8_t { varint = 0, fixed64 = 1, length = 2, fixed32 = 5 };

// The tag byte of fields 1 to 15; the only larger one, Span.flags, has two bytes.
constexpr Byte tag(unsigned field, Wire wire) { return static_cast<Byte>(field << 3 | static_cast<unsigned>(wire)); }

template <typename T>
inline T load(const char* from) {
  T word{};
  std::memcpy(&word, from, sizeof word);
  return word;
}

template <typename T>
inline void store(Byte* to, T word) {
  std::memcpy(to, &word, sizeof word);
}

// Four bytes in wire order as one store.
constexpr std::uint32_t word_of(std::size_t b0, std::size_t b1, std::size_t b2, std::size_t b3) {
  return static_cast<std::uint32_t>(b0 | b1 << 8 | b2 << 16 | b3 << 24);
}

// Sixteen bytes as one register.
struct Chunk {
#if defined(__SSE2__)
  __m128i bits;
  static Chunk load_from(const char* from) { return {_mm_loadu_si128(reinterpret_cast<const __m128i*>(from))}; }
  void store_to(Byte* to) const { _mm_storeu_si128(reinterpret_cast<__m128i*>(to), bits); }
  Chunk operator|(Chunk other) const { return {_mm_or_si128(bits, other.bits)}; }
  [[nodiscard]] bool is_ascii() const { return _mm_movemask_epi8(bits) == 0; }
#else
  std::uint64_t low, high;
  static Chunk load_from(const char* from) { return {load<std::uint64_t>(from), load<std::uint64_t>(from + 8)}; }
  void store_to(Byte* to) const {
    store(to, low);
    store(to + 8, high);
  }
  Chunk operator|(Chunk other) const { return {low | other.low, high | other.high}; }
  [[nodiscard]] bool is_ascii() const { return ((low | high) & 0x8080808080808080U) == 0; }
#endif
};

[[gnu::noinline]] inline bool copy_long_ascii(Byte* to, const char* from, std::size_t size) {
  Chunk seen = Chunk::load_from(from + size - sizeof(Chunk));
  seen.store_to(to + size - sizeof(Chunk));
  for (std::size_t at = 0; at + sizeof(Chunk) < size; at += sizeof(Chunk)) {
    const Chunk chunk = Chunk::load_from(from + at);
    chunk.store_to(to + at);
    seen = seen | chunk;
  }
  return seen.is_ascii();
}

// Copies and tells whether all of it was ASCII, looking at the bytes while they
// are in registers. Short lengths go by two overlapping words, not byte by byte.
[[gnu::always_inline]] inline bool copy_ascii(Byte* to, const char* from, std::size_t size) {
  constexpr std::uint64_t kHighBits = 0x8080808080808080U;
  if (size >= 16) {
    if (size > 32) return copy_long_ascii(to, from, size);
    const Chunk first = Chunk::load_from(from);
    const Chunk last = Chunk::load_from(from + size - sizeof(Chunk));
    first.store_to(to);
    last.store_to(to + size - sizeof(Chunk));
    return (first | last).is_ascii();
  }
  if (size >= 8) {
    const auto first = load<std::uint64_t>(from);
    const auto last = load<std::uint64_t>(from + size - 8);
    store(to, first);
    store(to + size - 8, last);
    return ((first | last) & kHighBits) == 0;
  }
  if (size >= 4) {
    const auto first = load<std::uint32_t>(from);
    const auto last = load<std::uint32_t>(from + size - 4);
    store(to, first);
    store(to + size - 4, last);
    return ((first | last) & 0x80808080U) == 0;
  }
  if (size == 0) return true;
  const auto first = static_cast<Byte>(from[0]);
  const auto middle = static_cast<Byte>(from[size / 2]);
  const auto last = static_cast<Byte>(from[size - 1]);
  to[0] = first;
  to[size / 2] = middle;
  to[size - 1] = last;
  return ((first | middle | last) & 0x80) == 0;
}

// The rare half of put_text(): the copy holds bytes beyond ASCII. Judging and
// repairing the copy, not the source, leaves no moment between the two.
[[gnu::noinline]] inline Byte* repair_text(Byte* cursor, const Byte* limit, std::size_t size, BackwardWriter& writer) {
  const std::size_t invalid = count_invalid_utf8(cursor, size);
  if (invalid == 0) return cursor;
  const std::size_t growth = invalid * kReplacementGrowth;
  if (cursor - limit < static_cast<std::ptrdiff_t>(growth)) return nullptr;
  writer.note_repaired_text();
  (void)replace_invalid_utf8(cursor - growth, cursor, size);
  return cursor - growth;
}

// The bytes of a `string` field; may come out longer than they went in.
[[gnu::always_inline]] inline Byte* put_text(Byte* cursor, const Byte* limit, std::string_view text,
                                             BackwardWriter& writer) {
  if (cursor - limit < static_cast<std::ptrdiff_t>(text.size())) [[unlikely]]
    return nullptr;
  cursor -= text.size();
  if (!copy_ascii(cursor, text.data(), text.size())) [[unlikely]] {
    return repair_text(cursor, limit, text.size(), writer);
  }
  return cursor;
}

inline Byte* put_varint(Byte* cursor, std::uint64_t number) {
  if (number < 0x80) {
    *--cursor = static_cast<Byte>(number);
    return cursor;
  }
  if (number < 0x4000) {
    cursor -= 2;
    store(cursor, static_cast<std::uint16_t>((number & 0x7f) | 0x80 | (number >> 7) << 8));
    return cursor;
  }
  const auto bits = static_cast<unsigned>(std::bit_width(number));
  cursor -= (bits + 6) / 7;
  Byte* to = cursor;
  for (; number >= 0x80; number >>= 7) *to++ = static_cast<Byte>(number | 0x80);
  *to = static_cast<Byte>(number);
  return cursor;
}

// Tag and length of a field whose body lies between the cursor and `body_end`.
inline Byte* put_header(Byte* cursor, const Byte* body_end, Byte field_tag) {
  const auto length = static_cast<std::size_t>(body_end - cursor);
  if (length < 0x80) [[likely]] {
    cursor -= 2;
    store(cursor, static_cast<std::uint16_t>(field_tag | length << 8));
    return cursor;
  }
  cursor = put_varint(cursor, length);
  *--cursor = field_tag;
  return cursor;
}

// A `string` field, left out when empty. Checks the room even then.
[[gnu::always_inline]] inline Byte* put_string_field(Byte* cursor, const Byte* limit, Byte field_tag,
                                                     std::string_view text, BackwardWriter& writer) {
  const Byte* const body_end = cursor;
  cursor = put_text(cursor, limit, text, writer);
  if (cursor == nullptr || text.empty()) return cursor;
  return put_header(cursor, body_end, field_tag);
}

// The fields below are left out when zero; the caller sees to the room.
inline Byte* put_varint_field(Byte* cursor, Byte field_tag, std::uint64_t number) {
  if (number == 0) return cursor;
  cursor = put_varint(cursor, number);
  *--cursor = field_tag;
  return cursor;
}

inline Byte* put_fixed32_field(Byte* cursor, Byte field_tag, std::uint32_t number) {
  if (number == 0) return cursor;
  cursor -= 5;
  cursor[0] = field_tag;
  store(cursor + 1, number);
  return cursor;
}

inline Byte* put_fixed64_field(Byte* cursor, Byte field_tag, std::uint64_t number) {
  if (number == 0) return cursor;
  cursor -= 9;
  cursor[0] = field_tag;
  store(cursor + 1, number);
  return cursor;
}

template <typename Id>
inline Byte* put_id_field(Byte* cursor, Byte field_tag, const Id& id) {
  if (!id.is_valid()) return cursor;
  cursor -= sizeof id.bytes + 2;
  cursor[0] = field_tag;
  cursor[1] = sizeof id.bytes;
  std::memcpy(cursor + 2, id.bytes.data(), sizeof id.bytes);
  return cursor;
}

}  // namespace tailrace::otlp::backward
