// SPDX-License-Identifier: Apache-2.0
// flush(): a generation of its own, the bell, and a sleep until the agent has answered it.
//
// What is counted stands in shared memory: the agent's rows (R1), this process's own counters (R3, R2). What
// the last flush had seen of them is private, so that an answer says what is new.
// Threads: any number at once. A flush begins with what was seen when the last one returned, so that
// everything its caller recorded is in its own answer, and in that of another flush beside it.
// Source: segment.md 3.11; docs/abi.md "Flush".
#include <cerrno>
#include <climits>
#include <cstdio>
#include <cstring>

#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <tailrace/detail/flush.hpp>
#include <tailrace/shm/clock.hpp>

#include "runtime.hpp"

namespace tailrace::shim {
namespace {

constexpr std::uint64_t kMillisecond = 1000000;
// The agent gives a sign four times a second.
constexpr std::uint64_t kStaleNs = 5000 * kMillisecond;
// A process that has just begun may be found yet.
constexpr std::uint64_t kAttachNs = 1000 * kMillisecond;
// How often the wait looks whether there still is somebody to wait for.
constexpr std::uint64_t kLookNs = 100 * kMillisecond;
constexpr std::uint64_t kLookSoonNs = 5 * kMillisecond;
constexpr unsigned kReadAttempts = 1000;

constexpr auto kAgentCauses = static_cast<std::size_t>(DropCause::refused);
static_assert(kAgentCauses + shm::kDropGroups == kDropCauses);
static_assert(kFlushCauses == kDropCauses);

enum class Presence : std::uint8_t { attached, stale, none, rejected };

Presence presence(const shm::ControlAgent& agent, std::uint64_t now_ns, std::uint64_t& age_ns) noexcept {
  const std::uint32_t state = agent.agent_state.load(std::memory_order_acquire);
  if (state == static_cast<std::uint32_t>(shm::AgentState::rejected)) return Presence::rejected;
  if (state != static_cast<std::uint32_t>(shm::AgentState::attached)) return Presence::none;
  const std::uint64_t beat = agent.heartbeat_monotonic_ns.load(std::memory_order_relaxed);
  age_ns = now_ns > beat ? now_ns - beat : 0;
  return age_ns > kStaleNs ? Presence::stale : Presence::attached;
}

void sleep_on(const std::atomic<std::uint32_t>& word, std::uint32_t value, std::uint64_t ns) noexcept {
  timespec time{};
  time.tv_sec = static_cast<time_t>(ns / 1000000000);
  time.tv_nsec = static_cast<long>(ns % 1000000000);
  syscall(SYS_futex, &word, FUTEX_WAIT, value, &time, nullptr, 0);
}

// The agent's rows as they stood at one moment; word by word if an agent died while it wrote them.
void read_rows(const shm::Control& control, std::size_t kind, FlushTotals& totals) noexcept {
  for (unsigned attempt = 0; attempt < kReadAttempts; ++attempt) {
    const std::uint64_t before = control.flush.settled_seq.load(std::memory_order_acquire);
    for (std::size_t s = 0; s < shm::kSignals; ++s) {
      const shm::SettledRow& row = control.settled[kind][s];
      FlushTotals::Signal& to = totals.signals[s];
      to.written = row.produced.load(std::memory_order_relaxed);
      to.delivered = row.delivered.load(std::memory_order_relaxed);
      to.rejected = row.rejected.load(std::memory_order_relaxed);
      for (std::size_t i = 0; i < shm::kDropGroups; ++i) {
        to.dropped[kAgentCauses + i] = row.dropped[i].load(std::memory_order_relaxed);
      }
    }
    std::atomic_thread_fence(std::memory_order_acquire);
    if (before % 2 == 0 && control.flush.settled_seq.load(std::memory_order_relaxed) == before) return;
    spin_pause();
  }
}

// This process's own, after the agent's: what it settled was written before.
void add_own(const shm::SegmentMap& map, shm::FlushKind kind, FlushTotals& totals) noexcept {
  const bool critical = kind == shm::FlushKind::critical;
  const std::size_t priorities = critical ? 1 : shm::kPriorities;
  const std::uint32_t ordinary = map.geometry.lanes - shm::kSharedLanes;
  const std::uint32_t used = map.process->lanes_used.load(std::memory_order_relaxed);
  for (std::size_t s = 0; s < static_cast<std::size_t>(shm::Signal::other); ++s) {
    FlushTotals::Signal& to = totals.signals[s];
    for (std::uint32_t lane = 0; lane < map.geometry.lanes; ++lane) {
      if (lane == used && lane < ordinary) lane = ordinary;
      const shm::LaneHead& head = map.heads[lane];
      if (!critical) to.written += head.written[s].load(std::memory_order_relaxed);
      for (std::size_t p = 0; p < priorities; ++p) {
        to.dropped[static_cast<std::size_t>(DropCause::lane_full)] +=
            head.dropped[s][p].load(std::memory_order_relaxed);
      }
    }
    for (std::size_t p = 0; p < priorities; ++p) {
      to.dropped[static_cast<std::size_t>(DropCause::no_lane)] +=
          map.process->unlaned_dropped[s][p].load(std::memory_order_relaxed);
    }
    if (critical) to.written += map.process->critical_written[s].load(std::memory_order_relaxed);
  }
}

std::uint64_t since(std::uint64_t now, std::uint64_t before) noexcept { return now > before ? now - before : 0; }

void count(const FlushTotals& now, const FlushTotals& before, FlushResult& result) noexcept {
  for (std::size_t s = 0; s < shm::kSignals; ++s) {
    const FlushTotals::Signal& a = now.signals[s];
    const FlushTotals::Signal& b = before.signals[s];
    FlushCounts& to = result.signals[s];
    to.delivered = since(a.delivered, b.delivered);
    to.rejected = since(a.rejected, b.rejected);
    std::uint64_t settled = a.delivered + a.rejected;
    for (std::size_t i = 0; i < kDropCauses; ++i) {
      to.dropped[i] = since(a.dropped[i], b.dropped[i]);
      result.total.dropped[i] += to.dropped[i];
      if (i >= kAgentCauses) settled += a.dropped[i];  // the shim's own were never written
    }
    to.pending = since(a.written, settled);
    result.total.delivered += to.delivered;
    result.total.rejected += to.rejected;
    result.total.pending += to.pending;
  }
}

// What the flushes that have returned had seen. No lock: a word for itself is enough, as each only grows.
FlushTotals seen_before(const FlushTotals& seen) noexcept {
  FlushTotals copy{};
  const auto load = [](const std::uint64_t& from) { return __atomic_load_n(&from, __ATOMIC_RELAXED); };
  for (std::size_t s = 0; s < shm::kSignals; ++s) {
    copy.signals[s].delivered = load(seen.signals[s].delivered);
    copy.signals[s].rejected = load(seen.signals[s].rejected);
    for (std::size_t i = 0; i < kDropCauses; ++i) copy.signals[s].dropped[i] = load(seen.signals[s].dropped[i]);
  }
  return copy;
}

// Never back: of two flushes that return, the later look stands.
void raise(FlushTotals& seen, const FlushTotals& now) noexcept {
  const auto up = [](std::uint64_t& to, std::uint64_t value) {
    std::uint64_t have = __atomic_load_n(&to, __ATOMIC_RELAXED);
    while (value > have && !__atomic_compare_exchange_n(&to, &have, value, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {}
  };
  for (std::size_t s = 0; s < shm::kSignals; ++s) {
    up(seen.signals[s].delivered, now.signals[s].delivered);
    up(seen.signals[s].rejected, now.signals[s].rejected);
    for (std::size_t i = 0; i < kDropCauses; ++i) up(seen.signals[s].dropped[i], now.signals[s].dropped[i]);
  }
}

void describe(FlushResult& result, std::uint64_t deadline_ms, std::uint64_t age_ns) noexcept {
  char why[120] = {};
  switch (result.code) {
    case FlushCode::timed_out:
      if (age_ns > kStaleNs / 5) {
        std::snprintf(why, sizeof why, "not answered in %llu ms, the agent's last sign is %llu ms old; ",
                      static_cast<unsigned long long>(deadline_ms),
                      static_cast<unsigned long long>(age_ns / kMillisecond));
      } else {
        std::snprintf(why, sizeof why, "not answered in %llu ms; ", static_cast<unsigned long long>(deadline_ms));
      }
      break;
    case FlushCode::no_agent:
      if (age_ns > kStaleNs) {
        std::snprintf(why, sizeof why, "no agent: the last one gave its last sign %llu s ago; ",
                      static_cast<unsigned long long>(age_ns / 1000 / kMillisecond));
      } else {
        std::snprintf(why, sizeof why, "no agent drains this process; ");
      }
      break;
    case FlushCode::rejected:
      std::snprintf(why, sizeof why, "the agent does not read this process, its journal says why; ");
      break;
    default: break;
  }
  std::snprintf(result.sentence, sizeof result.sentence, "%s%llu delivered, %llu rejected, %llu dropped, %llu pending",
                why, static_cast<unsigned long long>(result.total.delivered),
                static_cast<unsigned long long>(result.total.rejected),
                static_cast<unsigned long long>(result.total.dropped_total()),
                static_cast<unsigned long long>(result.total.pending));
}

void say_nothing_is_recorded(FlushResult& result) noexcept {
  result.code = FlushCode::not_recording;
  switch (g.mode.load(std::memory_order_acquire)) {
    case Mode::before_init:
    case Mode::initialising:
      std::snprintf(result.sentence, sizeof result.sentence, "init() was not called: nothing is recorded");
      break;
    case Mode::off: std::snprintf(result.sentence, sizeof result.sentence, "%.230s", g.why); break;
    case Mode::active:
      std::snprintf(result.sentence, sizeof result.sentence, "nothing was recorded in this process since its fork");
      break;
  }
}

// Until the generation is answered, the deadline, or nobody is there who could answer.
FlushCode wait_for(const shm::SegmentMap& map, const std::atomic<std::uint32_t>& done, std::uint32_t generation,
                   std::uint64_t deadline_ms, std::uint64_t& age_ns) noexcept {
  const std::uint64_t start = shm::monotonic_ns();
  const std::uint64_t most = (~std::uint64_t{0} - start) / kMillisecond;
  const std::uint64_t deadline = start + (deadline_ms < most ? deadline_ms : most) * kMillisecond;
  const std::uint64_t found_by = map.identity->created_monotonic_ns + kAttachNs;
  bool was_there = false;
  for (;;) {
    const std::uint32_t value = done.load(std::memory_order_acquire);  // pairs with the agent's release
    if (static_cast<std::int32_t>(value - generation) >= 0) return FlushCode::done;
    const std::uint64_t now = shm::monotonic_ns();
    const Presence is = presence(map.control->agent, now, age_ns);
    if (is == Presence::rejected) return FlushCode::rejected;
    // An agent that goes away meanwhile may be followed by the next one, which answers.
    was_there = was_there || is == Presence::attached;
    if (!was_there && (is == Presence::stale || now >= found_by)) return FlushCode::no_agent;
    if (now >= deadline) return was_there ? FlushCode::timed_out : FlushCode::no_agent;
    const std::uint64_t look = was_there ? kLookNs : kLookSoonNs;
    sleep_on(done, value, deadline - now < look ? deadline - now : look);
  }
}

void flush(std::uint64_t deadline_ms, shm::FlushKind kind, FlushResult& result) noexcept {
  Private* p = area();
  if (g.mode.load(std::memory_order_acquire) != Mode::active || p == nullptr ||
      p->state.load(std::memory_order_acquire) != ChildState::ready) {
    say_nothing_is_recorded(result);
    return;
  }
  const shm::SegmentMap& map = g.map;
  const bool critical = kind == shm::FlushKind::critical;
  const auto index = static_cast<std::size_t>(kind);
  const FlushTotals before = seen_before(p->flushed[index]);

  std::atomic<std::uint32_t>& generations = critical ? map.process->critical_gen : map.process->flush_gen;
  const std::atomic<std::uint32_t>& done = critical ? map.control->flush.critical_done : map.control->flush.flush_done;
  // Release: who sees the generation sees every record before it, those of other threads that this one knows of too.
  const std::uint32_t generation = generations.fetch_add(1, std::memory_order_acq_rel) + 1;
  TAILRACE_TEST_POINT("shim.flush.generation");
  ring_bell();
  TAILRACE_TEST_POINT("shim.flush.rung");

  std::uint64_t age_ns = 0;
  result.code = wait_for(map, done, generation, deadline_ms, age_ns);
  result.timed_out = result.code == FlushCode::timed_out;
  FlushTotals now{};
  read_rows(*map.control, index, now);
  add_own(map, kind, now);
  count(now, before, result);
  describe(result, deadline_ms, age_ns);
  raise(p->flushed[index], now);
}

}  // namespace
}  // namespace tailrace::shim

extern "C" void tailrace_flush_within(std::uint64_t deadline_ms, std::uint32_t lowest, tailrace::FlushResult* out,
                                      std::uint32_t size) noexcept {
  using namespace tailrace;
  const int error = errno;
  FlushResult result;
  shim::flush(deadline_ms,
              lowest == static_cast<std::uint32_t>(Priority::critical) ? shm::FlushKind::critical : shm::FlushKind::all,
              result);
  std::memcpy(static_cast<void*>(out), &result, size < sizeof result ? size : sizeof result);
  errno = error;
}
