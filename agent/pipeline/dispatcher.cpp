// SPDX-License-Identifier: Apache-2.0
#include "agent/pipeline/dispatcher.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "agent/export/backoff.hpp"
#include "agent/hold/ledger.hpp"
#include "tailrace/shm/clock.hpp"

namespace tailrace::agent {
namespace {

using std::chrono::milliseconds;
using std::chrono::nanoseconds;
using std::chrono::steady_clock;

constexpr auto kHeartbeat = milliseconds(500);
constexpr auto kSayAgainAfter = std::chrono::seconds(30);

std::uint64_t steady_ns() {
  return static_cast<std::uint64_t>(
      std::chrono::duration_cast<nanoseconds>(steady_clock::now().time_since_epoch()).count());
}

std::string url_of(const Destination& destination) { return destination.endpoint.url(); }

std::vector<BatchId> ids_of(const std::vector<WaitingBatch>& batches) {
  std::vector<BatchId> ids;
  ids.reserve(batches.size());
  for (const WaitingBatch& batch : batches) ids.push_back(batch.batch);
  return ids;
}

}  // namespace

Dispatcher::Dispatcher(Hold& hold, Destination destination, const AgentOptions& options, std::uint32_t thread,
                       std::function<void()> on_settled)
    : hold_(hold),
      options_(options),
      thread_number_(thread),
      on_settled_(std::move(on_settled)),
      url_(url_of(destination)),
      random_(hold.epoch()) {
  SenderOptions sender;
  sender.request_bytes_max = kRequestBytesCeiling;
  sender.in_flight_max = options.requests_in_flight + 1;
  sender_ = std::make_unique<GrpcSender>(
      std::move(destination), sender,
      [this](std::uint64_t id, const Answer& answer, nanoseconds) {
        answers_.enqueue(Done{id, answer});
        wakeup_.notify();
      },
      [this] {
        link_up_.store(true, std::memory_order_release);
        wakeup_.notify();
      });
}

Dispatcher::~Dispatcher() {
  if (thread_.joinable()) finish(steady_clock::now());
}

void Dispatcher::start() {
  thread_ = std::thread([this] { run(); });
}

void Dispatcher::push(const WaitingBatch& batch) {
  incoming_[static_cast<std::size_t>(batch.queue)].enqueue(batch);
  wakeup_.notify();
}

void Dispatcher::finish(Time deadline) {
  flushing_.store(true, std::memory_order_release);
  wakeup_.notify();
  while (flushing_.load(std::memory_order_acquire) && steady_clock::now() < deadline) {
    std::this_thread::sleep_for(milliseconds(2));
  }
  stopping_.store(true, std::memory_order_release);
  wakeup_.notify();
  // The thread goes on taking answers while calls under way are cancelled.
  sender_->shutdown(milliseconds(0));
  if (thread_.joinable()) thread_.join();
  handle_answers();
}

void Dispatcher::run() {
  hold_.name_thread(thread_number_, "send");
  while (!stopping_.load(std::memory_order_acquire)) {
    hold_.beat(thread_number_);
    take_input();
    handle_answers();
    give_up_expired();
    send_what_may_go();
    if (queue_.empty() && underway_.empty() && flushing_.load(std::memory_order_acquire)) {
      take_input();
      if (queue_.empty()) flushing_.store(false, std::memory_order_release);
    }
    wakeup_.wait_until(next_look());
  }
}

void Dispatcher::take_input() {
  WaitingBatch batch;
  for (auto& incoming : incoming_) {
    while (incoming.try_dequeue(batch)) queue_.push(batch);
  }
}

void Dispatcher::handle_answers() {
  Done done;
  while (answers_.try_dequeue(done)) {
    const auto found = underway_.find(done.id);
    if (found == underway_.end()) continue;
    const std::unique_ptr<Underway> underway = std::move(found->second);
    underway_.erase(found);
    conclude(*underway, done.answer);
  }
}

void Dispatcher::conclude(Underway& underway, const Answer& answer) {
  gate_.settle(underway.entry, answer, steady_clock::now(), random_.unit());
  if (answer.kind == AnswerKind::retry) {
    put_back(underway, answer);
    return;
  }
  book(underway.request.batches, answer);
}

void Dispatcher::put_back(Underway& underway, const Answer& answer) {
  note_failure(answer);
  OutgoingRequest& request = underway.request;
  ++request.attempts;
  nanoseconds wait = jittered_delay(request.attempts, BackoffLimits{}, random_.unit());
  if (answer.code == grpc_code::kUnavailable) {
    // The gate decides when the destination is tried again; the request is ready when it opens.
    wait = nanoseconds(0);
  }
  if (answer.retry_delay) wait = std::max(wait, nanoseconds(*answer.retry_delay));
  const std::uint64_t ns = static_cast<std::uint64_t>(wait.count());
  hold_.retry(ids_of(request.batches), request.attempts, shm::realtime_ns() + ns);
  queue_.put_back(std::move(request), steady_ns() + ns);
}

void Dispatcher::book(const std::vector<WaitingBatch>& batches, const Answer& answer) {
  if (answer.kind == AnswerKind::drop) {
    note_failure(answer);
    book_dropped(batches, DropReason::non_retryable, answer.code);
    return;
  }
  std::vector<std::uint64_t> counts;
  counts.reserve(batches.size());
  for (const WaitingBatch& batch : batches) counts.push_back(batch.records);
  const std::vector<std::uint64_t> rejected = share_out(answer.rejected, counts);
  std::vector<Outcome> outcomes;
  outcomes.reserve(batches.size());
  for (std::size_t i = 0; i < batches.size(); ++i) {
    Outcome outcome;
    outcome.batch = batches[i].batch;
    outcome.rejected = rejected[i];
    outcome.delivered = batches[i].records - rejected[i];
    outcomes.push_back(outcome);
  }
  settle(outcomes);
  if (answer.kind == AnswerKind::delivered) {
    note_success();
  } else if (steady_clock::now() - last_said_ > kSayAgainAfter) {
    last_said_ = steady_clock::now();
    spdlog::warn("{}: {} ({} records rejected by it, see `tailrace status`)", url_,
                 answer.message.empty() ? "partial success" : answer.message, answer.rejected);
  }
}

void Dispatcher::book_dropped(const std::vector<WaitingBatch>& batches, DropReason reason, int code) {
  std::vector<Outcome> outcomes;
  outcomes.reserve(batches.size());
  for (const WaitingBatch& batch : batches) {
    Outcome outcome;
    outcome.batch = batch.batch;
    outcome.dropped = batch.records;
    outcome.reason = reason;
    outcome.grpc_code = static_cast<std::uint8_t>(code);
    outcomes.push_back(outcome);
  }
  settle(outcomes);
}

void Dispatcher::settle(std::vector<Outcome>& outcomes) {
  if (outcomes.empty()) return;
  const Status settled = hold_.settle(outcomes);
  if (!settled.ok()) spdlog::error("{}: cannot book an answer: {}", url_, settled.error().sentence);
  on_settled_();
}

void Dispatcher::give_up_expired() {
  if (options_.retry_age.count() == 0) return;
  const auto age = static_cast<std::uint64_t>(nanoseconds(options_.retry_age).count());
  for (const OutgoingRequest& request : queue_.take_expired(steady_ns(), age)) {
    book_dropped(request.batches, DropReason::retry_expired, 0);
  }
}

void Dispatcher::send_what_may_go() {
  if (link_up_.exchange(false, std::memory_order_acq_rel)) gate_.link_up(steady_clock::now());
  while (!queue_.empty() && has_room() && send_one()) {}
}

// One request more for critical records, which so never wait for the answers to others.
bool Dispatcher::has_room() const {
  const std::uint32_t limit = options_.requests_in_flight + (queue_.has_fresh(QueueClass::critical) ? 1 : 0);
  return sender_->in_flight() < limit;
}

// False when nothing more may go now.
bool Dispatcher::send_one() {
  const Gate::Entry entry = gate_.enter(steady_clock::now());
  if (entry == Gate::Entry::refused) return false;
  const bool flushing = flushing_.load(std::memory_order_acquire);
  const QueueClass lowest =
      sender_->in_flight() < options_.requests_in_flight ? QueueClass::background : QueueClass::critical;
  std::optional<OutgoingRequest> request = queue_.take(steady_ns(), options_.request_bytes, flushing, lowest);
  if (!request) {
    gate_.abandon(entry);
    return false;
  }
  auto underway = std::make_unique<Underway>();
  underway->entry = entry;
  underway->request = std::move(*request);
  if (underway->request.first_try_ns == 0) underway->request.first_try_ns = steady_ns();
  std::vector<WaitingBatch> damaged;
  underway->envelope.build(hold_, underway->request.batches, damaged);
  book_dropped(damaged, DropReason::hold_damaged, 0);
  if (underway->request.batches.empty()) {
    gate_.abandon(entry);
    return true;
  }
  Request outgoing;
  outgoing.id = next_id_++;
  outgoing.signal = underway->request.signal;
  outgoing.records = underway->request.records;
  for (const otlp::Piece& piece : underway->envelope.pieces()) {
    outgoing.pieces.push_back(Piece{piece.data(), piece.size()});
  }
  hold_.begin_send(ids_of(underway->request.batches));
  const Status sent = sender_->send(outgoing);
  if (sent.ok()) {
    underway_.emplace(outgoing.id, std::move(underway));
    return true;
  }
  gate_.abandon(entry);
  if (sent.error().code == ErrorCode::kResourceExhausted || sent.error().code == ErrorCode::kInvalidArgument) {
    spdlog::warn("{}: {}", url_, sent.error().sentence);
    book_dropped(underway->request.batches, DropReason::oversize, 0);
    return true;
  }
  // The sender is stopping or full: the request waits where it was.
  hold_.retry(ids_of(underway->request.batches), underway->request.attempts, 0);
  queue_.put_back(std::move(underway->request), steady_ns() + 1'000'000);
  return false;
}

void Dispatcher::note_failure(const Answer& answer) {
  ++failures_;
  if (failing_ && steady_clock::now() - last_said_ < kSayAgainAfter) return;
  failing_ = true;
  last_said_ = steady_clock::now();
  spdlog::warn("{}: {}{}{}; {}", url_, grpc_code_name(answer.code), answer.message.empty() ? "" : ": ", answer.message,
               answer.kind == AnswerKind::retry ? "what was recorded is held and sent again"
                                                : "the request was refused for good and is booked as dropped");
}

void Dispatcher::note_success() {
  if (!failing_) return;
  failing_ = false;
  spdlog::info("{}: takes requests again after {} failures", url_, failures_);
  failures_ = 0;
}

Dispatcher::Time Dispatcher::next_look() const {
  const Time now = steady_clock::now();
  const Time heartbeat = now + kHeartbeat;
  // Only an answer, which wakes us, makes room for more.
  if (queue_.empty() || !has_room()) return heartbeat;
  Time work = heartbeat;
  if (queue_.has_fresh()) {
    work = now;
  } else if (const std::optional<std::uint64_t> due = queue_.next_due_ns()) {
    work = Time(nanoseconds(static_cast<std::int64_t>(*due)));
  }
  return std::min(heartbeat, std::max({work, gate_.opens_at(now), now + milliseconds(1)}));
}

}  // namespace tailrace::agent
