// SPDX-License-Identifier: Apache-2.0
//
// Waits between attempts: otlp-B1 (exponential with jitter), otlp-B2 (the destination's delay),
// otlp-B4 (a throttle signal slows the whole destination).
#include "agent/export/backoff.hpp"

#include <chrono>
#include <gtest/gtest.h>
#include <set>

#include "agent/base/random.hpp"
#include "agent/export/gate.hpp"

namespace tailrace::agent {
namespace {

using namespace std::chrono_literals;
using std::chrono::nanoseconds;

constexpr double kAlmostOne = 1.0 - 0x1.0p-53;

TEST(BackoffTest, otlp_B1_BoundDoublesUpToTheCap) {
  Backoff lowest;
  Backoff highest;
  const std::vector<nanoseconds> bounds = {2s, 4s, 8s, 16s, 30s, 30s, 30s};
  for (const nanoseconds bound : bounds) {
    EXPECT_EQ(lowest.fail(std::nullopt, 0.0), 1s);
    const nanoseconds longest = highest.fail(std::nullopt, kAlmostOne);
    EXPECT_LE(longest, bound);
    EXPECT_GT(longest, bound - 1ms);
  }
}

TEST(BackoffTest, otlp_B1_WaitsAreSpreadOverTheWholeRange) {
  Random random(1);
  Backoff backoff;
  for (int i = 0; i < 4; ++i) {
    static_cast<void>(backoff.fail(std::nullopt, random.unit()));
  }
  std::set<std::int64_t> eighths;
  for (int i = 0; i < 1000; ++i) {
    Backoff one = backoff;
    const nanoseconds wait = one.fail(std::nullopt, random.unit());  // 1 s … 30 s
    ASSERT_GE(wait, 1s);
    ASSERT_LT(wait, 30s);
    eighths.insert((wait - 1s) * 8 / 29s);
  }
  EXPECT_EQ(eighths.size(), 8u);
}

TEST(BackoffTest, otlp_B2_DestinationsDelayIsAFloorWithAtMostAFifthOnTop) {
  Backoff backoff;
  EXPECT_EQ(backoff.fail(5s, 0.0), 5s);
  const nanoseconds longest = backoff.fail(5s, kAlmostOne);
  EXPECT_LE(longest, 6s);
  EXPECT_GT(longest, 6s - 1ms);
}

TEST(BackoffTest, otlp_B2_LaterFailuresGrowFromTheDestinationsDelay) {
  Backoff backoff;
  static_cast<void>(backoff.fail(5s, 0.5));
  EXPECT_EQ(backoff.fail(std::nullopt, 0.0), 5s);
  EXPECT_GT(backoff.fail(std::nullopt, kAlmostOne), 19s);  // 5 s · 2²
  EXPECT_GT(backoff.fail(std::nullopt, kAlmostOne), 29s);  // the cap
}

TEST(BackoffTest, otlp_B2_DelayAboveTheCapIsKept) {
  Backoff backoff;
  EXPECT_GE(backoff.fail(120s, 0.0), 120s);
  EXPECT_GE(backoff.fail(std::nullopt, 0.0), 120s);
}

TEST(BackoffTest, SuccessMakesTheNextFailureAFirstOne) {
  Backoff backoff;
  for (int i = 0; i < 5; ++i) {
    static_cast<void>(backoff.fail(60s, 0.5));
  }
  backoff.reset();
  EXPECT_LT(backoff.fail(std::nullopt, kAlmostOne), 2s);
}

TEST(BackoffTest, MicrosecondsOfDelayDoNotMakeItSpin) {
  Backoff backoff;
  EXPECT_GE(backoff.fail(nanoseconds(1), 0.0), kShortestDelay);
  EXPECT_GE(backoff.fail(std::nullopt, 0.0), kShortestDelay);
}

TEST(BackoffTest, AnyNumberOfFailuresStaysAtTheCap) {
  EXPECT_LE(jittered_delay(0xffffffffu, {}, kAlmostOne), 30s);
  EXPECT_GE(jittered_delay(0xffffffffu, {}, 0.0), 1s);
}

class GateTest : public ::testing::Test {
 protected:
  using Entry = Gate::Entry;

  static Answer delivered() {
    Answer answer;
    answer.kind = AnswerKind::delivered;
    return answer;
  }
  static Answer retry(int code, std::optional<std::chrono::milliseconds> delay = std::nullopt) {
    Answer answer;
    answer.kind = AnswerKind::retry;
    answer.code = code;
    answer.retry_delay = delay;
    return answer;
  }

  Gate gate;
  Gate::Time now{100s};
};

TEST_F(GateTest, otlp_B4_ThrottleClosesTheWholeDestinationUntilTheDelayIsOver) {
  const Entry entry = gate.enter(now);
  ASSERT_EQ(entry, Entry::normal);
  gate.settle(entry, retry(grpc_code::kResourceExhausted, 4s), now, 0.0);
  EXPECT_EQ(gate.enter(now), Entry::refused);
  EXPECT_EQ(gate.enter(now + 3999ms), Entry::refused);
  EXPECT_EQ(gate.opens_at(now), now + 4s);
  EXPECT_EQ(gate.enter(now + 4s), Entry::probe);
}

TEST_F(GateTest, otlp_B4_DelayIsSpreadByAtMostAFifth) {
  gate.settle(gate.enter(now), retry(grpc_code::kUnavailable, 10s), now, kAlmostOne);
  EXPECT_GT(gate.opens_at(now), now + 11999ms);
  EXPECT_LE(gate.opens_at(now), now + 12s);
}

TEST_F(GateTest, OneProbeAloneEntersAtTheEnd) {
  gate.settle(gate.enter(now), retry(grpc_code::kUnavailable, 1s), now, 0.0);
  now += 1s;
  const Entry probe = gate.enter(now);
  ASSERT_EQ(probe, Entry::probe);
  EXPECT_EQ(gate.enter(now), Entry::refused);
  EXPECT_EQ(gate.opens_at(now), Gate::Time::max());
  gate.settle(probe, delivered(), now, 0.0);
  EXPECT_EQ(gate.enter(now), Entry::normal);
  EXPECT_EQ(gate.enter(now), Entry::normal);
}

TEST_F(GateTest, FailedProbeClosesAgainForLonger) {
  gate.settle(gate.enter(now), retry(grpc_code::kUnavailable), now, kAlmostOne);
  const auto first = gate.opens_at(now) - now;
  now = gate.opens_at(now);
  gate.settle(gate.enter(now), retry(grpc_code::kDeadlineExceeded), now, kAlmostOne);
  const auto second = gate.opens_at(now) - now;
  EXPECT_GT(second, first + 1s);
}

TEST_F(GateTest, DroppedProbeOpensBecauseTheDestinationAnswered) {
  gate.settle(gate.enter(now), retry(grpc_code::kUnavailable), now, 0.0);
  now = gate.opens_at(now);
  Answer drop;
  drop.code = grpc_code::kInvalidArgument;
  gate.settle(gate.enter(now), drop, now, 0.0);
  EXPECT_TRUE(gate.open());
}

TEST_F(GateTest, RetryableAnswerOfOneRequestLeavesTheOthersAlone) {
  for (const int code : {grpc_code::kAborted, grpc_code::kCancelled, grpc_code::kDataLoss, grpc_code::kOutOfRange,
                         grpc_code::kDeadlineExceeded}) {
    gate.settle(gate.enter(now), retry(code), now, 0.5);
    EXPECT_TRUE(gate.open()) << grpc_code_name(code);
  }
}

TEST_F(GateTest, RequestsThatFailTogetherCountOnce) {
  std::vector<Entry> entries;
  for (int i = 0; i < 8; ++i) {
    entries.push_back(gate.enter(now));
  }
  for (const Entry entry : entries) {
    gate.settle(entry, retry(grpc_code::kUnavailable), now, kAlmostOne);
  }
  EXPECT_LT(gate.opens_at(now), now + 2s);
}

TEST_F(GateTest, LaterAnswerProlongsADelayTheDestinationGives) {
  const Entry early = gate.enter(now);
  const Entry late = gate.enter(now);
  gate.settle(early, retry(grpc_code::kUnavailable, 1s), now, 0.0);
  gate.settle(late, retry(grpc_code::kUnavailable, 9s), now, 0.0);
  EXPECT_EQ(gate.opens_at(now), now + 9s);
}

TEST_F(GateTest, LateSuccessDoesNotOpenWhatTheDestinationClosed) {
  const Entry early = gate.enter(now);
  const Entry late = gate.enter(now);
  gate.settle(early, retry(grpc_code::kUnavailable, 5s), now, 0.0);
  gate.settle(late, delivered(), now, 0.0);
  EXPECT_EQ(gate.enter(now), Entry::refused);
}

TEST_F(GateTest, ProbeThatWasNotSentLeavesTheTurnToTheNext) {
  gate.settle(gate.enter(now), retry(grpc_code::kUnavailable), now, 0.0);
  now = gate.opens_at(now);
  gate.abandon(gate.enter(now));
  EXPECT_EQ(gate.enter(now), Entry::probe);
}

TEST_F(GateTest, ConnectionThatComesBackEndsOurOwnWaitOnly) {
  gate.settle(gate.enter(now), retry(grpc_code::kUnavailable), now, 0.5);
  gate.link_up(now);
  const Entry probe = gate.enter(now);
  ASSERT_EQ(probe, Entry::probe);
  gate.settle(probe, retry(grpc_code::kUnavailable, 7s), now, 0.0);
  gate.link_up(now);
  EXPECT_EQ(gate.enter(now), Entry::refused);
}

}  // namespace
}  // namespace tailrace::agent
