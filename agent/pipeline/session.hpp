// SPDX-License-Identifier: Apache-2.0
//
// Session: one process, from the day its segment is found to the day it is unlinked.
//
//   live ── lock free ──► dead ── lanes read to their heads ──► aftermath ──► drained ── all settled ──► gone
//
// A pass takes over what is new in the lanes: decoded, encoded, appended, committed in the hold, and
// only then is the lanes' space given back. After the process's death the spans it left open are
// reported, each exactly once, whatever kills the agent in between.
//
// Threads: made by the housekeeper, then used by one drain worker alone. Memory: borrows the hold and
//   the worker's buffers; owns the segment and its decoder.
// Failure: a full hold ends a pass early and is said by PassResult; a segment that cannot be believed is
//   quarantined by the drain and its remainder booked here. Nothing in here affects another process.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "agent/decode/decoder.hpp"
#include "agent/decode/resource.hpp"
#include "agent/discover/segment.hpp"
#include "agent/drain/open_spans.hpp"
#include "agent/drain/segment_drain.hpp"
#include "agent/hold/hold.hpp"
#include "agent/hold/pass.hpp"
#include "agent/pipeline/flushes.hpp"
#include "agent/pipeline/options.hpp"
#include "agent/pipeline/process_limits.hpp"
#include "agent/pipeline/record_writer.hpp"
#include "agent/pipeline/session_metrics.hpp"
#include "agent/pipeline/span_parts.hpp"

namespace tailrace::agent {

// A drain worker's buffers, shared by its sessions.
struct WorkerMemory {
  explicit WorkerMemory(TapHub& taps) : tap(taps) {}
  CopyBuffer copy;
  std::vector<std::uint8_t> encode = std::vector<std::uint8_t>(kEncodeBytes);
  TapPoint tap;
};

struct PassResult {
  std::uint64_t records = 0;
  bool more = false;                   // something is left that the next pass can take at once
  bool full = false;                   // the hold has no room: close and send before the next pass
  std::uint64_t fullest_permille = 0;  // of the fullest lane's ring, as this pass found it
};

class Session final : public SettledSink {
 public:
  // Registers the process in the hold, or takes it up where the hold says. `own` hints are the agent's and win
  // over the process's.
  static Result<std::unique_ptr<Session>> start(Hold& hold, std::unique_ptr<AttachedSegment> segment,
                                                const HostFacts& host, const AgentOptions& options,
                                                const ProcessHints& own);
  ~Session() override;

  // Before the first pass, by the worker that will own it.
  void enter(WorkerMemory& memory);

  PassResult run_pass(Pass& pass);
  // Metrics, when their time has come. A hold without room skips them, and says so by `full`.
  PassResult collect_if_due(Pass& pass, std::chrono::steady_clock::time_point now);
  // And at once: a flush, or the end of the agent.
  PassResult collect_now(Pass& pass);
  [[nodiscard]] std::chrono::steady_clock::time_point next_collection() const { return metrics_->next(); }
  // Once a second or so: heartbeat for the application, and whether it still lives.
  void look_after();

  // Nothing of the process is left to be drained or settled; its file is unlinked.
  [[nodiscard]] bool gone() const { return gone_; }
  [[nodiscard]] bool dead() const { return segment_->dead(); }
  // Dead, and nothing is left in its lanes and slots; what it recorded may still wait in the hold.
  [[nodiscard]] bool drained() const { return aftermath_done_; }
  // A dead process's segment has to go, for want of memory: what was not drained from it is booked.
  void evict() { evict_ = true; }
  // What the application waits for, while it can be read. Answered by the worker, which closes the batches.
  [[nodiscard]] Flushes* flushes() { return gone_ || segment_->dead() || !segment_->readable() ? nullptr : &*flushes_; }
  // A clean stop of the agent: the application is told that nobody drains.
  void leave();

  [[nodiscard]] ProcessIndex process() const { return process_; }
  [[nodiscard]] AttachedSegment& segment() { return *segment_; }
  [[nodiscard]] const AttachedSegment& segment() const { return *segment_; }
  [[nodiscard]] std::string_view service() const { return resource_->service(); }
  [[nodiscard]] std::string describe() const;
  [[nodiscard]] const ProcessHints& hints() const { return hints_; }
  [[nodiscard]] const BatchLimits& limits(Signal signal) const { return limits_[index_of(signal)]; }

  void settled(std::uint32_t lane, std::uint64_t position) override;

 private:
  Session(Hold& hold, std::unique_ptr<AttachedSegment> segment);

  Status register_process(const HostFacts& host);
  void take_hints(const AgentOptions& options, const ProcessHints& own);
  void take_positions(bool known);
  PassResult take_pass(Pass& pass);
  PassResult drain_lanes(Pass& pass);
  PassResult drain_carefully(Pass& pass);
  AppendStatus take(Pass& pass, const shm::RecordRef& record, Origin origin);
  void drop_record(Pass& pass, const shm::RecordRef& record, DropReason reason);
  PassResult join_parts(Pass& pass);
  PassResult report_open_spans(Pass& pass);
  PassResult report_starts(Pass& pass);
  PassResult finish_dead(Pass& pass);
  [[nodiscard]] bool can_collect() const;
  bool collect_last(Pass& pass);
  void book_counters(Pass& pass);
  void book_lost(Pass& pass, DropReason reason);
  void commit(Pass& pass);
  void try_to_go();

  Hold& hold_;
  ProcessHints hints_;  // the agent's and the process's together
  ProcessLimits limits_;
  MetricSettings metric_settings_;
  std::unique_ptr<AttachedSegment> segment_;
  SegmentDecoder decoder_;
  std::unique_ptr<SegmentDrain> drain_;
  std::optional<ProcessResource> resource_;
  ProcessIndex process_ = kNoProcess;
  WorkerMemory* memory_ = nullptr;
  std::unique_ptr<RecordWriter> writer_;
  std::unique_ptr<SpanParts> parts_;
  std::unique_ptr<SessionMetrics> metrics_;
  std::optional<Flushes> flushes_;

  std::uint64_t pass_number_ = 1;
  std::uint64_t complete_passes_ = 0;  // every pass before it read all lanes to their heads
  std::uint64_t observed_ns_ = 0;
  shm::CounterSums counters_;            // as booked last
  std::array<std::uint64_t, 2> seen_{};  // traces, logs: taken from lanes, all agents together
  DrainTrouble trouble_;
  std::vector<std::uint64_t> careful_until_;                    // heads up to which one record a time is read
  std::vector<std::pair<std::uint32_t, std::uint64_t>> moved_;  // lanes of the pass under way
  bool evict_ = false;
  bool lost_booked_ = false;
  bool aftermath_done_ = false;
  bool gone_ = false;
};

}  // namespace tailrace::agent
