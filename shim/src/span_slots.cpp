// SPDX-License-Identifier: Apache-2.0
// The slots that hold drafts: taken from the own lane or the pool, given back to whom they belong.
#include "span_draft.hpp"

namespace tailrace::shim {

void free_slot(ThreadBlock* own, shm::SpanSlot* slot) noexcept {
  if (in_pool(slot)) {
    free_pool_slot(pool_index(slot));
    return;
  }
  const std::uint32_t lane = lane_of(slot);
  const std::uint32_t bit = 1u << ((slot - g.map.slots) % static_cast<std::ptrdiff_t>(shm::kSlotsPerLane));
  if (own != nullptr && own->lane == lane) {
    own->slots_free |= bit;
  } else {
    // Release: the owner reuses the slot after our last store into it.
    __atomic_fetch_or(&block_at(lane)->freed_remote, bit, __ATOMIC_RELEASE);
  }
}

void free_chain(const SpanState& s, const Side& side) noexcept {
  std::uint64_t next = s.slot->next.load(std::memory_order_relaxed);
  s.slot->next.store(0, std::memory_order_relaxed);
  for (std::uint32_t i = 0; i < side.chained && next != 0 && next <= g.map.geometry.pool_slots; ++i) {
    shm::SpanSlot& slot = g.map.pool[next - 1];
    const auto index = static_cast<std::uint32_t>(next - 1);
    next = slot.next.load(std::memory_order_relaxed);
    slot.next.store(0, std::memory_order_relaxed);
    slot.state.store(shm::kSlotFree, std::memory_order_release);
    free_pool_slot(index);
  }
}

shm::SpanSlot* take_slot(ThreadBlock* own) noexcept {
  if (own != nullptr) {
    if (own->slots_free == 0) own->slots_free = __atomic_exchange_n(&own->freed_remote, 0u, __ATOMIC_ACQUIRE);
    if (own->slots_free != 0) {
      const std::uint32_t free_slots = own->slots_free;
      const unsigned index = detail::highest_bit(free_slots);
      own->slots_free = free_slots ^ 1u << index;
      return own->slots + index;
    }
  }
  const std::uint32_t index = take_pool_slot();
  return index != kNoLane ? g.map.pool + index : nullptr;
}

}  // namespace tailrace::shim
