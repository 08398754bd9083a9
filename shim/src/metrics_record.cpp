// SPDX-License-Identifier: Apache-2.0
// Recording: what the inlined calls leave to the library, and look-ups by attributes.
//
// A look-up flattens the attributes into words, in the order given, and compares them with an entry of the
// lane's cache: exactly, because whoever chooses attribute values must not be able to make two sets one.
#include <cstring>

#include "metrics.hpp"

namespace tailrace::shim {
namespace {

using detail::bits_of_real;
using detail::load_word;
using detail::real_of;
using detail::store_word;
using detail::Word;
using shm::MetricKind;

constexpr std::uint32_t kEntryWords = 22;

struct CacheEntry {
  std::uint32_t instrument;  // 1 + index; 0: empty
  std::uint32_t size;        // words
  Cell cell;
  std::uint64_t words[kEntryWords];
};
static_assert(sizeof(CacheEntry) * kCacheEntries == kCacheBytes);

const shm::SegmentMap* ready_segment() noexcept {
  const Private* p = area();
  return p != nullptr && p->state.load(std::memory_order_acquire) == ChildState::ready ? &g.map : nullptr;
}

void count(std::atomic<std::uint64_t> shm::ProcessDynamic::*word, std::atomic<std::uint64_t>& otherwise) noexcept {
  const shm::SegmentMap* map = ready_segment();
  (map != nullptr ? map->process->*word : otherwise).fetch_add(1, std::memory_order_relaxed);
}
void count_unrecorded() noexcept { count(&shm::ProcessDynamic::metrics_unrecorded, g.metrics_unrecorded); }
void count_invalid() noexcept { count(&shm::ProcessDynamic::metrics_invalid, g.metrics_invalid); }

// True: calls may record. Else it was counted, or metrics are off.
bool open_for_calls(ThreadBlock*& block, const shm::SegmentMap*& map) noexcept {
  block = tailrace_thread;
  if (TAILRACE_LIKELY(block->shared_cells_bytes != 0)) {  // this process has a segment, with room for metrics
    map = &g.map;
    return detail::metrics_on(block);
  }
  if (block->control == nullptr) {
    if (block == &off_block) return false;
    switch (g.mode.load(std::memory_order_acquire)) {
      case Mode::active: break;
      case Mode::off: g.calls_unrecorded.fetch_add(1, std::memory_order_relaxed); return false;
      default: g.calls_before_init.fetch_add(1, std::memory_order_relaxed); return false;
    }
    if ((g.settings.off_mask & detail::kMetricsOff) != 0) return false;
    block = enter();  // null: in a thread that ends, or in a handler
  }
  map = segment();
  if (TAILRACE_UNLIKELY(map == nullptr)) {
    g.calls_unrecorded.fetch_add(1, std::memory_order_relaxed);
    return false;
  }
  if (TAILRACE_UNLIKELY(area()->metrics_ready == 0)) {
    if ((g.settings.off_mask & detail::kMetricsOff) == 0) count_unrecorded();
    return false;
  }
  return (map->control->hot.disable_mask.load(std::memory_order_relaxed) & detail::kMetricsOff) == 0;
}

void add_real_atomic(unsigned char* at, double value) noexcept {
  std::uint64_t have = load_word(at);
  while (!__atomic_compare_exchange_n(reinterpret_cast<Word*>(at), &have, bits_of_real(real_of(have) + value), true,
                                      __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {}
}

void add(ThreadBlock* block, const shm::SegmentMap& map, std::uint32_t offset, std::uint64_t bits, bool real) noexcept {
  if (block != nullptr && block->lane != kNoLane) {
    if (TAILRACE_UNLIKELY(offset >= __atomic_load_n(&block->cells_committed, __ATOMIC_RELAXED)))
      commit_cells(*block, 1);
    if (offset < __atomic_load_n(&block->cells_committed, __ATOMIC_RELAXED)) {
      unsigned char* at = block->cells + offset;
      if (!real) return detail::add_word(at, bits);
      if (begin_own(block)) {
        detail::add_real(at, real_of(bits));
        detail::clear_busy(block);
        return;
      }
    }
  }
  // A handler that interrupted such an add, a thread without a lane, without space, or at its end.
  unsigned char* at = map.lane_cells(map.geometry.lanes - 1) + offset;
  if (real)
    add_real_atomic(at, real_of(bits));
  else
    __atomic_fetch_add(reinterpret_cast<Word*>(at), bits, __ATOMIC_RELAXED);
}

// Whether `bits` goes before what the hidden word says, in the order of its type.
bool beats(std::uint64_t bits, std::uint64_t hidden, bool real, bool least) noexcept {
  if (hidden == 0) return true;
  const std::uint64_t have = hidden ^ shm::kNeverSet;
  if (real) return least ? real_of(bits) < real_of(have) : real_of(bits) > real_of(have);
  const auto a = static_cast<std::int64_t>(bits), b = static_cast<std::int64_t>(have);
  return least ? a < b : a > b;
}
void raise(unsigned char* at, std::uint64_t bits, bool real, bool least) noexcept {
  std::uint64_t have = load_word(at);
  while (beats(bits, have, real, least) &&
         !__atomic_compare_exchange_n(reinterpret_cast<Word*>(at), &have, detail::hide(bits), true, __ATOMIC_RELAXED,
                                      __ATOMIC_RELAXED)) {}
}

void record_histogram(ThreadBlock* block, const shm::SegmentMap& map, const detail::Instrument& in,
                      std::uint32_t offset, std::uint64_t bits, bool real) noexcept {
  const double value = real ? real_of(bits) : static_cast<double>(static_cast<std::int64_t>(bits));
  bool clamped = false;
  const std::uint32_t word = in.buckets.bounds != nullptr ? detail::kShardHead + detail::count_below(in.buckets, value)
                                                          : detail::exponential_word(in.buckets, value, &clamped);
  if (word == detail::kNoWord) return count_invalid();
  if (clamped) map.process->metrics_clamped.fetch_add(1, std::memory_order_relaxed);
  const bool own = block != nullptr && block->shard != shm::kSharedShard && begin_own(block);
  unsigned char* at =
      map.metric_shared + offset + std::uint64_t{own ? block->shard : shm::kSharedShard} * in.buckets.shard_bytes;
  if (own) {
    detail::add_word(at + std::size_t{8} * word, 1);
    if (real)
      detail::add_real(at, value);
    else
      detail::add_word(at, bits);
    if (beats(bits, load_word(at + 8), real, true)) store_word(at + 8, detail::hide(bits));
    if (beats(bits, load_word(at + 16), real, false)) store_word(at + 16, detail::hide(bits));
    detail::clear_busy(block);
    return;
  }
  __atomic_fetch_add(reinterpret_cast<Word*>(at + std::size_t{8} * word), 1, __ATOMIC_RELAXED);
  if (real)
    add_real_atomic(at, value);
  else
    __atomic_fetch_add(reinterpret_cast<Word*>(at), bits, __ATOMIC_RELAXED);
  raise(at + 8, bits, real, true);
  raise(at + 16, bits, real, false);
}

bool valid(const detail::Instrument& in, std::uint64_t bits) noexcept {
  if ((in.flags & shm::kMetricReal) == 0) return true;
  return detail::finite(bits) && (in.kind != static_cast<std::uint8_t>(MetricKind::counter) || !(real_of(bits) < 0));
}

void record_open(ThreadBlock* block, const shm::SegmentMap& map, const detail::Instrument& in, Cell cell,
                 std::uint64_t bits) noexcept {
  const std::uint32_t offset = detail::cell_offset(cell);
  const bool real = (in.flags & shm::kMetricReal) != 0;
  if (TAILRACE_UNLIKELY(cell == kNoCell)) return count_unrecorded();
  switch (static_cast<MetricKind>(in.kind)) {
    case MetricKind::counter:
    case MetricKind::up_down_counter: return add(block, map, offset, bits, real);
    case MetricKind::gauge: return store_word(map.metric_shared + offset, detail::hide(bits));
    default: return record_histogram(block, map, in, offset, bits, real);
  }
}

constexpr bool scalar(Value::Kind kind) noexcept {
  return kind == Value::Kind::boolean || kind == Value::Kind::integer || kind == Value::Kind::real ||
         kind == Value::Kind::unsigned_integer;
}

// Attributes as words: exact for each entry that it fills. 0: does not fit, or is not scalar.
TAILRACE_INLINE std::uint32_t flatten(const Attribute* attributes, std::size_t size, std::uint64_t* words,
                                      std::uint64_t& hash) noexcept {
  std::uint32_t n = 0;
  std::uint64_t sum = 0;
  // Exact up to sixteen bytes, else all of its words; the length stands in a head before.
  const auto text = [&](const char* s, std::size_t length) {
    const std::uint32_t need = length <= 16 ? 2 : static_cast<std::uint32_t>((length + 7) / 8);
    if (TAILRACE_UNLIKELY(n + need > kEntryWords || length > 8 * kEntryWords)) return false;
    const detail::TextKey key = detail::text_key(s, length);
    sum += (key.first ^ 0x9e3779b97f4a7c15ull) * (key.last * 2 + 0xd6e8feb86659fd93ull);
    if (TAILRACE_LIKELY(length <= 16)) {
      words[n] = key.first;
      words[n + 1] = key.last;
    } else {
      std::memcpy(words + n, s, length & ~std::size_t{7});
      if ((length & 7) != 0) words[n + need - 1] = key.last;
    }
    n += need;
    return true;
  };
  for (std::size_t i = 0; i < size; ++i) {
    const Attribute& a = attributes[i];
    if (TAILRACE_UNLIKELY(n + 3 > kEntryWords)) return 0;
    auto kind = static_cast<std::uint64_t>(a.value.kind());
    std::uint64_t* head = words + n++;
    std::uint64_t key = a.key.id;
    if (TAILRACE_UNLIKELY(key == 0)) {
      key = std::uint64_t{a.key.length} | std::uint64_t{1} << 31;
      if (a.key.text == nullptr || !text(a.key.text, a.key.length) || n == kEntryWords) return 0;
    }
    std::uint64_t length = 0;
    const Value::Kind type = a.value.kind();
    const bool named = type == Value::Kind::string_id && a.value.id() != 0;
    if (type == Value::Kind::string || (type == Value::Kind::string_id && !named)) {
      kind = static_cast<std::uint64_t>(Value::Kind::string);
      length = a.value.size();
      if (TAILRACE_UNLIKELY(!text(static_cast<const char*>(a.value.data()), length))) return 0;
    } else if (TAILRACE_LIKELY(named || scalar(type))) {
      const std::uint64_t word = named ? a.value.id() : a.value.word();
      words[n++] = word;  // there is room for three
      sum += (word ^ 0xa0761d6478bd642full) * 0xe7037ed1a0b428dbull;
    } else {
      return 0;
    }
    *head = key | kind << 32 | length << 40;
    sum += *head * 0x8ebc6af09c88c6e3ull;
  }
  hash = sum ^ sum >> 29;
  return n;
}

TAILRACE_INLINE bool matches(const CacheEntry& entry, std::uint32_t instrument, const std::uint64_t* words,
                             std::uint32_t n) noexcept {
  if (entry.instrument != instrument || entry.size != n) return false;
  std::uint64_t difference = 0;
  for (std::uint32_t i = 0; i < n; ++i) difference |= entry.words[i] ^ words[i];
  return difference == 0;
}

__attribute__((noinline)) Cell resolve_and_keep(ThreadBlock* block, const detail::Instrument* in,
                                                const Attribute* attributes, std::size_t size,
                                                const std::uint64_t* words, std::uint32_t n,
                                                std::uint32_t at) noexcept {
  auto* entries = reinterpret_cast<CacheEntry*>(block->cache);
  const std::uint32_t instrument = in->index + 1;
  if (matches(entries[at ^ 1], instrument, words, n)) return entries[at ^ 1].cell;
  bool settled;
  const Cell cell = resolve(in, attributes, size, settled);
  // Not in a handler: it may have interrupted a look-up in the same cache.
  if (cell != kNoCell && settled && begin_own(block)) {
    static_assert(kCacheEntries % 2 == 0);
    CacheEntry& entry = entries[entries[at].instrument == 0       ? at
                                : entries[at ^ 1].instrument == 0 ? at ^ 1
                                                                  : at ^ (words[n - 1] & 1)];
    __atomic_store_n(&entry.instrument, 0u, __ATOMIC_RELAXED);
    std::atomic_signal_fence(std::memory_order_seq_cst);
    entry.size = n;
    entry.cell = cell;
    std::memcpy(entry.words, words, n * sizeof words[0]);
    std::atomic_signal_fence(std::memory_order_seq_cst);
    __atomic_store_n(&entry.instrument, instrument, __ATOMIC_RELAXED);
    detail::clear_busy(block);
  }
  return cell;
}

TAILRACE_INLINE Cell find(ThreadBlock* block, const detail::Instrument* in, const Attribute* attributes,
                          std::size_t size) noexcept {
  bool settled;
  if (size == 0) {
    const Cell cell = in->bare.load(std::memory_order_acquire);
    return cell != kNoCell ? cell : resolve(in, nullptr, 0, settled);
  }
  std::uint64_t words[kEntryWords];
  std::uint64_t hash = 0;
  const std::uint32_t n = flatten(attributes, size, words, hash);
  if (TAILRACE_UNLIKELY(n == 0 || block == nullptr || block->cache == nullptr || in->index == kNone)) {
    return resolve(in, attributes, size, settled);
  }
  const std::uint32_t instrument = in->index + 1;
  const std::uint64_t mixed = (hash + instrument) * 0x9e3779b97f4a7c15ull;
  const auto at = static_cast<std::uint32_t>(mixed >> 57);
  static_assert(kCacheEntries == 128, "seven bits");
  const CacheEntry& entry = reinterpret_cast<const CacheEntry*>(block->cache)[at];
  if (TAILRACE_LIKELY(matches(entry, instrument, words, n))) return entry.cell;
  return resolve_and_keep(block, in, attributes, size, words, n, at);
}

}  // namespace

Cell look_up(ThreadBlock* block, const detail::Instrument* in, const Attribute* attributes, std::size_t size) noexcept {
  return find(block, in, attributes, size);
}

}  // namespace tailrace::shim

using namespace tailrace;
using namespace tailrace::shim;

extern "C" void tailrace_record(const detail::Instrument* instrument, Cell cell, std::uint64_t bits) noexcept {
  ThreadBlock* block;
  const shm::SegmentMap* map;
  if (!open_for_calls(block, map)) return;
  if (instrument == nullptr) return count_unrecorded();
  if (TAILRACE_UNLIKELY(!valid(*instrument, bits))) return count_invalid();
  record_open(block, *map, *instrument, cell, bits);
}

extern "C" void tailrace_record_attributes(const detail::Instrument* instrument, std::uint64_t bits,
                                           const Attribute* attributes, std::size_t size) noexcept {
  ThreadBlock* block;
  const shm::SegmentMap* map;
  if (!open_for_calls(block, map)) return;
  if (TAILRACE_UNLIKELY(!valid(*instrument, bits))) return count_invalid();
  const Cell cell = find(block, instrument, attributes, size);
  const bool sum = instrument->kind <= static_cast<std::uint8_t>(shm::MetricKind::up_down_counter);
  if (TAILRACE_LIKELY(sum && (instrument->flags & shm::kMetricReal) == 0 && block != nullptr &&
                      detail::cell_offset(cell) < __atomic_load_n(&block->cells_committed, __ATOMIC_RELAXED))) {
    return detail::add_word(block->cells + detail::cell_offset(cell), bits);
  }
  record_open(block, *map, *instrument, cell, bits);
}

extern "C" void tailrace_metric_invalid() noexcept {
  ThreadBlock* block;
  const shm::SegmentMap* map;
  if (open_for_calls(block, map)) count_invalid();
}
