// SPDX-License-Identifier: Apache-2.0
// SegmentBuilder: whole segment images for tests, written word by word from docs/abi.md and not by the
// shim's code, so that a mistake of the shim cannot hide in it.
//
//   SegmentBuilder b;
//   auto pay = b.intern("pay");
//   b.put(0, make_span({.name = pay, .span_id = 7, .start = 10, .end = 20},
//                      Items().integer(b.intern("amount"), 42)));
//   parse_identity(b.bytes(0, 4096), b.size());
//
// Every word can be made wrong afterwards through identity(), lane(), slot(), at() …
// Threads: one. Memory: owns the image, or writes into memory given to it (a mapping).
// Failure: asserts; a test asked for what does not fit.
#pragma once

#include <cassert>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <tailrace/shm/layout.hpp>
#include <tailrace/shm/record.hpp>

#include "shm/reader/bytes.hpp"

namespace tailrace::shm::test {

using Blob = std::vector<std::uint8_t>;
// Out of line: inlined, g++ 12 warns of sizes that cannot be.
[[gnu::noinline]] inline void append(Blob& to, const void* from, std::size_t size) {
  const auto* bytes = static_cast<const std::uint8_t*>(from);
  if (size != 0) to.insert(to.end(), bytes, bytes + size);
}
inline Bytes bytes_of(const Blob& blob) { return {blob.data(), blob.size()}; }

// A string id or reserved key, or a text that is written inline.
struct Key {
  Key(std::uint32_t key_id) : id(key_id) {}
  Key(std::string_view inline_text) : id(kInlineKey), text(inline_text) {}
  Key(const char* inline_text) : Key(std::string_view(inline_text)) {}

  std::uint32_t id;
  std::string text;
};

// Items in a row: the part of a record behind its fixed fields, a blob, the inside of an array …
class Items {
 public:
  Items() : count_(0) {}

  Items& empty(const Key& key) { return add(key, ItemType::empty, nullptr, 0); }
  Items& boolean(const Key& key, bool value) { return word(key, ItemType::boolean, value ? 1 : 0); }
  Items& integer(const Key& key, std::int64_t value) {
    return word(key, ItemType::integer, static_cast<std::uint64_t>(value));
  }
  Items& real(const Key& key, double value) {
    std::uint64_t bits = 0;
    std::memcpy(&bits, &value, sizeof bits);
    return word(key, ItemType::real, bits);
  }
  Items& string_id(const Key& key, std::uint32_t id) { return word(key, ItemType::string_id, id); }
  Items& string(const Key& key, std::string_view text) { return add(key, ItemType::string, text.data(), text.size()); }
  Items& bytes(const Key& key, std::string_view raw) { return add(key, ItemType::bytes, raw.data(), raw.size()); }
  Items& array(const Key& key, const Items& elements) {
    return add(key, ItemType::array, elements.blob_.data(), elements.blob_.size());
  }
  Items& map(const Key& key, const Items& pairs) {
    return add(key, ItemType::map, pairs.blob_.data(), pairs.blob_.size());
  }
  Items& event(const Key& name, std::uint64_t time, const Items& inside = {}, TimeClock clock = TimeClock::counter,
               std::uint32_t dropped_attributes = 0) {
    EventBody body{};
    body.time = time;
    body.dropped_attributes = dropped_attributes;
    return add_body(name, ItemType::event, body, inside, static_cast<std::uint8_t>(clock));
  }
  Items& link(const std::uint8_t (&trace_id)[16], std::uint64_t span_id, std::uint32_t flags = 0,
              const Items& inside = {}, std::uint32_t dropped_attributes = 0) {
    LinkBody body{};
    std::memcpy(body.trace_id, trace_id, sizeof body.trace_id);
    body.span_id = span_id;
    body.flags = flags;
    body.dropped_attributes = dropped_attributes;
    return add_body(kNoKey, ItemType::link, body, inside, 0);
  }
  // A type or length that no other function writes.
  Items& raw(std::uint32_t key, std::uint8_t type, std::uint8_t flags, std::uint16_t length, std::string_view body) {
    const ItemHeader header{key, type, flags, length};
    append(blob_, &header, sizeof header);
    append(blob_, body.data(), body.size());
    ++count_;
    return *this;
  }

  const Blob& blob() const { return blob_; }
  std::size_t size() const { return blob_.size(); }
  std::uint8_t count() const { return static_cast<std::uint8_t>(count_ < 255 ? count_ : 255); }

 private:
  Items& word(const Key& key, ItemType type, std::uint64_t value) { return add(key, type, &value, sizeof value); }
  template <class Body>
  Items& add_body(const Key& key, ItemType type, const Body& body, const Items& inside, std::uint8_t flags) {
    Blob whole;
    append(whole, &body, sizeof body);
    append(whole, inside.blob_.data(), inside.size());
    return add(key, type, whole.data(), whole.size(), flags);
  }
  Items& add(const Key& key, ItemType type, const void* value, std::size_t size, std::uint8_t flags = 0) {
    Blob body;
    if (key.id == kInlineKey) {
      const InlineKeyBody lengths{static_cast<std::uint16_t>(key.text.size()), static_cast<std::uint16_t>(size), 0};
      append(body, &lengths, sizeof lengths);
      append(body, key.text.data(), key.text.size());
      body.resize((body.size() + 7) & ~std::size_t{7});
    }
    append(body, value, size);
    assert(body.size() <= 0xFFFF);
    const ItemHeader header{key.id, static_cast<std::uint8_t>(type), flags, static_cast<std::uint16_t>(body.size())};
    append(blob_, &header, sizeof header);
    append(blob_, body.data(), body.size());
    blob_.resize((blob_.size() + 7) & ~std::size_t{7});
    ++count_;
    return *this;
  }
  Blob blob_;
  std::size_t count_;
};

// The fixed part, then items; size and count are filled in.
template <class Fixed>
Blob make_record(Fixed fixed, RecordType type, const Items& items = {}, std::uint8_t flags = 0) {
  fixed.header.size = static_cast<std::uint32_t>(sizeof fixed + items.size());
  fixed.header.type = static_cast<std::uint16_t>(type);
  fixed.header.flags = flags;
  fixed.header.count = items.count();
  Blob record;
  append(record, &fixed, sizeof fixed);
  append(record, items.blob().data(), items.size());
  return record;
}

constexpr std::uint8_t flags_of(Priority priority, TimeClock start = TimeClock::counter,
                                TimeClock end = TimeClock::counter) {
  return static_cast<std::uint8_t>(static_cast<unsigned>(priority) |
                                   static_cast<unsigned>(start) << kFlagStartClockShift |
                                   static_cast<unsigned>(end) << kFlagEndClockShift);
}

struct TraceId {
  std::uint8_t bytes[16];
};
// 16 bytes first, first + 1, …
constexpr TraceId trace_id_from(std::uint8_t first) {
  TraceId id{};
  for (unsigned i = 0; i < 16; ++i) id.bytes[i] = static_cast<std::uint8_t>(first + i);
  return id;
}

struct SpanFields {
  std::uint32_t name = 0;
  std::uint64_t span_id = 1;
  std::uint64_t parent_id = 0;
  std::uint64_t start = 1;
  std::uint64_t end = 2;
  TraceId trace_id = trace_id_from(0x10);
  std::uint8_t kind = 1;    // OTLP SpanKind INTERNAL
  std::uint8_t status = 0;  // OTLP StatusCode UNSET
  std::uint8_t tflags = kSampled;
  std::uint16_t scope = 0;
  std::uint8_t flags = flags_of(Priority::normal);
};
inline SpanRecord span_part_of(const SpanFields& f) {
  SpanRecord span{};
  span.end = f.end;
  span.start = f.start;
  std::memcpy(span.trace_id, f.trace_id.bytes, sizeof span.trace_id);
  span.span_id = f.span_id;
  span.parent_id = f.parent_id;
  span.name = f.name;
  span.kind_status = static_cast<std::uint8_t>((f.kind & 0x0F) | f.status << 4);
  span.tflags = f.tflags;
  span.scope = f.scope;
  return span;
}
inline Blob make_span(const SpanFields& f, const Items& items = {}) {
  return make_record(span_part_of(f), RecordType::span, items, f.flags);
}
inline Blob make_span_start(const SpanFields& f, const Items& items = {}) {
  SpanRecord span = span_part_of(f);
  span.end = 0;
  return make_record(span, RecordType::span_start, items, f.flags);
}

struct LogFields {
  std::uint32_t body = 0;
  std::uint64_t time = 1;
  std::uint8_t severity = 9;  // OTLP INFO
  std::uint8_t tflags = 0;
  std::uint16_t scope = 0;
  TraceId trace_id{};
  std::uint64_t span_id = 0;
  std::uint8_t flags = flags_of(Priority::low);
};
inline Blob make_log(const LogFields& f, const Items& items = {}) {
  LogRecord log{};
  log.time = f.time;
  log.body = f.body;
  log.severity = f.severity;
  log.tflags = f.tflags;
  log.scope = f.scope;
  std::memcpy(log.trace_id, f.trace_id.bytes, sizeof log.trace_id);
  log.span_id = f.span_id;
  return make_record(log, RecordType::log, items, f.flags);
}

inline Blob make_thread(std::uint32_t tid, std::string_view name) {
  ThreadRecord thread{};
  thread.tid = tid;
  std::memcpy(thread.name, name.data(), name.size() < 16 ? name.size() : 16);
  return make_record(thread, RecordType::thread);
}
inline Blob make_loss(std::uint64_t first, std::uint64_t last, std::uint64_t low, std::uint64_t background) {
  LossRecord loss{};
  loss.first = first;
  loss.last = last;
  loss.lost[2] = low;
  loss.lost[3] = background;
  return make_record(loss, RecordType::loss);
}
inline Blob make_anchor(std::uint64_t counter, std::uint64_t realtime_ns, std::uint64_t monotonic_ns) {
  AnchorRecord anchor{};
  anchor.counter = counter;
  anchor.realtime_ns = realtime_ns;
  anchor.monotonic_ns = monotonic_ns;
  return make_record(anchor, RecordType::anchor);
}
inline Blob make_span_part(const TraceId& trace_id, std::uint64_t span_id, std::uint32_t index, const Items& items) {
  SpanPartRecord part{};
  std::memcpy(part.trace_id, trace_id.bytes, sizeof part.trace_id);
  part.span_id = span_id;
  part.index = index;
  return make_record(part, RecordType::span_part, items, kFlagHasParts);
}

// A series; its cells are the next free ones unless they are given.
inline constexpr std::uint32_t kNext = ~0u;
struct SeriesFields {
  std::uint32_t name = 0;
  MetricKind kind = MetricKind::counter;
  std::uint8_t flags = 0;
  std::uint32_t unit = 0;
  std::uint32_t description = 0;
  std::uint32_t attributes = 0;
  std::uint16_t scope = 0;
  std::uint32_t instrument = kNext;  // itself
  std::uint32_t cell = kNext;
  std::uint32_t shard_words = kNext;
  std::uint64_t start = 1;
  std::uint32_t bounds = 0;
  std::uint32_t buckets = 0;
  std::int32_t first_index = 0;
  std::int8_t scale = 0;
};

struct BuilderOptions {
  std::uint32_t lanes = 4;
  std::uint32_t shared_lanes = 1;
  std::uint32_t ring_bytes = 4096;
  std::uint32_t slack_bytes = 1024;
  std::uint32_t max_record = 960;
  std::uint32_t slots_per_lane = 4;
  std::uint32_t pool_slots = 8;
  std::uint32_t arena_bytes = 16384;
  std::uint32_t scopes = 16;
  std::uint32_t series = 16;
  std::uint32_t lane_cell_bytes = 4096;
  std::uint32_t shared_cell_bytes = 4096;
  std::uint16_t minor = kAbiMinor;
  ClockKind clock = ClockKind::monotonic;
};

class SegmentBuilder {
 public:
  // `memory`: builder_size(options) zero bytes on a 64 KiB boundary, or none: it takes its own.
  explicit SegmentBuilder(const BuilderOptions& options = {}, void* memory = nullptr) : options_(options) {
    plan();
    if (memory == nullptr) {
      own_.reset(static_cast<std::uint8_t*>(std::aligned_alloc(kRegionAlign, size_)));
      std::memset(own_.get(), 0, size_);
      memory = own_.get();
    }
    memory_ = static_cast<std::uint8_t*>(memory);
    heads_.resize(options.lanes);
    write_identity();
  }

  std::size_t size() const { return size_; }
  std::uint8_t* data() { return memory_; }
  Bytes image() const { return {memory_, size_}; }
  Bytes bytes(std::size_t offset, std::size_t length) const { return image().part(offset, length); }
  const BuilderOptions& options() const { return options_; }

  // Strings, scopes, blobs.
  std::uint32_t intern(std::string_view text) {
    const std::uint32_t id = arena_used_ / 8;
    const auto length = static_cast<std::uint32_t>(text.size());
    assert(arena_used_ + 4 + length + 8 <= options_.arena_bytes);
    std::uint8_t* entry = at(RegionKind::strings) + arena_used_;
    std::memcpy(entry, &length, sizeof length);
    if (length != 0) std::memcpy(entry + sizeof length, text.data(), length);
    arena_used_ += padded(4 + length);
    process().strings_len.store(arena_used_);
    return id;
  }
  std::uint32_t intern_blob(const Items& items) { return intern(shm::Bytes(bytes_of(items.blob())).text()); }
  std::uint16_t scope(const Items& items) {
    const std::uint32_t blob = intern_blob(items);
    const std::uint32_t index = process().scopes_count.load();
    assert(index < options_.scopes);
    std::memcpy(at(RegionKind::scopes) + 4 * index, &blob, sizeof blob);
    process().scopes_count.store(index + 1);
    return static_cast<std::uint16_t>(index + 1);
  }
  void resource(const Items& items) {
    identity().resource_offset = place_blob(items);
    identity().resource_length = static_cast<std::uint32_t>(items.size());
  }
  void hints(const Items& items) {
    identity().hints_offset = place_blob(items);
    identity().hints_length = static_cast<std::uint32_t>(items.size());
  }

  // Appends a record to a lane's ring, moves head and counts what is counted. Answers its position.
  std::uint64_t put(std::uint32_t lane_index, const Blob& record) {
    const std::uint64_t at_pos = put_silently(lane_index, record);
    LaneHead& head = lane(lane_index);
    RecordHeader header;
    std::memcpy(&header, record.data(), sizeof header);
    head.head.store(heads_[lane_index]);
    // Spans, logs, and the pieces of spans; the records that explain are not counted.
    if (header.type == static_cast<std::uint16_t>(RecordType::span)) {
      head.written[0].store(head.written[0].load() + 1);
    } else if (header.type == static_cast<std::uint16_t>(RecordType::log)) {
      head.written[1].store(head.written[1].load() + 1);
    } else if (header.type == static_cast<std::uint16_t>(RecordType::span_start) ||
               header.type == static_cast<std::uint16_t>(RecordType::span_part)) {
      head.written[2].store(head.written[2].load() + 1);
    }
    return at_pos;
  }
  // The bytes alone: head stays where it was, as if the process had died before its store.
  std::uint64_t put_silently(std::uint32_t lane_index, const Blob& record) {
    assert(record.size() <= options_.max_record && record.size() % 8 == 0);
    take_lane(lane_index);
    const std::uint64_t at_pos = heads_[lane_index];
    std::memcpy(ring(lane_index) + (at_pos & (options_.ring_bytes - 1)), record.data(), record.size());
    heads_[lane_index] = at_pos + record.size();
    assert(heads_[lane_index] - tail(lane_index).tail.load() <= options_.ring_bytes);
    return at_pos;
  }
  // Lets a lane start somewhere else than at 0: `head` and `tail` stand at `pos`.
  void start_lane_at(std::uint32_t lane_index, std::uint64_t pos) {
    take_lane(lane_index);
    heads_[lane_index] = pos;
    lane(lane_index).head.store(pos);
    tail(lane_index).tail.store(pos);
    tail(lane_index).settled.store(pos);
  }

  // Metrics. Answers the series' index.
  std::uint32_t series(const SeriesFields& f) {
    const std::uint32_t index = process().metrics_count.load();
    assert(index < options_.series);
    const bool histogram = f.kind == MetricKind::histogram || f.kind == MetricKind::exponential_histogram;
    const bool in_lanes =
        (f.kind == MetricKind::counter || f.kind == MetricKind::up_down_counter) && (f.flags & kMetricObservable) == 0;
    const std::uint32_t used = 4 + f.buckets * ((f.flags & kMetricNegative) != 0 ? 2 : 1);
    MetricDescriptor& d = descriptor(index);
    d.name = f.name;
    d.unit = f.unit;
    d.description = f.description;
    d.attributes = f.attributes;
    d.scope = f.scope;
    d.kind = static_cast<std::uint8_t>(f.kind);
    d.flags = f.flags;
    d.instrument = f.instrument == kNext ? index : f.instrument;
    d.shard_words = histogram ? (f.shard_words == kNext ? (used + 7) / 8 * 8 : f.shard_words) : 0;
    d.cell = f.cell;
    if (f.cell == kNext) {
      d.cell = in_lanes ? lane_words_ : shared_words_;
      (in_lanes ? lane_words_ : shared_words_) += histogram ? kHistogramShards * d.shard_words : 1;
      assert(8 * lane_words_ <= options_.lane_cell_bytes && 8 * shared_words_ <= options_.shared_cell_bytes);
    }
    d.start = f.start;
    d.bounds = f.bounds;
    d.buckets = f.buckets;
    d.first_index = f.first_index;
    d.scale = f.scale;
    process().metrics_count.store(index + 1);
    return index;
  }
  std::uint32_t intern_bounds(const std::vector<double>& bounds) {
    return intern({reinterpret_cast<const char*>(bounds.data()), bounds.size() * sizeof(double)});
  }
  MetricDescriptor& descriptor(std::uint32_t index) {
    return reinterpret_cast<MetricDescriptor*>(at(RegionKind::metric_descriptors))[index];
  }
  // A word of a lane's cells, committed up to it.
  std::uint64_t& lane_cell(std::uint32_t lane_index, std::uint32_t word) {
    take_lane(lane_index);
    if (lane(lane_index).cell_words.load() <= word) lane(lane_index).cell_words.store(word + 1);
    return reinterpret_cast<std::uint64_t*>(at(RegionKind::metric_cells) +
                                            std::size_t{lane_index} * options_.lane_cell_bytes)[word];
  }
  std::uint64_t& shared_cell(std::uint32_t word) {
    return reinterpret_cast<std::uint64_t*>(at(RegionKind::metric_shared))[word];
  }

  // Slots. The record is the draft; `next` is 1 + a pool index, or 0.
  void open_slot(SpanSlot& slot, const Blob& record, std::uint64_t next = 0) {
    SpanRecord span;
    std::memcpy(&span, record.data(), sizeof span);
    fill_slot(slot, record, next, slot_open(span.span_id));
  }
  void ending_slot(SpanSlot& slot, const Blob& record, std::uint32_t lane_index, std::uint64_t end_target,
                   std::uint64_t next = 0) {
    fill_slot(slot, record, next, slot_ending(lane_index, end_target));
  }
  void more_slot(std::uint32_t pool_index, const Items& items, std::uint64_t next = 0) {
    fill_slot(pool_slot(pool_index), make_record(MoreRecord{}, RecordType::more, items), next, kSlotMore);
    use_pool(pool_index);
  }
  void use_pool(std::uint32_t pool_index) {
    if (process().pool_used.load() <= pool_index) process().pool_used.store(pool_index + 1);
  }

  // Every word, to be made wrong. References into the image.
  Identity& identity() { return *reinterpret_cast<Identity*>(memory_); }
  Control& control() { return *reinterpret_cast<Control*>(at(RegionKind::control)); }
  ProcessDynamic& process() { return *reinterpret_cast<ProcessDynamic*>(at(RegionKind::process)); }
  LaneHead& lane(std::uint32_t i) { return reinterpret_cast<LaneHead*>(at(RegionKind::lane_heads))[i]; }
  LaneTail& tail(std::uint32_t i) { return reinterpret_cast<LaneTail*>(at(RegionKind::lane_tails))[i]; }
  SpanSlot& slot(std::uint32_t lane_index, std::uint32_t i) {
    return reinterpret_cast<SpanSlot*>(at(RegionKind::span_slots))[lane_index * options_.slots_per_lane + i];
  }
  SpanSlot& pool_slot(std::uint32_t i) { return reinterpret_cast<SpanSlot*>(at(RegionKind::slot_pool))[i]; }
  std::uint8_t* ring(std::uint32_t lane_index) {
    return at(RegionKind::lane_data) + std::size_t{lane_index} * (options_.ring_bytes + options_.slack_bytes);
  }
  std::uint8_t* at(RegionKind kind) { return memory_ + region(kind).offset; }
  Region& region(RegionKind kind) { return planned_[static_cast<std::size_t>(kind)]; }

  // Counts a lane as taken; put() does it.
  void take_lane(std::uint32_t lane_index) {
    lane(lane_index).committed.store(1);
    if (lane_index < options_.lanes - options_.shared_lanes && process().lanes_used.load() <= lane_index) {
      process().lanes_used.store(lane_index + 1);
    }
  }

 private:
  static constexpr std::size_t kKinds = 13;

  void plan() {
    const auto set = [this](RegionKind kind, std::uint32_t stride, std::uint32_t count, std::uint64_t bytes) {
      Region& region = planned_[static_cast<std::size_t>(kind)];
      region.kind = static_cast<std::uint32_t>(kind);
      region.stride = stride;
      region.count = count;
      region.offset = size_;
      region.length = bytes != 0 ? bytes : std::uint64_t{stride} * count;
      size_ += (region.length + kRegionAlign - 1) & ~(kRegionAlign - 1);
    };
    const BuilderOptions& o = options_;
    set(RegionKind::identity, 0, 0, 4096);
    set(RegionKind::control, 0, 0, 4096);
    set(RegionKind::process, 0, 0, 4096);
    set(RegionKind::lane_heads, sizeof(LaneHead), o.lanes, 0);
    set(RegionKind::lane_tails, sizeof(LaneTail), o.lanes, 0);
    set(RegionKind::strings, 0, 0, o.arena_bytes);
    set(RegionKind::metric_descriptors, sizeof(MetricDescriptor), o.series, 0);
    set(RegionKind::metric_cells, o.lane_cell_bytes, o.lanes, 0);
    set(RegionKind::span_slots, kSlotBytes, o.lanes * o.slots_per_lane, 0);
    set(RegionKind::lane_data, o.ring_bytes + o.slack_bytes, o.lanes, 0);
    set(RegionKind::slot_pool, kSlotBytes, o.pool_slots, 0);
    set(RegionKind::scopes, 4, o.scopes, 0);
    set(RegionKind::metric_shared, 0, 0, o.shared_cell_bytes);
  }

  void write_identity() {
    Identity& id = identity();
    id.abi_major = kAbiMajor;
    id.abi_minor = options_.minor;
    id.header_size = sizeof(Identity);
    id.segment_size = size_;
    for (std::uint8_t i = 0; i < 16; ++i) id.uuid[i] = static_cast<std::uint8_t>(0xA0 + i);
    id.pid = 4242;
    id.start_time_ticks = 1000;
    id.pid_namespace = 4026531836u;
    id.created_realtime_ns = 1700000000000000000ull;
    id.created_monotonic_ns = 5000000000ull;
    id.created_counter = 5000000000ull;
    id.clock_kind = static_cast<std::uint32_t>(options_.clock);
    id.max_record = options_.max_record;
    id.boot_id_hash = 0x1122334455667788ull;
    id.region_count = kKinds;
    id.lane_count = options_.lanes;
    id.ring_bytes = options_.ring_bytes;
    id.slack_bytes = options_.slack_bytes;
    id.slots_per_lane = options_.slots_per_lane;
    id.shared_lanes = options_.shared_lanes;
    for (std::size_t i = 0; i < kKinds; ++i) id.regions[i] = planned_[i];
    process().strings_len.store(kArenaStart);
    Anchor& anchor = process().anchors[0];
    anchor.counter.store(id.created_counter);
    anchor.realtime_ns.store(id.created_realtime_ns);
    anchor.monotonic_ns.store(id.created_monotonic_ns);
    anchor.seq.store(2);
    id.magic.store(kMagic);
  }

  std::uint32_t place_blob(const Items& items) {
    const std::uint32_t offset = arena_used_;
    assert(arena_used_ + items.size() <= options_.arena_bytes);
    if (items.size() != 0) {
      std::memcpy(at(RegionKind::strings) + arena_used_, items.blob().data(), items.size());
    }
    arena_used_ += static_cast<std::uint32_t>(items.size());
    process().strings_len.store(arena_used_);
    return offset;
  }

  void fill_slot(SpanSlot& slot, const Blob& record, std::uint64_t next, std::uint64_t state) {
    assert(record.size() <= kDraftBytes);
    std::memcpy(slot.bytes, record.data(), record.size());
    slot.next.store(next);
    slot.state.store(state);
  }

  struct Free {
    void operator()(std::uint8_t* p) const { std::free(p); }
  };
  BuilderOptions options_;
  Region planned_[kKinds] = {};
  std::size_t size_ = 0;
  std::unique_ptr<std::uint8_t, Free> own_;
  std::uint8_t* memory_ = nullptr;
  std::uint32_t arena_used_ = kArenaStart;
  std::uint32_t lane_words_ = 0;
  std::uint32_t shared_words_ = 0;
  std::vector<std::uint64_t> heads_;
};

inline std::size_t builder_size(const BuilderOptions& options = {}) { return SegmentBuilder(options).size(); }

// Every kind of series, both kinds of number, a second one of an instrument, and the overflow series; one was
// never set.
inline void fill_with_metrics(SegmentBuilder& b, std::uint16_t scope) {
  const auto bits = [](double value) {
    std::uint64_t word;
    std::memcpy(&word, &value, sizeof word);
    return word;
  };
  const std::uint32_t requests = b.intern("http.server.requests");
  const std::uint32_t unit = b.intern("{request}");
  const std::uint32_t what = b.intern("how many were answered");
  const std::uint32_t milliseconds = b.intern("ms");
  const auto route = [&b](std::string_view text) { return b.intern_blob(Items().string("http.route", text)); };
  SeriesFields f{.name = requests,
                 .unit = unit,
                 .description = what,
                 .attributes = route("/pay"),
                 .scope = scope,
                 .start = 5000001000ull};
  const std::uint32_t first = b.series(f);
  f.attributes = route("/basket");
  f.instrument = first;
  const std::uint32_t second = b.series(f);
  f.attributes = b.intern_blob(Items().boolean("otel.metric.overflow", true));
  f.flags = kMetricOverflow;
  const std::uint32_t overflow = b.series(f);
  b.lane_cell(0, b.descriptor(first).cell) = 5;
  b.lane_cell(1, b.descriptor(first).cell) = 7;
  b.lane_cell(b.options().lanes - 1, b.descriptor(second).cell) = 1;
  b.lane_cell(0, b.descriptor(overflow).cell) = 2;
  const std::uint32_t open =
      b.series({.name = b.intern("baskets.open"), .kind = MetricKind::up_down_counter, .flags = kMetricReal});
  b.lane_cell(0, b.descriptor(open).cell) = bits(1.5);
  b.lane_cell(1, b.descriptor(open).cell) = bits(-4);
  const std::uint32_t heap = b.series({.name = b.intern("heap"), .kind = MetricKind::gauge});
  b.shared_cell(b.descriptor(heap).cell) = 4096 ^ kNeverSet;
  b.series({.name = b.intern("temperature"), .kind = MetricKind::gauge, .flags = kMetricReal});
  const std::uint32_t faults = b.series({.name = b.intern("page.faults"), .flags = kMetricObservable});
  b.shared_cell(b.descriptor(faults).cell) = 77 ^ kNeverSet;
  SeriesFields latency{
      .name = b.intern("latency"), .kind = MetricKind::histogram, .flags = kMetricReal, .unit = milliseconds};
  latency.bounds = b.intern_bounds({0, 5, 10});
  latency.buckets = 4;
  const std::uint64_t at = b.descriptor(b.series(latency)).cell;
  const std::uint32_t shard = b.descriptor(b.process().metrics_count.load() - 1).shard_words;
  const auto word = [&b, at](std::uint32_t offset) -> std::uint64_t& {
    return b.shared_cell(static_cast<std::uint32_t>(at) + offset);
  };
  word(0) = bits(7.5);  // shard 0: 0.5 and 7
  word(1) = bits(0.5) ^ kNeverSet;
  word(2) = bits(7) ^ kNeverSet;
  word(5) = word(6) = 1;
  word(4 * shard) = bits(12);  // the shared one: 12
  word(4 * shard + 1) = word(4 * shard + 2) = bits(12) ^ kNeverSet;
  word(4 * shard + 7) = 1;
  SeriesFields size{.name = b.intern("size"), .kind = MetricKind::exponential_histogram, .flags = kMetricNegative};
  size.buckets = 8;
  size.first_index = -2;
  size.scale = 1;
  MetricDescriptor& d = b.descriptor(b.series(size));
  b.shared_cell(d.cell) = 1;
  b.shared_cell(d.cell + 1) = static_cast<std::uint64_t>(std::int64_t{-2}) ^ kNeverSet;
  b.shared_cell(d.cell + 2) = 3 ^ kNeverSet;
  b.shared_cell(d.cell + 3) = 1;          // 0
  b.shared_cell(d.cell + 4 + 5) = 1;      // 3: (2^1.5, 2^2]
  b.shared_cell(d.cell + 4 + 8 + 3) = 1;  // -2: (2^0.5, 2^1]
  const std::uint32_t seconds = b.series({.name = b.intern("cpu.time"), .flags = kMetricReal, .unit = b.intern("s")});
  b.lane_cell(0, b.descriptor(seconds).cell) = bits(0.25);
  b.lane_cell(b.options().lanes - 1, b.descriptor(seconds).cell) = bits(0.5);
  const std::uint32_t waiting =
      b.series({.name = b.intern("waiting"), .kind = MetricKind::up_down_counter, .flags = kMetricObservable});
  b.shared_cell(b.descriptor(waiting).cell) = static_cast<std::uint64_t>(std::int64_t{-3}) ^ kNeverSet;
  SeriesFields lines{.name = b.intern("lines"), .kind = MetricKind::histogram};
  lines.bounds = b.intern_bounds({100});
  lines.buckets = 2;
  const std::uint32_t lines_cell = b.descriptor(b.series(lines)).cell;
  b.shared_cell(lines_cell) = 101;
  b.shared_cell(lines_cell + 1) = b.shared_cell(lines_cell + 2) = 101 ^ kNeverSet;
  b.shared_cell(lines_cell + 5) = 1;
  b.process().metrics_unrecorded.store(1);
  b.process().metrics_invalid.store(2);
  b.process().metrics_clamped.store(3);
}

// One of everything: blobs, scopes, each kind of record, each type of item, slots in each state, a lane
// whose records pass the ring's end, counters. Lane 0: an ordinary thread; lane 1: across the end;
// lane 2: empty but taken; the shared lane: one log.
inline void fill_with_everything(SegmentBuilder& b) {
  const TraceId trace = trace_id_from(0x10);
  b.resource(Items()
                 .string("service.name", "checkout")
                 .string("service.version", "1.2.3")
                 .integer("process.pid", 4242)
                 .string(kSchemaUrlKey, "https://opentelemetry.io/schemas/1.30.0"));
  b.hints(Items().string("OTEL_BSP_SCHEDULE_DELAY", "2000").string("TAILRACE_QUEUE_BYTES", "1048576"));
  const std::uint16_t scope =
      b.scope(Items().string(kNameKey, "checkout.http").string(kVersionKey, "2.0").integer("scope.number", 7));
  const std::uint32_t pay = b.intern("pay");
  const std::uint32_t amount = b.intern("amount");
  const std::uint32_t currency = b.intern("currency");
  const std::uint32_t euro = b.intern("EUR");
  const std::uint32_t paid = b.intern("paid {} {}");
  const std::uint32_t retry = b.intern("retry");

  b.lane(0).in_use.store(1);
  b.lane(0).tid.store(4243);
  std::memcpy(reinterpret_cast<void*>(&b.lane(0).name), "worker", 6);
  b.put(0, make_thread(4243, "worker"));
  b.put(0, make_anchor(5000001000ull, 1700000000000001000ull, 5000001000ull));
  b.put(0, make_span({.name = pay, .span_id = 0x21, .start = 5000002000ull, .end = 5000003000ull, .scope = scope},
                     Items()
                         .integer(amount, 42)
                         .string_id(currency, euro)
                         .boolean("ok", true)
                         .real("ratio", 0.5)
                         .empty("nothing")
                         .bytes("raw", std::string_view("\0\1\2", 3))
                         .string("note", "caf\xC3\xA9")
                         .string("broken", "\xFF\xFE")
                         .array("list", Items().integer(kNoKey, 1).string(kNoKey, "two"))
                         .map("tree", Items().map("leaf", Items().integer("n", -1)))));
  b.put(0, make_span({.name = pay,
                      .span_id = 0x22,
                      .parent_id = 0x21,
                      .start = 5000002100ull,
                      .end = 5000002900ull,
                      .kind = 3,
                      .status = 2,
                      .scope = scope},
                     Items()
                         .event(retry, 5000002500ull, Items().integer("attempt", 2))
                         .event("inline name", 1700000000000002600ull, {}, TimeClock::realtime, 3)
                         .link(trace.bytes, 0x99, 1, Items().string(kTraceStateKey, "a=b").boolean("x", false))
                         .string(kStatusMessageKey, "card refused")
                         .string(kTraceStateKey, "vendor=1")
                         .string(kNameKey, "pay again")
                         .integer(kDroppedAttributesKey, 4)));
  b.put(0, make_span_start({.name = pay, .span_id = 0x23, .start = 5000004000ull}));
  b.put(0, make_span_part(trace, 0x24, 0, Items().string("part", "one")));
  b.put(0, make_span({.name = pay,
                      .span_id = 0x24,
                      .start = 5000004000ull,
                      .end = 5000005000ull,
                      .flags = static_cast<std::uint8_t>(flags_of(Priority::normal) | kFlagHasParts)},
                     Items().integer(kPartCountKey, 1)));
  b.put(0, make_log({.body = paid,
                     .time = 5000002200ull,
                     .severity = 9,
                     .tflags = static_cast<std::uint8_t>(kTemplate | kSampled),
                     .scope = scope,
                     .trace_id = trace,
                     .span_id = 0x21},
                    Items().integer(kArgumentKey, 42).string(kArgumentKey, "EUR").string("k", "v")));
  b.put(0, make_log({.time = 1700000000000003000ull,
                     .severity = 17,
                     .flags = flags_of(Priority::critical, TimeClock::realtime)},
                    Items()
                        .map(kBodyKey, Items().string("code", "E42"))
                        .string(kSeverityTextKey, "ERROR")
                        .string(kEventNameKey, "payment.failed")
                        .integer(kObservedTimeKey, 1700000000000003100ll)));
  b.put(0, make_loss(5000002000ull, 5000002300ull, 5, 9));
  b.put(0, make_span({.name = pay,
                      .span_id = 0x25,
                      .parent_id = 0x77,
                      .start = 5000004100ull,
                      .end = 1700000000000004200ull,
                      .tflags = kSampled | kRandom | kRemoteKnown | kRemote | kStarted,
                      .flags = static_cast<std::uint8_t>(
                          flags_of(Priority::background, TimeClock::monotonic, TimeClock::realtime) | kFlagTruncated)},
                     Items()
                         .integer(kStatusCodeKey, 1)
                         .integer(kDroppedEventsKey, 2)
                         .integer(kDroppedLinksKey, 3)
                         .raw(amount, 60, 0, 8, "a future")));
  b.put(0, make_record(MoreRecord{}, RecordType::process_note, Items().string("note", "hello")));
  b.put(0, make_record(MoreRecord{}, static_cast<RecordType>(77), Items().integer("future", 1)));
  b.lane(0).dropped[1][3].store(9);
  b.lane(0).dropped[1][2].store(5);
  b.lane(0).not_sampled.store(3);
  b.lane(0).refused.store(2);
  b.lane(0).cut.store(1);
  for (std::uint32_t i = 0; i < b.options().lanes; ++i) b.lane(i).shard.store(i < 2 ? i : kSharedShard);

  b.start_lane_at(1, 3 * b.options().ring_bytes - 200);
  b.put(1, make_thread(4244, "a name of 16 chars"));
  for (std::uint64_t i = 0; i < 8; ++i) {
    b.put(1, make_span({.name = pay, .span_id = 0x30 + i, .start = 5000006000ull + i, .end = 5000006100ull + i},
                       Items().integer(amount, static_cast<std::int64_t>(i))));
  }
  b.lane(1).owner_from.store(b.tail(1).tail.load());
  b.take_lane(2);
  b.put(b.options().lanes - 1, make_log({.body = pay, .time = 5000007000ull}));

  b.open_slot(b.slot(0, 0),
              make_span({.name = pay, .span_id = 0x41, .start = 5000008000ull, .end = 0}, Items().integer(amount, 1)),
              1);
  b.more_slot(0, Items().string("more", "chained"), 2);
  b.more_slot(1, Items().string("more", "twice"));
  b.ending_slot(b.slot(0, 1), make_span({.name = pay, .span_id = 0x42, .start = 1, .end = 2}), 0,
                b.lane(0).head.load());
  b.ending_slot(b.slot(1, 0), make_span({.name = pay, .span_id = 0x43, .start = 5000008000ull, .end = 5000009000ull}),
                1, b.lane(1).head.load() + 64);
  b.open_slot(b.pool_slot(2), make_span({.name = 0, .span_id = 0x44, .start = 5000008500ull, .end = 0},
                                        Items().string(kNameKey, "in the pool")));
  b.use_pool(2);

  fill_with_metrics(b, scope);

  b.process().unlaned_dropped[0][1].store(2);
  b.process().doorbell.store(1);
  b.process().flush_gen.store(1);
  b.process().critical_gen.store(2);
  b.process().critical_written[1].store(1);
  b.process().crash.address.store(0xDEAD0);
  b.process().crash.counter.store(5000009500ull);
  b.process().crash.lane.store(1);
  b.process().crash.signal.store(11);

  ControlHot& hot = b.control().hot;
  hot.generation.store(7);
  hot.disable_mask.store(1u << 1);
  hot.trace_threshold.store(1ull << 55);
  hot.min_severity.store(5);
  hot.pressure.store(128);
  hot.clock_override.store(static_cast<std::uint8_t>(ClockKind::monotonic));
  hot.shed_mask.store(1u << static_cast<unsigned>(Priority::background));
  hot.long_span_seconds.store(30);
  ControlAgent& agent = b.control().agent;
  agent.heartbeat_monotonic_ns.store(5000010000ull);
  agent.agent_epoch.store(0xE0C0);
  agent.agent_state.store(static_cast<std::uint32_t>(AgentState::attached));
  agent.abi_major.store(kAbiMajor);
  agent.abi_minor.store(kAbiMinor);
  agent.agent_features.store(1);
  b.control().flush.flush_done.store(1);
  b.control().flush.agent_sleeping.store(1);
  b.control().flush.critical_done.store(2);
  b.control().flush.settled_seq.store(4);
  std::uint64_t number = 0;
  for (auto& of_kind : b.control().settled) {
    for (SettledRow& row : of_kind) {
      row.produced.store(++number);
      row.delivered.store(++number);
      row.rejected.store(++number);
      for (auto& dropped : row.dropped) dropped.store(++number);
    }
  }
}

}  // namespace tailrace::shm::test
