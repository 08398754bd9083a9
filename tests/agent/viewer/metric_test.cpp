// SPDX-License-Identifier: Apache-2.0
//
// Metrics in the viewer: read from requests that Protobuf made, their quantiles, and the bounded table.
#include <cmath>
#include <gtest/gtest.h>
#include <limits>
#include <random>
#include <string>

#include "agent/viewer/api.hpp"
#include "agent/viewer/metric_table.hpp"
#include "agent/viewer/otlp_reader.hpp"
#include "agent/viewer/otlp_value.hpp"
#include "agent/viewer/page.hpp"
#include "agent/viewer/quantile.hpp"
#include "tests/agent/viewer/otlp_requests.hpp"

namespace tailrace::agent::viewer {
namespace {

using namespace test;
using Json = nlohmann::ordered_json;
namespace pb = opentelemetry::proto::metrics::v1;

constexpr std::size_t kMiB = std::size_t{1} << 20;
constexpr double kInfinity = std::numeric_limits<double>::infinity();

class ViewerMetrics : public ::testing::Test {
 protected:
  std::vector<MetricRow> read(const MetricRequest& request) {
    const auto counts = read_metrics(request.SerializeAsString(), store_);
    EXPECT_TRUE(counts.ok());
    return store_.latest_metrics(100, kMiB);
  }
  Store store_{4 * kMiB};
};

TEST_F(ViewerMetrics, EveryKindIsReadWhole) {
  MetricRequest request;
  auto* gauge = add_metric(request, "a.gauge", "By");
  auto* gauge_point = gauge->mutable_gauge()->add_data_points();
  gauge_point->set_as_double(0.25);
  gauge_point->set_time_unix_nano(kStartNs);
  add_attribute(gauge_point, "pool", "heap");
  auto* sum = add_metric(request, "b.sum", "{request}");
  sum->mutable_sum()->set_is_monotonic(true);
  sum->mutable_sum()->set_aggregation_temporality(pb::AGGREGATION_TEMPORALITY_DELTA);
  sum->mutable_sum()->add_data_points()->set_as_int(-42);
  auto* histogram = add_metric(request, "c.histogram", "ms")->mutable_histogram();
  histogram->set_aggregation_temporality(pb::AGGREGATION_TEMPORALITY_CUMULATIVE);
  auto* point = histogram->add_data_points();
  point->set_count(10);
  point->set_sum(100);
  point->set_min(1);
  point->set_max(30);
  for (const double bound : {5.0, 10.0, 20.0}) point->add_explicit_bounds(bound);
  for (const std::uint64_t count : {0u, 10u, 0u, 0u}) point->add_bucket_counts(count);
  add_attribute(point, "route", "/");
  auto* exponential = add_metric(request, "d.exponential", "s")->mutable_exponential_histogram()->add_data_points();
  exponential->set_count(4);
  exponential->set_scale(0);
  exponential->mutable_positive()->set_offset(2);
  exponential->mutable_positive()->add_bucket_counts(4);
  add_attribute(exponential, "shard", "1");
  auto* summary = add_metric(request, "e.summary", "s")->mutable_summary()->add_data_points();
  summary->set_count(7);
  summary->set_sum(3.5);
  auto* median = summary->add_quantile_values();
  median->set_quantile(0.5);
  median->set_value(0.125);
  auto* ended = add_metric(request, "f.ended", "")->mutable_gauge()->add_data_points();
  ended->set_flags(1);

  const std::vector<MetricRow> rows = read(request);
  ASSERT_EQ(rows.size(), 6u);
  EXPECT_EQ(rows[0].service, "shop");
  EXPECT_EQ(rows[0].scope, "scope");
  EXPECT_EQ(rows[0].name, "a.gauge");
  EXPECT_EQ(rows[0].unit, "By");
  EXPECT_EQ(rows[0].point.kind, MetricKind::kGauge);
  EXPECT_EQ(rows[0].point.real, 0.25);
  EXPECT_EQ(rows[0].point.time_ns, kStartNs);
  EXPECT_EQ(attributes_json(rows[0].attributes, kMetricAttributes).dump(), R"({"pool":"heap"})");
  EXPECT_EQ(rows[1].point.integer, -42);
  EXPECT_TRUE(rows[1].point.delta);
  EXPECT_TRUE(rows[1].point.monotonic);
  EXPECT_FALSE(rows[1].point.is_real);
  EXPECT_EQ(rows[2].point.count, 10u);
  EXPECT_EQ(rows[2].point.sum, 100);
  EXPECT_EQ(rows[2].point.min, 1);
  EXPECT_EQ(rows[2].point.max, 30);
  EXPECT_FALSE(rows[2].point.delta);
  EXPECT_DOUBLE_EQ(rows[2].point.p50.value(), 7.5);
  EXPECT_EQ(attributes_json(rows[2].attributes, kMetricAttributes).dump(), R"({"route":"/"})");
  EXPECT_EQ(rows[3].point.kind, MetricKind::kExponential);
  EXPECT_FALSE(rows[3].point.sum.has_value());
  EXPECT_GT(rows[3].point.p50.value(), 4);
  EXPECT_LE(rows[3].point.p99.value(), 8);
  EXPECT_EQ(attributes_json(rows[3].attributes, kMetricAttributes).dump(), R"({"shard":"1"})");
  EXPECT_EQ(rows[4].point.count, 7u);
  EXPECT_EQ(rows[4].point.p50, 0.125);
  EXPECT_TRUE(rows[5].point.no_value);
  EXPECT_EQ(store_.counters().metric_points, 6u);
  EXPECT_EQ(store_.counters().series_kept, 6u);
}

TEST_F(ViewerMetrics, TheLatestPointOfASeriesStandsAndOtherAttributesAreAnotherSeries) {
  for (int value = 1; value <= 3; ++value) {
    MetricRequest request;
    auto* gauge = add_metric(request, "temperature", "Cel")->mutable_gauge();
    for (const char* room : {"a", "b"}) {
      auto* point = gauge->add_data_points();
      point->set_as_int(value);
      add_attribute(point, "room", room);
    }
    read(request);
  }
  const std::vector<MetricRow> rows = store_.latest_metrics(100, kMiB);
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_EQ(rows[0].point.integer, 3);
  EXPECT_EQ(store_.counters().metric_points, 6u);
}

TEST_F(ViewerMetrics, AMalformedRequestLeavesNothingBehind) {
  MetricRequest request;
  for (int i = 0; i < 20; ++i) {
    auto* point = add_metric(request, "h" + std::to_string(i), "ms")->mutable_histogram()->add_data_points();
    for (int k = 0; k < 5; ++k) {
      point->add_bucket_counts(3);
      point->add_explicit_bounds(k);
    }
  }
  const std::string whole = request.SerializeAsString();
  for (std::size_t size = 1; size < whole.size(); ++size) {
    ASSERT_FALSE(read_metrics(std::string_view(whole).substr(0, size), store_).ok()) << size;
  }
  EXPECT_EQ(store_.counters().metric_points, 0u);
}

TEST(ViewerQuantile, LiesWhereItsBucketSays) {
  const ExplicitBuckets even{{10, 20, 30}, {10, 10, 10, 10}};
  const Extremes known{0.0, 40.0};
  EXPECT_DOUBLE_EQ(quantile(even, known, 0.5).value(), 20);
  EXPECT_DOUBLE_EQ(quantile(even, known, 0.25).value(), 10);
  EXPECT_NEAR(quantile(even, known, 0.99).value(), 39.6, 1e-9);
  EXPECT_DOUBLE_EQ(quantile(even, {}, 0.99).value(), 30) << "an open end is not guessed";
  EXPECT_DOUBLE_EQ(quantile(even, {}, 0.1).value(), 10);
  EXPECT_FALSE(quantile(ExplicitBuckets{{10}, {0, 0}}, known, 0.5).has_value());
  EXPECT_FALSE(quantile(ExplicitBuckets{}, {}, 0.5).has_value());
  EXPECT_DOUBLE_EQ(quantile(ExplicitBuckets{{10}, {5, 0}}, Extremes{9.0, 9.5}, 0.5).value(), 9.5);
}

// Buckets made from values: the estimate is within the bucket's width of the exact quantile.
TEST(ViewerQuantile, OfExponentialBucketsIsNearTheExactOne) {
  std::mt19937_64 random(7);
  std::lognormal_distribution<double> draw(0, 2);
  constexpr std::int32_t kScale = 3;
  std::vector<double> values;
  ExponentialBuckets buckets;
  buckets.scale = kScale;
  buckets.positive_offset = -400;
  buckets.positive.resize(800);
  for (int i = 0; i < 20'000; ++i) {
    values.push_back(draw(random));
    const auto index = static_cast<int>(std::ceil(std::log2(values.back()) * (1 << kScale))) - 1;
    ++buckets.positive[static_cast<std::size_t>(index + 400)];
  }
  std::sort(values.begin(), values.end());
  const double width = std::exp2(1.0 / (1 << kScale));
  for (const double q : {0.1, 0.5, 0.99}) {
    const double exact = values[static_cast<std::size_t>(q * 20'000)];
    const double found = quantile(buckets, {}, q).value();
    EXPECT_LT(found, exact * width) << q;
    EXPECT_GT(found, exact / width) << q;
  }
  ExponentialBuckets both{0, 2, 0, 0, {4}, {4}};  // four in (1, 2], two zeros, four in [-2, -1)
  EXPECT_EQ(quantile(both, {}, 0.5), 0.0);
  EXPECT_LT(quantile(both, {}, 0.1).value(), -1);
  EXPECT_GT(quantile(both, {}, 0.9).value(), 1);
}

TEST(ViewerQuantile, HostileBucketsHaveAnAnswerOrNone) {
  const double nan = std::nan("");
  for (const double q : {0.5, 0.99}) {
    static_cast<void>(quantile(ExplicitBuckets{{nan, -kInfinity}, {1, ~0ull, 1, 7, 9}}, {nan, nan}, q));
    static_cast<void>(quantile(ExplicitBuckets{{}, {~0ull, ~0ull}}, {}, q));
    for (const std::int32_t scale : {-2147483647 - 1, -11, 0, 20, 2147483647}) {
      const ExponentialBuckets wild{scale, ~0ull, 2147483647, -2147483647 - 1, {~0ull, 1}, {1, ~0ull}};
      const auto found = quantile(wild, {}, q);
      EXPECT_TRUE(!found || std::isfinite(*found));
    }
  }
}

TEST(ViewerMetricTable, TheBoundHoldsAndTheQuietestGo) {
  MetricTable table(64 << 10);
  std::mt19937_64 random(3);
  const std::string bytes(8 << 10, 'x');
  std::uint64_t added = 0;
  for (int i = 0; i < 20'000; ++i) {
    NewMetric metric;
    const std::string name = "metric" + std::to_string(i);
    metric.service = "shop";
    metric.name = name;
    metric.attributes = std::string_view(bytes).substr(0, random() % bytes.size());
    table.add(metric);
    ++added;
    NewMetric kept;
    kept.service = "shop";
    kept.name = "kept";
    table.add(kept);
    ASSERT_LE(table.bytes(), std::size_t{64} << 10);
  }
  EXPECT_EQ(table.size() + table.dropped(), added + 1);
  bool found = false;
  for (const MetricRow& row : table.rows(100'000, kMiB)) found = found || row.name == "kept";
  EXPECT_TRUE(found) << "what is updated stays";
  EXPECT_LE(table.rows(3, kMiB).size(), 3u);
}

// Two series whose texts run into one another in the same way are two series still.
TEST(ViewerMetricTable, SeriesAreToldApart) {
  MetricTable table(64 << 10);
  NewMetric one;
  one.service = "ab";
  one.name = "c";
  NewMetric two;
  two.service = "a";
  two.name = "bc";
  table.add(one);
  table.add(two);
  EXPECT_EQ(table.size(), 2u);
}

TEST(ViewerMetricTable, AFloodOfSeriesLeavesTheRestToTraces) {
  Store store(4 * kMiB);
  for (int i = 0; i < 100'000; ++i) {
    const std::string name = "metric" + std::to_string(i);
    NewMetric metric;
    metric.name = name;
    store.add(metric);
    NewLog log;
    log.body = name;
    store.add(log);
  }
  const StoreCounters counters = store.counters();
  EXPECT_LE(counters.used_bytes, counters.budget_bytes);
  EXPECT_GT(counters.logs.kept, 5'000u);
  EXPECT_EQ(counters.series_kept + counters.series_dropped, 100'000u);
}

}  // namespace
}  // namespace tailrace::agent::viewer
