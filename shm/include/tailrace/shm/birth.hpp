// SPDX-License-Identifier: Apache-2.0
// Birth of a segment: from nothing to a complete, locked, named file without a descriptor.
//
// Order: unnamed file, size, lock, mapping, header, mode, name, close. The name appears only when all
// of it is complete and locked; the lock outlives the descriptor because the mapping keeps the open
// file description alive, and the kernel drops it at exec, exit or SIGKILL (docs/abi.md, "Life").
// Threads: one at a time. Ownership: the mapping is never unmapped.
// Failure: false and a sentence; nothing is left behind.
#pragma once

#include <cstddef>
#include <cstdint>

#include <tailrace/shm/layout.hpp>

namespace tailrace::shm {

// The sizes a segment is made with. (What a reader believes of a segment is shm/reader/geometry.hpp.)
struct SegmentShape {
  std::uint32_t lanes = kLanesDefault;
  std::uint32_t ring_bytes = kRingBytesDefault;
  std::uint32_t slack_bytes = kSlackBytesDefault;
  std::uint32_t max_record = kMaxRecordDefault;
  std::uint32_t pool_slots = kPoolSlotsDefault;
  std::uint32_t arena_bytes = kArenaBytesDefault;
};

// Where the regions lie in memory. Tests point it at memory of their own.
struct SegmentMap {
  unsigned char* base = nullptr;
  std::uint64_t size = 0;
  SegmentShape geometry;
  Identity* identity = nullptr;
  const Control* control = nullptr;  // read-only mapping
  ProcessDynamic* process = nullptr;
  LaneHead* heads = nullptr;
  const LaneTail* tails = nullptr;  // read-only mapping
  unsigned char* strings = nullptr;
  SpanSlot* slots = nullptr;
  unsigned char* lane_data = nullptr;
  SpanSlot* pool = nullptr;
  std::atomic<std::uint32_t>* scopes = nullptr;
  MetricDescriptor* descriptors = nullptr;
  unsigned char* cells = nullptr;
  unsigned char* metric_shared = nullptr;

  std::uint64_t lane_stride() const { return lane_data_stride(geometry); }
  unsigned char* ring(std::uint32_t lane) const { return lane_data + lane * lane_stride(); }
  SpanSlot* lane_slots(std::uint32_t lane) const { return slots + std::uint64_t{lane} * kSlotsPerLane; }
  unsigned char* lane_cells(std::uint32_t lane) const { return cells + std::uint64_t{lane} * kLaneCellBytes; }
  static std::uint64_t lane_data_stride(const SegmentShape& g) {
    const std::uint64_t page = 4096;
    return (std::uint64_t{g.ring_bytes} + g.slack_bytes + page - 1) & ~(page - 1);
  }
};

// Fills the table of regions and the sizes; returns the segment's size, 0 for an impossible geometry.
std::uint64_t lay_out(const SegmentShape& geometry, Identity& identity) noexcept;

// Points `map` at the regions of a segment that starts at `base`, whose identity is filled.
void locate(SegmentMap& map, unsigned char* base, const SegmentShape& geometry) noexcept;

struct Birth {
  SegmentMap map;
  int fd = -1;
  int directory = -1;
  char name[32] = {};       // what it is called once it is published
  char temporary[40] = {};  // only where unnamed files are not to be had
  char why[256] = {};
};

// Everything up to the header: sized, locked, mapped, identity filled but for `magic`. What the
// caller writes into the arena now is there when the name appears.
bool begin_birth(Birth& birth, int directory, const SegmentShape& geometry) noexcept;

// Stores `magic`, protects what the agent writes, gives the file its name and closes it.
bool publish(Birth& birth) noexcept;

// Undoes begin_birth().
void abandon(Birth& birth) noexcept;

// Gives a range pages before anyone touches it: false = no space, where a store would be SIGBUS.
bool commit_range(void* from, std::size_t bytes) noexcept;

void fill_random(void* to, std::size_t bytes) noexcept;

}  // namespace tailrace::shm
