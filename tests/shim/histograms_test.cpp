// SPDX-License-Identifier: Apache-2.0
// Histograms against a model made from the raw values.
#include <cmath>
#include <csignal>
#include <limits>
#include <map>
#include <random>
#include <string>
#include <vector>

#include <unistd.h>

#include <gtest/gtest.h>
#include <tailrace/tailrace.hpp>

#include "segment_view.hpp"

namespace tailrace::test {
namespace {

std::vector<double> standard_bounds() {
  return {0, 5, 10, 25, 50, 75, 100, 250, 500, 750, 1000, 2500, 5000, 7500, 10000};
}

template <class T, class Make>
Segment recorded(const std::vector<T>& values, Make make) {
  Directory directory;
  EXPECT_EQ(in_child([&] {
              Config c;
              c.service = "test";
              CHILD_EXPECT(init(c).ok(), 90);
              auto h = make();
              const auto bound = h.bind({{"how", "bound"}});
              for (const T value : values) {
                h.record(value);
                bound.record(value);
                h.record(value, {{"how", "looked up"}});
              }
              raise(SIGKILL);
            }),
            128 + SIGKILL);
  return directory.only();
}

std::vector<double> hard_values() {
  std::vector<double> v = {0.0,
                           -0.0,
                           5,
                           10,
                           25,
                           10000,
                           10000.000000000002,
                           4.999999999999999,
                           1e300,
                           std::numeric_limits<double>::max(),
                           std::numeric_limits<double>::min(),
                           std::numeric_limits<double>::denorm_min(),
                           std::nextafter(1.0, 2.0),
                           std::nextafter(1.0, 0.0),
                           1e-9,
                           3e-10};
  for (int e = -40; e <= 40; ++e) {
    for (const double x :
         {std::ldexp(1.0, e), std::nextafter(std::ldexp(1.0, e), 0.0), std::nextafter(std::ldexp(1.0, e), 1e300)})
      v.push_back(x);
  }
  std::mt19937_64 random(1);
  std::lognormal_distribution<double> spread(0, 6);
  for (int i = 0; i < 20000; ++i) v.push_back(spread(random));
  return v;
}

template <class T>
void expect_totals(const Metric& m, const std::vector<T>& values, const std::string& what) {
  T sum = 0;  // in order, as the shard of one lane has it
  double least = std::numeric_limits<double>::infinity(), most = -least;
  for (const T v : values) {
    sum += v;
    least = std::min(least, static_cast<double>(v));
    most = std::max(most, static_cast<double>(v));
  }
  EXPECT_EQ(m.count, values.size()) << what;
  EXPECT_TRUE(m.bounded) << what;
  EXPECT_EQ(m.least, least) << what;
  EXPECT_EQ(m.most, most) << what;
  if constexpr (std::is_integral_v<T>)
    EXPECT_EQ(m.integer, sum) << what;
  else
    EXPECT_EQ(m.real, sum) << what;
}

template <class T>
void expect_explicit(const Segment& s, const std::vector<T>& values, const std::vector<double>& bounds) {
  ASSERT_EQ(s.metrics.size(), 3u);
  std::vector<std::uint64_t> model(bounds.size() + 1);
  for (const T v : values)
    ++model[static_cast<std::size_t>(std::lower_bound(bounds.begin(), bounds.end(), static_cast<double>(v)) -
                                     bounds.begin())];
  for (const Metric& m : s.metrics) {
    EXPECT_EQ(m.descriptor.kind, static_cast<std::uint8_t>(shm::MetricKind::histogram));
    EXPECT_EQ(m.bounds, bounds);
    EXPECT_EQ(m.buckets, model) << m.attribute("how");
    EXPECT_EQ(m.zero, 0u);
    expect_totals(m, values, m.attribute("how"));
  }
}

TEST(Histograms, ExplicitBucketsIncludeTheirUpperBound) {
  auto values = hard_values();
  for (const double v : hard_values()) values.push_back(-v);
  expect_explicit(recorded(values, [] { return histogram<double>("h"); }), values, standard_bounds());
}

TEST(Histograms, ExplicitBoundsMayBeNoneOneAndMany) {
  const auto values = hard_values();
  for (const std::size_t n : {0u, 1u, 15u, 16u, 17u, 32u, 33u, 100u, 500u}) {
    std::vector<double> bounds;
    for (std::size_t i = 0; i < n; ++i)
      bounds.push_back(std::ldexp(1.0 + static_cast<double>(i % 7) / 7, static_cast<int>(i / 7) - 30));
    expect_explicit(recorded(values, [&] { return histogram<double>("h", {"", "", bounds}); }), values, bounds);
  }
}

TEST(Histograms, IntegersHaveExplicitBucketsToo) {
  std::vector<std::int64_t> values = {0, 5, 6, -1, 10000, 10001, 1ll << 40, -(1ll << 40)};
  for (std::int64_t i = -100; i < 3000; ++i) values.push_back(i);
  expect_explicit(recorded(values, [] { return histogram<int>("h"); }), values, standard_bounds());
}

// The specification's definition with exact powers of two apart: bucket i covers (base^i, base^(i + 1)].
int index_of(double v, int scale) {
  int exponent = 0;
  const double fraction = std::frexp(v, &exponent);
  --exponent;
  if (fraction == 0.5) return scale >= 0 ? exponent * (1 << scale) - 1 : (exponent - 1) >> -scale;
  if (scale <= 0) return exponent >> -scale;
  return static_cast<int>(std::ceil(std::ldexp(std::log2(static_cast<long double>(v)), scale))) - 1;
}

template <class T>
void expect_exponential(const Segment& s, const std::vector<T>& values, int scale, bool negatives,
                        std::uint64_t invalid, std::uint64_t clamped) {
  ASSERT_EQ(s.metrics.size(), 3u);
  EXPECT_EQ(s.metrics_invalid, 3 * invalid);
  EXPECT_EQ(s.metrics_clamped, 3 * clamped);
  for (const Metric& m : s.metrics) {
    const shm::MetricDescriptor& d = m.descriptor;
    EXPECT_EQ(d.kind, static_cast<std::uint8_t>(shm::MetricKind::exponential_histogram));
    EXPECT_EQ(d.scale, scale);
    std::vector<std::uint64_t> positive(d.buckets), negative(negatives ? d.buckets : 0);
    std::uint64_t zero = 0;
    for (const T v : values) {
      const double magnitude = std::abs(static_cast<double>(v));
      const int index = magnitude == 0 ? -1000000 : index_of(magnitude, scale);
      if (index < d.first_index) {
        ++zero;
        continue;
      }
      const auto bucket = std::min<std::size_t>(static_cast<std::size_t>(index - d.first_index), d.buckets - 1);
      ++(v < 0 ? negative : positive)[bucket];
    }
    EXPECT_EQ(m.zero, zero) << m.attribute("how");
    EXPECT_EQ(m.buckets, positive) << m.attribute("how");
    EXPECT_EQ(m.negative, negative) << m.attribute("how");
    expect_totals(m, values, m.attribute("how"));
  }
}

TEST(Histograms, ExponentialBucketsAreThoseOfTheSpecificationAtEveryScale) {
  for (const int scale : {-8, -3, -1, 0, 1, 3, 5, 6}) {
    const auto values = hard_values();
    std::uint64_t clamped = 0;
    for (const double v : values) clamped += index_of(v == 0 ? 1.0 : v, scale) > index_of(0x1p34, scale);
    HistogramOptions options;
    options.kind = HistogramKind::exponential;
    options.scale = static_cast<std::int8_t>(scale);
    expect_exponential(recorded(values, [&] { return histogram<double>("h", options); }), values, scale, false, 0,
                       clamped);
  }
}

TEST(Histograms, NegativesHaveBucketsOfTheirOwnWhereAskedFor) {
  auto values = hard_values();
  for (const double v : hard_values()) values.push_back(-v);
  std::uint64_t clamped = 0;
  for (const double v : values) clamped += std::abs(v) > 0x1p34;
  HistogramOptions options;
  options.kind = HistogramKind::exponential;
  options.negatives = true;
  expect_exponential(recorded(values, [&] { return histogram<double>("h", options); }), values, 3, true, 0, clamped);
}

TEST(Histograms, NegativesWithoutBucketsAreInvalid) {
  HistogramOptions options;
  options.kind = HistogramKind::exponential;
  const Segment s = recorded<double>({1.0, -1.0, 2.0, -1e-300}, [&] { return histogram<double>("h", options); });
  EXPECT_EQ(s.metrics_invalid, 3u);
  for (const Metric& m : s.metrics) {
    EXPECT_EQ(m.count, 3u);
    EXPECT_EQ(m.zero, 1u) << "what is as small as that is zero";
    EXPECT_NEAR(m.real, 3.0, 1e-12);
  }
}

TEST(Histograms, IntegersOfAllSizesHaveExponentialBuckets) {
  std::vector<std::int64_t> values = {0, 1, 2, 3, 4, 7, 8, 9, std::numeric_limits<std::int64_t>::max()};
  for (int i = 0; i < 62; ++i) {
    for (const std::int64_t d : {-1, 0, 1}) values.push_back((1ll << i) + d);
  }
  std::vector<std::int64_t> small;
  for (const std::int64_t v : values) small.push_back(v / 256);
  HistogramOptions options;
  options.kind = HistogramKind::exponential;
  expect_exponential(recorded(small, [&] { return histogram<std::int64_t>("h", options); }), small, 3, false, 0, 0);
}

TEST(Histograms, TheEnvironmentChoosesTheStandardKind) {
  setenv("OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION", "base2_exponential_bucket_histogram", 1);
  const std::vector<double> values = {1, 2, 3};
  const Segment s = recorded(values, [] { return histogram<double>("h"); });
  const Segment bounded = recorded(values, [] { return histogram<double>("h", {"", "", {1, 2}}); });
  unsetenv("OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION");
  expect_exponential(s, values, 3, false, 0, 0);
  expect_explicit(bounded, values, {1, 2});
}

TEST(Histograms, WrongBoundsAreSaidAndTheStandardOnesUsed) {
  const std::vector<double> values = {1, 2, 3};
  for (const std::vector<double>& bounds : {std::vector<double>{2, 1}, {1, 1}, {1, std::nan("")}, {1, INFINITY}}) {
    expect_explicit(recorded(values,
                             [&] {
                               return histogram<double>("h", {"", "", bounds});
                             }),
                    values, standard_bounds());
  }
}

}  // namespace
}  // namespace tailrace::test
