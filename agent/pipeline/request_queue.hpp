// SPDX-License-Identifier: Apache-2.0
//
// RequestQueue: the closed batches of one destination, and which of them go next.
//
// Order: critical before normal before background, but a class that was passed over often enough
// goes once in between, so that nothing starves. Within a class the signal whose first batch is
// oldest; within a signal one batch of each process in turn, oldest first. A request that has to
// be sent again keeps its batches together and waits for its due time.
//
// Threads: one (the dispatcher's). Memory: a few words a batch; what the batches hold lies in the
// hold, whose size bounds their number. Failure: none.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <unordered_map>
#include <vector>

#include "agent/hold/hold.hpp"
#include "proto/encode/view.hpp"

namespace tailrace::agent {

// The agent's queues. The lanes' `low` shares the normal one: it only has a smaller part of a lane.
enum class QueueClass : std::uint8_t { critical = 0, normal = 1, background = 2 };
inline constexpr std::size_t kQueueClasses = 3;

struct WaitingBatch {
  BatchId batch;
  ProcessIndex process = kNoProcess;
  otlp::Signal signal = otlp::Signal::traces;
  QueueClass queue = QueueClass::normal;
  std::uint64_t scope = 0;  // batches of one process with equal scopes share an envelope
  std::uint32_t records = 0;
  std::uint64_t bytes = 0;
  std::uint64_t opened_ns = 0;
};

struct OutgoingRequest {
  otlp::Signal signal = otlp::Signal::traces;
  QueueClass queue = QueueClass::normal;
  std::vector<WaitingBatch> batches;
  std::uint64_t bytes = 0;
  std::uint64_t records = 0;
  std::uint32_t attempts = 0;
  std::uint64_t first_try_ns = 0;
};

class RequestQueue {
 public:
  void push(const WaitingBatch& batch);
  void put_back(OutgoingRequest request, std::uint64_t due_ns);

  // The next request of at most `cap_bytes` (a single larger batch goes alone), or nothing if
  // nothing is due. With `ignore_due` retries go at once: the last tries before a shutdown. Classes
  // below `lowest` are left alone.
  [[nodiscard]] std::optional<OutgoingRequest> take(std::uint64_t now_ns, std::uint64_t cap_bytes,
                                                    bool ignore_due = false,
                                                    QueueClass lowest = QueueClass::background);

  // When the earliest retry is due; nothing when none waits.
  [[nodiscard]] std::optional<std::uint64_t> next_due_ns() const;

  [[nodiscard]] bool empty() const { return batches_ == 0; }
  // Whether something waits that has not been tried yet, and hence is due.
  [[nodiscard]] bool has_fresh() const;
  [[nodiscard]] bool has_fresh(QueueClass queue) const;
  [[nodiscard]] std::size_t batches() const { return batches_; }
  [[nodiscard]] std::uint64_t bytes() const { return bytes_; }

  // Takes every request whose first try lies further back than `age_ns`.
  [[nodiscard]] std::vector<OutgoingRequest> take_expired(std::uint64_t now_ns, std::uint64_t age_ns);

 private:
  struct Line {  // one class and signal
    std::unordered_map<std::uint32_t, std::deque<WaitingBatch>> by_process;
    std::deque<std::uint32_t> turn;  // processes that wait, next first
    [[nodiscard]] bool empty() const { return turn.empty(); }
    [[nodiscard]] std::uint64_t oldest_ns() const;
  };
  struct Retry {
    std::uint64_t due_ns;
    OutgoingRequest request;
  };

  std::optional<OutgoingRequest> take_from(std::size_t queue, std::uint64_t now_ns, std::uint64_t cap_bytes,
                                           bool ignore_due);
  OutgoingRequest fill(Line& line, std::size_t queue, otlp::Signal signal, std::uint64_t cap_bytes);
  void forget(const OutgoingRequest& request);

  static constexpr std::uint32_t kPatience = 16;  // requests of others a waiting class lets pass

  std::array<std::array<Line, 3>, kQueueClasses> lines_;
  std::array<std::deque<Retry>, kQueueClasses> retries_;  // sorted by due time
  std::array<std::uint32_t, kQueueClasses> passed_over_{};
  std::size_t batches_ = 0;
  std::uint64_t bytes_ = 0;
};

}  // namespace tailrace::agent
