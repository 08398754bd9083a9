// SPDX-License-Identifier: Apache-2.0
// What the calls of a span share beyond the inlined case: where its draft and its counts lie.
//
// A draft grows through three places: its slot, pool slots chained behind it, SPAN_PART records. What
// was put somewhere never moves.
// Threads: a span belongs to one thread at a time, and to the handlers that interrupt it.
#pragma once

#include <cstring>

#include "encode.hpp"
#include "runtime.hpp"
#include "trace_state.hpp"

namespace tailrace::shim {

using detail::depth_of;
using detail::kStateCounted;
using detail::kStateNoSlot;
using detail::kTopLook;
using detail::kWordBusy;
using detail::kWordClosed;
using shm::ItemType;
using shm::RecordType;
using shm::Signal;

// What stays free of max_record for what the end itself adds: dropped counts and the number of parts.
inline constexpr std::uint32_t kEndItems = 4 * 16;
inline constexpr unsigned kNoSlotShift = 40;  // of SpanState::bits: which place of those without a slot
// Of SpanState::bits and of a context's flags: the pinned tracestate. In the bits only where nothing is recorded.
inline constexpr unsigned kStateTraceStateShift = 40;
inline constexpr unsigned kFlagsTraceStateShift = 8;

// Not a span of the parent: its block stays zero for ever in a child, but for the static one.
inline bool ours(const SpanState& s) noexcept {
  if (s.block == nullptr) return false;
  if (s.block != &closed_block) return s.block->control != nullptr;
  return s.top >> 32 == g.generation.load(std::memory_order_relaxed);
}

inline void forget(SpanState& s) noexcept { s = SpanState{}; }

inline bool in_pool(const shm::SpanSlot* slot) noexcept {
  return slot >= g.map.pool && slot < g.map.pool + g.map.geometry.pool_slots;
}
inline std::uint32_t pool_index(const shm::SpanSlot* slot) noexcept {
  return static_cast<std::uint32_t>(slot - g.map.pool);
}

inline std::uint32_t lane_of(const shm::SpanSlot* slot) noexcept {
  return static_cast<std::uint32_t>((slot - g.map.slots) / static_cast<std::ptrdiff_t>(shm::kSlotsPerLane));
}

// Valid for a recording span of ours.
inline Side& side_of(const SpanState& s) noexcept {
  constexpr std::uint32_t kPool = shm::kLanesMax * shm::kSlotsPerLane;
  if ((s.bits & kStateNoSlot) != 0) {
    return side_at(kPool + shm::kPoolSlotsDefault +
                   (static_cast<std::uint32_t>(s.bits >> kNoSlotShift) & (kNoSlotSpans - 1)));
  }
  if (in_pool(s.slot)) return side_at(kPool + pool_index(s.slot));
  return side_at(static_cast<std::uint32_t>(s.slot - g.map.slots));
}

inline bool counted(const SpanState& s) noexcept { return (s.bits & kStateCounted) != 0; }

inline bool busy(const SpanState& s) noexcept { return (s.word & kWordBusy) != 0; }
inline std::uint32_t size_of(std::uint64_t word) noexcept { return static_cast<std::uint32_t>(word & ~kWordClosed); }

// Inlined items stop: what follows must be counted or stands elsewhere.
inline void close_room(SpanState& s) noexcept { s.word |= kWordClosed; }

inline unsigned char* draft_of(const SpanState& s) noexcept {
  return s.slot != nullptr ? s.slot->bytes : reinterpret_cast<unsigned char*>(side_of(s).draft);
}

inline void ids_of(const SpanState& s, std::uint64_t (&ids)[3]) noexcept { std::memcpy(ids, draft_of(s) + 24, 24); }

inline Side& begin_counting(SpanState& s) noexcept {
  Side& side = side_of(s);
  if (!counted(s)) {
    s.bits |= kStateCounted;
    std::memset(static_cast<void*>(&side), 0, offsetof(Side, draft));
  }
  return side;
}

// What the span pinned; 0: no tracestate.
inline std::uint32_t trace_state_of(const SpanState& s) noexcept {
  if (s.word == 0) return static_cast<std::uint32_t>(s.bits >> kStateTraceStateShift);
  return counted(s) ? side_of(s).trace_state : 0;
}

// A draft's header with so much more behind it.
inline std::uint64_t grown(std::uint64_t word, std::uint32_t bytes, std::uint32_t items) noexcept {
  std::uint64_t count = (word >> 56) + items;
  if (count > 255) count = 255;
  return (word & ~(0xffull << 56)) + bytes + (count << 56);
}

inline void store_word(unsigned char* to, std::uint64_t word) noexcept {
  __atomic_store_n(reinterpret_cast<detail::Word*>(to), word, __ATOMIC_RELEASE);
}

// A slot of the own list or of the pool; null: none is left.
shm::SpanSlot* take_slot(ThreadBlock* own) noexcept;
// Gives a slot back: to the own list without an atomic, to another lane's by its `freed_remote`.
void free_slot(ThreadBlock* own, shm::SpanSlot* slot) noexcept;
void free_chain(const SpanState& s, const Side& side) noexcept;

// An item whose key is one of the format's own. False: left out.
bool add_text(SpanState& s, std::uint32_t key, const char* text, std::size_t length) noexcept;

// The stack's top behind the entries that are dead there; says whether others are below it.
std::uint64_t without_dead(const ThreadBlock& block) noexcept;
// Takes the span off the stack of its thread. Not `may_pop`: not our stack, or in a signal handler.
void leave_stack(const SpanState& s, std::uint64_t span_id, bool may_pop) noexcept;

}  // namespace tailrace::shim
