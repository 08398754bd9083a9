// SPDX-License-Identifier: Apache-2.0
#include "agent/drain/segment_drain.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <thread>

#include <tailrace/shm/ring.hpp>

#include "tests/agent/discover/segment_file.hpp"

namespace tailrace::agent {
namespace {

using shm::test::Blob;
using shm::test::BuilderOptions;
using shm::test::Items;
using shm::test::make_span;
using test::attach;
using test::open_directory;
using test::segment_name;
using test::SegmentFile;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr std::size_t kNoBudget = 1 << 20;

class DrainTest : public ::testing::Test {
 protected:
  DrainTest() { take_up(); }

  // As a new agent does: nothing is known but what the caller then says with start_at().
  void take_up() {
    drain_.reset();
    segment_.reset();
    segment_ = attach(*directory_, segment_name(1));
    decoder_ = std::make_unique<SegmentDecoder>(segment_->geometry());
    drain_ = std::make_unique<SegmentDrain>(*segment_, *decoder_);
  }
  shm::test::SegmentBuilder& app() { return **file_; }
  static Blob span(std::uint64_t number, std::size_t padding = 0) {
    return make_span({.span_id = number}, padding == 0 ? Items() : Items().bytes("p", std::string(padding, 'x')));
  }
  static std::uint64_t number_of(const shm::RecordRef& record) {
    shm::SpanRecord span;
    return record.fixed(span) ? span.span_id : 0;
  }
  // The numbers of all records that a lane gives in one copy; committed unless told otherwise.
  std::vector<std::uint64_t> take(std::uint32_t lane, std::size_t budget = kNoBudget, bool commit = true) {
    LaneRecords records = drain_->copy_lane(lane, budget, buffer_);
    std::vector<std::uint64_t> numbers;
    shm::RecordRef record;
    while (records.next(record)) numbers.push_back(number_of(record));
    broken_ = records.broken();
    complete_ = records.complete();
    if (commit) drain_->commit(lane, records.position());
    return numbers;
  }
  std::vector<std::uint64_t> pass(std::uint32_t lane) {
    EXPECT_TRUE(drain_->begin_pass().readable);
    return take(lane);
  }

  test::TemporaryDirectory temporary_;
  std::unique_ptr<Directory> directory_ = open_directory(temporary_.path());
  std::unique_ptr<SegmentFile> file_ = std::make_unique<SegmentFile>(temporary_.in(segment_name(1)));
  std::unique_ptr<AttachedSegment> segment_;
  std::unique_ptr<SegmentDecoder> decoder_;
  std::unique_ptr<SegmentDrain> drain_;
  CopyBuffer buffer_;
  bool broken_ = false;
  bool complete_ = false;
};

TEST_F(DrainTest, GivesRecordsOnceInOrderAndTheirSpaceBack) {
  for (std::uint64_t n = 1; n <= 3; ++n) app().put(0, span(n));
  EXPECT_THAT(pass(0), ElementsAre(1, 2, 3));
  EXPECT_EQ(app().tail(0).tail.load(), 3 * 64u);
  EXPECT_TRUE(drain_->drained());
  EXPECT_THAT(pass(0), IsEmpty());
  app().put(0, span(4));
  EXPECT_FALSE(drain_->drained());
  EXPECT_THAT(pass(0), ElementsAre(4));
}

TEST_F(DrainTest, WhatWasNotCommittedIsGivenAgain) {
  for (std::uint64_t n = 1; n <= 3; ++n) app().put(0, span(n));
  drain_->begin_pass();
  EXPECT_THAT(take(0, kNoBudget, false), ElementsAre(1, 2, 3));
  EXPECT_EQ(app().tail(0).tail.load(), 0u);
  drain_->commit(0, 64);  // the hold had room for one
  drain_->begin_pass();
  EXPECT_THAT(take(0), ElementsAre(2, 3));
}

TEST_F(DrainTest, RecordsThatPassTheRingsEndAreWhole) {
  app().start_lane_at(0, 3 * 4096 - 200);
  drain_->start_at(0, 3 * 4096 - 200);
  for (std::uint64_t n = 1; n <= 9; ++n) app().put(0, span(n, 20 * n));
  EXPECT_THAT(pass(0), ElementsAre(1, 2, 3, 4, 5, 6, 7, 8, 9));
  EXPECT_FALSE(broken_);
}

TEST_F(DrainTest, ABudgetEndsACopyBetweenRecords) {
  for (std::uint64_t n = 1; n <= 20; ++n) app().put(0, span(n, 100));
  drain_->begin_pass();
  std::vector<std::uint64_t> all;
  int copies = 0;
  while (!drain_->drained()) {
    const std::vector<std::uint64_t> some = take(0, 1000);
    ASSERT_FALSE(some.empty());
    all.insert(all.end(), some.begin(), some.end());
    ++copies;
  }
  EXPECT_TRUE(complete_);
  EXPECT_GT(copies, 3);
  EXPECT_EQ(all.size(), 20u);
  EXPECT_TRUE(std::is_sorted(all.begin(), all.end()));
  EXPECT_EQ(drain_->counts().broken_chains, 0u);
}

TEST_F(DrainTest, TheSmallestBudgetStillGivesTheLargestRecord) {
  app().put(0, span(1, 850));
  drain_->begin_pass();
  EXPECT_THAT(take(0, 0), ElementsAre(1));
}

TEST_F(DrainTest, LanesWithWorkAreListedFullestFirstSharedOnesToo) {
  app().put(0, span(1));
  app().put(2, span(2));
  app().put(2, span(3));
  app().put(3, span(4));
  app().put(3, span(5));
  app().put(3, span(6));
  const PassInfo info = drain_->begin_pass();
  EXPECT_EQ(info.bytes, 6 * 64u);
  EXPECT_EQ(info.fullest_permille, 3 * 64 * 1000 / 4096u);
  std::vector<std::uint32_t> lanes;
  for (const LaneWork& work : drain_->ready()) lanes.push_back(work.lane);
  EXPECT_THAT(lanes, ElementsAre(3, 2, 0));
}

TEST_F(DrainTest, ANewAgentGoesOnWhereTheHoldSays) {
  for (std::uint64_t n = 1; n <= 5; ++n) app().put(0, span(n));
  pass(0);
  app().put(0, span(6));
  take_up();
  const StartedAt started = drain_->start_at(0, 4 * 64);
  EXPECT_EQ(started.position, 4 * 64u);
  EXPECT_FALSE(started.resynced);
  EXPECT_EQ(app().tail(0).tail.load(), 4 * 64u);
  EXPECT_THAT(pass(0), ElementsAre(5, 6));
}

TEST_F(DrainTest, APositionThatCannotBeIsReplacedByTheHead) {
  app().start_lane_at(0, 10 * 4096);
  for (const std::uint64_t wished : {0ull, 5ull * 4096, 10ull * 4096 + 8, 10ull * 4096 - 12, ~0ull}) {
    take_up();
    const StartedAt started = drain_->start_at(0, wished);
    EXPECT_TRUE(started.resynced) << wished;
    EXPECT_EQ(started.position, 10u * 4096) << wished;
    EXPECT_EQ(drain_->counts().resyncs, 1u);
  }
  take_up();
  EXPECT_FALSE(drain_->start_at(0, 9 * 4096).resynced);
}

// --- hostile segments: each of them is counted, none of them is believed

TEST_F(DrainTest, AnImpossibleHeadIsNotReadAndQuarantinesTheSegmentInTheEnd) {
  app().put(0, span(1));
  EXPECT_THAT(pass(0), ElementsAre(1));
  for (const std::uint64_t head : {64ull + 4, 64ull + 4096 + 8}) {
    app().lane(0).head.store(head);
    EXPECT_TRUE(drain_->begin_pass().readable) << head;
    EXPECT_THAT(drain_->ready(), IsEmpty()) << head;
  }
  app().lane(0).head.store(0);  // backwards
  EXPECT_FALSE(drain_->begin_pass().readable);
  EXPECT_EQ(drain_->counts().bad_heads, 3u);
  EXPECT_EQ(segment_->condition(), SegmentCondition::quarantined);
  EXPECT_THAT(segment_->trouble(), HasSubstr("lane 0: head 0 cannot follow 64"));
}

TEST_F(DrainTest, ALaneWithoutMemoryIsNotRead) {
  app().put(1, span(1));
  app().lane(1).committed.store(0);
  drain_->begin_pass();
  EXPECT_THAT(drain_->ready(), IsEmpty());
  EXPECT_EQ(drain_->counts().bad_heads, 1u);
}

class BrokenChainTest : public DrainTest, public ::testing::WithParamInterface<std::uint32_t> {};

TEST_P(BrokenChainTest, TheLaneGoesOnAtItsHeadAndTheOthersAreUnharmed) {
  app().put(0, span(1));
  const std::uint64_t at = app().put(0, span(2));
  app().put(0, span(3));
  app().put(1, span(4));
  std::memcpy(app().ring(0) + at, &GetParam(), sizeof(std::uint32_t));
  drain_->begin_pass();
  EXPECT_THAT(take(0), ElementsAre(1));
  EXPECT_TRUE(broken_);
  EXPECT_THAT(take(1), ElementsAre(4));
  EXPECT_EQ(drain_->counts().broken_chains, 1u);
  EXPECT_EQ(drain_->counts().skipped_bytes, 128u);
  EXPECT_EQ(app().tail(0).tail.load(), 192u);
  app().put(0, span(5));
  EXPECT_THAT(pass(0), ElementsAre(5));
  EXPECT_EQ(segment_->condition(), SegmentCondition::sound);
}

// Nothing, too small for a record, no multiple of 8, more than max_record, more than what is left.
INSTANTIATE_TEST_SUITE_P(Sizes, BrokenChainTest, ::testing::Values(0u, 8u, 60u, 968u, 136u, 0xFFFFFFF8u));

TEST_F(DrainTest, AfterAFewBrokenChainsTheSegmentIsQuarantined) {
  for (int i = 0; i < 3; ++i) {
    const std::uint64_t at = app().put(0, span(1));
    const std::uint32_t size = 0;
    std::memcpy(app().ring(0) + (at & 4095), &size, sizeof size);
    EXPECT_TRUE(drain_->begin_pass().readable);
    take(0);
  }
  EXPECT_FALSE(drain_->begin_pass().readable);
  EXPECT_EQ(app().control().agent.agent_state.load(), static_cast<std::uint32_t>(shm::AgentState::rejected));
}

// Whatever the bytes are, the walk ends, inside the copy.
TEST_F(DrainTest, RandomBytesAreWalkedWithoutHarm) {
  std::mt19937_64 random(4711);
  for (int round = 0; round < 200; ++round) {
    SegmentFile other(temporary_.in("other"));
    ASSERT_EQ(::rename(other.path().c_str(), temporary_.in(segment_name(2)).c_str()), 0);
    const std::unique_ptr<AttachedSegment> segment = attach(*directory_, segment_name(2));
    SegmentDecoder decoder(segment->geometry());
    SegmentDrain drain(*segment, decoder);
    other->take_lane(0);
    for (std::size_t i = 0; i < 4096 + 1024; i += 8) {
      std::uint64_t word = random();
      // Half of them look like a record's header.
      if (word & 1)
        word = shm::header_word(static_cast<std::uint32_t>(16 + word % 40 * 8), shm::RecordType(word % 12), 0, 1);
      std::memcpy(other->ring(0) + i, &word, 8);
    }
    const std::uint64_t from = random() % 4096 / 8 * 8 + 4096;
    drain.start_at(0, 0);
    other->start_lane_at(0, from);
    drain.start_at(0, from);
    other->lane(0).head.store(from + random() % 4096 / 8 * 8);
    drain.begin_pass();
    LaneRecords records = drain.copy_lane(0, random() % 5000, buffer_);
    shm::RecordRef record;
    std::uint64_t last = from;
    while (records.next(record)) {
      ASSERT_EQ(record.position, last);
      last = record.next_position;
      static_cast<void>(decoder.decode(record, 1));
    }
    ASSERT_LE(records.position(), other->lane(0).head.load());
    ASSERT_TRUE(segment->unlink().ok());
  }
}

TEST_F(DrainTest, AFileCutShortGivesNoRecordsAndNoSigbus) {
  for (std::uint64_t n = 1; n <= 3; ++n) app().put(0, span(n));
  drain_->begin_pass();
  file_->cut_to(app().region(shm::RegionKind::lane_data).offset);
  EXPECT_THAT(take(0, kNoBudget, false), IsEmpty());
  EXPECT_FALSE(broken_);
  EXPECT_EQ(segment_->condition(), SegmentCondition::poisoned);
  EXPECT_FALSE(drain_->begin_pass().readable);
  EXPECT_TRUE(drain_->drained());  // there is nothing more to be had
  drain_->abandon_lanes();
}

TEST_F(DrainTest, AnEndlessArenaIsNotBelieved) {
  app().process().strings_len.store(~0ull);
  app().put(0, make_span({.name = 1u << 30}));
  drain_->begin_pass();
  LaneRecords records = drain_->copy_lane(0, kNoBudget, buffer_);
  shm::RecordRef record;
  ASSERT_TRUE(records.next(record));
  EXPECT_EQ(decoder_->decode(record, 1).span->name, "<string 1073741824?>");
  EXPECT_LE(decoder_->strings().length(), 16384u);
}

// --- what comes along with a pass

TEST_F(DrainTest, StringsScopesAndTimesOfARecordAreThereWithIt) {
  const std::uint32_t name = app().intern("late name");
  const std::uint16_t scope = app().scope(Items().string(shm::kNameKey, "late scope"));
  const std::uint64_t before = shm::realtime_ns();
  const std::uint64_t now = shm::monotonic_ns();
  app().put(0, make_span({.name = name, .start = now, .end = now, .scope = scope}));
  const PassInfo info = drain_->begin_pass();
  LaneRecords records = drain_->copy_lane(0, kNoBudget, buffer_);
  shm::RecordRef record;
  ASSERT_TRUE(records.next(record));
  const Decoded decoded = decoder_->decode(record, info.observed_ns);
  EXPECT_EQ(decoded.span->name, "late name");
  EXPECT_EQ(decoder_->scope(decoded.scope).name, "late scope");
  EXPECT_GE(info.observed_ns, before);
  EXPECT_NEAR(static_cast<double>(decoded.span->start_ns), static_cast<double>(before), 1e6);
}

TEST_F(DrainTest, AbandonedLanesAreAtTheirHeads) {
  for (std::uint64_t n = 1; n <= 3; ++n) app().put(0, span(n));
  drain_->begin_pass();
  drain_->abandon_lanes();
  EXPECT_TRUE(drain_->drained());
  EXPECT_EQ(drain_->counts().skipped_bytes, 192u);
  EXPECT_EQ(app().tail(0).tail.load(), 192u);
}

// The real protocol, both sides at once: nothing is lost, doubled or torn.
TEST_F(DrainTest, AProducerThatWritesMeanwhileLosesNothing) {
  constexpr std::uint64_t kRecords = 20'000;
  app().take_lane(0);
  std::thread producer([this] {
    shm::RingProducer<std::uint64_t> ring{};
    ring.attach(app().ring(0), 4096, 0, 0, 0);
    ring.rang_bell();
    std::mt19937 random(7);
    std::vector<Blob> shapes;
    for (std::size_t padding = 0; padding < 16; ++padding) shapes.push_back(span(1, padding * 24));
    for (std::uint64_t n = 1; n <= kRecords; ++n) {
      Blob& record = shapes[random() % shapes.size()];
      std::memcpy(record.data() + offsetof(shm::SpanRecord, span_id), &n, sizeof n);
      while (!ring.fits(0, record.size())) {
        ring.refresh(app().tail(0).tail.load(std::memory_order_acquire));
        ring.rang_bell();
        if (!ring.fits(0, record.size())) std::this_thread::yield();
      }
      std::memcpy(ring.at_head(), record.data(), record.size());
      ring.head += record.size();
      app().lane(0).head.store(ring.head, std::memory_order_release);
    }
  });
  std::mt19937 random(11);
  std::uint64_t expected = 1;
  while (expected <= kRecords) {
    ASSERT_TRUE(drain_->begin_pass().readable) << segment_->trouble();
    LaneRecords records = drain_->copy_lane(0, random() % 6000, buffer_);
    shm::RecordRef record;
    bool moved = false;
    while (records.next(record)) {
      ASSERT_EQ(number_of(record), expected);
      ++expected;
      moved = true;
    }
    ASSERT_FALSE(records.broken());
    if (moved)
      drain_->commit(0, records.position());
    else
      std::this_thread::yield();
  }
  producer.join();
  EXPECT_TRUE(drain_->drained());
}

}  // namespace
}  // namespace tailrace::agent
