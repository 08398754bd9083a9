// SPDX-License-Identifier: Apache-2.0
// The ring against a model: random records of every priority through rings so small, with positions so
// narrow, that everything that can overflow does so thousands of times a second.
//
// The model is a deque of the records that were accepted and positions of 64 bits. Between two steps each
// side may see the other's position late, and garbage in its place.
#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>
#include <deque>
#include <random>
#include <type_traits>
#include <vector>

#include <tailrace/shm/record.hpp>
#include <tailrace/shm/ring.hpp>

#include "shm/reader/records.hpp"

namespace tailrace::shm {
namespace {

constexpr unsigned char kCanary = 0xC5;
constexpr std::size_t kCanaryBytes = 64;

struct Shape {
  std::size_t capacity;
  std::size_t max_record;
  std::size_t overrun;

  // The least that the proof in ring.hpp allows.
  std::size_t slack() const { return max_record - 8 + overrun; }
};

struct Entry {
  std::uint64_t position;
  std::vector<unsigned char> bytes;
};

template <class Pos>
class Model {
 public:
  Model(Shape shape, std::uint64_t seed, std::uint64_t start)
      : shape_(shape),
        memory_(shape.capacity + shape.slack() + kCanaryBytes, kCanary),
        random_(seed),
        head_(start),
        tail_(start),
        announced_head_(start),
        announced_tail_(start) {
    producer_.attach(memory_.data(), static_cast<Pos>(shape.capacity), static_cast<Pos>(start), static_cast<Pos>(start),
                     static_cast<Pos>(shape.overrun));
    consumer_.tail = static_cast<Pos>(start);
    consumer_.last_head = static_cast<Pos>(start);
  }

  void step() {
    switch (below(8)) {
      case 0:
      case 1:
      case 2:
      case 3: put(); break;
      case 4:
      case 5: drain(); break;
      case 6: garbage_tail(); break;
      default: garbage_head(); break;
    }
    ++steps_;
  }

  void finish() {
    late_head_ = false;
    for (int i = 0; i < 3; ++i) drain();
    EXPECT_TRUE(undrained_.empty());
    EXPECT_EQ(tail_, head_);
    for (std::size_t i = 0; i < kCanaryBytes; ++i) {
      ASSERT_EQ(memory_[shape_.capacity + shape_.slack() + i], kCanary) << "written behind the slack";
    }
  }

  std::uint64_t accepted = 0;
  std::uint64_t dropped = 0;
  std::uint64_t wrapped = 0;
  std::uint64_t full_to_the_byte = 0;
  std::uint64_t drained = 0;
  std::uint64_t refused_heads = 0;
  std::uint64_t bells = 0;

 private:
  std::size_t below(std::size_t n) { return static_cast<std::size_t>(random_() % n); }

  std::size_t reserve(std::size_t priority) const {
    const std::size_t reserves[kPriorities] = {0, shape_.capacity / 16, shape_.capacity / 4, shape_.capacity / 2};
    return reserves[priority];
  }

  void put() {
    const std::size_t sizes = shape_.max_record / 8 - 1;
    const std::size_t n = 16 + 8 * below(sizes);
    const std::size_t priority = below(kPriorities);
    bool fits = producer_.fits(priority, static_cast<Pos>(n));
    if (!fits) {
      producer_.refresh(static_cast<Pos>(announced_tail_));
      known_tail_is_announced_ = true;
      fits = producer_.fits(priority, static_cast<Pos>(n));
    }
    if (!fits && producer_.wants_bell() && below(2) == 0) {
      ++bells;
      producer_.rang_bell();
      fits = producer_.fits(priority, static_cast<Pos>(n));
    }
    if (known_tail_is_announced_) {
      std::size_t room = shape_.capacity - shape_.overrun;
      room = room > reserve(priority) ? room - reserve(priority) : 0;
      if (producer_.wants_bell() && room > shape_.capacity / 2) room = shape_.capacity / 2;
      ASSERT_EQ(fits, head_ - announced_tail_ + n <= room)
          << "priority " << priority << " size " << n << " head " << head_ << " tail " << announced_tail_;
    }
    if (!fits) {
      ++dropped;
      return;
    }
    write(n);
  }

  void write(std::size_t n) {
    Entry entry{head_, std::vector<unsigned char>(n)};
    for (auto& byte : entry.bytes) byte = static_cast<unsigned char>(random_());
    const std::uint64_t word =
        header_word(static_cast<std::uint32_t>(n), RecordType::log, 0, static_cast<std::uint8_t>(accepted));
    std::memcpy(entry.bytes.data(), &word, sizeof word);

    unsigned char* to = producer_.at_head();
    ASSERT_EQ(static_cast<std::size_t>(to - memory_.data()), head_ % shape_.capacity);
    std::memcpy(to, entry.bytes.data(), n);
    std::memset(to + n, 0xEE, shape_.overrun);
    if (head_ % shape_.capacity + n > shape_.capacity) ++wrapped;
    producer_.head = static_cast<Pos>(producer_.head + n);
    head_ += n;
    if (head_ - tail_ == shape_.capacity) ++full_to_the_byte;
    undrained_.push_back(std::move(entry));
    announced_head_ = head_;
    ++accepted;
    check_memory();
  }

  // Nothing that was accepted and not given back may have changed, wherever it lies.
  void check_memory() {
    for (const Entry& entry : undrained_) {
      ASSERT_EQ(std::memcmp(memory_.data() + entry.position % shape_.capacity, entry.bytes.data(), entry.bytes.size()),
                0)
          << "record at " << entry.position << " damaged, head " << head_;
    }
  }

  void drain() {
    std::uint64_t head = announced_head_;
    // A load may be late: any record boundary between the last head believed and now.
    if (late_head_ && !undrained_.empty() && below(3) == 0) head = undrained_[below(undrained_.size())].position;
    const Pos seen = static_cast<Pos>(head);
    ASSERT_TRUE(consumer_.believable(seen, static_cast<Pos>(shape_.capacity)));
    const RingRuns runs = RingConsumer<Pos>::runs(consumer_.tail, seen, static_cast<Pos>(shape_.capacity),
                                                  static_cast<Pos>(shape_.slack()));
    ASSERT_LE(runs.first.offset + runs.first.length, shape_.capacity + shape_.slack());
    ASSERT_LE(runs.second.offset + runs.second.length, shape_.capacity);
    const std::vector<std::uint8_t> first(
        memory_.begin() + static_cast<std::ptrdiff_t>(runs.first.offset),
        memory_.begin() + static_cast<std::ptrdiff_t>(runs.first.offset + runs.first.length));
    const std::vector<std::uint8_t> second(memory_.begin(),
                                           memory_.begin() + static_cast<std::ptrdiff_t>(runs.second.length));
    RecordCursor cursor({first.data(), first.size()}, {second.data(), second.size()}, runs.to_boundary, tail_,
                        static_cast<std::uint32_t>(shape_.max_record));
    RecordRef record;
    Next next = cursor.next(record);
    for (; next == Next::found; next = cursor.next(record)) {
      ASSERT_FALSE(undrained_.empty());
      const Entry& wanted = undrained_.front();
      ASSERT_EQ(record.position, wanted.position);
      ASSERT_EQ(record.bytes.size, wanted.bytes.size());
      ASSERT_EQ(std::memcmp(record.bytes.data, wanted.bytes.data(), wanted.bytes.size()), 0);
      undrained_.pop_front();
      ++drained;
    }
    ASSERT_EQ(next, Next::end);
    ASSERT_EQ(cursor.position(), head);
    consumer_.tail = seen;
    consumer_.last_head = seen;
    tail_ = head;
    if (below(4) != 0) {  // otherwise the store is seen later
      announced_tail_ = tail_;
      known_tail_is_announced_ = false;
    }
  }

  // A tail that cannot be true changes nothing.
  void garbage_tail() {
    const Pos lie = static_cast<Pos>(random_());
    const Pos before = producer_.tail;
    const bool possible = lie % 8 == 0 && static_cast<Pos>(lie - before) <= static_cast<Pos>(producer_.head - before);
    if (possible) return;
    producer_.refresh(lie);
    ASSERT_EQ(producer_.tail, before);
    check_memory();
  }

  // A head that cannot be true is refused.
  void garbage_head() {
    const Pos lie = static_cast<Pos>(random_());
    const Pos ahead = static_cast<Pos>(lie - consumer_.tail);
    const bool possible =
        lie % 8 == 0 && ahead <= shape_.capacity && ahead >= static_cast<Pos>(consumer_.last_head - consumer_.tail);
    ASSERT_EQ(consumer_.believable(lie, static_cast<Pos>(shape_.capacity)), possible);
    if (!possible) ++refused_heads;
  }

  Shape shape_;
  std::vector<unsigned char> memory_;
  std::mt19937_64 random_;
  RingProducer<Pos> producer_{};
  RingConsumer<Pos> consumer_{};
  std::deque<Entry> undrained_;
  std::uint64_t head_;  // the model's positions never wrap
  std::uint64_t tail_;
  std::uint64_t announced_head_;
  std::uint64_t announced_tail_;
  bool known_tail_is_announced_ = true;
  bool late_head_ = true;
  std::uint64_t steps_ = 0;
};

template <class Pos>
void run(Shape shape, std::uint64_t steps, std::uint64_t start = 0) {
  Model<Pos> model(shape, 42 + shape.overrun, start);
  for (std::uint64_t i = 0; i < steps; ++i) {
    model.step();
    if (testing::Test::HasFatalFailure()) FAIL() << "step " << i;
  }
  model.finish();
  EXPECT_EQ(model.accepted, model.drained);
  // The test would prove nothing if these did not happen.
  EXPECT_GT(model.accepted, steps / 20);
  EXPECT_GT(model.dropped, 0u);
  EXPECT_GT(model.wrapped, 0u);
  EXPECT_GT(model.refused_heads, 0u);
  EXPECT_GT(model.bells, 0u);
  if (shape.overrun == 0) {
    EXPECT_GT(model.full_to_the_byte, 0u);
  } else {
    EXPECT_EQ(model.full_to_the_byte, 0u);
  }
}

TEST(RingModelTest, EightBitPositionsInSixtyFourBytesAgreeWithADeque) { run<std::uint8_t>({64, 24, 0}, 600000); }
TEST(RingModelTest, EightBitPositionsAgreeWhenCopiesOverrunByEight) { run<std::uint8_t>({64, 24, 8}, 600000); }
TEST(RingModelTest, RecordsOfHalfTheRingAgreeWithADeque) { run<std::uint8_t>({64, 32, 0}, 300000); }
TEST(RingModelTest, SixteenBitPositionsInSixtyFourBytesAgreeWithADeque) { run<std::uint16_t>({64, 24, 8}, 300000); }
TEST(RingModelTest, SixteenBitPositionsInALargerRingAgreeWithADeque) { run<std::uint16_t>({4096, 512, 0}, 300000); }
TEST(RingModelTest, OverrunOfALineInALargerRingAgreesWithADeque) { run<std::uint16_t>({4096, 512, 64}, 300000); }
TEST(RingModelTest, SixtyFourBitPositionsPassTheirOwnEnd) {
  run<std::uint64_t>({1024, 256, 64}, 300000, ~std::uint64_t{0} - 8191);
}

class RingProducerTest : public testing::Test {
 protected:
  RingProducerTest() { producer.attach(memory, 1024, 0, 0, 0); }
  void fill(std::uint64_t n) { producer.head += n; }

  unsigned char memory[1024 + 256] = {};
  RingProducer<std::uint64_t> producer{};
};

TEST_F(RingProducerTest, ZeroFilledStateHasNoRoom) {
  const RingProducer<std::uint64_t> zero{};
  for (std::size_t p = 0; p < kPriorities; ++p) EXPECT_FALSE(zero.fits(p, 16));
}

TEST_F(RingProducerTest, HalfTheRingIsAllThereIsBeforeTheBell) {
  fill(512);
  EXPECT_FALSE(producer.fits(0, 16));
  EXPECT_TRUE(producer.wants_bell());
  producer.rang_bell();
  EXPECT_TRUE(producer.fits(0, 512));
  EXPECT_FALSE(producer.fits(0, 520));
}

TEST_F(RingProducerTest, EachPriorityLeavesItsReserve) {
  producer.rang_bell();
  EXPECT_TRUE(producer.fits(0, 1024));
  EXPECT_TRUE(producer.fits(1, 960));
  EXPECT_FALSE(producer.fits(1, 968));
  EXPECT_TRUE(producer.fits(2, 768));
  EXPECT_FALSE(producer.fits(2, 776));
  EXPECT_TRUE(producer.fits(3, 512));
  EXPECT_FALSE(producer.fits(3, 520));
}

TEST_F(RingProducerTest, ANewTailMayNeedTheBellAgain) {
  producer.rang_bell();
  fill(1024);
  producer.refresh(512);
  EXPECT_TRUE(producer.wants_bell());
  EXPECT_FALSE(producer.fits(0, 16));
}

TEST_F(RingProducerTest, TailBeyondHeadBehindItselfOrBetweenWordsIsIgnored) {
  producer.rang_bell();
  fill(512);
  producer.refresh(256);
  for (const std::uint64_t lie :
       {std::uint64_t{520}, std::uint64_t{248}, std::uint64_t{260}, ~std::uint64_t{7}, std::uint64_t{1} << 63}) {
    producer.refresh(lie);
    EXPECT_EQ(producer.tail, 256u) << lie;
  }
}

TEST(RingConsumerTest, HeadMayNotGoBackwardsOrFurtherThanARing) {
  RingConsumer<std::uint64_t> consumer{128, 256};
  EXPECT_TRUE(consumer.believable(256, 1024));
  EXPECT_TRUE(consumer.believable(1152, 1024));
  EXPECT_FALSE(consumer.believable(1160, 1024));
  EXPECT_FALSE(consumer.believable(248, 1024));
  EXPECT_FALSE(consumer.believable(120, 1024));
  EXPECT_FALSE(consumer.believable(260, 1024));
}

TEST(RingConsumerTest, RangeThatEndsAtTheRingsEndIsOneRun) {
  const RingRuns runs = RingConsumer<std::uint64_t>::runs(1024 * 5 + 512, 1024 * 6, 1024, 256);
  EXPECT_EQ(runs.first.offset, 512u);
  EXPECT_EQ(runs.first.length, 512u);
  EXPECT_EQ(runs.second.length, 0u);
}

TEST(RingConsumerTest, RangeThatPassesTheEndCopiesNoMoreSlackThanItCanReach) {
  const RingRuns runs = RingConsumer<std::uint64_t>::runs(1000, 1040, 1024, 256);
  EXPECT_EQ(runs.first.length, 24u + 16u);
  EXPECT_EQ(runs.second.length, 16u);
  EXPECT_EQ(runs.to_boundary, 24u);
  EXPECT_EQ(RingConsumer<std::uint64_t>::runs(1000, 2000, 1024, 256).first.length, 24u + 256u);
}

}  // namespace
}  // namespace tailrace::shm
