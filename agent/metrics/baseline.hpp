// SPDX-License-Identifier: Apache-2.0
//
// Baseline: what one process's series were when they were last collected, and from when their next points
// count. It lies in the hold beside the points that it goes with, so that a killed agent neither repeats
// nor loses a delta, and a cumulative series keeps its start.
//
// Bytes (version 1): 'T' 'M' 'B' 1, a varint lost_ns, then each entry as varints: distance of its series to the
// one before, less 1; distance of its start to the one before (zigzag); shape; then for `word` the value, for
// `histogram` the sum's 8 bytes, the zero bucket, the number of buckets that are not 0, and of each the
// distance to the one before, less 1, and its count. A bucket's number counts the negative ones behind
// the positive ones.
//
// Threads: a value. Memory: owns what it holds. Failure: decode() answers nothing for bytes that encode()
//   would not have written; they are read back after a kill and not believed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace tailrace::agent {

class Baseline {
 public:
  enum class Shape : std::uint8_t {
    start = 0,      // cumulative: only the start, which stays
    word = 1,       // delta of a counter: its value, or the value's binary64
    histogram = 2,  // delta of a histogram
  };
  struct Bucket {
    std::uint32_t index = 0;
    std::uint64_t count = 0;
    bool operator==(const Bucket&) const = default;
  };
  struct Entry {
    std::uint32_t series = 0;  // index of its descriptor
    Shape shape = Shape::start;
    std::uint64_t start_ns = 0;  // of the next point: when it was last collected, or made
    std::uint64_t word = 0;      // word: the value; histogram: the sum
    std::uint64_t zero = 0;
    std::vector<Bucket> buckets;  // those that are not 0, ascending
    bool operator==(const Entry&) const = default;
  };

  // Where one there was cannot be had any more: what a series that was made before `time_ns` counted up to
  // its next collection is not known to be new, and not sent as a delta.
  [[nodiscard]] static Baseline lost(std::uint64_t time_ns) {
    Baseline baseline;
    baseline.lost_ns_ = time_ns;
    return baseline;
  }
  [[nodiscard]] std::uint64_t lost_ns() const { return lost_ns_; }

  // Entries in the order of their series.
  [[nodiscard]] const std::vector<Entry>& entries() const { return entries_; }
  [[nodiscard]] const Entry* find(std::uint32_t series) const;
  // Replaces what there is for this series.
  void set(Entry entry);

  [[nodiscard]] std::vector<std::uint8_t> encode() const;
  [[nodiscard]] static std::optional<Baseline> decode(std::span<const std::uint8_t> bytes);

  bool operator==(const Baseline&) const = default;

 private:
  std::vector<Entry> entries_;
  std::uint64_t lost_ns_ = 0;
};

}  // namespace tailrace::agent
