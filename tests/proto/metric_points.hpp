// SPDX-License-Identifier: Apache-2.0
//
// The points of one metric, of whichever kind it is, and the whole of it as bytes.
// Memory: the views borrow from the RandomViews that made them.

#pragma once

#include <vector>

#include "proto/encode/metrics.hpp"
#include "tests/proto/expected.hpp"
#include "tests/proto/random_views.hpp"

namespace tailrace::otlp::test {

// Points of a random metric are added last first: in a message they stand in order.
struct Points {
  std::vector<NumberPointView> numbers;
  std::vector<HistogramPointView> histograms;
  std::vector<ExponentialPointView> exponentials;

  static Points random(RandomViews& views, MetricData data, std::size_t count) {
    Points points;
    for (std::size_t i = 0; i < count; ++i) {
      switch (data) {
        case MetricData::gauge:
        case MetricData::sum: points.numbers.push_back(views.number_point()); break;
        case MetricData::histogram: points.histograms.push_back(views.histogram_point()); break;
        case MetricData::exponential_histogram: points.exponentials.push_back(views.exponential_point()); break;
      }
    }
    return points;
  }

  [[nodiscard]] bool write(MetricMessage& message) const {
    for (std::size_t i = numbers.size(); i-- > 0;) {
      if (!message.add(numbers[i])) return false;
    }
    for (std::size_t i = histograms.size(); i-- > 0;) {
      if (!message.add(histograms[i])) return false;
    }
    for (std::size_t i = exponentials.size(); i-- > 0;) {
      if (!message.add(exponentials[i])) return false;
    }
    return true;
  }

  void expect_in(otel::metrics::v1::Metric& metric) const {
    for (const NumberPointView& point : numbers) {
      *(metric.has_gauge() ? metric.mutable_gauge()->add_data_points() : metric.mutable_sum()->add_data_points()) =
          expected(point);
    }
    for (const HistogramPointView& point : histograms) *metric.mutable_histogram()->add_data_points() = expected(point);
    for (const ExponentialPointView& point : exponentials)
      *metric.mutable_exponential_histogram()->add_data_points() = expected(point);
  }
};

// One whole message, or false: it did not fit.
inline bool encode(BackwardWriter& writer, const MetricView& metric, const Points& points) {
  MetricMessage message(writer, metric);
  if (!message.begin() || !points.write(message)) return false;
  message.finish();
  return true;
}

}  // namespace tailrace::otlp::test
