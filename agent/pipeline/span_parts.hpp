// SPDX-License-Identifier: Apache-2.0
//
// SpanParts: the parts of spans that did not fit in one record, and the spans that wait for them,
// parked raw in the hold.
//
// Parts come before their span in the lane of the thread that wrote them, but another thread's lane
// may be read later: a span with parts waits until every lane was read to a head that was loaded
// after the span was seen, and is then joined with what is there. What is missing by then is counted
// in the span's dropped attributes. A SPAN_START waits in the same way for its span.
//
// Threads: one drain worker. Memory: a few words a parked chain; their bytes lie in the hold.
// Failure: parked chains take at most an eighth of the hold; beyond that the oldest part gives way,
//   and a span is sent without its parts. Both are counted in the process's words.
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <string>
#include <unordered_map>
#include <vector>

#include "agent/decode/decoder.hpp"
#include "agent/hold/pass.hpp"
#include "agent/pipeline/record_writer.hpp"
#include "shm/reader/records.hpp"

namespace tailrace::agent {

// A span is joined with all its parts in one transaction. A pass that can touch fewer chains would answer
// `cap` to it for ever.
inline constexpr std::uint32_t kPartsMax = 500;
inline constexpr std::uint32_t kChainsOfPass = kPartsMax + 3;  // its span, its start, its batch

class SpanParts {
 public:
  SpanParts(Hold& hold, ProcessIndex process, SegmentDecoder& decoder, RecordWriter& writer);

  // A chain that an earlier agent parked.
  void take_up(const BatchInfo& parked);

  // A part, a span start, or a span that has parts or a start, as just decoded from `record`.
  AppendStatus park(Pass& pass, const Decoded& decoded, const shm::RecordRef& record, Origin origin,
                    std::uint64_t pass_number);
  // Joins the spans seen in a pass before `complete_before`. Stops at the first that finds no room.
  AppendStatus join_ready(Pass& pass, std::uint64_t complete_before, std::uint64_t observed_ns);
  [[nodiscard]] bool waiting() const { return !spans_.empty(); }
  // Every span parked in a pass before this one, and before `pass_number`, was joined.
  [[nodiscard]] std::uint64_t joined_before(std::uint64_t pass_number) const {
    return spans_.empty() ? pass_number : std::min(pass_number, spans_.front().pass_number);
  }

  // After the process's death. The parts of one open span, as raw bytes; and who goes with them.
  std::vector<shm::Bytes> parts_of(std::uint64_t span_key);
  std::vector<BatchId> take_parts(std::uint64_t span_key);
  void give_back(std::uint64_t span_key, const std::vector<BatchId>& parts);  // those taken, not joined
  // Span starts whose spans never came.
  struct Start {
    std::uint64_t span_key;
    BatchId chain;
  };
  [[nodiscard]] const std::unordered_map<std::uint64_t, BatchId>& starts() const { return starts_; }
  void forget_start(std::uint64_t span_key) { starts_.erase(span_key); }
  shm::Bytes raw(BatchId chain);
  // Frees parts that belong to nothing any more. False: the pass is at its cap, commit and call again.
  bool discard_rest(Pass& pass);

 private:
  struct WaitingSpan {
    std::uint64_t span_key = 0;
    BatchId chain;
    std::uint64_t pass_number = 0;
  };
  bool evict_oldest_part(Pass& pass);

  Hold& hold_;
  const ProcessIndex process_;
  SegmentDecoder& decoder_;
  RecordWriter& writer_;
  std::unordered_map<std::uint64_t, std::vector<BatchId>> parts_;
  std::deque<std::pair<std::uint64_t, BatchId>> part_order_;
  std::unordered_map<std::uint64_t, BatchId> starts_;
  std::deque<WaitingSpan> spans_;
  std::deque<std::vector<std::uint64_t>> copies_;  // raw bytes put together, 8-aligned, until the next call
};

}  // namespace tailrace::agent
