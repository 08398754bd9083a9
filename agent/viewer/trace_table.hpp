// SPDX-License-Identifier: Apache-2.0
//
// TraceTable: a fixed number of traces, found by id, in the order of their last span.
//
// Its memory is mapped once and never grows; untouched entries cost nothing. Entries are named by
// slot and generation, so that a span left in the log of a trace that was removed does not find its
// slot's next owner.
//
// Threads: none of its own; the owner locks. Failure: take() answers kNoSlot when the table is
// full, or when its memory could not be mapped (capacity() is 0 then).
#ifndef TAILRACE_AGENT_VIEWER_TRACE_TABLE_HPP_
#define TAILRACE_AGENT_VIEWER_TRACE_TABLE_HPP_

#include <cstddef>
#include <cstdint>

#include "agent/viewer/chunk_log.hpp"
#include "agent/viewer/page_block.hpp"
#include "agent/viewer/record.hpp"

namespace tailrace::agent::viewer {

struct Trace {
  TraceId id;
  std::uint32_t generation;  // changes each time the slot is given away
  std::uint32_t live;        // spans kept
  std::uint32_t dropped;     // spans dropped by the budget
  std::uint32_t errors;      // among those kept
  std::uint32_t unfinished;  // among those kept
  std::uint32_t quieter;     // slot with the next older last span
  std::uint32_t livelier;    // slot with the next newer last span; next free slot when free
  bool has_root;             // a span without a parent was seen (its record may be gone)
  std::uint64_t start_ns;    // over all spans seen
  std::uint64_t end_ns;
  std::uint64_t label_start_ns;
  ChunkLog::Position label;   // the root, else the earliest span
  ChunkLog::Position newest;  // head of the chain through its spans
};

class TraceTable {
 public:
  using Slot = std::uint32_t;
  static constexpr Slot kNoSlot = ~Slot{0};

  // As many traces as fit into `bytes`, index included.
  explicit TraceTable(std::size_t bytes);

  [[nodiscard]] Slot find(const TraceId& id) const noexcept;
  [[nodiscard]] Slot take(const TraceId& id) noexcept;  // id must not be in the table
  void remove(Slot slot) noexcept;
  void touch(Slot slot) noexcept;  // it is the liveliest now

  [[nodiscard]] Trace& operator[](Slot slot) noexcept { return entries_[slot]; }
  [[nodiscard]] const Trace& operator[](Slot slot) const noexcept { return entries_[slot]; }

  [[nodiscard]] Slot liveliest() const noexcept { return liveliest_; }
  [[nodiscard]] Slot quietest() const noexcept { return quietest_; }
  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  [[nodiscard]] std::size_t capacity() const noexcept { return capacity_; }
  // What it may come to use, and what it has used so far; the difference is not resident.
  [[nodiscard]] std::size_t bytes() const noexcept { return entry_block_.bytes() + index_block_.bytes(); }
  [[nodiscard]] std::size_t touched_bytes() const noexcept {
    return never_used_ * sizeof(Trace) + index_block_.bytes();
  }

 private:
  [[nodiscard]] std::size_t bucket_of(const TraceId& id) const noexcept;
  void unlink(Slot slot) noexcept;
  void push_liveliest(Slot slot) noexcept;

  PageBlock entry_block_;
  PageBlock index_block_;
  Trace* entries_ = nullptr;
  std::uint32_t* index_ = nullptr;  // slot + 1, 0 = empty; linear probing
  std::size_t index_mask_ = 0;
  std::size_t capacity_ = 0;
  std::size_t size_ = 0;
  std::uint32_t never_used_ = 0;  // slots from here on were never given away
  Slot free_ = kNoSlot;
  Slot liveliest_ = kNoSlot;
  Slot quietest_ = kNoSlot;
  std::uint64_t seed_;
};

}  // namespace tailrace::agent::viewer

#endif  // TAILRACE_AGENT_VIEWER_TRACE_TABLE_HPP_
