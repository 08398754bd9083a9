// SPDX-License-Identifier: Apache-2.0
//
// HoldCore: what Hold and Pass share. Private to agent/hold.
//
// The mapping is written, never read back (payload excepted): `words` of a Process and the fields
// of a Chain are the agent's private copies of its tables, and what links them exists only here.
//
// Threads: everything below `mutex` is touched under it. Of an open chain, the fields marked
// "worker"
//   belong to the thread of the Pass that has it open.
// Source: agent.md, rules 1–13.
#ifndef TAILRACE_AGENT_HOLD_CORE_HPP_
#define TAILRACE_AGENT_HOLD_CORE_HPP_

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <mutex>
#include <queue>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "agent/hold/file.hpp"
#include "agent/hold/hold.hpp"
#include "agent/hold/layout.hpp"
#include "agent/hold/pages.hpp"
#include "agent/hold/transaction.hpp"

namespace tailrace::agent {

class PassBatches;

inline constexpr std::uint8_t kCriticalPriority = static_cast<std::uint8_t>(shm::Priority::critical);

// A chain of pages: a batch, a parked part, lane positions or a baseline. One object a slot,
// reused.
struct Chain {
  std::uint32_t slot = 0;
  std::uint32_t generation = 1;  // moves when the slot is freed; 0 is never used
  hold_layout::ChainKind kind = hold_layout::kKindBatch;
  BatchState state = BatchState::open;
  bool in_use = false;
  bool resumed = false;  // found at start-up: counts for settled from R4's old value
  BatchKey key;
  std::uint64_t note = 0;
  std::uint64_t opened_ns = 0;
  std::uint32_t attempts = 0;
  std::uint64_t due_ns = 0;
  std::uint32_t bytes = 0;  // committed
  std::uint32_t records = 0;
  std::vector<std::uint32_t> pages;
  std::vector<Origin> firsts;  // first position taken from each lane, as committed
  PassBatches* pass = nullptr;

  // worker: appended in the present pass
  bool touched = false;
  std::uint32_t last_lane = kNoLane;
  std::uint32_t pending_bytes = 0;
  std::uint32_t pending_records = 0;
  std::byte* cursor = nullptr;  // where the next byte goes, with room up to its page's end
  std::size_t cursor_room = 0;

  [[nodiscard]] BatchId id() const { return {slot, generation}; }
};

struct BatchKeyHash {
  std::size_t operator()(const BatchKey& key) const {
    std::uint64_t hash =
        (std::uint64_t{key.process} << 16 | static_cast<std::uint64_t>(key.signal) << 8 | key.priority) *
        0x9e3779b97f4a7c15;
    hash = (hash ^ key.route) * 0xff51afd7ed558ccd;
    return static_cast<std::size_t>(hash ^ hash >> 32);
  }
};

// A Pass's index of the chains it has open. Its thread's alone; close() of a batch happens there
// too.
class PassBatches {
 public:
  Chain* find(const BatchKey& key) {
    if (last_ != nullptr && last_->key == key) {
      return last_;
    }
    const auto found = chains_.find(key);
    return found == chains_.end() ? nullptr : last_ = found->second;
  }
  void insert(Chain& chain) {
    chains_[chain.key] = &chain;
    all_.push_back(&chain);
    last_ = &chain;
  }
  // Not appended to any more; still to be closed by this thread.
  void seal(const Chain& chain) {
    if (const auto found = chains_.find(chain.key); found != chains_.end() && found->second == &chain) {
      chains_.erase(found);
    }
    last_ = nullptr;
  }
  void forget(const Chain& chain) {
    seal(chain);
    std::erase(all_, &chain);
  }
  [[nodiscard]] const std::vector<Chain*>& all() const { return all_; }

 private:
  std::unordered_map<BatchKey, Chain*, BatchKeyHash> chains_;
  std::vector<Chain*> all_;
  Chain* last_ = nullptr;
};

// Not memcpy with a known bound: told that a copy ends with the page, compilers expand it into a
// string instruction, which costs more than the 200 bytes it is meant for.
inline void copy_bytes(std::byte* to, const std::byte* from, std::size_t size) {
  asm("" : "+r"(size));
  std::memcpy(to, from, size);
}

// Who took what from a lane, lowest position first. Entries of chains that are gone are skipped.
struct LaneState {
  struct First {
    std::uint64_t position;
    BatchId chain;
  };
  std::uint64_t position = 0;     // committed
  std::uint64_t old_settled = 0;  // for chains found at start-up
  std::uint64_t published = 0;    // what the sink was told last
  std::vector<First> firsts;
  std::size_t front = 0;
  std::size_t compact_at = 64;
};

struct Process {
  std::array<std::uint64_t, hold_layout::kProcessWords> words{};
  std::array<std::uint64_t, kSignalCount> held{};  // records in chains
  std::uint32_t chains = 0;                        // batches and parked, committed or not
  std::uint32_t resumed = 0;                       // of them, found at start-up
  Chain* positions = nullptr;
  Chain* baseline = nullptr;  // as committed last
  std::vector<LaneState> lanes;
  SettledSink* sink = nullptr;
  bool drain_marked = false;

  [[nodiscard]] bool gone() const { return words[hold_layout::kProcessState] == hold_layout::kProcessGone; }
};

class HoldCore {
 public:
  HoldCore(std::unique_ptr<HoldFile> file, std::span<std::byte> memory);

  // --- start-up (recovery.cpp): before anybody else has the object
  void create();                             // over zeroes
  [[nodiscard]] const char* check() const;   // nullptr when the tables can be used, else why not
  [[nodiscard]] bool holds_nothing() const;  // of checked tables
  void recover();

  // --- words in the mapping
  [[nodiscard]] std::uint64_t* word(std::uint64_t offset) const {
    return reinterpret_cast<std::uint64_t*>(base + offset);
  }
  [[nodiscard]] std::uint64_t process_offset(ProcessIndex process, std::uint32_t index) const {
    return geometry.process(process) + index * 8;
  }
  [[nodiscard]] std::uint64_t position_offset(const Process& process, std::uint32_t lane) const;
  [[nodiscard]] std::byte* page(std::uint32_t index) const { return base + geometry.page(index); }
  // Both copies at once, outside a transaction / as part of one.
  void store_process(ProcessIndex process, std::uint32_t index, std::uint64_t value);
  void set_process(ProcessIndex process, std::uint32_t index, std::uint64_t value);

  // --- processes (processes.cpp)
  [[nodiscard]] ProcessIndex find_process(const Uuid& uuid) const;
  Result<ProcessIndex> add_process(const ProcessIdentity& identity);
  Status retire_process(ProcessIndex process);
  [[nodiscard]] Ledger ledger_of(const Process& process) const;

  // --- chains (chains.cpp)
  // Not yet committed: the slot's state stays free in the hold. nullptr: no slot or no page.
  Chain* open_chain(hold_layout::ChainKind kind, const BatchKey& key, std::uint64_t note, std::uint64_t bytes,
                    bool use_reserve);
  // Pages for `bytes` in all. false, and as before: no room.
  bool grow(Chain& chain, std::uint64_t bytes, bool use_reserve);
  void cut(Chain& chain, std::uint64_t bytes);  // gives back pages beyond
  void write(const Chain& chain, std::uint64_t offset, ByteSpan bytes) const;
  void append(Chain& chain,
              ByteSpan bytes) const;  // to pages it has; moves pending_bytes and cursor
  // After the transaction that freed its slot: clears page words, then gives pages and slot back.
  void release(Chain& chain);
  [[nodiscard]] Chain* find_chain(BatchId id) const;
  [[nodiscard]] BatchInfo describe(const Chain& chain) const;
  [[nodiscard]] std::uint64_t slot_word(const Chain& chain) const;
  Chain& chain_of(std::uint32_t slot);  // makes the object if there is none yet

  // --- settled (settled.cpp)
  void add_first(Process& process, Chain& chain, Origin origin);
  void move_firsts(Process& process, Chain& from, Chain& to);
  [[nodiscard]] std::uint64_t settled_of(Process& process, std::uint32_t lane);
  void publish_settled(Process& process, std::uint32_t lane);
  void publish_all(Process& process);
  // The chain is gone: tells what its lanes are settled to now.
  void publish_after(Process& process, const std::vector<Origin>& firsts, bool was_resumed);

  // --- batches (batches.cpp)
  Status close_batch(BatchId batch, std::span<const Patch> patches);
  Status settle_batches(std::span<const Outcome> outcomes);

  std::unique_ptr<HoldFile> file;  // none over memory
  std::byte* base = nullptr;
  hold_layout::Geometry geometry;
  Recovery recovery;
  std::uint64_t epoch = 0;

  mutable std::mutex mutex;
  Transaction transaction;
  PagePool pool;
  std::vector<std::unique_ptr<Process>> processes;  // by index; nullptr: free
  std::vector<std::unique_ptr<Chain>> chains;       // by slot; nullptr: never used
  std::priority_queue<std::uint32_t, std::vector<std::uint32_t>, std::greater<>> free_slots;  // below slot_high
  std::uint32_t slot_high = 0;
  std::uint32_t process_high = 0;
  std::uint32_t reserve_pages = 0;
  std::uint32_t parked_pages = 0;
  std::uint32_t parked_max = 0;

 private:
  ProcessIndex free_process();
  ProcessIndex fold_oldest();
  Chain* make_positions(ProcessIndex process, std::uint32_t lanes);
  void finish_transaction();
  void load_processes();
  [[nodiscard]] bool load_slot(Chain& chain, std::uint64_t& pages_left) const;
  void load_chains();
  void free_damaged(std::uint32_t slot);
  void repair_pages();
  [[nodiscard]] bool baseline_is_whole(const Chain& chain) const;
  void load_owned();
  void find_losses();
  void repair_ledgers();
  void count_deaths();
  void list_recovered();
  void commit_settlement(std::span<const Outcome> outcomes);
};

// A process's words, private or of an image, as what they mean.
SignalLedger load_ledger(const std::uint64_t* words);  // of one signal; derived figures are not included
bool lanes_are_drained(const std::uint64_t* process_words);
BaselineState baseline_state(const std::uint64_t* process_words);
ProcessInfo describe_process(ProcessIndex index, const std::uint64_t* process_words);
DrainTrouble describe_trouble(const std::uint64_t* process_words);

}  // namespace tailrace::agent

#endif  // TAILRACE_AGENT_HOLD_CORE_HPP_
