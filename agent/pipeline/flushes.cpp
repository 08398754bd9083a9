// SPDX-License-Identifier: Apache-2.0
#include "agent/pipeline/flushes.hpp"

#include <algorithm>

namespace tailrace::agent {
namespace {

constexpr std::array<shm::FlushKind, shm::kFlushKinds> kKinds{shm::FlushKind::all, shm::FlushKind::critical};

SettledCounts counts_of(const SignalLedger& row, shm::FlushKind kind) {
  SettledCounts counts;
  if (kind == shm::FlushKind::critical) {
    counts.delivered = row.critical.delivered;
    counts.rejected = row.critical.rejected;
    counts.dropped = row.critical.dropped;
    return counts;
  }
  counts.produced = row.produced;
  counts.delivered = row.delivered;
  counts.rejected = row.rejected;
  for (std::size_t i = 0; i < kDropReasonCount; ++i) {
    const auto reason = static_cast<DropReason>(i);
    if (is_shim_reason(reason)) continue;  // the application counts those itself
    counts.dropped[static_cast<std::size_t>(drop_group(reason))] += row.dropped[i];
  }
  return counts;
}

}  // namespace

Flushes::Flushes(Hold& hold, AttachedSegment& segment, ProcessIndex process)
    : hold_(hold), segment_(segment), process_(process) {
  for (const shm::FlushKind kind : kKinds) {
    kinds_[static_cast<std::size_t>(kind)].generation = segment_.flush_done(kind);
  }
}

void Flushes::ask() {
  for (const shm::FlushKind kind : kKinds) {
    Kind& own = kinds_[static_cast<std::size_t>(kind)];
    if (own.state != State::idle || own.waiting.size() >= kWaitingMax) continue;
    const std::uint32_t wanted = segment_.flush_gen(kind);  // acquire: the records before it are there
    if (wanted == own.generation) continue;
    own.generation = wanted;
    own.state = State::asked;
  }
}

void Flushes::draw_line(std::span<const LaneWork> ready, std::uint64_t pass_number) {
  for (Kind& own : kinds_) {
    if (own.state != State::asked) continue;
    own.heads.clear();
    for (const LaneWork& work : ready) own.heads.emplace_back(work.lane, work.to);
    own.pass_number = pass_number;
    own.state = State::draining;
  }
}

void Flushes::note_progress(const SegmentDrain& drain, std::uint64_t joined_before) {
  for (const shm::FlushKind kind : kKinds) {
    Kind& own = kinds_[static_cast<std::size_t>(kind)];
    if (own.state != State::draining) continue;
    std::erase_if(own.heads, [&drain](const auto& head) { return drain.position(head.first) >= head.second; });
    if (own.heads.empty() && own.pass_number < joined_before) {
      own.state = kind == shm::FlushKind::critical ? State::ready : State::drained;
    }
  }
}

bool Flushes::draining() const {
  return std::any_of(kinds_.begin(), kinds_.end(),
                     [](const Kind& own) { return own.state == State::asked || own.state == State::draining; });
}

void Flushes::note_metrics() {
  Kind& own = kinds_[static_cast<std::size_t>(shm::FlushKind::all)];
  if (own.state == State::drained) own.state = State::ready;
}

void Flushes::note_closed() {
  for (const shm::FlushKind kind : kKinds) {
    Kind& own = kinds_[static_cast<std::size_t>(kind)];
    if (own.state != State::ready) continue;
    Waiting& waiting = own.waiting.emplace_back();
    waiting.generation = own.generation;
    hold_.unsettled(process_, kind == shm::FlushKind::critical, waiting.batches);
    own.state = State::idle;
  }
}

void Flushes::answer() {
  for (const shm::FlushKind kind : kKinds) {
    Kind& own = kinds_[static_cast<std::size_t>(kind)];
    if (own.waiting.empty() && own.state == State::idle) continue;
    // A later line's batches are those that are left of an earlier one, and more: answers come in order.
    std::size_t answered = 0;
    while (answered < own.waiting.size()) {
      hold_.forget_settled(own.waiting[answered].batches);
      if (!own.waiting[answered].batches.empty()) break;
      ++answered;
    }
    // The ledger after the batches: what is answered is in it.
    const Ledger ledger = hold_.ledger(process_);
    std::array<SettledCounts, shm::kSignals> counts;
    for (std::size_t i = 0; i < counts.size(); ++i) counts[i] = counts_of(ledger[i], kind);
    segment_.publish_counts(kind, counts);
    if (answered == 0) continue;
    segment_.set_flush_done(kind, own.waiting[answered - 1].generation);
    own.waiting.erase(own.waiting.begin(), own.waiting.begin() + static_cast<std::ptrdiff_t>(answered));
  }
}

}  // namespace tailrace::agent
