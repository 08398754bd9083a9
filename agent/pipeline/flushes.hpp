// SPDX-License-Identifier: Apache-2.0
//
// Flushes: what one application waits for in flush(), and when it is answered.
//
//   asked ── heads loaded ──► draining ── read to these heads ──► drained ── metrics collected ──► ready
//     ready ── batches closed ──► waiting ── settled ──► answered
//
// A flush waits for the batches that exist once everything recorded before it is in one: a set, because
// batches of one lane are settled in any order, and critical ones before the others. Several flushes of
// one kind may wait at a time; one draws its line only after the one before drew its own.
//
// Threads: the worker's that owns the session. Memory: a few words for each batch that is waited for, of
// at most kWaitingMax flushes; what asks beyond that is answered with the next line. Failure: none; an
// agent that is followed by another leaves the generations where the next one finds them.
// Source: segment.md 3.11; docs/abi.md "Flush".
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include <tailrace/shm/layout.hpp>

#include "agent/discover/segment.hpp"
#include "agent/drain/segment_drain.hpp"
#include "agent/hold/hold.hpp"

namespace tailrace::agent {

class Flushes {
 public:
  // Takes up what an earlier agent left unanswered.
  Flushes(Hold& hold, AttachedSegment& segment, ProcessIndex process);

  // Before the heads of a pass are loaded: what was recorded before a flush lies before them.
  void ask();
  // The heads of that pass.
  void draw_line(std::span<const LaneWork> ready, std::uint64_t pass_number);
  // After a pass. `joined_before`: spans of several records seen in earlier passes are in a batch.
  void note_progress(const SegmentDrain& drain, std::uint64_t joined_before);

  // Something was asked for and is not drained yet: the next pass should be soon.
  [[nodiscard]] bool draining() const;
  // Metrics belong to a flush of everything: collected once its records are drained.
  [[nodiscard]] bool wants_metrics() const { return of(shm::FlushKind::all).state == State::drained; }
  void note_metrics();
  // Everything before the line of such a flush is in batches, which have to be closed now.
  [[nodiscard]] bool wants_closed(shm::FlushKind kind) const { return of(kind).state == State::ready; }
  // They are: from here on it waits for them.
  void note_closed();
  // Answers what is settled, and tells the others how far it is. Nothing if nobody waits.
  void answer();

 private:
  static constexpr std::size_t kWaitingMax = 16;

  enum class State : std::uint8_t { idle, asked, draining, drained, ready };
  struct Waiting {
    std::uint32_t generation = 0;
    std::vector<BatchId> batches;
  };
  struct Kind {
    State state = State::idle;
    std::uint32_t generation = 0;  // the last one that was taken up
    std::uint64_t pass_number = 0;
    std::vector<std::pair<std::uint32_t, std::uint64_t>> heads;  // lane, position
    std::vector<Waiting> waiting;                                // oldest first
  };
  [[nodiscard]] const Kind& of(shm::FlushKind kind) const { return kinds_[static_cast<std::size_t>(kind)]; }

  Hold& hold_;
  AttachedSegment& segment_;
  const ProcessIndex process_;
  std::array<Kind, shm::kFlushKinds> kinds_;
};

}  // namespace tailrace::agent
