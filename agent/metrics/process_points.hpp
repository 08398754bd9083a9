// SPDX-License-Identifier: Apache-2.0
//
// Process points: a ProcessSample as OTLP Metric messages, process.* of the semantic conventions.
//
//   process.cpu.time {cpu.mode}                                    sum, s       counter
//   process.context_switches {process.context_switch.type}        sum          counter
//   process.paging.faults {system.paging.fault.type}               sum          counter
//   process.memory.usage, process.memory.virtual                  sum, By      up-down
//   process.thread.count, process.unix.file_descriptor.count      sum          up-down
//   process.uptime                                                gauge, s
//
// Counters are cumulative since the process began, or since the last collection where deltas are preferred;
// these are observed values, so `lowmemory` leaves them cumulative. What was last sent lies in the hold, in
// front of the baseline of the application's own series.
//
// Threads: values and pure functions. Memory: the caller's writer. Failure: no points when the buffer is
//   too small, or when the sample is of another process than the one before.
// Source: semantic conventions 1.44, process metrics; otlp/rules.md 1.8.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "agent/metrics/collector.hpp"
#include "agent/metrics/process_sample.hpp"
#include "proto/encode/backward_writer.hpp"

namespace tailrace::agent {

// What was collected last; all zero: nothing yet.
struct ProcessBaseline {
  std::uint64_t start_ticks = 0;
  std::uint64_t start_ns = 0;  // realtime; kept, since a clock that is set must not look like a restart
  std::uint64_t time_ns = 0;
  std::uint64_t user_ticks = 0;
  std::uint64_t system_ticks = 0;
  std::uint64_t voluntary_switches = 0;
  std::uint64_t involuntary_switches = 0;
  std::uint64_t minor_faults = 0;
  std::uint64_t major_faults = 0;
  bool operator==(const ProcessBaseline&) const = default;

  // As if `sample` had just been collected; of the same process as `before`, whose start stays.
  [[nodiscard]] static ProcessBaseline of(const ProcessSample& sample, const ProcessBaseline& before,
                                          std::uint64_t time_ns);

  static constexpr std::size_t kBytes = 10 * 8;       // with a word that names the version
  void encode(std::vector<std::uint8_t>& out) const;  // appends kBytes
  // Of the first kBytes; nothing for what encode() did not write.
  [[nodiscard]] static std::optional<ProcessBaseline> decode(std::span<const std::uint8_t> bytes);
};

struct ProcessPoints {
  std::span<const std::uint8_t> bytes;  // ScopeMetrics.metrics fields, as the writer holds them
  std::uint32_t points = 0;
  ProcessBaseline next;
};

// `writer` is empty. `time_ns` is now, realtime.
[[nodiscard]] ProcessPoints encode_process_points(otlp::BackwardWriter& writer, const ProcessSample& sample,
                                                  const ProcessBaseline& last, TemporalityPreference preference,
                                                  std::uint64_t time_ns);

}  // namespace tailrace::agent
