// SPDX-License-Identifier: Apache-2.0
//
// The process table: entries taken, retired, folded; and the ledger read from it.
#include <algorithm>
#include <cassert>
#include <cstring>

#include "agent/hold/core.hpp"
#include "agent/hold/words.hpp"
#include <tailrace/shm/test_point.hpp>

namespace tailrace::agent {

using namespace hold_layout;

namespace {

std::array<std::uint64_t, 2> uuid_words(const Uuid& uuid) {
  std::array<std::uint64_t, 2> words{};
  std::memcpy(words.data(), uuid.data(), uuid.size());
  return words;
}

}  // namespace

std::uint64_t HoldCore::position_offset(const Process& process, std::uint32_t lane) const {
  return geometry.page(process.positions->pages[lane / kLanesPerPage]) + lane % kLanesPerPage * 8;
}

void HoldCore::store_process(ProcessIndex process, std::uint32_t index, std::uint64_t value) {
  processes[process]->words[index] = value;
  store_word(word(process_offset(process, index)), value);
}

void HoldCore::set_process(ProcessIndex process, std::uint32_t index, std::uint64_t value) {
  processes[process]->words[index] = value;
  transaction.set(process_offset(process, index), value);
}

ProcessIndex HoldCore::find_process(const Uuid& uuid) const {
  const auto wanted = uuid_words(uuid);
  for (ProcessIndex i = kOthers + 1; i < process_high; ++i) {
    const Process* process = processes[i].get();
    if (process != nullptr && process->words[kProcessState] == kProcessLive &&
        process->words[kProcessUuid] == wanted[0] && process->words[kProcessUuid + 1] == wanted[1]) {
      return i;
    }
  }
  return kNoProcess;
}

ProcessIndex HoldCore::free_process() {
  for (ProcessIndex i = kOthers + 1; i < geometry.process_count; ++i) {
    if (processes[i] == nullptr) {
      return i;
    }
  }
  return fold_oldest();
}

// Into a gone process of the same service if there is one, else into others; in one transaction
// with freeing the entry. Answers the freed index.
ProcessIndex HoldCore::fold_oldest() {
  ProcessIndex oldest = kNoProcess;
  const auto can_fold = [this](ProcessIndex i) { return processes[i]->gone() && processes[i]->chains == 0; };
  for (ProcessIndex i = kOthers + 1; i < geometry.process_count; ++i) {
    if (can_fold(i) &&
        (oldest == kNoProcess || processes[i]->words[kProcessAdded] < processes[oldest]->words[kProcessAdded])) {
      oldest = i;
    }
  }
  if (oldest == kNoProcess) {
    return kNoProcess;
  }
  const auto& from = processes[oldest]->words;
  ProcessIndex into = kOthers;
  for (ProcessIndex i = kOthers + 1; i < geometry.process_count && into == kOthers; ++i) {
    if (i != oldest && processes[i]->gone() &&
        std::equal(from.begin() + kProcessService, from.begin() + kProcessService + kServiceBytes / 8,
                   processes[i]->words.begin() + kProcessService)) {
      into = i;
    }
  }
  const auto add = [&](std::uint32_t index) {
    if (from[index] != 0) {
      set_process(into, index, processes[into]->words[index] + from[index]);
    }
  };
  for (std::uint32_t i = kProcessLedger; i < kProcessWords; ++i) {
    add(i);
  }
  for (auto counter = static_cast<std::uint32_t>(ProcessWord::corrupt_lanes);
       counter <= static_cast<std::uint32_t>(ProcessWord::metrics_clamped); ++counter) {
    add(kProcessGeneral + counter);
  }
  set_process(oldest, kProcessState, kProcessFree);
  transaction.commit();
  TAILRACE_TEST_POINT("hold.process.folded");
  processes[oldest] = nullptr;
  return oldest;
}

Chain* HoldCore::make_positions(ProcessIndex process, std::uint32_t lanes) {
  BatchKey key;
  key.process = process;
  const std::uint64_t bytes = std::uint64_t{lanes} * 8;
  Chain* chain = open_chain(kKindPositions, key, 0, bytes, true);
  if (chain == nullptr) {
    return nullptr;
  }
  chain->bytes = static_cast<std::uint32_t>(bytes);
  for (const std::uint32_t index : chain->pages) {
    std::memset(page(index), 0, kPageBytes);
    TAILRACE_TEST_POINT("hold.process.positions");
  }
  return chain;
}

Result<ProcessIndex> HoldCore::add_process(const ProcessIdentity& identity) {
  if (identity.lanes == 0 || identity.lanes > kLaneMax) {
    return Error{ErrorCode::kInvalidArgument, "process " + std::to_string(identity.pid) + ": " +
                                                  std::to_string(identity.lanes) + " lanes, 1 to 1024 are possible"};
  }
  const Error no_page{ErrorCode::kResourceExhausted, "hold: no page for the lane positions of process " +
                                                         std::to_string(identity.pid) +
                                                         "; try again when batches are settled"};
  const ProcessIndex known = find_process(identity.uuid);
  if (known != kNoProcess && processes[known]->positions != nullptr) {
    return known;
  }
  const ProcessIndex index = known != kNoProcess ? known : free_process();
  if (index == kNoProcess) {
    return Error{ErrorCode::kResourceExhausted,
                 "hold: all " + std::to_string(geometry.process_count - 1) +
                     " process entries are in use; give the agent a larger hold (--hold-bytes)"};
  }
  if (known == kNoProcess) {
    processes[index] = std::make_unique<Process>();
  }
  Chain* positions = make_positions(index, identity.lanes);
  if (positions == nullptr) {
    if (known == kNoProcess) {
      processes[index] = nullptr;
    }
    return no_page;
  }
  Process& process = *processes[index];

  if (known == kNoProcess) {
    // On an entry whose state is free: nobody looks at it before the transaction.
    for (std::uint32_t i = kProcessState + 1; i < kProcessWords; ++i) {
      store_word(word(process_offset(index, i)), 0);
      TAILRACE_TEST_POINT("hold.process.clear");
    }
    const auto uuid = uuid_words(identity.uuid);
    store_process(index, kProcessUuid, uuid[0]);
    store_process(index, kProcessUuid + 1, uuid[1]);
    store_process(index, kProcessPidUid, identity.pid | std::uint64_t{identity.uid} << 32);
    store_process(index, kProcessStartTicks, identity.start_ticks);
    store_process(index, kProcessAdded, clock_ns(CLOCK_REALTIME));
    store_process(index, kProcessBaseline, identity.met_before ? kBaselineLost | std::uint64_t{1} << 32 : 0);
    store_text(word(process_offset(index, kProcessService)), kServiceBytes, identity.service);
    store_text(word(process_offset(index, kProcessSegment)), kSegmentBytes, identity.segment);
    store_text(process.words.data() + kProcessService, kServiceBytes, identity.service);
    store_text(process.words.data() + kProcessSegment, kSegmentBytes, identity.segment);
    TAILRACE_TEST_POINT("hold.process.words");
    if (index >= process_high) {
      process_high = index + 1;
      store_word(word(0) + kHeaderProcessHigh, process_high);
    }
  }
  set_process(index, kProcessState, kProcessLive);
  set_process(index, kProcessPositions, (std::uint64_t{positions->slot} + 1) | std::uint64_t{identity.lanes} << 32);
  transaction.set(geometry.slot(positions->slot) + kSlotState * 8, slot_word(*positions));
  transaction.commit();
  TAILRACE_TEST_POINT("hold.process.added");
  process.positions = positions;
  process.lanes.resize(identity.lanes);
  return index;
}

Status HoldCore::retire_process(ProcessIndex index) {
  Process& process = *processes[index];
  if (process.chains != 0) {
    return Error{ErrorCode::kInvalidArgument, "hold: process " + std::to_string(index) + " still has " +
                                                  std::to_string(process.chains) + " batches; settle them first"};
  }
  if (process.gone()) {
    return {};
  }
  set_process(index, kProcessState, kProcessGone);
  set_process(index, kProcessPositions, 0);
  set_process(index, kProcessBaseline, 0);
  for (const Chain* chain : {process.positions, process.baseline}) {
    if (chain != nullptr) {
      transaction.set(geometry.slot(chain->slot) + kSlotState * 8, 0);
    }
  }
  transaction.commit();
  TAILRACE_TEST_POINT("hold.process.retired");
  for (Chain** chain : {&process.positions, &process.baseline}) {
    if (*chain != nullptr) {
      release(**chain);
      *chain = nullptr;
    }
  }
  process.lanes.clear();
  process.lanes.shrink_to_fit();
  process.sink = nullptr;
  return {};
}

SignalLedger load_ledger(const std::uint64_t* words) {
  SignalLedger ledger;
  ledger.shim_written = words[kLedgerWritten];
  ledger.produced = words[kLedgerProduced];
  ledger.seen = words[kLedgerSeen];
  ledger.delivered = words[kLedgerDelivered];
  ledger.rejected = words[kLedgerRejected];
  std::copy_n(words + kLedgerDropped, kDropReasonMax, ledger.dropped.begin());
  std::copy_n(words + kLedgerGrpcCode, kGrpcCodes, ledger.non_retryable.begin());
  ledger.critical.delivered = words[kLedgerCritical + kCriticalDelivered];
  ledger.critical.rejected = words[kLedgerCritical + kCriticalRejected];
  std::copy_n(words + kLedgerCritical + kCriticalDropped, kDropGroups, ledger.critical.dropped.begin());
  return ledger;
}

bool lanes_are_drained(const std::uint64_t* process_words) {
  return process_words[kProcessState] != kProcessLive ||
         process_words[kProcessGeneral + static_cast<std::uint32_t>(ProcessWord::phase)] >=
             static_cast<std::uint64_t>(ProcessPhase::drained);
}

BaselineState baseline_state(const std::uint64_t* process_words) {
  const auto named = static_cast<std::uint32_t>(process_words[kProcessBaseline]);
  return named == 0 ? BaselineState::none : named == kBaselineLost ? BaselineState::lost : BaselineState::kept;
}

ProcessInfo describe_process(ProcessIndex index, const std::uint64_t* words) {
  ProcessInfo info;
  info.index = index;
  std::memcpy(info.identity.uuid.data(), words + kProcessUuid, info.identity.uuid.size());
  info.identity.pid = static_cast<std::uint32_t>(words[kProcessPidUid]);
  info.identity.uid = static_cast<std::uint32_t>(words[kProcessPidUid] >> 32);
  info.identity.start_ticks = words[kProcessStartTicks];
  info.identity.service = load_text(words + kProcessService, kServiceBytes);
  info.identity.segment = load_text(words + kProcessSegment, kSegmentBytes);
  info.identity.lanes = static_cast<std::uint32_t>(words[kProcessPositions] >> 32);
  info.phase = static_cast<ProcessPhase>(std::min<std::uint64_t>(words[kProcessGeneral], 2));
  info.gone = words[kProcessState] == kProcessGone;
  info.added_ns = words[kProcessAdded];
  return info;
}

DrainTrouble describe_trouble(const std::uint64_t* words) {
  const std::uint64_t drain = words[kProcessDrain];
  DrainTrouble trouble;
  trouble.deaths = static_cast<std::uint32_t>(drain & 0xffff);
  trouble.careful = (drain & kDrainCareful) != 0;
  trouble.lane = static_cast<std::uint32_t>(drain >> 32 & 0xffff);
  trouble.position = words[kProcessDrainPosition];
  return trouble;
}

Ledger HoldCore::ledger_of(const Process& process) const {
  Ledger ledger;
  for (std::size_t signal = 0; signal < kSignalCount; ++signal) {
    ledger[signal] = load_ledger(process.words.data() + kProcessLedger + signal * kLedgerWords);
    ledger[signal].held = process.held[signal];
    ledger[signal].judge_lanes(lanes_are_drained(process.words.data()));
  }
  return ledger;
}

}  // namespace tailrace::agent
