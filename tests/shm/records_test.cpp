// SPDX-License-Identifier: Apache-2.0
// RecordCursor: what is lost when a size lies, and that nothing else is.
#include <gtest/gtest.h>

#include <vector>

#include "shm/reader/records.hpp"
#include "tests/shm/segment_builder.hpp"

namespace tailrace::shm {
namespace {

using test::Blob;
using test::Items;
using test::make_log;
using test::make_span;
using test::make_thread;

constexpr std::uint32_t kMax = 960;

class RecordsTest : public testing::Test {
 protected:
  void put(const Blob& record) { run.insert(run.end(), record.begin(), record.end()); }
  RecordCursor cursor() const { return RecordCursor(test::bytes_of(run), {}, run.size(), 4096, kMax); }
  void set_size(std::size_t at, std::uint32_t size) { std::memcpy(run.data() + at, &size, sizeof size); }

  // How many records are found before the end (true) or a break (false).
  std::pair<int, bool> read() const {
    RecordCursor all = cursor();
    RecordRef record;
    int found = 0;
    for (;;) {
      switch (all.next(record)) {
        case Next::found: ++found; break;
        case Next::end: return {found, true};
        case Next::broken:
          EXPECT_EQ(all.next(record), Next::broken) << "a broken chain stays broken";
          return {found, false};
      }
    }
  }
  void three_records() {
    put(make_thread(7, "t"));
    put(make_log({.body = 70}));
    put(make_span({.name = 71}));
  }
  static constexpr std::size_t kSecond = 32;

  Blob run;
};

TEST_F(RecordsTest, EmptyRunEnds) { EXPECT_EQ(read(), std::make_pair(0, true)); }

TEST_F(RecordsTest, RecordsComeInOrderWithTheirPositions) {
  three_records();
  RecordCursor all = cursor();
  RecordRef record;
  ASSERT_EQ(all.next(record), Next::found);
  EXPECT_EQ(record.type, RecordType::thread);
  EXPECT_EQ(record.position, 4096u);
  EXPECT_EQ(record.next_position, 4096u + 32);
  ASSERT_EQ(all.next(record), Next::found);
  EXPECT_EQ(record.type, RecordType::log);
  EXPECT_EQ(record.priority(), 2);
  ASSERT_EQ(all.next(record), Next::found);
  SpanRecord span;
  ASSERT_TRUE(record.fixed(span));
  EXPECT_EQ(span.name, 71u);
  EXPECT_EQ(record.next_position, all.position());
  EXPECT_EQ(all.next(record), Next::end);
}

TEST_F(RecordsTest, UnknownTypeIsARecordLikeAnyOther) {
  three_records();
  run[kSecond + 4] = 0xFF;
  run[kSecond + 5] = 0xFF;
  EXPECT_EQ(read(), std::make_pair(3, true));
}

TEST_F(RecordsTest, SizeThatIsNoMultipleOfEightBreaksTheChain) {
  three_records();
  set_size(kSecond, 49);
  EXPECT_EQ(read(), std::make_pair(1, false));
}
TEST_F(RecordsTest, SizeZeroBreaksTheChain) {
  three_records();
  set_size(kSecond, 0);
  EXPECT_EQ(read(), std::make_pair(1, false));
}
TEST_F(RecordsTest, SizeOfAHeaderAloneBreaksTheChain) {
  three_records();
  set_size(kSecond, 8);
  EXPECT_EQ(read(), std::make_pair(1, false));
}
TEST_F(RecordsTest, SizeBeyondTheLargestRecordBreaksTheChain) {
  put(Blob(2048));
  set_size(0, kMax + 8);
  EXPECT_EQ(read(), std::make_pair(0, false));
  set_size(0, 0xFFFFFFF8);
  EXPECT_EQ(read(), std::make_pair(0, false));
}
TEST_F(RecordsTest, SizeBeyondWhatIsLeftBreaksTheChain) {
  three_records();
  set_size(run.size() - 64, 72);
  EXPECT_EQ(read(), std::make_pair(2, false));
}
TEST_F(RecordsTest, BreakSaysWhere) {
  three_records();
  set_size(kSecond, 12);
  RecordCursor all = cursor();
  RecordRef record;
  ASSERT_EQ(all.next(record), Next::found);
  ASSERT_EQ(all.next(record), Next::broken);
  EXPECT_EQ(all.position(), 4096u + kSecond);
  EXPECT_EQ(all.remaining(), 48u + 64u);
}

TEST_F(RecordsTest, RunCutAnywhereLosesOnlyWhatWasCut) {
  three_records();
  const Blob whole = run;
  for (std::size_t size = 0; size < whole.size(); ++size) {
    run.assign(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size));
    const int wanted = size >= 80 ? 2 : size >= 32 ? 1 : 0;
    EXPECT_EQ(read(), std::make_pair(wanted, size == 0 || size == 32 || size == 80)) << size;
  }
}

TEST_F(RecordsTest, EveryFlippedByteOfASizeIsFoundOrHarmless) {
  three_records();
  const Blob whole = run;
  for (std::size_t at = 0; at < whole.size(); ++at) {
    for (int bit = 0; bit < 8; ++bit) {
      run = whole;
      run[at] = static_cast<std::uint8_t>(run[at] ^ (1u << bit));
      const auto [found, whole_chain] = read();
      EXPECT_LE(found, 3);
      if (whole_chain && found != 3) {
        EXPECT_TRUE(at % 16 < 4) << "only a size can change how many records there are";
      }
    }
  }
}

TEST_F(RecordsTest, RecordTooShortForItsTypeIsFoundButHasNoFixedPart) {
  put(make_log({}));
  run[4] = static_cast<std::uint8_t>(RecordType::span);
  RecordCursor all = cursor();
  RecordRef record;
  ASSERT_EQ(all.next(record), Next::found);
  SpanRecord span;
  EXPECT_FALSE(record.fixed(span));
  EXPECT_EQ(all.next(record), Next::end);
}

TEST_F(RecordsTest, FlagsSayPriorityAndClocks) {
  put(make_span({.flags = test::flags_of(Priority::background, TimeClock::realtime, TimeClock::monotonic)}));
  RecordCursor all = cursor();
  RecordRef record;
  ASSERT_EQ(all.next(record), Next::found);
  EXPECT_EQ(record.priority(), 3);
  EXPECT_EQ(record.start_clock(), TimeClock::realtime);
  EXPECT_EQ(record.end_clock(), TimeClock::monotonic);
}

// A ring of 256 with the record at 232 running 24 bytes into the slack.
class RecordsAcrossTheEndTest : public testing::Test {
 protected:
  RecordsAcrossTheEndTest() {
    const Blob thread = make_thread(1, "x");    // 32 bytes at 200
    const Blob log = make_log({.body = 70});    // 48 bytes at 232: 24 of them in the slack
    const Blob span = make_span({.name = 71});  // 64 bytes at 280 = index 24
    first = thread;
    first.insert(first.end(), log.begin(), log.end());
    second.assign(24, 0xEE);  // skipped
    second.insert(second.end(), span.begin(), span.end());
  }
  Blob first;
  Blob second;
  static constexpr std::size_t kToBoundary = 56;
};

TEST_F(RecordsAcrossTheEndTest, RecordInTheSlackIsContiguousAndItsBytesAtTheStartAreSkipped) {
  RecordCursor all(test::bytes_of(first), test::bytes_of(second), kToBoundary, 200, kMax);
  RecordRef record;
  ASSERT_EQ(all.next(record), Next::found);
  ASSERT_EQ(all.next(record), Next::found);
  EXPECT_EQ(record.type, RecordType::log);
  EXPECT_EQ(record.position, 232u);
  EXPECT_EQ(record.bytes.size, 48u);
  ASSERT_EQ(all.next(record), Next::found);
  EXPECT_EQ(record.type, RecordType::span);
  EXPECT_EQ(record.position, 280u);
  EXPECT_EQ(all.next(record), Next::end);
  EXPECT_EQ(all.position(), 344u);
}

TEST_F(RecordsAcrossTheEndTest, RecordBeyondTheCopiedSlackBreaksTheChain) {
  first.erase(first.end() - 8, first.end());
  RecordCursor all(test::bytes_of(first), test::bytes_of(second), kToBoundary, 200, kMax);
  RecordRef record;
  ASSERT_EQ(all.next(record), Next::found);
  EXPECT_EQ(all.next(record), Next::broken);
}

TEST_F(RecordsAcrossTheEndTest, RecordThatEndsAtTheRingsEndIsFollowedByTheStart) {
  const Blob whole = make_log({.body = 70});
  const Blob after = make_thread(2, "y");
  RecordCursor all(test::bytes_of(whole), test::bytes_of(after), whole.size(), 208, kMax);
  RecordRef record;
  ASSERT_EQ(all.next(record), Next::found);
  ASSERT_EQ(all.next(record), Next::found);
  EXPECT_EQ(record.position, 256u);
  EXPECT_EQ(record.type, RecordType::thread);
  EXPECT_EQ(all.next(record), Next::end);
}

TEST_F(RecordsAcrossTheEndTest, SizesThatJumpOverTheWholeSecondRunBreakTheChain) {
  std::uint32_t size = 240;
  std::memcpy(first.data() + 32, &size, sizeof size);
  RecordCursor all(test::bytes_of(first), test::bytes_of(second), kToBoundary, 200, kMax);
  RecordRef record;
  ASSERT_EQ(all.next(record), Next::found);
  EXPECT_EQ(all.next(record), Next::broken);
}

}  // namespace
}  // namespace tailrace::shm
