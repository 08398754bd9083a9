// SPDX-License-Identifier: Apache-2.0
//
// OpenSpans: what a dead process left in its span slots.
//
// Only after the process's lock is ours (AttachedSegment::try_lock_dead), its lanes are drained to their
// heads: then a slot that says ENDING is either in the ring (head has reached its target) or has to be sent
// from the slot, as ended. Slots are visited in a fixed order, so that an agent that died in between goes on
// at the slot whose index the hold has.
//
// Threads: one. Memory: the slots of one lane, and the pool's (kPoolBytesMax at most), by pread.
// Failure: a slot that does not hold together is counted and skipped.
// Source: segment.md 3.5.
#pragma once

#include <cstdint>
#include <vector>

#include "agent/discover/segment.hpp"
#include "shm/reader/slots.hpp"

namespace tailrace::agent {

class OpenSpans {
 public:
  static constexpr std::uint64_t kPoolBytesMax = 64 * 1024 * 1024;

  // `from` is the first slot to look at: 0, or what index() said when the last span was committed.
  OpenSpans(AttachedSegment& segment, std::uint64_t from);

  // The next span to be sent: verdict open or ended. False: no more. Valid until the next call.
  [[nodiscard]] bool next(shm::SlotSpan& out);
  // Where to go on: behind the slot of the last span given. Commit it with that span.
  [[nodiscard]] std::uint64_t index() const { return index_; }
  [[nodiscard]] std::uint64_t total() const { return total_; }
  [[nodiscard]] std::uint64_t damaged() const { return damaged_; }

 private:
  bool load_lane(std::uint32_t lane);

  AttachedSegment& segment_;
  std::uint64_t index_ = 0;
  std::uint64_t lane_slots_ = 0;  // slots of all lanes; behind them come the pool's
  std::uint64_t total_ = 0;
  std::uint64_t damaged_ = 0;
  std::vector<std::uint64_t> heads_;
  std::vector<std::uint8_t> pool_;
  std::vector<std::uint8_t> slots_;  // of `loaded_lane_`
  std::uint64_t loaded_lane_ = ~std::uint64_t{0};
};

}  // namespace tailrace::agent
