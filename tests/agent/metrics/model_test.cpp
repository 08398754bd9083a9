// SPDX-License-Identifier: Apache-2.0
//
// Collections against models that keep the raw values: histograms merged and reduced, and random sequences
// of collections of which the sum of deltas must be the cumulative value.
#include <algorithm>
#include <cmath>
#include <limits>
#include <random>

#include "agent/metrics/reduce.hpp"
#include "tests/agent/metrics/metrics_fixture.hpp"

namespace tailrace::agent::test {
namespace {

using enum TemporalityPreference;

// --- reduction: the smallest number of halvings that fits, and nothing lost
TEST(ReduceTest, MergesTheFewestBucketsThatFitAndLosesNoCount) {
  std::mt19937_64 random(3);
  for (int round = 0; round < 2000; ++round) {
    const std::size_t size = 1 + random() % (round % 10 == 0 ? 16384 : 700);
    const std::int32_t first = static_cast<std::int32_t>(random() % 4000) - 2000;
    std::vector<std::uint64_t> sides[2];
    for (auto& side : sides) {
      side.resize(size);
      const std::uint64_t filled = random() % 20;
      for (std::uint64_t i = 0; i < filled; ++i) side[random() % size] += 1 + random() % 100;
    }
    Reduced reduced;
    reduce(sides[0], sides[1], first, 5, reduced);
    const int steps = 5 - reduced.scale;
    ASSERT_GE(steps, 0);
    const auto width_at = [&](int k) {
      std::int64_t widest = 0;
      for (const auto& side : sides) {
        std::int64_t low = 0;
        std::int64_t high = -1;
        for (std::size_t i = 0; i < size; ++i) {
          if (side[i] == 0) continue;
          const std::int64_t at = (first + static_cast<std::int64_t>(i)) >> k;
          if (high < low) low = at;
          high = at;
        }
        widest = std::max(widest, high - low + 1);
      }
      return widest;
    };
    ASSERT_LE(width_at(steps), kBucketsPerSign);
    if (steps > 0) {
      ASSERT_GT(width_at(steps - 1), kBucketsPerSign) << "it merged more than it had to";
    }
    for (int s = 0; s < 2; ++s) {
      const ReducedBuckets& out = s == 0 ? reduced.positive : reduced.negative;
      std::map<std::int64_t, std::uint64_t> wanted;
      for (std::size_t i = 0; i < size; ++i) {
        if (sides[s][i] != 0) wanted[(first + static_cast<std::int64_t>(i)) >> steps] += sides[s][i];
      }
      std::map<std::int64_t, std::uint64_t> got;
      for (std::size_t i = 0; i < out.counts.size(); ++i) {
        if (out.counts[i] != 0) got[out.offset + static_cast<std::int64_t>(i)] = out.counts[i];
      }
      ASSERT_EQ(got, wanted);
      if (!out.counts.empty()) {
        ASSERT_NE(out.counts.front(), 0u);
        ASSERT_NE(out.counts.back(), 0u);
      }
    }
  }
}

using Counts = std::map<std::int64_t, std::uint64_t>;

// The index at `scale` of a magnitude above base^first_index, by definition: base^i < v <= base^(i + 1).
std::int64_t index_of(double magnitude, int scale) {
  const auto edge = [&](std::int64_t i) { return std::exp2(std::ldexp(static_cast<double>(i), -scale)); };
  auto index = static_cast<std::int64_t>(std::floor(std::ldexp(std::log2(magnitude), scale)));
  while (magnitude <= edge(index)) --index;
  while (magnitude > edge(index + 1)) ++index;
  return index;
}

double random_value(std::mt19937_64& random, bool negative) {
  static constexpr double kExtremes[] = {
      0.0,    -0.0, std::numeric_limits<double>::denorm_min(), std::numeric_limits<double>::min(), 1.0, 2.0, 0.5,
      1024.0, 1e300};
  const double value = random() % 10 == 0 ? kExtremes[random() % std::size(kExtremes)]
                                          : std::exp2(static_cast<double>(random() % 4000) / 100.0 - 20.0);
  return negative && random() % 3 == 0 ? -value : value;
}

template <class Buckets>
Counts counts_of(const Buckets& side) {
  Counts counts;
  for (int i = 0; i < side.bucket_counts_size(); ++i) {
    if (side.bucket_counts(i) != 0) counts[side.offset() + i] = side.bucket_counts(i);
  }
  return counts;
}

TEST(MetricsModelTest, AnExponentialHistogramIsThatOfItsRawValues) {
  std::mt19937_64 random(4);
  for (int round = 0; round < 60; ++round) {
    SCOPED_TRACE(round);
    const bool negative = random() % 2 == 0;
    const int scale = static_cast<int>(random() % 8) - 2;
    // Sometimes more than 1000 octaves.
    const auto buckets = static_cast<std::uint32_t>(1 + random() % 800);
    const auto first = -static_cast<std::int32_t>(random() % 160);
    const std::int64_t top = first + static_cast<std::int64_t>(buckets) - 1;
    const auto octaves = [&](std::int64_t index) { return std::ldexp(static_cast<double>(index), -scale); };
    if (octaves(top) >= 1024 || octaves(first) < -1074) continue;
    MetricsApp app;
    const std::uint32_t index =
        app.series(app.exponential(buckets, first, scale,
                                   static_cast<std::uint8_t>(shm::kMetricReal | (negative ? shm::kMetricNegative : 0))),
                   "latency");
    const double threshold = std::exp2(std::ldexp(static_cast<double>(first), -scale));
    std::vector<double> values;
    for (std::uint64_t n = 1 + random() % 300; n > 0; --n) {
      values.push_back(random_value(random, negative));
      app.record(index, values.back(), static_cast<std::uint32_t>(random() % 5));
    }
    const auto point = MetricsApp::exponential(app.collect(), "latency");
    ASSERT_EQ(point.count(), values.size());
    const int steps = scale - point.scale();
    ASSERT_GE(steps, 0);
    std::uint64_t zero = 0;
    Counts wanted[2];
    for (const double value : values) {
      const double magnitude = std::abs(value);
      if (magnitude <= threshold) {
        ++zero;
      } else {
        ++wanted[value < 0 ? 1 : 0][std::min(index_of(magnitude, scale), top) >> steps];
      }
    }
    EXPECT_EQ(point.zero_count(), zero);
    EXPECT_EQ(point.zero_threshold(), threshold);
    EXPECT_LE(point.positive().bucket_counts_size(), 160);
    EXPECT_LE(point.negative().bucket_counts_size(), 160);
    EXPECT_EQ(counts_of(point.positive()), wanted[0]) << "scale " << scale << " to " << point.scale();
    EXPECT_EQ(counts_of(point.negative()), wanted[1]) << "scale " << scale << " to " << point.scale();
    EXPECT_EQ(point.min(), *std::min_element(values.begin(), values.end()));
    EXPECT_EQ(point.max(), *std::max_element(values.begin(), values.end()));
    EXPECT_EQ(point.has_sum(), std::none_of(values.begin(), values.end(), [](double v) { return v < 0; }));
  }
}

TEST(MetricsModelTest, AnExplicitHistogramIsThatOfItsRawValues) {
  std::mt19937_64 random(5);
  for (int round = 0; round < 60; ++round) {
    SCOPED_TRACE(round);
    MetricsApp app;
    std::vector<double> bounds;
    for (std::uint64_t n = random() % 30; n > 0; --n) bounds.push_back(random_value(random, true));
    std::sort(bounds.begin(), bounds.end());
    bounds.erase(std::unique(bounds.begin(), bounds.end()), bounds.end());
    const std::uint32_t index = app.series(app.explicit_buckets(bounds), "latency");
    std::vector<double> values;
    for (std::uint64_t n = 1 + random() % 300; n > 0; --n) {
      values.push_back(!bounds.empty() && random() % 4 == 0 ? bounds[random() % bounds.size()]
                                                            : random_value(random, round % 2 == 0));
      app.record(index, values.back(), static_cast<std::uint32_t>(random() % 5));
    }
    const auto point = MetricsApp::histogram(app.collect(), "latency");
    std::vector<std::uint64_t> wanted(bounds.size() + 1);
    for (const double value : values) {
      ++wanted[static_cast<std::size_t>(std::lower_bound(bounds.begin(), bounds.end(), value) - bounds.begin())];
    }
    EXPECT_EQ(std::vector<std::uint64_t>(point.bucket_counts().begin(), point.bucket_counts().end()), wanted);
    EXPECT_EQ(point.count(), values.size());
    EXPECT_EQ(point.explicit_bounds_size(), static_cast<int>(bounds.size()));
    EXPECT_EQ(point.min(), *std::min_element(values.begin(), values.end()));
    EXPECT_EQ(point.max(), *std::max_element(values.begin(), values.end()));
  }
}

// --- the sum of deltas is the cumulative value
struct Totals {
  std::uint64_t integer = 0;
  double real = 0;
  std::uint64_t count = 0;
  std::uint64_t zero = 0;
  Counts buckets;
  std::uint64_t end_ns = 0;
};

class DeltasTest : public testing::TestWithParam<std::uint64_t> {
 protected:
  // Numbers with few bits: their sums are exact in binary64.
  double amount() { return static_cast<double>(random_() % 4096) / 8; }

  void make_series() {
    const std::string name = "m" + std::to_string(all_.size());
    const auto kind = static_cast<MetricKind>(1 + random_() % 5);
    SeriesFields f{.kind = kind};
    if (kind == MetricKind::histogram) {
      f = app_.explicit_buckets({0.5, 8, 64});
    } else if (kind == MetricKind::exponential_histogram) {
      f = app_.exponential(64, -8, 2);  // never reduced: all points have one scale
    } else if (random_() % 2 == 0) {
      f.flags |= shm::kMetricReal;
    }
    if (kind <= MetricKind::up_down_counter && random_() % 3 == 0) f.flags |= shm::kMetricObservable;
    f.start = app_.now_ * kSecondNs;
    all_.push_back(app_.series(f, name));
  }
  void change(std::uint32_t index) {
    const shm::MetricDescriptor& d = app_.b_.descriptor(index);
    const bool real = (d.flags & shm::kMetricReal) != 0;
    const auto kind = static_cast<MetricKind>(d.kind);
    const auto lane = static_cast<std::uint32_t>(random_() % 6);
    const bool down = kind == MetricKind::up_down_counter && random_() % 2 == 0;
    const double by = down ? -amount() : amount();
    if (kind >= MetricKind::histogram) return app_.record(index, amount(), lane % 5);
    if (kind == MetricKind::gauge) return app_.set(index, real ? bits_of(by) : random_() % 1000);
    if ((d.flags & shm::kMetricObservable) == 0) {
      if (real) return app_.add_real(index, by, lane);
      return app_.add(index, static_cast<std::uint64_t>(static_cast<std::int64_t>(by)), lane);
    }
    std::uint64_t now = app_.b_.shared_cell(d.cell);
    now = now == 0 ? 0 : now ^ shm::kNeverSet;
    app_.set(index,
             real ? bits_of(real_of(now) + by) : now + static_cast<std::uint64_t>(static_cast<std::int64_t>(by)));
  }

  template <class Point>
  static void book_times(const Point& point, bool is_delta, Totals& totals) {
    EXPECT_LE(point.start_time_unix_nano(), point.time_unix_nano());
    if (is_delta) {
      EXPECT_GE(point.start_time_unix_nano(), totals.end_ns) << "points overlap";
    }
    totals.end_ns = point.time_unix_nano();
  }
  // Deltas add up; what is cumulative replaces.
  static void book(const otel::Metric& metric, std::map<std::string, Totals>& to) {
    Totals& totals = to[metric.name()];
    const bool is_delta = metric.sum().aggregation_temporality() == 1 ||
                          metric.histogram().aggregation_temporality() == 1 ||
                          metric.exponential_histogram().aggregation_temporality() == 1;
    if (!is_delta) totals = Totals();
    if (metric.has_gauge()) return;
    if (metric.has_sum()) {
      const auto& point = metric.sum().data_points(0);
      book_times(point, is_delta, totals);
      totals.integer += static_cast<std::uint64_t>(point.as_int());
      totals.real += point.as_double();
      return;
    }
    if (metric.has_histogram()) {
      const auto& point = metric.histogram().data_points(0);
      book_times(point, is_delta, totals);
      totals.count += point.count();
      totals.real += point.sum();
      for (int i = 0; i < point.bucket_counts_size(); ++i) totals.buckets[i] += point.bucket_counts(i);
      return;
    }
    const auto& point = metric.exponential_histogram().data_points(0);
    book_times(point, is_delta, totals);
    EXPECT_EQ(point.scale(), 2);
    totals.count += point.count();
    totals.real += point.sum();
    totals.zero += point.zero_count();
    for (const auto& [index, count] : counts_of(point.positive())) totals.buckets[index] += count;
  }

  MetricsApp app_;
  std::mt19937_64 random_{GetParam()};
  std::vector<std::uint32_t> all_;
};

TEST_P(DeltasTest, OfAnySequenceOfCollectionsAddUpToTheCumulativeValue) {
  const TemporalityPreference preference = GetParam() % 2 == 0 ? delta : lowmemory;
  std::map<std::string, Totals> deltas;
  for (int round = 0; round < 60; ++round) {
    if (random_() % 4 == 0 && all_.size() < 100) make_series();
    for (std::uint64_t n = random_() % 40; n > 0 && !all_.empty(); --n) change(all_[random_() % all_.size()]);
    app_.wait(1 + random_() % 20);
    app_.options_.part_bytes = 1 + random_() % 2000;
    const Baseline before = app_.baseline_;
    const Collected collected = app_.collect(preference);
    if (random_() % 4 == 0) {
      app_.baseline_ = before;  // the agent died before its commit: nobody has the points
      continue;
    }
    for (const otel::Metric& metric : collected.metrics) book(metric, deltas);
    EXPECT_EQ(collected.counts.restarts + collected.counts.not_finite, 0u);
  }
  app_.wait();
  for (const otel::Metric& metric : app_.collect(preference).metrics) book(metric, deltas);

  app_.baseline_ = Baseline();
  std::map<std::string, Totals> whole;
  for (const otel::Metric& metric : app_.collect(cumulative).metrics) book(metric, whole);
  ASSERT_FALSE(whole.empty());
  for (const auto& [name, totals] : whole) {
    const Totals& sum = deltas[name];
    EXPECT_EQ(sum.integer, totals.integer) << name;
    EXPECT_EQ(sum.real, totals.real) << name;
    EXPECT_EQ(sum.count, totals.count) << name;
    EXPECT_EQ(sum.zero, totals.zero) << name;
    for (const auto& [index, count] : totals.buckets) {
      EXPECT_EQ(count, deltas[name].buckets[index]) << name << " bucket " << index;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(OfSeed, DeltasTest, testing::Range<std::uint64_t>(1, 13));

}  // namespace
}  // namespace tailrace::agent::test
