// SPDX-License-Identifier: Apache-2.0
//
// One Metric message, written back to front over what a writer holds: first what stands behind the
// points, then the points, the last one first, then what stands before them. A message is cut wherever
// a writer is full: each piece is a whole Metric.
//
//   MetricMessage message(writer, metric);
//   while (… && message.add(point)) …
//   message.finish()
//
// The rules are those of encode.hpp. Field types are those of the definitions, where they differ from what
// one expects (otlp-D7): as_int is sfixed64, the bucket counts of Histogram packed fixed64, those of
// ExponentialHistogram packed varints, scale and offset zigzag. A value of a oneof, and sum, min, max
// (otlp-D8), are written when they are there, 0 or not.
//
// Threads: one at a time. Memory: borrows everything.
// Failure: false when the buffer is too small. After a failed begin() or add() the writer is as before it;
//   finish() never fails, begin() keeps its room free.

#pragma once

#include <optional>
#include <span>
#include <string_view>

#include "proto/encode/backward_writer.hpp"
#include "proto/encode/view.hpp"

namespace tailrace::otlp {

enum class MetricData : std::uint8_t { gauge, sum, histogram, exponential_histogram };

// OTLP's numbers.
enum class Temporality : std::uint8_t { unspecified = 0, delta = 1, cumulative = 2 };

struct MetricView {
  std::string_view name;
  std::string_view description;
  std::string_view unit;
  MetricData data = MetricData::gauge;
  Temporality temporality = Temporality::unspecified;  // not of a gauge
  bool monotonic = false;                              // sum only
};

struct NumberPointView {
  Attributes attributes;
  std::uint64_t start_ns = 0;
  std::uint64_t time_ns = 0;
  Value value;  // integer or real
  std::uint32_t flags = 0;
};

struct HistogramPointView {
  Attributes attributes;
  std::uint64_t start_ns = 0;
  std::uint64_t time_ns = 0;
  std::uint64_t count = 0;
  std::optional<double> sum;
  std::span<const std::uint64_t> bucket_counts;  // one more than bounds, or both are empty
  std::span<const double> bounds;
  std::uint32_t flags = 0;
  std::optional<double> min;
  std::optional<double> max;
};

struct ExponentialPointView {
  struct Buckets {
    std::int32_t offset = 0;
    std::span<const std::uint64_t> counts;
  };
  Attributes attributes;
  std::uint64_t start_ns = 0;
  std::uint64_t time_ns = 0;
  std::uint64_t count = 0;
  std::optional<double> sum;
  std::int32_t scale = 0;
  std::uint64_t zero_count = 0;
  Buckets positive;  // without counts: not written
  Buckets negative;
  std::uint32_t flags = 0;
  std::optional<double> min;
  std::optional<double> max;
  double zero_threshold = 0;
};

class MetricMessage {
 public:
  MetricMessage(BackwardWriter& writer, const MetricView& metric) : writer_(writer), metric_(metric) {}

  // False: not even the message's own fields fit; nothing else may be called then.
  [[nodiscard]] bool begin();
  // The point of the metric's kind, in front of those before it.
  [[nodiscard]] bool add(const NumberPointView& point);       // gauge, sum
  [[nodiscard]] bool add(const HistogramPointView& point);    // histogram
  [[nodiscard]] bool add(const ExponentialPointView& point);  // exponential_histogram
  // Completes one ScopeMetrics.metrics field.
  void finish();

 private:
  template <typename Put>
  [[nodiscard]] bool add_point(Put put);

  BackwardWriter& writer_;
  const MetricView& metric_;
  std::size_t data_end_ = 0;    // writer_.size() before the data
  std::size_t head_bytes_ = 0;  // what finish() may need
};

}  // namespace tailrace::otlp
