// SPDX-License-Identifier: Apache-2.0
//
// Pass: what one drain worker takes over in one go. Appends beyond committed lengths, then one
// transaction: lengths and counts of the touched batches, states of new ones, lane positions,
// ledger, words. After commit() the lane's tail may move.
//
//   if (!pass.begin(process)) → commit first, this pass is at its cap
//   for each record:  append(...)   full or cap → stop before it
//   pass.set_position(process, lane, position); pass.set_written(...);
//   pass.commit();  then R4.tail = position
//
// The ledger balances by construction: append, park and drop count their records as seen; what they
// do not count is what the shim counted itself (set_written, set_shim_dropped).
//
// Threads: one Pass object per drain worker, used by that thread alone; several at a time. A batch
// that it
//   opened is its own: nobody else appends to it. Between passes it keeps its open batches, close()
//   them before it is destroyed (destroying abandons what was not committed).
// Failure: room only; commit() cannot fail.
#ifndef TAILRACE_AGENT_HOLD_PASS_HPP_
#define TAILRACE_AGENT_HOLD_PASS_HPP_

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "agent/hold/hold.hpp"

namespace tailrace::agent {

enum class AppendStatus : std::uint8_t {
  appended,
  full,      // no pages: end the pass before this record, commit, close and send
  cap,       // this pass touches as much as it may: commit, then go on with this record
  oversize,  // can never fit (more than max_record_bytes()): drop() it
};

struct Appended {
  AppendStatus status = AppendStatus::full;
  BatchId batch;            // valid if appended
  bool opened = false;      // this record opened it
  std::uint32_t bytes = 0;  // of the batch, with this record
  std::uint32_t records = 0;
};

class Pass {
 public:
  explicit Pass(Hold& hold, std::uint32_t touch_max = 64);
  ~Pass();
  Pass(const Pass&) = delete;
  Pass& operator=(const Pass&) = delete;

  // Before anything else of a process in this pass. false: no room in the log for one process more,
  // commit first. Marks the process as being decoded; if the agent dies before the commit,
  // Hold::trouble() says so to the next one, which then reads one record at a time with
  // begin_careful() up to where the heads stood at its start, the lane that trouble() names first,
  // and drops (poison) a record with three deaths.
  [[nodiscard]] bool begin(ProcessIndex process);
  [[nodiscard]] bool begin_careful(ProcessIndex process, Origin record);

  // Appends `record` (any number of pieces would be one copy more: encode it whole) to this
  // worker's open batch of `key`. If there is none, one is opened: `head` is written first and
  // `note` kept with it.
  Appended append(const BatchKey& key, ByteSpan head, std::uint64_t note, ByteSpan record, Origin origin,
                  std::uint32_t records = 1);
  [[nodiscard]] bool is_open(const BatchKey& key) const;  // is head needed?
  // The key's next append opens a new batch (this one is full by policy and will be closed after
  // commit).
  void seal(const BatchKey& key);

  // Waiting parts and spans (rule 8): kept raw under `span_key` until joined or given up. `full`
  // also when parked chains would take more than 1/8 of the hold. `records` is what the ledger
  // counts: 1 for a span, 0 for a part.
  Appended park(ProcessIndex process, Signal signal, std::uint64_t span_key, ByteSpan raw, Origin origin,
                std::uint32_t records, std::uint8_t priority = 1);
  // As append, and in the same transaction frees the parked chains it was made of; their records
  // are not counted as seen again. May use the reserve.
  Appended join(const BatchKey& key, ByteSpan head, std::uint64_t note, ByteSpan record, Origin origin,
                std::uint32_t records, std::span<const BatchId> parked);
  // Frees a parked chain and books its records as dropped. false: cap, commit first.
  [[nodiscard]] bool discard(BatchId parked, DropReason reason);

  // A record taken and not kept: seen and dropped.
  void drop(ProcessIndex process, Signal signal, DropReason reason, std::uint64_t records = 1,
            std::uint8_t priority = 1, std::uint8_t grpc_code = 0);

  // The lane is taken over up to here. Once a lane and pass is enough; the last value counts.
  void set_position(ProcessIndex process, std::uint32_t lane, std::uint64_t position);
  // The shim's own counters, absolute.
  void set_written(ProcessIndex process, Signal signal, std::uint64_t total);
  void set_shim_dropped(ProcessIndex process, Signal signal, DropReason reason, std::uint64_t total);
  // Records that the agent made itself and appends in this pass: they count as written.
  void add_produced(ProcessIndex process, Signal signal, std::uint64_t records);
  // What is collected of the process's metrics up to now, points of this pass included (rule 7). The
  // bytes go to fresh pages at once; the commit of this pass switches to them and frees the old
  // ones. full: no room, and nothing has changed; abandon() the pass and collect another time.
  AppendStatus set_baseline(ProcessIndex process, ByteSpan bytes);
  void set_word(ProcessIndex process, ProcessWord word, std::uint64_t value);
  void add_word(ProcessIndex process, ProcessWord word, std::uint64_t delta);

  [[nodiscard]] bool empty() const;  // nothing to commit
  void commit();
  void abandon();  // as if this pass had not begun

  // This worker's open batches, as committed, for the closing policy. Between passes.
  void open_batches(std::vector<BatchInfo>& out) const;
  [[nodiscard]] std::uint32_t max_record_bytes() const;

 private:
  class State;
  std::unique_ptr<State> state_;
};

}  // namespace tailrace::agent

#endif  // TAILRACE_AGENT_HOLD_PASS_HPP_
