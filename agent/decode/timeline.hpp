// SPDX-License-Identifier: Apache-2.0
//
// Timeline: from the times in records to nanoseconds since the epoch.
//
// A record carries a raw counter, CLOCK_MONOTONIC or CLOCK_REALTIME. The agent takes an anchor, one reading
// of all three, in each drain pass after it loaded the heads, so that every record of the pass lies before
// it; a time between two anchors is interpolated, hence a clock that NTP slews is honoured, and nothing is
// calibrated in the application. Where REALTIME was set between two anchors, the newer one is extended back
// to the older at the pace of MONOTONIC: a step is never smeared over records, and who sets a clock does it
// to put it right. Before the first and after the last anchor the nearest slope is extended.
//
// Threads: one. Memory: at most kAnchorsMax anchors; older ones are thinned to a logarithmic spacing.
// Failure: anchors of the application are claims; one that runs backwards is left out. A time that no anchor
//   can place is given as the nearest anchor's.
// Source: segment.md 3.13.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include <tailrace/shm/clock.hpp>
#include <tailrace/shm/record.hpp>

namespace tailrace::agent {

class Timeline {
 public:
  static constexpr std::size_t kAnchorsMax = 256;
  static constexpr std::size_t kClaimsMax = 16;

  explicit Timeline(shm::ClockKind kind = shm::ClockKind::monotonic) : kind_(kind) {}

  // Anchors of the application, in any order, before the first of the agent: R0's creation reading, R2's.
  void add_claim(const shm::ClockReading& reading);
  // The agent's own, in order.
  void add(const shm::ClockReading& reading);

  [[nodiscard]] std::uint64_t to_realtime(std::uint64_t time, shm::TimeClock clock) const {
    if (clock == shm::TimeClock::counter) {
      if (time >= hot_.counter) return hot_.real_of(time);
      return from_counter(time);
    }
    return clock == shm::TimeClock::realtime ? time : from_monotonic(time);
  }

  // Whether a record read in a pass can have this time: not more than 1 ms after the pass's anchor. Counted.
  bool check(std::uint64_t time, shm::TimeClock clock) const {
    if (clock == shm::TimeClock::counter && time > future_counter_) {
      ++disagreements_;
      return false;
    }
    return true;
  }
  // True when the counter cannot be trusted (records or claims more than 1 ms off): set clock_override.
  [[nodiscard]] bool disagrees() const { return claim_disagrees_ || disagreements_ > 8; }
  [[nodiscard]] std::uint64_t disagreements() const { return disagreements_; }

  [[nodiscard]] shm::ClockKind kind() const { return kind_; }
  [[nodiscard]] std::size_t size() const { return count_; }
  [[nodiscard]] const shm::ClockReading& latest() const;  // size() > 0

 private:
  __extension__ typedef unsigned __int128 Wide;

  struct Piece {  // one straight line, in fixed point with 32 fractional bits
    std::uint64_t counter = ~std::uint64_t{0};
    std::uint64_t realtime_ns = 0;
    std::uint64_t slope = 0;
    [[nodiscard]] std::uint64_t real_of(std::uint64_t time) const {
      return realtime_ns + static_cast<std::uint64_t>((static_cast<Wide>(time - counter) * slope) >> 32);
    }
  };

  [[nodiscard]] std::uint64_t from_counter(std::uint64_t time) const;
  [[nodiscard]] std::uint64_t from_monotonic(std::uint64_t time) const;
  static Piece piece(const shm::ClockReading& a, const shm::ClockReading& b);
  void thin();
  void refresh();

  shm::ClockKind kind_;
  std::array<shm::ClockReading, kAnchorsMax> anchors_{};
  std::size_t count_ = 0;
  std::size_t claims_ = 0;  // the first anchors, the application's
  Piece hot_;               // from the last anchor but one on
  std::uint64_t future_counter_ = ~std::uint64_t{0};
  mutable std::uint64_t disagreements_ = 0;
  bool claim_disagrees_ = false;
};

}  // namespace tailrace::agent
