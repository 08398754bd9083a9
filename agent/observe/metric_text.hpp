// SPDX-License-Identifier: Apache-2.0
// A series of a segment and what its cells say, as one line for a terminal.
// Threads: pure. Failure: none; values that are no numbers are printed as what they are.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "agent/observe/segment_text.hpp"
#include "shm/reader/metrics.hpp"

namespace tailrace::agent {

// `counter real "requests" unit "1" {"route"="/pay"}`
std::string series_text(const shm::Series& series, SegmentText& text, const shm::StringTable& strings);

// `= 23`: of a lane counter the sum of its words, of everything else its words in metric_shared.
std::string number_text(const shm::Series& series, std::uint64_t value);
// `count 5 sum 31.6 min 0 max 11 zero 0, (0, 5]: 2, (5, 10]: 3`
std::string histogram_text(const shm::Series& series, std::span<const std::uint64_t> words);

}  // namespace tailrace::agent
