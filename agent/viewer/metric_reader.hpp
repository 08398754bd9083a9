// SPDX-License-Identifier: Apache-2.0
//
// Reads one OTLP Metric message: all five kinds, one call of `visit` for each of its points.
//
// Pure function over borrowed bytes; views in what `visit` gets point into them. Failure: it throws what
// protozero throws; otlp_reader catches it. Source: OpenTelemetry protocol, metrics.proto.
#ifndef TAILRACE_AGENT_VIEWER_METRIC_READER_HPP_
#define TAILRACE_AGENT_VIEWER_METRIC_READER_HPP_

#include <cstddef>
#include <functional>

#include <protozero/data_view.hpp>

#include "agent/viewer/record.hpp"

namespace tailrace::agent::viewer {

// A histogram with more buckets is read without its quantiles: SDKs use 160.
inline constexpr std::size_t kMaxBuckets = 10'000;

using VisitMetric = std::function<void(NewMetric&)>;

// Fills name, unit, attributes and point; not service and scope.
void read_metric(protozero::data_view message, const VisitMetric& visit);

}  // namespace tailrace::agent::viewer

#endif  // TAILRACE_AGENT_VIEWER_METRIC_READER_HPP_
