// SPDX-License-Identifier: Apache-2.0
// A pass's end: baselines, the one transaction, and how everything is left behind it or behind an abandoned pass.
#include <algorithm>
#include <utility>

#include "agent/hold/mutation.hpp"
#include "agent/hold/pass_state.hpp"
#include "agent/hold/words.hpp"
#include <tailrace/shm/test_point.hpp>

namespace tailrace::agent {

using namespace hold_layout;

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
    change.baseline = core.open_chain(kKindBaseline, key, add_to_checksum(0, bytes), bytes.size(), false);
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
    core.set_process(change.index, kProcessBaseline, (std::uint64_t{fresh->slot} + 1) | times_lost << 32);
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
    if (part.into != nullptr && records != 0) {  // seen when it was parked, and counted again in its batch
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

}  // namespace tailrace::agent
