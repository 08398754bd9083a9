// SPDX-License-Identifier: Apache-2.0
// The slow half of writing: refresh, prefixes, drops, the doorbell, shared lanes.
#include <cerrno>
#include <csignal>
#include <cstring>

#include <tailrace/shm/clock.hpp>

#include "runtime.hpp"

namespace tailrace::shim {
namespace {

using shm::Signal;

std::size_t index_of(Signal signal) { return static_cast<std::size_t>(signal); }

// Limits at head: whatever comes next looks here first.
void close_fast_path(shm::RingProducer<std::uint64_t>& ring) noexcept {
  for (std::uint64_t& limit : ring.limit) limit = ring.head;
}

bool on_alternative_stack() noexcept {
  const int error = errno;
  stack_t stack{};
  const bool on = sigaltstack(nullptr, &stack) == 0 && (stack.ss_flags & SS_ONSTACK) != 0;
  errno = error;
  return on;
}

// Rings at half full, once for each tail, if somebody may be asleep.
void maybe_ring(shm::RingProducer<std::uint64_t>& ring) noexcept {
  if (!ring.wants_bell()) return;
  if (g.map.control->flush.agent_sleeping.load(std::memory_order_relaxed) != 0) ring_bell();
  ring.rang_bell();
}

bool make_fit(shm::RingProducer<std::uint64_t>& ring, std::uint32_t lane, std::uint32_t priority,
              std::uint64_t bytes) noexcept {
  // Acquire: the agent has copied what lies before tail before anything is written over it.
  ring.refresh(g.map.tails[lane].tail.load(std::memory_order_acquire));
  if (ring.fits(priority, bytes)) return true;
  maybe_ring(ring);
  return ring.fits(priority, bytes);
}

bool lock_shared(Place& place) noexcept {
  Private* p = area();
  const shm::SegmentMap* map = segment();
  if (p == nullptr || map == nullptr) return false;
  // One pass: nothing spins here.
  for (std::uint32_t i = 0; i < shm::kSharedLanes; ++i) {
    SharedWriter& writer = p->shared[i];
    if (!writer.lock.try_lock(1)) continue;
    const std::uint32_t lane = map->geometry.lanes - shm::kSharedLanes + i;
    shm::LaneHead& head = map->heads[lane];
    if (writer.ready == 0) {
      if (!shm::commit_range(map->ring(lane), map->lane_stride())) {
        writer.lock.unlock();
        return false;
      }
      writer.ring.attach(map->ring(lane), map->geometry.ring_bytes, 0, 0, 64);
      head.committed.store(1, std::memory_order_release);
      head.in_use.store(1, std::memory_order_release);
      writer.ready = 1;
    }
    place.shared = &writer;
    place.lane = lane;
    place.head = &head;
    return true;
  }
  return false;
}

}  // namespace

void count_unlaned(Signal signal, std::uint32_t priority) noexcept {
  if (segment() == nullptr) {
    g.calls_unrecorded.fetch_add(1, std::memory_order_relaxed);
    return;
  }
  g.map.process->unlaned_dropped[index_of(signal)][priority & 3].fetch_add(1, std::memory_order_relaxed);
}

void count_cut(ThreadBlock* own) noexcept {
  if (own != nullptr && own->lane != kNoLane && own->control != nullptr) {
    detail::add_plain(own->lane_head->cut, 1);
  } else {
    g.cut_unlaned.fetch_add(1, std::memory_order_relaxed);
  }
}

bool begin_own(ThreadBlock* block) noexcept {
  if (block == nullptr || block->lane == kNoLane || block->control == nullptr) return false;
  const std::uintptr_t holder = __atomic_load_n(&block->busy, __ATOMIC_RELAXED);
  if (holder != 0) {
    // A handler stands deeper on the stack than the call it interrupted. Whoever stands higher is an
    // ordinary call, and the one that set busy was left by a longjmp.
    if (detail::stack_pointer() + kHandlerFrame < holder || on_alternative_stack()) return false;
    if (block->held_lane != 0) area()->shared[block->held_lane - 1].lock.unlock();
    block->held_lane = 0;
  }
  detail::set_busy(block);
  return true;
}

static std::uint64_t prefix_of(const ThreadBlock& block) noexcept {
  return (block.thread_pending != 0 ? sizeof(shm::ThreadRecord) : 0) +
         (block.loss_pending != 0 ? sizeof(shm::LossRecord) : 0);
}

static void count_loss(ThreadBlock& block, Signal signal, std::uint32_t priority) noexcept {
  detail::add_one(block.lane_head->dropped[index_of(signal)][priority]);
  // The time of a loss explains, it counts nothing: it is read now and then only.
  if (block.loss_pending == 0) block.lost_first = shm::read_counter(static_cast<shm::ClockKind>(g.clock));
  if ((block.loss_pending & 15) == 0) block.lost_last = shm::read_counter(static_cast<shm::ClockKind>(g.clock));
  ++block.loss_pending;
  if (block.loss_pending == 0) block.loss_pending = 1;
  ++block.lost[priority];
}

// Prefix bytes in front of a record of `bytes`, or -1: dropped and counted. `busy` is set.
static std::int64_t make_room(ThreadBlock& block, Signal signal, std::uint32_t priority, std::uint64_t bytes) noexcept {
  shm::RingProducer<std::uint64_t>& ring = block.ring;
  const std::uint64_t prefix = prefix_of(block);
  if (TAILRACE_UNLIKELY(!make_fit(ring, block.lane, priority, prefix + bytes))) {
    count_loss(block, signal, priority);
    close_fast_path(ring);
    return -1;
  }
  if (prefix == 0) return 0;
  // Published by the same store of head as the record behind it.
  std::uint64_t at = ring.head;
  if (block.thread_pending != 0) {
    unsigned char* to = ring.data + (at & ring.mask);
    shm::ThreadRecord record{};
    record.header = {sizeof record, static_cast<std::uint16_t>(shm::RecordType::thread), 0, 0};
    record.tid = block.tid;
    std::memcpy(record.name, block.name, sizeof record.name);
    std::memcpy(to, &record, sizeof record);
    at += sizeof record;
    TAILRACE_TEST_POINT("shim.write.thread");
  }
  if (block.loss_pending != 0) {
    unsigned char* to = ring.data + (at & ring.mask);
    shm::LossRecord record{};
    record.header = {sizeof record, static_cast<std::uint16_t>(shm::RecordType::loss), 0, 0};
    record.first = block.lost_first;
    record.last = block.lost_last;
    std::memcpy(record.lost, block.lost, sizeof record.lost);
    std::memcpy(to, &record, sizeof record);
    TAILRACE_TEST_POINT("shim.write.loss");
    std::memset(block.lost, 0, sizeof block.lost);
  }
  block.thread_pending = 0;
  block.loss_pending = 0;
  return static_cast<std::int64_t>(prefix);
}

bool reserve(ThreadBlock* own, Signal signal, std::uint32_t priority, std::uint32_t bytes, Place& place) noexcept {
  place = Place{};
  if (own != nullptr) {
    place.own = own;
    place.lane = own->lane;
    place.head = own->lane_head;
    std::uint64_t at = own->ring.head;
    if (!own->ring.fits(priority, bytes)) {
      const std::int64_t prefix = make_room(*own, signal, priority, bytes);
      if (prefix < 0) return false;
      at += static_cast<std::uint64_t>(prefix);
    }
    place.to = own->ring.data + (at & own->ring.mask);
    place.target = at + bytes;
    return true;
  }
  if (!lock_shared(place)) {
    count_unlaned(signal, priority);
    return false;
  }
  shm::RingProducer<std::uint64_t>& ring = place.shared->ring;
  if (!ring.fits(priority, bytes) && !make_fit(ring, place.lane, priority, bytes)) {
    detail::add_plain(place.head->dropped[index_of(signal)][priority], 1);
    place.shared->lock.unlock();
    return false;
  }
  place.to = ring.at_head();
  place.target = ring.head + bytes;
  return true;
}

void publish(Place& place, Signal signal, bool counts, std::uint32_t priority) noexcept {
  shm::RingProducer<std::uint64_t>& ring = place.own != nullptr ? place.own->ring : place.shared->ring;
  TAILRACE_TEST_POINT("shim.write.filled");
  ring.head = place.target;
  place.head->head.store(place.target, std::memory_order_release);  // pairs with the agent's acquire
  TAILRACE_TEST_POINT("shim.write.head");
  if (counts) detail::add_plain(place.head->written[index_of(signal)], 1);
  TAILRACE_TEST_POINT("shim.write.written");
  if (place.shared != nullptr) place.shared->lock.unlock();
  if (priority == 0) note_critical(signal, counts);
}

}  // namespace tailrace::shim

using namespace tailrace;

extern "C" bool tailrace_full(detail::ThreadBlock* block, unsigned signal, unsigned priority,
                              std::size_t bytes) noexcept {
  if (block->busy != 0) return false;
  detail::set_busy(block);
  shm::RingProducer<std::uint64_t>& ring = block->ring;
  // Still the same tail: no more room than at the last loss, when the limits were closed.
  if (block->loss_pending != 0 && ring.bell_rung &&
      shim::g.map.tails[block->lane].tail.load(std::memory_order_acquire) == ring.tail) {
    const std::uint64_t room = ring.tail + ring.capacity - ring.overrun - ring.reserve[priority];
    if (static_cast<std::int64_t>(room - ring.head) < static_cast<std::int64_t>(bytes + shim::prefix_of(*block))) {
      shim::count_loss(*block, static_cast<shm::Signal>(signal), priority);
      detail::clear_busy(block);
      return true;
    }
  }
  const bool fits = shim::make_fit(block->ring, block->lane, priority, shim::prefix_of(*block) + bytes);
  // Whoever writes next comes here again, for the prefix.
  if (fits && shim::prefix_of(*block) != 0) shim::close_fast_path(ring);
  if (!fits) {
    shim::count_loss(*block, static_cast<shm::Signal>(signal), priority);
    shim::close_fast_path(ring);
  }
  detail::clear_busy(block);
  return !fits;
}
