// SPDX-License-Identifier: Apache-2.0
//
// Waiter: how a drain worker sleeps until an application rings, somebody wakes it, or time is up.
// PollPace: how long it may sleep.
//
// The worker prepares before it looks at the heads and waits after it found nothing to do:
//   waiter.prepare();  … passes …  waiter.wait(pace.next());
// A bell that rings in between is not lost: its word has changed since prepare(), so wait() returns at once.
// wait() sets `agent_sleeping` of every segment while it sleeps.
//
// Threads: wake() from any; everything else by the worker alone. Memory: borrows the segments: remove() one
//   before it goes. Failure: kernels without FUTEX_WAITV, and segments beyond the 127th, are polled: the
//   sleep is then at most kPolledSleep.
// Source: segment.md 3.10.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <vector>

#include "agent/discover/segment.hpp"

namespace tailrace::agent {

class Waiter {
 public:
  static constexpr std::size_t kDoorbellsMax = 127;
  static constexpr std::chrono::milliseconds kPolledSleep{10};

  enum class Woken : std::uint8_t { doorbell, wake, timeout };

  void add(AttachedSegment& segment);
  void remove(const AttachedSegment& segment);

  void prepare();
  Woken wait(std::chrono::nanoseconds timeout);
  void wake();
  // Sleeps until somebody wakes it or time is up, whoever rings meanwhile.
  void nap(std::chrono::nanoseconds timeout);
  // For tests: as on a kernel that has no FUTEX_WAITV.
  void poll_only() { has_waitv_ = false; }

 private:
  struct Watched {
    AttachedSegment* segment;
    const std::atomic<std::uint32_t>* word;
    std::uint32_t seen;
    bool faulty;  // the kernel cannot read the word: its file was cut
  };
  [[nodiscard]] bool rung() const;
  void sleep(std::chrono::nanoseconds left);
  void find_faulty();

  std::vector<Watched> watched_;
  std::atomic<std::uint32_t> own_{0};
  std::uint32_t own_seen_ = 0;
  bool has_waitv_ = true;
};

// 1 ms while there is work, doubling to 50 ms when there is none, 100 ms after minutes of silence.
class PollPace {
 public:
  static constexpr std::chrono::milliseconds kBusy{1};
  static constexpr std::chrono::milliseconds kIdle{50};
  static constexpr std::chrono::milliseconds kSilent{100};
  static constexpr std::chrono::minutes kSilence{2};

  void found_work() {
    pace_ = kBusy;
    idle_ = std::chrono::milliseconds{0};
  }
  // The sleep after a pass that found nothing, or the short one after work.
  [[nodiscard]] std::chrono::milliseconds next() {
    const std::chrono::milliseconds now = pace_;
    idle_ += now;
    pace_ = pace_ * 2 > kIdle ? kIdle : pace_ * 2;
    if (idle_ > kSilence) pace_ = kSilent;
    return now;
  }

 private:
  std::chrono::milliseconds pace_ = kBusy;
  std::chrono::milliseconds idle_{0};
};

}  // namespace tailrace::agent
