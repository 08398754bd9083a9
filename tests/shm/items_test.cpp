// SPDX-License-Identifier: Apache-2.0
// ItemCursor: each type, each way a length can lie, and the depth.
#include <gtest/gtest.h>

#include <deque>
#include <string>

#include "shm/reader/items.hpp"
#include "tests/shm/segment_builder.hpp"

namespace tailrace::shm {
namespace {

using test::Blob;
using test::Items;

Bytes bytes_of(const Items& items) { return test::bytes_of(items.blob()); }

// The items' only one. The bytes are kept: items often live in the expression alone.
ItemRef only(const Items& items) {
  static std::deque<Blob> kept;
  kept.push_back(items.blob());
  ItemCursor cursor(test::bytes_of(kept.back()));
  ItemRef item;
  EXPECT_EQ(cursor.next(item), Next::found);
  ItemRef none;
  EXPECT_EQ(cursor.next(none), Next::end);
  return item;
}

Next first(const Items& items) {
  ItemCursor cursor(bytes_of(items));
  ItemRef item;
  const Next next = cursor.next(item);
  if (next == Next::broken) {
    EXPECT_EQ(cursor.next(item), Next::broken) << "a broken cursor stays broken";
  }
  return next;
}

TEST(ItemsTest, NoBytesAreNoItems) { EXPECT_EQ(first({}), Next::end); }

TEST(ItemsTest, ScalarsComeBack) {
  EXPECT_EQ(only(Items().integer(70, -5)).integer(), -5);
  EXPECT_EQ(only(Items().integer(70, -5)).key, 70u);
  EXPECT_EQ(only(Items().real(70, 2.5)).real(), 2.5);
  EXPECT_TRUE(only(Items().boolean(70, true)).boolean());
  EXPECT_FALSE(only(Items().boolean(70, false)).boolean());
  EXPECT_EQ(only(Items().string_id(70, 99)).string_id(), 99u);
  EXPECT_EQ(only(Items().empty(70)).type, ItemType::empty);
}

TEST(ItemsTest, BytesAndStringsComeBackWithoutTheirPadding) {
  for (std::size_t length = 0; length < 20; ++length) {
    const std::string text(length, 'x');
    const ItemRef item = only(Items().string(70, text));
    EXPECT_EQ(item.body.text(), text);
  }
}

TEST(ItemsTest, InlineKeyIsSplitFromTheValue) {
  for (std::size_t length = 0; length < 20; ++length) {
    const std::string key(length, 'k');
    const ItemRef item = only(Items().integer(std::string_view(key), 7));
    EXPECT_EQ(item.key, static_cast<std::uint32_t>(kInlineKey));
    EXPECT_EQ(item.inline_key.text(), key);
    EXPECT_EQ(item.integer(), 7);
  }
}

TEST(ItemsTest, InlineKeyOfAnEmptyValue) {
  const ItemRef item = only(Items().string("key", ""));
  EXPECT_EQ(item.inline_key.text(), "key");
  EXPECT_TRUE(item.body.empty());
}

TEST(ItemsTest, ArraysAndMapsHaveAnInside) {
  ItemCursor inside = only(Items().array(70, Items().integer(kNoKey, 1).string(kNoKey, "two"))).inside();
  ItemRef item;
  ASSERT_EQ(inside.next(item), Next::found);
  EXPECT_EQ(item.integer(), 1);
  ASSERT_EQ(inside.next(item), Next::found);
  EXPECT_EQ(item.body.text(), "two");
  EXPECT_EQ(inside.next(item), Next::end);
}

TEST(ItemsTest, EventsAndLinksHaveFieldsAndAnInside) {
  const ItemRef event = only(Items().event("retry", 123, Items().integer("n", 2), TimeClock::realtime, 4));
  EXPECT_EQ(event.event().time, 123u);
  EXPECT_EQ(event.event().dropped_attributes, 4u);
  EXPECT_EQ(event.event_clock(), TimeClock::realtime);
  EXPECT_EQ(event.inline_key.text(), "retry");
  ItemRef item;
  ItemCursor inside = event.inside();
  ASSERT_EQ(inside.next(item), Next::found);
  EXPECT_EQ(item.integer(), 2);

  const test::TraceId trace = test::trace_id_from(0x20);
  const LinkBody link = only(Items().link(trace.bytes, 9, 1, {}, 2)).link();
  EXPECT_EQ(std::memcmp(link.trace_id, trace.bytes, 16), 0);
  EXPECT_EQ(link.span_id, 9u);
  EXPECT_EQ(link.flags, 1u);
  EXPECT_EQ(link.dropped_attributes, 2u);
}

TEST(ItemsTest, UnknownTypeIsFoundAndSkippable) {
  const Items items = Items().raw(70, 200, 0, 8, "12345678").integer(71, 1);
  ItemCursor cursor(bytes_of(items));
  ItemRef item;
  ASSERT_EQ(cursor.next(item), Next::found);
  EXPECT_EQ(static_cast<unsigned>(item.type), 200u);
  ASSERT_EQ(cursor.next(item), Next::found);
  EXPECT_EQ(item.integer(), 1);
  EXPECT_EQ(cursor.next(item), Next::end);
}

TEST(ItemsTest, LengthBeyondTheRecordBreaksTheRecord) {
  EXPECT_EQ(first(Items().raw(70, 5, 0, 9, "12345678")), Next::broken);
  EXPECT_EQ(first(Items().raw(70, 5, 0, 0xFFFF, "12345678")), Next::broken);
  EXPECT_EQ(first(Items().raw(70, 5, 0, 1, "")), Next::broken);
}
TEST(ItemsTest, HalfAnItemHeaderBreaksTheRecord) {
  Blob half = Items().integer(70, 1).blob();
  ItemRef item;
  for (std::size_t size = 1; size < half.size(); ++size) {
    ItemCursor cursor({half.data(), size});
    EXPECT_EQ(cursor.next(item), Next::broken) << size;
  }
}
TEST(ItemsTest, ScalarOfAnotherLengthBreaksTheRecord) {
  for (const ItemType type : {ItemType::boolean, ItemType::integer, ItemType::real, ItemType::string_id}) {
    const auto raw = static_cast<std::uint8_t>(type);
    EXPECT_EQ(first(Items().raw(70, raw, 0, 7, "12345678")), Next::broken);
    EXPECT_EQ(first(Items().raw(70, raw, 0, 0, "")), Next::broken);
    EXPECT_EQ(first(Items().raw(70, raw, 0, 16, "1234567812345678")), Next::broken);
  }
  EXPECT_EQ(first(Items().raw(70, 0, 0, 8, "12345678")), Next::broken) << "empty has no body";
}
TEST(ItemsTest, EventOrLinkTooShortForItsFieldsBreaksTheRecord) {
  EXPECT_EQ(first(Items().raw(70, 9, 0, 8, "12345678")), Next::broken);
  EXPECT_EQ(first(Items().raw(70, 10, 0, 24, "123456781234567812345678")), Next::broken);
}

TEST(ItemsTest, InlineKeyLengthsThatLieBreakTheRecord) {
  const auto lie = [](std::uint16_t key_length, std::uint16_t value_length) {
    const InlineKeyBody lengths{key_length, value_length, 0};
    std::string body(reinterpret_cast<const char*>(&lengths), sizeof lengths);
    body += "abcdefgh12345678";
    return first(Items().raw(kInlineKey, static_cast<std::uint8_t>(ItemType::string), 0, 24, body));
  };
  EXPECT_EQ(lie(8, 8), Next::found);
  EXPECT_EQ(lie(16, 0), Next::found);
  EXPECT_EQ(lie(8, 9), Next::broken);
  EXPECT_EQ(lie(17, 0), Next::broken);
  EXPECT_EQ(lie(9, 1), Next::broken);
  EXPECT_EQ(lie(0xFFFF, 0xFFFF), Next::broken);
  EXPECT_EQ(first(Items().raw(kInlineKey, 5, 0, 4, "12345678")), Next::broken) << "no room for the lengths";
}

TEST(ItemsTest, SixteenArraysInsideEachOtherAreReadAndMoreAreNot) {
  Items nested = Items().integer(kNoKey, 1);
  for (unsigned depth = 0; depth < kMaxItemDepth; ++depth) {
    Items outer;
    outer.array(kNoKey, nested);
    nested = outer;
  }
  EXPECT_TRUE(items_are_whole(bytes_of(nested)));
  EXPECT_TRUE(items_are_whole(bytes_of(Items().event("e", 1, nested)))) << "an event is not a level";
  Items one_more;
  one_more.array(kNoKey, nested);
  EXPECT_FALSE(items_are_whole(bytes_of(Items().event("e", 1, one_more))));
  Items two_more;
  two_more.array(kNoKey, one_more);
  EXPECT_FALSE(items_are_whole(bytes_of(two_more)));
}

TEST(ItemsTest, DamageDeepInsideMakesTheWholeNotWhole) {
  const Items bad = Items().raw(70, 2, 0, 7, "12345678");
  EXPECT_FALSE(items_are_whole(bytes_of(bad)));
  EXPECT_FALSE(items_are_whole(bytes_of(Items().integer(70, 1).map(71, Items().array(72, bad)))));
  EXPECT_TRUE(items_are_whole(bytes_of(Items().integer(70, 1).map(71, Items().array(72, Items())))));
}

}  // namespace
}  // namespace tailrace::shm
