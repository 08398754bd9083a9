// SPDX-License-Identifier: Apache-2.0
// Clocks: the counter that stamps records, and the two clocks of the system.
//
// The counter is the CPU's own only where the kernel itself keeps time by it; elsewhere it is
// CLOCK_MONOTONIC in nanoseconds. Nothing is calibrated here: the agent takes anchors (a counter
// read between two others, with both system clocks) and interpolates.
// Threads: any. Failure: none.
#pragma once

#include <cstdint>
#include <ctime>

#include <tailrace/shm/layout.hpp>

namespace tailrace::shm {

inline std::uint64_t clock_ns(clockid_t id) {
  timespec t{};
  clock_gettime(id, &t);
  return static_cast<std::uint64_t>(t.tv_sec) * 1000000000ull + static_cast<std::uint64_t>(t.tv_nsec);
}
inline std::uint64_t realtime_ns() { return clock_ns(CLOCK_REALTIME); }
inline std::uint64_t monotonic_ns() { return clock_ns(CLOCK_MONOTONIC); }

// The CPU's counter, unordered: two reads around other work may move by some nanoseconds.
inline std::uint64_t cpu_counter() {
#if defined(__x86_64__)
  return __builtin_ia32_rdtsc();
#elif defined(__aarch64__)
  std::uint64_t value;
  asm volatile("mrs %0, cntvct_el0" : "=r"(value));
  return value;
#else
  return monotonic_ns();
#endif
}

inline std::uint64_t read_counter(ClockKind kind) {
  return kind == ClockKind::tsc || kind == ClockKind::cntvct ? cpu_counter() : monotonic_ns();
}

// One reading of all clocks, the counter's being the middle of a bracket of two.
struct ClockReading {
  std::uint64_t counter;
  std::uint64_t realtime_ns;
  std::uint64_t monotonic_ns;
};

// Retries a bracket that an interruption made wide, a bounded number of times.
inline ClockReading read_clocks(ClockKind kind) {
  ClockReading best{};
  std::uint64_t best_width = ~0ull;
  for (int attempt = 0; attempt < 4; ++attempt) {
    const std::uint64_t before = read_counter(kind);
    const std::uint64_t real = realtime_ns();
    const std::uint64_t mono = monotonic_ns();
    const std::uint64_t after = read_counter(kind);
    const std::uint64_t width = after - before;
    if (width < best_width) {
      best_width = width;
      best = {before + width / 2, real, mono};
    }
    if (best_width < 2000) break;  // about a microsecond on today's counters
  }
  return best;
}

// TSC only where the CPU says it is invariant and the kernel has not found otherwise.
ClockKind choose_clock() noexcept;

}  // namespace tailrace::shm
