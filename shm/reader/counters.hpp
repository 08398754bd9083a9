// SPDX-License-Identifier: Apache-2.0
// Counters: what the process says it wrote and lost, from private copies of R3, R2 and R1.
//
// These are the application's words for the ledger: the agent compares them with what it saw and shows a
// difference, it never believes them into a balance. Sums saturate, so that no lie wraps around.
// Threads: values. Failure: none; a short copy reads as zeros.
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include <tailrace/shm/layout.hpp>

#include "shm/reader/bytes.hpp"

namespace tailrace::shm {

using PrioritySums = std::array<std::uint64_t, kPriorities>;

// One lane of R3.
struct LaneWords {
  std::uint64_t head = 0;
  std::array<std::uint64_t, kSignals> written{};
  std::array<PrioritySums, kSignals> dropped{};
  std::uint64_t not_sampled = 0;
  std::uint64_t refused = 0;
  std::uint64_t cut = 0;
  std::uint64_t owner_from = 0;
  std::uint32_t tid = 0;
  std::uint32_t shard = 0;
  std::uint64_t cell_words = 0;
  bool in_use = false;
  bool committed = false;
  std::array<char, 16> name{};  // the application's bytes, zero-padded

  bool touched() const { return committed || in_use || head != 0 || tid != 0; }
};
LaneWords parse_lane_head(Bytes entry);

// One lane of R4: the agent's own words, but anybody may have written them before us.
struct LaneTailWords {
  std::uint64_t tail = 0;
  std::uint64_t settled = 0;
};
LaneTailWords parse_lane_tail(Bytes entry);

struct AnchorWords {
  std::uint64_t seq = 0;  // 0 = never written; odd = was being written
  std::uint64_t counter = 0;
  std::uint64_t realtime_ns = 0;
  std::uint64_t monotonic_ns = 0;

  bool usable() const { return seq != 0 && seq % 2 == 0; }
};

// R2.
struct ProcessWords {
  std::uint64_t strings_len = 0;
  std::uint32_t metrics_count = 0;
  std::uint32_t lanes_used = 0;
  std::uint32_t doorbell = 0;
  std::uint32_t flush_gen = 0;
  std::uint32_t scopes_count = 0;
  std::uint32_t pool_used = 0;
  std::array<PrioritySums, kSignals> unlaned_dropped{};
  std::uint32_t crash_signal = 0;
  std::uint32_t crash_lane = 0;
  std::uint64_t crash_address = 0;
  std::uint64_t crash_counter = 0;
  std::uint64_t metrics_unrecorded = 0;
  std::uint64_t metrics_invalid = 0;
  std::uint64_t metrics_clamped = 0;
  std::uint32_t critical_gen = 0;
  std::array<AnchorWords, kAnchors> anchors{};
  std::array<std::uint64_t, kSignals> critical_written{};
};
ProcessWords parse_process(Bytes region);

struct SettledWords {
  std::uint64_t produced = 0;
  std::uint64_t delivered = 0;
  std::uint64_t rejected = 0;
  std::array<std::uint64_t, kDropGroups> dropped{};
  bool empty() const {
    std::uint64_t all = produced | delivered | rejected;
    for (const std::uint64_t count : dropped) all |= count;
    return all == 0;
  }
};

// R1, as `dump` prints it.
struct ControlWords {
  std::uint32_t generation = 0;
  std::uint32_t disable_mask = 0;
  std::uint64_t trace_threshold = 0;
  std::uint8_t min_severity = 0;
  std::uint8_t pressure = 0;
  std::uint8_t clock_override = 0;
  std::uint8_t shed_mask = 0;
  std::uint32_t long_span_seconds = 0;
  std::uint64_t heartbeat_monotonic_ns = 0;
  std::uint64_t agent_epoch = 0;
  std::uint32_t agent_state = 0;
  std::uint32_t reason = 0;
  std::uint16_t abi_major = 0;
  std::uint16_t abi_minor = 0;
  std::uint64_t agent_features = 0;
  std::uint32_t flush_done = 0;
  std::uint32_t agent_sleeping = 0;
  std::uint32_t critical_done = 0;
  std::uint64_t settled_seq = 0;
  std::array<std::array<SettledWords, kSignals>, kFlushKinds> settled{};
};
ControlWords parse_control(Bytes region);

// Saturating.
constexpr std::uint64_t add_saturating(std::uint64_t a, std::uint64_t b) {
  return a > ~std::uint64_t{0} - b ? ~std::uint64_t{0} : a + b;
}

// The whole process, by signal. What a call returned from = written + dropped + unlaned.
struct CounterSums {
  std::array<std::uint64_t, kSignals> written{};
  std::array<PrioritySums, kSignals> dropped{};  // lane full
  std::array<PrioritySums, kSignals> unlaned{};  // no lane
  std::uint64_t not_sampled = 0;
  std::uint64_t refused = 0;
  std::uint64_t cut = 0;

  void add(const LaneWords& lane);
  void add(const ProcessWords& process);

  std::uint64_t dropped_of(Signal signal) const;
  std::uint64_t unlaned_of(Signal signal) const;
  std::uint64_t called(Signal signal) const {
    return add_saturating(written[static_cast<std::size_t>(signal)],
                          add_saturating(dropped_of(signal), unlaned_of(signal)));
  }
};

}  // namespace tailrace::shm
