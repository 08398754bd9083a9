// SPDX-License-Identifier: Apache-2.0
//
// Points read back from metrics that Protobuf encoded.
#include "agent/tap/metric_points.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "agent/tap/tap.hpp"
#include "opentelemetry/proto/metrics/v1/metrics.pb.h"

namespace tailrace::agent {
namespace {

namespace pb = opentelemetry::proto::metrics::v1;

std::string some_metrics() {
  pb::ScopeMetrics metrics;
  auto* sum = metrics.add_metrics();
  sum->set_name("requests");
  sum->set_unit("{request}");
  auto* point = sum->mutable_sum()->add_data_points();
  point->set_as_int(-5);
  point->set_time_unix_nano(17);
  auto* attribute = point->add_attributes();
  attribute->set_key("method");
  attribute->mutable_value()->set_string_value("GET");
  attribute = point->add_attributes();
  attribute->set_key("list");
  attribute->mutable_value()->mutable_array_value()->add_values();
  sum->mutable_sum()->add_data_points()->set_as_double(0.5);
  auto* gauge = metrics.add_metrics();
  gauge->set_name("temperature");
  gauge->mutable_gauge()->add_data_points()->set_as_double(21.5);
  auto* histogram = metrics.add_metrics();
  histogram->set_name("duration");
  histogram->mutable_histogram()->add_data_points()->set_count(3);
  histogram->mutable_histogram()->mutable_data_points(0)->set_sum(1.5);
  auto* exponential = metrics.add_metrics();
  exponential->set_name("size");
  exponential->mutable_exponential_histogram()->add_data_points()->set_count(4);
  return metrics.SerializeAsString();
}

std::span<const std::uint8_t> bytes_of(const std::string& text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

TEST(TapMetricPoints, EachPointIsSeenWithItsNameAndValue) {
  const std::string bytes = some_metrics();
  struct Seen {
    std::string name;
    TapMetric::Kind kind;
    std::int64_t integer;
    double real;
    std::uint64_t count;
    std::size_t attributes;
  };
  std::vector<Seen> seen;
  each_metric_point(bytes_of(bytes), [&](const TapMetric& metric) {
    seen.push_back(
        {std::string(metric.name), metric.kind, metric.integer, metric.real, metric.count, metric.attributes.size()});
  });
  ASSERT_EQ(seen.size(), 5u);
  EXPECT_EQ(seen[0].name, "requests");
  EXPECT_EQ(seen[0].integer, -5);
  EXPECT_EQ(seen[0].attributes, 2u);
  EXPECT_EQ(seen[1].kind, TapMetric::Kind::real);
  EXPECT_EQ(seen[1].real, 0.5);
  EXPECT_EQ(seen[1].attributes, 0u);
  EXPECT_EQ(seen[2].name, "temperature");
  EXPECT_EQ(seen[3].kind, TapMetric::Kind::histogram);
  EXPECT_EQ(seen[3].count, 3u);
  EXPECT_EQ(seen[3].real, 1.5);
  EXPECT_EQ(seen[4].name, "size");
  EXPECT_EQ(seen[4].count, 4u);
}

TEST(TapMetricPoints, BytesThatAreCutEndTheVisit) {
  const std::string bytes = some_metrics();
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    const std::vector<std::uint8_t> cut(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(size));
    std::size_t points = 0;
    each_metric_point(cut, [&](const TapMetric&) { ++points; });
    EXPECT_LE(points, 5u);
  }
}

TEST(TapMetricPoints, ATapGetsThoseThatPassItsFilter) {
  const std::string bytes = some_metrics();
  TapHub hub;
  TapFilter filter;
  filter.name = "dur*";
  const auto tap = std::make_shared<Tap>(filter);
  hub.add(tap);
  TapPoint point(hub);
  point.refresh();
  point.see_points("shop", bytes_of(bytes));
  TapLine line;
  ASSERT_TRUE(tap->take(line));
  EXPECT_EQ(line.name(), "duration");
  EXPECT_EQ(line.amount, 3u);
  EXPECT_FALSE(tap->take(line));
}

}  // namespace
}  // namespace tailrace::agent
