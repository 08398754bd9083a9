// SPDX-License-Identifier: Apache-2.0
//
// A segment image with metrics, changed as an application changes it, and a collector that reads it.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>
#include <string>
#include <vector>

#include "agent/metrics/collector.hpp"
#include "opentelemetry/proto/metrics/v1/metrics.pb.h"
#include "shm/reader/geometry.hpp"
#include "tests/agent/metrics/image_words.hpp"
#include "tests/shm/segment_builder.hpp"

namespace tailrace::agent::test {

namespace otel = opentelemetry::proto::metrics::v1;
using shm::MetricKind;
using shm::test::Items;
using shm::test::SegmentBuilder;
using shm::test::SeriesFields;

inline constexpr std::uint64_t kEpochNs = 1'700'000'000'000'000'000ull;
inline constexpr std::uint64_t kSecondNs = 1'000'000'000ull;

inline std::uint64_t bits_of(double value) {
  std::uint64_t word;
  std::memcpy(&word, &value, sizeof word);
  return word;
}
inline double real_of(std::uint64_t word) { return shm::real_of(word); }

struct Collected {
  std::vector<otel::Metric> metrics;            // pieces of one instrument as they came
  std::map<std::string, std::uint16_t> scopes;  // of each by name
  std::uint32_t points = 0;
  std::uint32_t parts = 0;
  std::size_t largest_piece = 0;
  CollectCounts counts;

  [[nodiscard]] const otel::Metric* find(const std::string& name) const {
    for (const otel::Metric& metric : metrics) {
      if (metric.name() == name) return &metric;
    }
    return nullptr;
  }
};

class MetricsApp {
 public:
  explicit MetricsApp(const shm::test::BuilderOptions& options = {.lanes = 6,
                                                                  .shared_lanes = 1,
                                                                  .arena_bytes = 65536,
                                                                  .series = 512,
                                                                  .shared_cell_bytes = 1u << 20})
      : b_(options),
        geometry_(shm::parse_identity(b_.bytes(0, shm::kIdentityBytes), b_.size()).geometry),
        decoder_(shm::ClockKind::monotonic),
        collector_(geometry_, decoder_),
        words_(b_.image()) {
    decoder_.timeline().add_claim({1, kEpochNs + 1, 1});
    decoder_.timeline().add({kSecondNs, kEpochNs + kSecondNs, kSecondNs});
  }

  // --- the application
  std::uint32_t series(SeriesFields fields, std::string_view name) {
    fields.name = name_id(name);
    if (fields.start == 1) fields.start = 2 * kSecondNs;
    return b_.series(fields);
  }
  std::uint32_t series(MetricKind kind, std::string_view name, std::uint8_t flags = 0) {
    return series(SeriesFields{.kind = kind, .flags = flags}, name);
  }
  std::uint32_t name_id(std::string_view name) {
    const auto [at, is_new] = names_.try_emplace(std::string(name), 0);
    if (is_new) at->second = b_.intern(name);
    return at->second;
  }
  SeriesFields explicit_buckets(const std::vector<double>& bounds, std::uint8_t flags = shm::kMetricReal) {
    SeriesFields f{.kind = MetricKind::histogram, .flags = flags};
    f.bounds = b_.intern_bounds(bounds);
    f.buckets = static_cast<std::uint32_t>(bounds.size()) + 1;
    return f;
  }
  SeriesFields exponential(std::uint32_t buckets, std::int32_t first_index, int scale,
                           std::uint8_t flags = shm::kMetricReal) {
    SeriesFields f{.kind = MetricKind::exponential_histogram, .flags = flags};
    f.buckets = buckets;
    f.first_index = first_index;
    f.scale = static_cast<std::int8_t>(scale);
    return f;
  }
  // A lane counter.
  void add(std::uint32_t index, std::uint64_t by, std::uint32_t lane = 0) {
    b_.lane_cell(lane, b_.descriptor(index).cell) += by;
  }
  void add_real(std::uint32_t index, double by, std::uint32_t lane = 0) {
    std::uint64_t& cell = b_.lane_cell(lane, b_.descriptor(index).cell);
    cell = bits_of(real_of(cell) + by);
  }
  // A gauge or an observed total.
  void set(std::uint32_t index, std::uint64_t value) {
    b_.shared_cell(b_.descriptor(index).cell) = value ^ shm::kNeverSet;
  }
  // Word `at` of a shard: 0 sum, 1 min, 2 max, 3 zero, 4… buckets.
  std::uint64_t& shard(std::uint32_t index, std::uint32_t number, std::uint32_t at) {
    const shm::MetricDescriptor& d = b_.descriptor(index);
    return b_.shared_cell(d.cell + number * d.shard_words + at);
  }
  // One value, into the bucket that docs/abi.md says, by its own words.
  void record(std::uint32_t index, double value, std::uint32_t shard_number = 0) {
    const shm::MetricDescriptor& d = b_.descriptor(index);
    const bool real = (d.flags & shm::kMetricReal) != 0;
    std::uint64_t& sum = shard(index, shard_number, 0);
    sum = real ? bits_of(real_of(sum) + value) : sum + static_cast<std::uint64_t>(static_cast<std::int64_t>(value));
    const auto coded = [&](double v) {
      return (real ? bits_of(v) : static_cast<std::uint64_t>(static_cast<std::int64_t>(v))) ^ shm::kNeverSet;
    };
    const auto decoded = [&](std::uint64_t word) {
      word ^= shm::kNeverSet;
      return real ? real_of(word) : static_cast<double>(static_cast<std::int64_t>(word));
    };
    std::uint64_t& min = shard(index, shard_number, 1);
    std::uint64_t& max = shard(index, shard_number, 2);
    if (min == 0 || value < decoded(min)) min = coded(value);
    if (max == 0 || value > decoded(max)) max = coded(value);
    ++shard(index, shard_number, bucket_word(d, value));
  }
  std::uint32_t bucket_word(const shm::MetricDescriptor& d, double value) {
    if (d.kind == static_cast<std::uint8_t>(MetricKind::histogram)) {
      const auto bounds = bounds_of(d);
      std::uint32_t at = 0;
      while (at < bounds.size() && value > bounds[at]) ++at;
      return 4 + at;
    }
    const double magnitude = std::abs(value);
    const auto edge = [&](std::int64_t index) { return std::exp2(std::ldexp(static_cast<double>(index), -d.scale)); };
    if (magnitude <= edge(d.first_index)) return 3;
    std::uint32_t at = 0;
    while (at + 1 < d.buckets && magnitude > edge(std::int64_t{d.first_index} + at + 1)) ++at;
    return 4 + at + (value < 0 ? d.buckets : 0);
  }
  std::vector<double> bounds_of(const shm::MetricDescriptor& d) {
    std::vector<double> bounds(d.buckets - 1);
    if (!bounds.empty()) {
      std::memcpy(bounds.data(), b_.at(shm::RegionKind::strings) + std::size_t{d.bounds} * 8 + 4,
                  bounds.size() * sizeof(double));
    }
    return bounds;
  }

  // --- the agent
  void publish() {
    const std::uint32_t published = b_.process().metrics_count.load();
    StringCache& strings = decoder_.strings();
    const std::size_t more = strings.wanted(b_.process().strings_len.load());
    ASSERT_TRUE(strings.extend({b_.at(shm::RegionKind::strings) + strings.length(), more}));
    std::vector<std::uint32_t> ids(b_.process().scopes_count.load());
    if (!ids.empty()) std::memcpy(ids.data(), b_.at(shm::RegionKind::scopes), ids.size() * sizeof(std::uint32_t));
    decoder_.set_scopes(ids);
    collector_.take_up(words_, published);
  }
  // A whole collection; the baseline goes through its bytes, as after a restart of the agent.
  Collected collect(TemporalityPreference preference = TemporalityPreference::cumulative) {
    publish();
    options_.preference = preference;
    options_.time_ns = now_ns();
    Collected all;
    for (CollectCursor at; !at.done();) {
      const Collection part = collector_.collect(words_, baseline_, options_, at);
      EXPECT_TRUE(part.readable);
      if (!part.readable) break;
      take(part, all);
      const auto baseline = Baseline::decode(part.baseline.encode());
      EXPECT_TRUE(baseline.has_value());
      EXPECT_TRUE(baseline == part.baseline);
      baseline_ = *baseline;
    }
    return all;
  }
  static void take(const Collection& part, Collected& all) {
    ++all.parts;
    for (const MetricGroup& group : part.groups) {
      for (const MetricPiece& piece : group.pieces) {
        otel::ScopeMetrics scope;
        EXPECT_TRUE(scope.ParseFromArray(piece.bytes.data(), static_cast<int>(piece.bytes.size())));
        EXPECT_EQ(scope.metrics_size(), 1);
        if (scope.metrics_size() != 1) continue;
        const otel::Metric& metric = scope.metrics(0);
        EXPECT_EQ(static_cast<int>(piece.points), metric.gauge().data_points_size() + metric.sum().data_points_size() +
                                                      metric.histogram().data_points_size() +
                                                      metric.exponential_histogram().data_points_size());
        EXPECT_GT(piece.points, 0u);
        all.points += piece.points;
        all.scopes[metric.name()] = group.scope;
        all.largest_piece = std::max(all.largest_piece, piece.bytes.size());
        all.metrics.push_back(metric);
      }
    }
    all.counts.points += part.counts.points;
    all.counts.saturated += part.counts.saturated;
    all.counts.not_finite += part.counts.not_finite;
    all.counts.oversize += part.counts.oversize;
    all.counts.restarts += part.counts.restarts;
  }
  // The only number point of the only metric of this name; the test fails without.
  static otel::NumberDataPoint number(const Collected& all, const std::string& name) {
    const otel::Metric* metric = all.find(name);
    EXPECT_NE(metric, nullptr) << name;
    if (metric == nullptr) return {};
    const auto& points = metric->has_gauge() ? metric->gauge().data_points() : metric->sum().data_points();
    EXPECT_EQ(points.size(), 1);
    return points.empty() ? otel::NumberDataPoint() : points.Get(0);
  }
  static otel::HistogramDataPoint histogram(const Collected& all, const std::string& name) {
    const otel::Metric* metric = all.find(name);
    EXPECT_TRUE(metric != nullptr && metric->histogram().data_points_size() == 1) << name;
    return metric != nullptr && metric->histogram().data_points_size() == 1 ? metric->histogram().data_points(0)
                                                                            : otel::HistogramDataPoint();
  }
  static otel::ExponentialHistogramDataPoint exponential(const Collected& all, const std::string& name) {
    const otel::Metric* metric = all.find(name);
    EXPECT_TRUE(metric != nullptr && metric->exponential_histogram().data_points_size() == 1) << name;
    return metric != nullptr && metric->exponential_histogram().data_points_size() == 1
               ? metric->exponential_histogram().data_points(0)
               : otel::ExponentialHistogramDataPoint();
  }
  void wait(std::uint64_t seconds = 10) { now_ += seconds; }
  [[nodiscard]] std::uint64_t now_ns() const { return kEpochNs + now_ * kSecondNs; }
  static constexpr std::uint64_t kStartNs = kEpochNs + 2 * kSecondNs;

  SegmentBuilder b_;
  shm::Geometry geometry_;
  SegmentDecoder decoder_;
  MetricCollector collector_;
  ImageWords words_;
  Baseline baseline_;
  CollectOptions options_;
  std::uint64_t now_ = 10;
  std::map<std::string, std::uint32_t> names_;
};

class MetricsTest : public testing::Test, public MetricsApp {};

}  // namespace tailrace::agent::test
