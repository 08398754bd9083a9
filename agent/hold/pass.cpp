// SPDX-License-Identifier: Apache-2.0
#include "agent/hold/pass.hpp"

#include <algorithm>
#include <cassert>
#include <utility>

#include "agent/hold/mutation.hpp"
#include "agent/hold/pass_state.hpp"
#include "agent/hold/words.hpp"
#include <tailrace/shm/test_point.hpp>

namespace tailrace::agent {

using namespace hold_layout;

namespace {

constexpr std::uint64_t kBaselineEntries = 3;  // new slot, old slot, the process's word

// Every ledger and general word once, the lanes, a baseline: what a process can take of the log.
std::uint64_t log_need(const Process& process) {
  return kLedgerSignals * kLedgerWords + kProcessWordCount + kBaselineEntries + process.lanes.size();
}

}  // namespace

bool Pass::State::begin(ProcessIndex index, bool careful, Origin record) {
  const std::lock_guard lock(core.mutex);
  Process& process = *core.processes[index];
  if (find_changes(index) == nullptr) {
    const std::uint64_t need = log_need(process);
    if (begun != 0 && log_used + need + touch_max_ > core.transaction.capacity()) {
      return false;
    }
    log_used += need;
    if (begun == processes.size()) {
      processes.push_back(std::make_unique<Changes>());
    }
    Changes& fresh = *processes[begun++];
    fresh.index = index;
    fresh.positions.resize(process.lanes.size());
    fresh.lane_set.assign(process.lanes.size(), false);
    last_ = &fresh;
  }
  if (careful) {
    const std::uint64_t old = process.words[kProcessDrain];
    const bool same = (old & kDrainCareful) != 0 && (old >> 32 & 0xffff) == (record.lane & 0xffff) &&
                      process.words[kProcessDrainPosition] == record.position;
    // Not active while the position changes, so that a death between the two stores blames nobody.
    core.store_process(index, kProcessDrain, same ? old & ~kDrainActive : 0);
    TAILRACE_TEST_POINT("hold.drain.idle");
    core.store_process(index, kProcessDrainPosition, record.position);
    TAILRACE_TEST_POINT("hold.drain.position");
    core.store_process(
        index, kProcessDrain,
        kDrainActive | kDrainCareful | std::uint64_t{record.lane & 0xffff} << 32 | (same ? old & 0xffff : 0));
  } else if (!process.drain_marked) {
    const std::uint64_t old = process.words[kProcessDrain];
    core.store_process(index, kProcessDrain, kDrainActive | ((old & kDrainCareful) != 0 ? 0 : old & 0xffff));
  }
  process.drain_marked = true;
  TAILRACE_TEST_POINT("hold.drain.begun");
  return true;
}

void Pass::State::note_origin(Chain& chain, Origin origin) {
  if (origin.lane == kNoLane || origin.lane == chain.last_lane) {
    return;
  }
  chain.last_lane = origin.lane;
  const auto same_lane = [&](const Origin& known) { return known.lane == origin.lane; };
  if (std::any_of(chain.firsts.begin(), chain.firsts.end(), same_lane) ||
      std::any_of(firsts.begin(), firsts.end(),
                  [&](const First& first) { return first.chain == &chain && first.origin.lane == origin.lane; })) {
    return;
  }
  firsts.push_back({&chain, origin});
}

Appended Pass::State::append(const BatchKey& key, ByteSpan head, std::uint64_t note, ByteSpan record, Origin origin,
                             std::uint32_t records, std::span<const BatchId> parked, bool joining) {
  Appended answer;
  static_cast<void>(changes(key.process));  // begin() comes first
  Chain* chain = batches.find(key);
  // A batch that cannot take it is left to be closed, and a new one opened.
  if (chain != nullptr &&
      (record.size() > kChainBytesMax - chain->pending_bytes || records > kSlotRecordsMax - chain->pending_records)) {
    batches.seal(*chain);
    chain = nullptr;
  }
  if (!touch_room(parked.size() + (chain == nullptr || !chain->touched ? 1 : 0))) {
    answer.status = AppendStatus::cap;
    return answer;
  }

  if (chain == nullptr) {
    const std::uint64_t bytes = head.size() + record.size();
    const std::lock_guard lock(core.mutex);
    if (bytes > std::uint64_t{core.geometry.page_count / 4} * kPageBytes || bytes == 0) {
      answer.status = AppendStatus::oversize;
      return answer;
    }
    chain = core.open_chain(kKindBatch, key, note, bytes, joining);
    if (chain == nullptr) {
      return answer;
    }
    chain->pass = &batches;
    batches.insert(*chain);
    answer.opened = true;
  } else if (chain->pages.size() * kPageBytes - chain->pending_bytes < record.size()) {
    if (record.size() > std::uint64_t{core.geometry.page_count / 4} * kPageBytes) {
      answer.status = AppendStatus::oversize;
      return answer;
    }
    const std::lock_guard lock(core.mutex);
    if (!core.grow(*chain, std::uint64_t{chain->pending_bytes} + record.size(), joining)) {
      return answer;
    }
  }
  if (!chain->touched) {
    chain->touched = true;
    touched.push_back(chain);
  }
  if (answer.opened) {
    core.append(*chain, head);
  }
  core.append(*chain, record);
  chain->pending_records += records;
  note_origin(*chain, origin);
  for (const BatchId id : parked) {
    Chain* part = core.find_chain(id);
    assert(part != nullptr && part->kind == kKindParked && part->key.process == key.process);
    freed.push_back({part, chain});
  }

  answer.status = AppendStatus::appended;
  answer.batch = chain->id();
  answer.bytes = chain->pending_bytes;
  answer.records = chain->pending_records;
  return answer;
}

Appended Pass::State::park(const BatchKey& key, ByteSpan raw, Origin origin, std::uint32_t records) {
  Appended answer;
  static_cast<void>(changes(key.process));
  if (!touch_room()) {
    answer.status = AppendStatus::cap;
    return answer;
  }
  Chain* chain = nullptr;
  {
    const std::lock_guard lock(core.mutex);
    const std::uint64_t pages = pages_of(raw.size());
    if (pages == 0 || pages > core.parked_max) {
      answer.status = AppendStatus::oversize;
      return answer;
    }
    if (core.parked_pages + pages > core.parked_max) {
      return answer;
    }
    chain = core.open_chain(kKindParked, key, 0, raw.size(), false);
  }
  if (chain == nullptr) {
    return answer;
  }
  core.append(*chain, raw);
  chain->pending_records = records;
  chain->touched = true;
  touched.push_back(chain);
  note_origin(*chain, origin);
  answer.status = AppendStatus::appended;
  answer.batch = chain->id();
  answer.opened = true;
  answer.bytes = chain->pending_bytes;
  answer.records = records;
  return answer;
}

void Pass::State::drop_word(ProcessIndex process, Signal signal, DropReason reason, std::uint64_t records,
                            std::uint8_t priority, std::uint8_t grpc_code, bool seen) {
  if (records == 0) {
    return;
  }
  Changes& change = changes(process);
  assert(!is_shim_reason(reason) && "what the shim dropped it counted itself: set_shim_dropped()");
  if (seen) {
    change.add(ledger_word(signal, kLedgerSeen), records);
  }
  change.add(ledger_word(signal, kLedgerDropped + static_cast<std::uint32_t>(reason)), records);
  if (priority == kCriticalPriority) {
    change.add(ledger_word(signal, kLedgerCritical + kCriticalDropped + static_cast<std::uint32_t>(drop_group(reason))),
               records);
  }
  if (reason == DropReason::non_retryable) {
    change.add(ledger_word(signal, kLedgerGrpcCode + std::min<std::uint32_t>(grpc_code, kGrpcCodes - 1)), records);
  }
}

Pass::Pass(Hold& hold, std::uint32_t touch_max) : state_(std::make_unique<State>(hold, touch_max)) {}

Pass::~Pass() {
  state_->abandon();
  const std::lock_guard lock(state_->core.mutex);
  for (Chain* chain : state_->batches.all()) {
    chain->pass = nullptr;  // nobody's: may be closed from any thread
  }
}

bool Pass::begin(ProcessIndex process) { return state_->begin(process, false, {}); }
bool Pass::begin_careful(ProcessIndex process, Origin record) { return state_->begin(process, true, record); }

Appended Pass::append(const BatchKey& key, ByteSpan head, std::uint64_t note, ByteSpan record, Origin origin,
                      std::uint32_t records) {
  // The usual case, a few stores: the batch is part of this pass, and the record (of a byte at
  // least) ends on its page.
  Chain* chain = state_->batches.find(key);
  if (chain == nullptr || !chain->touched || record.size() - 1 >= chain->cursor_room ||
      (origin.lane != chain->last_lane && origin.lane != kNoLane) ||
      records > kSlotRecordsMax - chain->pending_records) {
    return state_->append(key, head, note, record, origin, records, {}, false);
  }
  copy_bytes(chain->cursor, record.data(), record.size());
  TAILRACE_TEST_POINT("hold.write");
  chain->cursor += record.size();
  chain->cursor_room -= record.size();
  chain->pending_bytes += static_cast<std::uint32_t>(record.size());
  chain->pending_records += records;
  Appended answer;
  answer.status = AppendStatus::appended;
  answer.batch = chain->id();
  answer.bytes = chain->pending_bytes;
  answer.records = chain->pending_records;
  return answer;
}

Appended Pass::join(const BatchKey& key, ByteSpan head, std::uint64_t note, ByteSpan record, Origin origin,
                    std::uint32_t records, std::span<const BatchId> parked) {
  return state_->append(key, head, note, record, origin, records, parked, true);
}

bool Pass::is_open(const BatchKey& key) const { return state_->batches.find(key) != nullptr; }

void Pass::seal(const BatchKey& key) {
  if (const Chain* chain = state_->batches.find(key)) {
    state_->batches.seal(*chain);
  }
}

Appended Pass::park(ProcessIndex process, Signal signal, std::uint64_t span_key, ByteSpan raw, Origin origin,
                    std::uint32_t records, std::uint8_t priority) {
  return state_->park({process, signal, priority, span_key}, raw, origin, records);
}

bool Pass::discard(BatchId parked, DropReason reason) {
  Chain* chain = state_->core.find_chain(parked);
  assert(chain != nullptr && chain->kind == kKindParked);
  if (!state_->touch_room()) {
    return false;
  }
  state_->drop_word(chain->key.process, chain->key.signal, reason, chain->pending_records, chain->key.priority, 0,
                    false);
  state_->freed.push_back({chain, nullptr});
  return true;
}

void Pass::drop(ProcessIndex process, Signal signal, DropReason reason, std::uint64_t records, std::uint8_t priority,
                std::uint8_t grpc_code) {
  state_->drop_word(process, signal, reason, records, priority, grpc_code, true);
}

void Pass::set_position(ProcessIndex process, std::uint32_t lane, std::uint64_t position) {
  Changes& change = state_->changes(process);
  assert(lane < change.positions.size());
  if (!change.lane_set[lane]) {
    change.lane_set[lane] = true;
    change.lanes.push_back(lane);
  }
  change.positions[lane] = position;
}

void Pass::set_written(ProcessIndex process, Signal signal, std::uint64_t total) {
  state_->changes(process).set(kProcessLedger + ledger_word(signal, kLedgerWritten), total);
}

void Pass::set_shim_dropped(ProcessIndex process, Signal signal, DropReason reason, std::uint64_t total) {
  assert(is_shim_reason(reason));
  state_->changes(process).set(
      kProcessLedger + ledger_word(signal, kLedgerDropped + static_cast<std::uint32_t>(reason)), total);
}

void Pass::add_produced(ProcessIndex process, Signal signal, std::uint64_t records) {
  state_->changes(process).add(ledger_word(signal, kLedgerProduced), records);
}

AppendStatus Pass::set_baseline(ProcessIndex process, ByteSpan bytes) { return state_->set_baseline(process, bytes); }

void Pass::set_word(ProcessIndex process, ProcessWord word, std::uint64_t value) {
  state_->changes(process).set(kProcessGeneral + static_cast<std::uint32_t>(word), value);
}

void Pass::add_word(ProcessIndex process, ProcessWord word, std::uint64_t delta) {
  Changes& change = state_->changes(process);
  change.general_added[static_cast<std::size_t>(word)] += delta;
  change.general_mask |= 1u << static_cast<unsigned>(word);
}

bool Pass::empty() const {
  if (!state_->touched.empty() || !state_->freed.empty()) {
    return false;
  }
  for (std::size_t i = 0; i < state_->begun; ++i) {
    const Changes& change = *state_->processes[i];
    if (!change.added_words.empty() || !change.absolute.empty() || change.general_mask != 0 || !change.lanes.empty() ||
        change.baseline != nullptr) {
      return false;
    }
  }
  return true;
}

void Pass::commit() { state_->commit(); }
void Pass::abandon() { state_->abandon(); }

void Pass::open_batches(std::vector<BatchInfo>& out) const {
  const std::lock_guard lock(state_->core.mutex);
  out.clear();
  for (const Chain* chain : state_->batches.all()) {
    if (chain->bytes != 0) {
      out.push_back(state_->core.describe(*chain));
    }
  }
}

std::uint32_t Pass::max_record_bytes() const {
  return static_cast<std::uint32_t>(
      std::min<std::uint64_t>(state_->core.geometry.page_count / 4 * kPageBytes, kChainBytesMax) -
      16 * 1024);  // what a head may take
}

}  // namespace tailrace::agent
