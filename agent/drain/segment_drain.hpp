// SPDX-License-Identifier: Apache-2.0
//
// SegmentDrain: takes over what one segment's lanes hold, pass by pass.
//
//   drain.start_at(lane, position from the hold)            for every lane, once
//   each pass:
//     drain.begin_pass()                                    heads, then one anchor, strings, scopes
//     for (const LaneWork& work : drain.ready()) {
//       LaneRecords records = drain.copy_lane(work.lane, budget_bytes, buffer);
//       while (records.next(record)) decoder.decode(record, …) → hold, or stop before it
//       … pass.set_position(process, lane, records.position()) …
//     }
//     hold.commit();  drain.commit(lane, position)          private position, then R4.tail
//
// Heads are read with acquire before anything else, so that every string, scope and anchor needed by a
// record before them is found after them. Positions are private; R4 is only an announcement.
//
// Threads: one worker at a time. Memory: borrows the segment and the decoder; the copy is the worker's.
// Failure: an implausible head or a broken chain of sizes is counted, the lane goes on at its head, and
//   after kStrikesMax of them the segment is quarantined. A fault while copying gives no records at all.
// Source: segment.md 3.3, 3.9, 3.13.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include <tailrace/shm/clock.hpp>

#include "agent/decode/decoder.hpp"
#include "agent/discover/segment.hpp"
#include "shm/reader/records.hpp"

namespace tailrace::agent {

// Private memory of one drain worker, large enough for the largest lane it copied so far.
class CopyBuffer {
 public:
  [[nodiscard]] std::uint8_t* room(std::size_t bytes);

 private:
  std::vector<std::uint64_t> words_;  // keeps records 8-aligned
};

struct LaneWork {
  std::uint32_t lane = 0;
  std::uint64_t from = 0;  // our position
  std::uint64_t to = 0;    // head as loaded in this pass
  [[nodiscard]] std::uint64_t bytes() const { return to - from; }
};

class SegmentDrain;

// The records of one lane in one pass, from the private copy. Valid until the buffer is used again.
class LaneRecords {
 public:
  // False at the end of the copy, or of what makes sense (broken()).
  [[nodiscard]] bool next(shm::RecordRef& record);
  // What may be committed: behind the last record that next() gave, or, when the chain is broken, the head.
  // To stop before a record, commit that record's `position` instead.
  [[nodiscard]] std::uint64_t position() const { return position_; }
  [[nodiscard]] bool broken() const { return broken_; }
  [[nodiscard]] std::uint64_t skipped_bytes() const { return skipped_; }
  // The copy reaches up to the pass's head.
  [[nodiscard]] bool complete() const { return complete_; }

 private:
  friend class SegmentDrain;
  LaneRecords(SegmentDrain* drain, std::uint32_t lane, std::uint64_t from, std::uint64_t to);

  void give_up();

  SegmentDrain* drain_;
  std::uint32_t lane_;
  std::uint64_t from_;
  std::uint64_t to_;
  std::uint64_t position_;
  shm::Bytes first_;
  shm::Bytes second_;
  std::uint64_t boundary_ = 0;  // position at which `second_` starts
  std::uint64_t copied_to_ = 0;
  std::uint32_t max_record_ = 0;
  std::uint64_t skipped_ = 0;
  bool broken_ = false;
  bool complete_ = false;
};

struct StartedAt {
  std::uint64_t position = 0;
  bool resynced = false;  // the wished position was not in [head − ring, head]
};

struct PassInfo {
  bool readable = false;               // false: nothing can be read now, segment.condition() says why
  std::uint64_t bytes = 0;             // waiting in all lanes
  std::uint64_t fullest_permille = 0;  // of the fullest lane's ring
  std::uint64_t observed_ns = 0;       // realtime of the anchor: `observed` of this pass's logs
};

struct DrainCounts {
  std::uint64_t passes = 0;
  std::uint64_t bytes = 0;  // committed
  std::uint64_t bad_heads = 0;
  std::uint64_t broken_chains = 0;
  std::uint64_t skipped_bytes = 0;  // by resyncs
  std::uint64_t resyncs = 0;
};

class SegmentDrain {
 public:
  static constexpr std::uint32_t kStrikesMax = 3;

  // Takes the application's anchors and strings at once.
  SegmentDrain(AttachedSegment& segment, SegmentDecoder& decoder);

  // Takes up a lane where the hold says (0 for a new process), and publishes that as its tail.
  StartedAt start_at(std::uint32_t lane, std::uint64_t position);

  PassInfo begin_pass();
  // Lanes with something to read, as of begin_pass(), the fullest first.
  [[nodiscard]] std::span<const LaneWork> ready() const { return ready_; }
  // Copies what is new in a lane: about `budget_bytes`, at least one record if there is one.
  [[nodiscard]] LaneRecords copy_lane(std::uint32_t lane, std::size_t budget_bytes, CopyBuffer& buffer);
  // After the hold's commit. Nothing before `position` is read again.
  void commit(std::uint32_t lane, std::uint64_t position);

  [[nodiscard]] std::uint64_t position(std::uint32_t lane) const { return lanes_[lane].position; }
  // Every lane is read to its head as of the last begin_pass() and nothing new came since.
  [[nodiscard]] bool drained() const;
  // A lane that is skipped to its head without reading (quarantine, eviction): what is left is lost.
  void abandon_lanes();

  [[nodiscard]] const DrainCounts& counts() const { return counts_; }

 private:
  friend class LaneRecords;
  struct Lane {
    std::uint64_t position = 0;
    std::uint64_t last_head = 0;  // the highest that was believed
    std::uint64_t head = 0;       // of this pass
  };

  void take_claims();
  void take_strings();
  void take_scopes();
  void look_at(std::uint32_t lane);
  void chain_broke(std::uint32_t lane, std::uint64_t position, std::uint64_t skipped);
  void strike(const std::string& why);

  AttachedSegment& segment_;
  SegmentDecoder& decoder_;
  std::vector<Lane> lanes_;
  std::vector<LaneWork> ready_;
  std::vector<std::uint8_t> bytes_;  // of strings and scopes on their way to the decoder
  std::uint32_t scopes_ = 0;
  std::uint32_t strikes_ = 0;
  DrainCounts counts_;
};

}  // namespace tailrace::agent
