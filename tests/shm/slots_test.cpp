// SPDX-License-Identifier: Apache-2.0
// read_slot(): the verdict about each state, and chains that lead nowhere.
#include <gtest/gtest.h>

#include <vector>

#include "shm/reader/items.hpp"
#include "shm/reader/slots.hpp"
#include "tests/shm/segment_builder.hpp"

namespace tailrace::shm {
namespace {

using test::Items;
using test::make_record;
using test::make_span;
using test::SegmentBuilder;

class SlotsTest : public testing::Test {
 protected:
  SlotSpan read(SpanSlot& slot) {
    for (std::uint32_t i = 0; i < heads.size(); ++i) heads[i] = segment.lane(i).head.load();
    const SlotContext context{
        {segment.at(RegionKind::slot_pool), std::size_t{pool_used} * kSlotBytes}, kSlotBytes, heads.data(), 4};
    return read_slot({reinterpret_cast<const std::uint8_t*>(&slot), sizeof slot}, context);
  }
  SlotSpan read() { return read(slot()); }
  SpanSlot& slot() { return segment.slot(0, 0); }
  static test::Blob span(const Items& items = {}) {
    return make_span({.name = 70, .span_id = 0x1122334455667788, .start = 5, .end = 9}, items);
  }
  static int count(const SlotSpan& span) {
    int found = 0;
    for (std::size_t i = 0; i < span.item_ranges; ++i) {
      ItemCursor cursor(span.items[i]);
      ItemRef item;
      while (cursor.next(item) == Next::found) ++found;
    }
    return found;
  }

  SegmentBuilder segment;
  std::uint32_t pool_used = 8;
  std::vector<std::uint64_t> heads = std::vector<std::uint64_t>(4);
};

TEST_F(SlotsTest, ZeroFilledSlotIsNothing) { EXPECT_EQ(read().verdict, SlotVerdict::nothing); }

TEST_F(SlotsTest, SlotBeingFilledIsNothing) {
  segment.open_slot(slot(), span());
  slot().state.store(kSlotFree);
  EXPECT_EQ(read().verdict, SlotVerdict::nothing);
}

TEST_F(SlotsTest, OpenSpanIsFoundWithItsItems) {
  segment.open_slot(slot(), span(Items().integer(71, 1).string("k", "v")));
  const SlotSpan found = read();
  EXPECT_EQ(found.verdict, SlotVerdict::open);
  EXPECT_EQ(found.record.name, 70u);
  EXPECT_EQ(found.record.start, 5u);
  EXPECT_FALSE(found.chain_broken);
  EXPECT_EQ(count(found), 2);
}

TEST_F(SlotsTest, OpenStateOfAnotherSpanIsBroken) {
  segment.open_slot(slot(), span());
  slot().state.store(slot_open(0x1122334455667789));
  EXPECT_EQ(read().verdict, SlotVerdict::broken);
}

TEST_F(SlotsTest, TheTwoHighBitsOfAnIdDoNotMatter) {
  segment.open_slot(slot(), make_span({.span_id = ~std::uint64_t{0}}));
  EXPECT_EQ(read().verdict, SlotVerdict::open);
}

TEST_F(SlotsTest, EndingSpanWhoseHeadWasStoredIsInTheRing) {
  segment.put(2, span());
  segment.ending_slot(slot(), span(), 2, segment.lane(2).head.load());
  EXPECT_EQ(read().verdict, SlotVerdict::nothing);
  segment.put(2, span());
  EXPECT_EQ(read().verdict, SlotVerdict::nothing) << "later records change nothing";
}

TEST_F(SlotsTest, EndingSpanWhoseHeadWasNotStoredIsExportedFromTheSlot) {
  segment.put(2, span());
  segment.put_silently(2, span());
  segment.ending_slot(slot(), span(Items().integer(71, 1)), 2, segment.lane(2).head.load() + 64);
  const SlotSpan found = read();
  EXPECT_EQ(found.verdict, SlotVerdict::ended);
  EXPECT_EQ(found.lane, 2u);
  EXPECT_EQ(found.record.end, 9u);
  EXPECT_EQ(count(found), 1);
}

// Earlier versions asked `head > end_pos`, where end_pos is the record's start: a prefix published alone,
// or another record at that place, made a span that was not in the ring look as if it were.
TEST_F(SlotsTest, HeadOneWordBeforeTheTargetIsNotThere) {
  segment.lane(2).head.store(4096 - 8);
  segment.ending_slot(slot(), span(), 2, 4096);
  EXPECT_EQ(read().verdict, SlotVerdict::ended);
  segment.lane(2).head.store(4096);
  EXPECT_EQ(read().verdict, SlotVerdict::nothing);
}

TEST_F(SlotsTest, TargetKeepsItsMeaningWhenItPassesFiftyTwoBits) {
  const std::uint64_t big = std::uint64_t{1} << 52;
  segment.lane(2).head.store(big - 64);
  segment.ending_slot(slot(), span(), 2, big + 64);
  EXPECT_EQ(read().verdict, SlotVerdict::ended);
  segment.lane(2).head.store(big + 64);
  EXPECT_EQ(read().verdict, SlotVerdict::nothing);
}

TEST_F(SlotsTest, LaneThatDoesNotExistIsBroken) {
  segment.ending_slot(slot(), span(), 4, 64);
  EXPECT_EQ(read().verdict, SlotVerdict::broken);
  segment.ending_slot(slot(), span(), kLanesMax - 1, 64);
  EXPECT_EQ(read().verdict, SlotVerdict::broken);
}

TEST_F(SlotsTest, DraftSizesThatLieAreBroken) {
  for (const std::uint32_t size : {0u, 8u, 56u, 65u, kDraftBytes + 8, 0xFFFFFFF8u}) {
    segment.open_slot(slot(), span());
    std::memcpy(slot().bytes, &size, sizeof size);
    EXPECT_EQ(read().verdict, SlotVerdict::broken) << size;
  }
}
TEST_F(SlotsTest, DraftOfAnotherTypeIsBroken) {
  segment.open_slot(slot(), span());
  slot().bytes[4] = static_cast<std::uint8_t>(RecordType::log);
  EXPECT_EQ(read().verdict, SlotVerdict::broken);
}
TEST_F(SlotsTest, ShortCopyIsBroken) { EXPECT_EQ(read_slot({}, SlotContext{}).verdict, SlotVerdict::broken); }

TEST_F(SlotsTest, DraftMayFillTheWholeSlot) {
  Items items;
  items.string(71, std::string(kDraftBytes - sizeof(SpanRecord) - sizeof(ItemHeader), 'x'));
  segment.open_slot(slot(), span(items));
  EXPECT_EQ(count(read()), 1);
}

TEST_F(SlotsTest, ChainIsFollowedInOrder) {
  segment.open_slot(slot(), span(Items().integer(71, 0)), 1 + 5);
  segment.more_slot(5, Items().integer(71, 1).integer(71, 2), 1 + 2);
  segment.more_slot(2, Items().integer(71, 3));
  const SlotSpan found = read();
  EXPECT_FALSE(found.chain_broken);
  std::int64_t next = 0;
  for (std::size_t i = 0; i < found.item_ranges; ++i) {
    ItemCursor cursor(found.items[i]);
    ItemRef item;
    while (cursor.next(item) == Next::found) EXPECT_EQ(item.integer(), next++);
  }
  EXPECT_EQ(next, 4);
}

TEST_F(SlotsTest, MoreWithoutItemsIsNothingMore) {
  segment.open_slot(slot(), span(), 1);
  segment.more_slot(0, {});
  const SlotSpan found = read();
  EXPECT_FALSE(found.chain_broken);
  EXPECT_EQ(found.item_ranges, 0u);
}

TEST_F(SlotsTest, ContinuationAloneIsNothing) {
  segment.more_slot(0, Items().integer(71, 1));
  EXPECT_EQ(read(segment.pool_slot(0)).verdict, SlotVerdict::nothing);
}

TEST_F(SlotsTest, SpanInThePoolIsASpanLikeAnyOther) {
  segment.open_slot(segment.pool_slot(3), span());
  EXPECT_EQ(read(segment.pool_slot(3)).verdict, SlotVerdict::open);
}

TEST_F(SlotsTest, BrokenChainLosesOnlyWhatLiesBehindTheBreak) {
  const auto broken = [this](std::uint64_t next) {
    segment.open_slot(slot(), span(Items().integer(71, 0)), next);
    const SlotSpan found = read();
    EXPECT_EQ(found.verdict, SlotVerdict::open);
    EXPECT_EQ(count(found), 1);
    return found.chain_broken;
  };
  EXPECT_TRUE(broken(1 + 8)) << "behind the pool";
  EXPECT_TRUE(broken(~std::uint64_t{0}));
  EXPECT_TRUE(broken(1 + 7)) << "a free slot";
  segment.open_slot(segment.pool_slot(1), span());
  EXPECT_TRUE(broken(1 + 1)) << "somebody else's span";
  pool_used = 0;
  segment.more_slot(0, Items().integer(71, 1));
  EXPECT_TRUE(broken(1)) << "a slot that was never taken";
}

TEST_F(SlotsTest, ChainInCirclesEnds) {
  segment.open_slot(slot(), span(), 1);
  segment.more_slot(0, Items().integer(71, 1), 2);
  segment.more_slot(1, Items().integer(71, 2), 1);
  const SlotSpan found = read();
  EXPECT_TRUE(found.chain_broken);
  EXPECT_EQ(count(found), 2);
}

TEST_F(SlotsTest, EndlessChainEnds) {
  test::BuilderOptions options;
  options.pool_slots = kChainMax + 10;
  SegmentBuilder large(options);
  for (std::uint32_t i = 0; i < options.pool_slots; ++i) large.more_slot(i, Items().integer(71, 1), i + 2);
  large.open_slot(large.slot(0, 0), span(), 1);
  const SlotContext context{
      {large.at(RegionKind::slot_pool), options.pool_slots * kSlotBytes}, kSlotBytes, heads.data(), 4};
  const SlotSpan found = read_slot({reinterpret_cast<const std::uint8_t*>(&large.slot(0, 0)), kSlotBytes}, context);
  EXPECT_TRUE(found.chain_broken);
  EXPECT_EQ(count(found), static_cast<int>(kChainMax));
}

}  // namespace
}  // namespace tailrace::shm
