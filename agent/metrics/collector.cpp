// SPDX-License-Identifier: Apache-2.0
#include "agent/metrics/collector.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <limits>
#include <optional>
#include <utility>

#include "agent/metrics/reduce.hpp"
#include "proto/encode/metrics.hpp"

namespace tailrace::agent {
namespace {

using shm::MetricKind;
using shm::Series;

constexpr std::size_t kChunk = 256;  // series whose cells are read together
constexpr otlp::KeyValue kOverflowAttribute{"otel.metric.overflow", otlp::Value::of(true)};

bool is_delta(const Series& series, TemporalityPreference preference) {
  if (preference == TemporalityPreference::cumulative) return false;
  if (series.is_histogram()) return true;
  if (series.kind != MetricKind::counter) return false;
  return !series.observable || preference == TemporalityPreference::delta;
}

otlp::MetricData data_of(MetricKind kind) {
  switch (kind) {
    case MetricKind::histogram: return otlp::MetricData::histogram;
    case MetricKind::exponential_histogram: return otlp::MetricData::exponential_histogram;
    case MetricKind::counter:
    case MetricKind::up_down_counter: return otlp::MetricData::sum;
    case MetricKind::gauge:
    case MetricKind::none: break;
  }
  return otlp::MetricData::gauge;
}

double as_real(const Series& series, std::uint64_t word) {
  return series.real ? shm::real_of(word) : static_cast<double>(static_cast<std::int64_t>(word));
}

// False: more than a count can be.
bool add_all(std::span<const std::uint64_t> counts, std::uint64_t& total) {
  for (const std::uint64_t count : counts) {
    if (count > std::numeric_limits<std::uint64_t>::max() - total) return false;
    total += count;
  }
  return true;
}

std::vector<Baseline::Bucket> sparse(std::span<const std::uint64_t> counts) {
  std::vector<Baseline::Bucket> buckets;
  for (std::size_t i = 0; i < counts.size(); ++i) {
    if (counts[i] != 0) buckets.push_back({static_cast<std::uint32_t>(i), counts[i]});
  }
  return buckets;
}

// Subtracts what was there before; false, and nothing changed, when one of them fell.
bool subtract(const std::vector<Baseline::Bucket>& before, std::vector<std::uint64_t>& counts) {
  for (const Baseline::Bucket& bucket : before) {
    if (bucket.index >= counts.size() || counts[bucket.index] < bucket.count) return false;
  }
  for (const Baseline::Bucket& bucket : before) counts[bucket.index] -= bucket.count;
  return true;
}

}  // namespace

// One part of a collection while it is made.
class MetricCollector::Part {
 public:
  Part(MetricCollector& owner, const WordSource& source, const Baseline& old, const CollectOptions& options)
      : owner_(owner),
        source_(source),
        old_(old),
        options_(options),
        buffer_(options.piece_bytes),
        writer_(buffer_.data(), buffer_.size()) {
    collection_.baseline = old;
  }

  Collection run(CollectCursor& cursor) {
    CollectCursor at = cursor;
    if (!find_lanes()) return {};
    std::vector<std::uint32_t> chunk;
    while (!at.done_ && bytes_ < options_.part_bytes) {
      CollectCursor next = at;
      fill(next, chunk);
      if (!sum_lanes(chunk)) return {};
      for (std::size_t i = 0; i < chunk.size() && bytes_ < options_.part_bytes; ++i) {
        if (!collect(owner_.table_.series()[chunk[i]], sums_[i])) return {};
        step(at);
      }
      if (chunk.empty()) at = next;
    }
    close();
    cursor = at;
    collection_.readable = true;
    return std::move(collection_);
  }

 private:
  // --- order: instruments as they came, the series of each as they came
  void step(CollectCursor& at) const {
    ++at.series_;
    settle(at);
  }
  // Past the end of an instrument to the next one's first series.
  void settle(CollectCursor& at) const {
    while (at.instrument_ < owner_.instruments_.size() && at.series_ >= owner_.instruments_[at.instrument_].size()) {
      ++at.instrument_;
      at.series_ = 0;
    }
    at.done_ = at.instrument_ >= owner_.instruments_.size();
  }
  void fill(CollectCursor& at, std::vector<std::uint32_t>& chunk) const {
    chunk.clear();
    for (settle(at); !at.done_ && chunk.size() < kChunk; step(at)) {
      chunk.push_back(owner_.instruments_[at.instrument_][at.series_]);
    }
  }

  // --- cells
  // How many words of its cells each lane has.
  bool find_lanes() {
    const shm::Geometry& g = owner_.geometry_;
    if (g.lane_cell_words == 0) return true;
    // metrics_count and lanes_used are one word.
    static_assert(offsetof(shm::ProcessDynamic, metrics_count) == 8 && offsetof(shm::ProcessDynamic, lanes_used) == 12);
    std::uint64_t word = 0;
    if (!source_.words(g.region(shm::RegionKind::process).offset + 8, {&word, 1})) return false;
    const auto used = std::min(static_cast<std::uint32_t>(word >> 32), g.ordinary_lanes());
    for (std::uint32_t lane = 0; lane < g.lane_count; ++lane) {
      if (lane >= used && lane < g.ordinary_lanes()) continue;
      std::uint64_t words = 0;
      if (!source_.words(g.lane_head(lane) + offsetof(shm::LaneHead, cell_words), {&words, 1})) return false;
      words = std::min<std::uint64_t>(words, g.lane_cell_words);
      if (words != 0) lanes_.emplace_back(lane, static_cast<std::uint32_t>(words));
    }
    return true;
  }

  // The lane counters of a chunk, all at once: their cells lie side by side.
  bool sum_lanes(const std::vector<std::uint32_t>& chunk) {
    const std::vector<Series>& all = owner_.table_.series();
    sums_.assign(chunk.size(), 0);
    std::uint32_t low = std::numeric_limits<std::uint32_t>::max();
    std::uint32_t high = 0;
    for (const std::uint32_t at : chunk) {
      if (!all[at].in_lanes()) continue;
      low = std::min(low, all[at].cell);
      high = std::max(high, all[at].cell + 1);
    }
    for (const auto& [lane, committed] : lanes_) {
      const std::uint32_t end = std::min(high, committed);
      if (low >= end) continue;
      words_.resize(end - low);
      if (!source_.words(owner_.geometry_.lane_cells(lane) + std::uint64_t{8} * low, words_)) return false;
      for (std::size_t i = 0; i < chunk.size(); ++i) {
        const Series& series = all[chunk[i]];
        if (!series.in_lanes() || series.cell >= end) continue;
        const std::uint64_t word = words_[series.cell - low];
        sums_[i] =
            series.real ? std::bit_cast<std::uint64_t>(shm::real_of(sums_[i]) + shm::real_of(word)) : sums_[i] + word;
      }
    }
    return true;
  }

  // --- one series
  // False: its cells could not be read.
  bool collect(const Series& series, std::uint64_t lane_sum) {
    if (series.in_lanes()) {
      take_number(series, lane_sum);
      return true;
    }
    words_.resize(series.shared_words());
    if (!source_.words(owner_.geometry_.shared_cell(series.cell), words_)) return false;
    if (series.is_histogram()) {
      shm::merge_shards(series, words_.data(), merged_);
      take_histogram(series);
      return true;
    }
    std::uint64_t value = 0;
    if (shm::unmask(words_[0], value)) take_number(series, value);
    return true;
  }

  // What is known of the series from an earlier collection, if it was made in the same way.
  const Baseline::Entry* former(const Series& series, Baseline::Shape shape) const {
    const Baseline::Entry* entry = old_.find(series.index);
    return entry != nullptr && entry->shape == shape ? entry : nullptr;
  }
  std::uint64_t start_of(const Series& series, const Baseline::Entry* entry) const {
    const std::uint64_t start = entry != nullptr
                                    ? entry->start_ns
                                    : owner_.decoder_.timeline().to_realtime(series.start, shm::TimeClock::counter);
    return std::min(start, options_.time_ns);
  }
  void remember(Baseline::Entry entry) {
    collection_.baseline.set(std::move(entry));
    collection_.baseline_changed = true;
  }
  std::uint64_t cumulative_start(const Series& series) {
    const Baseline::Entry* entry = former(series, Baseline::Shape::start);
    const std::uint64_t start = start_of(series, entry);
    if (entry == nullptr) remember({series.index, Baseline::Shape::start, start, 0, 0, {}});
    return start;
  }

  // Counters and gauges. `word`: the value now.
  void take_number(const Series& series, std::uint64_t word) {
    const bool monotonic = series.kind == MetricKind::counter;
    if (series.real && (!std::isfinite(shm::real_of(word)) || (monotonic && shm::real_of(word) < 0))) {
      ++collection_.counts.not_finite;
      return;
    }
    otlp::NumberPointView point;
    point.time_ns = options_.time_ns;
    if (is_delta(series, options_.preference)) {
      const Baseline::Entry* entry = former(series, Baseline::Shape::word);
      point.start_ns = start_of(series, entry);
      const std::uint64_t now = word;
      if (entry == nullptr && point.start_ns < old_.lost_ns()) {
        remember({series.index, Baseline::Shape::word, options_.time_ns, now, 0, {}});
        return;
      }
      if (!change(series, entry != nullptr ? entry->word : 0, word)) {
        if (entry != nullptr) remember({series.index, Baseline::Shape::word, options_.time_ns, entry->word, 0, {}});
        return;
      }
      remember({series.index, Baseline::Shape::word, options_.time_ns, now, 0, {}});
    } else if (series.kind != MetricKind::gauge) {
      point.start_ns = cumulative_start(series);
    }
    point.value = value_of(series, word);
    write(series, point);
  }

  // From the value now to what came since `before`; false when nothing did.
  bool change(const Series& series, std::uint64_t before, std::uint64_t& word) {
    if (series.real) {
      double since = shm::real_of(word) - shm::real_of(before);
      if (!(since >= 0) || !std::isfinite(since)) {
        ++collection_.counts.restarts;
        since = shm::real_of(word);
      }
      word = std::bit_cast<std::uint64_t>(since);
      return since != 0;
    }
    if (series.observable && word < before) {
      ++collection_.counts.restarts;  // an observed total may start anew; a sum of lanes wraps
    } else {
      word -= before;
    }
    return word != 0;
  }

  otlp::Value value_of(const Series& series, std::uint64_t word) {
    if (series.real) return otlp::Value::of(shm::real_of(word));
    constexpr auto kMax = std::numeric_limits<std::int64_t>::max();
    if (series.kind == MetricKind::counter && word > static_cast<std::uint64_t>(kMax)) {
      ++collection_.counts.saturated;
      return otlp::Value::of(kMax);
    }
    return otlp::Value::of(static_cast<std::int64_t>(word));
  }

  // Histograms, from merged_.
  void take_histogram(const Series& series) {
    const bool delta = is_delta(series, options_.preference);
    const bool negative_seen = merged_.negative_seen(series);
    Baseline::Entry now;
    const Baseline::Entry* entry = nullptr;
    if (delta) {
      entry = former(series, Baseline::Shape::histogram);
      now = {series.index, Baseline::Shape::histogram, options_.time_ns, merged_.sum,
             merged_.zero, sparse(merged_.buckets)};
      if (entry == nullptr && start_of(series, nullptr) < old_.lost_ns()) {
        remember(std::move(now));
        return;
      }
      if (entry != nullptr) subtract_former(series, *entry);
    }
    std::uint64_t count = 0;
    if (!add_all(merged_.buckets, count) || !add_all({&merged_.zero, 1}, count)) {
      ++collection_.counts.not_finite;
      return;
    }
    if (count == 0) {
      if (entry != nullptr) {
        now = *entry;
        now.start_ns = options_.time_ns;
        remember(std::move(now));
      }
      return;
    }
    const std::uint64_t start_ns = delta ? start_of(series, entry) : cumulative_start(series);
    if (delta) remember(std::move(now));
    // otlp-D8: a sum is one of values that only add up.
    std::optional<double> sum;
    if (!negative_seen && std::isfinite(as_real(series, merged_.sum))) sum = as_real(series, merged_.sum);
    std::optional<double> min;
    std::optional<double> max;
    if (!delta && merged_.has_extremes) {
      min = merged_.min;
      max = merged_.max;
    }
    if (series.kind == MetricKind::histogram) {
      otlp::HistogramPointView point;
      point.start_ns = start_ns;
      point.time_ns = options_.time_ns;
      point.count = count;
      point.sum = sum;
      point.bucket_counts = merged_.buckets;
      point.bounds = *series.bounds;
      point.min = min;
      point.max = max;
      write(series, point);
      return;
    }
    const std::span<const std::uint64_t> all(merged_.buckets);
    reduce(all.first(series.buckets), all.subspan(series.buckets), series.first_index, series.scale, reduced_);
    otlp::ExponentialPointView point;
    point.start_ns = start_ns;
    point.time_ns = options_.time_ns;
    point.count = count;
    point.sum = sum;
    point.scale = reduced_.scale;
    point.zero_count = merged_.zero;
    point.positive = {reduced_.positive.offset, reduced_.positive.counts};
    point.negative = {reduced_.negative.offset, reduced_.negative.counts};
    point.min = min;
    point.max = max;
    point.zero_threshold = std::exp2(std::ldexp(static_cast<double>(series.first_index), -series.scale));
    write(series, point);
  }

  void subtract_former(const Series& series, const Baseline::Entry& entry) {
    if (merged_.zero < entry.zero || !subtract(entry.buckets, merged_.buckets)) {
      ++collection_.counts.restarts;
      return;
    }
    merged_.zero -= entry.zero;
    merged_.sum = series.real ? std::bit_cast<std::uint64_t>(shm::real_of(merged_.sum) - shm::real_of(entry.word))
                              : merged_.sum - entry.word;
  }

  // --- messages
  template <class Point>
  void write(const Series& series, Point point) {
    if (series.overflow) {
      point.attributes = {&kOverflowAttribute, 1};
    } else if (series.attributes != 0) {
      point.attributes = owner_.decoder_.decode_blob(owner_.decoder_.strings().blob(series.attributes)).attributes;
    }
    if (message_ && series.instrument != instrument_) close();
    if (message_ && message_->add(point)) {
      added();
      return;
    }
    if (points_ != 0) close();
    if ((message_ || open(series)) && message_->add(point)) {
      added();
      return;
    }
    ++collection_.counts.oversize;
  }
  void added() {
    ++points_;
    ++collection_.counts.points;
  }

  std::string_view text(std::uint32_t id) const {
    return id == 0 ? std::string_view() : owner_.decoder_.strings().find(id).text;
  }

  bool open(const Series& series) {
    metric_.name = text(series.name);
    metric_.description = text(series.description);
    metric_.unit = text(series.unit);
    metric_.data = data_of(series.kind);
    metric_.temporality =
        is_delta(series, options_.preference) ? otlp::Temporality::delta : otlp::Temporality::cumulative;
    metric_.monotonic = series.kind == MetricKind::counter;
    instrument_ = series.instrument;
    scope_ = series.scope;
    points_ = 0;
    writer_.clear();
    message_.emplace(writer_, metric_);
    if (!message_->begin()) message_.reset();
    return message_.has_value();
  }

  // Ends the message, if there is one: a piece, if it has points.
  void close() {
    if (!message_) return;
    if (points_ != 0) {
      message_->finish();
      const auto written = writer_.bytes();
      const auto& bytes = collection_.bytes_.emplace_back(written.begin(), written.end());
      bytes_ += bytes.size();
      group().pieces.push_back({bytes, points_});
    }
    message_.reset();
    points_ = 0;
  }

  MetricGroup& group() {
    for (MetricGroup& group : collection_.groups) {
      if (group.scope == scope_) return group;
    }
    MetricGroup& made = collection_.groups.emplace_back();
    made.scope = scope_;
    return made;
  }

  MetricCollector& owner_;
  const WordSource& source_;
  const Baseline& old_;
  const CollectOptions& options_;
  Collection collection_;
  std::size_t bytes_ = 0;  // of closed pieces

  std::vector<std::pair<std::uint32_t, std::uint32_t>> lanes_;  // number, words
  std::vector<std::uint64_t> sums_;
  std::vector<std::uint64_t> words_;
  shm::MergedHistogram merged_;
  Reduced reduced_;

  std::vector<std::uint8_t> buffer_;
  otlp::BackwardWriter writer_;
  otlp::MetricView metric_;
  std::optional<otlp::MetricMessage> message_;
  std::uint32_t instrument_ = 0;
  std::uint16_t scope_ = 0;
  std::uint32_t points_ = 0;
};

MetricCollector::MetricCollector(const shm::Geometry& geometry, SegmentDecoder& decoder)
    : geometry_(geometry), decoder_(decoder), table_(geometry) {}

void MetricCollector::take_up(const WordSource& source, std::uint32_t published) {
  const std::uint32_t end = table_.limit(published);
  while (table_.seen() < end) {
    std::array<std::uint64_t, sizeof(shm::MetricDescriptor) / 8> words{};
    if (!source.words(geometry_.metric_descriptor(table_.seen()), words)) return;
    const std::size_t before = table_.series().size();
    table_.add(std::bit_cast<shm::MetricDescriptor>(words), decoder_.strings().table());
    if (table_.series().size() == before) continue;
    const std::uint32_t instrument = table_.series().back().instrument;
    const auto [place, is_new] = places_.try_emplace(instrument, instruments_.size());
    if (is_new) instruments_.emplace_back();
    instruments_[place->second].push_back(static_cast<std::uint32_t>(before));
  }
}

Collection MetricCollector::collect(const WordSource& source, const Baseline& old, const CollectOptions& options,
                                    CollectCursor& cursor) {
  return Part(*this, source, old, options).run(cursor);
}

}  // namespace tailrace::agent
