// SPDX-License-Identifier: Apache-2.0
//
// Metrics on the whole way: every instrument, both histograms, all temporalities, exact values, read by two readers
// that share nothing with our encoder. What is expected is worked out here from the raw values.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <tuple>

#include "opentelemetry/proto/metrics/v1/metrics.pb.h"
#include "tests/interop/delivery.hpp"
#include "tests/interop/metric_values.hpp"

namespace tailrace::interop {
namespace {

using pb::metrics::v1::AggregationTemporality;
using pb::metrics::v1::ExponentialHistogramDataPoint;
using pb::metrics::v1::HistogramDataPoint;
using pb::metrics::v1::Metric;
using pb::metrics::v1::NumberDataPoint;
constexpr auto kDelta = AggregationTemporality::AGGREGATION_TEMPORALITY_DELTA;
constexpr auto kCumulative = AggregationTemporality::AGGREGATION_TEMPORALITY_CUMULATIVE;

// A series: its instrument's name, scope and attributes as text, and its points in the order of their times.
template <class Point>
struct Series {
  Metric metric;  // without points
  std::vector<Point> points;
};
template <class Point>
using AllSeries = std::map<std::string, Series<Point>>;

template <class Attributes>
std::string text_of(const Attributes& attributes) {
  std::set<std::string> sorted;
  for (const auto& attribute : attributes) sorted.insert(attribute.ShortDebugString());
  std::string text;
  for (const std::string& one : sorted) text += "{" + one + "}";
  return text;
}

template <class Point, class Holder>
void take(AllSeries<Point>& all, const std::string& scope, const Metric& metric, const Holder& holder) {
  for (const Point& point : holder.data_points()) {
    Series<Point>& series = all[scope + metric.name() + text_of(point.attributes())];
    series.metric = metric;
    series.points.push_back(point);
  }
}

struct Arrived {
  AllSeries<NumberDataPoint> numbers;
  AllSeries<HistogramDataPoint> histograms;
  AllSeries<ExponentialHistogramDataPoint> exponentials;
  std::set<std::string> process_metrics;
  std::uint64_t points = 0;
};

template <class Point>
void sort(AllSeries<Point>& all) {
  for (auto& [key, series] : all) {
    std::stable_sort(series.points.begin(), series.points.end(),
                     [](const Point& a, const Point& b) { return a.time_unix_nano() < b.time_unix_nano(); });
  }
}

Arrived arrived(const Delivery& delivery) {
  Arrived all;
  for (const auto& request : delivery.metrics) {
    for (const auto& resource : request.resource_metrics()) {
      for (const auto& scope : resource.scope_metrics()) {
        const std::string name = scope.scope().name().empty() ? "" : scope.scope().name() + "/";
        for (const Metric& metric : scope.metrics()) {
          all.points += static_cast<std::uint64_t>(metric.gauge().data_points_size() + metric.sum().data_points_size() +
                                                   metric.histogram().data_points_size() +
                                                   metric.exponential_histogram().data_points_size());
          if (metric.name().rfind("process.", 0) == 0) {
            all.process_metrics.insert(metric.name());
            continue;
          }
          if (metric.has_gauge()) take<NumberDataPoint>(all.numbers, name, metric, metric.gauge());
          if (metric.has_sum()) take<NumberDataPoint>(all.numbers, name, metric, metric.sum());
          if (metric.has_histogram()) take<HistogramDataPoint>(all.histograms, name, metric, metric.histogram());
          if (metric.has_exponential_histogram()) {
            take<ExponentialHistogramDataPoint>(all.exponentials, name, metric, metric.exponential_histogram());
          }
        }
      }
    }
  }
  sort(all.numbers);
  sort(all.histograms);
  sort(all.exponentials);
  return all;
}

class InteropMetrics : public testing::TestWithParam<std::tuple<Reader, const char*>> {
 protected:
  void SetUp() override {
    static std::map<std::pair<Reader, std::string>, Delivery> runs;
    const auto& [reader, temporality] = GetParam();
    const std::pair<Reader, std::string> key{reader, temporality};
    if (runs.count(key) == 0) {
      // The flushes alone collect, and the end of the process.
      runs[key] = deliver(reader, "metrics",
                          {{"OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", temporality},
                           {"OTEL_METRIC_EXPORT_INTERVAL", "3600000"}});
    }
    delivery_ = &runs[key];
    if (!delivery_->skipped.empty()) GTEST_SKIP() << delivery_->skipped;
    ASSERT_FALSE(delivery_->metrics.empty());
    arrived_ = arrived(*delivery_);
  }

  [[nodiscard]] std::string preference() const { return std::get<1>(GetParam()); }
  // rules.md 1.8, the table of temporalities.
  [[nodiscard]] AggregationTemporality of_counter() const {
    return preference() == "cumulative" ? kCumulative : kDelta;
  }
  [[nodiscard]] AggregationTemporality of_observed_counter() const {
    return preference() == "delta" ? kDelta : kCumulative;
  }

  // The moments of the points, and where a value begins to count. Later points of a cumulative series, those of the
  // process's end, repeat the last value.
  template <class Point>
  void expect_times(const std::string& key, const std::vector<Point>& points, AggregationTemporality temporality) {
    std::uint64_t before = 0;
    std::uint64_t start = 0;
    for (const Point& point : points) {
      EXPECT_GT(point.time_unix_nano(), before) << key;
      EXPECT_GE(point.time_unix_nano(), delivery_->from_ns) << key;
      EXPECT_LE(point.time_unix_nano(), delivery_->to_ns) << key;
      EXPECT_GE(point.start_time_unix_nano(), delivery_->from_ns - 10'000'000) << key << ": otlp-D9";
      EXPECT_LE(point.start_time_unix_nano(), point.time_unix_nano()) << key;
      if (before != 0) {
        EXPECT_EQ(point.start_time_unix_nano(), temporality == kDelta ? before : start) << key;
      }
      start = point.start_time_unix_nano();
      before = point.time_unix_nano();
    }
  }

  // `expected`: each round's own value; of a gauge, the last of each round.
  template <class Value>
  void expect_numbers(const std::string& key, const std::vector<Value>& expected,
                      std::optional<AggregationTemporality> temporality, bool monotonic) {
    const auto found = arrived_.numbers.find(key);
    ASSERT_NE(found, arrived_.numbers.end()) << key;
    const auto& [metric, points] = found->second;
    if (temporality) {
      EXPECT_EQ(metric.sum().aggregation_temporality(), *temporality) << key;
      EXPECT_EQ(metric.sum().is_monotonic(), monotonic) << key;
      expect_times(key, points, *temporality);
    } else {
      EXPECT_TRUE(metric.has_gauge()) << key;
    }
    const bool delta = temporality == kDelta;
    ASSERT_GE(points.size(), expected.size()) << key;
    Value sum{};
    for (std::size_t i = 0; i < points.size(); ++i) {
      if (i >= expected.size()) {
        EXPECT_FALSE(delta) << key << " has a delta too many: " << points[i].ShortDebugString();
      } else {
        sum = temporality && !delta ? sum + expected[i] : expected[i];
      }
      if constexpr (std::is_same_v<Value, double>) {
        EXPECT_TRUE(points[i].has_as_double()) << key << ": otlp-D7";
        EXPECT_EQ(points[i].as_double(), sum) << key << " round " << i;
      } else {
        EXPECT_TRUE(points[i].has_as_int()) << key << ": otlp-D7";
        EXPECT_EQ(points[i].as_int(), sum) << key << " round " << i;
      }
    }
    arrived_.numbers.erase(found);
  }

  const Delivery* delivery_ = nullptr;
  Arrived arrived_;
};

INSTANTIATE_TEST_SUITE_P(
    Read, InteropMetrics,
    testing::Combine(testing::Values(Reader::collector, Reader::collector_through_c, Reader::python),
                     testing::Values("cumulative", "delta", "lowmemory")),
    [](const auto& one) { return std::string(name_of(std::get<0>(one.param))) + "_" + std::get<1>(one.param); });

template <class T>
std::vector<T> sums(const Rounds<T>& rounds) {
  std::vector<T> result;
  for (const std::vector<T>& round : rounds) {
    T sum{};
    for (const T value : round) sum += value;
    result.push_back(sum);
  }
  return result;
}
template <class T>
std::vector<T> times(std::vector<T> values, T factor) {
  for (T& value : values) value *= factor;
  return values;
}

TEST_P(InteropMetrics, every_counter_and_gauge_arrives_with_its_exact_value) {
  const auto cumulative = kCumulative;
  expect_numbers<std::int64_t>("counter.integer", sums(kAdds), of_counter(), true);
  expect_numbers<std::int64_t>("counter.integer{key: \"way\" value { string_value: \"bound\" }}", sums(kAdds),
                               of_counter(), true);
  expect_numbers<std::int64_t>(
      "counter.integer{key: \"array\" value { array_value { values { int_value: 1 } values { string_value: \"two\" } } "
      "}}"
      "{key: \"bool\" value { bool_value: true }}{key: \"bytes\" value { bytes_value: \"\\000\\377\" }}"
      "{key: \"int\" value { int_value: -7 }}"
      "{key: \"map\" value { kvlist_value { values { key: \"k\" value { int_value: 1 } } } }}"
      "{key: \"real\" value { double_value: 0.5 }}"
      "{key: \"text\" value { string_value: \"gr\\303\\274\\303\\237 dich\" }}",
      sums(kAdds), of_counter(), true);
  expect_numbers<std::int64_t>("counter.integer{key: \"a\" value { int_value: 1 }}{key: \"b\" value { int_value: 2 }}",
                               times<std::int64_t>(sums(kAdds), 2), of_counter(), true);
  expect_numbers<std::int64_t>("metrics.library/counter.integer", {1, 2}, of_counter(), true);
  expect_numbers<double>("counter.real", sums(kRealAdds), of_counter(), true);
  expect_numbers<std::int64_t>("updown.integer{key: \"k\" value { string_value: \"v\" }}", sums(kUpsAndDowns),
                               cumulative, false);
  expect_numbers<double>("updown.real", sums(kRealUpsAndDowns), cumulative, false);
  expect_numbers<std::int64_t>("observed.counter{key: \"k\" value { string_value: \"v\" }}", sums(kAdds),
                               of_observed_counter(), true);
  expect_numbers<std::int64_t>("observed.updown", sums(kUpsAndDowns), cumulative, false);
  const auto last = [](const auto& rounds) {
    std::vector<typename std::decay_t<decltype(rounds[0])>::value_type> values;
    for (const auto& round : rounds) values.push_back(round.back());
    return values;
  };
  expect_numbers<std::int64_t>("gauge.integer{key: \"k\" value { string_value: \"v\" }}", last(kGauged), std::nullopt,
                               false);
  expect_numbers<double>("gauge.real", last(kRealGauged), std::nullopt, false);
  expect_numbers<double>("observed.gauge", last(kRealGauged), std::nullopt, false);
  for (const auto& [key, series] : arrived_.numbers) {
    EXPECT_EQ(key.rfind("counter.limited", 0), 0U) << "not expected: " << key;
  }
}

TEST_P(InteropMetrics, a_series_beyond_the_limit_is_summed_under_otel_metric_overflow) {
  std::vector<std::int64_t> total(kRounds, 0);
  std::size_t sets = 0;
  bool overflow = false;
  for (const auto& [key, series] : arrived_.numbers) {
    if (key.rfind("counter.limited", 0) != 0) continue;
    ++sets;
    overflow = overflow || key == "counter.limited{key: \"otel.metric.overflow\" value { bool_value: true }}";
    for (std::size_t round = 0; round < kRounds; ++round) {
      ASSERT_LT(round, series.points.size()) << key;
      total[round] += series.points[round].as_int();
    }
  }
  EXPECT_EQ(sets, 4U) << "three, as the limit says, and the overflow";
  EXPECT_TRUE(overflow);
  // Nothing is lost or counted twice: ten adds of 1, then ten of 2.
  EXPECT_THAT(total, of_counter() == kDelta ? testing::ElementsAre(10, 20) : testing::ElementsAre(10, 30));
}

// What a histogram of these values is, from the values alone.
struct Model {
  std::uint64_t count = 0;
  double sum = 0;
  double min = INFINITY;
  double max = -INFINITY;
  bool negative = false;
  std::map<long, std::uint64_t> positives, negatives;  // index → count
  std::uint64_t zero = 0;

  void add(double value, const std::function<void(Model&, double)>& place) {
    if (!std::isfinite(value)) return;
    ++count;
    sum += value;
    min = std::min(min, value);
    max = std::max(max, value);
    negative = negative || value < 0;
    place(*this, value);
  }
};
using Place = std::function<void(Model&, double)>;

// bounds[i - 1] < value <= bounds[i]
Place explicit_place(std::vector<double> bounds) {
  return [bounds](Model& model, double value) {
    long bucket = 0;
    while (bucket < static_cast<long>(bounds.size()) && value > bounds[static_cast<std::size_t>(bucket)]) ++bucket;
    ++model.positives[bucket];
  };
}
// base^i < value <= base^(i + 1), from smallest to greatest; `scale` is the instrument's.
Place exponential_place(int scale, double smallest, double greatest) {
  return [=](Model& model, double value) {
    const double magnitude = std::abs(value);
    if (magnitude <= smallest) {
      ++model.zero;
      return;
    }
    const long double exact =
        std::log2(static_cast<long double>(std::min(magnitude, greatest))) * std::exp2(static_cast<long double>(scale));
    const long index = static_cast<long>(std::ceil(exact)) - 1;
    ++(value < 0 ? model.negatives : model.positives)[index];
  };
}

template <class T>
std::vector<Model> models(const Rounds<T>& rounds, bool cumulative, const Place& place) {
  std::vector<Model> result;
  Model model;
  for (const std::vector<T>& round : rounds) {
    if (!cumulative) model = Model{};
    for (const T value : round) model.add(static_cast<double>(value), place);
    result.push_back(model);
  }
  return result;
}

// otlp-D8, and what both kinds of histogram share.
template <class Point>
void expect_like(const std::string& key, const Point& point, const Model& model, bool cumulative) {
  EXPECT_EQ(point.count(), model.count) << key;
  EXPECT_EQ(point.has_sum(), !model.negative) << key << ": a sum is one of values that only add up";
  if (point.has_sum()) {
    // A delta is the difference of two totals, which have 53 bits, and not the sum of its own values.
    EXPECT_NEAR(point.sum(), model.sum, cumulative ? 1e-15 * std::abs(model.sum) : 1e-6) << key;
  }
  EXPECT_EQ(point.has_min(), cumulative) << key;
  EXPECT_EQ(point.has_max(), cumulative) << key;
  if (point.has_min() && point.has_max()) {
    EXPECT_EQ(point.min(), model.min) << key;
    EXPECT_EQ(point.max(), model.max) << key;
  }
}

TEST_P(InteropMetrics, otlp_D8_explicit_histograms_are_as_a_model_from_the_raw_values_says) {
  const bool cumulative = of_counter() == kCumulative;
  const auto expect = [&](const std::string& key, std::vector<double> bounds, const std::vector<Model>& expected) {
    const auto found = arrived_.histograms.find(key);
    ASSERT_NE(found, arrived_.histograms.end()) << key;
    const auto& [metric, points] = found->second;
    EXPECT_EQ(metric.histogram().aggregation_temporality(), of_counter()) << key;
    expect_times(key, points, of_counter());
    ASSERT_GE(points.size(), expected.size()) << key;
    for (std::size_t i = 0; i < points.size(); ++i) {
      if (i >= expected.size()) {
        EXPECT_TRUE(cumulative) << key << " has a delta too many";
      }
      const Model& model = expected[std::min(i, expected.size() - 1)];
      expect_like(key, points[i], model, cumulative);
      EXPECT_THAT(points[i].explicit_bounds(), testing::ElementsAreArray(bounds)) << key;
      ASSERT_EQ(points[i].bucket_counts_size(), static_cast<int>(bounds.size()) + 1) << key;
      for (int bucket = 0; bucket < points[i].bucket_counts_size(); ++bucket) {
        const auto wanted = model.positives.find(bucket);
        EXPECT_EQ(points[i].bucket_counts(bucket), wanted == model.positives.end() ? 0 : wanted->second)
            << key << " round " << i << " bucket " << bucket;
      }
    }
    arrived_.histograms.erase(found);
  };
  const std::vector<double> bounds(kBounds.begin(), kBounds.end());
  const std::vector<double> standard{0, 5, 10, 25, 50, 75, 100, 250, 500, 750, 1000, 2500, 5000, 7500, 10000};
  expect("histogram.real{key: \"k\" value { string_value: \"v\" }}", bounds,
         models(kMeasured, cumulative, explicit_place(bounds)));
  expect("histogram.negative", bounds, models(kMeasuredNegative, cumulative, explicit_place(bounds)));
  expect("histogram.integer", standard, models(kMeasuredIntegers, cumulative, explicit_place(standard)));
  for (const auto& [key, series] : arrived_.histograms) ADD_FAILURE() << "not expected: " << key;
}

long coarser(long index, int by) { return index >> by; }

// Buckets of one sign against the model's, at the scale of the point.
void expect_buckets(const std::string& key, const ExponentialHistogramDataPoint::Buckets& got,
                    const std::map<long, std::uint64_t>& model, int coarser_by) {
  std::map<long, std::uint64_t> wanted;
  for (const auto& [index, count] : model) wanted[coarser(index, coarser_by)] += count;
  std::map<long, std::uint64_t> there;
  for (int i = 0; i < got.bucket_counts_size(); ++i) {
    if (got.bucket_counts(i) != 0) there[got.offset() + i] = got.bucket_counts(i);
  }
  EXPECT_EQ(there, wanted) << key;
  EXPECT_LE(got.bucket_counts_size(), 160) << key;
}

TEST_P(InteropMetrics, exponential_histograms_are_as_a_model_from_the_raw_values_says) {
  const bool cumulative = of_counter() == kCumulative;
  const auto expect = [&](const std::string& key, int scale, double smallest, const std::vector<Model>& expected) {
    const auto found = arrived_.exponentials.find(key);
    ASSERT_NE(found, arrived_.exponentials.end()) << key;
    const auto& [metric, points] = found->second;
    EXPECT_EQ(metric.exponential_histogram().aggregation_temporality(), of_counter()) << key;
    expect_times(key, points, of_counter());
    ASSERT_GE(points.size(), expected.size()) << key;
    for (std::size_t i = 0; i < points.size(); ++i) {
      if (i >= expected.size()) {
        EXPECT_TRUE(cumulative) << key << " has a delta too many";
      }
      const Model& model = expected[std::min(i, expected.size() - 1)];
      const ExponentialHistogramDataPoint& point = points[i];
      expect_like(key, point, model, cumulative);
      EXPECT_EQ(point.zero_count(), model.zero) << key;
      EXPECT_EQ(point.zero_threshold(), smallest) << key;
      ASSERT_LE(point.scale(), scale) << key;
      const int by = scale - point.scale();
      expect_buckets(key + " positive", point.positive(), model.positives, by);
      expect_buckets(key + " negative", point.negative(), model.negatives, by);
      // No coarser than 160 buckets need.
      if (by == 0) continue;
      const auto width = [&](const std::map<long, std::uint64_t>& buckets) {
        return buckets.empty() ? 0
                               : coarser(buckets.rbegin()->first, by - 1) - coarser(buckets.begin()->first, by - 1) + 1;
      };
      EXPECT_GT(std::max(width(model.positives), width(model.negatives)), 160) << key << " scale " << point.scale();
    }
    arrived_.exponentials.erase(found);
  };
  // The smallest value's bucket ends with it: what is at or below the bucket's lower edge is zero.
  const auto smallest = [](int scale) { return std::exp2(-30 - std::exp2(-scale)); };
  const double greatest = std::exp2(34);
  expect("exponential.real", 3, smallest(3),
         models(kMeasured, cumulative, exponential_place(3, smallest(3), greatest)));
  expect("exponential.negative", 3, smallest(3),
         models(kMeasuredNegative, cumulative, exponential_place(3, smallest(3), greatest)));
  // Of integers 1 is the first that is not zero.
  expect("exponential.integer{key: \"k\" value { int_value: 1 }}", 3, std::exp2(-0.125),
         models(kMeasuredIntegers, cumulative, exponential_place(3, std::exp2(-0.125), std::exp2(63))));
  expect("exponential.narrow", 5, smallest(5),
         models(kMeasuredNarrow, cumulative, exponential_place(5, smallest(5), greatest)));
  for (const auto& [key, series] : arrived_.exponentials) ADD_FAILURE() << "not expected: " << key;
}

TEST_P(InteropMetrics, units_descriptions_and_scopes_are_the_instruments) {
  const auto& counter = arrived_.numbers["counter.integer"].metric;
  EXPECT_EQ(counter.unit(), "{request}");
  EXPECT_EQ(counter.description(), "Requests, of whatever kind");
  EXPECT_EQ(arrived_.numbers["counter.real"].metric.unit(), "By");
  EXPECT_EQ(arrived_.numbers["gauge.real"].metric.unit(), "Cel");
  bool found = false;
  for (const auto& request : delivery_->metrics) {
    for (const auto& resource : request.resource_metrics()) {
      EXPECT_GT(resource.resource().attributes_size(), 10);
      for (const auto& scope : resource.scope_metrics()) {
        if (scope.scope().name() != "metrics.library") continue;
        found = true;
        EXPECT_EQ(scope.scope().version(), "2.0");
        EXPECT_EQ(scope.schema_url(), "https://example.com/schema");
        EXPECT_EQ(text_of(scope.scope().attributes()), "{key: \"scope.key\" value { string_value: \"value\" }}");
      }
    }
  }
  EXPECT_TRUE(found);
}

TEST_P(InteropMetrics, the_ledger_counts_every_point_once) {
  const agent::SignalLedger& row = delivery_->status.totals[2];
  EXPECT_EQ(row.delivered, arrived_.points);
  EXPECT_EQ(row.imbalance(), 0);
  EXPECT_EQ(row.pending(), 0U);
}

TEST_P(InteropMetrics, the_process_itself_is_measured) {
  EXPECT_THAT(arrived_.process_metrics, testing::IsSupersetOf({"process.memory.usage", "process.thread.count"}));
  // A delta of no processor time at all is not sent.
  if (preference() == "cumulative") {
    EXPECT_EQ(arrived_.process_metrics.count("process.cpu.time"), 1U);
  }
}

}  // namespace
}  // namespace tailrace::interop
