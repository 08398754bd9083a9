// SPDX-License-Identifier: Apache-2.0
#include "agent/tap/tap.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

#include "tests/agent/tap/views.hpp"

namespace tailrace::agent {
namespace {

using namespace test;

std::size_t take_all(Tap& tap) {
  TapLine line;
  std::size_t taken = 0;
  while (tap.take(line)) ++taken;
  return taken;
}

TEST(Tap, APointSeesTapsFromTheNextPassOnAndNoLonger) {
  TapHub hub;
  TapPoint point(hub);
  const auto tap = std::make_shared<Tap>(TapFilter{});
  point.refresh();
  EXPECT_FALSE(point.watched());
  hub.add(tap);
  EXPECT_FALSE(point.watched());
  point.refresh();
  ASSERT_TRUE(point.watched());
  point.see("shop", span_view("pay"));
  point.see("shop", log_view("paid"));
  point.see("shop", metric_view("payments"));
  EXPECT_EQ(take_all(*tap), 3u);
  hub.remove(tap.get());
  point.refresh();
  EXPECT_FALSE(point.watched());
}

TEST(Tap, EachTapGetsWhatItAskedFor) {
  TapHub hub;
  TapPoint point(hub);
  TapFilter slow;
  slow.slower_than_ns = 1'000'000;
  const auto all = std::make_shared<Tap>(TapFilter{});
  const auto few = std::make_shared<Tap>(slow);
  hub.add(all);
  hub.add(few);
  point.refresh();
  point.see("shop", span_view("fast", 10));
  point.see("shop", span_view("slow", 2'000'000));
  EXPECT_EQ(take_all(*all), 2u);
  TapLine line;
  ASSERT_TRUE(few->take(line));
  EXPECT_EQ(line.name(), "slow");
  EXPECT_FALSE(few->take(line));
  EXPECT_EQ(few->left_out(), 0u) << "what a filter keeps out is not missed";
}

TEST(Tap, AFullTapLeavesOutAndCounts) {
  TapHub hub;
  TapPoint point(hub);
  const auto tap = std::make_shared<Tap>(TapFilter{});
  hub.add(tap);
  point.refresh();
  for (std::size_t i = 0; i < 3 * Tap::kLines; ++i) point.see("shop", span_view("flood"));
  point.refresh();
  EXPECT_EQ(tap->left_out(), 2 * Tap::kLines);
  EXPECT_EQ(take_all(*tap), Tap::kLines);
  point.see("shop", span_view("again"));
  EXPECT_EQ(take_all(*tap), 1u);
}

// Four workers, one reader: every line is taken or counted, and the queue never holds more than it may.
TEST(Tap, EveryLineIsTakenOrCounted) {
  constexpr std::uint64_t kEach = 50'000;
  constexpr unsigned kWorkers = 4;
  TapHub hub;
  const auto tap = std::make_shared<Tap>(TapFilter{});
  hub.add(tap);
  std::atomic<unsigned> running{kWorkers};
  std::vector<std::thread> workers;
  for (unsigned i = 0; i < kWorkers; ++i) {
    workers.emplace_back([&] {
      TapPoint point(hub);
      while (!point.watched()) point.refresh();
      for (std::uint64_t n = 0; n < kEach; ++n) {
        if (n % 100 == 0) point.refresh();
        point.see("shop", span_view("work", n));
      }
      point.refresh();
      running.fetch_sub(1);
    });
  }
  std::uint64_t taken = 0;
  while (running.load() != 0) taken += take_all(*tap);
  for (std::thread& worker : workers) worker.join();
  taken += take_all(*tap);
  EXPECT_EQ(taken + tap->left_out(), kEach * kWorkers);
  EXPECT_GT(taken, 0u);
}

}  // namespace
}  // namespace tailrace::agent
