// SPDX-License-Identifier: Apache-2.0
// Instruments and series: what they are, where their cells are, when their pages are committed.
#include "metrics.hpp"

#include <cstdio>
#include <cstring>

#include <sys/mman.h>

#include <tailrace/shm/clock.hpp>

#include "encode.hpp"

namespace tailrace::shim {
namespace {

using shm::MetricDescriptor;
using shm::MetricKind;

constexpr unsigned kAttempts = 1000000;  // of the lock, by registrations
constexpr std::size_t kNameMax = 255;
constexpr std::uint32_t kAttributesMax = 128;
constexpr std::uint64_t kDescriptorStep = 16 * 1024;
constexpr std::uint64_t kSharedStep = 16 * 1024;

// For what could not be made: every call is counted, nothing else.
InstrumentRecord sink = {{{kNoCell}, kNone, 0, 0, 0, {}}, {kNoCell}, 0, 0, 0, 0, {kNone}, 0, {0}, 0, 0, 0};

char lower(char c) noexcept { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

std::uint32_t hash_name(const char* name, std::size_t length, std::uint16_t scope) noexcept {
  std::uint64_t hash = 0xcbf29ce484222325ull ^ scope;
  for (std::size_t i = 0; i < length; ++i)
    hash = (hash ^ static_cast<unsigned char>(lower(name[i]))) * 0x100000001b3ull;
  return static_cast<std::uint32_t>(hash >> 32 ^ hash);
}

std::string_view text_of(std::uint32_t id) noexcept {
  if (id == 0) return {};
  const unsigned char* at = mirror() + std::uint64_t{id} * 8;
  std::uint32_t length;
  std::memcpy(&length, at, 4);
  return {reinterpret_cast<const char*>(at + 4), length};
}

bool same_name(std::string_view a, const char* b, std::size_t length) noexcept {
  if (a.size() != length) return false;
  for (std::size_t i = 0; i < length; ++i) {
    if (lower(a[i]) != lower(b[i])) return false;
  }
  return true;
}

// API specification, "Instrument name syntax".
bool valid_name(const char* name, std::size_t length) noexcept {
  const auto letter = [](char c) { return lower(c) >= 'a' && lower(c) <= 'z'; };
  if (length == 0 || length > kNameMax || !letter(name[0])) return false;
  for (std::size_t i = 1; i < length; ++i) {
    const char c = name[i];
    if (!letter(c) && !(c >= '0' && c <= '9') && c != '_' && c != '.' && c != '-' && c != '/') return false;
  }
  return true;
}

const char* kind_name(std::uint8_t kind, std::uint8_t flags) noexcept {
  const bool observable = (flags & shm::kMetricObservable) != 0;
  switch (static_cast<MetricKind>(kind)) {
    case MetricKind::counter: return observable ? "an observable counter" : "a counter";
    case MetricKind::up_down_counter: return observable ? "an observable up-down counter" : "an up-down counter";
    case MetricKind::gauge: return observable ? "an observable gauge" : "a gauge";
    default: return "a histogram";
  }
}
const char* type_name(std::uint8_t flags) noexcept {
  return (flags & shm::kMetricReal) != 0 ? "floating point" : "integers";
}
bool histogram_kind(std::uint8_t kind) noexcept { return kind >= static_cast<std::uint8_t>(MetricKind::histogram); }

constexpr std::uint8_t kIdentityFlags = shm::kMetricReal | shm::kMetricObservable;

bool same_instrument(const InstrumentRecord& have, const detail::InstrumentData& data) noexcept {
  const bool kind =
      have.instrument.kind == data.kind || (histogram_kind(have.instrument.kind) && histogram_kind(data.kind));
  return kind && (have.instrument.flags & kIdentityFlags) == (data.flags & kIdentityFlags) &&
         text_of(have.unit) == std::string_view(data.unit, data.unit_length);
}

void complain_of_conflict(InstrumentRecord& have, const detail::InstrumentData& data) noexcept {
  if (__atomic_exchange_n(&have.complained, 1u, __ATOMIC_RELAXED) != 0) return;
  const std::string_view name = text_of(have.name);
  const std::string_view unit = text_of(have.unit);
  char text[500];
  std::snprintf(
      text, sizeof text,
      "metric '%.*s' is %s of %s in '%.*s'; '%.*s', %s of %s in '%.*s', is not recorded: give it another name",
      static_cast<int>(name.size()), name.data(), kind_name(have.instrument.kind, have.instrument.flags),
      type_name(have.instrument.flags), static_cast<int>(unit.size() < 63 ? unit.size() : 63), unit.data(),
      static_cast<int>(data.name_length), data.name, kind_name(data.kind, data.flags), type_name(data.flags),
      static_cast<int>(data.unit_length < 63 ? data.unit_length : 63), data.unit);
  complain(text);
}

InstrumentRecord* find_instrument(Registry& r, const detail::InstrumentData& data, std::uint32_t hash,
                                  std::uint32_t* free_at) noexcept {
  for (std::uint32_t probe = 0; probe < kInstrumentTable; ++probe) {
    const std::uint32_t at = (hash + probe) & (kInstrumentTable - 1);
    const std::uint32_t entry = r.instrument_table[at].load(std::memory_order_acquire);
    if (entry == 0) {
      *free_at = at;
      return nullptr;
    }
    InstrumentRecord& have = r.instruments[entry - 1];
    if (have.instrument.scope == data.scope && same_name(text_of(have.name), data.name, data.name_length)) return &have;
  }
  return nullptr;
}

// Under the lock.
InstrumentRecord* make_instrument(Registry& r, const detail::InstrumentData& data, std::uint32_t free_at) noexcept {
  const std::uint32_t index = g.instruments.load(std::memory_order_relaxed);
  if (index == kInstrumentsMax || free_at == kNone) return nullptr;
  InstrumentRecord& in = r.instruments[index];
  in.name = intern(data.name, data.name_length, true);
  in.unit = data.unit_length != 0 ? intern(data.unit, data.unit_length, true) : 0;
  in.description = data.description_length != 0 ? intern(data.description, data.description_length, true) : 0;
  if (in.name == 0 || (in.unit == 0 && data.unit_length != 0)) return nullptr;
  in.instrument.bare.store(kNoCell, std::memory_order_relaxed);
  in.overflow.store(kNoCell, std::memory_order_relaxed);
  in.first_series.store(kNone, std::memory_order_relaxed);
  in.instrument.index = index;
  in.instrument.kind = data.kind;
  in.instrument.flags = data.flags;
  in.instrument.scope = data.scope;
  in.limit = data.cardinality_limit;
  in.bounds = 0;
  if (histogram_kind(data.kind)) {
    char why[200] = {};
    if (!fill_buckets(data, r, in.instrument, why, sizeof why)) return nullptr;
    const detail::Buckets& b = in.instrument.buckets;
    if (b.bounds != nullptr && b.count > 1) {
      in.bounds = intern(reinterpret_cast<const char*>(b.bounds), (b.count - 1) * sizeof(double), true);
      if (in.bounds == 0) return nullptr;
    }
    if (why[0] != 0) {
      char text[500];
      std::snprintf(text, sizeof text, "histogram '%.*s' has %s", static_cast<int>(data.name_length), data.name, why);
      complain(text);
    }
  }
  g.instruments.store(index + 1, std::memory_order_relaxed);
  r.instrument_table[free_at].store(index + 1, std::memory_order_release);  // pairs with find_instrument()
  return &in;
}

// Attributes as the bytes that stand for the set: sorted by key, the last of equal keys, keys as string ids,
// strings as they are. Equal sets have equal bytes. `make`: keys that are new are interned.
enum class Canonical { done, unknown_key, unfit };
Canonical canonical(const Attribute* attributes, std::size_t size, bool make, unsigned char* blob,
                    std::uint32_t& length) noexcept {
  if (size > kAttributesMax) return Canonical::unfit;
  std::uint8_t order[kAttributesMax];
  std::size_t count = 0;
  const auto key_of = [attributes](std::size_t i) {
    return std::string_view(attributes[i].key.text, attributes[i].key.text != nullptr ? attributes[i].key.length : 0);
  };
  for (std::size_t i = 0; i < size; ++i) {
    const std::string_view key = key_of(i);
    std::size_t at = count;
    while (at > 0 && key < key_of(order[at - 1])) --at;
    if (at > 0 && key == key_of(order[at - 1])) {
      order[at - 1] = static_cast<std::uint8_t>(i);
      continue;
    }
    std::memmove(order + at + 1, order + at, count - at);
    order[at] = static_cast<std::uint8_t>(i);
    ++count;
  }
  Encoder encoder(blob, kBlobBytes, 0xffffffff, false);
  for (std::size_t k = 0; k < count; ++k) {
    const Attribute& attribute = attributes[order[k]];
    const std::string_view text = key_of(order[k]);
    detail::Name key{text.data(), static_cast<std::uint32_t>(text.size()), attribute.key.id};
    if (key.id == 0) key.id = find_string(key.text, key.length);
    if (key.id == 0 && make) key.id = intern(key.text, key.length, true);
    if (key.id == 0) return make ? Canonical::unfit : Canonical::unknown_key;
    Value value = attribute.value;
    if (value.kind() == Value::Kind::string_id) {
      value = Value(std::string_view(static_cast<const char*>(value.data()), value.size()));
    }
    if (!encoder.item(key, value) || encoder.cut()) return Canonical::unfit;
  }
  length = encoder.size();
  return Canonical::done;
}

std::uint32_t series_slot(std::uint32_t instrument, std::uint32_t attributes) noexcept {
  const std::uint64_t h = (std::uint64_t{instrument} << 32 | attributes) * 0x9e3779b97f4a7c15ull;
  return static_cast<std::uint32_t>(h >> 40);
}

Cell cell_of(const MetricDescriptor& d, std::uint32_t index) noexcept {
  return std::uint64_t{index} << 32 | d.cell * 8u;
}

// kNoCell: not there; then *free_at is where it would go.
Cell find_series(const Registry& r, const InstrumentRecord& in, std::uint32_t attributes,
                 std::uint32_t* free_at) noexcept {
  const std::uint32_t first = in.first_series.load(std::memory_order_acquire);
  const std::uint32_t hash = series_slot(in.instrument.index, attributes);
  for (std::uint32_t probe = 0; probe < kSeriesTable; ++probe) {
    const std::uint32_t at = (hash + probe) & (kSeriesTable - 1);
    const std::uint32_t entry = r.series_table[at].load(std::memory_order_acquire);
    if (entry == 0) {
      if (free_at != nullptr) *free_at = at;
      return kNoCell;
    }
    const MetricDescriptor& d = r.series[entry - 1];
    if (first != kNone && d.instrument == first && d.attributes == attributes) return cell_of(d, entry - 1);
  }
  return kNoCell;
}

bool in_lanes(const MetricDescriptor& d) noexcept {
  return (d.flags & shm::kMetricObservable) == 0 && (d.kind == static_cast<std::uint8_t>(MetricKind::counter) ||
                                                     d.kind == static_cast<std::uint8_t>(MetricKind::up_down_counter));
}

std::uint64_t counter_now() noexcept {
  return g.clock == static_cast<std::uint32_t>(shm::ClockKind::monotonic) ? shm::monotonic_ns() : shm::cpu_counter();
}

bool grow_to(unsigned char* base, std::uint64_t& committed, std::uint64_t need, std::uint64_t step,
             std::uint64_t most) noexcept {
  if (need <= committed) return true;
  std::uint64_t to = (need + step - 1) / step * step;
  if (to > most) to = most;
  if (!shm::commit_range(base + committed, to - committed)) return false;
  committed = to;
  return true;
}

std::uint32_t cells_lane(const shm::SegmentMap& map) noexcept { return map.geometry.lanes - 1; }

// Under the lock. Of the lane that all share and, as far as it goes, of those that are in use.
bool commit_lane_cells(Private& p, const shm::SegmentMap& map, std::uint64_t words) noexcept {
  const std::uint32_t lane = cells_lane(map);
  if (!grow_to(map.lane_cells(lane), p.shared_lane_cells, words * 8, 4096, shm::kLaneCellBytes)) return false;
  map.heads[lane].cell_words.store(p.shared_lane_cells / 8, std::memory_order_release);
  return true;
}

bool commit_series(Private& p, const shm::SegmentMap& map, std::uint32_t count, std::uint64_t lane_words,
                   std::uint64_t shared_words) noexcept {
  const bool good =
      grow_to(reinterpret_cast<unsigned char*>(map.descriptors), p.descriptors_committed,
              std::uint64_t{count} * sizeof(MetricDescriptor), kDescriptorStep,
              std::uint64_t{shm::kMetricDescriptorsMax} * sizeof(MetricDescriptor)) &&
      grow_to(map.metric_shared, p.shared_cells_committed, shared_words * 8, kSharedStep, shm::kSharedCellBytes) &&
      commit_lane_cells(p, map, lane_words);
  TAILRACE_TEST_POINT("shim.metric.pages");
  return good;
}

// Under the lock. The cells of lanes whose threads run: they find them committed at their next add.
void commit_running_lanes(Private& p, const shm::SegmentMap& map, std::uint64_t words) noexcept {
  const std::uint32_t used = map.geometry.lanes - shm::kSharedLanes;
  for (std::uint32_t lane = 0; lane < used; ++lane) {
    const std::uint64_t word = p.lanes_taken[lane / 64].load(std::memory_order_acquire);
    if (word == 0) {
      lane |= 63;
      continue;
    }
    if ((word >> (lane % 64) & 1) == 0) continue;
    ThreadBlock& block = *block_at(lane);
    // One that is being attached sees to it itself, or at its first add.
    if (__atomic_load_n(&block.tid, __ATOMIC_ACQUIRE) != 0) grow_block_cells(block, lane, words);
  }
}

// Under the lock. Null cell: no room, nothing has changed.
Cell make_series(Registry& r, InstrumentRecord& in, std::uint32_t attributes, std::uint8_t more_flags,
                 std::uint32_t free_at) noexcept {
  const std::uint32_t index = g.series.load(std::memory_order_relaxed);
  if (index == shm::kMetricDescriptorsMax) return kNoCell;
  const detail::Buckets& b = in.instrument.buckets;
  const std::uint32_t first = in.first_series.load(std::memory_order_relaxed);
  MetricDescriptor d{};
  d.name = in.name;
  d.unit = in.unit;
  d.description = in.description;
  d.attributes = attributes;
  d.scope = in.instrument.scope;
  d.kind = in.instrument.kind;
  d.flags = in.instrument.flags | more_flags;
  d.instrument = first != kNone ? first : index;
  d.start = counter_now();
  std::uint64_t lane_words = r.lane_words, shared_words = r.shared_words;
  if (in_lanes(d)) {
    d.cell = static_cast<std::uint32_t>(lane_words);
    lane_words += 1;
  } else if (histogram_kind(d.kind)) {
    shared_words = (shared_words + 7) & ~std::uint64_t{7};
    d.cell = static_cast<std::uint32_t>(shared_words);
    d.shard_words = b.shard_bytes / 8;
    shared_words += std::uint64_t{d.shard_words} * shm::kHistogramShards;
    d.bounds = in.bounds;
    d.buckets = b.count;
    if (d.kind == static_cast<std::uint8_t>(MetricKind::exponential_histogram)) {
      d.first_index = b.first_index;
      d.scale = static_cast<std::int8_t>(static_cast<int>(b.up) - static_cast<int>(b.down));
    }
  } else {
    d.cell = static_cast<std::uint32_t>(shared_words);
    shared_words += 1;
  }
  if (lane_words * 8 > shm::kLaneCellBytes || shared_words * 8 > shm::kSharedCellBytes) return kNoCell;
  Private* p = area();
  const bool ready =
      p != nullptr && p->state.load(std::memory_order_acquire) == ChildState::ready && p->metrics_ready != 0;
  if (ready) {
    if (!commit_series(*p, g.map, index + 1, lane_words, shared_words)) return kNoCell;
    if (lane_words != r.lane_words) commit_running_lanes(*p, g.map, lane_words);
    TAILRACE_TEST_POINT("shim.metric.cells");
    g.map.descriptors[index] = d;
    TAILRACE_TEST_POINT("shim.metric.filled");
    g.map.process->metrics_count.store(index + 1, std::memory_order_release);  // pairs with the agent's acquire
    TAILRACE_TEST_POINT("shim.metric.published");
  }
  r.series[index] = d;
  r.lane_words = lane_words;
  r.shared_words = shared_words;
  in.first_series.store(d.instrument, std::memory_order_release);
  g.series.store(index + 1, std::memory_order_release);
  if (free_at != kNone)
    r.series_table[free_at].store(index + 1, std::memory_order_release);  // pairs with find_series()
  return cell_of(d, index);
}

// Under the lock.
Cell overflow_series(Registry& r, InstrumentRecord& in) noexcept {
  Cell cell = in.overflow.load(std::memory_order_relaxed);
  if (cell != kNoCell) return cell;
  const Attribute set[] = {{"otel.metric.overflow", true}};
  unsigned char blob[kBlobBytes];
  std::uint32_t length = 0;
  if (canonical(set, 1, true, blob, length) != Canonical::done) return kNoCell;
  const std::uint32_t attributes = intern(reinterpret_cast<const char*>(blob), length, true);
  if (attributes == 0) return kNoCell;
  // A set of the user's own that says the same is the same series.
  std::uint32_t free_at = kNone;
  cell = find_series(r, in, attributes, &free_at);
  if (cell == kNoCell) cell = make_series(r, in, attributes, shm::kMetricOverflow, free_at);
  in.overflow.store(cell, std::memory_order_release);
  return cell;
}

}  // namespace

Registry* registry() noexcept {
  void* have = g.registry.load(std::memory_order_acquire);
  if (have != nullptr) return static_cast<Registry*>(have);
  void* fresh =
      mmap(nullptr, sizeof(Registry), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (fresh == MAP_FAILED) return nullptr;
  munlock(fresh, sizeof(Registry));
  if (!g.registry.compare_exchange_strong(have, fresh, std::memory_order_acq_rel)) {
    munmap(fresh, sizeof(Registry));
    return static_cast<Registry*>(have);
  }
  return static_cast<Registry*>(fresh);
}

InstrumentRecord& record_of(const detail::Instrument* instrument) noexcept {
  // The header sees the first member alone, and as const: it is in memory of the registry.
  return *reinterpret_cast<InstrumentRecord*>(const_cast<detail::Instrument*>(instrument));
}

void complain(const char* sentence) noexcept {
  const Mode mode = g.mode.load(std::memory_order_acquire);
  if (mode == Mode::before_init || mode == Mode::initialising) {
    if (g.complaint[0] == 0) std::snprintf(g.complaint, sizeof g.complaint, "%s", sentence);
    return;
  }
  say(sentence);
}
void say_complaint() noexcept {
  if (g.complaint[0] != 0) say(g.complaint);
}

// Whole pages: what is registered later often lies in them.
bool grow_block_cells(ThreadBlock& block, std::uint32_t lane, std::uint64_t words) noexcept {
  std::uint64_t committed = __atomic_load_n(&block.cells_committed, __ATOMIC_RELAXED);
  if (!grow_to(g.map.lane_cells(lane), committed, words * 8, 4096, shm::kLaneCellBytes)) return false;
  g.map.heads[lane].cell_words.store(committed / 8, std::memory_order_release);
  __atomic_store_n(&block.cells_committed, static_cast<std::uint32_t>(committed), __ATOMIC_RELEASE);
  return true;
}

void commit_cells(ThreadBlock& block, unsigned attempts) noexcept {
  Private* p = area();
  const Registry* r = static_cast<Registry*>(g.registry.load(std::memory_order_acquire));
  if (p == nullptr || p->metrics_ready == 0 || r == nullptr || block.lane == kNoLane || block.cells_refused != 0)
    return;
  if (!g.metrics_lock.try_lock(attempts)) return;
  // No space: this thread's counters go to the shared lane.
  if (!grow_block_cells(block, block.lane, r->lane_words)) block.cells_refused = 1;
  g.metrics_lock.unlock();
}

bool lock_metrics() noexcept { return g.metrics_lock.try_lock(kAttempts); }

void copy_metrics(Private& p, const shm::SegmentMap& map) noexcept {
  p.metrics_ready = 0;
  if ((g.settings.off_mask & detail::kMetricsOff) != 0) return;
  const std::uint32_t count = g.series.load(std::memory_order_acquire);
  Registry* r = static_cast<Registry*>(g.registry.load(std::memory_order_acquire));
  if (count != 0 && r != nullptr) {
    if (!commit_series(p, map, count, r->lane_words, r->shared_words)) return;
    const std::uint64_t start = counter_now();
    for (std::uint32_t i = 0; i < count; ++i) {
      r->series[i].start = start;
      map.descriptors[i] = r->series[i];
    }
    map.process->metrics_count.store(count, std::memory_order_release);
  }
  p.metrics_ready = 1;
}

Cell resolve(const detail::Instrument* instrument, const Attribute* attributes, std::size_t size,
             bool& settled) noexcept {
  settled = false;
  Registry* r = registry();
  if (instrument == nullptr || instrument->index == kNone || r == nullptr || mirror() == nullptr) return kNoCell;
  InstrumentRecord& in = record_of(instrument);
  settled = true;
  unsigned char blob[kBlobBytes];
  std::uint32_t length = 0;
  std::uint32_t id = 0;
  bool known = true;
  if (size != 0) {
    const Canonical what = canonical(attributes, size, false, blob, length);
    if (what == Canonical::done) id = find_string(reinterpret_cast<const char*>(blob), length);
    known = id != 0;
    const Cell full = in.overflow.load(std::memory_order_acquire);
    if (!known && full != kNoCell && (what == Canonical::unfit || in.sets.load(std::memory_order_relaxed) >= in.limit))
      return full;
  }
  if (known) {
    const Cell cell = find_series(*r, in, id, nullptr);
    if (cell != kNoCell) {
      if (size == 0) in.instrument.bare.store(cell, std::memory_order_relaxed);
      return cell;
    }
  }
  if (g.mode.load(std::memory_order_acquire) == Mode::active) segment();  // a child's is made first
  if (!g.metrics_lock.try_lock(kAttempts)) {
    settled = false;
    return in.overflow.load(std::memory_order_acquire);
  }
  Cell cell = kNoCell;
  if (in.sets.load(std::memory_order_relaxed) < in.limit) {
    const bool fits = size == 0 || canonical(attributes, size, true, blob, length) == Canonical::done;
    id = size != 0 && fits ? intern(reinterpret_cast<const char*>(blob), length, false) : 0;
    if (id != 0 || size == 0) {
      std::uint32_t free_at = kNone;
      cell = find_series(*r, in, id, &free_at);
      if (cell == kNoCell && free_at != kNone) {
        cell = make_series(*r, in, id, 0, free_at);
        if (cell != kNoCell) in.sets.store(in.sets.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
      }
    }
  }
  // The limit, or no room: the sum of all the others, if there is room for that.
  if (cell == kNoCell) {
    settled = in.sets.load(std::memory_order_relaxed) >= in.limit;
    cell = overflow_series(*r, in);
  }
  if (size == 0) in.instrument.bare.store(cell, std::memory_order_relaxed);
  g.metrics_lock.unlock();
  return cell;
}

}  // namespace tailrace::shim

using namespace tailrace;
using namespace tailrace::shim;

extern "C" const detail::Instrument* tailrace_instrument(const detail::InstrumentData* data) noexcept {
  Registry* r = registry();
  if (r == nullptr || mirror() == nullptr || ensure_area() == nullptr) return &sink.instrument;
  if (data->name == nullptr || !valid_name(data->name, data->name_length)) {
    char text[400];
    std::snprintf(
        text, sizeof text,
        "'%.*s' is no name for a metric: a letter first, then letters, digits, '_', '.', '-', '/', 255 at most; "
        "it is not recorded",
        static_cast<int>(data->name_length < 80 ? data->name_length : 80), data->name != nullptr ? data->name : "");
    complain(text);
    return &sink.instrument;
  }
  const std::uint32_t hash = hash_name(data->name, data->name_length, data->scope);
  std::uint32_t free_at = kNone;
  InstrumentRecord* found = find_instrument(*r, *data, hash, &free_at);
  if (found == nullptr && g.metrics_lock.try_lock(kAttempts)) {
    free_at = kNone;
    found = find_instrument(*r, *data, hash, &free_at);
    if (found == nullptr) found = make_instrument(*r, *data, free_at);
    g.metrics_lock.unlock();
  }
  if (found == nullptr) return &sink.instrument;
  if (!same_instrument(*found, *data)) {
    complain_of_conflict(*found, *data);
    return &sink.instrument;
  }
  return &found->instrument;
}

extern "C" Cell tailrace_series(const detail::Instrument* instrument, const Attribute* attributes,
                                std::size_t size) noexcept {
  bool settled;
  return resolve(instrument, attributes, size, settled);
}
