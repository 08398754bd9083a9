// SPDX-License-Identifier: Apache-2.0
#include "agent/pipeline/session.hpp"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>

#include "tailrace/shm/clock.hpp"

namespace tailrace::agent {
namespace {

constexpr std::size_t kLaneBudgetBytes = std::size_t{1} << 20;
constexpr std::array<Signal, 2> kLaneSignals{Signal::traces, Signal::logs};
constexpr std::uint32_t kPoisonDeaths = 3;

// What a record of a lane counts as in the ledger; nothing for threads, losses, parts and the like.
std::optional<Signal> signal_of(shm::RecordType type) {
  if (type == shm::RecordType::span) return Signal::traces;
  if (type == shm::RecordType::log) return Signal::logs;
  return std::nullopt;
}

shm::Signal lane_signal(Signal signal) { return static_cast<shm::Signal>(signal); }

}  // namespace

Session::Session(Hold& hold, std::unique_ptr<AttachedSegment> segment)
    : hold_(hold), segment_(std::move(segment)), decoder_(segment_->geometry()) {}

Session::~Session() {
  if (process_ != kNoProcess) hold_.detach(process_);
}

Result<std::unique_ptr<Session>> Session::start(Hold& hold, std::unique_ptr<AttachedSegment> segment,
                                                const HostFacts& host, const AgentOptions& options,
                                                const ProcessHints& own) {
  std::unique_ptr<Session> session(new Session(hold, std::move(segment)));
  Status registered = session->register_process(host);
  if (!registered.ok()) return std::move(registered).error();
  session->take_hints(options, own);
  return session;
}

void Session::take_hints(const AgentOptions& options, const ProcessHints& own) {
  const HintsReport report = read_hints(*segment_, decoder_);
  for (const std::string& warning : report.warnings) spdlog::warn("{}: {}", describe(), warning);
  hold_.set_word(process_, ProcessWord::hints_refused, report.refused);
  hints_ = own.or_else(report.hints);
  limits_ = limits_of(options, hints_);
  metric_settings_ = metric_settings_of(options, hints_);
}

Status Session::register_process(const HostFacts& host) {
  drain_ = std::make_unique<SegmentDrain>(*segment_, decoder_);
  resource_.emplace(read_resource(*segment_, decoder_, host));

  ProcessIdentity identity;
  identity.uuid = segment_->uuid();
  identity.pid = static_cast<std::uint32_t>(segment_->pid());
  identity.uid = segment_->uid();
  identity.start_ticks = segment_->geometry().start_time_ticks;
  identity.service = std::string(resource_->service());
  identity.segment = segment_->name();
  identity.lanes = segment_->lane_count();
  identity.met_before = segment_->last_epoch() != 0;

  process_ = hold_.find(identity.uuid);
  bool known = process_ != kNoProcess;
  if (known && hold_.process(process_).identity.segment != identity.segment) {
    const ProcessIndex owner = std::exchange(process_, kNoProcess);
    return Error{ErrorCode::kAlreadyExists,
                 fmt::format("segment {}: its identity belongs to segment {}; remove the copy", identity.segment,
                             hold_.process(owner).identity.segment)};
  }
  const std::vector<ProcessIndex>& lost = hold_.recovery().lanes_lost;
  if (known && std::find(lost.begin(), lost.end(), process_) != lost.end()) known = false;
  if (!known) {
    Result<ProcessIndex> added = hold_.add(identity);
    if (!added) return std::move(added).error();
    process_ = *added;
  }
  take_positions(known);
  const Ledger ledger = hold_.ledger(process_);
  for (const Signal signal : kLaneSignals) {
    const SignalLedger& row = ledger[index_of(signal)];
    seen_[index_of(signal)] = row.seen - row.produced;
  }
  hold_.attach(process_, this, segment_->settled_words());
  flushes_.emplace(hold_, *segment_, process_);
  segment_->announce(hold_.epoch());
  return {};
}

// The hold knows best. Where it does not know the process, an earlier hold is gone, and R4's tail says
// how far that one came: 0 for a process nobody has met.
void Session::take_positions(bool known) {
  std::uint32_t resynced = 0;
  for (std::uint32_t lane = 0; lane < segment_->lane_count(); ++lane) {
    const std::uint64_t wished = known ? hold_.position(process_, lane) : segment_->tail(lane);
    const StartedAt started = drain_->start_at(lane, wished);
    if (started.resynced) ++resynced;
    if (started.position != hold_.position(process_, lane)) {
      hold_.set_position(process_, lane, started.position);
    }
  }
  if (resynced != 0) {
    spdlog::warn(
        "{}: {} lanes go on at their head: the position they had is not in the ring; what is missing "
        "is shown as unaccounted",
        describe(), resynced);
  }
}

void Session::enter(WorkerMemory& memory) {
  memory_ = &memory;
  writer_ = std::make_unique<RecordWriter>(process_, decoder_, *resource_, limits_, memory.encode, memory.tap);
  parts_ = std::make_unique<SpanParts>(hold_, process_, decoder_, *writer_);
  metrics_ = std::make_unique<SessionMetrics>(hold_, process_, *segment_, *drain_, decoder_, *writer_, metric_settings_,
                                              memory.encode, describe());
  for (const BatchInfo& parked : hold_.recovery().parked) {
    if (parked.key.process == process_) parts_->take_up(parked);
  }
  trouble_ = hold_.trouble(process_);
  if (trouble_.deaths == 0) return;
  careful_until_.assign(segment_->lane_count(), 0);
  for (std::uint32_t lane = 0; lane < segment_->lane_count(); ++lane) {
    if (segment_->lane_committed(lane)) careful_until_[lane] = segment_->head(lane);
  }
}

std::string Session::describe() const {
  return fmt::format("{} (pid {}, segment {})", resource_ ? resource_->service() : "process", segment_->pid(),
                     segment_->name());
}

void Session::settled(std::uint32_t lane, std::uint64_t position) { segment_->publish_settled(lane, position); }

void Session::look_after() {
  segment_->beat(shm::monotonic_ns());
  segment_->refresh_condition();
  if (decoder_.timeline().disagrees()) segment_->set_clock_override(shm::ClockKind::monotonic);
  if (!segment_->dead() && segment_->try_lock_dead()) {
    hold_.set_word(process_, ProcessWord::phase, static_cast<std::uint64_t>(ProcessPhase::dead));
  }
}

void Session::leave() {
  if (!segment_->dead()) segment_->withdraw();
}

PassResult Session::run_pass(Pass& pass) {
  Flushes* flushes = this->flushes();
  if (flushes != nullptr) flushes->ask();
  const PassResult result = take_pass(pass);
  if (flushes != nullptr) flushes->note_progress(*drain_, parts_->joined_before(pass_number_));
  return result;
}

PassResult Session::take_pass(Pass& pass) {
  PassResult result;
  if (gone_) return result;
  if (aftermath_done_) {
    try_to_go();
    return result;
  }
  const bool was_dead = segment_->dead();
  const bool lost = evict_ || segment_->condition() == SegmentCondition::poisoned ||
                    segment_->condition() == SegmentCondition::quarantined;
  if (lost) {
    if (evict_) drain_->abandon_lanes();
    if (!lost_booked_ || was_dead) {
      if (!pass.begin(process_)) pass.commit();
      book_lost(pass, evict_ ? DropReason::segment_evicted : DropReason::quarantined);
      commit(pass);
    }
  } else {
    const PassInfo info = drain_->begin_pass();
    if (!info.readable) return result;
    observed_ns_ = info.observed_ns;
    flushes_->draw_line(drain_->ready(), pass_number_);
    result = trouble_.deaths != 0 ? drain_carefully(pass) : drain_lanes(pass);
    result.fullest_permille = info.fullest_permille;
    ++pass_number_;
    if (result.full || result.more) return result;
    complete_passes_ = pass_number_ - 1;
    if (parts_->waiting()) {
      const PassResult joined = join_parts(pass);
      if (joined.full) return joined;
      result.records += joined.records;
    }
    if (was_dead && !drain_->drained()) result.more = true;
  }
  if (was_dead && !result.more) {
    const PassResult finished = finish_dead(pass);
    result.full = result.full || finished.full;
    result.more = result.more || finished.more;
  }
  return result;
}

bool Session::can_collect() const { return !gone_ && !aftermath_done_ && !evict_ && segment_->readable(); }

PassResult Session::collect_if_due(Pass& pass, std::chrono::steady_clock::time_point now) {
  if (now < metrics_->next()) return {};
  metrics_->collected_at(now);
  PassResult result;
  // The last values of a dead process come with its aftermath.
  if (!can_collect() || segment_->dead()) return result;
  result.full = metrics_->collect(pass, false) == CollectStatus::full;
  if (result.full) metrics_->count_skipped();
  return result;
}

PassResult Session::collect_now(Pass& pass) {
  PassResult result;
  if (can_collect()) result.full = metrics_->collect(pass, false) == CollectStatus::full;
  return result;
}

PassResult Session::drain_lanes(Pass& pass) {
  PassResult result;
  bool begun = false;
  bool stopped = false;
  for (const LaneWork& work : drain_->ready()) {
    if (!begun) {
      if (!pass.begin(process_)) {
        commit(pass);
        static_cast<void>(pass.begin(process_));
      }
      begun = true;
    }
    LaneRecords records = drain_->copy_lane(work.lane, kLaneBudgetBytes, memory_->copy);
    std::uint64_t position = work.from;
    shm::RecordRef record;
    while (records.next(record)) {
      const AppendStatus status = take(pass, record, Origin{work.lane, record.position});
      if (status != AppendStatus::appended) {
        stopped = true;
        result.full = status == AppendStatus::full;
        result.more = !result.full;
        break;
      }
      ++result.records;
      position = record.next_position;
    }
    if (!stopped) {
      position = records.position();
      if (records.broken()) pass.add_word(process_, ProcessWord::corrupt_lanes, 1);
      if (!records.complete()) result.more = true;
    }
    pass.set_position(process_, work.lane, position);
    moved_.emplace_back(work.lane, position);
    if (stopped) break;
  }
  book_counters(pass);
  if (!pass.empty() || begun) commit(pass);
  return result;
}

// After an agent died over this process: one record a transaction, so that the one that kills is known.
PassResult Session::drain_carefully(Pass& pass) {
  PassResult result;
  bool behind = false;
  std::vector<LaneWork> lanes(drain_->ready().begin(), drain_->ready().end());
  // The record that ended the last agent first: the hold counts deaths of one record a process.
  std::stable_partition(lanes.begin(), lanes.end(),
                        [this](const LaneWork& work) { return work.lane == trouble_.lane; });
  for (const LaneWork& work : lanes) {
    LaneRecords records = drain_->copy_lane(work.lane, kLaneBudgetBytes, memory_->copy);
    shm::RecordRef record;
    while (records.next(record)) {
      if (record.position >= careful_until_[work.lane]) break;
      const Origin origin{work.lane, record.position};
      const bool poison = trouble_.careful && trouble_.lane == work.lane && trouble_.position == record.position &&
                          trouble_.deaths >= kPoisonDeaths;
      if (poison) {
        static_cast<void>(pass.begin(process_));
        drop_record(pass, record, DropReason::poison);
        spdlog::error("{}: the record at {} of lane {} ended an agent {} times; it is skipped and booked", describe(),
                      record.position, work.lane, trouble_.deaths);
      } else {
        static_cast<void>(pass.begin_careful(process_, origin));
        if (take(pass, record, origin) != AppendStatus::appended) {
          commit(pass);
          result.full = true;
          return result;
        }
      }
      pass.set_position(process_, work.lane, record.next_position);
      moved_.emplace_back(work.lane, record.next_position);
      commit(pass);
      ++result.records;
    }
    if (records.broken()) {
      static_cast<void>(pass.begin(process_));
      pass.add_word(process_, ProcessWord::corrupt_lanes, 1);
      pass.set_position(process_, work.lane, records.position());
      moved_.emplace_back(work.lane, records.position());
      commit(pass);
    }
    if (drain_->position(work.lane) < careful_until_[work.lane]) behind = true;
  }
  if (!behind) trouble_ = {};
  result.more = true;
  return result;
}

AppendStatus Session::take(Pass& pass, const shm::RecordRef& record, Origin origin) {
  const Decoded decoded = decoder_.decode(record, observed_ns_);
  AppendStatus status = AppendStatus::appended;
  switch (decoded.kind) {
    case Decoded::Kind::span:
      status = decoded.parts != 0 || decoded.was_started ? parts_->park(pass, decoded, record, origin, pass_number_)
                                                         : writer_->append(pass, decoded, origin);
      break;
    case Decoded::Kind::log: status = writer_->append(pass, decoded, origin); break;
    case Decoded::Kind::part:
    case Decoded::Kind::span_start: status = parts_->park(pass, decoded, record, origin, pass_number_); break;
    case Decoded::Kind::other: pass.add_word(process_, ProcessWord::other_records, 1); break;
    case Decoded::Kind::bad: drop_record(pass, record, DropReason::corrupt); return status;
  }
  if (status == AppendStatus::oversize) {
    drop_record(pass, record, DropReason::oversize);
    return AppendStatus::appended;
  }
  if (status != AppendStatus::appended) return status;
  if (decoded.truncated) pass.add_word(process_, ProcessWord::truncated, 1);
  if (const std::optional<Signal> signal = signal_of(record.type)) ++seen_[index_of(*signal)];
  return status;
}

void Session::drop_record(Pass& pass, const shm::RecordRef& record, DropReason reason) {
  const std::optional<Signal> signal = signal_of(record.type);
  if (!signal) return;
  pass.drop(process_, *signal, reason, 1, record.flags & shm::kFlagPriorityMask);
  ++seen_[index_of(*signal)];
}

// The application's own counts. `written` is stored after head, so it may be one behind for each lane;
// a larger difference is somebody's mistake and stays visible as `unaccounted`.
void Session::book_counters(Pass& pass) {
  const shm::CounterSums now = segment_->counters();
  for (const Signal signal : kLaneSignals) {
    const std::size_t i = index_of(signal);
    const shm::Signal lane = lane_signal(signal);
    const std::uint64_t lane_full = now.dropped_of(lane);
    const std::uint64_t unlaned = now.unlaned_of(lane);
    std::uint64_t published = now.written[i];
    if (seen_[i] > published && seen_[i] - published <= segment_->lane_count()) published = seen_[i];
    const std::uint64_t written = published + lane_full + unlaned;
    const std::uint64_t before = counters_.written[i] + counters_.dropped_of(lane) + counters_.unlaned_of(lane);
    if (written == before) continue;
    if (pass.empty() && !pass.begin(process_)) commit(pass);
    pass.set_written(process_, signal, written);
    pass.set_shim_dropped(process_, signal, DropReason::lane_full, lane_full);
    pass.set_shim_dropped(process_, signal, DropReason::unlaned, unlaned);
  }
  counters_ = now;
  for (const Signal signal : kLaneSignals) {
    const std::size_t i = index_of(signal);
    counters_.written[i] = std::max(counters_.written[i], seen_[i]);
  }
}

// What the application wrote and nobody can read any more.
void Session::book_lost(Pass& pass, DropReason reason) {
  if (segment_->condition() != SegmentCondition::poisoned) book_counters(pass);
  for (const Signal signal : kLaneSignals) {
    const std::size_t i = index_of(signal);
    if (counters_.written[i] <= seen_[i]) continue;
    const std::uint64_t lost = counters_.written[i] - seen_[i];
    pass.drop(process_, signal, reason, lost);
    seen_[i] += lost;
    spdlog::warn("{}: {} {} records given up: {}", describe(), lost, signal_name(signal), drop_reason_name(reason));
  }
  lost_booked_ = true;
}

void Session::commit(Pass& pass) {
  pass.commit();
  for (const auto& [lane, position] : moved_) drain_->commit(lane, position);
  moved_.clear();
}

PassResult Session::join_parts(Pass& pass) {
  PassResult result;
  for (;;) {
    if (!pass.begin(process_)) commit(pass);
    const AppendStatus status = parts_->join_ready(pass, complete_passes_, observed_ns_);
    if (!pass.empty()) commit(pass);
    if (status == AppendStatus::cap) continue;
    result.full = status == AppendStatus::full;
    return result;
  }
}

void Session::try_to_go() {
  const Ledger ledger = hold_.ledger(process_);
  const bool settled = std::all_of(ledger.begin(), ledger.end(), [](const SignalLedger& row) { return row.held == 0; });
  if (!settled && !evict_) return;
  // In this order: a hold that still names the process after its file is gone is put right by the next
  // agent, or by Orphans when the rest is settled; a file without its process would have its open spans
  // reported twice.
  if (const Status unlinked = segment_->unlink(); !unlinked.ok()) {
    spdlog::warn("{}: {}", describe(), unlinked.error().sentence);
  }
  hold_.detach(process_);
  if (settled) {
    const Status retired = hold_.retire(process_);
    if (!retired.ok()) spdlog::error("{}: {}", describe(), retired.error().sentence);
  }
  process_ = kNoProcess;
  gone_ = true;
}

}  // namespace tailrace::agent
