// SPDX-License-Identifier: Apache-2.0
//
// Hold: the agent's memory for telemetry, one file on a tmpfs that survives the agent.
//
// What a drain worker took from a lane is appended to batches here and committed in one transaction
// with the lane's position and the ledger (agent/hold/pass.hpp); a batch is closed, sent from where
// it lies, and its answer booked while its memory is freed, in one transaction again. kill -9 at
// any instruction loses nothing and doubles nothing, except requests whose answer was not booked.
//
// Threads: every function may be called from any thread unless it says otherwise. One private mutex
// is
//   held from the first value read until the log is clear; nothing under it waits, copies payload
//   or calls out, except SettledSink::settled.
// Ownership: the Hold owns file, lock and mapping; Pass objects borrow it and go first. Bytes in
// pieces()
//   stay where they are until the batch is settled.
// Failure: open() answers with a sentence; damage never refuses a start (see Recovery). After open
// nothing
//   fails but for want of room. Misuse (a batch settled twice, a count that does not add up) is an
//   Error where it can be told, and changes nothing.
// Source: agent.md "The hold", rules 1–13; docs/design/hold.md.
#ifndef TAILRACE_AGENT_HOLD_HOLD_HPP_
#define TAILRACE_AGENT_HOLD_HOLD_HPP_

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "agent/base/result.hpp"
#include "agent/hold/layout.hpp"
#include "agent/hold/ledger.hpp"

namespace tailrace::agent {

class HoldCore;  // private: agent/hold/core.hpp

using ByteSpan = std::span<const std::byte>;

struct HoldOptions {
  std::string path;                                // the file; its folder is made 0700 if it is not there
  std::uint64_t bytes = std::uint64_t{128} << 20;  // the whole file; 512 KiB at least
  std::string version;                             // of the program, shown by status
};

// --- processes
// -------------------------------------------------------------------------------------

using ProcessIndex = std::uint32_t;
inline constexpr ProcessIndex kNoProcess = ~ProcessIndex{0};
inline constexpr ProcessIndex kOthers = 0;  // totals of processes folded away; has no lanes
using Uuid = std::array<std::uint8_t, 16>;

struct ProcessIdentity {
  Uuid uuid{};  // the segment's
  std::uint32_t pid = 0;
  std::uint32_t uid = 0;
  std::uint64_t start_ticks = 0;
  std::string service;      // cut at 127 bytes
  std::string segment;      // the segment's file name, cut at 47 bytes
  std::uint32_t lanes = 0;  // 1…1024
  // An earlier agent had it and this hold does not know it: what was collected of its metrics is not
  // known. Looked at only when it is new here.
  bool met_before = false;
};

// Progress that must survive the agent, one u64 each; absolute values, set by a pass or by
// set_word().
enum class ProcessWord : std::uint8_t {
  phase = 0,       // ProcessPhase
  slots_done = 1,  // open-span slots of a dead process reported so far
  spare2 = 2,
  strings_len = 3,
  metrics_done = 4,  // not 0: the last values of a dead process are collected
  corrupt_lanes = 5,
  cut_parts = 6,  // records sent without all their parts
  truncated = 7,  // records the shim had to cut
  dropped_attributes = 8,
  incomplete_spans = 9,
  other_records = 10,       // THREAD, LOSS, ANCHOR and their like
  metrics_skipped = 11,     // collections that found no room
  metrics_unrecorded = 12,  // as the shim counts them: no series was left for the call
  metrics_invalid = 13,     // NaN, infinities, negative adds
  metrics_clamped = 14,     // recorded in a histogram's last bucket
  hints_refused = 15,       // settings of the process that are not obeyed as they stand
};
enum class ProcessPhase : std::uint64_t {
  live = 0,
  dead = 1,     // its image is gone
  drained = 2,  // and its lanes are read to their heads: what is missing from here on is unaccounted
};

struct ProcessInfo {
  ProcessIndex index = kNoProcess;
  ProcessIdentity identity;
  ProcessPhase phase = ProcessPhase::live;
  bool gone = false;  // retired: only its totals are left
  std::uint64_t added_ns = 0;
};

// What the last agent was doing with this process when it died (Pass::begin tells how it is used).
struct DrainTrouble {
  std::uint32_t deaths = 0;  // 0: nothing. Otherwise how often an agent died here
  bool careful = false;      // it was reading one record at a time, and lane and position name that record
  std::uint32_t lane = 0;
  std::uint64_t position = 0;
};

// What of a process's metrics was collected last (rule 7); opaque bytes, see Pass::set_baseline().
enum class BaselineState : std::uint8_t {
  none,  // nothing was collected yet
  kept,
  lost,  // something was, and it is not known what: nothing older than now may be sent as a delta
};

// Told the new `settled` of a lane, to be stored into R4. Called with the hold's mutex held, so
// that values of one lane arrive in order: store and return, call nothing of the hold.
class SettledSink {
 public:
  virtual ~SettledSink() = default;
  virtual void settled(std::uint32_t lane, std::uint64_t position) = 0;
};

// --- batches
// ---------------------------------------------------------------------------------------

// Stale after the batch is settled; using it then is an Error and never hits another batch.
struct BatchId {
  std::uint32_t slot = 0;
  std::uint32_t generation = 0;  // 0: no batch
  [[nodiscard]] bool valid() const { return generation != 0; }
  bool operator==(const BatchId&) const = default;
};

struct BatchKey {
  ProcessIndex process = kNoProcess;
  Signal signal = Signal::traces;
  std::uint8_t priority = 0;  // 0…3
  std::uint64_t route = 0;    // scope, and whatever else keeps records apart; opaque
  bool operator==(const BatchKey&) const = default;
};

// Where a record came from: its first position in a lane, for `settled`.
inline constexpr std::uint32_t kNoLane = ~std::uint32_t{0};
struct Origin {
  std::uint32_t lane = kNoLane;  // kNoLane: a metric collection, an open-span slot
  std::uint64_t position = 0;
};

enum class BatchState : std::uint8_t { open, closed, inflight, parked };

struct BatchInfo {
  BatchId id;
  BatchKey key;  // of a parked chain: route is its span key
  BatchState state = BatchState::open;
  std::uint64_t note = 0;  // the word given when it was opened
  std::uint32_t bytes = 0;
  std::uint32_t records = 0;
  std::uint64_t opened_ns = 0;  // realtime
  std::uint32_t attempts = 0;
  std::uint64_t due_ns = 0;  // realtime; 0: at once
};

struct Patch {
  std::uint32_t offset = 0;  // within the batch
  ByteSpan bytes;
};

// What became of a batch. delivered + rejected + dropped must be its records.
struct Outcome {
  BatchId batch;
  std::uint64_t delivered = 0;
  std::uint64_t rejected = 0;
  std::uint64_t dropped = 0;
  DropReason reason = DropReason::non_retryable;
  std::uint8_t grpc_code = 0;  // kept for status where the reason is non_retryable
};

struct Occupancy {
  std::uint64_t bytes = 0;       // of pages, all together: what can hold telemetry
  std::uint64_t bytes_used = 0;  // of pages taken
  std::uint64_t bytes_parked = 0;
  std::uint64_t bytes_committed = 0;  // of pages whose memory the tmpfs has given
  bool tmpfs_full = false;            // the last attempt to commit more was refused
};

// --- start-up
// --------------------------------------------------------------------------------------

// What open() found, for the line the agent prints and for the pipeline that takes it up.
struct Recovery {
  bool created = false;      // a new file
  bool renewed = false;      // the old one was damaged: `damage` says how, tables are in PATH.damaged
  std::string damage;        // also says if that copy could not be kept
  bool interrupted = false;  // the last agent died inside a transaction, which was completed
  bool size_kept = false;    // holds something in another size than asked for: the file's own size stays
  std::uint32_t last_pid = 0;
  std::uint32_t processes = 0;
  // To be finished by the owner before anything else: open ones are closed with their patches,
  // parked ones are indexed. Oldest first.
  std::vector<BatchInfo> open;
  std::vector<BatchInfo> closed;
  std::vector<BatchInfo> parked;
  std::uint64_t records = 0;
  std::uint64_t bytes = 0;
  std::uint64_t pages_reclaimed = 0;         // taken by a pass that was never committed
  std::uint32_t chains_damaged = 0;          // freed
  std::uint64_t records_damaged = 0;         // booked hold_damaged
  std::vector<ProcessIndex> lanes_lost;      // their positions were damaged: add() them again
  std::vector<ProcessIndex> baselines_lost;  // damaged, and marked BaselineState::lost
};

// --- the hold
// --------------------------------------------------------------------------------------

class Hold {
 public:
  // Locks, maps, checks, repairs. Refuses if another agent holds the lock (naming its pid), if the
  // file or folder is not ours alone, or if there is no room for the tables.
  static Result<std::unique_ptr<Hold>> open(const HoldOptions& options);
  // The same over memory at hand (8-byte aligned), without file and lock. For tests, and for the
  // fuzzer: an Error says why the image would have been made anew.
  static Result<std::unique_ptr<Hold>> over(std::span<std::byte> memory, bool create);
  ~Hold();
  Hold(const Hold&) = delete;
  Hold& operator=(const Hold&) = delete;

  [[nodiscard]] const Recovery& recovery() const;

  // --- processes
  [[nodiscard]] ProcessIndex find(const Uuid& uuid) const;  // kNoProcess if it is not known, or gone
  // One that is known is returned as it is, with lane positions made anew (0) if they were lost.
  // Takes a page or two; when the table is full, the oldest gone process is folded into its service
  // or others.
  Result<ProcessIndex> add(const ProcessIdentity& identity);
  // Its segment is gone: positions are freed, totals stay. Its chains must be settled first.
  Status retire(ProcessIndex process);
  [[nodiscard]] ProcessInfo process(ProcessIndex process) const;
  [[nodiscard]] std::vector<ProcessIndex> processes() const;  // those that are not gone
  [[nodiscard]] Ledger ledger(ProcessIndex process) const;
  [[nodiscard]] std::uint64_t position(ProcessIndex process, std::uint32_t lane) const;
  [[nodiscard]] std::uint64_t word(ProcessIndex process, ProcessWord word) const;
  void set_word(ProcessIndex process, ProcessWord word, std::uint64_t value);  // one store
  // Corrects a position outside a pass: a lane that is taken up elsewhere than the hold says
  // (resync).
  void set_position(ProcessIndex process, std::uint32_t lane, std::uint64_t position);
  [[nodiscard]] DrainTrouble trouble(ProcessIndex process) const;
  // Reads the baseline back, as a new agent does. Replaces `out`; it is empty but for `kept`.
  BaselineState baseline(ProcessIndex process, std::vector<std::byte>& out) const;

  // --- settled (rule 5)
  // From now on `sink` is told. `old_settled` are R4's words as found, untrusted; chains found at
  // start-up count from there. Calls the sink for every lane at once. detach() returns when no call
  // is under way.
  void attach(ProcessIndex process, SettledSink* sink, std::span<const std::uint64_t> old_settled);
  void detach(ProcessIndex process);
  [[nodiscard]] std::uint64_t settled(ProcessIndex process, std::uint32_t lane) const;

  // --- batches
  // Writes the patches, then the state. From the thread of the Pass that filled it, between passes
  // (no uncommitted bytes); of one found at start-up, from any thread. It is not appended to any
  // more.
  Status close(BatchId batch, std::span<const Patch> patches);
  [[nodiscard]] Result<BatchInfo> info(BatchId batch) const;
  // Committed bytes as few contiguous spans into the mapping, in order. Replaces `out`.
  void pieces(BatchId batch, std::vector<ByteSpan>& out) const;
  void begin_send(std::span<const BatchId> batches);  // closed → inflight, private
  // What waits for an answer now of one process: its batches, closed or being sent; only critical
  // ones if asked. Appends to `out`.
  void unsettled(ProcessIndex process, bool critical_only, std::vector<BatchId>& out) const;
  // Takes those out of `batches` that are settled.
  void forget_settled(std::vector<BatchId>& batches) const;
  // inflight → closed, with advisory words that survive.
  void retry(std::span<const BatchId> batches, std::uint32_t attempts, std::uint64_t due_ns);
  // Books and frees closed or inflight batches, all in one transaction (batch by batch if the log
  // is too small). Only when nobody reads their pieces any more, a timed-out call's transport
  // included.
  Status settle(std::span<const Outcome> outcomes);

  // --- room
  [[nodiscard]] std::uint64_t bytes_free() const;  // for ordinary appends: without the reserve
  [[nodiscard]] Occupancy occupancy() const;
  // Gives memory that a burst left behind back to the tmpfs, a few MiB a call; `keep_bytes` stay at
  // hand. For the housekeeper, every second. Returns bytes given back.
  std::uint64_t trim(std::uint64_t keep_bytes = std::uint64_t{8} << 20);

  // --- life
  // Heartbeats, shown by status: `thread` is 0…31, named once, then beaten at least every second.
  void name_thread(std::uint32_t thread, std::string_view name);
  void beat(std::uint32_t thread);
  [[nodiscard]] std::uint64_t epoch() const;  // random, once a start
  [[nodiscard]] std::uint64_t commits() const;

  // Private to agent/hold.
  [[nodiscard]] HoldCore& core() { return *core_; }

 private:
  explicit Hold(std::unique_ptr<HoldCore> core);
  std::unique_ptr<HoldCore> core_;
};

}  // namespace tailrace::agent

#endif  // TAILRACE_AGENT_HOLD_HOLD_HPP_
