// SPDX-License-Identifier: Apache-2.0
//
// ItemDecoder: items of the shared memory format to attributes of OTLP.
//
// Keys are unique and not empty afterwards: a key that comes again replaces the value at its first place,
// one that is empty is left out and counted. Text is valid UTF-8 afterwards.
//
// Threads: one. Memory: lists and repaired text in the Scratch, everything else borrowed from the record
//   and the string cache. Failure: false where an item does not hold together; the record is bad then.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

#include <tailrace/shm/layout.hpp>

#include "agent/decode/scratch.hpp"
#include "agent/decode/string_cache.hpp"
#include "proto/encode/view.hpp"
#include "shm/reader/items.hpp"

namespace tailrace::agent {

struct ItemCounts {
  std::uint64_t texts_repaired = 0;
  std::uint64_t duplicate_keys = 0;
  std::uint64_t attributes_dropped = 0;
  std::uint64_t items_unknown = 0;
};

// A list that grows in room taken beforehand, with what is needed to keep its keys unique.
struct AttributeList {
  otlp::KeyValue* items = nullptr;
  std::uint16_t* hashes = nullptr;  // of the keys, where they are to be unique
  std::size_t count = 0;
  std::uint32_t dropped = 0;   // left out of this list
  std::uint64_t seen[4] = {};  // a bit for the hash of each key: a clear one proves that the key is new

  [[nodiscard]] otlp::Attributes view() const { return {items, count}; }
};

class ItemDecoder {
 public:
  ItemDecoder(StringCache& strings, Scratch& scratch) : strings_(strings), scratch_(scratch) {}

  // Room for as many attributes as `bytes` of items can hold.
  void open(AttributeList& list, std::size_t bytes) { open_for(list, bytes / sizeof(shm::ItemHeader) + 1); }
  void open_for(AttributeList& list, std::size_t items) {
    list.items = scratch_.take<otlp::KeyValue>(items);
    list.hashes = scratch_.take<std::uint16_t>(items);
  }

  // One item as an attribute of `list`. Reserved keys are the caller's.
  [[nodiscard]] bool add(AttributeList& list, const shm::ItemRef& item);
  // Where the value of this key belongs. The value is then built in its place: one that is built elsewhere
  // and copied costs a failed store forwarding, the largest part of an attribute.
  [[nodiscard, gnu::always_inline]] otlp::Value& place(AttributeList& list, std::string_view key, std::uint16_t hash) {
    std::uint64_t& word = list.seen[hash >> 6 & 3];
    const std::uint64_t bit = std::uint64_t{1} << (hash & 63);
    if ((word & bit) != 0) [[unlikely]] {
      otlp::Value* former = find(list, key, hash);
      if (former != nullptr) return *former;
    }
    word |= bit;
    const std::size_t at = list.count++;
    list.hashes[at] = hash;
    list.items[at].key = key;
    return list.items[at].value;
  }
  void put(AttributeList& list, std::string_view key, const otlp::Value& value) {
    place(list, key, StringCache::hash_of(key)) = value;
  }

  enum class Took : std::uint8_t { value, unknown, broken };
  [[nodiscard]] Took value_of(const shm::ItemRef& item, otlp::Value& out);
  // The text of a string item; false for every other type.
  [[nodiscard]] bool text_of(const shm::ItemRef& item, std::string_view& out);
  // An item's key and its hash; empty if it has none.
  [[nodiscard]] StringCache::Entry key_of(const shm::ItemRef& item);

  // Valid UTF-8: the text itself, or a repaired copy.
  [[nodiscard]] std::string_view clean(std::string_view text) { return is_ascii(text) ? text : clean_slow(text); }

  [[nodiscard]] StringCache& strings() { return strings_; }
  [[nodiscard]] Scratch& scratch() { return scratch_; }
  ItemCounts counts;

 private:
  static bool is_ascii(std::string_view text) {
    constexpr std::uint64_t kHigh = 0x8080808080808080ull;
    const char* at = text.data();
    std::size_t left = text.size();
    std::uint64_t word = 0;
    std::uint64_t bits = 0;
    if (left >= 8) {
      for (; left > 8; at += 8, left -= 8) {
        std::memcpy(&word, at, 8);
        bits |= word;
      }
      std::memcpy(&word, text.data() + text.size() - 8, 8);
      return ((bits | word) & kHigh) == 0;
    }
    for (; left != 0; ++at, --left) bits |= static_cast<unsigned char>(*at);
    return (bits & 0x80) == 0;
  }

  std::string_view clean_slow(std::string_view text);
  [[gnu::noinline]] otlp::Value* find(AttributeList& list, std::string_view key, std::uint16_t hash);
  Took list_of(const shm::ItemRef& item, otlp::Value& out);

  StringCache& strings_;
  Scratch& scratch_;
  std::string repaired_;
};

}  // namespace tailrace::agent
