// SPDX-License-Identifier: Apache-2.0
#include "agent/decode/timeline.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>

namespace tailrace::agent {
namespace {

using shm::ClockKind;
using shm::ClockReading;
using shm::TimeClock;

constexpr std::uint64_t kMs = 1'000'000;
constexpr std::uint64_t kSecond = 1'000'000'000;
constexpr std::uint64_t kEpoch = 1'700'000'000 * kSecond;

// A machine whose counter runs at 2.6 GHz and whose clocks NTP slews and people set.
class Machine {
 public:
  // What its clocks say `ns` after its start.
  [[nodiscard]] ClockReading at(double ns) const {
    const double mono = ns + slew_ppm_ * 1e-6 * ns;
    const double step = ns >= step_at_ns_ ? step_ns_ : 0;
    return {static_cast<std::uint64_t>(1e12 + ns * 2.6),
            kEpoch + static_cast<std::uint64_t>(static_cast<std::int64_t>(mono + step)),
            static_cast<std::uint64_t>(1e9 + mono)};
  }
  double slew_ppm_ = 0;
  double step_at_ns_ = 1e30;
  double step_ns_ = 0;
};

std::uint64_t distance(std::uint64_t a, std::uint64_t b) { return a > b ? a - b : b - a; }

TEST(TimelineTest, InterpolatesBetweenTheAnchorsOnBothSides) {
  const Machine machine;
  Timeline line(ClockKind::tsc);
  line.add_claim(machine.at(0));
  line.add(machine.at(1e9));
  line.add(machine.at(2e9));
  for (const double ns : {0.0, 1.0, 5e8, 1e9, 1.5e9, 2e9}) {
    const ClockReading truth = machine.at(ns);
    EXPECT_LE(distance(line.to_realtime(truth.counter, TimeClock::counter), truth.realtime_ns), 2u) << ns;
    EXPECT_LE(distance(line.to_realtime(truth.monotonic_ns, TimeClock::monotonic), truth.realtime_ns), 2u) << ns;
    EXPECT_EQ(line.to_realtime(truth.realtime_ns, TimeClock::realtime), truth.realtime_ns);
  }
}

TEST(TimelineTest, ExtendsTheNearestSlopeBeforeTheFirstAndAfterTheLast) {
  const Machine machine;
  Timeline line(ClockKind::tsc);
  line.add(machine.at(1e9));
  line.add(machine.at(2e9));
  for (const double ns : {1e8, 2.5e9, 1e10}) {
    const ClockReading truth = machine.at(ns);
    EXPECT_LE(distance(line.to_realtime(truth.counter, TimeClock::counter), truth.realtime_ns), 50u) << ns;
    EXPECT_LE(distance(line.to_realtime(truth.monotonic_ns, TimeClock::monotonic), truth.realtime_ns), 2u) << ns;
  }
  // Six minutes back, the slope's 32 fractional bits are worth a tenth of a microsecond.
  const auto start = kEpoch - static_cast<std::uint64_t>(1e12 / 2.6);
  EXPECT_LE(distance(line.to_realtime(0, TimeClock::counter), start), 200u);
}

// 500 ppm is the most that NTP slews; an uncorrected counter would be off by 5 ms after these ten seconds.
TEST(TimelineTest, ASlewedClockIsHonoured) {
  Machine machine;
  Timeline line(ClockKind::tsc);
  line.add_claim(machine.at(0));
  ClockReading last{};
  for (int pass = 1; pass <= 200; ++pass) {
    machine.slew_ppm_ = 500 * std::sin(pass / 20.0);
    const ClockReading now = machine.at(pass * 50e6);
    if (now.monotonic_ns <= last.monotonic_ns) continue;
    last = now;
    line.add(now);
    // A record of the last millisecond before the anchor.
    const ClockReading truth = machine.at(pass * 50e6 - 1e6);
    EXPECT_LE(distance(line.to_realtime(truth.counter, TimeClock::counter), truth.realtime_ns), 200'000u) << pass;
  }
}

TEST(TimelineTest, AConstantSlewIsFollowedToTheNanosecond) {
  Machine machine;
  machine.slew_ppm_ = 500;
  Timeline line(ClockKind::tsc);
  line.add_claim(machine.at(0));
  for (int pass = 1; pass <= 100; ++pass) line.add(machine.at(pass * 50e6));
  for (const double ns : {1e6, 1.23e9, 4.99e9}) {
    const ClockReading truth = machine.at(ns);
    EXPECT_LE(distance(line.to_realtime(truth.counter, TimeClock::counter), truth.realtime_ns), 5u) << ns;
  }
}

// Somebody sets the clock back by an hour: what was recorded since the anchor before is told by the new
// clock, what is older by the old one, and nothing by a mixture.
TEST(TimelineTest, AStepIsNotSmearedOverRecords) {
  Machine machine;
  machine.step_at_ns_ = 1.95e9;
  machine.step_ns_ = -3600e9;
  Timeline line(ClockKind::tsc);
  line.add_claim(machine.at(0));
  line.add(machine.at(1e9));
  line.add(machine.at(2e9));
  const ClockReading between = machine.at(1.5e9);
  const std::uint64_t by_new_clock = between.realtime_ns - 3600 * kSecond;
  EXPECT_LE(distance(line.to_realtime(between.counter, TimeClock::counter), by_new_clock), 5u);
  EXPECT_LE(distance(line.to_realtime(between.monotonic_ns, TimeClock::monotonic), by_new_clock), 5u);
  for (const double ns : {0.5e9, 2.0e9, 2.1e9}) {
    const ClockReading truth = machine.at(ns);
    EXPECT_LE(distance(line.to_realtime(truth.counter, TimeClock::counter), truth.realtime_ns), 5u) << ns;
    EXPECT_LE(distance(line.to_realtime(truth.monotonic_ns, TimeClock::monotonic), truth.realtime_ns), 5u) << ns;
  }
}

TEST(TimelineTest, AnchorsAreThinnedAndOldTimesStayRight) {
  Machine machine;
  machine.slew_ppm_ = 100;
  Timeline line(ClockKind::tsc);
  line.add_claim(machine.at(0));
  for (int pass = 1; pass <= 20'000; ++pass) line.add(machine.at(pass * 20e6));
  EXPECT_LE(line.size(), Timeline::kAnchorsMax);
  for (const double ns : {1e6, 7e9, 150e9, 399.99e9}) {
    const ClockReading truth = machine.at(ns);
    EXPECT_LE(distance(line.to_realtime(truth.counter, TimeClock::counter), truth.realtime_ns), 100u) << ns;
  }
}

TEST(TimelineTest, PassesThatFollowEachOtherQuicklyDoNotFillIt) {
  const Machine machine;
  Timeline line(ClockKind::tsc);
  line.add_claim(machine.at(0));
  for (int pass = 0; pass < 1000; ++pass) line.add(machine.at(1e9 + pass * 1000.0));
  EXPECT_LE(line.size(), 4u);
  EXPECT_EQ(line.latest().counter, machine.at(1e9 + 999'000.0).counter);
}

TEST(TimelineTest, AMonotonicCounterNeedsNoSecondAnchor) {
  Timeline line(ClockKind::monotonic);
  line.add({kSecond, kEpoch, kSecond});
  EXPECT_EQ(line.to_realtime(kSecond + 77, TimeClock::counter), kEpoch + 77);
}

TEST(TimelineTest, ARecordFromTheFutureShowsThatTheCounterIsNotOurs) {
  const Machine machine;
  Timeline line(ClockKind::tsc);
  line.add_claim(machine.at(0));
  line.add(machine.at(1e9));
  for (int i = 0; i < 20; ++i) EXPECT_TRUE(line.check(machine.at(1e9 + 0.9e6).counter, TimeClock::counter));
  EXPECT_FALSE(line.disagrees());
  for (int i = 0; i < 20; ++i) EXPECT_FALSE(line.check(machine.at(1e9 + 1.1e6).counter, TimeClock::counter));
  EXPECT_TRUE(line.disagrees());
  EXPECT_TRUE(line.check(~0ull, TimeClock::realtime));
}

TEST(TimelineTest, ClaimsInAnyOrderAreSortedAndImpossibleOnesLeftOut) {
  const Machine machine;
  Timeline line(ClockKind::tsc);
  line.add_claim(machine.at(3e9));
  line.add_claim(machine.at(1e9));
  line.add_claim(machine.at(2e9));
  line.add_claim({machine.at(1.5e9).counter, kEpoch, machine.at(2.5e9).monotonic_ns});  // runs backwards
  line.add_claim({0, kEpoch, 5});
  line.add_claim(machine.at(2e9));
  EXPECT_EQ(line.size(), 3u);
  line.add(machine.at(4e9));
  EXPECT_FALSE(line.disagrees());
  const ClockReading truth = machine.at(2.4e9);
  EXPECT_LE(distance(line.to_realtime(truth.counter, TimeClock::counter), truth.realtime_ns), 5u);
}

TEST(TimelineTest, AClaimFromTheFutureIsLeftOutAndSaysThatTheCounterIsNotOurs) {
  const Machine machine;
  Timeline line(ClockKind::tsc);
  line.add_claim(machine.at(1e9));
  line.add_claim(machine.at(9e9));
  line.add(machine.at(2e9));
  line.add(machine.at(3e9));
  EXPECT_TRUE(line.disagrees());
  const ClockReading truth = machine.at(2.5e9);
  EXPECT_LE(distance(line.to_realtime(truth.counter, TimeClock::counter), truth.realtime_ns), 5u);
}

TEST(TimelineTest, NothingThatAnApplicationClaimsCanBreakIt) {
  Timeline line(ClockKind::tsc);
  line.add_claim({1, ~0ull, 1});
  line.add_claim({2, 0, ~0ull});
  line.add_claim({~0ull, 1, 7});
  EXPECT_NO_FATAL_FAILURE(static_cast<void>(line.to_realtime(~0ull, TimeClock::counter)));
  line.add({1000, kEpoch, 5 * kMs});
  line.add({1000, kEpoch, 5 * kMs});
  line.add({1001, kEpoch + 1, 5 * kMs + 1});
  for (const std::uint64_t time : {0ull, 1ull, 999ull, 1001ull, ~0ull}) {
    static_cast<void>(line.to_realtime(time, TimeClock::counter));
    static_cast<void>(line.to_realtime(time, TimeClock::monotonic));
  }
  EXPECT_EQ(Timeline(ClockKind::tsc).to_realtime(5, TimeClock::counter), 5u);
}

}  // namespace
}  // namespace tailrace::agent
