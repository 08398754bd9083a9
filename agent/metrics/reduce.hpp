// SPDX-License-Identifier: Apache-2.0
//
// From the buckets of a fixed scale to what OTLP carries: at most kBucketsPerSign of each sign, nothing
// empty at either end, the same scale for both. Buckets of base 2 merge without loss: index >> k.
// Threads: pure. Memory: reuses `out`. Failure: none.
// Source: otlp/rules.md 1.8, exponential histogram.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace tailrace::agent {

inline constexpr std::int64_t kBucketsPerSign = 160;

struct ReducedBuckets {
  std::int32_t offset = 0;
  std::vector<std::uint64_t> counts;  // empty: no values of this sign
};
struct Reduced {
  std::int32_t scale = 0;
  ReducedBuckets positive;
  ReducedBuckets negative;
};

// Bucket i of either sign has the index first_index + i at `scale`.
void reduce(std::span<const std::uint64_t> positive, std::span<const std::uint64_t> negative, std::int32_t first_index,
            std::int32_t scale, Reduced& out);

}  // namespace tailrace::agent
