// SPDX-License-Identifier: Apache-2.0
// SeriesTable: the metric descriptors of a segment, checked once each and kept privately; and the cells
// of a series, from private copies of its words.
//
// A descriptor is believed when its texts are published, its instrument is an earlier sound series (or
// itself) that agrees with it, and its cells lie inside their regions. All shared cells together are not
// larger than their region, so that no number of descriptors makes a reader read more than a segment has.
// One that is not believed is skipped for good, and counted; its neighbours are not harmed.
//
// Threads: one at a time. Memory: about 100 bytes a series and the bounds of explicit histograms, both
// bounded by the segment's size. Failure: skipped().
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include <tailrace/shm/layout.hpp>

#include "shm/reader/bytes.hpp"
#include "shm/reader/geometry.hpp"
#include "shm/reader/strings.hpp"

namespace tailrace::shm {

inline constexpr std::uint32_t kMetricBucketsMax = 16384;  // of one sign
inline constexpr int kMetricScaleMin = -10;
inline constexpr int kMetricScaleMax = 20;

struct Series {
  std::uint32_t index = 0;       // of its descriptor
  std::uint32_t instrument = 0;  // of the instrument's first series: its index
  std::uint32_t name = 0;        // string ids
  std::uint32_t unit = 0;
  std::uint32_t description = 0;
  std::uint32_t attributes = 0;  // id of an entry of items, 0 = none
  std::uint16_t scope = 0;
  MetricKind kind = MetricKind::none;
  bool real = false;
  bool observable = false;
  bool overflow = false;
  bool negative = false;  // exponential: buckets of both signs
  std::int8_t scale = 0;
  std::uint32_t cell = 0;         // lane counters: word in each lane's cells; all else: word of metric_shared
  std::uint32_t shard_words = 0;  // histograms
  std::uint64_t start = 0;        // counter clock
  std::uint32_t buckets = 0;      // histograms: of one sign
  std::int32_t first_index = 0;
  std::shared_ptr<const std::vector<double>> bounds;  // explicit: buckets − 1 of them

  bool is_histogram() const { return kind == MetricKind::histogram || kind == MetricKind::exponential_histogram; }
  // Its value is the sum of a word of each lane.
  bool in_lanes() const { return !observable && (kind == MetricKind::counter || kind == MetricKind::up_down_counter); }
  std::uint32_t all_buckets() const { return negative ? 2 * buckets : buckets; }
  std::uint32_t used_shard_words() const {
    return static_cast<std::uint32_t>(sizeof(HistogramShard) / 8) + all_buckets();
  }
  // Words of metric_shared from `cell` on; 0 for lane counters.
  std::uint64_t shared_words() const {
    if (in_lanes()) return 0;
    return is_histogram() ? std::uint64_t{kSharedShard} * shard_words + used_shard_words() : 1;
  }
};

class SeriesTable {
 public:
  explicit SeriesTable(const Geometry& geometry) : geometry_(&geometry) {}

  // How many descriptors have been looked at, sound or not.
  std::uint32_t seen() const { return seen_; }
  // How many of `published` can be looked at all together.
  std::uint32_t limit(std::uint32_t published) const {
    return published < geometry_->metrics_max ? published : geometry_->metrics_max;
  }
  // The descriptor of series seen(), from a private copy. `strings` holds what was published before it.
  void add(const MetricDescriptor& descriptor, const StringTable& strings);

  // The sound ones, ascending by index.
  const std::vector<Series>& series() const { return series_; }
  const Series* find(std::uint32_t index) const;
  std::uint64_t skipped() const { return seen_ - series_.size(); }
  // Why the last one that was skipped was.
  const char* why_skipped() const { return why_; }

 private:
  const char* check(const MetricDescriptor& descriptor, const StringTable& strings, Series& series);
  const char* check_cells(const MetricDescriptor& descriptor, Series& series);
  const char* check_explicit(const MetricDescriptor& descriptor, const StringTable& strings, Series& series);
  const char* check_exponential(const MetricDescriptor& descriptor, Series& series);

  const Geometry* geometry_;
  std::vector<Series> series_;
  std::uint32_t seen_ = 0;
  std::uint64_t shared_words_ = 0;  // of all sound series
  const char* why_ = "";
};

// A value behind kNeverSet.
inline bool unmask(std::uint64_t word, std::uint64_t& value) {
  value = word ^ kNeverSet;
  return word != 0;
}
double real_of(std::uint64_t bits);

// The shards of a histogram as one. Bucket counts and sums of shards wrap like their words do.
struct MergedHistogram {
  std::uint64_t sum = 0;  // int64, or binary64
  std::uint64_t zero = 0;
  bool has_extremes = false;
  double min = 0;  // rounded, of an int64
  double max = 0;
  std::vector<std::uint64_t> buckets;  // those of the negative sign behind the positive ones

  bool negative_seen(const Series& series) const;
};
// `words`: series.shared_words() of them, from its cell on. Reuses `out`.
void merge_shards(const Series& series, const std::uint64_t* words, MergedHistogram& out);

}  // namespace tailrace::shm
