// SPDX-License-Identifier: Apache-2.0
#include <cmath>
#include <limits>
#include <tuple>

#include "tests/agent/metrics/metrics_fixture.hpp"

namespace tailrace::agent::test {
namespace {

using enum TemporalityPreference;
using shm::kMetricNegative;
using shm::kMetricObservable;
using shm::kMetricOverflow;
using shm::kMetricReal;

using CollectorTest = MetricsTest;

TEST_F(CollectorTest, ACounterIsTheSumOfItsWordInEveryLane) {
  const std::uint32_t counter = series(MetricKind::counter, "requests");
  add(counter, 5, 0);
  add(counter, 7, 2);
  add(counter, 11, 5);  // the shared lane
  const auto point = number(collect(), "requests");
  EXPECT_EQ(point.as_int(), 23);
  EXPECT_EQ(point.time_unix_nano(), now_ns());
  EXPECT_EQ(point.start_time_unix_nano(), kStartNs);
}

TEST_F(CollectorTest, WhatLiesBeyondALanesCommittedCellsCountsAsZero) {
  const std::uint32_t first = series(MetricKind::counter, "first");
  const std::uint32_t second = series(MetricKind::counter, "second");
  add(first, 1, 0);
  add(second, 1, 1);
  b_.lane_cell(0, b_.descriptor(second).cell) = 100;
  b_.lane(0).cell_words.store(1);
  EXPECT_EQ(number(collect(), "second").as_int(), 1);
  // A lie about it does not lead out of the lane: the image says so.
  b_.lane(0).cell_words.store(~std::uint64_t{0});
  EXPECT_EQ(number(collect(), "second").as_int(), 101);
}

TEST_F(CollectorTest, EveryFieldOfAMetricComesThrough) {
  const std::uint16_t scope = b_.scope(Items().string(shm::kNameKey, "checkout"));
  SeriesFields f{.kind = MetricKind::up_down_counter};
  f.unit = b_.intern("{item}");
  f.description = b_.intern("open baskets");
  f.attributes = b_.intern_blob(Items().string("route", "/pay").integer("n", 7));
  f.scope = scope;
  add(series(f, "baskets"), 3);
  const Collected all = collect();
  const otel::Metric* metric = all.find("baskets");
  ASSERT_NE(metric, nullptr);
  EXPECT_EQ(metric->unit(), "{item}");
  EXPECT_EQ(metric->description(), "open baskets");
  EXPECT_FALSE(metric->sum().is_monotonic());
  EXPECT_EQ(all.scopes.at("baskets"), scope);
  const auto& attributes = metric->sum().data_points(0).attributes();
  ASSERT_EQ(attributes.size(), 2);
  EXPECT_EQ(attributes[0].key(), "route");
  EXPECT_EQ(attributes[0].value().string_value(), "/pay");
  EXPECT_EQ(attributes[1].value().int_value(), 7);
}

TEST_F(CollectorTest, SeriesOfOneInstrumentAreInOneMetricAndTheOverflowSeriesSaysSo) {
  const std::uint32_t first = series(MetricKind::counter, "requests");
  const std::uint32_t other = series(MetricKind::counter, "other");
  SeriesFields overflow{.kind = MetricKind::counter, .flags = kMetricOverflow};
  overflow.instrument = first;
  const std::uint32_t beyond = series(overflow, "requests");
  add(first, 1);
  add(other, 2);
  add(beyond, 3);
  const Collected all = collect();
  EXPECT_EQ(all.metrics.size(), 2u);
  const otel::Metric* metric = all.find("requests");
  ASSERT_TRUE(metric != nullptr && metric->sum().data_points_size() == 2);
  for (const auto& point : metric->sum().data_points()) {
    if (point.as_int() == 1) {
      EXPECT_EQ(point.attributes_size(), 0);
      continue;
    }
    EXPECT_EQ(point.as_int(), 3);
    ASSERT_EQ(point.attributes_size(), 1);
    EXPECT_EQ(point.attributes(0).key(), "otel.metric.overflow");
    EXPECT_TRUE(point.attributes(0).value().bool_value());
  }
}

TEST_F(CollectorTest, WhatWasNeverSetOrRecordedHasNoPoint) {
  const std::uint32_t gauge = series(MetricKind::gauge, "gauge");
  const std::uint32_t total = series(MetricKind::counter, "total", kMetricObservable);
  const std::uint32_t buckets = series(explicit_buckets({1}), "buckets");
  EXPECT_EQ(collect().points, 0u);
  set(gauge, 0);
  set(total, 0);
  record(buckets, 1);
  const Collected all = collect();
  EXPECT_EQ(number(all, "gauge").as_int(), 0);
  EXPECT_EQ(number(all, "total").as_int(), 0);
  EXPECT_EQ(histogram(all, "buckets").count(), 1u);
}

TEST_F(CollectorTest, AGaugeHasItsValueAndTheTimeOfTheCollectionAndNoStart) {
  set(series(MetricKind::gauge, "real", kMetricReal), bits_of(-0.5));
  set(series(MetricKind::gauge, "integer"), static_cast<std::uint64_t>(std::int64_t{-3}));
  for (const auto preference : {cumulative, delta, lowmemory}) {
    const Collected all = collect(preference);
    const otel::Metric* const real = all.find("real");
    ASSERT_TRUE(real != nullptr && real->has_gauge());
    EXPECT_EQ(number(all, "real").as_double(), -0.5);
    const auto point = number(all, "integer");
    EXPECT_EQ(point.as_int(), -3);
    EXPECT_EQ(point.time_unix_nano(), now_ns());
    EXPECT_EQ(point.start_time_unix_nano(), 0u);
  }
}

// --- temporality × kind (rules.md 1.8)
struct KindCase {
  const char* name;
  MetricKind kind;
  std::uint8_t flags;
  bool delta;
  bool lowmemory;
};
constexpr KindCase kKinds[] = {
    {"Counter", MetricKind::counter, 0, true, true},
    {"ObservableCounter", MetricKind::counter, kMetricObservable, true, false},
    {"UpDownCounter", MetricKind::up_down_counter, 0, false, false},
    {"ObservableUpDownCounter", MetricKind::up_down_counter, kMetricObservable, false, false},
    {"Histogram", MetricKind::histogram, kMetricReal, true, true},
    {"ExponentialHistogram", MetricKind::exponential_histogram, kMetricReal, true, true},
};

class TemporalityTest : public MetricsTest,
                        public testing::WithParamInterface<std::tuple<KindCase, TemporalityPreference>> {
 protected:
  struct Seen {
    std::uint64_t value = 0;
    std::uint64_t start_ns = 0;
    int temporality = 0;
    bool extremes = false;
    bool monotonic = false;
  };
  std::optional<Seen> collect_one(TemporalityPreference preference) {
    const Collected all = collect(preference);
    const otel::Metric* metric = all.find("it");
    if (metric == nullptr) return std::nullopt;
    Seen seen;
    if (metric->has_sum()) {
      const auto point = number(all, "it");
      seen = {static_cast<std::uint64_t>(point.as_int()), point.start_time_unix_nano(),
              metric->sum().aggregation_temporality(), false, metric->sum().is_monotonic()};
    } else if (metric->has_histogram()) {
      const auto point = histogram(all, "it");
      seen = {point.count(), point.start_time_unix_nano(), metric->histogram().aggregation_temporality(),
              point.has_min() && point.has_max(), false};
      EXPECT_EQ(point.sum(), 3.0 * static_cast<double>(point.count()));
    } else {
      const auto point = exponential(all, "it");
      seen = {point.count(), point.start_time_unix_nano(), metric->exponential_histogram().aggregation_temporality(),
              point.has_min() && point.has_max(), false};
      EXPECT_EQ(point.sum(), 3.0 * static_cast<double>(point.count()));
    }
    return seen;
  }
  void grow(std::uint32_t index, std::uint64_t by) {
    const KindCase& kind = std::get<0>(GetParam());
    if (kind.kind == MetricKind::histogram || kind.kind == MetricKind::exponential_histogram) {
      for (std::uint64_t i = 0; i < by; ++i) record(index, 3, static_cast<std::uint32_t>(i % 5));
    } else if ((kind.flags & kMetricObservable) != 0) {
      set(index, total_ += by);
    } else {
      add(index, by);
    }
  }
  std::uint64_t total_ = 0;
};

// Cumulative: a fixed start and the whole value, every time. Delta: from the last collection to this one,
// first from the series' start, and nothing where nothing came (otlp-D9: times are there).
TEST_P(TemporalityTest, IsWhatTheTableSays) {
  const auto& [kind, preference] = GetParam();
  const bool is_delta = (preference == delta && kind.delta) || (preference == lowmemory && kind.lowmemory);
  const bool is_histogram = kind.kind == MetricKind::histogram || kind.kind == MetricKind::exponential_histogram;
  SeriesFields fields{.kind = kind.kind, .flags = kind.flags};
  if (kind.kind == MetricKind::histogram) fields = explicit_buckets({1, 2, 5});
  if (kind.kind == MetricKind::exponential_histogram) fields = exponential(40, -8, 2);
  const std::uint32_t index = series(fields, "it");
  grow(index, 4);
  const auto first = collect_one(preference);
  const std::uint64_t first_ns = now_ns();
  ASSERT_TRUE(first.has_value());
  EXPECT_EQ(first->value, 4u);
  EXPECT_EQ(first->start_ns, kStartNs);
  EXPECT_EQ(first->temporality, is_delta ? 1 : 2);
  EXPECT_EQ(first->extremes, is_histogram && !is_delta);
  EXPECT_EQ(first->monotonic, kind.kind == MetricKind::counter);
  wait();
  grow(index, 3);
  const auto second = collect_one(preference);
  const std::uint64_t second_ns = now_ns();
  ASSERT_TRUE(second.has_value());
  EXPECT_EQ(second->value, is_delta ? 3u : 7u);
  EXPECT_EQ(second->start_ns, is_delta ? first_ns : kStartNs);
  wait();
  const auto third = collect_one(preference);
  EXPECT_EQ(third.has_value(), !is_delta);
  if (third) {
    EXPECT_EQ(third->value, 7u);
  }
  const std::uint64_t third_ns = now_ns();
  EXPECT_GT(third_ns, second_ns);
  wait();
  grow(index, 1);
  const auto fourth = collect_one(preference);
  ASSERT_TRUE(fourth.has_value());
  EXPECT_EQ(fourth->value, is_delta ? 1u : 8u);
  EXPECT_EQ(fourth->start_ns, is_delta ? third_ns : kStartNs);
}

std::string case_name(const testing::TestParamInfo<std::tuple<KindCase, TemporalityPreference>>& one) {
  const char* const preferences[] = {"Cumulative", "Delta", "LowMemory"};
  return std::string(std::get<0>(one.param).name) + preferences[static_cast<int>(std::get<1>(one.param))];
}
INSTANTIATE_TEST_SUITE_P(Of, TemporalityTest,
                         testing::Combine(testing::ValuesIn(kKinds), testing::Values(cumulative, delta, lowmemory)),
                         case_name);

TEST_F(CollectorTest, OtlpD9AStartStaysAlsoWhereTheClockIsUnderstoodBetterLater) {
  const std::uint32_t counter = series({.kind = MetricKind::counter, .start = 7 * kSecondNs + 1}, "requests");
  add(counter, 1);
  const std::uint64_t start = number(collect(), "requests").start_time_unix_nano();
  EXPECT_NE(start, 0u);
  // The next anchor says that the counter is slow.
  decoder_.timeline().add({8 * kSecondNs, kEpochNs + 8 * kSecondNs + 500'000, 8 * kSecondNs});
  EXPECT_NE(decoder_.timeline().to_realtime(7 * kSecondNs + 1, shm::TimeClock::counter), start);
  EXPECT_EQ(number(collect(), "requests").start_time_unix_nano(), start);
}

TEST_F(CollectorTest, OtlpD9AStartIsNeverBehindTheTime) {
  add(series({.kind = MetricKind::counter, .start = 1000 * kSecondNs}, "requests"), 1);
  const auto point = number(collect(), "requests");
  EXPECT_EQ(point.start_time_unix_nano(), point.time_unix_nano());
}

TEST_F(CollectorTest, OtlpD7AUint64SumBeyondInt64SaturatesAndIsCounted) {
  const std::uint32_t counter = series(MetricKind::counter, "bytes");
  constexpr auto kMax = std::numeric_limits<std::int64_t>::max();
  add(counter, static_cast<std::uint64_t>(kMax), 0);
  EXPECT_EQ(number(collect(), "bytes").as_int(), kMax);
  add(counter, 1, 1);
  const Collected all = collect();
  EXPECT_EQ(number(all, "bytes").as_int(), kMax);
  EXPECT_EQ(all.counts.saturated, 1u);
}

TEST_F(CollectorTest, OtlpD7DeltasGoOnBeyondInt64AndOverTheWordsEnd) {
  const std::uint32_t counter = series(MetricKind::counter, "bytes");
  add(counter, ~std::uint64_t{0} - 1);
  EXPECT_EQ(number(collect(delta), "bytes").as_int(), std::numeric_limits<std::int64_t>::max());
  add(counter, 5, 3);  // the sum passes 2^64
  const Collected all = collect(delta);
  EXPECT_EQ(number(all, "bytes").as_int(), 5);
  EXPECT_EQ(all.counts.saturated + all.counts.restarts, 0u);
}

TEST_F(CollectorTest, UpDownCountersFallBelowZero) {
  const std::uint32_t open = series(MetricKind::up_down_counter, "open");
  add(open, 3, 0);
  add(open, static_cast<std::uint64_t>(std::int64_t{-10}), 1);
  const std::uint32_t level = series(MetricKind::up_down_counter, "level", kMetricReal);
  add_real(level, 1.5, 0);
  add_real(level, -4.0, 1);
  const Collected all = collect(delta);
  EXPECT_EQ(number(all, "open").as_int(), -7);
  EXPECT_EQ(number(all, "level").as_double(), -2.5);
}

TEST_F(CollectorTest, AnObservedTotalThatFallsStartsAnewAndIsCounted) {
  const std::uint32_t total = series(MetricKind::counter, "total", kMetricObservable);
  set(total, 100);
  EXPECT_EQ(number(collect(delta), "total").as_int(), 100);
  set(total, 30);
  Collected all = collect(delta);
  EXPECT_EQ(number(all, "total").as_int(), 30);
  EXPECT_EQ(all.counts.restarts, 1u);
  set(total, 35);
  EXPECT_EQ(number(collect(delta), "total").as_int(), 5);
}

TEST_F(CollectorTest, ValuesThatAreNoNumbersAreLeftOutAndCounted) {
  const double inf = std::numeric_limits<double>::infinity();
  set(series(MetricKind::gauge, "nan", kMetricReal), bits_of(std::nan("")));
  set(series(MetricKind::gauge, "inf", kMetricReal), bits_of(-inf));
  add_real(series(MetricKind::counter, "negative", kMetricReal), -1);
  add_real(series(MetricKind::counter, "huge", kMetricReal), inf);
  set(series(MetricKind::gauge, "good", kMetricReal), bits_of(1));
  const Collected all = collect(delta);
  EXPECT_EQ(all.points, 1u);
  EXPECT_EQ(all.counts.not_finite, 4u);
}

// --- histograms
TEST_F(CollectorTest, OtlpD8AnExplicitHistogramHasOneMoreCountThanBoundsAndUpperBoundsAreInside) {
  const std::uint32_t latency = series(explicit_buckets({0, 5, 10}), "latency");
  for (const double value : {0.0, 5.0, 5.1, 10.0, 11.0}) record(latency, value, 1);
  record(latency, 0.5, 4);
  const auto point = histogram(collect(), "latency");
  EXPECT_EQ(std::vector<double>(point.explicit_bounds().begin(), point.explicit_bounds().end()),
            (std::vector<double>{0, 5, 10}));
  EXPECT_EQ(std::vector<std::uint64_t>(point.bucket_counts().begin(), point.bucket_counts().end()),
            (std::vector<std::uint64_t>{1, 2, 2, 1}));
  EXPECT_EQ(point.count(), 6u);
  EXPECT_DOUBLE_EQ(point.sum(), 31.6);
  EXPECT_EQ(point.min(), 0.0);
  EXPECT_EQ(point.max(), 11.0);
}

TEST_F(CollectorTest, OtlpD8TheSumIsLeftOutOnceAValueWasNegative) {
  const std::uint32_t buckets = series(explicit_buckets({0, 5}, 0), "explicit");
  const std::uint32_t scaled = series(exponential(20, -4, 1, kMetricReal | kMetricNegative), "scaled");
  for (const std::uint32_t index : {buckets, scaled}) record(index, 3, 0);
  Collected all = collect();
  EXPECT_TRUE(histogram(all, "explicit").has_sum());
  EXPECT_TRUE(exponential(all, "scaled").has_sum());
  for (const std::uint32_t index : {buckets, scaled}) record(index, -2, 4);
  for (int round = 0; round < 2; ++round) {
    all = collect();
    EXPECT_FALSE(histogram(all, "explicit").has_sum());
    EXPECT_FALSE(exponential(all, "scaled").has_sum());
    EXPECT_EQ(histogram(all, "explicit").min(), -2);
    EXPECT_EQ(exponential(all, "scaled").min(), -2);
    for (const std::uint32_t index : {buckets, scaled}) record(index, 3, 1);
  }
}

TEST_F(CollectorTest, AnIntegerHistogramsSumMinAndMaxAreItsIntegers) {
  const std::uint32_t sizes = series(explicit_buckets({100}, 0), "sizes");
  record(sizes, 7, 2);
  record(sizes, 1e15, 3);
  const auto point = histogram(collect(), "sizes");
  EXPECT_EQ(point.sum(), 1e15 + 7);
  EXPECT_EQ(point.min(), 7);
  EXPECT_EQ(point.max(), 1e15);
}

TEST_F(CollectorTest, AnExponentialHistogramIsTrimmedAndSaysItsZeroRegion) {
  const std::uint32_t latency = series(exponential(100, -16, 3, kMetricReal | kMetricNegative), "latency");
  record(latency, 0, 0);
  record(latency, 0.25, 1);  // 2^(-16/8): the threshold itself
  record(latency, 1, 2);     // (2^-1/8, 1]: index -1
  record(latency, 8, 3);     // index 23
  record(latency, -1.5, 4);
  const auto point = exponential(collect(), "latency");
  EXPECT_EQ(point.scale(), 3);
  EXPECT_EQ(point.count(), 5u);
  EXPECT_EQ(point.zero_count(), 2u);
  EXPECT_EQ(point.zero_threshold(), 0.25);
  EXPECT_EQ(point.positive().offset(), -1);
  ASSERT_EQ(point.positive().bucket_counts_size(), 25);
  EXPECT_EQ(point.positive().bucket_counts(0), 1u);
  EXPECT_EQ(point.positive().bucket_counts(24), 1u);
  EXPECT_EQ(point.negative().bucket_counts_size(), 1);
  EXPECT_EQ(point.negative().offset(), 4);  // 2^(4/8) < 1.5 <= 2^(5/8)
}

TEST_F(CollectorTest, ValuesOfTheZeroBucketAloneHaveNoOtherBuckets) {
  const std::uint32_t latency = series(exponential(100, -16, 3), "latency");
  record(latency, 0, 0);
  const auto point = exponential(collect(), "latency");
  EXPECT_EQ(point.count(), 1u);
  EXPECT_FALSE(point.has_positive() || point.has_negative());
}

// A bucket's count arrives before the sum of the same value, or behind it: totals are right in the end.
TEST_F(CollectorTest, ASumWithoutItsCountWaitsForIt) {
  const std::uint32_t latency = series(explicit_buckets({1}), "latency");
  record(latency, 1);
  static_cast<void>(collect(delta));
  shard(latency, 0, 0) = bits_of(3);  // 2 more
  EXPECT_EQ(collect(delta).find("latency"), nullptr);
  ++shard(latency, 0, 5);
  const auto point = histogram(collect(delta), "latency");
  EXPECT_EQ(point.count(), 1u);
  EXPECT_EQ(point.sum(), 2.0);
}

// --- parts, pieces, failures
TEST_F(CollectorTest, MessagesAndPartsStayAsSmallAsAsked) {
  const std::uint32_t first = series(MetricKind::counter, "requests");
  add(first, 1);
  for (int i = 0; i < 300; ++i) {
    SeriesFields f{.kind = MetricKind::counter};
    f.attributes = b_.intern_blob(Items().integer("n", i));
    f.instrument = first;
    add(series(f, "requests"), static_cast<std::uint64_t>(i));
  }
  options_.piece_bytes = 1000;
  options_.part_bytes = 3000;
  const Collected all = collect();
  EXPECT_EQ(all.points, 301u);
  EXPECT_LE(all.largest_piece, 1000u);
  EXPECT_GT(all.parts, 3u);
  std::uint64_t sum = 0;
  for (const otel::Metric& metric : all.metrics) {
    EXPECT_EQ(metric.name(), "requests");
    for (const auto& point : metric.sum().data_points()) sum += static_cast<std::uint64_t>(point.as_int());
  }
  EXPECT_EQ(sum, 1u + 299 * 300 / 2);
}

// Each part carries a baseline of its own: one that is not committed is collected again.
TEST_F(CollectorTest, APartThatIsNotCommittedRepeatsAndLosesNothing) {
  for (int i = 0; i < 100; ++i) add(series(MetricKind::counter, "c" + std::to_string(i)), 1);
  publish();
  options_ = {.preference = delta, .time_ns = now_ns(), .piece_bytes = 500, .part_bytes = 600};
  std::map<std::string, std::int64_t> totals;
  const auto book = [&](const Collection& part) {
    Collected all;
    take(part, all);
    for (const otel::Metric& metric : all.metrics) totals[metric.name()] += metric.sum().data_points(0).as_int();
    baseline_ = part.baseline;
  };
  CollectCursor at;
  book(collector_.collect(words_, baseline_, options_, at));
  CollectCursor again = at;
  static_cast<void>(collector_.collect(words_, baseline_, options_, at));  // the agent dies before its commit
  for (; !again.done();) book(collector_.collect(words_, baseline_, options_, again));
  ASSERT_EQ(totals.size(), 100u);
  for (const auto& [name, total] : totals) EXPECT_EQ(total, 1) << name;
}

TEST_F(CollectorTest, APointLargerThanAPieceIsLeftOutAndCounted) {
  SeriesFields f{.kind = MetricKind::counter};
  f.attributes = b_.intern_blob(Items().string("long", std::string(3000, 'x')));
  add(series(f, "large"), 1);
  add(series(MetricKind::counter, "small"), 1);
  options_.piece_bytes = 1000;
  const Collected all = collect();
  EXPECT_EQ(all.points, 1u);
  EXPECT_EQ(number(all, "small").as_int(), 1);
  EXPECT_EQ(all.counts.oversize, 1u);
}

TEST_F(CollectorTest, CellsThatCannotBeReadCollectNothingAndMoveNothing) {
  const std::uint32_t counter = series(MetricKind::counter, "requests");
  add(counter, 1);
  publish();
  words_.broken = true;
  options_.time_ns = now_ns();
  CollectCursor at;
  const Collection part = collector_.collect(words_, baseline_, options_, at);
  EXPECT_FALSE(part.readable);
  EXPECT_TRUE(part.groups.empty());
  EXPECT_FALSE(at.done());
  words_.broken = false;
  EXPECT_EQ(number(collect(), "requests").as_int(), 1);
}

TEST_F(CollectorTest, SeriesThatComeLaterAreTakenUpAndBadOnesAreSkipped) {
  add(series(MetricKind::counter, "a"), 1);
  EXPECT_EQ(collect().points, 1u);
  SeriesFields bad{.kind = MetricKind::histogram};
  bad.bounds = 5;
  bad.buckets = 3;
  static_cast<void>(series(bad, "bad"));
  add(series(MetricKind::counter, "b"), 2);
  const Collected all = collect();
  EXPECT_EQ(all.points, 2u);
  EXPECT_EQ(collector_.series().skipped(), 1u);
}

// --- a baseline that is not to be had
TEST_F(CollectorTest, OfALostBaselineNothingOlderIsSentAsADelta) {
  const std::uint32_t old_counter = series(MetricKind::counter, "old");
  const std::uint32_t old_buckets = series(explicit_buckets({1}), "buckets");
  const std::uint32_t idle = series(MetricKind::counter, "idle");
  const std::uint32_t level = series(MetricKind::up_down_counter, "level");
  add(old_counter, 5);
  record(old_buckets, 1);
  add(level, 4);
  baseline_ = Baseline::lost(now_ns() - kSecondNs);
  Collected all = collect(delta);
  EXPECT_EQ(all.points, 1u) << "only what is cumulative";
  EXPECT_EQ(number(all, "level").as_int(), 4);
  const std::uint64_t before = now_ns();
  wait();
  add(old_counter, 2);
  record(old_buckets, 1);
  add(idle, 1);
  const std::uint32_t fresh = series({.kind = MetricKind::counter, .start = now_ * kSecondNs}, "fresh");
  add(fresh, 3);
  all = collect(delta);
  EXPECT_EQ(number(all, "old").as_int(), 2);
  EXPECT_EQ(number(all, "old").start_time_unix_nano(), before);
  EXPECT_EQ(histogram(all, "buckets").count(), 1u);
  EXPECT_EQ(number(all, "idle").as_int(), 1);
  EXPECT_EQ(number(all, "fresh").as_int(), 3);
}

TEST_F(CollectorTest, OfAnotherTemporalityThanLastTimeNothingOfTheBaselineIsTaken) {
  const std::uint32_t counter = series(MetricKind::counter, "requests");
  add(counter, 5);
  EXPECT_EQ(number(collect(delta), "requests").as_int(), 5);
  wait();
  const auto point = number(collect(cumulative), "requests");
  EXPECT_EQ(point.as_int(), 5);
  EXPECT_EQ(point.start_time_unix_nano(), kStartNs);
}

}  // namespace
}  // namespace tailrace::agent::test
