// SPDX-License-Identifier: Apache-2.0
#include "agent/pipeline/worker.hpp"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>

#include "agent/pipeline/record_writer.hpp"
#include "agent/pipeline/span_parts.hpp"
#include "proto/encode/batch.hpp"
#include "tailrace/shm/clock.hpp"

namespace tailrace::agent {
namespace {

using std::chrono::milliseconds;
using std::chrono::nanoseconds;
using std::chrono::steady_clock;

constexpr auto kLookAfter = milliseconds(250);
constexpr auto kLongestSleep = milliseconds(250);  // a heartbeat a second, with room
constexpr auto kFullPause = milliseconds(5);
constexpr auto kLongestBusySleep = milliseconds(8);
constexpr std::uint64_t kNearlyEmptyPermille = 60;
constexpr int kEvictionSteps = 3;  // what is left is booked, the aftermath, the file removed
// Who rings, or books an answer, does not make passes follow each other faster than this while the lanes are
// far from full: a flood of critical records costs two thousand passes a second and no more.
constexpr auto kPassPause = std::chrono::microseconds(500);
constexpr std::uint64_t kFillingPermille = 250;
// A flush that finds the hold too full for metrics looks again after this.
constexpr auto kFullCollection = milliseconds(100);

}  // namespace

WaitingBatch waiting_batch(const BatchInfo& batch) {
  WaitingBatch waiting;
  waiting.batch = batch.id;
  waiting.process = batch.key.process;
  waiting.signal = batch.key.signal;
  waiting.queue = queue_of(batch.key.priority);
  waiting.scope = batch.key.route;
  waiting.records = batch.records;
  waiting.bytes = batch.bytes;
  waiting.opened_ns = batch.opened_ns;
  return waiting;
}

Status close_batch(Hold& hold, const BatchInfo& batch) {
  const otlp::BatchLayout layout = layout_of(batch.note);
  const std::optional<otlp::BatchLengths> lengths = otlp::batch_lengths(layout, batch.bytes);
  if (!lengths) {
    return Error{ErrorCode::kInternal,
                 fmt::format("a batch of {} bytes is shorter than its head of {}", batch.bytes, layout.head_bytes)};
  }
  const auto outer = otlp::length_bytes(lengths->outer);
  const auto inner = otlp::length_bytes(lengths->inner);
  const std::array<Patch, 2> patches{
      Patch{static_cast<std::uint32_t>(layout.outer_length_pos), std::as_bytes(std::span(outer))},
      Patch{static_cast<std::uint32_t>(layout.inner_length_pos), std::as_bytes(std::span(inner))}};
  return hold.close(batch.id, patches);
}

Worker::Worker(Hold& hold, const AgentOptions& options, std::uint32_t thread, TapHub& taps, Deliver deliver)
    : hold_(hold),
      options_(options),
      thread_number_(thread),
      deliver_(std::move(deliver)),
      memory_(taps),
      pass_(hold, kChainsOfPass) {}

Worker::~Worker() {
  if (thread_.joinable()) finish(steady_clock::now());
}

void Worker::start() {
  thread_ = std::thread([this] { run(); });
}

void Worker::adopt(std::unique_ptr<Session> session) {
  incoming_.enqueue(std::move(session));
  waiter_.wake();
}

void Worker::take_gone(std::vector<std::string>& out) {
  std::string name;
  while (gone_.try_dequeue(name)) out.push_back(std::move(name));
}

void Worker::finish(Time deadline) {
  deadline_.store(deadline, std::memory_order_release);
  stopping_.store(true, std::memory_order_release);
  waiter_.wake();
  if (thread_.joinable()) thread_.join();
}

void Worker::run() {
  hold_.name_thread(thread_number_, fmt::format("drain {}", thread_number_));
  while (!stopping_.load(std::memory_order_acquire)) {
    hold_.beat(thread_number_);
    waiter_.prepare();
    last_pass_ = steady_clock::now();
    take_new_sessions();
    look_after_sessions();
    const bool busy = run_passes();
    collect_metrics();
    collect_for_flushes();
    close_batches(full_);
    close_for_flushes();
    answer_flushes();
    forget_gone_sessions();
    const nanoseconds sleep = full_ ? kFullPause : flushes_draining() ? kPassPause : next_sleep(busy);
    const nanoseconds collection = std::max(next_collection_ - steady_clock::now(), nanoseconds(milliseconds(1)));
    waiter_.wait(std::min({sleep, next_close(), collection, nanoseconds(kLongestSleep)}));
    answer_flushes();
    pause_between_passes();
  }
  drain_to_the_end();
}

// While there is work, the sleep grows as long as the passes find the lanes nearly empty: larger passes cost less a
// record. A burst in between rings the bell at half a lane, and a critical record at once.
milliseconds Worker::next_sleep(bool busy) {
  if (!busy) {
    busy_sleep_ = PollPace::kBusy;
    return pace_.next();
  }
  pace_.found_work();
  if (fullest_permille_ < kNearlyEmptyPermille) {
    busy_sleep_ = std::min(busy_sleep_ * 2, kLongestBusySleep);
  } else if (fullest_permille_ > 2 * kNearlyEmptyPermille) {
    busy_sleep_ = PollPace::kBusy;
  }
  return busy_sleep_;
}

// Awake, and hence without anybody's system call: records that come meanwhile are taken together.
void Worker::pause_between_passes() {
  while (fullest_permille_ < kFillingPermille && !stopping_.load(std::memory_order_acquire)) {
    const nanoseconds left = last_pass_ + kPassPause - steady_clock::now();
    if (left <= nanoseconds(0)) return;
    waiter_.nap(left);
    answer_flushes();
  }
}

void Worker::take_new_sessions() {
  std::unique_ptr<Session> session;
  while (incoming_.try_dequeue(session)) {
    session->enter(memory_);
    waiter_.add(session->segment());
    by_process_.insert_or_assign(session->process(), session.get());
    sessions_.push_back(std::move(session));
    pace_.found_work();
  }
}

bool Worker::run_passes() {
  bool busy = false;
  full_ = false;
  fullest_permille_ = 0;
  memory_.tap.refresh();
  for (std::size_t i = 0; i < sessions_.size() && !full_; ++i) {
    Session& session = *sessions_[(first_session_ + i) % sessions_.size()];
    const PassResult result = session.run_pass(pass_);
    busy = busy || result.records != 0 || result.more;
    fullest_permille_ = std::max(fullest_permille_, result.fullest_permille);
    if (!result.full) continue;
    full_ = true;
    first_session_ = (first_session_ + i) % sessions_.size();  // it goes on first when there is room
  }
  return busy;
}

void Worker::collect_metrics() {
  const Time now = steady_clock::now();
  next_collection_ = now + kLongestSleep;
  for (const std::unique_ptr<Session>& session : sessions_) {
    if (session->collect_if_due(pass_, now).full) full_ = true;
    next_collection_ = std::min(next_collection_, session->next_collection());
  }
}

void Worker::look_after_sessions() {
  const Time now = steady_clock::now();
  if (now - last_look_ < kLookAfter) return;
  last_look_ = now;
  std::uint64_t dead_bytes = 0;
  for (const std::unique_ptr<Session>& session : sessions_) {
    session->look_after();
    if (session->dead()) dead_bytes += session->segment().memory_bytes();
  }
  dead_bytes_.store(dead_bytes, std::memory_order_relaxed);
  if (const std::uint64_t bytes = evict_bytes_.exchange(0, std::memory_order_relaxed); bytes != 0) evict(bytes);
}

// Sessions stand in the order in which they came. Drained ones go first: nothing is lost by it. At once and to its end:
// while the hold is full, the rounds of passes end at the first process that finds no room.
void Worker::evict(std::uint64_t bytes) {
  std::uint64_t freed = 0;
  for (const bool drained : {true, false}) {
    for (const std::unique_ptr<Session>& session : sessions_) {
      if (freed >= bytes) return;
      if (!session->dead() || session->drained() != drained) continue;
      freed += session->segment().memory_bytes();
      session->evict();
      for (int step = 0; step < kEvictionSteps && !session->gone(); ++step) session->run_pass(pass_);
    }
  }
}

void Worker::forget_gone_sessions() {
  for (const std::unique_ptr<Session>& session : sessions_) {
    if (!session->gone()) continue;
    spdlog::info("{}: gone, its segment is removed", session->describe());
    waiter_.remove(session->segment());
    by_process_.erase(session->process());
    gone_.enqueue(session->segment().name());
  }
  std::erase_if(sessions_, [](const std::unique_ptr<Session>& session) { return session->gone(); });
}

// By age and priority, or all of them; what is full by size or count was sealed when it was filled.
void Worker::close_batches(bool all) {
  pass_.open_batches(open_);
  const std::uint64_t now = shm::realtime_ns();
  std::erase_if(open_, [&](const BatchInfo& batch) {
    const bool due = all || now >= due_ns(batch);
    if (due) close(batch);
    return due;
  });
}

// Before the batches are closed, so that the points are among them.
void Worker::collect_for_flushes() {
  const Time now = steady_clock::now();
  if (now < next_flush_collection_) return;
  for (const std::unique_ptr<Session>& session : sessions_) {
    Flushes* flushes = session->flushes();
    if (flushes == nullptr || !flushes->wants_metrics()) continue;
    if (session->collect_now(pass_).full) {
      full_ = true;
      next_flush_collection_ = now + kFullCollection;
    } else {
      flushes->note_metrics();
    }
  }
}

// What was recorded before a flush is in these batches: they go now, and are what it waits for.
void Worker::close_for_flushes() {
  for (const std::unique_ptr<Session>& session : sessions_) {
    Flushes* flushes = session->flushes();
    if (flushes == nullptr) continue;
    const bool all = flushes->wants_closed(shm::FlushKind::all);
    if (!all && !flushes->wants_closed(shm::FlushKind::critical)) continue;
    std::erase_if(open_, [&](const BatchInfo& batch) {
      const bool wanted =
          batch.key.process == session->process() && (all || queue_of(batch.key.priority) == QueueClass::critical);
      if (wanted) close(batch);
      return wanted;
    });
    flushes->note_closed();
  }
}

bool Worker::flushes_draining() {
  return std::any_of(sessions_.begin(), sessions_.end(), [](const std::unique_ptr<Session>& session) {
    const Flushes* flushes = session->flushes();
    return flushes != nullptr && flushes->draining();
  });
}

void Worker::answer_flushes() {
  for (const std::unique_ptr<Session>& session : sessions_) {
    if (Flushes* flushes = session->flushes()) flushes->answer();
  }
}

void Worker::close(const BatchInfo& batch) {
  const Status closed = close_batch(hold_, batch);
  if (!closed.ok()) {
    spdlog::error("cannot close a batch of {} records: {}", batch.records, closed.error().sentence);
    return;
  }
  deliver_(waiting_batch(batch));
}

std::uint64_t Worker::due_ns(const BatchInfo& batch) const {
  const auto session = by_process_.find(batch.key.process);
  const BatchLimits& limits = session != by_process_.end() ? session->second->limits(batch.key.signal) : options_.batch;
  if (batch.bytes >= limits.bytes || batch.records >= limits.records) return 0;
  const nanoseconds linger = limits.linger[static_cast<std::size_t>(queue_of(batch.key.priority))];
  return batch.opened_ns + static_cast<std::uint64_t>(linger.count());
}

// Until the next open batch is due; open_ holds those that close_batches() left.
nanoseconds Worker::next_close() const {
  nanoseconds next = kLongestSleep;
  const std::uint64_t now = shm::realtime_ns();
  for (const BatchInfo& batch : open_) {
    const std::uint64_t due = due_ns(batch);
    next = std::min(next, nanoseconds(due > now ? static_cast<std::int64_t>(due - now) : 0));
  }
  return std::max(next, nanoseconds(milliseconds(1)));
}

void Worker::drain_to_the_end() {
  const Time deadline = deadline_.load(std::memory_order_acquire);
  take_new_sessions();
  // One round reads every lane to where its head stands; more only while something is left behind.
  for (int round = 0; round < 1000; ++round) {
    const bool busy = run_passes();
    close_batches(true);
    close_for_flushes();
    answer_flushes();
    if ((!busy && !full_) || steady_clock::now() >= deadline) break;
    if (full_) std::this_thread::sleep_for(kFullPause);
    hold_.beat(thread_number_);
  }
  for (const std::unique_ptr<Session>& session : sessions_) {
    if (session->collect_now(pass_).full) {
      spdlog::warn("{}: its last metrics find no room in the hold; the next agent collects them", session->describe());
    } else if (Flushes* flushes = session->flushes()) {
      flushes->note_metrics();
    }
  }
  close_batches(true);
  close_for_flushes();
  for (const std::unique_ptr<Session>& session : sessions_) session->leave();
}

}  // namespace tailrace::agent
