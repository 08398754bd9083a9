// SPDX-License-Identifier: Apache-2.0
// Bytes: a private copy of something that the other process wrote, not yet believed.
//
// Nothing in shm/reader/ ever sees a mapping: whoever calls it has copied first, so that a value that
// was checked is the value that is used. Every load is checked against the size.
// Threads: a value like any other. Memory: borrows; the copy outlives it. Failure: a load outside is
// false, a part outside is empty.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <type_traits>

namespace tailrace::shm {

struct Bytes {
  const std::uint8_t* data = nullptr;
  std::size_t size = 0;

  bool empty() const { return size == 0; }
  bool covers(std::size_t offset, std::size_t length) const { return offset <= size && length <= size - offset; }

  // The bytes [offset, offset + length), or none at all.
  Bytes part(std::size_t offset, std::size_t length) const {
    return covers(offset, length) && length != 0 ? Bytes{data + offset, length} : Bytes{};
  }
  // Everything from `offset` on, or none.
  Bytes from(std::size_t offset) const { return offset < size ? Bytes{data + offset, size - offset} : Bytes{}; }

  // Little-endian loads at any alignment. T is an integer, a floating-point number, or a structure of
  // record.hpp; false and nothing written when it does not lie inside.
  template <class T>
  [[nodiscard]] bool load(std::size_t offset, T& out) const {
    static_assert(std::is_trivially_copyable_v<T>);
    if (!covers(offset, sizeof(T))) return false;
    std::memcpy(&out, data + offset, sizeof(T));
    return true;
  }
  template <class T>
  [[nodiscard]] T load_or_zero(std::size_t offset) const {
    T value{};
    static_cast<void>(load(offset, value));
    return value;
  }

  std::string_view text() const {
    return size == 0 ? std::string_view() : std::string_view(reinterpret_cast<const char*>(data), size);
  }
};

inline Bytes bytes_of(std::string_view text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

// What a cursor found: something, the regular end, or bytes that make no sense. After `broken` a cursor
// stays broken.
enum class Next : std::uint8_t { found, end, broken };

}  // namespace tailrace::shm
