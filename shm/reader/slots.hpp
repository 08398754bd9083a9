// SPDX-License-Identifier: Apache-2.0
// Slots: the spans that a process had open, or was just ending, from private copies.
//
// The verdict about a slot needs the lanes' heads, loaded BEFORE the slots were copied, of a process that
// is gone (its lock is free): OPEN is an unfinished span; ENDING is a finished one that is in the ring
// exactly when its lane's head has reached the target, and must be exported from here otherwise. For a
// live process the answer is a guess: copy twice and compare.
//
// A span's items stand behind the 64 bytes of its SPAN record in the slot and go on in pool slots that
// hold a MORE record each. Sizes, links and lane numbers are the process's words: each is checked, a
// chain is at most kChainMax slots long and never visits one twice.
//
// Threads: any. Memory: borrows the copies. Failure: SlotVerdict::broken; a broken chain alone leaves the
// span with the items before the break and `chain_broken`.
#pragma once

#include <array>
#include <cstdint>

#include <tailrace/shm/layout.hpp>
#include <tailrace/shm/record.hpp>

#include "shm/reader/bytes.hpp"

namespace tailrace::shm {

inline constexpr std::size_t kChainMax = 64;

enum class SlotVerdict : std::uint8_t {
  nothing,  // free, being filled, a continuation, or ended and in the ring
  open,     // started and not ended
  ended,    // ended, but its record is not in the ring: export it as it is
  broken,   // makes no sense: count it
};

struct SlotSpan {
  SlotVerdict verdict = SlotVerdict::nothing;
  SpanRecord record{};                       // its fixed part; `end` means something only for `ended`
  std::uint32_t lane = 0;                    // `ended`: the lane of the thread that was ending it
  std::array<Bytes, 1 + kChainMax> items{};  // ranges of items, in order; an item never spans two
  std::size_t item_ranges = 0;
  bool chain_broken = false;
};

// What all slots of one segment are judged by.
struct SlotContext {
  Bytes pool;                            // copy of pool slots [0, pool_used)
  std::uint32_t slot_bytes = 0;          // Geometry's
  const std::uint64_t* heads = nullptr;  // loaded before the slots
  std::uint32_t lane_count = 0;
};

// `slot`: a copy of slot_bytes, of a lane or of the pool.
SlotSpan read_slot(Bytes slot, const SlotContext& context);

}  // namespace tailrace::shm
