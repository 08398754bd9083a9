// SPDX-License-Identifier: Apache-2.0
//
// The world around a hold, for tests that kill: applications whose lanes are full of known records,
// an agent that drains, parks, joins, collects, closes, sends, settles and retires at random, and a
// Collector. World lies in memory shared with the agent's process, so it outlives it; the agent
// alone has the hold.
//
// look() judges the hold as the dead agent left it, before the next one repairs anything, with a
// reader of its own: from layout.hpp and not from the hold's code.
#ifndef TAILRACE_TESTS_AGENT_HOLD_HOLD_WORLD_HPP_
#define TAILRACE_TESTS_AGENT_HOLD_HOLD_WORLD_HPP_

#include <atomic>
#include <cstdint>
#include <string>
#include <vector>

namespace tailrace::agent {

inline constexpr std::uint32_t kWorldProcesses = 6;
inline constexpr std::uint32_t kWorldLanes = 2;
inline constexpr std::uint32_t kWorldRecords = 40;  // a lane
// A process's counter is judged as one lane more: its units are the records, a collection takes those
// beyond its baseline, and one point covers several.
inline constexpr std::uint32_t kMetricLane = kWorldLanes;
inline constexpr std::uint32_t kWorldRows = kWorldLanes + 1;

struct World {
  struct Record {
    std::atomic<std::uint8_t> sent;     // how often the Collector got it
    std::atomic<std::uint8_t> allowed;  // how often it may have come more than once: requests never booked
    std::atomic<char> outcome;          // decided before it is settled: D, R or X
    std::atomic<bool> booked;           // settle() had returned
    std::atomic<bool> begins;           // the unit with which a point that was sent begins
  };
  std::uint64_t seed;
  std::uint32_t threads;
  std::atomic<std::uint64_t> tail[kWorldProcesses][kWorldRows];  // commit() had returned
  std::atomic<std::uint64_t> settled[kWorldProcesses][kWorldRows];
  std::atomic<std::uint64_t> counter[kWorldProcesses];  // what the application added, at most kWorldRecords
  std::atomic<bool> retired[kWorldProcesses];
  Record records[kWorldProcesses][kWorldRows][kWorldRecords];
  std::atomic<std::uint32_t> starts;
};

// One life of the agent: until everything is delivered and every process retired. Returns what went
// wrong.
std::string run_agent(World& world, const std::string& path);

// What is wrong in the hold at `path`, whose agent is dead; allows for requests under way.
// `finished`: the last agent came to its end, and everything must be there.
std::vector<std::string> look(World& world, const std::string& path, bool finished);

}  // namespace tailrace::agent

#endif  // TAILRACE_TESTS_AGENT_HOLD_HOLD_WORLD_HPP_
