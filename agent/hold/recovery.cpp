// SPDX-License-Identifier: Apache-2.0
//
// Start-up: making a hold, checking one, and repairing what the last agent left. The only place
// where the tables are read back, and every step may be cut short and done again: a valid log is
// applied, then each repair is a single store that a repetition finds done.
#include <algorithm>
#include <cassert>

#include "agent/hold/core.hpp"
#include "agent/hold/mutation.hpp"
#include "agent/hold/words.hpp"
#include <tailrace/shm/test_point.hpp>

namespace tailrace::agent {

using namespace hold_layout;

HoldCore::HoldCore(std::unique_ptr<HoldFile> hold_file, std::span<std::byte> memory)
    : file(std::move(hold_file)),
      base(memory.data()),
      geometry(geometry_of(memory.size())),
      transaction(base, geometry),
      pool(static_cast<std::uint32_t>(geometry.page_count),
           [this](std::uint32_t first, std::uint32_t count) {
             return file == nullptr || file->commit_range(geometry.page(first), count * kPageBytes);
           }),
      processes(geometry.process_count),
      chains(geometry.slot_count) {
  const auto pages = static_cast<std::uint32_t>(geometry.page_count);
  reserve_pages = std::max(2u, pages / 128);
  parked_max = pages / 8;
  processes[kOthers] = std::make_unique<Process>();
}

void HoldCore::create() {
  std::uint64_t* header = word(0);
  store_word(header + kHeaderVersion, kVersion);
  store_word(header + kHeaderFileBytes, geometry.file_bytes);
  store_word(header + kHeaderLogEntries, geometry.log_entries);
  store_word(header + kHeaderProcessCount, geometry.process_count);
  store_word(header + kHeaderSlotCount, geometry.slot_count);
  TAILRACE_TEST_POINT("hold.create.header");
  store_word(header + kHeaderPageCount, geometry.page_count);
  store_word(header + kHeaderPagesOffset, geometry.pages_offset);
  TAILRACE_TEST_POINT("hold.create.geometry");
  store_word(header + kHeaderMagic, kMagic);
  TAILRACE_TEST_POINT("hold.create.magic");
  recovery.created = true;
}

const char* HoldCore::check() const {
  if (const char* misfit = check_geometry(word(0), geometry)) {
    return misfit;
  }
  return examine_log(base, geometry, geometry.file_bytes) == LogState::damaged ? "its transaction log makes no sense"
                                                                               : nullptr;
}

bool HoldCore::holds_nothing() const {
  for (std::uint64_t i = 0; i < geometry.process_count; ++i) {
    if (*word(geometry.process(i) + kProcessState * 8) != kProcessFree) {
      return false;
    }
  }
  for (std::uint32_t i = 0; i < kLedgerSignals * kLedgerWords; ++i) {
    if (*word(process_offset(kOthers, kProcessLedger + i)) != 0) {
      return false;
    }
  }
  return *word(geometry.log_offset) == 0;
}

void HoldCore::recover() {
  finish_transaction();
  load_processes();
  load_chains();
  repair_pages();
  load_owned();
  find_losses();
  repair_ledgers();
  count_deaths();
  list_recovered();
}

void HoldCore::finish_transaction() {
  std::uint64_t* log = word(geometry.log_offset);
  transaction.set_commits(*word(kHeaderCommits * 8));
  if (*log == 0) {
    return;
  }
  recovery.interrupted = true;
  apply_log(base, geometry, geometry.file_bytes);
  transaction.set_commits(transaction.commits() + 1);
  store_word(word(kHeaderCommits * 8), transaction.commits());
  TAILRACE_TEST_POINT("hold.start.counted");
  store_word(log, 0);
  TAILRACE_TEST_POINT("hold.start.clear");
}

void HoldCore::load_processes() {
  for (ProcessIndex i = 0; i < geometry.process_count; ++i) {
    const std::uint64_t* words = word(geometry.process(i));
    const std::uint64_t state = words[kProcessState];
    if (i != kOthers) {
      if (state == kProcessFree) {
        continue;
      }
      if (state != kProcessLive && state != kProcessGone) {
        store_word(word(process_offset(i, kProcessState)), kProcessFree);
        TAILRACE_TEST_POINT("hold.start.process");
        continue;
      }
      process_high = i + 1;
      ++recovery.processes;
    }
    processes[i] = std::make_unique<Process>();
    std::copy_n(words, kProcessWords, processes[i]->words.begin());
  }
}

// false unless the slot's own words make sense; its pages are looked at afterwards.
bool HoldCore::load_slot(Chain& chain, std::uint64_t& pages_left) const {
  const std::uint64_t* words = word(geometry.slot(chain.slot));
  const std::uint64_t owner = words[kSlotOwner];
  const std::uint64_t state = slot_state(words[kSlotState]);
  const std::uint32_t process = owner_process(owner);
  const std::uint32_t kind = owner_kind(owner);
  chain.bytes = slot_bytes(words[kSlotState]);
  chain.records = slot_records(words[kSlotState]);
  const std::uint64_t pages = pages_of(chain.bytes);
  if (process == kOthers || process >= geometry.process_count || processes[process] == nullptr ||
      processes[process]->gone() || owner_signal(owner) >= kLedgerSignals || owner_priority(owner) >= kSlotPriorities ||
      pages == 0 || pages > pages_left) {
    return false;
  }
  if (kind == kKindBatch ? state != kSlotOpen && state != kSlotClosed : state != kSlotHeld) {
    return false;
  }
  if (kind == kKindPositions) {
    // The process names its chain; one that it does not name is nobody's.
    const std::uint64_t named = processes[process]->words[kProcessPositions];
    const std::uint64_t lanes = named >> 32;
    if (static_cast<std::uint32_t>(named) != chain.slot + 1 || lanes == 0 || lanes > kLaneMax ||
        chain.bytes != lanes * 8 || chain.records != 0) {
      return false;
    }
  } else if (kind == kKindBaseline) {
    const std::uint64_t named = processes[process]->words[kProcessBaseline];
    if (static_cast<std::uint32_t>(named) != chain.slot + 1 || chain.records != 0) {
      return false;
    }
  } else if (kind != kKindBatch && kind != kKindParked) {
    return false;
  }
  pages_left -= pages;
  chain.kind = static_cast<ChainKind>(kind);
  chain.state = state == kSlotOpen ? BatchState::open : state == kSlotClosed ? BatchState::closed : BatchState::parked;
  chain.key = {process, static_cast<Signal>(owner_signal(owner)), static_cast<std::uint8_t>(owner_priority(owner)),
               words[kSlotRoute]};
  chain.note = words[kSlotNote];
  chain.opened_ns = words[kSlotOpened];
  chain.attempts = static_cast<std::uint32_t>(words[kSlotAttempts]);
  chain.due_ns = words[kSlotDue];
  chain.pending_bytes = chain.bytes;
  chain.pending_records = chain.records;
  chain.resumed = true;
  chain.pages.assign(pages, PagePool::kNone);
  return true;
}

// A chain is whole or it is nothing: its slot's words make sense, and each of its pages is there
// once.
void HoldCore::load_chains() {
  std::uint64_t pages_left = geometry.page_count;
  for (std::uint32_t slot = 0; slot < geometry.slot_count; ++slot) {
    if (*word(geometry.slot(slot)) != 0) {
      Chain& chain = chain_of(slot);
      chain.in_use = load_slot(chain, pages_left);
    }
  }
  for (std::uint32_t index = 0; index < geometry.page_count; ++index) {
    const std::uint64_t owner = *word(geometry.page_word(index));
    if (owner == 0 || page_slot(owner) >= geometry.slot_count) {
      continue;
    }
    Chain* chain = chains[page_slot(owner)].get();
    if (chain == nullptr || page_index(owner) >= chain->pages.size()) {
      continue;
    }
    std::uint32_t& place = chain->pages[page_index(owner)];
    if (place != PagePool::kNone) {
      chain->in_use = false;  // two pages in one place: nobody can say which is right
    }
    place = index;
  }
  for (std::uint32_t slot = 0; slot < geometry.slot_count; ++slot) {
    Chain* chain = chains[slot].get();
    if (chain == nullptr) {
      continue;
    }
    if (!chain->in_use || std::find(chain->pages.begin(), chain->pages.end(), PagePool::kNone) != chain->pages.end() ||
        (chain->kind == kKindBaseline && !baseline_is_whole(*chain))) {
      *chain = Chain();
      chain->slot = slot;
      free_damaged(slot);
    }
  }
}

// Nobody checks its bytes when they are sent, and a wrong one would repeat or hide what was counted.
bool HoldCore::baseline_is_whole(const Chain& chain) const {
  std::uint64_t sum = 0;
  std::uint64_t left = chain.bytes;
  for (const std::uint32_t index : chain.pages) {
    const std::uint64_t part = std::min(left, kPageBytes);
    sum = add_to_checksum(sum, {page(index), part});
    left -= part;
  }
  return sum == chain.note;
}

void HoldCore::free_damaged(std::uint32_t slot) {
  store_word(word(geometry.slot(slot)) + kSlotState, 0);
  TAILRACE_TEST_POINT("hold.start.free");
  ++recovery.chains_damaged;
}

// What no committed chain owns is free: pages of a pass that died, of a settlement that got no
// further, of damaged chains. Left named, such a page would have two owners after the next death.
void HoldCore::repair_pages() {
  for (std::uint32_t index = 0; index < geometry.page_count; ++index) {
    const std::uint64_t owner = *word(geometry.page_word(index));
    if (owner == 0) {
      continue;
    }
    const Chain* chain = page_slot(owner) < geometry.slot_count ? chains[page_slot(owner)].get() : nullptr;
    if (chain != nullptr && chain->in_use && page_index(owner) < chain->pages.size()) {
      pool.mark_owned(index);
      continue;
    }
    if (!mutated(Mutation::pages_not_cleared_at_start)) {
      store_word(word(geometry.page_word(index)), 0);
      TAILRACE_TEST_POINT("hold.start.page");
    }
    ++recovery.pages_reclaimed;
  }
  pool.commit_owned_groups();

  for (std::uint32_t slot = 0; slot < geometry.slot_count; ++slot) {
    if (chains[slot] != nullptr && chains[slot]->in_use) {
      slot_high = slot + 1;
    }
  }
  for (std::uint32_t slot = 0; slot < slot_high; ++slot) {
    if (chains[slot] == nullptr || !chains[slot]->in_use) {
      free_slots.push(slot);
    }
  }
  store_word(word(kHeaderSlotHigh * 8), slot_high);
  store_word(word(kHeaderProcessHigh * 8), process_high);
}

void HoldCore::load_owned() {
  for (std::uint32_t slot = 0; slot < slot_high; ++slot) {
    Chain* chain = chains[slot].get();
    if (chain == nullptr || !chain->in_use) {
      continue;
    }
    Process& process = *processes[chain->key.process];
    if (chain->kind == kKindBaseline) {
      process.baseline = chain;
      continue;
    }
    if (chain->kind != kKindPositions) {
      ++process.chains;
      ++process.resumed;
      process.held[static_cast<std::size_t>(chain->key.signal)] += chain->records;
      parked_pages += chain->kind == kKindParked ? static_cast<std::uint32_t>(chain->pages.size()) : 0;
      continue;
    }
    process.positions = chain;
    process.lanes.resize(chain->bytes / 8);
    for (std::uint32_t lane = 0; lane < process.lanes.size(); ++lane) {
      process.lanes[lane].position = *word(position_offset(process, lane));
    }
  }
}

// Of live processes, what they name and nobody found whole.
void HoldCore::find_losses() {
  for (ProcessIndex i = kOthers + 1; i < process_high; ++i) {
    Process* process = processes[i].get();
    if (process == nullptr || process->gone()) {
      continue;
    }
    if (process->positions == nullptr) {
      recovery.lanes_lost.push_back(i);
      store_process(i, kProcessPositions, 0);
      TAILRACE_TEST_POINT("hold.start.lanes_lost");
    }
    if (process->baseline == nullptr && baseline_state(process->words.data()) == BaselineState::kept) {
      recovery.baselines_lost.push_back(i);
      const std::uint64_t times_lost = process->words[kProcessBaseline] >> 32;
      store_process(i, kProcessBaseline, kBaselineLost | (times_lost + 1) << 32);
      TAILRACE_TEST_POINT("hold.start.baseline_lost");
    }
  }
}

void HoldCore::repair_ledgers() {
  for (ProcessIndex i = 0; i < std::max(process_high, kOthers + 1); ++i) {
    if (processes[i] == nullptr) {
      continue;
    }
    const Ledger ledger = ledger_of(*processes[i]);
    for (std::uint32_t signal = 0; signal < kLedgerSignals; ++signal) {
      const std::int64_t lacking = ledger[signal].imbalance();
      if (lacking <= 0) {
        continue;  // a surplus cannot be mended, and shows as unaccounted
      }
      const std::uint32_t index = kProcessLedger + signal * kLedgerWords + kLedgerDropped +
                                  static_cast<std::uint32_t>(DropReason::hold_damaged);
      store_process(i, index, processes[i]->words[index] + static_cast<std::uint64_t>(lacking));
      TAILRACE_TEST_POINT("hold.start.book");
      recovery.records_damaged += static_cast<std::uint64_t>(lacking);
    }
  }
}

void HoldCore::count_deaths() {
  for (ProcessIndex i = kOthers + 1; i < process_high; ++i) {
    Process* process = processes[i].get();
    if (process == nullptr || (process->words[kProcessDrain] & kDrainActive) == 0) {
      continue;
    }
    const std::uint64_t word_then = process->words[kProcessDrain] & ~kDrainActive;
    store_process(i, kProcessDrain, (word_then & 0xffff) == 0xffff ? word_then : word_then + 1);
    TAILRACE_TEST_POINT("hold.start.death");
  }
}

void HoldCore::list_recovered() {
  for (std::uint32_t slot = 0; slot < slot_high; ++slot) {
    const Chain* chain = chains[slot].get();
    if (chain == nullptr || !chain->in_use || (chain->kind != kKindBatch && chain->kind != kKindParked)) {
      continue;
    }
    (chain->state == BatchState::open     ? recovery.open
     : chain->state == BatchState::closed ? recovery.closed
                                          : recovery.parked)
        .push_back(describe(*chain));
    recovery.records += chain->records;
    recovery.bytes += chain->bytes;
  }
  const auto older = [](const BatchInfo& a, const BatchInfo& b) { return a.opened_ns < b.opened_ns; };
  std::stable_sort(recovery.open.begin(), recovery.open.end(), older);
  std::stable_sort(recovery.closed.begin(), recovery.closed.end(), older);
  std::stable_sort(recovery.parked.begin(), recovery.parked.end(), older);
}

}  // namespace tailrace::agent
