// SPDX-License-Identifier: Apache-2.0
// Cells of metrics: the inlined half of recording a value, into the words that docs/abi.md, "Metrics", describes.
//
// A series is known by an offset into its lane's cells or the shared ones, never by an address: a child's segment lies
// elsewhere. The one test of an offset against what is committed also covers a thread without a lane, a process
// before init() and a forked child; whatever it turns away is a call into the library.
// Threads: any; each writes its own lane's words, or shared ones atomically. Failure: counted by the library.
#pragma once

#include <tailrace/detail/context.hpp>

namespace tailrace {
namespace detail {

inline constexpr std::uint32_t kMetricsOff = 4;  // the bit in masks of signals

// Where a series has its cells: byte offset in a lane's cells or in the shared ones, number of the series.
// An offset, because a child's segment lies elsewhere.
using Cell = std::uint64_t;
inline constexpr Cell kNoCell = ~Cell{0};
constexpr std::uint32_t cell_offset(Cell cell) noexcept { return static_cast<std::uint32_t>(cell); }
constexpr std::uint32_t cell_series(Cell cell) noexcept { return static_cast<std::uint32_t>(cell >> 32); }

// How a value finds its bucket. In private memory that stays for ever, in children too.
struct Buckets {
  std::uint32_t shard_bytes;
  std::uint32_t count;   // of one sign
  const double* bounds;  // explicit: padded with infinity to a multiple of sixteen; behind them of each
                         // four the last, of sixteen infinity; null: exponential
  std::uint32_t bounds_padded;
  std::int32_t first_index;
  const std::uint64_t* thresholds;  // mantissas of base^j, j < 2^up; then the greatest number
  const std::uint16_t* guess;       // by the mantissa's first up + 1 bits: thresholds below all such
  std::uint8_t guess_shift;
  std::uint8_t up;    // scale, where it is positive
  std::uint8_t down;  // -scale, where it is negative
  bool negatives;
};

// An instrument, in private memory that stays for ever.
struct Instrument {
  std::atomic<Cell> bare;  // the series without attributes; kNoCell: not made yet
  std::uint32_t index;
  std::uint8_t kind;   // shm::MetricKind
  std::uint8_t flags;  // shm::kMetricReal and the like
  std::uint16_t scope;
  Buckets buckets;
};

// What makes an instrument.
struct InstrumentData {
  const char* name;
  std::size_t name_length;
  const char* unit;
  std::size_t unit_length;
  const char* description;
  std::size_t description_length;
  const double* bounds;  // null and 0: none given; else given
  std::size_t bounds_size;
  double smallest;
  double greatest;
  std::uint32_t cardinality_limit;
  std::uint16_t scope;
  std::uint8_t kind;   // shm::MetricKind; a histogram's is settled by `aggregation`
  std::uint8_t flags;  // shm::kMetricReal, kMetricObservable, kMetricNegative
  std::int8_t scale;
  std::uint8_t aggregation;  // HistogramKind
  bool bounds_given;
};

}  // namespace detail
}  // namespace tailrace

extern "C" {
// Never null.
TAILRACE_EXPORT const tailrace::detail::Instrument* tailrace_instrument(
    const tailrace::detail::InstrumentData* data) noexcept;
TAILRACE_EXPORT tailrace::detail::Cell tailrace_series(const tailrace::detail::Instrument* instrument,
                                                       const tailrace::Attribute* attributes,
                                                       std::size_t size) noexcept;
// Records `bits`, the value's 64 bits, in a series; whatever the inlined calls do not handle.
TAILRACE_EXPORT void tailrace_record(const tailrace::detail::Instrument* instrument, tailrace::detail::Cell cell,
                                     std::uint64_t bits) noexcept;
TAILRACE_EXPORT void tailrace_record_attributes(const tailrace::detail::Instrument* instrument, std::uint64_t bits,
                                                const tailrace::Attribute* attributes, std::size_t size) noexcept;
TAILRACE_EXPORT void tailrace_metric_invalid() noexcept;
// Registers a callback: `run` says values by tailrace_observed() and returns false where it threw, `drop` ends
// `state`. 0: refused, and dropped.
TAILRACE_EXPORT std::uint64_t tailrace_observe(const tailrace::detail::InstrumentData* data,
                                               bool (*run)(void* state, const tailrace::detail::Instrument* instrument),
                                               void (*drop)(void* state), void* state) noexcept;
TAILRACE_EXPORT void tailrace_unobserve(std::uint64_t id) noexcept;
TAILRACE_EXPORT void tailrace_observed(const tailrace::detail::Instrument* instrument, std::uint64_t bits,
                                       const tailrace::Attribute* attributes, std::size_t size) noexcept;
TAILRACE_EXPORT std::uint32_t tailrace_tick() noexcept;
}

namespace tailrace {
namespace detail {

template <class T>
using Canonical = std::conditional_t<std::is_floating_point_v<T>, double,
                                     std::conditional_t<std::is_unsigned_v<T>, std::uint64_t, std::int64_t>>;

// The bits of a value as the cells of T have it. What no int64 can hold becomes the greatest one.
template <class T, class V>
TAILRACE_INLINE std::uint64_t bits_of(V value, bool full_range) noexcept {
  static_assert(std::is_arithmetic_v<V> && !std::is_same_v<V, bool>, "a number is what is recorded");
  static_assert(std::is_same_v<T, double> || std::is_integral_v<V>, "an instrument of integers takes integers");
  if constexpr (std::is_same_v<T, double>) {
    const double real = static_cast<double>(value);
    std::uint64_t bits;
    std::memcpy(&bits, &real, 8);
    return bits;
  } else {
    if constexpr (std::is_unsigned_v<V> && sizeof(V) == 8) {
      if (!full_range && value > 0x7fffffffffffffffull) return 0x7fffffffffffffffull;
    }
    return static_cast<std::uint64_t>(value);
  }
}
TAILRACE_INLINE double real_of(std::uint64_t bits) noexcept {
  double real;
  std::memcpy(&real, &bits, 8);
  return real;
}
TAILRACE_INLINE bool finite(std::uint64_t bits) noexcept {
  return (bits & 0x7ff0000000000000ull) != 0x7ff0000000000000ull;
}
template <class V>
TAILRACE_INLINE bool negative(V value) noexcept {
  if constexpr (std::is_unsigned_v<V>)
    return false;
  else
    return value < V{0};
}

TAILRACE_INLINE bool metrics_on(const ThreadBlock* block) noexcept {
  return TAILRACE_LIKELY((block->control->disable_mask.load(std::memory_order_relaxed) & kMetricsOff) == 0);
}

// One instruction, so that a signal handler of this thread comes before it or after it.
TAILRACE_INLINE void add_word(unsigned char* at, std::uint64_t n) noexcept {
#if defined(__x86_64__) && !defined(__SANITIZE_THREAD__)
  asm volatile("addq %1, %0" : "+m"(*reinterpret_cast<Word*>(at)) : "re"(n) : "cc");
#else
  __atomic_fetch_add(reinterpret_cast<Word*>(at), n, __ATOMIC_RELAXED);
#endif
}
TAILRACE_INLINE std::uint64_t load_word(const unsigned char* at) noexcept {
  return __atomic_load_n(reinterpret_cast<const Word*>(at), __ATOMIC_RELAXED);
}
TAILRACE_INLINE void store_word(unsigned char* at, std::uint64_t word) noexcept {
  __atomic_store_n(reinterpret_cast<Word*>(at), word, __ATOMIC_RELAXED);
}
TAILRACE_INLINE std::uint64_t bits_of_real(double real) noexcept {
  std::uint64_t bits;
  std::memcpy(&bits, &real, 8);
  return bits;
}

// A sum with one writer: stays in floating point registers, the way through the others is twice as long.
TAILRACE_INLINE void add_real(unsigned char* at, double n) noexcept {
#if defined(__SANITIZE_THREAD__)
  store_word(at, bits_of_real(real_of(load_word(at)) + n));
#else
  typedef double Real __attribute__((aligned(8), may_alias));
  volatile Real* sum = reinterpret_cast<volatile Real*>(at);
  *sum = *sum + n;
#endif
}

// A counter of either kind. False: the library must.
template <class T, bool Monotonic>
TAILRACE_INLINE bool add_own(Cell cell, std::uint64_t bits) noexcept {
  ThreadBlock* block = tailrace_thread;
  const std::uint32_t offset = cell_offset(cell);
  // Relaxed: it only grows, the pages were there before. Zero in a child.
  if (TAILRACE_UNLIKELY(offset >= __atomic_load_n(&block->cells_committed, __ATOMIC_RELAXED))) return false;
  if (TAILRACE_UNLIKELY(!metrics_on(block))) return true;
  unsigned char* word = block->cells + offset;
  if constexpr (std::is_same_v<T, double>) {
    if (TAILRACE_UNLIKELY(!finite(bits) || (Monotonic && real_of(bits) < 0) || block->busy != 0)) return false;
    set_busy(block);
    add_real(word, real_of(bits));
    clear_busy(block);
  } else {
    add_word(word, bits);
  }
  return true;
}

// A word that is never 0, whatever is in it.
TAILRACE_INLINE std::uint64_t hide(std::uint64_t bits) noexcept {
  return bits == shm::kNeverSet ? 1 : bits ^ shm::kNeverSet;
}

template <class T>
TAILRACE_INLINE bool set_shared(Cell cell, std::uint64_t bits) noexcept {
  ThreadBlock* block = tailrace_thread;
  const std::uint32_t offset = cell_offset(cell);
  if (TAILRACE_UNLIKELY(offset >= block->shared_cells_bytes)) return false;
  if (TAILRACE_UNLIKELY(!metrics_on(block))) return true;
  if constexpr (std::is_same_v<T, double>) {
    if (TAILRACE_UNLIKELY(!finite(bits))) return false;
  }
  store_word(block->shared_cells + offset, hide(bits));
  return true;
}

inline constexpr std::uint32_t kShardHead = sizeof(shm::HistogramShard) / 8;
inline constexpr std::uint32_t kZeroWord = 3;
inline constexpr std::uint32_t kNoWord = 0xffffffffu;

typedef double TwoReals __attribute__((vector_size(16), aligned(8), may_alias));
typedef long long TwoWords __attribute__((vector_size(16)));

// How many bounds are below the value: the bucket, as it includes its upper bound. Halves of whole sixteens,
// then the four of each sixteen that stand at the ends of its quarters, then the quarter.
TAILRACE_INLINE std::uint32_t count_below(const Buckets& b, double value) noexcept {
  const double* bounds = b.bounds;
  std::uint32_t below = 0;
  for (std::uint32_t left = b.bounds_padded; TAILRACE_UNLIKELY(left > 16);) {
    const std::uint32_t half = left / 32 * 16;
    const bool upper = bounds[below + half - 1] < value;
    below += upper ? half : 0;
    left = upper ? left - half : half;
  }
  const TwoReals both = {value, value};
  const auto four = [both](const double* at) noexcept {
    const TwoReals* pairs = reinterpret_cast<const TwoReals*>(at);
    const TwoWords holds = (pairs[0] < both) + (pairs[1] < both);  // a comparison that holds is -1
    return static_cast<std::uint32_t>(-(holds[0] + holds[1]));
  };
  below += 4 * four(bounds + b.bounds_padded + below / 4);
  return below + four(bounds + below);
}

// The word of a shard in which the value counts, in exponential buckets; kNoWord: a negative value that has
// none, or, unless `clamped` wants to know, one beyond the last. Index from exponent and mantissa alone: index i
// covers (base^i, base^(i + 1)], so a power of two ends a bucket.
TAILRACE_INLINE std::uint32_t exponential_word(const Buckets& b, double value, bool* clamped) noexcept {
  const std::uint64_t bits = bits_of_real(value);
  const std::uint64_t mantissa = bits & 0xfffffffffffffull;
  const std::int32_t exponent = static_cast<std::int32_t>(bits >> 52 & 0x7ff) - 1023;
  const std::uint32_t guess = b.guess[mantissa >> b.guess_shift];
  const std::int32_t below = static_cast<std::int32_t>(guess + (b.thresholds[guess] < mantissa ? 1u : 0u));
  const std::int32_t bucket = ((exponent * (1 << b.up) + below - 1) >> b.down) - b.first_index;
  if (TAILRACE_UNLIKELY(bucket < 0)) return kZeroWord;
  std::uint32_t word = static_cast<std::uint32_t>(bucket);
  if (TAILRACE_UNLIKELY(word >= b.count)) {
    if (clamped == nullptr) return kNoWord;
    word = b.count - 1;
    *clamped = true;
  }
  if (TAILRACE_UNLIKELY(bits >> 63 != 0)) {
    if (!b.negatives) return kNoWord;
    word += b.count;
  }
  return kShardHead + word;
}

// Into the shard of this thread's lane; false: the library must. A direct call, one copy in each library.
template <class T>
TAILRACE_HIDDEN __attribute__((noinline)) inline bool record_own(const Instrument* instrument, Cell cell,
                                                                 std::uint64_t bits) noexcept {
  ThreadBlock* block = tailrace_thread;
  const std::uint32_t offset = cell_offset(cell);
  if (TAILRACE_UNLIKELY(offset >= block->shared_cells_bytes)) return false;
  if (TAILRACE_UNLIKELY(!metrics_on(block))) return true;
  double value;
  if constexpr (std::is_same_v<T, double>) {
    value = real_of(bits);
  } else {
    value = static_cast<double>(static_cast<std::int64_t>(bits));
  }
  const Buckets& buckets = instrument->buckets;
  std::uint32_t word;
  if (buckets.bounds != nullptr) {
    word = kShardHead + count_below(buckets, value);
  } else {
    word = exponential_word(buckets, value, nullptr);
    if (TAILRACE_UNLIKELY(word == kNoWord)) return false;
  }
  const std::uint32_t shard = block->shard;
  unsigned char* const at = block->shared_cells + offset + std::uint64_t{shard} * buckets.shard_bytes;
  const std::uint64_t least = load_word(at + 8), most = load_word(at + 16);
  bool inside;  // neither a new minimum nor maximum, and no NaN or infinity
  if constexpr (std::is_same_v<T, double>) {
    inside = value >= real_of(least ^ shm::kNeverSet) && value <= real_of(most ^ shm::kNeverSet);  // none yet: NaN
  } else {
    inside = least != 0 && most != 0 &&
             static_cast<std::int64_t>(bits) >= static_cast<std::int64_t>(least ^ shm::kNeverSet) &&
             static_cast<std::int64_t>(bits) <= static_cast<std::int64_t>(most ^ shm::kNeverSet);
  }
  if (TAILRACE_UNLIKELY(!inside)) return false;
  if (shard == shm::kSharedShard) {
    __atomic_fetch_add(reinterpret_cast<Word*>(at + 8 * word), 1, __ATOMIC_RELAXED);
    if constexpr (std::is_same_v<T, double>) {
      std::uint64_t sum = load_word(at);
      while (!__atomic_compare_exchange_n(reinterpret_cast<Word*>(at), &sum, bits_of_real(real_of(sum) + value), true,
                                          __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {}
    } else {
      __atomic_fetch_add(reinterpret_cast<Word*>(at), bits, __ATOMIC_RELAXED);
    }
    return true;
  }
  if (TAILRACE_UNLIKELY(block->busy != 0)) return false;
  set_busy(block);
  add_word(at + 8 * word, 1);
  if constexpr (std::is_same_v<T, double>)
    add_real(at, value);
  else
    add_word(at, bits);
  clear_busy(block);
  return true;
}

}  // namespace detail
}  // namespace tailrace
