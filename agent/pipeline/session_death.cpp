// SPDX-License-Identifier: Apache-2.0
//
// What a session does once its process is dead and its lanes are read to their heads: the spans it left
// open, each once, and the last values of its metrics. `slots_done` in the hold says how far an agent came; it
// moves with each span's commit.
#include <algorithm>
#include <cstring>
#include <utility>

#include <spdlog/spdlog.h>

#include "agent/pipeline/session.hpp"

namespace tailrace::agent {
namespace {

std::uint64_t key_of(const shm::SlotSpan& slot) { return slot.record.span_id; }

}  // namespace

PassResult Session::finish_dead(Pass& pass) {
  // Every lane is read: no part can come any more.
  complete_passes_ = pass_number_ + 1;
  PassResult result = join_parts(pass);
  if (result.full && !evict_) return result;
  if (segment_->readable()) {
    result = report_open_spans(pass);
    if (!result.full) result = report_starts(pass);
    if (!result.full) result.full = !collect_last(pass);
    if (result.full && !evict_) return result;
  }
  if (std::exchange(result.full, false)) {
    spdlog::warn("{}: the hold has no room for the spans that it left open; they are not reported", describe());
  }
  do {
    if (!pass.begin(process_)) commit(pass);
    const bool all = parts_->discard_rest(pass);
    if (!pass.empty()) commit(pass);
    if (all) break;
  } while (true);
  static_cast<void>(pass.begin(process_));
  if (segment_->readable()) book_counters(pass);
  pass.set_word(process_, ProcessWord::phase, static_cast<std::uint64_t>(ProcessPhase::drained));
  commit(pass);
  aftermath_done_ = true;
  return result;
}

// False: no room yet. An agent that is killed after it leaves a word, and the values are not sent again.
bool Session::collect_last(Pass& pass) {
  if (hold_.word(process_, ProcessWord::metrics_done) != 0 || !can_collect()) return true;
  return metrics_->collect(pass, true) != CollectStatus::full;
}

PassResult Session::report_open_spans(Pass& pass) {
  PassResult result;
  const CrashNote note = segment_->crash();
  const CrashMark crash{note.signal, note.address, note.counter};
  const std::uint64_t end_ns = decoder_.last_time_ns();
  OpenSpans open(*segment_, hold_.word(process_, ProcessWord::slots_done));
  shm::SlotSpan slot;
  while (open.next(slot)) {
    const std::uint64_t key = key_of(slot);
    const std::vector<shm::Bytes> parts = parts_->parts_of(key);
    const Decoded decoded = decoder_.decode_slot(slot, parts, end_ns, crash);
    for (;;) {
      if (!pass.begin(process_)) commit(pass);
      if (decoded.kind != Decoded::Kind::span) break;
      const std::vector<BatchId> chains = parts_->take_parts(key);
      const AppendStatus status =
          chains.empty() ? writer_->append(pass, decoded, Origin{}) : writer_->join(pass, decoded, chains);
      if (status == AppendStatus::cap) {
        parts_->give_back(key, chains);
        commit(pass);
        continue;
      }
      if (status == AppendStatus::full) {
        parts_->give_back(key, chains);
        commit(pass);
        result.full = true;
        return result;
      }
      pass.add_produced(process_, Signal::traces, 1);
      if (status == AppendStatus::oversize) {
        pass.drop(process_, Signal::traces, DropReason::oversize);
        parts_->give_back(key, chains);
      }
      if (slot.verdict == shm::SlotVerdict::open) pass.add_word(process_, ProcessWord::incomplete_spans, 1);
      break;
    }
    pass.set_word(process_, ProcessWord::slots_done, open.index());
  }
  if (!pass.begin(process_)) commit(pass);
  pass.set_word(process_, ProcessWord::slots_done, open.total());
  commit(pass);
  return result;
}

PassResult Session::report_starts(Pass& pass) {
  PassResult result;
  const CrashNote note = segment_->crash();
  const CrashMark crash{note.signal, note.address, note.counter};
  while (!parts_->starts().empty()) {
    const auto [key, start] = *parts_->starts().begin();
    const std::vector<shm::Bytes> parts = parts_->parts_of(key);
    const Decoded decoded = decoder_.decode_span_start(parts_->raw(start), parts, decoder_.last_time_ns(), crash);
    if (!pass.begin(process_)) commit(pass);
    std::vector<BatchId> chains = parts_->take_parts(key);
    chains.push_back(start);
    const AppendStatus status =
        decoded.kind == Decoded::Kind::span ? writer_->join(pass, decoded, chains) : AppendStatus::oversize;
    if (status == AppendStatus::appended) {
      pass.add_produced(process_, Signal::traces, 1);
      pass.add_word(process_, ProcessWord::incomplete_spans, 1);
      parts_->forget_start(key);
      continue;
    }
    chains.pop_back();
    parts_->give_back(key, chains);
    if (status == AppendStatus::oversize) {
      if (!pass.discard(start, DropReason::oversize)) {
        commit(pass);
        continue;
      }
      parts_->forget_start(key);
      continue;
    }
    commit(pass);
    if (status == AppendStatus::full) {
      result.full = true;
      return result;
    }
  }
  if (!pass.empty()) commit(pass);
  return result;
}

}  // namespace tailrace::agent
