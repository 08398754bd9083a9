// SPDX-License-Identifier: Apache-2.0
//
// AttachedSegment: one application's segment, checked, mapped and watched by the agent.
//
// Everything in it was written by somebody else. Its identity is what the kernel says (owner of the file,
// pid of the lock), its geometry was checked once over a private copy and never read again, and what is
// read later are single words, or ranges that the application announced as committed.
//
// Threads: one drain worker owns a segment at a time. publish_settled(), beat(), set_sleeping() and the
//   plain accessors (name, uuid, uid, pid, geometry) may be used by any thread meanwhile.
// Memory: owns the descriptor and three mappings: the whole file read-only, R1 and R4 read-write.
// Failure: a read through the mapping that the kernel refuses (the file was cut, the tmpfs is full) gives
//   zeros instead of SIGBUS (fault_guard.hpp) and shows in condition(); it harms no other segment.
// Source: segment.md 3.1, 3.2, 3.8, 3.9.
#pragma once

#include <sys/types.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include <tailrace/shm/layout.hpp>

#include "agent/base/result.hpp"
#include "shm/reader/counters.hpp"
#include "shm/reader/geometry.hpp"

namespace tailrace::agent {

using Uuid = std::array<std::uint8_t, 16>;

// What a crash handler of the application left behind; signal 0 = nothing. Untrusted.
struct CrashNote {
  std::uint32_t signal = 0;
  std::uint32_t lane = 0;
  std::uint64_t address = 0;
  std::uint64_t counter = 0;
};

// A row of R1: of the process's records of one signal.
struct SettledCounts {
  std::uint64_t produced = 0;
  std::uint64_t delivered = 0;
  std::uint64_t rejected = 0;
  std::array<std::uint64_t, shm::kDropGroups> dropped{};
};

enum class SegmentCondition : std::uint8_t {
  sound,
  unreadable,   // a page could not be had (tmpfs full); tried again by refresh_condition()
  poisoned,     // the file shrank: nothing of it is read any more
  quarantined,  // too many broken records: nothing of it is read any more
};

class AttachedSegment {
 public:
  AttachedSegment(const AttachedSegment&) = delete;
  AttachedSegment& operator=(const AttachedSegment&) = delete;
  ~AttachedSegment();

  // --- who
  [[nodiscard]] const std::string& name() const;  // <16 hex>.seg
  [[nodiscard]] const Uuid& uuid() const;         // the application's claim, a key and nothing more
  [[nodiscard]] uid_t uid() const;                // st_uid
  [[nodiscard]] pid_t pid() const;                // kernel's pid of the lock at attach; 0 unknown
  [[nodiscard]] std::uint64_t inode() const;
  // R0, checked once. Its pid, start time and clocks are claims.
  [[nodiscard]] const shm::Geometry& geometry() const;

  // --- life and death
  // True once the image is gone (the lock is free); stays true. One system call while it is alive.
  bool try_lock_dead();
  [[nodiscard]] bool dead() const;
  // The same look at the lock without the verdict: dead() stays as it is.
  [[nodiscard]] bool lock_is_free() const;
  // Removes the file's name, if it still is this file. Call when all of it is settled.
  Status unlink();

  // --- trouble
  [[nodiscard]] SegmentCondition condition() const;
  [[nodiscard]] bool readable() const { return condition() == SegmentCondition::sound; }
  [[nodiscard]] std::string trouble() const;  // a sentence, empty while sound
  // Looks at what a fault meant: shrunk → poisoned, else maps the pages again. Cheap when sound.
  SegmentCondition refresh_condition();
  void quarantine(std::string why);  // also tells the application (agent_state rejected)

  // --- size of things (checked, constant)
  [[nodiscard]] std::uint32_t lane_count() const;  // shared ones included; they are the last
  [[nodiscard]] bool is_shared_lane(std::uint32_t lane) const;
  [[nodiscard]] std::uint32_t ring_bytes() const;
  [[nodiscard]] std::uint64_t segment_bytes() const;  // st_size at attach
  [[nodiscard]] std::uint64_t memory_bytes() const;   // what the tmpfs has given to it by now

  // --- words of the application. `lane` < lane_count()
  [[nodiscard]] std::uint32_t lanes_used() const;  // ordinary lanes ever taken, clamped
  [[nodiscard]] bool lane_committed(std::uint32_t lane) const;
  [[nodiscard]] std::uint64_t head(std::uint32_t lane) const;        // acquire
  [[nodiscard]] std::uint64_t strings_len() const;                   // acquire, clamped to the region
  [[nodiscard]] std::uint32_t scopes_count() const;                  // acquire, clamped
  [[nodiscard]] std::uint32_t pool_used() const;                     // acquire, clamped
  [[nodiscard]] std::uint32_t metrics_count() const;                 // acquire, clamped
  [[nodiscard]] std::uint32_t flush_gen(shm::FlushKind kind) const;  // acquire
  [[nodiscard]] CrashNote crash() const;
  // R2 as one private copy: anchors, crash note and what else is not read in every pass.
  [[nodiscard]] shm::ProcessWords process_words() const;
  // The application's own counts, summed over its lanes; each word is read by itself.
  [[nodiscard]] shm::CounterSums counters() const;
  // The futex word a waiter sleeps on.
  [[nodiscard]] const std::atomic<std::uint32_t>* doorbell() const;

  // --- words of the agent
  [[nodiscard]] std::uint64_t tail(std::uint32_t lane) const;  // R4 as found: untrusted after a restart
  [[nodiscard]] std::uint64_t settled(std::uint32_t lane) const;
  [[nodiscard]] std::vector<std::uint64_t> settled_words() const;  // one a lane, for Hold::attach
  void publish_tail(std::uint32_t lane, std::uint64_t position);
  void publish_settled(std::uint32_t lane, std::uint64_t position);
  [[nodiscard]] std::uint64_t last_epoch() const;  // of the agent before announce(); 0: nobody has met it
  void announce(std::uint64_t epoch, std::uint64_t features = 0);  // agent_state = attached
  void reject(shm::RejectReason reason);
  void withdraw();  // agent_state = none: a clean stop
  void beat(std::uint64_t monotonic_ns);
  void set_sleeping(bool sleeping);
  void set_clock_override(shm::ClockKind kind);
  [[nodiscard]] std::uint32_t flush_done(shm::FlushKind kind) const;   // as an earlier agent left it
  void set_flush_done(shm::FlushKind kind, std::uint32_t generation);  // stores and wakes
  // What became of the process's records, by signal: all rows of a kind at once.
  void publish_counts(shm::FlushKind kind, const std::array<SettledCounts, shm::kSignals>& counts);

  // --- bytes
  // Exactly out.size() bytes at `offset` of the file by pread; false when the file does not have them.
  [[nodiscard]] bool read(std::uint64_t offset, std::span<std::uint8_t> out) const;
  // The words at `offset`, a multiple of 8, each by one load through the mapping. Only what the process says
  // is committed: a page that nobody wrote would be taken from its tmpfs. False: a page could not be had.
  [[nodiscard]] bool read_words(std::uint64_t offset, std::span<std::uint64_t> out) const;
  // The mapped ring of a lane that is committed, else nullptr.
  [[nodiscard]] const std::uint8_t* ring(std::uint32_t lane) const;

 private:
  friend class Directory;
  struct State;
  explicit AttachedSegment(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace tailrace::agent
