// SPDX-License-Identifier: Apache-2.0
//
// Private to agent/hold: what a pass has under way. Appending is in pass.cpp, committing in pass_commit.cpp.
//
// Threads: the Pass's own; what it shares with others is behind the hold's mutex.
#ifndef TAILRACE_AGENT_HOLD_PASS_STATE_HPP_
#define TAILRACE_AGENT_HOLD_PASS_STATE_HPP_

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <utility>
#include <vector>

#include "agent/hold/core.hpp"
#include "agent/hold/pass.hpp"

namespace tailrace::agent {

// Together with one process of 1024 lanes it fits the smallest log.
inline constexpr std::uint32_t kTouchLimit = 512;
inline constexpr std::uint32_t kChainBytesMax = std::uint32_t{1} << 30;

constexpr std::uint32_t ledger_word(Signal signal, std::uint32_t word) {
  return static_cast<std::uint32_t>(signal) * hold_layout::kLedgerWords + word;
}

// What a pass changes of one process besides batches. Reused from pass to pass: nothing is
// allocated once the lanes are known.
struct Changes {
  ProcessIndex index = kNoProcess;
  std::array<std::uint64_t, hold_layout::kLedgerSignals * hold_layout::kLedgerWords> added{};
  std::array<bool, hold_layout::kLedgerSignals * hold_layout::kLedgerWords> listed{};
  std::vector<std::uint32_t> added_words;                         // those listed
  std::vector<std::pair<std::uint32_t, std::uint64_t>> absolute;  // process word, value
  std::array<std::uint64_t, hold_layout::kProcessWordCount> general_added{};
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
  void take_back(std::uint32_t word, std::uint64_t delta) { added[word] -= std::min(added[word], delta); }
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
  Appended append(const BatchKey& key, ByteSpan head, std::uint64_t note, ByteSpan record, Origin origin,
                  std::uint32_t records, std::span<const BatchId> parked, bool joining);
  Appended park(const BatchKey& key, ByteSpan raw, Origin origin, std::uint32_t records);
  bool touch_room(std::size_t more = 1) const { return touched.size() + freed.size() + more <= touch_max_; }
  AppendStatus set_baseline(ProcessIndex process, ByteSpan bytes);
  void commit();
  void abandon();
  void note_origin(Chain& chain, Origin origin);
  void drop_word(ProcessIndex process, Signal signal, DropReason reason, std::uint64_t records, std::uint8_t priority,
                 std::uint8_t grpc_code, bool seen);

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

}  // namespace tailrace::agent

#endif  // TAILRACE_AGENT_HOLD_PASS_STATE_HPP_
