// SPDX-License-Identifier: Apache-2.0
// StringTable: the agent's private copy of a segment's string arena.
//
// The arena only grows, so what was copied once is never read again: a process that changes a published
// string changes nothing here. At most `budget` bytes are kept; what lies beyond has no string.
//
// Threads: one at a time. Memory: one block of `budget` bytes, taken at first use and never moved, so a
// string stays where it is until the table dies (pages are touched as they fill).
// Failure: an id outside the copied part, or whose length leads out of it, is no string.
#pragma once

#include <cstdlib>
#include <memory>
#include <optional>
#include <string_view>

#include "shm/reader/bytes.hpp"

namespace tailrace::shm {

class StringTable {
 public:
  explicit StringTable(std::size_t budget) : budget_(budget) {}

  // How many bytes to copy from the arena, from size() on, when the process says `strings_len`.
  // A length that went backwards is answered with 0.
  std::size_t missing(std::uint64_t strings_len) const {
    const std::size_t wanted = strings_len < budget_ ? static_cast<std::size_t>(strings_len) : budget_;
    return wanted > size_ ? wanted - size_ : 0;
  }

  // Appends a copy of the arena's bytes [size(), size() + more.size). False when it would pass the
  // budget or memory is out; nothing is appended then.
  [[nodiscard]] bool extend(Bytes more);

  std::size_t size() const { return size_; }
  std::size_t budget() const { return budget_; }

  // Id of an entry {u32 length, bytes} at 8 * id. Reserved ids are no strings. The bytes need not be
  // valid UTF-8 (utf8.hpp).
  std::optional<std::string_view> lookup(std::uint64_t id) const;

  // A blob of items at an offset of its own (resource, hints). Empty when it does not lie inside.
  Bytes blob(std::uint64_t offset, std::uint64_t length) const;

 private:
  struct Free {
    void operator()(std::uint8_t* block) const { std::free(block); }
  };
  std::unique_ptr<std::uint8_t[], Free> block_;
  std::size_t budget_;
  std::size_t size_ = 0;
};

}  // namespace tailrace::shm
