// SPDX-License-Identifier: Apache-2.0
#include "agent/pipeline/orphans.hpp"

#include <spdlog/spdlog.h>

namespace tailrace::agent {

void Orphans::settle(const std::function<bool(ProcessIndex)>& has_session) {
  for (const ProcessIndex process : hold_.processes()) {
    if (process == kOthers || has_session(process)) continue;
    if (hold_.process(process).phase != ProcessPhase::drained) {
      give_up_parked(process);
      const Ledger ledger = hold_.ledger(process);
      if (!pass_.begin(process)) pass_.commit();
      for (const Signal signal : {Signal::traces, Signal::logs}) {
        const std::int64_t left = ledger[index_of(signal)].difference();
        if (left <= 0) continue;
        pass_.drop(process, signal, DropReason::segment_evicted, static_cast<std::uint64_t>(left));
        spdlog::warn("{} (segment {}): its segment is gone with {} {} records that were not drained",
                     hold_.process(process).identity.service, hold_.process(process).identity.segment, left,
                     signal_name(signal));
      }
      pass_.set_word(process, ProcessWord::phase, static_cast<std::uint64_t>(ProcessPhase::drained));
      pass_.commit();
    }
    bool held = false;
    for (const SignalLedger& row : hold_.ledger(process)) held = held || row.held != 0;
    // Not an error: a chain without records may still be on its way out.
    if (!held) static_cast<void>(hold_.retire(process));
  }
}

void Orphans::give_up_parked(ProcessIndex process) {
  for (const BatchInfo& parked : hold_.recovery().parked) {
    if (parked.key.process != process || !hold_.info(parked.id).ok()) continue;
    if (!pass_.begin(process)) pass_.commit();
    if (!pass_.discard(parked.id, DropReason::segment_evicted)) {
      pass_.commit();
      static_cast<void>(pass_.begin(process));
      static_cast<void>(pass_.discard(parked.id, DropReason::segment_evicted));
    }
    pass_.commit();
  }
}

}  // namespace tailrace::agent
