// SPDX-License-Identifier: Apache-2.0
//
// MetricCollector: from the cells of one process to OTLP Metric messages.
//
//   const std::uint32_t published = segment.metrics_count();   // before the strings are taken
//   drain.begin_pass();                                        // strings, scopes, an anchor
//   collector.take_up(source, published);
//   for (CollectCursor at; !at.done();) {
//     Collection part = collector.collect(source, baseline, options, at);
//     … one transaction: the pieces of part.groups into batches, part.baseline.encode() …
//     baseline = std::move(part.baseline);                     // when it is committed; else try again
//   }
//
// A collection of a large process comes in parts, cut between series: each stands for itself, with a
// baseline in which its series have moved on and the others have not. What is counted is what was
// collected, not what was acknowledged.
//
// Temporality (rules.md 1.8):  preference   counter  observable  histogram  up-down (both)
//                              cumulative      C         C           C           C
//                              delta           D         D           D           C
//                              lowmemory       D         C           D           C
// Delta points without a change since the last collection are left out; so is what was never set or
// never recorded. A sum in int64 beyond its range saturates and is counted; values that are not finite
// are left out and counted.
//
// Threads: one, that of the process's decoder. Memory: the checked series (limits of shm/reader/metrics.hpp)
//   and scratch. Failure: readable = false when the cells could not be had: nothing was collected.
// Source: segment.md 3.6; agent.md, the hold, 7; otlp/rules.md 1.6 D7–D9, 1.8.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <unordered_map>
#include <vector>

#include "agent/decode/decoder.hpp"
#include "agent/metrics/baseline.hpp"
#include "agent/metrics/word_source.hpp"
#include "shm/reader/geometry.hpp"
#include "shm/reader/metrics.hpp"

namespace tailrace::agent {

enum class TemporalityPreference : std::uint8_t { cumulative = 0, delta = 1, lowmemory = 2 };

struct CollectOptions {
  TemporalityPreference preference = TemporalityPreference::cumulative;
  std::uint64_t time_ns = 0;             // realtime of the collection; not 0
  std::size_t piece_bytes = 32 * 1024;   // a Metric message is not larger; a larger point is dropped
  std::size_t part_bytes = 1024 * 1024;  // a part ends soon after it has as many bytes of pieces
};

// Where the next part of a collection begins. A new one for each collection.
class CollectCursor {
 public:
  [[nodiscard]] bool done() const { return done_; }

 private:
  friend class MetricCollector;
  std::size_t instrument_ = 0;
  std::size_t series_ = 0;  // of that instrument
  bool done_ = false;
};

struct MetricPiece {
  std::span<const std::uint8_t> bytes;  // one ScopeMetrics.metrics field, tag and length included
  std::uint32_t points = 0;
};
struct MetricGroup {
  std::uint16_t scope = 0;  // for SegmentDecoder::scope() and scope_hash()
  std::vector<MetricPiece> pieces;
};

struct CollectCounts {
  std::uint64_t points = 0;
  std::uint64_t saturated = 0;   // sums beyond int64
  std::uint64_t not_finite = 0;  // points left out: NaN, infinite, or falling where it cannot
  std::uint64_t oversize = 0;    // points left out: larger than a piece
  std::uint64_t restarts = 0;    // delta: a value below the baseline's; it counts from 0 again
};

struct Collection {
  bool readable = false;
  std::vector<MetricGroup> groups;  // one a scope
  Baseline baseline;                // replaces the old one when the groups are committed
  bool baseline_changed = false;
  CollectCounts counts;  // of this part

  Collection() = default;
  Collection(Collection&&) = default;
  Collection& operator=(Collection&&) = default;

 private:
  friend class MetricCollector;
  std::vector<std::vector<std::uint8_t>> bytes_;  // what the pieces lie in
};

class MetricCollector {
 public:
  MetricCollector(const shm::Geometry& geometry, SegmentDecoder& decoder);

  // Checks the descriptors that are new up to `published`, which was loaded (acquire) before the decoder
  // was given the strings. Those that make no sense are skipped for good and counted.
  void take_up(const WordSource& source, std::uint32_t published);
  [[nodiscard]] const shm::SeriesTable& series() const { return table_; }

  // The next part, and moves the cursor; not when it is not readable.
  [[nodiscard]] Collection collect(const WordSource& source, const Baseline& old, const CollectOptions& options,
                                   CollectCursor& cursor);

 private:
  class Part;

  const shm::Geometry& geometry_;
  SegmentDecoder& decoder_;
  shm::SeriesTable table_;
  // Positions in table_.series() of each instrument's series, and the instrument's place by its first index.
  std::vector<std::vector<std::uint32_t>> instruments_;
  std::unordered_map<std::uint32_t, std::size_t> places_;
};

}  // namespace tailrace::agent
