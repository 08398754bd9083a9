// SPDX-License-Identifier: Apache-2.0
#include "agent/drain/waiter.hpp"

#include <gtest/gtest.h>
#include <linux/futex.h>
#include <sys/syscall.h>

#include <climits>
#include <ctime>
#include <thread>

#include "tests/agent/discover/segment_file.hpp"

namespace tailrace::agent {
namespace {

using namespace std::chrono_literals;
using std::chrono::steady_clock;
using test::attach;
using test::open_directory;
using test::segment_name;
using test::SegmentFile;

constexpr auto kLong = 60s;  // a test that sleeps that long has failed
constexpr auto kSoon = 30s;

class WaiterTest : public ::testing::Test {
 protected:
  WaiterTest() { waiter_.add(*segment_); }

  // As the shim rings.
  static void ring(SegmentFile& file) {
    std::atomic<std::uint32_t>& bell = file->process().doorbell;
    bell.fetch_add(1, std::memory_order_release);
    ::syscall(SYS_futex, &bell, FUTEX_WAKE, INT_MAX, nullptr, nullptr, 0);
  }
  void wait_until_asleep() {
    while (file_->operator*().control().flush.agent_sleeping.load() == 0) std::this_thread::sleep_for(1ms);
    std::this_thread::sleep_for(20ms);
  }

  test::TemporaryDirectory temporary_;
  std::unique_ptr<Directory> directory_ = open_directory(temporary_.path());
  std::unique_ptr<SegmentFile> file_ = std::make_unique<SegmentFile>(temporary_.in(segment_name(1)));
  std::unique_ptr<AttachedSegment> segment_ = attach(*directory_, segment_name(1));
  Waiter waiter_;
};

TEST_F(WaiterTest, SleepsUntilTimeIsUp) {
  waiter_.prepare();
  const auto started = steady_clock::now();
  EXPECT_EQ(waiter_.wait(30ms), Waiter::Woken::timeout);
  EXPECT_GE(steady_clock::now() - started, 30ms);
}

TEST_F(WaiterTest, ADoorbellWakesIt) {
  waiter_.prepare();
  std::thread app([this] {
    wait_until_asleep();
    ring(*file_);
  });
  const auto started = steady_clock::now();
  EXPECT_EQ(waiter_.wait(kLong), Waiter::Woken::doorbell);
  EXPECT_LT(steady_clock::now() - started, kSoon);
  app.join();
  EXPECT_EQ((*file_)->control().flush.agent_sleeping.load(), 0u);
}

TEST_F(WaiterTest, ABellRungBetweenPrepareAndWaitIsNotLost) {
  waiter_.prepare();
  ring(*file_);
  const auto started = steady_clock::now();
  EXPECT_EQ(waiter_.wait(kLong), Waiter::Woken::doorbell);
  EXPECT_LT(steady_clock::now() - started, kSoon);
}

TEST_F(WaiterTest, WakeWakesItFromAnotherThreadAndBeforehand) {
  waiter_.prepare();
  std::thread other([this] {
    wait_until_asleep();
    waiter_.wake();
  });
  EXPECT_EQ(waiter_.wait(kLong), Waiter::Woken::wake);
  other.join();
  waiter_.prepare();
  waiter_.wake();
  EXPECT_EQ(waiter_.wait(kLong), Waiter::Woken::wake);
}

TEST_F(WaiterTest, InANapBellsAreNotHeardAndAskForNoSystemCall) {
  waiter_.prepare();
  ring(*file_);
  const auto started = steady_clock::now();
  waiter_.nap(30ms);
  EXPECT_GE(steady_clock::now() - started, 30ms);
  EXPECT_EQ((*file_)->control().flush.agent_sleeping.load(), 0u);
  EXPECT_EQ(waiter_.wait(kLong), Waiter::Woken::doorbell) << "but heard afterwards";
}

TEST_F(WaiterTest, ANapEndsWhenSomebodyWakesIt) {
  waiter_.prepare();
  waiter_.wake();
  const auto started = steady_clock::now();
  waiter_.nap(kLong);
  std::thread other([this] {
    std::this_thread::sleep_for(20ms);
    waiter_.wake();
  });
  waiter_.nap(kLong);
  EXPECT_LT(steady_clock::now() - started, kSoon);
  other.join();
}

TEST_F(WaiterTest, WithoutWaitvItPolls) {
  waiter_.poll_only();
  waiter_.prepare();
  std::thread app([this] {
    wait_until_asleep();
    (*file_)->process().doorbell.fetch_add(1);  // and no wake
  });
  EXPECT_EQ(waiter_.wait(kLong), Waiter::Woken::doorbell);
  app.join();
  waiter_.prepare();
  EXPECT_EQ(waiter_.wait(30ms), Waiter::Woken::timeout);
}

TEST_F(WaiterTest, TheBellsOfMoreSegmentsThanOneCallTakesAreHeard) {
  std::vector<std::unique_ptr<SegmentFile>> files;
  std::vector<std::unique_ptr<AttachedSegment>> segments;
  for (unsigned i = 2; i < 142; ++i) {
    files.push_back(std::make_unique<SegmentFile>(temporary_.in(segment_name(i))));
    segments.push_back(attach(*directory_, segment_name(i)));
    waiter_.add(*segments.back());
  }
  for (const std::size_t which : {std::size_t{0}, files.size() - 1}) {
    waiter_.prepare();
    std::thread app([&, which] {
      wait_until_asleep();
      ring(*files[which]);
    });
    const auto started = steady_clock::now();
    EXPECT_EQ(waiter_.wait(kLong), Waiter::Woken::doorbell) << which;
    EXPECT_LT(steady_clock::now() - started, kSoon);
    app.join();
  }
  for (const auto& segment : segments) waiter_.remove(*segment);
}

TEST_F(WaiterTest, ASegmentThatIsRemovedIsNotListenedTo) {
  waiter_.remove(*segment_);
  segment_.reset();
  waiter_.prepare();
  ring(*file_);
  EXPECT_EQ(waiter_.wait(20ms), Waiter::Woken::timeout);
}

// A file that is cut short must not turn the sleep into a busy loop.
TEST_F(WaiterTest, ASegmentCutShortDoesNotKeepItAwake) {
  file_->cut_to(0);
  const std::clock_t before = std::clock();
  const auto started = steady_clock::now();
  for (int i = 0; i < 5; ++i) {
    waiter_.prepare();
    waiter_.wait(30ms);
  }
  EXPECT_GE(steady_clock::now() - started, 100ms);
  EXPECT_LT(std::clock() - before, CLOCKS_PER_SEC / 20);
}

TEST(PollPaceTest, StartsAtOneMillisecondDoublesToFiftyAndRestsAtAHundred) {
  PollPace pace;
  EXPECT_EQ(pace.next(), 1ms);
  EXPECT_EQ(pace.next(), 2ms);
  for (int i = 0; i < 10; ++i) static_cast<void>(pace.next());
  EXPECT_EQ(pace.next(), 50ms);
  for (int i = 0; i < 2 * 60 * 20; ++i) static_cast<void>(pace.next());
  EXPECT_EQ(pace.next(), 100ms);
  pace.found_work();
  EXPECT_EQ(pace.next(), 1ms);
}

}  // namespace
}  // namespace tailrace::agent
