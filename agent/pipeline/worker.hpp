// SPDX-License-Identifier: Apache-2.0
//
// Worker: one drain thread and the processes it owns.
//
// It drains, closes batches by size, count, age, priority and pressure, and hands them to the
// dispatcher of their signal. A full hold stops the draining: lanes fill, shims shed and count.
//
// Threads: one of its own; adopt(), made_room() and finish() from any. A process has one worker for its life.
// Memory: its buffers, and its sessions. Failure: none that stops it; what a session cannot do is said there.
#pragma once

#include <concurrentqueue/concurrentqueue.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "agent/drain/waiter.hpp"
#include "agent/hold/hold.hpp"
#include "agent/hold/pass.hpp"
#include "agent/pipeline/options.hpp"
#include "agent/pipeline/request_queue.hpp"
#include "agent/pipeline/session.hpp"

namespace tailrace::agent {

class Worker {
 public:
  using Deliver = std::function<void(const WaitingBatch&)>;

  // `thread` is this worker's heartbeat in the hold.
  Worker(Hold& hold, const AgentOptions& options, std::uint32_t thread, TapHub& taps, Deliver deliver);
  ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  void start();
  void adopt(std::unique_ptr<Session> session);
  // The hold has room again: somebody settled.
  void made_room() { waiter_.wake(); }
  // Names of the segments that are gone since the last call.
  void take_gone(std::vector<std::string>& out);
  // Segments of dead processes have to go until so much is free: drained ones, else the oldest.
  void evict_dead(std::uint64_t bytes) { evict_bytes_.store(bytes, std::memory_order_relaxed); }
  [[nodiscard]] std::uint64_t dead_bytes() const { return dead_bytes_.load(std::memory_order_relaxed); }

  // After finish(), when the last answers are booked: what they settled, told to those who wait for it.
  void answer_flushes();

  // Drains to the heads until `deadline`, closes every batch, and ends the thread.
  void finish(std::chrono::steady_clock::time_point deadline);

 private:
  using Time = std::chrono::steady_clock::time_point;
  void run();
  void take_new_sessions();
  bool run_passes();
  void collect_metrics();
  void look_after_sessions();
  void evict(std::uint64_t bytes);
  void forget_gone_sessions();
  void close_batches(bool all);
  void close(const BatchInfo& batch);
  void drain_to_the_end();
  void collect_for_flushes();
  void close_for_flushes();
  [[nodiscard]] bool flushes_draining();
  void pause_between_passes();
  [[nodiscard]] std::chrono::nanoseconds next_close() const;
  // When it has waited long enough, realtime.
  [[nodiscard]] std::uint64_t due_ns(const BatchInfo& batch) const;
  std::chrono::milliseconds next_sleep(bool busy);

  Hold& hold_;
  const AgentOptions& options_;
  const std::uint32_t thread_number_;
  const Deliver deliver_;

  moodycamel::ConcurrentQueue<std::unique_ptr<Session>> incoming_;
  moodycamel::ConcurrentQueue<std::string> gone_;
  Waiter waiter_;
  std::atomic<bool> stopping_{false};
  std::atomic<Time> deadline_{};
  std::atomic<std::uint64_t> evict_bytes_{0};
  std::atomic<std::uint64_t> dead_bytes_{0};

  // Of the worker's thread alone:
  WorkerMemory memory_;
  Pass pass_;
  PollPace pace_;
  std::vector<std::unique_ptr<Session>> sessions_;
  std::unordered_map<ProcessIndex, const Session*> by_process_;
  std::vector<BatchInfo> open_;
  std::size_t first_session_ = 0;  // where the next round of passes starts, for fairness
  bool full_ = false;
  std::uint64_t fullest_permille_ = 0;  // of any lane in the last round
  std::chrono::milliseconds busy_sleep_{1};
  Time last_look_{};
  Time next_collection_{};  // of any process; a wake-up before it collects nothing
  Time next_flush_collection_{};
  Time last_pass_{};
  std::thread thread_;
};

// A closed batch of the hold as the dispatcher's queue wants it.
WaitingBatch waiting_batch(const BatchInfo& batch);
// The two lengths that make an open batch whole.
Status close_batch(Hold& hold, const BatchInfo& batch);

}  // namespace tailrace::agent
