// SPDX-License-Identifier: Apache-2.0
#include "agent/hold/pass.hpp"

#include <algorithm>
#include <cassert>
#include <cstdio>
#include <cstdlib>
#include <utility>

#include "agent/hold/core.hpp"
#include "agent/hold/mutation.hpp"
#include "agent/hold/words.hpp"
#include <tailrace/shm/test_point.hpp>

namespace tailrace::agent {

using namespace hold_layout;

namespace {
constexpr std::uint32_t kTouchLimit =
    512;  // together with one process of 1024 lanes it fits the smallest log
constexpr std::uint32_t kChainBytesMax = std::uint32_t{1} << 30;

constexpr std::uint32_t ledger_word(Signal signal, std::uint32_t word) {
  return static_cast<std::uint32_t>(signal) * kLedgerWords + word;
}

// What a pass changes of one process besides batches. Reused from pass to pass: nothing is
// allocated once the lanes are known.
struct Changes {
  ProcessIndex index = kNoProcess;
  std::array<std::uint64_t, kLedgerSignals * kLedgerWords> added{};
  std::array<bool, kLedgerSignals * kLedgerWords> listed{};
  std::vector<std::uint32_t> added_words;                         // those listed
  std::vector<std::pair<std::uint32_t, std::uint64_t>> absolute;  // process word, value
  std::array<std::uint64_t, kProcessWordCount> general_added{};
  std::uint32_t general_mask = 0;
  std::vector<std::uint32_t> lanes;  // whose position is set
  std::vector<std::uint64_t> positions;
  std::vector<bool> lane_set;
  Chain* baseline = nullptr;  // written, not committed

  void add(std::uint32_t word, std::uint64_t delta) {
    if (!listed[word]) {
      listed[word] = true;
      added_words.push_back(word);
    }
    added[word] += delta;
  }
  void take_back(std::uint32_t word, std::uint64_t delta) {
    added[word] -= std::min(added[word], delta);
  }
  void set(std::uint32_t word, std::uint64_t value) {
    for (auto& [known, old] : absolute) {
      if (known == word) {
        old = value;
        return;
      }
    }
    absolute.emplace_back(word, value);
  }
  void clear() {
    for (const std::uint32_t word : added_words) {
      added[word] = 0;
      listed[word] = false;
    }
    added_words.clear();
    absolute.clear();
    general_added.fill(0);
    general_mask = 0;
    for (const std::uint32_t lane : lanes) {
      lane_set[lane] = false;
    }
    lanes.clear();
    baseline = nullptr;
  }
};

constexpr std::uint64_t kBaselineEntries = 3;  // new slot, old slot, the process's word

// Every ledger and general word once, the lanes, a baseline: what a process can take of the log.
std::uint64_t log_need(const Process& process) {
  return kLedgerSignals * kLedgerWords + kProcessWordCount + kBaselineEntries +
         process.lanes.size();
}

}  // namespace

class Pass::State {
 public:
  State(Hold& hold, std::uint32_t touch_max)
      : core(hold.core()), touch_max_(std::clamp(touch_max, std::uint32_t{1}, kTouchLimit)) {}

  Changes* find_changes(ProcessIndex process) {
    if (last_ != nullptr && last_->index == process) {
      return last_;
    }
    for (std::size_t i = 0; i < begun; ++i) {
      if (processes[i]->index == process) {
        return last_ = processes[i].get();
      }
    }
    return nullptr;
  }
  Changes& changes(ProcessIndex process) {
    Changes* found = find_changes(process);
    if (found == nullptr) {
      std::fprintf(stderr, "tailrace: a pass touches process %u without begin()\n", process);
      std::abort();  // our own mistake: going on would commit records without their ledger
    }
    return *found;
  }

  bool begin(ProcessIndex process, bool careful, Origin record);
  Appended append(const BatchKey& key, ByteSpan head, std::uint64_t note, ByteSpan record,
                  Origin origin, std::uint32_t records, std::span<const BatchId> parked,
                  bool joining);
  Appended park(const BatchKey& key, ByteSpan raw, Origin origin, std::uint32_t records);
  bool touch_room(std::size_t more = 1) const {
    return touched.size() + freed.size() + more <= touch_max_;
  }
  AppendStatus set_baseline(ProcessIndex process, ByteSpan bytes);
  void commit();
  void abandon();
  void note_origin(Chain& chain, Origin origin);
  void drop_word(ProcessIndex process, Signal signal, DropReason reason, std::uint64_t records,
                 std::uint8_t priority, std::uint8_t grpc_code, bool seen);

  struct Freed {
    Chain* chain;
    Chain* into;  // joined into; nullptr: discarded
  };
  struct First {
    Chain* chain;
    Origin origin;
  };

  HoldCore& core;
  PassBatches batches;
  std::vector<Chain*> touched;
  std::vector<Freed> freed;
  std::vector<First> firsts;
  std::vector<std::unique_ptr<Changes>> processes;  // the first `begun` are in use
  std::size_t begun = 0;
  std::uint64_t log_used = 0;

 private:
  void set_all();
  void set_baselines();
  void switch_baselines();
  void finish_processes(bool committed);

  Changes* last_ = nullptr;
  std::uint32_t touch_max_;
};

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
    const bool same = (old & kDrainCareful) != 0 &&
                      (old >> 32 & 0xffff) == (record.lane & 0xffff) &&
                      process.words[kProcessDrainPosition] == record.position;
    // Not active while the position changes, so that a death between the two stores blames nobody.
    core.store_process(index, kProcessDrain, same ? old & ~kDrainActive : 0);
    TAILRACE_TEST_POINT("hold.drain.idle");
    core.store_process(index, kProcessDrainPosition, record.position);
    TAILRACE_TEST_POINT("hold.drain.position");
    core.store_process(index, kProcessDrain,
                       kDrainActive | kDrainCareful | std::uint64_t{record.lane & 0xffff} << 32 |
                           (same ? old & 0xffff : 0));
  } else if (!process.drain_marked) {
    const std::uint64_t old = process.words[kProcessDrain];
    core.store_process(index, kProcessDrain,
                       kDrainActive | ((old & kDrainCareful) != 0 ? 0 : old & 0xffff));
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
      std::any_of(firsts.begin(), firsts.end(), [&](const First& first) {
        return first.chain == &chain && first.origin.lane == origin.lane;
      })) {
    return;
  }
  firsts.push_back({&chain, origin});
}

Appended Pass::State::append(const BatchKey& key, ByteSpan head, std::uint64_t note,
                             ByteSpan record, Origin origin, std::uint32_t records,
                             std::span<const BatchId> parked, bool joining) {
  Appended answer;
  static_cast<void>(changes(key.process));  // begin() comes first
  Chain* chain = batches.find(key);
  // A batch that cannot take it is left to be closed, and a new one opened.
  if (chain != nullptr && (record.size() > kChainBytesMax - chain->pending_bytes ||
                           records > kSlotRecordsMax - chain->pending_records)) {
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

Appended Pass::State::park(const BatchKey& key, ByteSpan raw, Origin origin,
                           std::uint32_t records) {
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

void Pass::State::drop_word(ProcessIndex process, Signal signal, DropReason reason,
                            std::uint64_t records, std::uint8_t priority, std::uint8_t grpc_code,
                            bool seen) {
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
    change.add(ledger_word(signal, kLedgerCritical + kCriticalDropped +
                                       static_cast<std::uint32_t>(drop_group(reason))),
               records);
  }
  if (reason == DropReason::non_retryable) {
    change.add(
        ledger_word(signal, kLedgerGrpcCode + std::min<std::uint32_t>(grpc_code, kGrpcCodes - 1)),
        records);
  }
}

AppendStatus Pass::State::set_baseline(ProcessIndex index, ByteSpan bytes) {
  Changes& change = changes(index);
  BatchKey key;
  key.process = index;
  key.signal = Signal::metrics;
  {
    const std::lock_guard lock(core.mutex);
    if (bytes.empty() || pages_of(bytes.size()) > core.geometry.page_count / 4) {
      return AppendStatus::oversize;
    }
    if (change.baseline != nullptr) {
      core.release(*change.baseline);
    }
    change.baseline =
        core.open_chain(kKindBaseline, key, add_to_checksum(0, bytes), bytes.size(), false);
    if (change.baseline == nullptr) {
      return AppendStatus::full;
    }
  }
  core.append(*change.baseline, bytes);
  return AppendStatus::appended;
}

void Pass::State::set_baselines() {
  for (std::size_t i = 0; i < begun; ++i) {
    const Changes& change = *processes[i];
    Chain* fresh = change.baseline;
    if (fresh == nullptr) {
      continue;
    }
    Process& process = *core.processes[change.index];
    fresh->bytes = fresh->pending_bytes;
    core.transaction.set(core.geometry.slot(fresh->slot) + kSlotState * 8, core.slot_word(*fresh));
    if (process.baseline != nullptr) {
      if (mutated(Mutation::baseline_freed_early)) {
        store_word(core.word(core.geometry.page_word(process.baseline->pages.front())), 0);
        TAILRACE_TEST_POINT("hold.txn.entry");
      }
      core.transaction.set(core.geometry.slot(process.baseline->slot) + kSlotState * 8, 0);
    }
    const std::uint64_t times_lost = process.words[kProcessBaseline] >> 32;
    core.set_process(change.index, kProcessBaseline,
                     (std::uint64_t{fresh->slot} + 1) | times_lost << 32);
  }
}

// After the transaction: what it freed is given back.
void Pass::State::switch_baselines() {
  for (std::size_t i = 0; i < begun; ++i) {
    if (Chain* fresh = processes[i]->baseline) {
      Chain* old = std::exchange(core.processes[processes[i]->index]->baseline, fresh);
      if (old != nullptr) {
        core.release(*old);
      }
    }
  }
}

// Everything this pass changes, as absolute values.
void Pass::State::set_all() {
  for (Chain* chain : touched) {
    Process& process = *core.processes[chain->key.process];
    const std::uint64_t grown = chain->pending_records - chain->records;
    process.held[static_cast<std::size_t>(chain->key.signal)] += grown;
    if (grown != 0) {
      changes(chain->key.process).add(ledger_word(chain->key.signal, kLedgerSeen), grown);
    }
    chain->bytes = chain->pending_bytes;
    chain->records = chain->pending_records;
    core.transaction.set(core.geometry.slot(chain->slot) + kSlotState * 8, core.slot_word(*chain));
  }
  for (const Freed& part : freed) {
    const BatchKey& key = part.chain->key;
    const std::uint64_t records = part.chain->records;
    core.processes[key.process]->held[static_cast<std::size_t>(key.signal)] -= records;
    if (part.into != nullptr &&
        records != 0) {  // seen when it was parked, and counted again in its batch
      changes(key.process).take_back(ledger_word(key.signal, kLedgerSeen), records);
    }
    if (mutated(Mutation::booked_before_join)) {
      store_word(core.word(core.geometry.slot(part.chain->slot) + kSlotState * 8), 0);
      TAILRACE_TEST_POINT("hold.txn.entry");
    }
    core.transaction.set(core.geometry.slot(part.chain->slot) + kSlotState * 8, 0);
  }
  for (std::size_t i = 0; i < begun; ++i) {
    const Changes& change = *processes[i];
    Process& process = *core.processes[change.index];
    for (const std::uint32_t lane : change.lanes) {
      process.lanes[lane].position = change.positions[lane];
      const std::uint64_t offset = core.position_offset(process, lane);
      if (mutated(Mutation::position_before_commit)) {
        store_word(core.word(offset), change.positions[lane]);
        TAILRACE_TEST_POINT("hold.txn.entry");
      }
      core.transaction.set(offset, change.positions[lane]);
    }
    for (const std::uint32_t word : change.added_words) {
      const std::uint32_t index = kProcessLedger + word;
      core.set_process(change.index, index, process.words[index] + change.added[word]);
    }
    for (const auto& [word, value] : change.absolute) {
      core.set_process(change.index, word, value);
    }
    for (std::uint32_t word = 0; word < kProcessWordCount; ++word) {
      if ((change.general_mask >> word & 1) != 0) {
        const std::uint32_t index = kProcessGeneral + word;
        core.set_process(change.index, index, process.words[index] + change.general_added[word]);
      }
    }
  }
}

void Pass::State::commit() {
  const std::lock_guard lock(core.mutex);
  TAILRACE_TEST_POINT("hold.pass.begin");
  if (mutated(Mutation::baseline_before_points)) {
    set_baselines();
    core.transaction.commit();
    TAILRACE_TEST_POINT("hold.txn.entry");
    set_all();
  } else {
    set_all();
    if (mutated(Mutation::points_before_baseline)) {
      core.transaction.commit();
      TAILRACE_TEST_POINT("hold.txn.entry");
    }
    set_baselines();
  }
  core.transaction.commit();
  TAILRACE_TEST_POINT("hold.pass.committed");
  switch_baselines();

  if (mutated(Mutation::page_word_after_commit)) {
    for (const Chain* chain : touched) {
      for (std::uint32_t i = 0; i < chain->pages.size(); ++i) {
        store_word(core.word(core.geometry.page_word(chain->pages[i])), pack_page(chain->slot, i));
        TAILRACE_TEST_POINT("hold.page.take");
      }
    }
  }
  for (Chain* chain : touched) {
    chain->touched = false;
  }
  for (const First& first : firsts) {
    core.add_first(*core.processes[first.chain->key.process], *first.chain, first.origin);
  }
  for (const Freed& part : freed) {
    Process& process = *core.processes[part.chain->key.process];
    if (part.into != nullptr) {
      core.move_firsts(process, *part.chain, *part.into);
    }
    const std::vector<Origin> origins = std::move(part.chain->firsts);
    const bool resumed = part.chain->resumed;
    core.release(*part.chain);
    core.publish_after(process, origins, resumed);
  }
  finish_processes(true);
}

void Pass::State::finish_processes(bool committed) {
  for (std::size_t i = 0; i < begun; ++i) {
    Changes& change = *processes[i];
    Process& process = *core.processes[change.index];
    core.store_process(change.index, kProcessDrain, 0);
    TAILRACE_TEST_POINT("hold.drain.ended");
    process.drain_marked = false;
    if (committed) {
      for (const std::uint32_t lane : change.lanes) {
        core.publish_settled(process, lane);
      }
    }
    change.clear();
    change.index = kNoProcess;
  }
  begun = 0;
  log_used = 0;
  last_ = nullptr;
  touched.clear();
  freed.clear();
  firsts.clear();
}

void Pass::State::abandon() {
  const std::lock_guard lock(core.mutex);
  for (Chain* chain : touched) {
    chain->touched = false;
    chain->pending_records = chain->records;
    chain->pending_bytes = chain->bytes;
    chain->cursor_room = 0;
    chain->last_lane = kNoLane;
    if (chain->bytes == 0) {  // opened in this pass: its slot was never taken
      if (chain->pass != nullptr) {
        batches.forget(*chain);
      }
      core.release(*chain);
    } else {
      core.cut(*chain, chain->bytes);
    }
  }
  for (std::size_t i = 0; i < begun; ++i) {
    if (processes[i]->baseline != nullptr) {
      core.release(*processes[i]->baseline);
    }
  }
  finish_processes(false);
}

Pass::Pass(Hold& hold, std::uint32_t touch_max)
    : state_(std::make_unique<State>(hold, touch_max)) {}

Pass::~Pass() {
  state_->abandon();
  const std::lock_guard lock(state_->core.mutex);
  for (Chain* chain : state_->batches.all()) {
    chain->pass = nullptr;  // nobody's: may be closed from any thread
  }
}

bool Pass::begin(ProcessIndex process) {
  return state_->begin(process, false, {});
}
bool Pass::begin_careful(ProcessIndex process, Origin record) {
  return state_->begin(process, true, record);
}

Appended Pass::append(const BatchKey& key, ByteSpan head, std::uint64_t note, ByteSpan record,
                      Origin origin, std::uint32_t records) {
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

Appended Pass::join(const BatchKey& key, ByteSpan head, std::uint64_t note, ByteSpan record,
                    Origin origin, std::uint32_t records, std::span<const BatchId> parked) {
  return state_->append(key, head, note, record, origin, records, parked, true);
}

bool Pass::is_open(const BatchKey& key) const {
  return state_->batches.find(key) != nullptr;
}

void Pass::seal(const BatchKey& key) {
  if (const Chain* chain = state_->batches.find(key)) {
    state_->batches.seal(*chain);
  }
}

Appended Pass::park(ProcessIndex process, Signal signal, std::uint64_t span_key, ByteSpan raw,
                    Origin origin, std::uint32_t records, std::uint8_t priority) {
  return state_->park({process, signal, priority, span_key}, raw, origin, records);
}

bool Pass::discard(BatchId parked, DropReason reason) {
  Chain* chain = state_->core.find_chain(parked);
  assert(chain != nullptr && chain->kind == kKindParked);
  if (!state_->touch_room()) {
    return false;
  }
  state_->drop_word(chain->key.process, chain->key.signal, reason, chain->pending_records,
                    chain->key.priority, 0, false);
  state_->freed.push_back({chain, nullptr});
  return true;
}

void Pass::drop(ProcessIndex process, Signal signal, DropReason reason, std::uint64_t records,
                std::uint8_t priority, std::uint8_t grpc_code) {
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

void Pass::set_shim_dropped(ProcessIndex process, Signal signal, DropReason reason,
                            std::uint64_t total) {
  assert(is_shim_reason(reason));
  state_->changes(process).set(
      kProcessLedger + ledger_word(signal, kLedgerDropped + static_cast<std::uint32_t>(reason)),
      total);
}

void Pass::add_produced(ProcessIndex process, Signal signal, std::uint64_t records) {
  state_->changes(process).add(ledger_word(signal, kLedgerProduced), records);
}

AppendStatus Pass::set_baseline(ProcessIndex process, ByteSpan bytes) {
  return state_->set_baseline(process, bytes);
}

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
    if (!change.added_words.empty() || !change.absolute.empty() || change.general_mask != 0 ||
        !change.lanes.empty() || change.baseline != nullptr) {
      return false;
    }
  }
  return true;
}

void Pass::commit() {
  state_->commit();
}
void Pass::abandon() {
  state_->abandon();
}

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
