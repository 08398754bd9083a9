// SPDX-License-Identifier: Apache-2.0
#include "shm/reader/geometry.hpp"

#include <algorithm>
#include <cinttypes>
#include <cstdarg>
#include <cstdio>

namespace tailrace::shm {
namespace {

const char* const kRegionNames[kRegionKinds] = {
    "identity",     "control",    "process",   "lane_heads", "lane_tails", "strings",      "metric_descriptors",
    "metric_cells", "span_slots", "lane_data", "slot_pool",  "scopes",     "metric_shared"};

constexpr std::size_t index_of(RegionKind kind) { return static_cast<std::size_t>(kind); }

// The parser in steps; each leaves the first problem it finds in `result` and says whether to go on.
class Parser {
 public:
  Parser(Bytes page, std::uint64_t file_size) : page_(page), file_size_(file_size) {}

  GeometryResult run() {
    if (!(read_versions() && read_fields() && check_numbers() && read_regions() && check_overlap() && check_tables())) {
      result_.geometry = Geometry{};
    }
    return std::move(result_);
  }

 private:
  __attribute__((format(printf, 3, 4))) bool fail(GeometryProblem problem, const char* format, ...) {
    char text[256];
    va_list arguments;
    va_start(arguments, format);
    std::vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    result_.problem = problem;
    result_.sentence = text;
    return false;
  }

  template <class T>
  T field(std::size_t offset) const {
    return page_.load_or_zero<T>(offset);
  }

  bool read_versions() {
    if (file_size_ < sizeof(Identity) || page_.size < sizeof(Identity)) {
      return fail(GeometryProblem::too_short, "size %" PRIu64 " < %zu: no room for a header", file_size_,
                  sizeof(Identity));
    }
    const auto magic = field<std::uint64_t>(offsetof(Identity, magic));
    if (magic == 0) return fail(GeometryProblem::not_ready, "magic is 0: not ready");
    if (magic != kMagic) {
      return fail(GeometryProblem::magic, "magic 0x%016" PRIx64 " is not a segment's", magic);
    }
    Geometry& g = result_.geometry;
    g.abi_major = field<std::uint16_t>(offsetof(Identity, abi_major));
    g.abi_minor = field<std::uint16_t>(offsetof(Identity, abi_minor));
    if (g.abi_major != kAbiMajor) {
      return fail(GeometryProblem::abi_major, "ABI version %u.%u; this program reads %u.x", g.abi_major, g.abi_minor,
                  kAbiMajor);
    }
    const auto required = field<std::uint64_t>(offsetof(Identity, features_required));
    if ((required & ~kFeaturesKnown) != 0) {
      return fail(GeometryProblem::features, "required features 0x%" PRIx64 " are not known here",
                  required & ~kFeaturesKnown);
    }
    g.features_optional = field<std::uint64_t>(offsetof(Identity, features_optional));
    return true;
  }

  bool read_fields() {
    Geometry& g = result_.geometry;
    g.header_size = field<std::uint32_t>(offsetof(Identity, header_size));
    g.segment_size = field<std::uint64_t>(offsetof(Identity, segment_size));
    if (g.header_size < sizeof(Identity) || g.header_size > kHeaderBytesMax) {
      return fail(GeometryProblem::size, "header of %u bytes is outside [%zu, %u]", g.header_size, sizeof(Identity),
                  kHeaderBytesMax);
    }
    if (g.segment_size > kSegmentBytesMax) {
      return fail(GeometryProblem::size, "size %" PRIu64 " > %" PRIu64, g.segment_size, kSegmentBytesMax);
    }
    if (g.segment_size != file_size_) {
      return fail(GeometryProblem::size, "size %" PRIu64 " but the header says %" PRIu64, file_size_, g.segment_size);
    }
    for (std::size_t i = 0; i < g.uuid.size(); ++i) {
      g.uuid[i] = field<std::uint8_t>(offsetof(Identity, uuid) + i);
    }
    g.claimed_pid = field<std::uint32_t>(offsetof(Identity, pid));
    g.start_time_ticks = field<std::uint64_t>(offsetof(Identity, start_time_ticks));
    g.pid_namespace = field<std::uint64_t>(offsetof(Identity, pid_namespace));
    g.created_realtime_ns = field<std::uint64_t>(offsetof(Identity, created_realtime_ns));
    g.created_monotonic_ns = field<std::uint64_t>(offsetof(Identity, created_monotonic_ns));
    g.created_counter = field<std::uint64_t>(offsetof(Identity, created_counter));
    g.clock_kind = static_cast<ClockKind>(field<std::uint32_t>(offsetof(Identity, clock_kind)));
    g.boot_id_hash = field<std::uint64_t>(offsetof(Identity, boot_id_hash));
    g.max_record = field<std::uint32_t>(offsetof(Identity, max_record));
    g.resource_offset = field<std::uint32_t>(offsetof(Identity, resource_offset));
    g.resource_length = field<std::uint32_t>(offsetof(Identity, resource_length));
    g.hints_offset = field<std::uint32_t>(offsetof(Identity, hints_offset));
    g.hints_length = field<std::uint32_t>(offsetof(Identity, hints_length));
    g.lane_count = field<std::uint32_t>(offsetof(Identity, lane_count));
    g.shared_lanes = field<std::uint32_t>(offsetof(Identity, shared_lanes));
    g.ring_bytes = field<std::uint32_t>(offsetof(Identity, ring_bytes));
    g.slack_bytes = field<std::uint32_t>(offsetof(Identity, slack_bytes));
    g.slots_per_lane = field<std::uint32_t>(offsetof(Identity, slots_per_lane));
    return true;
  }

  bool check_numbers() {
    const Geometry& g = result_.geometry;
    const auto bad = GeometryProblem::numbers;
    if (g.clock_kind < ClockKind::tsc || g.clock_kind > ClockKind::monotonic) {
      return fail(bad, "clock kind %u is unknown", static_cast<unsigned>(g.clock_kind));
    }
    if (g.lane_count == 0 || g.lane_count > kLanesMax) {
      return fail(bad, "%u lanes; 1 to %u are possible", g.lane_count, kLanesMax);
    }
    if (g.shared_lanes > g.lane_count) {
      return fail(bad, "%u shared lanes of %u", g.shared_lanes, g.lane_count);
    }
    if (g.ring_bytes < kRingBytesMin || g.ring_bytes > kRingBytesMax || (g.ring_bytes & (g.ring_bytes - 1)) != 0) {
      return fail(bad, "ring of %u bytes is no power of two in [%u, %u]", g.ring_bytes, kRingBytesMin, kRingBytesMax);
    }
    if (g.slack_bytes > g.ring_bytes / 4 || g.slack_bytes % 8 != 0) {
      return fail(bad, "slack of %u bytes; a multiple of 8 up to %u is possible", g.slack_bytes, g.ring_bytes / 4);
    }
    if (g.max_record < kMaxRecordMin || g.max_record > g.slack_bytes || g.max_record % 8 != 0) {
      return fail(bad, "records of up to %u bytes; a multiple of 8 in [%u, slack %u] is possible", g.max_record,
                  kMaxRecordMin, g.slack_bytes);
    }
    if (g.slots_per_lane > kSlotsPerLaneMax) {
      return fail(bad, "%u slots a lane > %u", g.slots_per_lane, kSlotsPerLaneMax);
    }
    return true;
  }

  bool read_regions() {
    Geometry& g = result_.geometry;
    const auto count = field<std::uint32_t>(offsetof(Identity, region_count));
    if (count > kRegionsMax) {
      return fail(GeometryProblem::regions, "%u regions > %u", count, kRegionsMax);
    }
    for (std::uint32_t i = 0; i < count; ++i) {
      Region region;
      if (!page_.load(offsetof(Identity, regions) + i * sizeof(Region), region)) {
        return fail(GeometryProblem::regions, "region %u lies outside the header", i);
      }
      if (region.offset > g.segment_size || region.length > g.segment_size - region.offset) {
        return fail(GeometryProblem::regions,
                    "region %u (kind %u) at %" PRIu64 " + %" PRIu64 " passes the end %" PRIu64, i, region.kind,
                    region.offset, region.length, g.segment_size);
      }
      // A product of two 32-bit numbers cannot overflow 64.
      if (std::uint64_t{region.stride} * region.count > region.length) {
        return fail(GeometryProblem::regions, "region %u (kind %u): %u entries of %u bytes > %" PRIu64, i, region.kind,
                    region.count, region.stride, region.length);
      }
      if (region.length == 0) continue;
      if (region.offset % kRegionAlign != 0) {
        return fail(GeometryProblem::regions, "region %u (kind %u) at %" PRIu64 " is not aligned to %" PRIu64, i,
                    region.kind, region.offset, kRegionAlign);
      }
      ranges_[range_count_++] = {region.offset, region.length};
      if (region.kind >= kRegionKinds) {
        ++g.unknown_regions;
        continue;
      }
      RegionRange& known = g.regions[region.kind];
      if (known.present()) {
        return fail(GeometryProblem::regions, "two regions %s", kRegionNames[region.kind]);
      }
      known = {region.offset, region.length, region.stride, region.count};
    }
    return true;
  }

  // No two regions share a 64 KiB unit: protections are per unit.
  bool check_overlap() {
    std::sort(ranges_.begin(), ranges_.begin() + range_count_,
              [](const Range& a, const Range& b) { return a.offset < b.offset; });
    for (std::size_t i = 1; i < range_count_; ++i) {
      const Range& before = ranges_[i - 1];
      if (before.offset + before.length > ranges_[i].offset) {
        return fail(GeometryProblem::regions, "regions at %" PRIu64 " + %" PRIu64 " and at %" PRIu64 " overlap",
                    before.offset, before.length, ranges_[i].offset);
      }
    }
    return true;
  }

  bool check_tables() {
    Geometry& g = result_.geometry;
    const RegionRange& identity = g.region(RegionKind::identity);
    if (!identity.present() || identity.offset != 0 || identity.length < g.header_size) {
      return fail(GeometryProblem::regions, "region identity does not hold the header");
    }
    if (!holds(RegionKind::control, sizeof(Control)) || !holds(RegionKind::process, sizeof(ProcessDynamic)) ||
        !holds(RegionKind::strings, kArenaStart) || !has_lanes(RegionKind::lane_heads, sizeof(LaneHead)) ||
        !has_lanes(RegionKind::lane_tails, sizeof(LaneTail)) ||
        !has_lanes(RegionKind::lane_data, std::uint64_t{g.ring_bytes} + g.slack_bytes)) {
      return false;
    }
    if (g.region(RegionKind::strings).length > kArenaBytesMax) {
      return fail(GeometryProblem::numbers, "string arena of %" PRIu64 " bytes > %" PRIu64,
                  g.region(RegionKind::strings).length, kArenaBytesMax);
    }
    return check_slots() && check_scopes() && check_metrics();
  }

  bool check_slots() {
    Geometry& g = result_.geometry;
    if (g.slots_per_lane != 0) {
      const RegionRange& slots = g.region(RegionKind::span_slots);
      if (slots.count != std::uint64_t{g.lane_count} * g.slots_per_lane) {
        return fail(GeometryProblem::regions, "region span_slots has %u slots; %u lanes have %u each", slots.count,
                    g.lane_count, g.slots_per_lane);
      }
      g.slot_bytes = slots.stride;
    }
    const RegionRange& pool = g.region(RegionKind::slot_pool);
    if (pool.present()) {
      if (pool.count > kPoolSlotsMax) {
        return fail(GeometryProblem::numbers, "%u pool slots > %u", pool.count, kPoolSlotsMax);
      }
      if (g.slots_per_lane == 0) g.slot_bytes = pool.stride;
      if (pool.stride != g.slot_bytes) {
        return fail(GeometryProblem::regions, "pool slots of %u bytes, lane slots of %u", pool.stride, g.slot_bytes);
      }
      g.pool_slots = pool.count;
    }
    const bool any_slots = g.slots_per_lane != 0 || g.pool_slots != 0;
    if (any_slots && (g.slot_bytes < kSlotBytesMin || g.slot_bytes > kSlotBytesMax || g.slot_bytes % 64 != 0)) {
      return fail(GeometryProblem::numbers, "slots of %u bytes; a multiple of 64 in [%u, %u] is possible", g.slot_bytes,
                  kSlotBytesMin, kSlotBytesMax);
    }
    return true;
  }

  bool check_scopes() {
    Geometry& g = result_.geometry;
    const RegionRange& scopes = g.region(RegionKind::scopes);
    if (!scopes.present()) return true;
    if (scopes.stride < sizeof(std::uint32_t) || scopes.stride % 4 != 0) {
      return fail(GeometryProblem::regions, "region scopes has entries of %u bytes", scopes.stride);
    }
    g.scopes_max = std::min(scopes.count, kScopeEntriesMax);
    return true;
  }

  bool check_metrics() {
    Geometry& g = result_.geometry;
    const RegionRange& descriptors = g.region(RegionKind::metric_descriptors);
    if (descriptors.present()) {
      if (descriptors.stride < sizeof(MetricDescriptor) || descriptors.stride % 8 != 0) {
        return fail(GeometryProblem::regions, "region metric_descriptors has entries of %u bytes", descriptors.stride);
      }
      g.metrics_max = std::min(descriptors.count, kMetricDescriptorsMax);
    }
    const RegionRange& cells = g.region(RegionKind::metric_cells);
    if (cells.present()) {
      if (!has_lanes(RegionKind::metric_cells, 0)) return false;
      g.lane_cell_words = std::min(cells.stride, kLaneCellBytes) / 8;
    }
    g.shared_cell_words = std::min(g.region(RegionKind::metric_shared).length, kSharedCellBytes) / 8;
    return true;
  }

  bool holds(RegionKind kind, std::uint64_t bytes) {
    const RegionRange& region = result_.geometry.region(kind);
    if (region.length >= bytes) return true;
    return fail(GeometryProblem::regions, "region %s has %" PRIu64 " bytes < %" PRIu64, kRegionNames[index_of(kind)],
                region.length, bytes);
  }

  // One entry a lane, large enough, at a multiple of 64.
  bool has_lanes(RegionKind kind, std::uint64_t bytes) {
    const Geometry& g = result_.geometry;
    const RegionRange& region = g.region(kind);
    if (region.count == g.lane_count && region.stride >= bytes && region.stride % 64 == 0) return true;
    return fail(GeometryProblem::regions, "region %s has %u entries of %u bytes; %u of at least %" PRIu64 " are needed",
                kRegionNames[index_of(kind)], region.count, region.stride, g.lane_count, bytes);
  }

  struct Range {
    std::uint64_t offset;
    std::uint64_t length;
  };
  Bytes page_;
  std::uint64_t file_size_;
  GeometryResult result_;
  std::array<Range, kRegionsMax> ranges_{};
  std::size_t range_count_ = 0;
};

}  // namespace

RejectReason GeometryResult::reject_reason() const {
  switch (problem) {
    case GeometryProblem::none: return RejectReason::none;
    case GeometryProblem::abi_major: return RejectReason::abi_major;
    case GeometryProblem::features: return RejectReason::features;
    default: return RejectReason::geometry;
  }
}

GeometryResult parse_identity(Bytes page, std::uint64_t file_size) { return Parser(page, file_size).run(); }

}  // namespace tailrace::shm
