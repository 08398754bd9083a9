// SPDX-License-Identifier: Apache-2.0
// parse_identity(): each rule is broken once, and the sentence says which.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <vector>

#include <tailrace/shm/birth.hpp>

#include "shm/reader/geometry.hpp"
#include "tests/shm/segment_builder.hpp"

namespace tailrace::shm {
namespace {

using test::BuilderOptions;
using test::SegmentBuilder;
using testing::HasSubstr;

class GeometryTest : public testing::Test {
 protected:
  Identity& identity() { return segment.identity(); }
  Region& region(RegionKind kind) { return identity().regions[static_cast<std::size_t>(kind)]; }
  GeometryResult parse() { return parse_identity(segment.bytes(0, kIdentityBytes), segment.size()); }

  void expect(GeometryProblem problem, const char* words) {
    const GeometryResult result = parse();
    EXPECT_EQ(result.problem, problem) << result.sentence;
    EXPECT_THAT(result.sentence, HasSubstr(words));
    EXPECT_EQ(result.geometry.lane_count, 0u) << "a refused segment has no geometry";
  }

  SegmentBuilder segment;
};

TEST_F(GeometryTest, SoundSegmentIsBelieved) {
  const GeometryResult result = parse();
  ASSERT_TRUE(result.ok()) << result.sentence;
  const Geometry& g = result.geometry;
  EXPECT_EQ(g.lane_count, 4u);
  EXPECT_EQ(g.ordinary_lanes(), 3u);
  EXPECT_EQ(g.ring_bytes, 4096u);
  EXPECT_EQ(g.max_record, 960u);
  EXPECT_EQ(g.slot_bytes, kSlotBytes);
  EXPECT_EQ(g.pool_slots, 8u);
  EXPECT_EQ(g.uuid[15], 0xAF);
  EXPECT_EQ(g.claimed_pid, 4242u);
  EXPECT_EQ(g.clock_kind, ClockKind::monotonic);
  EXPECT_EQ(segment.data() + g.lane_ring(2), segment.ring(2));
  EXPECT_EQ(segment.data() + g.slot(2, 3), reinterpret_cast<std::uint8_t*>(&segment.slot(2, 3)));
  EXPECT_EQ(segment.data() + g.pool_slot(7), reinterpret_cast<std::uint8_t*>(&segment.pool_slot(7)));
  EXPECT_EQ(segment.data() + g.lane_head(3), reinterpret_cast<std::uint8_t*>(&segment.lane(3)));
  EXPECT_EQ(segment.data() + g.lane_tail(3), reinterpret_cast<std::uint8_t*>(&segment.tail(3)));
}

TEST_F(GeometryTest, WhatTheShimLaysOutIsBelieved) {
  for (const SegmentShape& shape : {SegmentShape{}, SegmentShape{.lanes = kLanesMax},
                                    SegmentShape{.lanes = 5,
                                    .ring_bytes = 4096,
                                    .slack_bytes = 1024,
                                    .max_record = 960,
                                    .pool_slots = 1,
                                    .arena_bytes = 4096}}) {
    std::vector<std::uint8_t> page(kIdentityBytes);
    auto& made = *new (page.data()) Identity{};
    const std::uint64_t size = lay_out(shape, made);
    ASSERT_NE(size, 0u);
    made.abi_major = kAbiMajor;
    made.header_size = sizeof(Identity);
    made.clock_kind = static_cast<std::uint32_t>(ClockKind::tsc);
    made.magic.store(kMagic);
    const GeometryResult result = parse_identity({page.data(), page.size()}, size);
    ASSERT_TRUE(result.ok()) << result.sentence;
    EXPECT_EQ(result.geometry.lane_count, shape.lanes);
    EXPECT_EQ(result.geometry.pool_slots, shape.pool_slots);
    EXPECT_EQ(result.geometry.lane_ring(1) - result.geometry.lane_ring(0), SegmentMap::lane_data_stride(shape));
    EXPECT_EQ(result.geometry.slot_bytes, kSlotBytes);
  }
}

TEST_F(GeometryTest, FileCutAnywhereInTheHeaderIsTooShort) {
  for (std::size_t size = 0; size < sizeof(Identity); ++size) {
    EXPECT_EQ(parse_identity(segment.bytes(0, size), size).problem, GeometryProblem::too_short) << size;
  }
}

TEST_F(GeometryTest, MagicZeroIsNotReady) {
  identity().magic.store(0);
  expect(GeometryProblem::not_ready, "not ready");
}
TEST_F(GeometryTest, OtherMagicIsNoSegment) {
  identity().magic.store(kMagic + 1);
  expect(GeometryProblem::magic, "not a segment");
}

TEST_F(GeometryTest, OtherMajorVersionIsRefused) {
  identity().abi_major = kAbiMajor + 1;
  expect(GeometryProblem::abi_major, "ABI version 2.0");
  EXPECT_EQ(parse().reject_reason(), RejectReason::abi_major);
}
TEST_F(GeometryTest, UnknownRequiredFeatureIsRefused) {
  identity().features_required = 1ull << 63;
  expect(GeometryProblem::features, "0x8000000000000000");
  EXPECT_EQ(parse().reject_reason(), RejectReason::features);
}

TEST_F(GeometryTest, NewerMinorVersionIsRead) {
  identity().abi_minor = kAbiMinor + 7;
  identity().header_size = 2048;
  identity().features_optional = ~std::uint64_t{0};
  Region& unknown = identity().regions[identity().region_count++];
  unknown = {99, 0, segment.size() - kRegionAlign, 0, 0, 0};
  const GeometryResult result = parse();
  ASSERT_TRUE(result.ok()) << result.sentence;
  EXPECT_EQ(result.geometry.abi_minor, kAbiMinor + 7);
}

TEST_F(GeometryTest, UnknownRegionIsCountedAndSkipped) {
  const RegionKind last = RegionKind::metric_shared;
  region(last).kind = 99;
  const GeometryResult result = parse();
  ASSERT_TRUE(result.ok()) << result.sentence;
  EXPECT_EQ(result.geometry.unknown_regions, 1u);
  EXPECT_FALSE(result.geometry.region(last).present());
}

TEST_F(GeometryTest, LargerStridesAreFollowed) {
  region(RegionKind::lane_tails).stride = 128;
  region(RegionKind::lane_tails).length = 128 * 4;
  region(RegionKind::lane_heads).stride = 512;
  region(RegionKind::lane_heads).length = 512 * 4;
  const GeometryResult result = parse();
  ASSERT_TRUE(result.ok()) << result.sentence;
  EXPECT_EQ(result.geometry.lane_head(2) - result.geometry.lane_head(0), 1024u);
  EXPECT_EQ(result.geometry.lane_tail(2) - result.geometry.lane_tail(0), 256u);
}

TEST_F(GeometryTest, SizeMustBeTheFiles) {
  identity().segment_size += kRegionAlign;
  expect(GeometryProblem::size, "but the header says");
}
TEST_F(GeometryTest, ASparseTerabyteIsRefused) {
  identity().segment_size = 1ull << 40;
  const GeometryResult result = parse_identity(segment.bytes(0, kIdentityBytes), 1ull << 40);
  EXPECT_EQ(result.problem, GeometryProblem::size);
}
TEST_F(GeometryTest, HeaderMustHoldTheKnownFieldsAndFitItsPage) {
  identity().header_size = sizeof(Identity) - 8;
  expect(GeometryProblem::size, "header of 696 bytes");
  identity().header_size = kIdentityBytes + 8;
  expect(GeometryProblem::size, "header of 4104 bytes");
}

TEST_F(GeometryTest, RegionBeyondTheEndIsRefused) {
  region(RegionKind::lane_data).offset = segment.size();
  expect(GeometryProblem::regions, "passes the end");
}
TEST_F(GeometryTest, OffsetAndLengthThatOverflowTogetherAreRefused) {
  region(RegionKind::lane_data).offset = ~std::uint64_t{0} & ~(kRegionAlign - 1);
  region(RegionKind::lane_data).length = 2 * kRegionAlign;
  expect(GeometryProblem::regions, "passes the end");
}
TEST_F(GeometryTest, UnalignedRegionIsRefused) {
  region(RegionKind::slot_pool).offset += 4096;
  expect(GeometryProblem::regions, "not aligned");
}
TEST_F(GeometryTest, OverlappingRegionsAreRefused) {
  region(RegionKind::scopes).offset = region(RegionKind::lane_tails).offset;
  expect(GeometryProblem::regions, "overlap");
}
TEST_F(GeometryTest, AnUnknownRegionMayNotOverlapEither) {
  identity().regions[identity().region_count++] = {99, 0, region(RegionKind::control).offset, 8, 0, 0};
  expect(GeometryProblem::regions, "overlap");
}
TEST_F(GeometryTest, RegionTwiceIsRefused) {
  region(RegionKind::metric_shared).kind = static_cast<std::uint32_t>(RegionKind::control);
  expect(GeometryProblem::regions, "two regions control");
}
TEST_F(GeometryTest, MoreEntriesThanTheRegionHoldsAreRefused) {
  region(RegionKind::metric_descriptors).count = 0xFFFFFFFF;
  region(RegionKind::metric_descriptors).stride = 0xFFFFFFFF;
  expect(GeometryProblem::regions, "4294967295 entries");
}
TEST_F(GeometryTest, TooManyRegionsAreRefused) {
  identity().region_count = kRegionsMax + 1;
  expect(GeometryProblem::regions, "17 regions");
}

TEST_F(GeometryTest, EveryNeededRegionMustBeThere) {
  for (const RegionKind kind :
       {RegionKind::identity, RegionKind::control, RegionKind::process, RegionKind::lane_heads, RegionKind::lane_tails,
        RegionKind::strings, RegionKind::span_slots, RegionKind::lane_data}) {
    const Region saved = region(kind);
    region(kind) = Region{};
    region(kind).kind = static_cast<std::uint32_t>(kind);
    EXPECT_EQ(parse().problem, GeometryProblem::regions) << static_cast<unsigned>(kind);
    region(kind) = saved;
  }
  EXPECT_TRUE(parse().ok());
}

TEST_F(GeometryTest, EntriesSmallerThanTheirStructureAreRefused) {
  for (const RegionKind kind : {RegionKind::lane_heads, RegionKind::lane_tails, RegionKind::span_slots,
                                RegionKind::lane_data, RegionKind::slot_pool, RegionKind::scopes}) {
    const Region saved = region(kind);
    region(kind).stride = saved.stride / 8;
    EXPECT_FALSE(parse().ok()) << static_cast<unsigned>(kind);
    region(kind) = saved;
  }
}

TEST_F(GeometryTest, LaneTablesMustHaveOneEntryALane) {
  for (const RegionKind kind :
       {RegionKind::lane_heads, RegionKind::lane_tails, RegionKind::lane_data, RegionKind::span_slots}) {
    const Region saved = region(kind);
    --region(kind).count;
    EXPECT_EQ(parse().problem, GeometryProblem::regions) << static_cast<unsigned>(kind);
    region(kind) = saved;
  }
}

TEST_F(GeometryTest, NumbersOutsideTheirLimitsAreRefused) {
  const std::vector<std::function<void(Identity&)>> lies = {
      [](Identity& i) { i.lane_count = 0; },
      [](Identity& i) { i.lane_count = kLanesMax + 1; },
      [](Identity& i) { i.shared_lanes = i.lane_count + 1; },
      [](Identity& i) { i.ring_bytes = 4096 + 8; },
      [](Identity& i) { i.ring_bytes = 0; },
      [](Identity& i) { i.ring_bytes = 2 * kRingBytesMax; },
      [](Identity& i) { i.slack_bytes = i.ring_bytes / 2; },
      [](Identity& i) { i.slack_bytes += 4; },
      [](Identity& i) { i.max_record = i.slack_bytes + 8; },
      [](Identity& i) { i.max_record = 8; },
      [](Identity& i) { i.max_record += 4; },
      [](Identity& i) { i.slots_per_lane = kSlotsPerLaneMax + 1; },
      [](Identity& i) { i.clock_kind = 0; },
      [](Identity& i) { i.clock_kind = 4; },
  };
  for (std::size_t n = 0; n < lies.size(); ++n) {
    SegmentBuilder other;
    lies[n](other.identity());
    const GeometryResult result = parse_identity(other.bytes(0, kIdentityBytes), other.size());
    EXPECT_EQ(result.problem, GeometryProblem::numbers) << n << ": " << result.sentence;
    EXPECT_EQ(result.reject_reason(), RejectReason::geometry);
  }
}

}  // namespace
}  // namespace tailrace::shm
