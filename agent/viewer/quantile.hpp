// SPDX-License-Identifier: Apache-2.0
//
// Quantiles estimated from a histogram's buckets: the bucket in which the quantile falls, and a place in it
// by how many of its values lie below (evenly, or, for exponential buckets, evenly in the exponent).
//
// Pure functions. Failure: nothing when there are no values. Whatever the buckets say, the answer is within
// min and max where those are known.
#ifndef TAILRACE_AGENT_VIEWER_QUANTILE_HPP_
#define TAILRACE_AGENT_VIEWER_QUANTILE_HPP_

#include <cstdint>
#include <optional>
#include <vector>

namespace tailrace::agent::viewer {

struct ExplicitBuckets {
  std::vector<double> bounds;         // ascending
  std::vector<std::uint64_t> counts;  // one more than bounds
};

struct ExponentialBuckets {
  std::int32_t scale = 0;
  std::uint64_t zero_count = 0;
  std::int32_t positive_offset = 0;
  std::int32_t negative_offset = 0;
  std::vector<std::uint64_t> positive;
  std::vector<std::uint64_t> negative;
};

struct Extremes {
  std::optional<double> min;
  std::optional<double> max;
};

[[nodiscard]] std::optional<double> quantile(const ExplicitBuckets& buckets, const Extremes& extremes, double q);
[[nodiscard]] std::optional<double> quantile(const ExponentialBuckets& buckets, const Extremes& extremes, double q);

}  // namespace tailrace::agent::viewer

#endif  // TAILRACE_AGENT_VIEWER_QUANTILE_HPP_
