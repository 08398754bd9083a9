// SPDX-License-Identifier: Apache-2.0
// The segment's layout: every word that the shim and the agent share, and nothing else.
//
// Specified in docs/abi.md; the asserts below freeze it. Little-endian, 64-bit, lock-free 8-byte
// atomics. Zero-filled memory is the valid initial state of every structure here.
//
// Each region has exactly one writer. The shim maps `control` and `lane_tails` read-only; the agent
// maps everything else read-only. Nothing here is a lock, and no word says who owns another.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace tailrace::shm {

inline constexpr std::uint64_t kMagic = 0x454341524C494154ull;  // the bytes "TAILRACE"
inline constexpr std::uint16_t kAbiMajor = 1;
inline constexpr std::uint16_t kAbiMinor = 0;

// 64 KiB, so that protections of neighbouring regions can differ with pages of 4, 16 and 64 KiB.
inline constexpr std::uint64_t kRegionAlign = 64 * 1024;

inline constexpr std::uint32_t kLanesDefault = 256;
inline constexpr std::uint32_t kLanesMax = 1024;  // a slot's ENDING word has ten bits for the lane
inline constexpr std::uint32_t kSharedLanes = 4;  // the last ones of the table
inline constexpr std::uint32_t kSlotsPerLane = 32;
inline constexpr std::uint32_t kSlotBytes = 1024;
inline constexpr std::uint32_t kPoolSlotsDefault = 4096;
inline constexpr std::uint32_t kRingBytesDefault = 256 * 1024;
inline constexpr std::uint32_t kSlackBytesDefault = 16 * 1024;
inline constexpr std::uint32_t kMaxRecordDefault = 16 * 1024 - 64;  // a copy may overrun by 64
inline constexpr std::uint32_t kArenaBytesDefault = 1024 * 1024;
inline constexpr std::uint32_t kScopesMax = 1024;
inline constexpr std::uint32_t kMetricDescriptorsMax = 16384;               // series: instrument and attribute set
inline constexpr std::uint32_t kLaneCellBytes = 8 * kMetricDescriptorsMax;  // a word for each, in each lane
inline constexpr std::uint64_t kSharedCellBytes = 64ull * 1024 * 1024;      // gauges, histogram shards
inline constexpr std::uint32_t kRegionsMax = 16;

// What a writer may ask for and a reader must take.
inline constexpr std::uint32_t kRingBytesMin = 4096;
inline constexpr std::uint32_t kRingBytesMax = 16 * 1024 * 1024;
inline constexpr std::uint64_t kSegmentBytesMax = 8ull * 1024 * 1024 * 1024;

// Signals and priorities index the counters; they are part of the ABI.
enum class Signal : std::uint8_t { traces = 0, logs = 1, other = 2 };
inline constexpr std::size_t kSignals = 3;
enum class Priority : std::uint8_t { critical = 0, normal = 1, low = 2, background = 3 };
inline constexpr std::size_t kPriorities = 4;

enum class RegionKind : std::uint32_t {
  identity = 0,
  control = 1,             // R1: agent writes
  process = 2,             // R2: shim writes
  lane_heads = 3,          // R3: shim writes, one LaneHead a lane
  lane_tails = 4,          // R4: agent writes, one LaneTail a lane
  strings = 5,             // R5: shim writes, append-only
  metric_descriptors = 6,  // R6: shim writes, append-only
  metric_cells = 7,        // R7: shim writes, one page group a lane
  span_slots = 8,          // R8: shim writes, kSlotsPerLane slots a lane
  lane_data = 9,           // R9: shim writes, ring and slack of each lane
  slot_pool = 10,          // overflow slots of the whole process
  scopes = 11,             // instrumentation scopes: u32 string id of the blob of scope id 1 + index
  metric_shared = 12,      // cells that no lane owns
};

// A table has `count` entries, `stride` bytes apart. lane_heads, lane_tails, metric_cells and lane_data
// have one entry a lane; span_slots has one a slot, slots_per_lane of them a lane. Of regions that are no
// table (identity, control, process, strings, metric_shared) stride and count mean nothing.
struct Region {
  std::uint32_t kind;
  std::uint32_t flags;
  std::uint64_t offset;  // from the start of the segment, a multiple of kRegionAlign
  std::uint64_t length;  // at least stride * count
  std::uint32_t stride;
  std::uint32_t count;
};
static_assert(sizeof(Region) == 32);

enum class ClockKind : std::uint32_t { none = 0, tsc = 1, cntvct = 2, monotonic = 3 };

// R0. Written once by the shim before the segment has a name; read-only for both afterwards.
struct Identity {
  std::atomic<std::uint64_t> magic;  // stored last, with release; 0 = not ready
  std::uint16_t abi_major;
  std::uint16_t abi_minor;
  std::uint32_t header_size;
  std::uint64_t features_required;  // an agent refuses a segment with a bit it does not know
  std::uint64_t features_optional;
  std::uint64_t segment_size;
  std::uint8_t uuid[16];  // default service.instance.id
  std::uint32_t pid;      // as the application sees it; never trusted as identity
  std::uint32_t reserved0;
  std::uint64_t start_time_ticks;
  std::uint64_t pid_namespace;
  std::uint64_t created_realtime_ns;
  std::uint64_t created_monotonic_ns;
  std::uint64_t created_counter;
  std::uint32_t clock_kind;
  std::uint32_t max_record;
  std::uint64_t boot_id_hash;
  std::uint32_t resource_offset;  // items (docs/abi.md, "Items") in R5
  std::uint32_t resource_length;
  std::uint32_t region_count;
  std::uint32_t lane_count;
  std::uint32_t hints_offset;  // items in R5: settings of the process that concern the agent
  std::uint32_t hints_length;
  std::uint32_t ring_bytes;
  std::uint32_t slack_bytes;
  std::uint32_t slots_per_lane;
  std::uint32_t shared_lanes;
  std::uint64_t reserved1[4];
  Region regions[kRegionsMax];
};
static_assert(offsetof(Identity, features_required) == 16 && offsetof(Identity, uuid) == 40);
static_assert(offsetof(Identity, start_time_ticks) == 64 && offsetof(Identity, clock_kind) == 104);
static_assert(offsetof(Identity, resource_offset) == 120 && offsetof(Identity, region_count) == 128);
static_assert(offsetof(Identity, hints_offset) == 136 && offsetof(Identity, ring_bytes) == 144);
static_assert(offsetof(Identity, regions) == 192 && sizeof(Identity) == 704);

// R1. Written by the agent, mapped PROT_READ by the shim. Line 0 is what a hot path reads: a
// heartbeat must never invalidate it. Absent agent = all zero = record everything.
struct alignas(64) ControlHot {
  std::atomic<std::uint32_t> generation;
  std::atomic<std::uint32_t> disable_mask;     // bit (1 << Signal): that signal is off
  std::atomic<std::uint64_t> trace_threshold;  // 56-bit rejection threshold; 0 keeps every trace
  std::atomic<std::uint8_t> min_severity;      // logs below it are not written
  std::atomic<std::uint8_t> pressure;
  std::atomic<std::uint8_t> clock_override;  // a ClockKind, 0 = none
  std::atomic<std::uint8_t> shed_mask;       // bit (1 << Priority): shed at the source
  std::atomic<std::uint32_t> long_span_seconds;
};
struct alignas(64) ControlAgent {
  std::atomic<std::uint64_t> heartbeat_monotonic_ns;
  std::atomic<std::uint64_t> agent_epoch;  // random for each start of an agent
  std::atomic<std::uint32_t> agent_state;  // AgentState
  std::atomic<std::uint32_t> reason;       // RejectReason
  std::atomic<std::uint16_t> abi_major;
  std::atomic<std::uint16_t> abi_minor;
  std::uint32_t reserved;
  std::atomic<std::uint64_t> agent_features;
};
struct alignas(64) ControlFlush {
  std::atomic<std::uint32_t> flush_done;      // futex: the last flush_gen that is answered
  std::atomic<std::uint32_t> agent_sleeping;  // a doorbell is worth ringing
  std::atomic<std::uint32_t> critical_done;   // futex: the last critical_gen that is answered
  std::uint32_t reserved;
  std::atomic<std::uint64_t> settled_seq;  // odd while the agent writes `settled` below
};

// Why the agent, or the destination, dropped a record: what `flush` tells the application.
enum class DropGroup : std::uint8_t {
  refused = 0,   // the destination refused it for good
  expired = 1,   // tried for as long as it may be
  unusable = 2,  // it could not be read or sent: corrupt, oversize, poison, a quarantined segment
  lost = 3,      // the agent had no room for it, or its memory was damaged
  policy = 4,    // left out on purpose: sampled, filtered, limited
};
inline constexpr std::size_t kDropGroups = 5;

// What became of this process's records of one signal, all agents together. A line each.
struct alignas(64) SettledRow {
  std::atomic<std::uint64_t> produced;  // made by the agent itself: metric points
  std::atomic<std::uint64_t> delivered;
  std::atomic<std::uint64_t> rejected;
  std::atomic<std::uint64_t> dropped[kDropGroups];
};
static_assert(sizeof(SettledRow) == 64 && offsetof(SettledRow, dropped) == 24);

// Two kinds of flush, each with a generation of its own: one for everything, one for critical records alone.
enum class FlushKind : std::uint8_t { all = 0, critical = 1 };
inline constexpr std::size_t kFlushKinds = 2;

struct Control {
  ControlHot hot;
  ControlAgent agent;
  ControlFlush flush;
  SettledRow settled[kFlushKinds][kSignals];  // of all records; of critical ones
};
static_assert(offsetof(Control, agent) == 64 && offsetof(Control, flush) == 128);
static_assert(offsetof(ControlHot, trace_threshold) == 8 && offsetof(ControlHot, min_severity) == 16);
static_assert(offsetof(ControlFlush, critical_done) == 8 && offsetof(ControlFlush, settled_seq) == 16);
static_assert(offsetof(Control, settled) == 192 && sizeof(Control) == 576);

enum class AgentState : std::uint32_t { none = 0, attached = 1, rejected = 2 };
enum class RejectReason : std::uint32_t {
  none = 0,
  abi_major = 1,
  features = 2,
  geometry = 3,
  quarantined = 4,
  budget = 5,
};

// One reading of all clocks. `seq` is odd while the shim writes it, so a reader takes it twice.
struct Anchor {
  std::atomic<std::uint64_t> seq;
  std::atomic<std::uint64_t> counter;
  std::atomic<std::uint64_t> realtime_ns;
  std::atomic<std::uint64_t> monotonic_ns;
};
inline constexpr std::size_t kAnchors = 8;

struct Crash {
  std::atomic<std::uint32_t> signal;  // stored last; 0 = no crash recorded
  std::atomic<std::uint32_t> lane;
  std::atomic<std::uint64_t> address;
  std::atomic<std::uint64_t> counter;
};

// R2. Written by the shim.
struct ProcessDynamic {
  std::atomic<std::uint64_t> strings_len;    // bytes of R5 that are published
  std::atomic<std::uint32_t> metrics_count;  // descriptors [0, metrics_count) are published
  std::atomic<std::uint32_t> lanes_used;     // ordinary lanes ever taken: [0, lanes_used)
  std::atomic<std::uint32_t> doorbell;       // futex
  std::atomic<std::uint32_t> flush_gen;      // moves with each flush of everything
  std::atomic<std::uint32_t> scopes_count;   // scope ids 1 … scopes_count are published
  std::atomic<std::uint32_t> pool_used;      // pool slots ever taken: [0, pool_used)
  std::atomic<std::uint64_t> unlaned_dropped[kSignals][kPriorities];
  Crash crash;
  std::atomic<std::uint64_t> metrics_unrecorded;  // calls that found no series and no overflow series
  std::atomic<std::uint64_t> metrics_invalid;     // NaN, infinities, negative adds to a counter; not recorded
  std::atomic<std::uint64_t> metrics_clamped;     // recorded, in the last bucket of a histogram
  std::atomic<std::uint32_t> critical_gen;        // as flush_gen, of flushes of critical records
  std::uint32_t reserved0;
  std::uint64_t reserved1;
  Anchor anchors[kAnchors];
  std::atomic<std::uint64_t> critical_written[kSignals];  // part of `written`; stored after head, too
};
static_assert(offsetof(ProcessDynamic, unlaned_dropped) == 32 && offsetof(ProcessDynamic, crash) == 128);
static_assert(offsetof(ProcessDynamic, critical_gen) == 176 && offsetof(ProcessDynamic, anchors) == 192);
static_assert(offsetof(ProcessDynamic, critical_written) == 448 && sizeof(ProcessDynamic) == 472);

// R3. One a lane, aligned in pairs of lines against adjacent-line prefetch.
struct alignas(128) LaneHead {
  std::atomic<std::uint64_t> head;               // position behind the last whole record
  std::atomic<std::uint64_t> written[kSignals];  // stored after head: at most one behind it
  std::atomic<std::uint32_t> in_use;
  std::atomic<std::uint32_t> tid;
  std::atomic<std::uint64_t> owner_from;   // position from which this tid owns the lane
  std::atomic<std::uint64_t> not_sampled;  // spans that head sampling left out: not "written"
  std::atomic<std::uint64_t> refused;      // spans past the depth limit
  std::atomic<std::uint64_t> dropped[kSignals][kPriorities];
  std::atomic<std::uint64_t> cut;  // values shortened or items left out by a limit
  std::atomic<std::uint64_t> reserved0;
  std::atomic<std::uint32_t> shard;       // of histograms: kSharedShard but for the lanes that own one
  std::atomic<std::uint32_t> committed;   // 1: ring, slack and slots may be read through a mapping
  std::atomic<std::uint64_t> name[2];     // 16 bytes, zero-padded
  std::atomic<std::uint64_t> cell_words;  // words [0, cell_words) of this lane's cells may be read
  std::uint64_t reserved1[6];
};
static_assert(offsetof(LaneHead, in_use) == 32 && offsetof(LaneHead, owner_from) == 40);
static_assert(offsetof(LaneHead, dropped) == 64 && offsetof(LaneHead, cut) == 160);
static_assert(offsetof(LaneHead, name) == 184 && offsetof(LaneHead, cell_words) == 200);
static_assert(sizeof(LaneHead) == 256);

// R4. Written by the agent.
struct alignas(64) LaneTail {
  std::atomic<std::uint64_t> tail;     // space given back: the agent holds what lies before it
  std::atomic<std::uint64_t> settled;  // everything before it is delivered, rejected or dropped
};
static_assert(sizeof(LaneTail) == 64);

// R8 and the pool. A span that is open lives in a slot; `bytes` holds the record being built (a
// pool slot that continues another one holds a MORE record there).
struct alignas(64) SpanSlot {
  std::atomic<std::uint64_t> state;  // see below
  std::atomic<std::uint64_t> next;   // 1 + index of the pool slot that continues this one; 0 = none
  std::uint8_t bytes[kSlotBytes - 16];
};
static_assert(sizeof(SpanSlot) == kSlotBytes && offsetof(SpanSlot, bytes) == 16);
inline constexpr std::uint32_t kDraftBytes = kSlotBytes - 16;

// SpanSlot::state, low two bits.
inline constexpr std::uint64_t kSlotFree = 0;    // also: being filled
inline constexpr std::uint64_t kSlotOpen = 1;    // | span_id << 2 (the id's two high bits fall off)
inline constexpr std::uint64_t kSlotEnding = 2;  // | lane << 2 | end_target << 12
inline constexpr std::uint64_t kSlotMore = 3;    // continues another slot
inline constexpr unsigned kSlotLaneBits = 10;

constexpr std::uint64_t slot_open(std::uint64_t span_id) { return kSlotOpen | span_id << 2; }
constexpr std::uint64_t slot_ending(std::uint32_t lane, std::uint64_t end_target) {
  return kSlotEnding | std::uint64_t{lane} << 2 | end_target << (2 + kSlotLaneBits);
}
constexpr std::uint32_t slot_ending_lane(std::uint64_t state) {
  return static_cast<std::uint32_t>(state >> 2) & ((1u << kSlotLaneBits) - 1);
}
constexpr std::uint64_t slot_ending_target(std::uint64_t state) { return state >> (2 + kSlotLaneBits); }

// R6. One series: an instrument with one attribute set. Published by `metrics_count`, never changed;
// its cells are committed and zero before. All series of an instrument share `instrument`.
enum class MetricKind : std::uint8_t {
  none = 0,
  counter = 1,          // one word a lane, the sum of all is the value
  up_down_counter = 2,  // the same, may fall
  gauge = 3,            // one shared word
  histogram = 4,        // shards of explicit buckets
  exponential_histogram = 5,
};
inline constexpr std::uint8_t kMetricReal = 0x01;        // values are binary64, else int64 (counter: uint64)
inline constexpr std::uint8_t kMetricObservable = 0x02;  // counters: one shared word holds the total, as a gauge's
inline constexpr std::uint8_t kMetricOverflow = 0x04;    // what the limit of series turned away
inline constexpr std::uint8_t kMetricNegative = 0x08;    // exponential: has negative buckets too

struct MetricDescriptor {
  std::uint32_t name;  // string ids; unit and description may be 0
  std::uint32_t unit;
  std::uint32_t description;
  std::uint32_t attributes;  // id of an entry whose bytes are items; 0 = none
  std::uint16_t scope;
  std::uint8_t kind;
  std::uint8_t flags;
  std::uint32_t instrument;   // index of the instrument's first series
  std::uint32_t cell;         // lane counters: word in each lane's cells; all else: offset / 8 in metric_shared
  std::uint32_t shard_words;  // histograms: words from one shard to the next
  std::uint64_t start;        // counter clock
  std::uint32_t bounds;       // explicit: id of an entry whose bytes are binary64 bounds, ascending
  std::uint32_t buckets;      // explicit: bounds + 1; exponential: of one sign
  std::int32_t first_index;   // exponential: bucket i of this scale covers (base^(first_index + i), base^(… + 1)]
  std::int8_t scale;          // exponential
  std::uint8_t reserved0[3];
  std::uint64_t reserved1;
};
static_assert(offsetof(MetricDescriptor, kind) == 18 && offsetof(MetricDescriptor, start) == 32);
static_assert(offsetof(MetricDescriptor, scale) == 52 && sizeof(MetricDescriptor) == 64);

// A gauge and an observable's total are stored XOR this, so that 0 means never set. Whoever sets the value
// that this would hide stores its neighbour.
inline constexpr std::uint64_t kNeverSet = 0x7ff4'7a61'696c'7261ull;  // a signalling NaN as binary64

// A histogram has kHistogramShards of them, shard_words apart, at its cell: the first ones belong to a lane
// each (plain stores), the last one to everybody else (atomic adds).
inline constexpr std::uint32_t kHistogramShards = 5;
inline constexpr std::uint32_t kSharedShard = kHistogramShards - 1;
struct HistogramShard {
  std::atomic<std::uint64_t> sum;   // binary64, or int64 without kMetricReal; min and max too
  std::atomic<std::uint64_t> min;   // XOR kNeverSet
  std::atomic<std::uint64_t> max;   // XOR kNeverSet
  std::atomic<std::uint64_t> zero;  // exponential: values within the zero bucket
  // then the buckets, u64 each; with kMetricNegative those of the negative sign behind them
};
static_assert(sizeof(HistogramShard) == 32);

// R5. An entry is {u32 length, bytes} padded to 8; its id is its offset / 8. Ids below 64 are
// reserved keys and names (record.hpp), so the first entry starts at byte 512.
inline constexpr std::uint32_t kFirstStringId = 64;
inline constexpr std::uint32_t kArenaStart = kFirstStringId * 8;

static_assert(std::atomic<std::uint64_t>::is_always_lock_free, "8-byte atomics must be lock-free");
static_assert(sizeof(std::atomic<std::uint64_t>) == 8 && sizeof(std::atomic<std::uint8_t>) == 1);
static_assert(sizeof(void*) == 8, "64-bit only");
#if defined(__BYTE_ORDER__)
static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "little-endian only");
#endif

}  // namespace tailrace::shm
