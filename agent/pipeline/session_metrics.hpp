// SPDX-License-Identifier: Apache-2.0
//
// SessionMetrics: when and how the metrics of one process are collected: its own series and what the kernel
// tells of it, into batches, together with the baseline from which the next collection goes on.
//
// Every part of a collection is one transaction of the hold: its points, and the baseline that says that they
// are collected. An agent killed at any instruction neither repeats nor loses what was counted. A hold without
// room skips the collection: nothing has changed, the next one carries it.
//
// Threads: the process's drain worker. Memory: the checked series, and the baseline as committed last.
// Failure: CollectStatus; a baseline that is lost is said and counted, and nothing older than the next
//   collection is then sent as a delta.
// Source: agent.md, the hold, 7; otlp/rules.md 1.7, 1.8.
#pragma once

#include <chrono>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "agent/decode/decoder.hpp"
#include "agent/decode/hints.hpp"
#include "agent/discover/segment.hpp"
#include "agent/drain/segment_drain.hpp"
#include "agent/hold/hold.hpp"
#include "agent/hold/pass.hpp"
#include "agent/metrics/baseline.hpp"
#include "agent/metrics/collector.hpp"
#include "agent/metrics/process_points.hpp"
#include "agent/pipeline/options.hpp"
#include "agent/pipeline/record_writer.hpp"

namespace tailrace::agent {

struct MetricSettings {
  std::chrono::milliseconds interval{60'000};
  TemporalityPreference preference = TemporalityPreference::cumulative;
  bool process_metrics = true;
};
// The agent's options, then its own variables and the process's (both in `hints`), then the defaults.
[[nodiscard]] MetricSettings metric_settings_of(const AgentOptions& options, const ProcessHints& hints);

[[nodiscard]] std::string_view preference_name(TemporalityPreference preference);

enum class CollectStatus : std::uint8_t {
  done,        // whether there was anything or not
  full,        // no room: the rest is collected another time
  unreadable,  // the segment cannot be read
};

class SessionMetrics {
 public:
  using Time = std::chrono::steady_clock::time_point;

  // `buffer` is the worker's for encoding; `who` names the process in what is said.
  SessionMetrics(Hold& hold, ProcessIndex process, AttachedSegment& segment, SegmentDrain& drain,
                 SegmentDecoder& decoder, RecordWriter& writer, const MetricSettings& settings,
                 std::span<std::uint8_t> buffer, std::string who);

  // Processes that came together are collected one after another: each has its place in the interval.
  [[nodiscard]] Time next() const { return next_; }
  void collected_at(Time now);

  // `last`: the process is dead, and these are its last values; done once, whatever kills agents.
  CollectStatus collect(Pass& pass, bool last);
  void count_skipped();

 private:
  struct Part {
    Collection series;
    ProcessPoints process;
    bool last = false;
    [[nodiscard]] bool empty() const;
  };

  void take_baseline();
  void book_shim_counts();
  void say_left_out(const CollectCounts& counts);
  void begin(Pass& pass);
  AppendStatus commit(Pass& pass, Part& part);
  AppendStatus append(Pass& pass, const Part& part, std::uint64_t& points);
  AppendStatus keep(Pass& pass, const Part& part);
  void show(const Part& part);

  Hold& hold_;
  const ProcessIndex process_;
  AttachedSegment& segment_;
  SegmentDrain& drain_;
  SegmentDecoder& decoder_;
  RecordWriter& writer_;
  const MetricSettings settings_;
  const std::span<std::uint8_t> buffer_;
  const std::string who_;

  SegmentWords words_;
  MetricCollector collector_;
  Baseline baseline_;
  ProcessBaseline process_baseline_;
  bool lost_ = false;
  bool oversize_said_ = false;
  bool skipped_said_ = false;
  bool left_out_said_ = false;
  Time next_;
};

}  // namespace tailrace::agent
