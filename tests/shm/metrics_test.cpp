// SPDX-License-Identifier: Apache-2.0
#include "shm/reader/metrics.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "shm/reader/geometry.hpp"
#include "tests/shm/segment_builder.hpp"

namespace tailrace::shm {
namespace {

using test::Items;
using test::SegmentBuilder;
using test::SeriesFields;

class SeriesTableTest : public testing::Test {
 protected:
  SeriesTableTest() : name_(b_.intern("requests")) {}

  // What a reader makes of everything that the segment has now.
  SeriesTable& read() {
    const GeometryResult result = parse_identity(b_.bytes(0, kIdentityBytes), b_.size());
    EXPECT_TRUE(result.ok()) << result.sentence;
    geometry_ = result.geometry;
    strings_ = std::make_unique<StringTable>(b_.options().arena_bytes);
    EXPECT_TRUE(
        strings_->extend({b_.at(RegionKind::strings), static_cast<std::size_t>(b_.process().strings_len.load())}));
    table_ = std::make_unique<SeriesTable>(geometry_);
    for (std::uint32_t i = 0; i < table_->limit(b_.process().metrics_count.load()); ++i) {
      table_->add(b_.descriptor(i), *strings_);
    }
    return *table_;
  }
  // Why the newest series is refused; "" if it is not.
  std::string why_not() {
    const SeriesTable& table = read();
    return table.find(table.seen() - 1) != nullptr ? "" : table.why_skipped();
  }
  std::string why_not(const SeriesFields& fields) {
    b_.series(fields);
    return why_not();
  }
  SeriesFields explicit_histogram(const std::vector<double>& bounds) {
    SeriesFields f{.name = name_, .kind = MetricKind::histogram};
    f.bounds = b_.intern_bounds(bounds);
    f.buckets = static_cast<std::uint32_t>(bounds.size()) + 1;
    return f;
  }
  SeriesFields exponential(std::uint32_t buckets, std::int32_t first_index, int scale, std::uint8_t flags = 0) {
    SeriesFields f{.name = name_, .kind = MetricKind::exponential_histogram, .flags = flags};
    f.buckets = buckets;
    f.first_index = first_index;
    f.scale = static_cast<std::int8_t>(scale);
    return f;
  }

  SegmentBuilder b_{{.arena_bytes = 32768, .series = 64, .shared_cell_bytes = 32768}};
  std::uint32_t name_;
  Geometry geometry_;
  std::unique_ptr<StringTable> strings_;
  std::unique_ptr<SeriesTable> table_;
};

TEST_F(SeriesTableTest, EveryKindIsTakenUpWithItsFields) {
  const std::uint32_t unit = b_.intern("1");
  const std::uint32_t text = b_.intern("how many");
  const std::uint32_t attributes = b_.intern_blob(Items().string("route", "/pay"));
  b_.series({.name = name_,
             .flags = kMetricReal,
             .unit = unit,
             .description = text,
             .attributes = attributes,
             .scope = 3,
             .start = 77});
  b_.series({.name = name_, .kind = MetricKind::up_down_counter, .flags = kMetricObservable});
  b_.series({.name = name_, .kind = MetricKind::gauge});
  b_.series(explicit_histogram({0, 5, 10}));
  b_.series(exponential(20, -8, 3, kMetricNegative));
  b_.series({.name = name_,
             .flags = kMetricReal | kMetricOverflow,
             .unit = unit,
             .description = text,
             .scope = 3,
             .instrument = 0});
  const SeriesTable& table = read();
  ASSERT_EQ(table.series().size(), 6u) << table.why_skipped();
  const Series& counter = table.series()[0];
  EXPECT_TRUE(counter.real && counter.in_lanes() && !counter.observable);
  EXPECT_EQ(counter.unit, unit);
  EXPECT_EQ(counter.description, text);
  EXPECT_EQ(counter.attributes, attributes);
  EXPECT_EQ(counter.scope, 3);
  EXPECT_EQ(counter.start, 77u);
  EXPECT_FALSE(table.series()[1].in_lanes());
  EXPECT_EQ(*table.series()[3].bounds, (std::vector<double>{0, 5, 10}));
  EXPECT_EQ(table.series()[4].all_buckets(), 40u);
  EXPECT_TRUE(table.series()[5].overflow);
  EXPECT_EQ(table.series()[5].instrument, 0u);
  EXPECT_EQ(table.skipped(), 0u);
}

TEST_F(SeriesTableTest, WhatMakesNoSenseIsSkippedAndItsNeighboursAreNot) {
  const std::uint32_t outside = static_cast<std::uint32_t>(b_.options().arena_bytes / 8 - 1);
  EXPECT_EQ(why_not({.name = 0}), "it has no name");
  EXPECT_EQ(why_not({.name = outside}), "it has no name");
  EXPECT_EQ(why_not({.name = b_.intern("")}), "it has no name");
  EXPECT_EQ(why_not({.name = name_, .unit = outside}), "its unit is no string");
  EXPECT_EQ(why_not({.name = name_, .description = outside}), "its description is no string");
  EXPECT_EQ(why_not({.name = name_, .attributes = outside}), "its attributes do not hold together");
  EXPECT_EQ(why_not({.name = name_, .attributes = b_.intern("no items")}), "its attributes do not hold together");
  EXPECT_EQ(why_not({.name = name_, .kind = MetricKind::none}), "its kind is unknown");
  EXPECT_EQ(why_not({.name = name_, .kind = static_cast<MetricKind>(6)}), "its kind is unknown");
  EXPECT_EQ(why_not({.name = name_, .flags = 0x10}), "it has flags that are not known here");
  EXPECT_EQ(why_not({.name = name_, .flags = kMetricNegative}), "only exponential ones have negative buckets");
  EXPECT_EQ(why_not({.name = name_, .cell = 512}), "its cell lies outside a lane's");
  EXPECT_EQ(why_not({.name = name_, .kind = MetricKind::gauge, .cell = 4096}), "its cells lie outside the shared ones");
  EXPECT_EQ(why_not({.name = name_, .kind = MetricKind::gauge, .cell = ~1u}), "its cells lie outside the shared ones");
  EXPECT_EQ(why_not({.name = name_, .instrument = 60}), "its instrument comes after it");
  EXPECT_EQ(why_not({.name = name_, .instrument = 0}), "its instrument is not sound");
  EXPECT_EQ(why_not({.name = name_}), "");
  const std::uint32_t good = b_.process().metrics_count.load() - 1;
  EXPECT_EQ(why_not({.name = name_, .flags = kMetricReal, .instrument = good}),
            "it does not agree with its instrument");
  EXPECT_EQ(why_not({.name = b_.intern("other"), .instrument = good}), "it does not agree with its instrument");
  EXPECT_EQ(why_not({.name = name_, .instrument = good}), "");
  EXPECT_EQ(why_not({.name = name_, .instrument = good + 3}), "its instrument is not sound") << "it is no first series";
  EXPECT_EQ(read().series().size(), 2u);
  EXPECT_EQ(read().skipped(), read().seen() - 2u);
}

TEST_F(SeriesTableTest, BoundsMustAscendAndBeFiniteAndFitTheBuckets) {
  const double inf = std::numeric_limits<double>::infinity();
  EXPECT_EQ(why_not(explicit_histogram({})), "");
  EXPECT_EQ(why_not(explicit_histogram({-1.5, 0, 3})), "");
  for (const auto& bounds : std::vector<std::vector<double>>{{1, 1}, {2, 1}, {0, inf}, {-inf, 0}, {std::nan(""), 1}}) {
    EXPECT_EQ(why_not(explicit_histogram(bounds)), "its bounds do not ascend");
  }
  SeriesFields f = explicit_histogram({1, 2});
  f.buckets = 4;
  EXPECT_EQ(why_not(f), "its bounds and buckets do not fit together");
  f.bounds = 4000;
  EXPECT_EQ(why_not(f), "its bounds are no entry");
  f.buckets = 0;
  f.bounds = 0;
  EXPECT_EQ(why_not(f), "its number of buckets is not possible");
  f = explicit_histogram({1, 2});
  f.shard_words = 6;
  EXPECT_EQ(why_not(f), "its shards overlap");
  f.shard_words = 0x7FFFFFFF;
  f.cell = 0;
  EXPECT_EQ(why_not(f), "its cells lie outside the shared ones");
  f = explicit_histogram({1, 2});
  f.flags = kMetricObservable;
  EXPECT_EQ(why_not(f), "a histogram is not observable");
}

TEST_F(SeriesTableTest, ScaleAndIndexesMustBeWhatAValueCanHave) {
  EXPECT_EQ(why_not(exponential(10, 0, 21)), "its scale is not possible");
  EXPECT_EQ(why_not(exponential(10, 0, -11)), "its scale is not possible");
  EXPECT_EQ(why_not(exponential(2, -1, -10)), "");
  EXPECT_EQ(why_not(exponential(10, 1023 * 8 - 10, 3)), "");
  EXPECT_EQ(why_not(exponential(10, 1024 * 8, 3)), "its buckets cover what no value can be");
  EXPECT_EQ(why_not(exponential(10, -1101 * 8, 3)), "its buckets cover what no value can be");
  EXPECT_EQ(why_not(exponential(10, std::numeric_limits<std::int32_t>::max() - 5, 20)),
            "its buckets cover what no value can be");
  EXPECT_EQ(why_not(exponential(0, 0, 3)), "its number of buckets is not possible");
  SeriesFields huge = exponential(kMetricBucketsMax + 1, 0, 10);
  huge.cell = 0;
  EXPECT_EQ(why_not(huge), "its number of buckets is not possible");
}

TEST_F(SeriesTableTest, ManySeriesOverTheSameCellsMakeNobodyReadMoreThanThereIs) {
  SeriesFields f = exponential(700, 0, 10);  // 5 shards of it are most of the region
  f.cell = 0;
  EXPECT_EQ(why_not(f), "");
  EXPECT_EQ(why_not(f), "all cells together are more than there are");
}

TEST_F(SeriesTableTest, ShardsAreMergedAndNeverSetExtremesDoNotCount) {
  SeriesFields f = exponential(3, -1, 0, kMetricReal | kMetricNegative);
  f.shard_words = 10;
  b_.series(f);
  const Series& series = read().series().at(0);
  std::vector<std::uint64_t> words(series.shared_words());
  const auto bits = [](double value) {
    std::uint64_t word;
    std::memcpy(&word, &value, sizeof word);
    return word;
  };
  MergedHistogram merged;
  merge_shards(series, words.data(), merged);
  EXPECT_FALSE(merged.has_extremes);
  for (std::size_t shard : {0u, 4u}) {
    std::uint64_t* at = words.data() + 10 * shard;
    at[0] = bits(shard == 0 ? 1.5 : -4.0);
    at[1] = bits(shard == 0 ? 0.5 : -4.0) ^ kNeverSet;
    at[2] = bits(shard == 0 ? 1.0 : -4.0) ^ kNeverSet;
    at[3] = 7;
    at[4] = 1;
    at[6] = 2;
    at[9] = shard;  // the last negative bucket
  }
  merge_shards(series, words.data(), merged);
  EXPECT_EQ(real_of(merged.sum), -2.5);
  EXPECT_TRUE(merged.has_extremes);
  EXPECT_EQ(merged.min, -4.0);
  EXPECT_EQ(merged.max, 1.0);
  EXPECT_EQ(merged.zero, 14u);
  EXPECT_EQ(merged.buckets, (std::vector<std::uint64_t>{2, 0, 4, 0, 0, 4}));
  EXPECT_TRUE(merged.negative_seen(series));
}

TEST_F(SeriesTableTest, GeometryWithoutMetricsHasRoomForNone) {
  b_.series({.name = name_});
  for (const RegionKind kind : {RegionKind::metric_descriptors, RegionKind::metric_cells, RegionKind::metric_shared}) {
    Region& region = b_.identity().regions[static_cast<std::size_t>(kind)];
    region.length = 0;
    region.count = 0;
  }
  EXPECT_EQ(read().seen(), 0u);
  EXPECT_EQ(geometry_.metrics_max, 0u);
  EXPECT_EQ(geometry_.lane_cell_words, 0u);
  EXPECT_EQ(geometry_.shared_cell_words, 0u);
}

TEST_F(SeriesTableTest, GeometryRefusesDescriptorsAndCellsOfAnImpossibleSize) {
  b_.identity().regions[static_cast<std::size_t>(RegionKind::metric_descriptors)].stride = 56;
  EXPECT_EQ(parse_identity(b_.bytes(0, kIdentityBytes), b_.size()).problem, GeometryProblem::regions);
  b_.identity().regions[static_cast<std::size_t>(RegionKind::metric_descriptors)].stride = 64;
  b_.identity().regions[static_cast<std::size_t>(RegionKind::metric_cells)].count = 1;
  EXPECT_EQ(parse_identity(b_.bytes(0, kIdentityBytes), b_.size()).problem, GeometryProblem::regions);
}

}  // namespace
}  // namespace tailrace::shm
