// SPDX-License-Identifier: Apache-2.0
#include "agent/drain/waiter.hpp"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <ctime>
#include <utility>

namespace tailrace::agent {
namespace {

using std::chrono::nanoseconds;
using std::chrono::steady_clock;

timespec to_timespec(nanoseconds time) {
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(time);
  timespec result{};
  result.tv_sec = seconds.count();
  result.tv_nsec = (time - seconds).count();
  return result;
}

futex_waitv waiter_of(const std::atomic<std::uint32_t>& word, std::uint32_t seen, bool own) {
  futex_waitv waiter{};
  waiter.val = seen;
  waiter.uaddr = reinterpret_cast<std::uintptr_t>(&word);
  waiter.flags = FUTEX_32 | (own ? FUTEX_PRIVATE_FLAG : 0u);
  return waiter;
}

}  // namespace

void Waiter::add(AttachedSegment& segment) {
  const std::atomic<std::uint32_t>* word = segment.doorbell();
  watched_.push_back({&segment, word, word->load(std::memory_order_relaxed), false});
}

void Waiter::remove(const AttachedSegment& segment) {
  std::erase_if(watched_, [&segment](const Watched& one) { return one.segment == &segment; });
}

void Waiter::prepare() {
  // Acquire: what was stored before the bell is seen by the pass that follows.
  own_seen_ = own_.load(std::memory_order_acquire);
  for (Watched& one : watched_) one.seen = one.word->load(std::memory_order_acquire);
}

void Waiter::wake() {
  own_.fetch_add(1, std::memory_order_release);
  ::syscall(SYS_futex, &own_, FUTEX_WAKE_PRIVATE, INT_MAX, nullptr, nullptr, 0);
}

void Waiter::nap(nanoseconds timeout) {
  const std::uint32_t seen = std::exchange(own_seen_, own_.load(std::memory_order_acquire));
  if (seen != own_seen_ || timeout <= nanoseconds{0}) return;
  const timespec relative = to_timespec(timeout);
  ::syscall(SYS_futex, &own_, FUTEX_WAIT_PRIVATE, own_seen_, &relative, nullptr, 0);
}

bool Waiter::rung() const {
  return std::any_of(watched_.begin(), watched_.end(),
                     [](const Watched& one) { return one.word->load(std::memory_order_relaxed) != one.seen; });
}

Waiter::Woken Waiter::wait(nanoseconds timeout) {
  const steady_clock::time_point deadline = steady_clock::now() + std::max(timeout, nanoseconds{0});
  for (const Watched& one : watched_) one.segment->set_sleeping(true);
  // Before the bells are looked at: a critical record's writer sees that we sleep, or we see its bell.
  std::atomic_thread_fence(std::memory_order_seq_cst);
  Woken woken = Woken::timeout;
  for (;;) {
    if (own_.load(std::memory_order_relaxed) != own_seen_) {
      woken = Woken::wake;
      break;
    }
    if (rung()) {
      woken = Woken::doorbell;
      break;
    }
    const nanoseconds left = deadline - steady_clock::now();
    if (left <= nanoseconds{0}) break;
    sleep(left);
  }
  for (const Watched& one : watched_) one.segment->set_sleeping(false);
  return woken;
}

// One system call; the caller looks at the words again, so a spurious return costs nothing.
void Waiter::sleep(nanoseconds left) {
  const auto audible = static_cast<std::size_t>(
      std::count_if(watched_.begin(), watched_.end(), [](const Watched& one) { return !one.faulty; }));
  if (!has_waitv_ || audible > kDoorbellsMax) left = std::min<nanoseconds>(left, kPolledSleep);
  if (!has_waitv_) {
    const timespec relative = to_timespec(left);
    ::syscall(SYS_futex, &own_, FUTEX_WAIT_PRIVATE, own_seen_, &relative, nullptr, 0);
    return;
  }
  std::array<futex_waitv, kDoorbellsMax + 1> waiters;
  unsigned count = 0;
  waiters[count++] = waiter_of(own_, own_seen_, true);
  for (const Watched& one : watched_) {
    if (count == waiters.size()) break;
    if (!one.faulty) waiters[count++] = waiter_of(*one.word, one.seen, false);
  }
  // steady_clock is CLOCK_MONOTONIC, and the call wants the moment, not the span.
  const timespec moment = to_timespec((steady_clock::now() + left).time_since_epoch());
  if (::syscall(SYS_futex_waitv, waiters.data(), count, 0, &moment, CLOCK_MONOTONIC) >= 0) return;
  if (errno == ENOSYS || errno == EPERM) {
    has_waitv_ = false;
  } else if (errno == EFAULT || errno == EINVAL) {
    find_faulty();
  }
}

// A wait for a value that the word does not have says EAGAIN at once, or that the word cannot be read.
void Waiter::find_faulty() {
  bool found = false;
  const timespec at_once{};
  for (Watched& one : watched_) {
    if (one.faulty) continue;
    const long answer = ::syscall(SYS_futex, one.word, FUTEX_WAIT, one.seen ^ 0x80000000u, &at_once, nullptr, 0);
    one.faulty = answer != 0 && errno == EFAULT;
    found = found || one.faulty;
  }
  if (!found) has_waitv_ = false;  // it is something else that this kernel does not like
}

}  // namespace tailrace::agent
