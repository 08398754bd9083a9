// SPDX-License-Identifier: Apache-2.0
//
// Dispatcher: closed batches of one destination on their way out: queue, request, answer, ledger.
//
// A request is taken when fewer than the limit are under way and the destination's gate is open. A
// retryable failure goes back with its due time; every other answer is booked in the hold, which
// frees the batches in the same step.
//
// Threads: one of its own; push() from any (the drain workers). Answers come from the sender's
//   thread through a queue. Bytes are accounted in the hold, before anything is pushed here.
// Memory: a few words a waiting batch and the envelopes of what is under way.
// Failure: nothing is given up but for a non-retryable answer, a batch beyond repair, or retry_age;
//   each is booked with its reason and said once for each run of failures.
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

#include "agent/base/random.hpp"
#include "agent/export/gate.hpp"
#include "agent/export/grpc_sender.hpp"
#include "agent/export/settings.hpp"
#include "agent/hold/hold.hpp"
#include "agent/pipeline/envelope.hpp"
#include "agent/pipeline/options.hpp"
#include "agent/pipeline/request_queue.hpp"
#include "agent/pipeline/wakeup.hpp"

namespace tailrace::agent {

class Dispatcher {
 public:
  // `thread` is this dispatcher's heartbeat in the hold; `on_settled` is called after room was made.
  Dispatcher(Hold& hold, Destination destination, const AgentOptions& options, std::uint32_t thread,
             std::function<void()> on_settled);
  ~Dispatcher();
  Dispatcher(const Dispatcher&) = delete;
  Dispatcher& operator=(const Dispatcher&) = delete;

  void start();
  void push(const WaitingBatch& batch);

  // Sends what is left until `deadline`, due or not, then cancels what is under way. What was not
  // answered stays in the hold. Push nothing afterwards.
  void finish(std::chrono::steady_clock::time_point deadline);

  [[nodiscard]] const std::string& url() const { return url_; }

 private:
  using Time = std::chrono::steady_clock::time_point;
  struct Underway {
    OutgoingRequest request;
    Envelope envelope;
    Gate::Entry entry = Gate::Entry::normal;
  };
  struct Done {
    std::uint64_t id = 0;
    Answer answer;
  };

  void run();
  void take_input();
  void handle_answers();
  void send_what_may_go();
  bool send_one();
  void give_up_expired();
  void conclude(Underway& underway, const Answer& answer);
  void put_back(Underway& underway, const Answer& answer);
  void book(const std::vector<WaitingBatch>& batches, const Answer& answer);
  void book_dropped(const std::vector<WaitingBatch>& batches, DropReason reason, int code);
  void settle(std::vector<Outcome>& outcomes);
  void note_failure(const Answer& answer);
  void note_success();
  [[nodiscard]] Time next_look() const;
  [[nodiscard]] bool has_room() const;

  Hold& hold_;
  const AgentOptions& options_;
  const std::uint32_t thread_number_;
  const std::function<void()> on_settled_;
  const std::string url_;

  std::array<moodycamel::ConcurrentQueue<WaitingBatch>, kQueueClasses> incoming_;
  moodycamel::ConcurrentQueue<Done> answers_;
  Wakeup wakeup_;
  std::atomic<bool> link_up_{false};
  std::atomic<bool> flushing_{false};
  std::atomic<bool> stopping_{false};

  // Of the dispatcher's thread alone:
  RequestQueue queue_;
  Gate gate_;
  Random random_;
  std::unordered_map<std::uint64_t, std::unique_ptr<Underway>> underway_;
  std::uint64_t next_id_ = 1;
  bool failing_ = false;
  std::uint64_t failures_ = 0;
  Time last_said_{};

  std::unique_ptr<GrpcSender> sender_;
  std::thread thread_;
};

}  // namespace tailrace::agent
