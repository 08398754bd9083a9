// SPDX-License-Identifier: Apache-2.0
// Counters: every word arrives in its field, and sums of lies stay sums.
#include <gtest/gtest.h>

#include "shm/reader/counters.hpp"
#include "tests/shm/segment_builder.hpp"

namespace tailrace::shm {
namespace {

using test::SegmentBuilder;

Bytes bytes_at(const void* from, std::size_t size) { return {static_cast<const std::uint8_t*>(from), size}; }

TEST(CountersTest, EveryWordOfALaneArrivesInItsField) {
  SegmentBuilder b;
  LaneHead& lane = b.lane(1);
  lane.head.store(1);
  for (std::size_t s = 0; s < kSignals; ++s) {
    lane.written[s].store(10 + s);
    for (std::size_t p = 0; p < kPriorities; ++p) lane.dropped[s][p].store(100 + 10 * s + p);
  }
  lane.in_use.store(1);
  lane.tid.store(3);
  lane.owner_from.store(4);
  lane.not_sampled.store(5);
  lane.refused.store(6);
  lane.cut.store(7);
  lane.shard.store(8);
  lane.committed.store(1);
  lane.name[0].store(0x3231);

  const LaneWords words = parse_lane_head(bytes_at(&lane, sizeof lane));
  EXPECT_EQ(words.head, 1u);
  for (std::size_t s = 0; s < kSignals; ++s) {
    EXPECT_EQ(words.written[s], 10 + s);
    for (std::size_t p = 0; p < kPriorities; ++p) EXPECT_EQ(words.dropped[s][p], 100 + 10 * s + p);
  }
  EXPECT_TRUE(words.in_use);
  EXPECT_EQ(words.tid, 3u);
  EXPECT_EQ(words.owner_from, 4u);
  EXPECT_EQ(words.not_sampled, 5u);
  EXPECT_EQ(words.refused, 6u);
  EXPECT_EQ(words.cut, 7u);
  EXPECT_EQ(words.shard, 8u);
  EXPECT_TRUE(words.committed);
  EXPECT_STREQ(words.name.data(), "12");
  EXPECT_TRUE(words.touched());
}

TEST(CountersTest, ShortCopiesReadAsZeros) {
  EXPECT_FALSE(parse_lane_head({}).touched());
  EXPECT_EQ(parse_process({}).strings_len, 0u);
  EXPECT_EQ(parse_control({}).agent_state, 0u);
  EXPECT_EQ(parse_lane_tail({}).tail, 0u);
}

TEST(CountersTest, ProcessWordsAndAnchorsArrive) {
  SegmentBuilder b;
  ProcessDynamic& p = b.process();
  p.strings_len.store(1);
  p.metrics_count.store(2);
  p.lanes_used.store(3);
  p.doorbell.store(4);
  p.flush_gen.store(5);
  p.critical_gen.store(51);
  p.critical_written[1].store(52);
  p.scopes_count.store(6);
  p.pool_used.store(7);
  p.unlaned_dropped[2][3].store(8);
  p.crash.signal.store(11);
  p.crash.lane.store(9);
  p.crash.address.store(10);
  p.crash.counter.store(12);
  p.anchors[7].seq.store(3);
  const ProcessWords words = parse_process(bytes_at(&p, sizeof p));
  EXPECT_EQ(words.strings_len, 1u);
  EXPECT_EQ(words.metrics_count, 2u);
  EXPECT_EQ(words.lanes_used, 3u);
  EXPECT_EQ(words.doorbell, 4u);
  EXPECT_EQ(words.flush_gen, 5u);
  EXPECT_EQ(words.critical_gen, 51u);
  EXPECT_EQ(words.critical_written[1], 52u);
  EXPECT_EQ(words.scopes_count, 6u);
  EXPECT_EQ(words.pool_used, 7u);
  EXPECT_EQ(words.unlaned_dropped[2][3], 8u);
  EXPECT_EQ(words.crash_signal, 11u);
  EXPECT_EQ(words.crash_lane, 9u);
  EXPECT_EQ(words.crash_address, 10u);
  EXPECT_EQ(words.crash_counter, 12u);
  EXPECT_TRUE(words.anchors[0].usable());
  EXPECT_EQ(words.anchors[0].counter, 5000000000u);
  EXPECT_FALSE(words.anchors[7].usable()) << "odd: was being written";
  EXPECT_FALSE(words.anchors[1].usable()) << "never written";
}

TEST(CountersTest, ControlWordsArrive) {
  SegmentBuilder b;
  Control& c = b.control();
  c.hot.generation.store(1);
  c.hot.disable_mask.store(2);
  c.hot.trace_threshold.store(3);
  c.hot.min_severity.store(4);
  c.hot.pressure.store(5);
  c.hot.clock_override.store(6);
  c.hot.shed_mask.store(7);
  c.hot.long_span_seconds.store(8);
  c.agent.heartbeat_monotonic_ns.store(9);
  c.agent.agent_epoch.store(10);
  c.agent.agent_state.store(11);
  c.agent.reason.store(12);
  c.agent.abi_major.store(13);
  c.agent.abi_minor.store(14);
  c.agent.agent_features.store(15);
  c.flush.flush_done.store(16);
  c.flush.agent_sleeping.store(17);
  c.flush.critical_done.store(18);
  c.flush.settled_seq.store(19);
  c.settled[0][2].produced.store(20);
  c.settled[1][0].delivered.store(21);
  c.settled[1][1].rejected.store(22);
  c.settled[1][1].dropped[4].store(23);
  const ControlWords w = parse_control(bytes_at(&c, sizeof c));
  EXPECT_EQ(w.generation, 1u);
  EXPECT_EQ(w.disable_mask, 2u);
  EXPECT_EQ(w.trace_threshold, 3u);
  EXPECT_EQ(w.min_severity, 4u);
  EXPECT_EQ(w.pressure, 5u);
  EXPECT_EQ(w.clock_override, 6u);
  EXPECT_EQ(w.shed_mask, 7u);
  EXPECT_EQ(w.long_span_seconds, 8u);
  EXPECT_EQ(w.heartbeat_monotonic_ns, 9u);
  EXPECT_EQ(w.agent_epoch, 10u);
  EXPECT_EQ(w.agent_state, 11u);
  EXPECT_EQ(w.reason, 12u);
  EXPECT_EQ(w.abi_major, 13u);
  EXPECT_EQ(w.abi_minor, 14u);
  EXPECT_EQ(w.agent_features, 15u);
  EXPECT_EQ(w.flush_done, 16u);
  EXPECT_EQ(w.agent_sleeping, 17u);
  EXPECT_EQ(w.critical_done, 18u);
  EXPECT_EQ(w.settled_seq, 19u);
  EXPECT_EQ(w.settled[0][2].produced, 20u);
  EXPECT_EQ(w.settled[1][0].delivered, 21u);
  EXPECT_EQ(w.settled[1][1].rejected, 22u);
  EXPECT_EQ(w.settled[1][1].dropped[4], 23u);
}

TEST(CountersTest, WhatACallReturnedFromIsWrittenOrDroppedOrHadNoLane) {
  SegmentBuilder b;
  test::fill_with_everything(b);
  CounterSums sums;
  for (std::uint32_t i = 0; i < 4; ++i) sums.add(parse_lane_head(bytes_at(&b.lane(i), sizeof(LaneHead))));
  sums.add(parse_process(bytes_at(&b.process(), sizeof(ProcessDynamic))));
  EXPECT_EQ(sums.written[0], 12u);
  EXPECT_EQ(sums.unlaned_of(Signal::traces), 2u);
  EXPECT_EQ(sums.called(Signal::traces), 14u);
  EXPECT_EQ(sums.dropped_of(Signal::logs), 14u);
  EXPECT_EQ(sums.called(Signal::logs), sums.written[1] + 14u);
  EXPECT_EQ(sums.not_sampled, 3u);
  EXPECT_EQ(sums.cut, 1u);
}

TEST(CountersTest, SumsOfLiesSaturate) {
  LaneWords liar;
  liar.written.fill(~std::uint64_t{0});
  for (auto& priorities : liar.dropped) priorities.fill(~std::uint64_t{0});
  CounterSums sums;
  sums.add(liar);
  sums.add(liar);
  EXPECT_EQ(sums.written[0], ~std::uint64_t{0});
  EXPECT_EQ(sums.called(Signal::logs), ~std::uint64_t{0});
}

}  // namespace
}  // namespace tailrace::shm
