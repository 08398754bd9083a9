// SPDX-License-Identifier: Apache-2.0
//
// What a counting program says of itself, in a file that it and its test map. Zeroes at the start.
#pragma once

#include <atomic>
#include <cstdint>

namespace tailrace::testing {

inline constexpr unsigned kCountingThreads = 4;

struct Counting {
  std::atomic<std::uint64_t> stop;
  struct {
    std::atomic<std::uint64_t> begun;     // stored before add()
    std::atomic<std::uint64_t> returned;  // and after it
  } threads[kCountingThreads];
};

}  // namespace tailrace::testing
