// SPDX-License-Identifier: Apache-2.0
//
// Backoff: how long to wait before the next attempt. Exponential with full jitter between the
// base and a doubling bound, and the destination's own word above both.
//
// A delay given by the destination (RetryInfo) is a floor, spread upwards by at most a fifth so
// that its clients do not come back together, and it becomes the base that later failures grow
// from.
//
// Threads: one owner. Memory: a few words. Failure: none. Time and chance come from the caller:
// durations go in and out, `unit` is uniform in [0, 1), so every case is repeatable.
// Source: OTLP specification, "OTLP/gRPC Throttling"; full jitter after M. Brooker, "Exponential
// Backoff And Jitter" (2015).
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <optional>

namespace tailrace::agent {

struct BackoffLimits {
  std::chrono::nanoseconds base = std::chrono::seconds(1);
  std::chrono::nanoseconds cap = std::chrono::seconds(30);
};

// A server that asks for a microsecond must not make us spin.
inline constexpr std::chrono::nanoseconds kShortestDelay = std::chrono::milliseconds(20);
inline constexpr double kServerDelayJitter = 0.2;

// The wait after failure number `failures` (1 is the first) of something that starts at
// `limits.base`: uniform between the base and base · 2^failures, the latter at most the cap.
constexpr std::chrono::nanoseconds jittered_delay(std::uint32_t failures, BackoffLimits limits, double unit) noexcept {
  auto bound = limits.base;
  for (std::uint32_t i = 0; i < failures && bound < limits.cap; ++i) {
    bound *= 2;
  }
  bound = std::max(limits.base, std::min(bound, limits.cap));
  const double spread = static_cast<double>((bound - limits.base).count()) * unit;
  return std::max(kShortestDelay, limits.base + std::chrono::nanoseconds(static_cast<std::int64_t>(spread)));
}

class Backoff {
 public:
  explicit constexpr Backoff(BackoffLimits limits = {}) noexcept : limits_(limits), grown_(limits) {}

  // One more failure: how long to wait now.
  constexpr std::chrono::nanoseconds fail(std::optional<std::chrono::nanoseconds> server_delay, double unit) noexcept {
    if (server_delay) {
      failures_ = 0;
      grown_.base = std::max(kShortestDelay, *server_delay);
      grown_.cap = std::max(limits_.cap, grown_.base);
      const double extra = static_cast<double>(grown_.base.count()) * kServerDelayJitter * unit;
      return grown_.base + std::chrono::nanoseconds(static_cast<std::int64_t>(extra));
    }
    failures_ = failures_ < 62 ? failures_ + 1 : failures_;
    return jittered_delay(failures_, grown_, unit);
  }

  // A success: the next failure is a first one again.
  constexpr void reset() noexcept {
    failures_ = 0;
    grown_ = limits_;
  }

  [[nodiscard]] constexpr std::uint32_t failures() const noexcept { return failures_; }

 private:
  BackoffLimits limits_;
  BackoffLimits grown_;  // what a server's delay made of the limits
  std::uint32_t failures_ = 0;
};

}  // namespace tailrace::agent
