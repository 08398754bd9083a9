// SPDX-License-Identifier: Apache-2.0
#include "agent/viewer/quantile.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>

namespace tailrace::agent::viewer {
namespace {

// Counts are foreign: their sum as a double cannot overflow, and needs no more precision than a page shows.
double sum_of(const std::vector<std::uint64_t>& counts) {
  double sum = 0;
  for (const std::uint64_t count : counts) sum += static_cast<double>(count);
  return sum;
}

std::optional<double> within(double value, const Extremes& extremes) {
  if (extremes.min && *extremes.min <= value) {
    if (extremes.max && *extremes.max < value) return extremes.max;
    return value;
  }
  if (extremes.min) return extremes.min;
  if (extremes.max && *extremes.max < value) return extremes.max;
  return std::isfinite(value) ? std::optional(value) : std::nullopt;
}

// The value at `part` (0 … 1) of bucket `index`: (base^index, base^(index+1)], base = 2^(2^-scale).
double exponential_value(std::int32_t scale, double index, double part) {
  return std::exp2(std::ldexp(index + part, -std::clamp(scale, -1000, 1000)));
}

}  // namespace

std::optional<double> quantile(const ExplicitBuckets& buckets, const Extremes& extremes, double q) {
  const double rank = q * sum_of(buckets.counts);
  double below = 0;
  for (std::size_t i = 0; i < buckets.counts.size(); ++i) {
    const auto count = static_cast<double>(buckets.counts[i]);
    if (count == 0 || below + count < rank) {
      below += count;
      continue;
    }
    const double part = (rank - below) / count;
    std::optional<double> low = i == 0 ? extremes.min : std::optional<double>();
    if (i > 0 && i <= buckets.bounds.size()) low = buckets.bounds[i - 1];
    std::optional<double> high = extremes.max;
    if (i < buckets.bounds.size()) high = buckets.bounds[i];
    // An open end without a known extreme: its one bound is all there is to say.
    if (!low && !high) return std::nullopt;
    if (!low) return within(*high, extremes);
    if (!high) return within(*low, extremes);
    return within(*low + part * (*high - *low), extremes);
  }
  return std::nullopt;
}

std::optional<double> quantile(const ExponentialBuckets& buckets, const Extremes& extremes, double q) {
  const double negative = sum_of(buckets.negative);
  const auto zero = static_cast<double>(buckets.zero_count);
  const double rank = q * (negative + zero + sum_of(buckets.positive));
  double below = 0;
  // From the most negative value up: the last bucket of the negative ones is the lowest.
  for (std::size_t i = buckets.negative.size(); i-- > 0;) {
    const auto count = static_cast<double>(buckets.negative[i]);
    if (count != 0 && below + count >= rank) {
      const double index = static_cast<double>(buckets.negative_offset) + static_cast<double>(i);
      return within(-exponential_value(buckets.scale, index, 1 - (rank - below) / count), extremes);
    }
    below += count;
  }
  if (zero != 0 && below + zero >= rank) return within(0.0, extremes);
  below += zero;
  for (std::size_t i = 0; i < buckets.positive.size(); ++i) {
    const auto count = static_cast<double>(buckets.positive[i]);
    if (count != 0 && below + count >= rank) {
      const double index = static_cast<double>(buckets.positive_offset) + static_cast<double>(i);
      return within(exponential_value(buckets.scale, index, (rank - below) / count), extremes);
    }
    below += count;
  }
  return std::nullopt;
}

}  // namespace tailrace::agent::viewer
