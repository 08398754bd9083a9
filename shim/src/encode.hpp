// SPDX-License-Identifier: Apache-2.0
// Items out of values: the encoder of everything that is not inlined.
//
// Runs twice over the same value: once without memory, for the size, once into its place with that
// size as the bound. A value that another thread changes in between can thus be wrong, never too long.
// Failure: what does not fit is cut at a character or element, and `cut` says so.
#pragma once

#include <cstdint>

#include <tailrace/detail/value.hpp>

namespace tailrace::shim {

class Encoder {
 public:
  // `to` null: count only. `room` bounds the whole; `characters` each string.
  // `find`: keys without an id are looked for in this thread's cache; the bytes then depend on what was there.
  Encoder(unsigned char* to, std::uint32_t room, std::uint32_t characters, bool find = true) noexcept
      : to_(to), room_(room & ~7u), characters_(characters), find_(find) {}

  // One item; false: not even its head fits, nothing was added. The limit of characters is one of attributes:
  // names, messages, bodies and arguments, which have reserved keys, are bounded by the room alone.
  bool item(const detail::Name& key, const Value& value) noexcept {
    const std::uint32_t limit = characters_;
    if (key.text == nullptr && key.id < shm::kFirstStringId) characters_ = 0xffffffff;
    const bool good = item(key, value, 0);
    characters_ = limit;
    return good;
  }
  bool string_item(std::uint32_t reserved_key, const char* text, std::size_t length) noexcept;
  bool word_item(std::uint32_t key, shm::ItemType type, std::uint64_t word) noexcept;
  void raw(const void* bytes, std::uint32_t length) noexcept;  // a multiple of 8, or nothing

  // An item around others: begin, put the others, finish.
  struct Open {
    std::uint32_t at = 0;     // of the item's head
    std::uint32_t value = 0;  // where its value starts
    std::uint16_t key_length = 0;
    bool inline_key = false;
    bool good = false;
    shm::ItemType type = shm::ItemType::empty;
    std::uint32_t key = 0;
    std::uint8_t flags = 0;
  };
  Open begin(const detail::Name& key, shm::ItemType type, std::uint8_t flags = 0) noexcept;
  void finish(const Open& open) noexcept;

  std::uint32_t size() const noexcept { return at_; }
  std::uint32_t left() const noexcept { return room_ - at_; }
  std::uint32_t count() const noexcept { return count_; }
  bool cut() const noexcept { return cut_; }
  void mark_cut() noexcept { cut_ = true; }
  void counted() noexcept { ++count_; }

 private:
  bool item(const detail::Name& key, const Value& value, unsigned depth) noexcept;
  void word(std::uint32_t at, std::uint64_t value) noexcept;
  void bytes(std::uint32_t at, const void* from, std::uint32_t length) noexcept;
  void members(const Value& value, unsigned depth) noexcept;

  unsigned char* to_;
  std::uint32_t room_;
  std::uint32_t characters_;
  std::uint32_t at_ = 0;
  std::uint32_t count_ = 0;
  bool cut_ = false;
  bool find_;
};

// At most `room` bytes and `characters` characters of `text`, ending at a character's end.
std::uint32_t cut_text(const char* text, std::size_t length, std::uint32_t room, std::uint32_t characters) noexcept;

}  // namespace tailrace::shim
