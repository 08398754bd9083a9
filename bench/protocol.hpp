// SPDX-License-Identifier: Apache-2.0
// The protocol alone: a span as docs/abi.md asks for it (a draft in a slot, each item published, ENDING before the
// copy, one store of head, FREE), in straight-line code that checks nothing: no busy mark, no parent, no sampling, no
// limits, no control words, no room in the ring. What a shim of this protocol cannot beat on a machine.
//
// Threads: one. Memory: borrows a slot, a ring of a power of two and slack behind it.
#pragma once

#include <tailrace/tailrace.hpp>

namespace tailrace::bench {

class Protocol {
 public:
  Protocol(shm::SpanSlot* slot, unsigned char* ring, std::uint64_t ring_bytes, shm::LaneHead* head)
      : slot_(slot), ring_(ring), mask_(ring_bytes - 1), lane_(head) {}

  // Start, three scalar attributes, end.
  [[gnu::noinline]] void span(std::uint64_t a, double b, bool c) {
    using detail::put_pair;
    using detail::put_word;
    unsigned char* draft = slot_->bytes;
    const std::uint64_t step = state_;
    state_ = step + 3 * detail::kIdStep;
    const std::uint64_t id = detail::mix(step, kKey);
    constexpr std::uint64_t kWord = shm::header_word(64, shm::RecordType::span, 1, 0);
    put_pair(draft + 16, shm::cpu_counter(), detail::mix(step + detail::kIdStep, kKey));
    put_pair(draft + 32, detail::mix(step + 2 * detail::kIdStep, kKey), id);
    put_pair(draft + 48, 0, 64 | 1ull << 32 | 7ull << 40);
    put_pair(draft, kWord, 0);
    slot_->state.store(shm::slot_open(id), std::memory_order_release);
    std::uint64_t bits;
    std::memcpy(&bits, &b, 8);
    item(draft, kWord + 1 * kItem, 70, shm::ItemType::integer, a);
    item(draft, kWord + 2 * kItem, 71, shm::ItemType::real, bits);
    item(draft, kWord + 3 * kItem, 72, shm::ItemType::boolean, c ? 1 : 0);

    const std::uint64_t now = shm::cpu_counter();
    const std::uint64_t target = head_ + 112;
    unsigned char* to = ring_ + (head_ & mask_);
    put_word(draft + 8, now);
    slot_->state.store(shm::slot_ending(0, target), std::memory_order_release);
    put_pair(to, kWord + 3 * kItem, now);
    detail::copy_draft(to, draft, 112);
    lane_->head.store(target, std::memory_order_release);
    detail::add_one(lane_->written[0]);
    slot_->state.store(shm::kSlotFree, std::memory_order_release);
    head_ = target;
  }

 private:
  static constexpr std::uint64_t kKey = 0xe7037ed1a0b428dbull;
  static constexpr std::uint64_t kItem = 16 + detail::kItemCountOne;
  TAILRACE_INLINE static void item(unsigned char* draft, std::uint64_t word, std::uint32_t key, shm::ItemType type,
                                   std::uint64_t value) {
    detail::put_pair(draft + static_cast<std::uint32_t>(word) - 16, shm::item_word(key, type, 0, 8), value);
    __atomic_store_n(reinterpret_cast<detail::Word*>(draft), word, __ATOMIC_RELEASE);
  }

  shm::SpanSlot* slot_;
  unsigned char* ring_;
  std::uint64_t mask_;
  std::uint64_t head_ = 0;
  std::uint64_t state_ = 42;
  shm::LaneHead* lane_;
};

}  // namespace tailrace::bench
