// SPDX-License-Identifier: Apache-2.0
// flush(): waits until what this process recorded has an answer, and says which.
//
//   auto span = tailrace::span("pay", {.priority = tailrace::Priority::critical});
//   …
//   span.end();
//   if (!tailrace::flush(50ms, tailrace::Priority::critical).done()) …   // it is not known to have arrived
//
// It is the only call of this library that waits, and never longer than it is told. Everything that any
// thread recorded before the call is waited for; what was recorded since is not. Without it nothing of it
// costs anything.
//
// Threads: any, several at once; not from signal handlers. Failure: a code and a sentence; before init(),
// without telemetry and in a child that has recorded nothing it returns at once.
#pragma once

#include <tailrace/detail/config.hpp>

namespace tailrace {

enum class FlushCode : std::uint8_t {
  done,           // everything recorded before the call is delivered, rejected, or dropped with a cause
  timed_out,      // the deadline passed before; `pending` says how much is not
  no_agent,       // nobody drains this process: what it recorded stays in its lanes until somebody does
  rejected,       // the agent does not read this process, and says why in its journal
  not_recording,  // nothing is recorded: before init(), switched off, or nothing yet in this child
};

enum class DropCause : std::uint8_t {
  lane_full,  // in this process: its thread's lane had no room
  no_lane,    // in this process: more threads than lanes, a handler that interrupted a write
  refused,    // the destination refused it for good
  expired,    // sent again and again, for as long as the agent may
  unusable,   // it could not be read or sent: corrupt, too large
  lost,       // the agent had no room for it, or its memory was damaged
  policy,     // left out on purpose: sampled, filtered, limited
};
inline constexpr std::size_t kDropCauses = 7;

// Since the last flush of the same kind that had returned when this one began.
struct FlushCounts {
  std::uint64_t delivered = 0;
  std::uint64_t rejected = 0;  // by the destination, in an answer that took the rest
  std::uint64_t dropped[kDropCauses] = {};
  std::uint64_t pending = 0;  // now, whenever recorded: also what other threads recorded meanwhile

  std::uint64_t dropped_total() const noexcept {
    std::uint64_t sum = 0;
    for (std::size_t i = 0; i < kDropCauses; ++i) sum += dropped[i];
    return sum;
  }
};

struct FlushResult {
  FlushCode code = FlushCode::not_recording;
  bool timed_out = false;
  FlushCounts total;                   // of a critical flush: of critical records alone
  FlushCounts signals[shm::kSignals];  // traces, logs, metrics (data points)
  char sentence[240] = {};

  bool done() const noexcept { return code == FlushCode::done; }
  explicit operator bool() const noexcept { return done(); }
};

}  // namespace tailrace

extern "C" {
TAILRACE_EXPORT void tailrace_flush_within(std::uint64_t deadline_ms, std::uint32_t lowest,
                                           tailrace::FlushResult* result, std::uint32_t result_size) noexcept;
}

namespace tailrace {

// With Priority::critical as the lowest, critical records alone are asked for and waited for: they do not
// wait behind anything else. Every other priority means everything.
TAILRACE_INLINE FlushResult flush(std::uint64_t deadline_ms, Priority lowest = Priority::background) noexcept {
  FlushResult result;
  if constexpr (!detail::kDisabled) {
    tailrace_flush_within(deadline_ms, static_cast<std::uint32_t>(lowest), &result, sizeof result);
  }
  return result;
}

// The same with a std::chrono::duration, rounded up to milliseconds.
template <class Duration, class Period = typename Duration::period>
TAILRACE_INLINE FlushResult flush(Duration deadline, Priority lowest = Priority::background) noexcept {
  const double ms = static_cast<double>(deadline.count()) * 1000 * static_cast<double>(Period::num) /
                    static_cast<double>(Period::den);
  if (!(ms > 0)) return flush(std::uint64_t{0}, lowest);
  if (ms > 1e15) return flush(std::uint64_t{1000000000000000}, lowest);
  const auto whole = static_cast<std::uint64_t>(ms);
  return flush(whole + (static_cast<double>(whole) < ms ? 1 : 0), lowest);
}

}  // namespace tailrace
