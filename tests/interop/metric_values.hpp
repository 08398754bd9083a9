// SPDX-License-Identifier: Apache-2.0
//
// The raw values that the recorder measures, in two rounds, and nothing about what must come of them: that, the
// test works out from these with a model of its own.
#pragma once

#include <array>
#include <cstdint>
#include <limits>
#include <vector>

namespace tailrace::interop {

inline constexpr std::size_t kRounds = 2;
template <class T>
using Rounds = std::array<std::vector<T>, kRounds>;

inline constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
inline constexpr double kInfinity = std::numeric_limits<double>::infinity();

inline const Rounds<std::int64_t> kAdds{{{1, 2, 3, 40'000'000'000}, {7, 0, 100}}};
inline const Rounds<std::int64_t> kUpsAndDowns{{{5, -9, 1}, {-100, 300, -1}}};
// Sums of these are exact, in whatever order.
inline const Rounds<double> kRealAdds{{{0.5, 0.25, 1024.0}, {0.125, 2.0}}};
inline const Rounds<double> kRealUpsAndDowns{{{0.5, -2.25}, {-1024.0, 3.5}}};
inline const Rounds<std::int64_t> kGauged{{{3, -17}, {42}}};
inline const Rounds<double> kRealGauged{{{-0.0}, {2.5}}};

// NaN and the infinities are no values: they are left out everywhere.
inline const Rounds<double> kMeasured{
    {{0.0, 0.5, 1.0, 1.0000001, 10.0, 99.5, 1e9, kNan, 4.9e-324}, {2.0, 10.0, kInfinity, 1e-3, -kInfinity, 512.0}}};
inline const Rounds<double> kMeasuredNegative{{{-5.0, 0.5, -1e-3, 0.0}, {2.0, -1024.0}}};
inline const Rounds<std::int64_t> kMeasuredIntegers{{{0, 1, 5, 6, 10'000, 10'001, 1 << 20}, {5, 7500, 2}}};
// A narrow range, which needs no coarser scale.
inline const Rounds<double> kMeasuredNarrow{{{1.0, 1.1, 1.2, 1.9, 2.0}, {2.1, 3.0, 4.0}}};

inline constexpr std::array<double, 4> kBounds{0.0, 1.0, 10.0, 100.0};

}  // namespace tailrace::interop
