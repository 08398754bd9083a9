// SPDX-License-Identifier: Apache-2.0
//
// The points of encoded metrics, for taps. Metrics reach the pipeline as finished bytes, and only a few each
// interval, so a tap reads them back rather than every collection keeping views that nobody looks at.
//
// Pure function over borrowed bytes; what `visit` gets points into them. Failure: bytes that are no metrics
// end it; what came before was visited.
#pragma once

#include <cstdint>
#include <functional>
#include <span>

#include "agent/tap/line.hpp"

namespace tailrace::agent {

// `fields`: ScopeMetrics.metrics fields, tags and lengths included.
void each_metric_point(std::span<const std::uint8_t> fields, const std::function<void(const TapMetric&)>& visit);

}  // namespace tailrace::agent
