// SPDX-License-Identifier: Apache-2.0
//
// OpenSpans: what a dead process left in its span slots.
//
// Only after the process's lock is ours (AttachedSegment::try_lock_dead), its lanes are drained to their
// heads: then a slot that says ENDING is either in the ring (head has reached its target) or has to be sent
// from the slot, as ended. Slots are visited in a fixed order, so that an agent that died in between goes on
// at the slot whose index the hold has.
//
// Threads: one. Memory: one span's drafts at a time, by pread; at most kDraftsMax slots of a chain.
// Failure: a slot that does not hold together is counted and skipped.
// Source: segment.md 3.5.
#pragma once

#include <cstdint>
#include <vector>

#include "agent/decode/decoder.hpp"
#include "agent/discover/segment.hpp"

namespace tailrace::agent {

class OpenSpans {
 public:
  static constexpr std::uint32_t kDraftsMax = 1024;

  // `from` is the first slot to look at: 0, or what next() left in index() for the hold.
  OpenSpans(AttachedSegment& segment, std::uint64_t from);

  // The next span to be sent. False: no more. Bytes are valid until the next call.
  [[nodiscard]] bool next(OpenSpanBytes& out);
  // Where to go on: behind the slot of the last span given. Commit it with that span.
  [[nodiscard]] std::uint64_t index() const { return index_; }
  [[nodiscard]] std::uint64_t total() const { return total_; }
  [[nodiscard]] std::uint64_t damaged() const { return damaged_; }

 private:
  bool load_chain(std::uint64_t slot_offset);

  AttachedSegment& segment_;
  std::uint64_t index_ = 0;
  std::uint64_t total_ = 0;
  std::uint64_t damaged_ = 0;
  std::vector<std::uint8_t> copy_;
  std::vector<shm::Bytes> drafts_;
};

}  // namespace tailrace::agent
