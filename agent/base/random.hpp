// SPDX-License-Identifier: Apache-2.0
//
// Random: jitter for waits. Small, seedable, so that every test that uses it is repeatable; not
// for ids and not for secrets.
//
// Threads: one owner at a time. Memory: eight bytes. Failure: none.
// Source: splitmix64 (Steele, Lea, Flood, "Fast splittable pseudorandom number generators",
// 2014).
#pragma once

#include <cstdint>

namespace tailrace::agent {

class Random {
 public:
  explicit constexpr Random(std::uint64_t seed) noexcept : state_(seed) {}

  constexpr std::uint64_t next() noexcept {
    state_ += 0x9e3779b97f4a7c15u;
    std::uint64_t mixed = state_;
    mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9u;
    mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111ebu;
    return mixed ^ (mixed >> 31);
  }

  // Uniform in [0, 1): the upper 53 bits, which a double holds exactly.
  constexpr double unit() noexcept { return static_cast<double>(next() >> 11) * 0x1.0p-53; }

 private:
  std::uint64_t state_;
};

}  // namespace tailrace::agent
