// SPDX-License-Identifier: Apache-2.0
//
// Metric messages against Protobuf's own, and batches of them as the hold sees them.

#include <cstdint>
#include <gtest/gtest.h>
#include <limits>
#include <string>
#include <vector>

#include "proto/encode/batch.hpp"
#include "proto/encode/metrics.hpp"
#include "tests/proto/expected.hpp"
#include "tests/proto/metric_points.hpp"
#include "tests/proto/random_views.hpp"

namespace tailrace::otlp::test {
namespace {

using otel::metrics::v1::Metric;
using otel::metrics::v1::ScopeMetrics;

class RandomMetrics : public testing::TestWithParam<std::uint64_t> {
 protected:
  RandomViews views_{GetParam()};
  std::vector<std::uint8_t> buffer_ = std::vector<std::uint8_t>(std::size_t{32} << 20);
  BackwardWriter writer_{buffer_.data(), buffer_.size()};
};

// otlp-D7: the definitions' own types decide, and Protobuf's bytes are the judge.
TEST_P(RandomMetrics, AreWrittenAsProtobufWritesThem) {
  for (int index = 0; index < 400; ++index) {
    SCOPED_TRACE(testing::Message() << "metric " << index << " of seed " << GetParam());
    views_.clear();
    writer_.clear();
    const MetricView metric = views_.metric();
    const Points points = Points::random(views_, metric.data, views_.below(4));
    ASSERT_TRUE(encode(writer_, metric, points));
    ScopeMetrics scope;
    *scope.add_metrics() = expected(metric);
    points.expect_in(*scope.mutable_metrics(0));
    ScopeMetrics read;
    ASSERT_TRUE(read.ParseFromString(text_of(writer_)));
    ASSERT_EQ(difference(read, scope), "");
    ASSERT_TRUE(text_of(writer_) == scope.SerializeAsString());
  }
  EXPECT_EQ(writer_.repaired_texts(), 0U);
}

// Each buffer is a heap block of its exact size: a sanitizer sees the first byte out of place.
TEST_P(RandomMetrics, AreWrittenWholeOrNotAtAllIntoABufferOfAnySize) {
  for (int tried = 0; tried < 8;) {
    views_.clear();
    writer_.clear();
    const MetricView metric = views_.metric();
    const Points points = Points::random(views_, metric.data, views_.below(3));
    ASSERT_TRUE(encode(writer_, metric, points));
    const std::string whole = text_of(writer_);
    if (whole.size() > 3000) continue;
    ++tried;
    for (std::size_t size = 0; size <= whole.size() + 1000; ++size) {
      std::vector<std::uint8_t> exact(size);
      BackwardWriter small(exact.data(), exact.size());
      if (encode(small, metric, points)) {
        ASSERT_TRUE(text_of(small) == whole) << size;
      }
    }
  }
}

// What a hold does with them: counted in data points, whatever message they are in.
TEST_P(RandomMetrics, InABatchAreCountedByPoints) {
  const BatchHead head = make_batch_head(Signal::metrics, views_.resource(), views_.scope());
  std::vector<std::uint8_t> batch = head.bytes;
  std::uint32_t points_wanted = 0;
  for (int index = 0; index < 20; ++index) {
    writer_.clear();
    const MetricView metric = views_.metric();
    const Points points = Points::random(views_, metric.data, 1 + views_.below(5));
    ASSERT_TRUE(encode(writer_, metric, points));
    points_wanted +=
        static_cast<std::uint32_t>(points.numbers.size() + points.histograms.size() + points.exponentials.size());
    batch.insert(batch.end(), writer_.bytes().begin(), writer_.bytes().end());
  }
  const auto lengths = batch_lengths(head.layout(), batch.size());
  ASSERT_TRUE(lengths.has_value());
  fill_length(batch.data() + head.outer_length_pos, lengths->outer);
  fill_length(batch.data() + head.inner_length_pos, lengths->inner);
  const BatchCheck check = check_batch(Piece(batch), BatchState::closed, Signal::metrics);
  EXPECT_EQ(check.fault, BatchFault::none) << describe(check.fault) << " at " << check.position;
  EXPECT_EQ(check.records, points_wanted);
  EXPECT_EQ(check_batch(Piece(batch), BatchState::closed).records, 20U) << "as any other signal";

  // Cut anywhere, it is never whole with all its points.
  for (std::size_t size = 0; size < batch.size(); size += 1 + views_.below(97)) {
    const std::vector<std::uint8_t> part(batch.begin(), batch.begin() + static_cast<std::ptrdiff_t>(size));
    const BatchCheck cut = check_batch(Piece(part), BatchState::open, Signal::metrics);
    EXPECT_TRUE(cut.fault != BatchFault::none || cut.records < points_wanted) << size;
  }
}

INSTANTIATE_TEST_SUITE_P(OfSeed, RandomMetrics, testing::Range<std::uint64_t>(1, 7));

Metric written(const MetricView& metric, const Points& points) {
  std::vector<std::uint8_t> buffer(1 << 16);
  BackwardWriter writer(buffer.data(), buffer.size());
  EXPECT_TRUE(encode(writer, metric, points));
  ScopeMetrics scope;
  EXPECT_TRUE(scope.ParseFromString(text_of(writer)));
  EXPECT_EQ(scope.metrics_size(), 1);
  return scope.metrics(0);
}

TEST(EncodedMetric, OtlpD7IntegersAreFixed64AndCountsOfExplicitBucketsToo) {
  Points number;
  number.numbers.push_back({});
  number.numbers[0].value = Value::of(std::int64_t{-1});
  std::vector<std::uint8_t> buffer(4096);
  BackwardWriter writer(buffer.data(), buffer.size());
  ASSERT_TRUE(encode(writer, {"n", "", "", MetricData::gauge, {}, false}, number));
  // 6: wire type 1, eight bytes of ones.
  EXPECT_NE(text_of(writer).find("\x31" + std::string(8, '\xff')), std::string::npos);

  const std::vector<std::uint64_t> counts{1, 300};
  const std::vector<double> bounds{0.5};
  Points histogram;
  histogram.histograms.push_back({});
  histogram.histograms[0].bucket_counts = counts;
  histogram.histograms[0].bounds = bounds;
  writer.clear();
  ASSERT_TRUE(encode(writer, {"h", "", "", MetricData::histogram, {}, false}, histogram));
  EXPECT_NE(text_of(writer).find(std::string("\x32\x10\x01\0\0\0\0\0\0\0\x2c\x01\0\0\0\0\0\0", 18)), std::string::npos);

  Points exponential;
  exponential.exponentials.push_back({});
  exponential.exponentials[0].scale = -1;
  exponential.exponentials[0].positive = {-2, counts};
  writer.clear();
  ASSERT_TRUE(encode(writer, {"e", "", "", MetricData::exponential_histogram, {}, false}, exponential));
  // scale 6: zigzag 1; positive 8: offset zigzag 3, counts packed as varints.
  EXPECT_NE(text_of(writer).find(std::string("\x30\x01\x42\x07\x08\x03\x12\x03\x01\xac\x02", 11)), std::string::npos);
}

TEST(EncodedMetric, OtlpD8SumMinAndMaxAreThereOrNotWhateverTheirValue) {
  Points points;
  points.histograms.resize(2);
  points.histograms[0].sum = 0;
  points.histograms[0].min = 0;
  points.histograms[0].max = -0.0;
  const Metric metric = written({"h", "", "", MetricData::histogram, Temporality::cumulative, false}, points);
  const auto& with = metric.histogram().data_points(0);
  EXPECT_TRUE(with.has_sum() && with.has_min() && with.has_max());
  const auto& without = metric.histogram().data_points(1);
  EXPECT_FALSE(without.has_sum() || without.has_min() || without.has_max());
  EXPECT_EQ(without.bucket_counts_size(), 0);
}

TEST(EncodedMetric, TextsThatAreNotUtf8AreRepairedInTheRoomThatWasKept) {
  const std::string broken(300, '\xff');
  Points points;
  points.numbers.resize(1);
  points.numbers[0].value = Value::of(std::int64_t{7});
  const MetricView view{broken, broken, broken, MetricData::sum, Temporality::delta, true};
  const Metric metric = written(view, points);
  EXPECT_EQ(metric.name().size(), 900U);
  EXPECT_EQ(metric.sum().data_points(0).as_int(), 7);
  // The smallest buffer that begins: a point does not fit, and the writer is as it was.
  for (std::size_t size = 0; size < 4000; ++size) {
    std::vector<std::uint8_t> exact(size);
    BackwardWriter writer(exact.data(), exact.size());
    MetricMessage message(writer, view);
    if (!message.begin()) {
      ASSERT_EQ(writer.size(), 0U);
      continue;
    }
    const std::size_t before = writer.size();
    if (!message.add(points.numbers[0])) {
      ASSERT_EQ(writer.size(), before);
    }
    message.finish();
  }
}

TEST(MetricBatches, WithAFieldThatIsNoneOfOursAreNotSound) {
  const BatchHead head = make_batch_head(Signal::metrics, {}, {});
  const auto fault_of = [&](const Metric& metric) {
    ScopeMetrics scope;
    *scope.add_metrics() = metric;
    const std::string record = scope.SerializeAsString();
    std::vector<std::uint8_t> batch = head.bytes;
    batch.insert(batch.end(), record.begin(), record.end());
    return check_batch(Piece(batch), BatchState::open, Signal::metrics).fault;
  };
  Metric metric;
  metric.set_name("n");
  metric.mutable_gauge()->add_data_points()->set_as_int(1);
  EXPECT_EQ(fault_of(metric), BatchFault::none);
  metric.mutable_summary()->add_data_points()->set_count(1);
  EXPECT_EQ(fault_of(metric), BatchFault::bad_record);
}

}  // namespace
}  // namespace tailrace::otlp::test
