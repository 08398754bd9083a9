// SPDX-License-Identifier: Apache-2.0
#include "shm/reader/metrics.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "shm/reader/items.hpp"

namespace tailrace::shm {
namespace {

constexpr std::uint32_t kShardHeadWords = sizeof(HistogramShard) / 8;
constexpr std::uint8_t kFlagsKnown = kMetricReal | kMetricObservable | kMetricOverflow | kMetricNegative;

bool agree(const Series& a, const Series& b) {
  return a.name == b.name && a.unit == b.unit && a.description == b.description && a.scope == b.scope &&
         a.kind == b.kind && a.real == b.real && a.observable == b.observable && a.negative == b.negative &&
         a.buckets == b.buckets && a.first_index == b.first_index && a.scale == b.scale &&
         (a.bounds == b.bounds || (a.bounds && b.bounds && *a.bounds == *b.bounds));
}

// A quiet order for min and max of either type of value.
double value_of(const Series& series, std::uint64_t bits) {
  return series.real ? real_of(bits) : static_cast<double>(static_cast<std::int64_t>(bits));
}

}  // namespace

double real_of(std::uint64_t bits) {
  double value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

void SeriesTable::add(const MetricDescriptor& descriptor, const StringTable& strings) {
  Series series;
  series.index = seen_++;
  const char* const why = check(descriptor, strings, series);
  if (why == nullptr) {
    shared_words_ += series.shared_words();
    series_.push_back(std::move(series));
  } else {
    why_ = why;
  }
}

const Series* SeriesTable::find(std::uint32_t index) const {
  const auto at = std::lower_bound(series_.begin(), series_.end(), index,
                                   [](const Series& one, std::uint32_t wanted) { return one.index < wanted; });
  return at != series_.end() && at->index == index ? &*at : nullptr;
}

// Nothing when it is sound.
const char* SeriesTable::check(const MetricDescriptor& d, const StringTable& strings, Series& s) {
  const auto name = strings.lookup(d.name);
  if (!name || name->empty()) return "it has no name";
  if (d.unit != 0 && !strings.lookup(d.unit)) return "its unit is no string";
  if (d.description != 0 && !strings.lookup(d.description)) return "its description is no string";
  if (d.attributes != 0) {
    const auto items = strings.lookup(d.attributes);
    if (!items || !items_are_whole(bytes_of(*items))) return "its attributes do not hold together";
  }
  if (d.kind < static_cast<std::uint8_t>(MetricKind::counter) ||
      d.kind > static_cast<std::uint8_t>(MetricKind::exponential_histogram)) {
    return "its kind is unknown";
  }
  s.kind = static_cast<MetricKind>(d.kind);
  if ((d.flags & ~kFlagsKnown) != 0) return "it has flags that are not known here";
  s.name = d.name;
  s.unit = d.unit;
  s.description = d.description;
  s.attributes = d.attributes;
  s.scope = d.scope;
  s.real = (d.flags & kMetricReal) != 0;
  s.observable = (d.flags & kMetricObservable) != 0;
  s.overflow = (d.flags & kMetricOverflow) != 0;
  s.negative = (d.flags & kMetricNegative) != 0;
  s.start = d.start;
  s.cell = d.cell;
  if (s.negative && s.kind != MetricKind::exponential_histogram) return "only exponential ones have negative buckets";
  if (s.observable && s.is_histogram()) return "a histogram is not observable";
  if (const char* why = s.kind == MetricKind::histogram               ? check_explicit(d, strings, s)
                        : s.kind == MetricKind::exponential_histogram ? check_exponential(d, s)
                                                                      : nullptr) {
    return why;
  }
  if (const char* why = check_cells(d, s)) return why;
  s.instrument = d.instrument;
  if (s.instrument > s.index) return "its instrument comes after it";
  if (s.instrument == s.index) return nullptr;
  const Series* first = find(s.instrument);
  if (first == nullptr || first->instrument != first->index) return "its instrument is not sound";
  if (!agree(*first, s)) return "it does not agree with its instrument";
  if (first->bounds) s.bounds = first->bounds;
  return nullptr;
}

const char* SeriesTable::check_cells(const MetricDescriptor& d, Series& s) {
  if (s.in_lanes()) return s.cell < geometry_->lane_cell_words ? nullptr : "its cell lies outside a lane's";
  if (s.is_histogram()) {
    s.shard_words = d.shard_words;
    if (s.shard_words < s.used_shard_words()) return "its shards overlap";
  }
  const std::uint64_t words = s.shared_words();
  if (s.cell > geometry_->shared_cell_words || words > geometry_->shared_cell_words - s.cell) {
    return "its cells lie outside the shared ones";
  }
  if (words > geometry_->shared_cell_words - shared_words_) return "all cells together are more than there are";
  return nullptr;
}

const char* SeriesTable::check_explicit(const MetricDescriptor& d, const StringTable& strings, Series& s) {
  if (d.buckets == 0 || d.buckets > kMetricBucketsMax) return "its number of buckets is not possible";
  s.buckets = d.buckets;
  Bytes bytes;
  if (d.bounds != 0) {
    const auto entry = strings.lookup(d.bounds);
    if (!entry) return "its bounds are no entry";
    bytes = bytes_of(*entry);
  }
  if (bytes.size != sizeof(double) * (d.buckets - 1)) return "its bounds and buckets do not fit together";
  auto bounds = std::make_shared<std::vector<double>>(d.buckets - 1);
  double before = -std::numeric_limits<double>::infinity();
  for (std::size_t i = 0; i < bounds->size(); ++i) {
    const double bound = bytes.load_or_zero<double>(i * sizeof(double));
    if (!std::isfinite(bound) || !(bound > before)) return "its bounds do not ascend";
    (*bounds)[i] = before = bound;
  }
  s.bounds = std::move(bounds);
  return nullptr;
}

const char* SeriesTable::check_exponential(const MetricDescriptor& d, Series& s) {
  if (d.buckets == 0 || d.buckets > kMetricBucketsMax) return "its number of buckets is not possible";
  if (d.scale < kMetricScaleMin || d.scale > kMetricScaleMax) return "its scale is not possible";
  // Every bucket begins where a value can be; the last one's upper edge may be infinite.
  const std::int64_t last = std::int64_t{d.first_index} + d.buckets - 1;
  const double low = std::ldexp(static_cast<double>(d.first_index), -d.scale);
  const double high = std::ldexp(static_cast<double>(last), -d.scale);
  if (last >= std::numeric_limits<std::int32_t>::max() || low < -1100 || high >= 1024) {
    return "its buckets cover what no value can be";
  }
  s.buckets = d.buckets;
  s.first_index = d.first_index;
  s.scale = d.scale;
  return nullptr;
}

bool MergedHistogram::negative_seen(const Series& series) const {
  if (has_extremes && min < 0) return true;
  for (std::size_t i = series.buckets; i < buckets.size(); ++i) {
    if (buckets[i] != 0) return true;
  }
  return false;
}

void merge_shards(const Series& series, const std::uint64_t* words, MergedHistogram& out) {
  out.sum = 0;
  out.zero = 0;
  out.has_extremes = false;
  out.buckets.assign(series.all_buckets(), 0);
  double real_sum = 0;
  bool has_min = false;
  bool has_max = false;
  for (std::uint32_t shard = 0; shard < kHistogramShards; ++shard) {
    const std::uint64_t* const head = words + std::uint64_t{shard} * series.shard_words;
    if (series.real) {
      real_sum += real_of(head[0]);
    } else {
      out.sum += head[0];
    }
    std::uint64_t bits;
    if (unmask(head[1], bits)) {
      const double min = value_of(series, bits);
      if (!has_min || min < out.min) out.min = min;
      has_min = true;
    }
    if (unmask(head[2], bits)) {
      const double max = value_of(series, bits);
      if (!has_max || max > out.max) out.max = max;
      has_max = true;
    }
    if (series.kind == MetricKind::exponential_histogram) out.zero += head[3];
    const std::uint64_t* const buckets = head + kShardHeadWords;
    for (std::size_t i = 0; i < out.buckets.size(); ++i) out.buckets[i] += buckets[i];
  }
  if (series.real) std::memcpy(&out.sum, &real_sum, sizeof out.sum);
  out.has_extremes = has_min && has_max && std::isfinite(out.min) && std::isfinite(out.max) && out.min <= out.max;
}

}  // namespace tailrace::shm
