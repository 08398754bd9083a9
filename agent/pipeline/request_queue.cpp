// SPDX-License-Identifier: Apache-2.0
#include "agent/pipeline/request_queue.hpp"

#include <algorithm>
#include <limits>
#include <utility>

namespace tailrace::agent {

std::uint64_t RequestQueue::Line::oldest_ns() const {
  std::uint64_t oldest = std::numeric_limits<std::uint64_t>::max();
  for (const std::uint32_t process : turn) {
    oldest = std::min(oldest, by_process.at(process).front().opened_ns);
  }
  return oldest;
}

void RequestQueue::push(const WaitingBatch& batch) {
  Line& line = lines_[static_cast<std::size_t>(batch.queue)][static_cast<std::size_t>(batch.signal)];
  std::deque<WaitingBatch>& own = line.by_process[batch.process];
  if (own.empty()) line.turn.push_back(batch.process);
  own.push_back(batch);
  ++batches_;
  bytes_ += batch.bytes;
}

void RequestQueue::put_back(OutgoingRequest request, std::uint64_t due_ns) {
  batches_ += request.batches.size();
  bytes_ += request.bytes;
  std::deque<Retry>& waiting = retries_[static_cast<std::size_t>(request.queue)];
  const auto at = std::upper_bound(waiting.begin(), waiting.end(), due_ns,
                                   [](std::uint64_t due, const Retry& r) { return due < r.due_ns; });
  waiting.insert(at, Retry{due_ns, std::move(request)});
}

void RequestQueue::forget(const OutgoingRequest& request) {
  batches_ -= request.batches.size();
  bytes_ -= request.bytes;
}

OutgoingRequest RequestQueue::fill(Line& line, std::size_t queue, otlp::Signal signal, std::uint64_t cap_bytes) {
  OutgoingRequest request;
  request.signal = signal;
  request.queue = static_cast<QueueClass>(queue);
  while (!line.turn.empty()) {
    const std::uint32_t process = line.turn.front();
    std::deque<WaitingBatch>& own = line.by_process[process];
    const WaitingBatch& next = own.front();
    if (!request.batches.empty() && request.bytes + next.bytes > cap_bytes) break;
    request.bytes += next.bytes;
    request.records += next.records;
    request.batches.push_back(next);
    own.pop_front();
    line.turn.pop_front();
    if (own.empty()) {
      line.by_process.erase(process);
    } else {
      line.turn.push_back(process);
    }
  }
  forget(request);
  return request;
}

std::optional<OutgoingRequest> RequestQueue::take_from(std::size_t queue, std::uint64_t now_ns, std::uint64_t cap_bytes,
                                                       bool ignore_due) {
  std::deque<Retry>& waiting = retries_[queue];
  if (!waiting.empty() && (ignore_due || waiting.front().due_ns <= now_ns)) {
    OutgoingRequest request = std::move(waiting.front().request);
    waiting.pop_front();
    forget(request);
    return request;
  }
  std::size_t chosen = lines_[queue].size();
  std::uint64_t oldest = std::numeric_limits<std::uint64_t>::max();
  for (std::size_t signal = 0; signal < lines_[queue].size(); ++signal) {
    if (lines_[queue][signal].empty()) continue;
    const std::uint64_t age = lines_[queue][signal].oldest_ns();
    if (chosen == lines_[queue].size() || age < oldest) {
      chosen = signal;
      oldest = age;
    }
  }
  if (chosen == lines_[queue].size()) return std::nullopt;
  return fill(lines_[queue][chosen], queue, static_cast<otlp::Signal>(chosen), cap_bytes);
}

std::optional<OutgoingRequest> RequestQueue::take(std::uint64_t now_ns, std::uint64_t cap_bytes, bool ignore_due,
                                                  QueueClass lowest) {
  std::array<std::size_t, kQueueClasses> order{0, 1, 2};
  // A class whose patience is at its end goes first, the one that was passed over most in front.
  std::stable_sort(order.begin(), order.end(), [this](std::size_t a, std::size_t b) {
    const std::uint32_t left = passed_over_[a] >= kPatience ? passed_over_[a] : 0;
    const std::uint32_t right = passed_over_[b] >= kPatience ? passed_over_[b] : 0;
    return left > right;
  });
  for (const std::size_t queue : order) {
    if (queue > static_cast<std::size_t>(lowest)) continue;
    std::optional<OutgoingRequest> request = take_from(queue, now_ns, cap_bytes, ignore_due);
    if (!request) {
      passed_over_[queue] = 0;
      continue;
    }
    passed_over_[queue] = 0;
    for (std::size_t other = queue + 1; other < kQueueClasses; ++other) ++passed_over_[other];
    return request;
  }
  return std::nullopt;
}

bool RequestQueue::has_fresh(QueueClass queue) const {
  const auto& lines = lines_[static_cast<std::size_t>(queue)];
  return std::any_of(lines.begin(), lines.end(), [](const Line& line) { return !line.empty(); });
}

bool RequestQueue::has_fresh() const {
  return has_fresh(QueueClass::critical) || has_fresh(QueueClass::normal) || has_fresh(QueueClass::background);
}

std::optional<std::uint64_t> RequestQueue::next_due_ns() const {
  std::optional<std::uint64_t> due;
  for (const std::deque<Retry>& waiting : retries_) {
    if (!waiting.empty()) due = std::min(due.value_or(waiting.front().due_ns), waiting.front().due_ns);
  }
  return due;
}

std::vector<OutgoingRequest> RequestQueue::take_expired(std::uint64_t now_ns, std::uint64_t age_ns) {
  std::vector<OutgoingRequest> expired;
  for (std::deque<Retry>& waiting : retries_) {
    for (auto at = waiting.begin(); at != waiting.end();) {
      if (now_ns - at->request.first_try_ns < age_ns) {
        ++at;
        continue;
      }
      forget(at->request);
      expired.push_back(std::move(at->request));
      at = waiting.erase(at);
    }
  }
  return expired;
}

}  // namespace tailrace::agent
