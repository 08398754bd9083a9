// SPDX-License-Identifier: Apache-2.0
// Geometry: where everything in a segment is, checked once and kept privately.
//
// parse_identity() is given a copy of the segment's first page and the file's true size. What it answers
// holds for the life of the segment: every region lies inside the file, on its own 64 KiB, beside the
// others, with room for all entries it claims. Nothing of R0 is read again.
// A newer minor version is accepted: a larger header, larger strides, unknown regions and unknown
// optional features. Another major version or an unknown required feature is not.
//
// Threads: values. Memory: owns what it holds. Failure: a code and a sentence with the numbers.
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include <tailrace/shm/layout.hpp>

#include "shm/reader/bytes.hpp"

namespace tailrace::shm {

// How much of the file parse_identity() wants.
inline constexpr std::size_t kIdentityBytes = 4096;

// Limits of a reader, beside those of layout.hpp: what a segment of this major version may ask it to keep track of.
inline constexpr std::uint32_t kHeaderBytesMax = kIdentityBytes;
inline constexpr std::uint32_t kMaxRecordMin = 256;
inline constexpr std::uint32_t kSlotBytesMin = 256;
inline constexpr std::uint32_t kSlotBytesMax = 8u << 10;
inline constexpr std::uint32_t kSlotsPerLaneMax = 64;
inline constexpr std::uint32_t kPoolSlotsMax = 64u << 10;
inline constexpr std::uint32_t kScopeEntriesMax = 65535;  // a record's scope has 16 bits
inline constexpr std::uint64_t kArenaBytesMax = 64ull << 20;
inline constexpr std::uint64_t kFeaturesKnown = 0;

enum class GeometryProblem : std::uint8_t {
  none = 0,
  too_short,  // not even a header: perhaps not ready yet
  not_ready,  // magic is 0
  magic,      // not a segment
  abi_major,
  features,
  size,     // of the header, the file, or what the header says about it
  regions,  // missing, twice, outside, overlapping, unaligned, too small for their entries
  numbers,  // lanes, ring, slack, records, slots: outside their limits or contradicting each other
};

struct RegionRange {
  std::uint64_t offset = 0;
  std::uint64_t length = 0;
  std::uint32_t stride = 0;
  std::uint32_t count = 0;

  bool present() const { return length != 0; }
  std::uint64_t entry(std::uint64_t index) const { return offset + stride * index; }
};

inline constexpr std::size_t kRegionKinds = 13;

struct Geometry {
  std::uint16_t abi_major = 0;
  std::uint16_t abi_minor = 0;
  std::uint32_t header_size = 0;
  std::uint64_t features_optional = 0;
  std::uint64_t segment_size = 0;
  std::array<std::uint8_t, 16> uuid{};
  std::uint32_t claimed_pid = 0;  // what the application says; identity is the kernel's word
  std::uint64_t start_time_ticks = 0;
  std::uint64_t pid_namespace = 0;
  std::uint64_t created_realtime_ns = 0;
  std::uint64_t created_monotonic_ns = 0;
  std::uint64_t created_counter = 0;
  ClockKind clock_kind = ClockKind::none;
  std::uint64_t boot_id_hash = 0;

  std::uint32_t lane_count = 0;
  std::uint32_t shared_lanes = 0;  // the last ones of the table
  std::uint32_t ring_bytes = 0;    // a power of two
  std::uint32_t slack_bytes = 0;
  std::uint32_t max_record = 0;
  std::uint32_t slots_per_lane = 0;
  std::uint32_t slot_bytes = 0;
  std::uint32_t pool_slots = 0;
  std::uint32_t scopes_max = 0;
  std::uint32_t metrics_max = 0;      // descriptors there is room for; 0: no metrics
  std::uint32_t lane_cell_words = 0;  // of each lane
  std::uint64_t shared_cell_words = 0;

  // In the arena; bounds against its published length are StringTable::blob()'s.
  std::uint32_t resource_offset = 0;
  std::uint32_t resource_length = 0;
  std::uint32_t hints_offset = 0;
  std::uint32_t hints_length = 0;

  std::array<RegionRange, kRegionKinds> regions{};
  std::uint32_t unknown_regions = 0;

  const RegionRange& region(RegionKind kind) const { return regions[static_cast<std::size_t>(kind)]; }
  std::uint32_t ordinary_lanes() const { return lane_count - shared_lanes; }

  // Offsets in the file. `lane` < lane_count, `slot` < slots_per_lane, `index` < pool_slots or
  // metrics_max, `word` < shared_cell_words.
  std::uint64_t lane_head(std::uint32_t lane) const { return region(RegionKind::lane_heads).entry(lane); }
  std::uint64_t lane_tail(std::uint32_t lane) const { return region(RegionKind::lane_tails).entry(lane); }
  std::uint64_t lane_ring(std::uint32_t lane) const { return region(RegionKind::lane_data).entry(lane); }
  std::uint64_t slot(std::uint32_t lane, std::uint32_t slot) const {
    return region(RegionKind::span_slots).entry(std::uint64_t{lane} * slots_per_lane + slot);
  }
  std::uint64_t lane_slots(std::uint32_t lane) const { return slot(lane, 0); }
  std::uint64_t metric_descriptor(std::uint32_t index) const {
    return region(RegionKind::metric_descriptors).entry(index);
  }
  std::uint64_t lane_cells(std::uint32_t lane) const { return region(RegionKind::metric_cells).entry(lane); }
  std::uint64_t shared_cell(std::uint64_t word) const { return region(RegionKind::metric_shared).offset + 8 * word; }
  std::uint64_t pool_slot(std::uint32_t index) const { return region(RegionKind::slot_pool).entry(index); }
};

struct GeometryResult {
  GeometryProblem problem = GeometryProblem::none;
  std::string sentence;  // "size 12288 < 65536"; the caller puts the segment's name in front
  Geometry geometry;     // only when ok()

  bool ok() const { return problem == GeometryProblem::none; }
  // What the agent tells the process in R1.
  RejectReason reject_reason() const;
};

// `page`: up to kIdentityBytes from the start of the file. `file_size`: st_size.
GeometryResult parse_identity(Bytes page, std::uint64_t file_size);

}  // namespace tailrace::shm
