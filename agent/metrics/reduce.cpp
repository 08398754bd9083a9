// SPDX-License-Identifier: Apache-2.0
#include "agent/metrics/reduce.hpp"

#include <algorithm>
#include <cstddef>

namespace tailrace::agent {
namespace {

// Indexes of the outermost buckets that are not empty.
struct Extent {
  bool any = false;
  std::int64_t low = 0;
  std::int64_t high = 0;
};

Extent extent_of(std::span<const std::uint64_t> counts, std::int32_t first_index) {
  Extent extent;
  for (std::size_t i = 0; i < counts.size(); ++i) {
    if (counts[i] == 0) continue;
    extent.high = std::int64_t{first_index} + static_cast<std::int64_t>(i);
    if (!extent.any) extent.low = extent.high;
    extent.any = true;
  }
  return extent;
}

unsigned steps_for(const Extent& extent) {
  unsigned steps = 0;
  while ((extent.high >> steps) - (extent.low >> steps) >= kBucketsPerSign) ++steps;
  return steps;
}

void merge(std::span<const std::uint64_t> counts, std::int32_t first_index, const Extent& extent, unsigned steps,
           ReducedBuckets& out) {
  out.offset = 0;
  out.counts.clear();
  if (!extent.any) return;
  const std::int64_t low = extent.low >> steps;
  out.offset = static_cast<std::int32_t>(low);
  out.counts.assign(static_cast<std::size_t>((extent.high >> steps) - low + 1), 0);
  for (std::int64_t index = extent.low; index <= extent.high; ++index) {
    out.counts[static_cast<std::size_t>((index >> steps) - low)] +=
        counts[static_cast<std::size_t>(index - first_index)];
  }
}

}  // namespace

void reduce(std::span<const std::uint64_t> positive, std::span<const std::uint64_t> negative, std::int32_t first_index,
            std::int32_t scale, Reduced& out) {
  const Extent above = extent_of(positive, first_index);
  const Extent below = extent_of(negative, first_index);
  const unsigned steps = std::max(steps_for(above), steps_for(below));
  out.scale = scale - static_cast<std::int32_t>(steps);
  merge(positive, first_index, above, steps, out.positive);
  merge(negative, first_index, below, steps, out.negative);
}

}  // namespace tailrace::agent
