// SPDX-License-Identifier: Apache-2.0
// Observables: callbacks that say a value when they are asked, run by tick() or by the opt-in thread.
//
// Threads: one runs them at a time, whoever else comes leaves at once. Registrations come and go while they
// run: a callback may end its own, anybody else's end waits until the callback has returned.
// Ownership: the state of a callback is dropped once, by whoever ends it. Failure: refused, and dropped at once.
#include <cerrno>
#include <csignal>
#include <cstring>

#include <pthread.h>
#include <time.h>

#include "metrics.hpp"
#include "no_cancel.hpp"

namespace tailrace::shim {
namespace {

std::uint32_t tick_number;  // of the thread that holds g.ticking
std::uint32_t interval_ms;
__thread bool in_tick __attribute__((tls_model("initial-exec")));

const shm::SegmentMap* open_segment() noexcept {
  const shm::SegmentMap* map = segment();
  if (map == nullptr || area()->metrics_ready == 0) return nullptr;
  return (map->control->hot.disable_mask.load(std::memory_order_relaxed) & detail::kMetricsOff) == 0 ? map : nullptr;
}

void finish(Callback& callback) noexcept {
  callback.drop(callback.user);
  ++callback.generation;
  callback.state.store(CallbackState::free, std::memory_order_release);
}

std::uint32_t run_all(Registry& r) noexcept {
  std::uint32_t ran = 0;
  for (Callback& callback : r.callbacks) {
    CallbackState state = CallbackState::ready;
    if (!callback.state.compare_exchange_strong(state, CallbackState::running, std::memory_order_acq_rel)) continue;
    if (!callback.run(callback.user, callback.instrument)) g.callbacks_failed.fetch_add(1, std::memory_order_relaxed);
    ++ran;
    state = CallbackState::running;
    if (!callback.state.compare_exchange_strong(state, CallbackState::ready, std::memory_order_acq_rel))
      finish(callback);
  }
  return ran;
}

// A set that was not observed this time has no value any more.
void forget_unseen(Registry& r, const shm::SegmentMap& map) noexcept {
  const std::uint32_t count = g.series.load(std::memory_order_acquire);
  for (std::uint32_t i = 0; i < count; ++i) {
    if ((r.series[i].flags & shm::kMetricObservable) == 0 || r.seen[i] == tick_number || r.seen[i] == 0) continue;
    detail::store_word(map.metric_shared + std::uint64_t{r.series[i].cell} * 8, 0);
    r.seen[i] = 0;
  }
}

void* tick_for_ever(void*) noexcept {
  pthread_setname_np(pthread_self(), "tailrace-tick");
  for (;;) {
    timespec left{static_cast<time_t>(interval_ms / 1000), static_cast<long>(interval_ms % 1000) * 1000000};
    while (nanosleep(&left, &left) != 0 && errno == EINTR) {}
    tailrace_tick();
  }
  return nullptr;
}

}  // namespace

bool start_ticking(std::uint32_t every_ms) noexcept {
  interval_ms = every_ms;
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);  // the application's signals are not for this thread
  pthread_attr_t detached;
  pthread_attr_init(&detached);
  pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
  pthread_t thread;
  const bool good = pthread_create(&thread, &detached, tick_for_ever, nullptr) == 0;
  pthread_attr_destroy(&detached);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return good;
}

// The thread that ran them is not in the child, unless it forked in a callback.
void forget_ticking() noexcept {
  if (in_tick) {
    g.ticking.store(gettid_now(), std::memory_order_relaxed);
    return;
  }
  if (g.ticking.load(std::memory_order_relaxed) == 0) return;
  for (Callback& callback : registry()->callbacks) {
    const CallbackState state = callback.state.load(std::memory_order_relaxed);
    if (state == CallbackState::running) callback.state.store(CallbackState::ready, std::memory_order_relaxed);
    if (state == CallbackState::dying) callback.state.store(CallbackState::free, std::memory_order_relaxed);
  }
  g.ticking.store(0, std::memory_order_release);
}

}  // namespace tailrace::shim

using namespace tailrace;
using namespace tailrace::shim;

extern "C" std::uint64_t tailrace_observe(const detail::InstrumentData* data,
                                          bool (*run)(void*, const detail::Instrument*), void (*drop)(void*),
                                          void* state) noexcept {
  Registry* r = registry();
  const detail::Instrument* instrument = tailrace_instrument(data);
  if (r != nullptr && instrument->index != kNone) {
    for (std::uint32_t i = 0; i < kCallbacksMax; ++i) {
      Callback& callback = r->callbacks[i];
      CallbackState free = CallbackState::free;
      if (!callback.state.compare_exchange_strong(free, CallbackState::filling, std::memory_order_acq_rel)) continue;
      callback.instrument = instrument;
      callback.run = run;
      callback.drop = drop;
      callback.user = state;
      const std::uint64_t id = std::uint64_t{callback.generation} << 32 | (i + 1);
      callback.state.store(CallbackState::ready, std::memory_order_release);
      return id;
    }
    complain("more than 1024 callbacks of observables: one is not called");
  }
  drop(state);
  return 0;
}

extern "C" void tailrace_unobserve(std::uint64_t id) noexcept {
  const NoCancel whole;
  const auto index = static_cast<std::uint32_t>(id) - 1;
  Registry* r = registry();
  if (id == 0 || r == nullptr || index >= kCallbacksMax) return;
  Callback& callback = r->callbacks[index];
  while (callback.generation == static_cast<std::uint32_t>(id >> 32)) {
    CallbackState state = CallbackState::ready;
    if (callback.state.compare_exchange_strong(state, CallbackState::filling, std::memory_order_acq_rel))
      return finish(callback);
    if (state != CallbackState::running) return;
    if (in_tick) {
      // Its own, or that of a callback around it: whoever runs it drops it.
      callback.state.compare_exchange_strong(state, CallbackState::dying, std::memory_order_acq_rel);
      return;
    }
    const timespec moment{0, 100000};
    nanosleep(&moment, nullptr);
  }
}

extern "C" void tailrace_observed(const detail::Instrument* instrument, std::uint64_t bits, const Attribute* attributes,
                                  std::size_t size) noexcept {
  const shm::SegmentMap* map = segment();
  if (!in_tick || map == nullptr) return;
  const bool real = (instrument->flags & shm::kMetricReal) != 0;
  const bool monotonic = instrument->kind == static_cast<std::uint8_t>(shm::MetricKind::counter);
  if (real && (!detail::finite(bits) || (monotonic && detail::real_of(bits) < 0))) {
    tailrace_metric_invalid();
    return;
  }
  const Cell cell =
      look_up(tailrace_thread->control != nullptr ? tailrace_thread : nullptr, instrument, attributes, size);
  if (cell == kNoCell) {
    map->process->metrics_unrecorded.fetch_add(1, std::memory_order_relaxed);
    return;
  }
  InstrumentRecord& in = record_of(instrument);
  if (cell == in.overflow.load(std::memory_order_relaxed) &&
      instrument->kind != static_cast<std::uint8_t>(shm::MetricKind::gauge)) {
    // The sum of all that found no series in this tick.
    if (in.overflow_tick != tick_number) in.overflow_sum = 0;
    in.overflow_tick = tick_number;
    in.overflow_sum =
        real ? detail::bits_of_real(detail::real_of(in.overflow_sum) + detail::real_of(bits)) : in.overflow_sum + bits;
    bits = in.overflow_sum;
  }
  registry()->seen[detail::cell_series(cell)] = tick_number;
  detail::store_word(map->metric_shared + detail::cell_offset(cell), detail::hide(bits));
}

extern "C" std::uint32_t tailrace_tick() noexcept {
  Registry* r = static_cast<Registry*>(g.registry.load(std::memory_order_acquire));
  if (r == nullptr || in_tick || g.mode.load(std::memory_order_acquire) != Mode::active) return 0;
  const shm::SegmentMap* map = open_segment();
  std::uint32_t nobody = 0;
  if (map == nullptr || !g.ticking.compare_exchange_strong(nobody, gettid_now(), std::memory_order_acq_rel)) return 0;
  // A cancellation would unwind through callers that do not expect it.
  int cancel_state = 0;
  pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel_state);
  in_tick = true;
  if (++tick_number == 0) ++tick_number;
  const std::uint32_t ran = run_all(*r);
  if (const shm::SegmentMap* now = open_segment(); now != nullptr)
    forget_unseen(*r, *now);  // a callback may have forked
  in_tick = false;
  g.ticking.store(0, std::memory_order_release);
  pthread_setcancelstate(cancel_state, nullptr);
  return ran;
}
