// SPDX-License-Identifier: Apache-2.0
//
// Gate: whether a destination may be sent anything now. A throttle signal slows the whole
// destination, not only the request that met it.
//
//            throttled                    time is up, one enters
//   open ───────────────► closed ─────────────────────────────────► half open
//    ▲                      ▲ │ ▲                                     │  │
//    │      link came back ─┘ └─┼── the probe was not sent ◄──────────┤  │
//    │      (own waits only)    └── the probe failed, too ◄───────────┘  │
//    └────────────────────────────── the probe was answered ◄────────────┘
//
// A throttle signal is an answer with a delay of the destination's, or UNAVAILABLE without one,
// after which the wait is our own backoff. Other retryable answers concern their request alone,
// except for the probe. Answers to requests that entered before the gate closed prolong a delay
// the destination gives; they do not count as further failures, since they tell nothing new.
//
// Threads: one owner. Memory: a few words. Failure: none. Time and chance come from the caller.
// Source: OTLP specification, "OTLP/gRPC Throttling"; Nygard, "Release It!", circuit breaker.
#pragma once

#include <algorithm>
#include <chrono>

#include "agent/export/answer.hpp"
#include "agent/export/backoff.hpp"

namespace tailrace::agent {

class Gate {
 public:
  using Time = std::chrono::steady_clock::time_point;
  enum class Entry { refused, normal, probe };

  explicit Gate(BackoffLimits limits = {}) noexcept : backoff_(limits) {}

  // Asks to send one request. Whoever gets `normal` or `probe` owes one settle() or, when nothing
  // was sent after all, one abandon() with it.
  [[nodiscard]] Entry enter(Time now) noexcept {
    if (state_ == State::open) {
      return Entry::normal;
    }
    if (state_ == State::half_open || now < opens_at_) {
      return Entry::refused;
    }
    state_ = State::half_open;
    return Entry::probe;
  }

  // The answer to a request that entered.
  void settle(Entry entry, const Answer& answer, Time now, double unit) noexcept {
    const bool probe = entry == Entry::probe && state_ == State::half_open;
    if (answer.settled()) {
      if (probe || state_ == State::open) {
        state_ = State::open;
        backoff_.reset();
      }
      return;
    }
    const bool throttled = answer.retry_delay || answer.code == grpc_code::kUnavailable;
    if (state_ == State::open ? throttled : probe) {
      opens_at_ = now + backoff_.fail(answer.retry_delay, unit);
      told_ = answer.retry_delay.has_value();
      state_ = State::closed;
    } else if (state_ == State::closed && answer.retry_delay) {
      opens_at_ = std::max(opens_at_, now + *answer.retry_delay);
      told_ = true;
    }
  }

  // The request that entered was not sent.
  void abandon(Entry entry) noexcept {
    if (entry == Entry::probe && state_ == State::half_open) {
      state_ = State::closed;
    }
  }

  // The connection stands again: no reason to sit out a wait that only we imposed.
  void link_up(Time now) noexcept {
    if (state_ == State::closed && !told_) {
      opens_at_ = std::min(opens_at_, now);
    }
  }

  [[nodiscard]] bool open() const noexcept { return state_ == State::open; }

  // When enter() is worth asking again; the end of time while a probe is out.
  [[nodiscard]] Time opens_at(Time now) const noexcept {
    switch (state_) {
      case State::open: return now;
      case State::closed: return opens_at_;
      case State::half_open: return Time::max();
    }
    return now;
  }

 private:
  enum class State { open, closed, half_open };

  Backoff backoff_;
  Time opens_at_{};
  State state_ = State::open;
  bool told_ = false;  // closed by the destination's own delay
};

}  // namespace tailrace::agent
