// SPDX-License-Identifier: Apache-2.0
//
// Closing and settlement: the two ends of a batch's way to its destination.
#include <algorithm>
#include <cassert>

#include "agent/hold/core.hpp"
#include "agent/hold/mutation.hpp"
#include "agent/hold/words.hpp"
#include <tailrace/shm/test_point.hpp>

namespace tailrace::agent {

using namespace hold_layout;

namespace {

std::string name_of(BatchId id) { return "batch " + std::to_string(id.slot) + "." + std::to_string(id.generation); }

Error stale(BatchId id) {
  return {ErrorCode::kNotFound, "hold: " + name_of(id) + " is not there: settled before, or never opened"};
}

}  // namespace

Status HoldCore::close_batch(BatchId id, std::span<const Patch> patches) {
  Chain* chain = nullptr;
  {
    const std::lock_guard lock(mutex);
    chain = find_chain(id);
    if (chain == nullptr || chain->kind != kKindBatch) {
      return stale(id);
    }
    if (chain->state != BatchState::open || chain->touched) {
      return Error{
          ErrorCode::kInvalidArgument,
          "hold: " + name_of(id) + (chain->touched ? " is part of a pass; commit it first" : " is closed already")};
    }
    for (const Patch& patch : patches) {
      if (patch.bytes.size() > chain->bytes || patch.offset > chain->bytes - patch.bytes.size()) {
        return Error{ErrorCode::kInvalidArgument,
                     "hold: " + name_of(id) + ": a patch of " + std::to_string(patch.bytes.size()) + " bytes at " +
                         std::to_string(patch.offset) + " ends beyond its " + std::to_string(chain->bytes)};
      }
    }
  }
  // Still open: nobody else writes or sends it, and a death here leaves it open, to be patched
  // again.
  for (const Patch& patch : patches) {
    write(*chain, patch.offset, patch.bytes);
    TAILRACE_TEST_POINT("hold.close.patch");
  }
  const std::lock_guard lock(mutex);
  if (chain->pass != nullptr) {
    chain->pass->forget(*chain);
    chain->pass = nullptr;
  }
  chain->state = BatchState::closed;
  store_word(word(geometry.slot(chain->slot)) + kSlotState, slot_word(*chain));
  TAILRACE_TEST_POINT("hold.close.state");
  return {};
}

Status HoldCore::settle_batches(std::span<const Outcome> outcomes) {
  const std::lock_guard lock(mutex);
  std::vector<std::uint32_t> slots;
  std::vector<ProcessIndex> touched;
  for (const Outcome& outcome : outcomes) {
    const Chain* chain = find_chain(outcome.batch);
    if (chain == nullptr || chain->kind != kKindBatch) {
      return stale(outcome.batch);
    }
    if (chain->state == BatchState::open) {
      return Error{ErrorCode::kInvalidArgument, "hold: " + name_of(outcome.batch) + " is open; close it first"};
    }
    if (outcome.delivered + outcome.rejected + outcome.dropped != chain->records ||
        (outcome.dropped != 0 && is_shim_reason(outcome.reason))) {
      return Error{ErrorCode::kInvalidArgument,
                   "hold: " + name_of(outcome.batch) + ": " + std::to_string(outcome.delivered) + " delivered + " +
                       std::to_string(outcome.rejected) + " rejected + " + std::to_string(outcome.dropped) +
                       " dropped are not its " + std::to_string(chain->records) + " records"};
    }
    slots.push_back(chain->slot);
    touched.push_back(chain->key.process);
  }
  std::sort(slots.begin(), slots.end());
  if (std::adjacent_find(slots.begin(), slots.end()) != slots.end()) {
    return Error{ErrorCode::kInvalidArgument, "hold: one batch is named twice in a settlement"};
  }
  std::sort(touched.begin(), touched.end());
  const auto processes_touched =
      static_cast<std::uint64_t>(std::unique(touched.begin(), touched.end()) - touched.begin());

  // Booked words of a process: at most delivered, rejected, a reason and a code for each batch, and
  // the first three again where it is critical.
  const std::uint64_t booked =
      std::min<std::uint64_t>(processes_touched * kLedgerSignals * kLedgerWords, outcomes.size() * 7);
  if (outcomes.size() + booked <= transaction.capacity()) {
    commit_settlement(outcomes);
  } else {
    for (std::size_t i = 0; i < outcomes.size(); ++i) {
      commit_settlement(outcomes.subspan(i, 1));
    }
  }
  return {};
}

void HoldCore::commit_settlement(std::span<const Outcome> outcomes) {
  TAILRACE_TEST_POINT("hold.settle.begin");
  if (mutated(Mutation::pages_before_settlement)) {
    for (const Outcome& outcome : outcomes) {
      for (const std::uint32_t index : chains[outcome.batch.slot]->pages) {
        store_word(word(geometry.page_word(index)), 0);
        TAILRACE_TEST_POINT("hold.page.clear");
      }
    }
  }
  // Privately first, so that every word is in the log once however many batches change it.
  std::vector<std::pair<ProcessIndex, std::uint32_t>> changed;
  const auto book = [&](const Chain& chain, std::uint32_t index, std::uint64_t count) {
    if (count != 0) {
      const std::uint32_t at = kProcessLedger + static_cast<std::uint32_t>(chain.key.signal) * kLedgerWords + index;
      processes[chain.key.process]->words[at] += count;
      changed.emplace_back(chain.key.process, at);
    }
  };
  for (const Outcome& outcome : outcomes) {
    const Chain& chain = *chains[outcome.batch.slot];
    book(chain, kLedgerDelivered, outcome.delivered);
    book(chain, kLedgerRejected, outcome.rejected);
    book(chain, kLedgerDropped + static_cast<std::uint32_t>(outcome.reason), outcome.dropped);
    if (outcome.reason == DropReason::non_retryable) {
      book(chain, kLedgerGrpcCode + std::min<std::uint32_t>(outcome.grpc_code, kGrpcCodes - 1), outcome.dropped);
    }
    if (chain.key.priority == kCriticalPriority) {
      book(chain, kLedgerCritical + kCriticalDelivered, outcome.delivered);
      book(chain, kLedgerCritical + kCriticalRejected, outcome.rejected);
      book(chain, kLedgerCritical + kCriticalDropped + static_cast<std::uint32_t>(drop_group(outcome.reason)),
           outcome.dropped);
    }
    processes[chain.key.process]->held[static_cast<std::size_t>(chain.key.signal)] -= chain.records;
  }
  std::sort(changed.begin(), changed.end());
  changed.erase(std::unique(changed.begin(), changed.end()), changed.end());
  for (const auto& [process, at] : changed) {
    transaction.set(process_offset(process, at), processes[process]->words[at]);
  }
  if (mutated(Mutation::settle_in_two)) {
    transaction.commit();
    TAILRACE_TEST_POINT("hold.settle.between");
  }
  for (const Outcome& outcome : outcomes) {
    transaction.set(geometry.slot(outcome.batch.slot) + kSlotState * 8, 0);
  }
  transaction.commit();
  TAILRACE_TEST_POINT("hold.settle.committed");

  for (const Outcome& outcome : outcomes) {
    Chain& chain = *chains[outcome.batch.slot];
    Process& process = *processes[chain.key.process];
    const std::vector<Origin> firsts = std::move(chain.firsts);
    const bool resumed = chain.resumed;
    release(chain);
    publish_after(process, firsts, resumed);
  }
}

}  // namespace tailrace::agent
