// SPDX-License-Identifier: Apache-2.0
// ItemCursor: the items behind a record's fixed part, of a blob, and inside arrays, maps, events and
// links, from a private copy.
//
// An item is believed when its header and padded body lie inside the bytes given; a known type must have
// the length that type has. An unknown type is found like any other, with its body, and skipped by whoever
// does not know it. A body that breaks a rule is Next::broken: the record it belongs to is bad, its
// neighbours are not. Every byte is visited at most kMaxCursorDepth + 1 times.
//
// Threads: one at a time. Memory: borrows. Failure: Next::broken, for ever.
#pragma once

#include <tailrace/shm/record.hpp>

#include "shm/reader/bytes.hpp"

namespace tailrace::shm {

class ItemCursor;

// kMaxItemDepth arrays and maps inside each other, inside an event or a link.
inline constexpr unsigned kMaxCursorDepth = kMaxItemDepth + 1;

struct ItemRef {
  std::uint32_t key = kNoKey;  // string id, or a ReservedKey; kInlineKey: see inline_key
  Bytes inline_key;            // the key's bytes when key is kInlineKey
  ItemType type = ItemType::empty;
  std::uint8_t flags = 0;
  Bytes body;  // the value, without an inline key and padding
  unsigned depth = 0;

  // Only for the type of that name; the cursor has checked the length.
  bool boolean() const { return body.load_or_zero<std::uint64_t>(0) != 0; }
  std::int64_t integer() const { return body.load_or_zero<std::int64_t>(0); }
  double real() const { return body.load_or_zero<double>(0); }
  std::uint64_t string_id() const { return body.load_or_zero<std::uint64_t>(0); }

  EventBody event() const { return body.load_or_zero<EventBody>(0); }
  LinkBody link() const { return body.load_or_zero<LinkBody>(0); }
  TimeClock event_clock() const { return static_cast<TimeClock>(flags & 3u); }

  // The items inside an array, a map, an event or a link; none for every other type.
  inline ItemCursor inside() const;
};

class ItemCursor {
 public:
  explicit ItemCursor(Bytes items, unsigned depth = 0)
      : rest_(items), depth_(depth), broken_(depth > kMaxCursorDepth) {}

  Next next(ItemRef& out) {
    if (broken_) return Next::broken;
    if (rest_.empty()) return Next::end;
    ItemHeader header;
    if (!rest_.load(0, header) || !rest_.covers(sizeof header, padded(header.length))) return fail();
    out.key = header.key;
    out.type = static_cast<ItemType>(header.type);
    out.flags = header.flags;
    out.body = rest_.part(sizeof header, header.length);
    out.inline_key = {};
    out.depth = depth_;
    if (header.key == kInlineKey && !split_inline_key(out)) return fail();
    if (!fits_type(out)) return fail();
    rest_ = rest_.from(sizeof header + padded(header.length));
    return Next::found;
  }

 private:
  Next fail() {
    broken_ = true;
    return Next::broken;
  }

  static bool split_inline_key(ItemRef& item) {
    InlineKeyBody lengths;
    if (!item.body.load(0, lengths)) return false;
    const std::size_t value = sizeof lengths + padded(lengths.key_length);
    // An empty value may stand for its padding too: the key's padding need not be there then.
    if (!item.body.covers(sizeof lengths, lengths.key_length)) return false;
    if (lengths.value_length != 0 && !item.body.covers(value, lengths.value_length)) return false;
    item.inline_key = item.body.part(sizeof lengths, lengths.key_length);
    item.body = item.body.part(value, lengths.value_length);
    return true;
  }

  static bool fits_type(const ItemRef& item) {
    switch (item.type) {
      case ItemType::empty: return item.body.empty();
      case ItemType::boolean:
      case ItemType::integer:
      case ItemType::real:
      case ItemType::string_id: return item.body.size == 8;
      case ItemType::event: return item.body.size >= sizeof(EventBody);
      case ItemType::link: return item.body.size >= sizeof(LinkBody);
      case ItemType::string:
      case ItemType::bytes:
      case ItemType::array:
      case ItemType::map: break;
    }
    return true;
  }

  Bytes rest_;
  unsigned depth_;
  bool broken_;
};

inline ItemCursor ItemRef::inside() const {
  switch (type) {
    case ItemType::array:
    case ItemType::map: return ItemCursor(body, depth + 1);
    case ItemType::event: return ItemCursor(body.from(sizeof(EventBody)), depth + 1);
    case ItemType::link: return ItemCursor(body.from(sizeof(LinkBody)), depth + 1);
    default: return ItemCursor({}, 0);
  }
}

// Walks everything, at every depth. True: all cursors over these items will end and none will break, so
// that a record can be refused before anything of it has been passed on.
bool items_are_whole(Bytes items);

}  // namespace tailrace::shm
