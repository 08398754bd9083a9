// SPDX-License-Identifier: Apache-2.0
//
// StringCache: what the decoder asks for the text of a string id.
//
// The bytes lie in a shm::StringTable, copied once as they are published. An entry is checked when it is
// first asked for: its place, then its UTF-8; a mark and a hash of its content are kept beside it, so that
// every later lookup is two loads.
//
// Threads: one (the segment's drain worker). Memory: as many bytes as the application published, at most
//   `budget_bytes`, and a quarter of that for the marks. Views stay valid for the cache's life.
// Failure: an id that is not published, or whose entry does not hold together, is a visible text
//   "<string 123?>" and counted: the record is delivered all the same.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>

#include "shm/reader/strings.hpp"

namespace tailrace::agent {

class StringCache {
 public:
  static constexpr std::size_t kBudgetBytes = 16 * 1024 * 1024;

  explicit StringCache(std::size_t budget_bytes = kBudgetBytes);

  struct Entry {
    std::string_view text;
    std::uint16_t hash;
  };

  // How many bytes from length() on are wanted when the process says `strings_len`.
  [[nodiscard]] std::size_t wanted(std::uint64_t strings_len) const { return table_.missing(strings_len); }
  [[nodiscard]] std::uint64_t length() const { return table_.size(); }
  // The arena's next bytes. False: over the budget, nothing kept.
  bool extend(shm::Bytes more);

  // The string of an id. `id` is what a record says: anything.
  [[nodiscard]] Entry find(std::uint64_t id) {
    if (id < marked_ids_) {
      const std::uint16_t mark = marks_.get()[id];
      if ((mark & kSound) != 0) {
        const std::uint8_t* entry = base_ + id * 8;
        std::uint32_t length;
        std::memcpy(&length, entry, sizeof length);
        return {{reinterpret_cast<const char*>(entry) + sizeof length, length}, mark};
      }
    }
    return find_slow(id);
  }
  // An entry whose text is a blob of items (a scope): raw, empty if it is not sound.
  [[nodiscard]] shm::Bytes blob(std::uint32_t id) const;
  // A blob at its own offset (resource, hints).
  [[nodiscard]] shm::Bytes blob_at(std::uint64_t offset, std::uint64_t length) const {
    return table_.blob(offset, length);
  }

  // The bytes themselves, for readers that check more than a text.
  [[nodiscard]] const shm::StringTable& table() const { return table_; }

  [[nodiscard]] std::uint64_t missing() const { return missing_; }    // lookups that found no string
  [[nodiscard]] std::uint64_t repaired() const { return repaired_; }  // strings that were not UTF-8

  // Of the content, for telling keys apart quickly; equal texts have equal hashes. Its top bit is always set.
  [[nodiscard]] static std::uint16_t hash_of(std::string_view text) {
    std::uint64_t mixed = text.size();
    if (text.size() >= 8) {
      std::uint64_t front;
      std::uint64_t back;
      std::memcpy(&front, text.data(), 8);
      std::memcpy(&back, text.data() + text.size() - 8, 8);
      mixed ^= front * 0x9E3779B97F4A7C15ull ^ back;
    } else {
      for (const char c : text) mixed = mixed * 131 + static_cast<unsigned char>(c);
    }
    return static_cast<std::uint16_t>((mixed * 0x9E3779B97F4A7C15ull) >> 48 | kSound);
  }

 private:
  static constexpr std::uint16_t kSound = 0x8000;  // in a mark: checked, its text is the copy's
  static constexpr std::size_t kOddMax = 4096;     // texts made up by us

  struct Free {
    void operator()(void* memory) const { std::free(memory); }
  };

  Entry find_slow(std::uint64_t id);

  shm::StringTable table_;
  std::unique_ptr<std::uint16_t, Free> marks_;  // one an id: its hash, or 0 = not asked for yet
  const std::uint8_t* base_ = nullptr;
  std::uint64_t marked_ids_ = 0;
  struct Odd {
    std::string text;
    bool missing;
  };
  std::unordered_map<std::uint64_t, Odd> odd_;  // repaired or missing ones
  std::uint64_t missing_ = 0;
  std::uint64_t repaired_ = 0;
};

}  // namespace tailrace::agent
