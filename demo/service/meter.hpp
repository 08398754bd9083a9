// SPDX-License-Identifier: Apache-2.0
//
// Meter: what a span costs this service, measured inside it and under its own load.
//
// One request in kEvery has the calls of one of its spans timed: the counter is read before and after
// each call, and the cost of reading, measured right there in the same way with nothing in between, is
// subtracted. There is no loop: caches and branch predictors are as the service left them. The median
// is reported, because a single interruption costs a thousand spans.
//
// Threads: one meter a thread; results are added up when the threads have ended. Memory: at most
// kSamplesMax numbers. Failure: none.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <vector>

namespace demo {

inline std::uint64_t counter() {
#if defined(__x86_64__)
  // The fence keeps what was called before from running past the reading.
  __builtin_ia32_lfence();
  const std::uint64_t value = __builtin_ia32_rdtsc();
  __builtin_ia32_lfence();
  return value;
#else
  return static_cast<std::uint64_t>(std::chrono::steady_clock::now().time_since_epoch().count());
#endif
}

class Meter {
 public:
  static constexpr std::uint32_t kEvery = 32;
  static constexpr std::size_t kSamplesMax = 200'000;

  Meter() { samples_.reserve(4096); }

  // Whether the next request is one of those that are timed.
  bool take_turn() { return ++turn_ % kEvery == 0 && samples_.size() < kSamplesMax; }

  void begin() { ticks_ = readings_ = 0; }
  // The ticks of one call, both readings included.
  void add(std::uint64_t ticks) {
    ticks_ += ticks;
    ++readings_;
  }
  // Times one call.
  template <class Call>
  void time(Call&& call) {
    const std::uint64_t before = counter();
    call();
    add(counter() - before);
  }
  // The same number of readings with nothing between, subtracted.
  void finish() {
    std::uint64_t empty = 0;
    for (std::uint32_t i = 0; i < readings_; ++i) {
      const std::uint64_t before = counter();
      empty += counter() - before;
    }
    samples_.push_back(ticks_ > empty ? ticks_ - empty : 0);
  }

  [[nodiscard]] const std::vector<std::uint64_t>& samples() const { return samples_; }

 private:
  std::vector<std::uint64_t> samples_;
  std::uint64_t ticks_ = 0;
  std::uint32_t readings_ = 0;
  std::uint32_t turn_ = 0;
};

// Nanoseconds a tick, from the two clocks over the whole run.
class TickLength {
 public:
  TickLength() : counter_(counter()), time_(std::chrono::steady_clock::now()) {}
  [[nodiscard]] double ns() const {
    const auto elapsed = std::chrono::steady_clock::now() - time_;
    const std::uint64_t ticks = counter() - counter_;
    return ticks == 0 ? 0 : static_cast<double>(std::chrono::nanoseconds(elapsed).count()) / static_cast<double>(ticks);
  }

 private:
  std::uint64_t counter_;
  std::chrono::steady_clock::time_point time_;
};

inline std::uint64_t median(std::vector<std::uint64_t> samples) {
  if (samples.empty()) return 0;
  const auto middle = samples.begin() + static_cast<std::ptrdiff_t>(samples.size() / 2);
  std::nth_element(samples.begin(), middle, samples.end());
  return *middle;
}

}  // namespace demo
