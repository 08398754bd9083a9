// SPDX-License-Identifier: Apache-2.0
// Metrics: instruments whose values are changed in place, in memory that the agent reads.
//
//   static auto payments = tailrace::counter<std::uint64_t>("payments", {"{payment}"});
//   static auto by_card = payments.bind({{"method", "card"}});
//   payments.add(1, {{"method", method}});   // looked up by content, a cache in each thread
//   by_card.add(1);                          // one add in memory
//
// Instruments and bound handles are cheap values, good for the life of the process and of its children;
// they may be made before init(), static or global. The same name (whatever its case), scope, kind, type
// and unit is the same instrument; another kind, type or unit under that name is refused: a sentence on
// standard error, and what is recorded there is only counted (stats().metrics_unrecorded). NaN, infinities
// and negative adds to a counter are not recorded (stats().metrics_invalid).
// Threads: any. In a signal handler: add() of a bound counter of integers. Failure: counted.
#pragma once

#include <new>

#include <tailrace/detail/context.hpp>

namespace tailrace {

// A view of ascending bucket bounds, from braces or from memory of the caller.
class Bounds {
 public:
  constexpr Bounds() noexcept = default;
  constexpr Bounds(std::initializer_list<double> list) noexcept : size_(list.size()), given_(true) { data_ = list.begin(); }
  constexpr Bounds(const double* data, std::size_t size) noexcept : data_(data), size_(size), given_(true) {}
  template <class T, class = std::enable_if_t<std::is_same_v<decltype(std::declval<const T&>().data()), const double*>>>
  constexpr Bounds(const T& bounds) noexcept : Bounds(bounds.data(), bounds.size()) {}
  constexpr const double* data() const noexcept { return data_; }
  constexpr std::size_t size() const noexcept { return size_; }
  constexpr bool given() const noexcept { return given_; }

 private:
  const double* data_ = nullptr;
  std::size_t size_ = 0;
  bool given_ = false;
};

struct InstrumentOptions {
  std::string_view unit = {};  // UCUM
  std::string_view description = {};
  const Scope* scope = nullptr;            // default: the service's own
  std::uint32_t cardinality_limit = 2000;  // attribute sets; what goes beyond is summed under otel.metric.overflow
};

enum class HistogramKind : std::uint8_t {
  // Explicit if bounds are given, else as OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION says or, after
  // init(), Config::exponential_histograms.
  standard,
  explicit_bounds,
  exponential,
};

// Explicit: `bounds`, by default OpenTelemetry's. Exponential: 2^scale buckets for each doubling, over a
// fixed range: what is smaller counts as zero, what is greater in the last bucket (stats().metrics_clamped).
struct HistogramOptions {
  std::string_view unit = {};
  std::string_view description = {};
  Bounds bounds = {};
  HistogramKind kind = HistogramKind::standard;
  std::int8_t scale = 3;   // -8 to 8; 3: buckets 9 % wide
  bool negatives = false;  // exponential: as many buckets again for negative values, else these are invalid
  double smallest = 0;     // of the range; 0: 1 for integers, 2^-30 for others
  double greatest = 0;     // 0: 2^63 for integers, 2^34 for others
  const Scope* scope = nullptr;
  std::uint32_t cardinality_limit = 2000;
};

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
  std::uint32_t count;          // of one sign
  const double* bounds;         // explicit: padded with infinity to a multiple of sixteen; behind them of each
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
TAILRACE_EXPORT const tailrace::detail::Instrument* tailrace_instrument(const tailrace::detail::InstrumentData* data) noexcept;
TAILRACE_EXPORT tailrace::detail::Cell tailrace_series(const tailrace::detail::Instrument* instrument,
                                                       const tailrace::Attribute* attributes, std::size_t size) noexcept;
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
  if constexpr (std::is_unsigned_v<V>) return false;
  else return value < V{0};
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
    inside = least != 0 && most != 0 && static_cast<std::int64_t>(bits) >= static_cast<std::int64_t>(least ^ shm::kNeverSet) &&
             static_cast<std::int64_t>(bits) <= static_cast<std::int64_t>(most ^ shm::kNeverSet);
  }
  if (TAILRACE_UNLIKELY(!inside)) return false;
  if (shard == shm::kSharedShard) {
    __atomic_fetch_add(reinterpret_cast<Word*>(at + 8 * word), 1, __ATOMIC_RELAXED);
    if constexpr (std::is_same_v<T, double>) {
      std::uint64_t sum = load_word(at);
      while (!__atomic_compare_exchange_n(reinterpret_cast<Word*>(at), &sum, bits_of_real(real_of(sum) + value), true,
                                          __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
      }
    } else {
      __atomic_fetch_add(reinterpret_cast<Word*>(at), bits, __ATOMIC_RELAXED);
    }
    return true;
  }
  if (TAILRACE_UNLIKELY(block->busy != 0)) return false;
  set_busy(block);
  add_word(at + 8 * word, 1);
  if constexpr (std::is_same_v<T, double>) add_real(at, value);
  else add_word(at, bits);
  clear_busy(block);
  return true;
}

template <class T, bool Monotonic>
class BoundSum {
 public:
  // Of integers: one add in memory, and safe in a signal handler.
  template <class V>
  TAILRACE_INLINE void add(V value) const noexcept {
    if constexpr (kDisabled) return;
    if constexpr (Monotonic && !std::is_same_v<T, double>) {
      if (TAILRACE_UNLIKELY(negative(value))) return tailrace_metric_invalid();
    }
    const std::uint64_t bits = bits_of<T>(value, Monotonic);
    if (TAILRACE_UNLIKELY(!(add_own<T, Monotonic>(cell_, bits)))) tailrace_record(instrument_, cell_, bits);
  }

 private:
  template <class, bool>
  friend class Sum;
  const Instrument* instrument_ = nullptr;
  Cell cell_ = kNoCell;
};

// Counter and UpDownCounter.
template <class T, bool Monotonic>
class Sum {
 public:
  using Bound = BoundSum<T, Monotonic>;
  TAILRACE_INLINE explicit Sum(const Instrument* instrument) noexcept : instrument_(instrument) {}

  template <class V>
  TAILRACE_INLINE void add(V value) const noexcept {
    if constexpr (kDisabled) return;
    if constexpr (Monotonic && !std::is_same_v<T, double>) {
      if (TAILRACE_UNLIKELY(negative(value))) return tailrace_metric_invalid();
    }
    const std::uint64_t bits = bits_of<T>(value, Monotonic);
    if (TAILRACE_UNLIKELY(!(add_own<T, Monotonic>(instrument_->bare.load(std::memory_order_relaxed), bits)))) {
      tailrace_record_attributes(instrument_, bits, nullptr, 0);
    }
  }
  template <class V>
  TAILRACE_INLINE void add(V value, Attributes attributes) const noexcept {
    if constexpr (kDisabled) return;
    if constexpr (Monotonic && !std::is_same_v<T, double>) {
      if (TAILRACE_UNLIKELY(negative(value))) return tailrace_metric_invalid();
    }
    tailrace_record_attributes(instrument_, bits_of<T>(value, Monotonic), attributes.data(), attributes.size());
  }
  TAILRACE_HIDDEN Bound bind(Attributes attributes = {}) const noexcept {
    Bound bound;
    if constexpr (!kDisabled) {
      bound.instrument_ = instrument_;
      bound.cell_ = tailrace_series(instrument_, attributes.data(), attributes.size());
    }
    return bound;
  }

 private:
  const Instrument* instrument_;
};

template <class T>
class BoundGauge {
 public:
  template <class V>
  TAILRACE_INLINE void set(V value) const noexcept {
    if constexpr (kDisabled) return;
    const std::uint64_t bits = bits_of<T>(value, false);
    if (TAILRACE_UNLIKELY(!set_shared<T>(cell_, bits))) tailrace_record(instrument_, cell_, bits);
  }

 private:
  template <class>
  friend class Gauge;
  const Instrument* instrument_ = nullptr;
  Cell cell_ = kNoCell;
};

template <class T>
class Gauge {
 public:
  using Bound = BoundGauge<T>;
  TAILRACE_INLINE explicit Gauge(const Instrument* instrument) noexcept : instrument_(instrument) {}

  template <class V>
  TAILRACE_INLINE void set(V value) const noexcept {
    if constexpr (kDisabled) return;
    const std::uint64_t bits = bits_of<T>(value, false);
    if (TAILRACE_UNLIKELY(!set_shared<T>(instrument_->bare.load(std::memory_order_relaxed), bits))) {
      tailrace_record_attributes(instrument_, bits, nullptr, 0);
    }
  }
  template <class V>
  TAILRACE_INLINE void set(V value, Attributes attributes) const noexcept {
    if constexpr (kDisabled) return;
    tailrace_record_attributes(instrument_, bits_of<T>(value, false), attributes.data(), attributes.size());
  }
  TAILRACE_HIDDEN Bound bind(Attributes attributes = {}) const noexcept {
    Bound bound;
    if constexpr (!kDisabled) {
      bound.instrument_ = instrument_;
      bound.cell_ = tailrace_series(instrument_, attributes.data(), attributes.size());
    }
    return bound;
  }

 private:
  const Instrument* instrument_;
};

template <class T>
class BoundHistogram {
 public:
  template <class V>
  TAILRACE_INLINE void record(V value) const noexcept {
    if constexpr (kDisabled) return;
    const std::uint64_t bits = bits_of<T>(value, false);
    if (TAILRACE_UNLIKELY(!record_own<T>(instrument_, cell_, bits))) tailrace_record(instrument_, cell_, bits);
  }

 private:
  template <class>
  friend class Histogram;
  const Instrument* instrument_ = nullptr;
  Cell cell_ = kNoCell;
};

template <class T>
class Histogram {
 public:
  using Bound = BoundHistogram<T>;
  TAILRACE_INLINE explicit Histogram(const Instrument* instrument) noexcept : instrument_(instrument) {}

  template <class V>
  TAILRACE_INLINE void record(V value) const noexcept {
    if constexpr (kDisabled) return;
    const std::uint64_t bits = bits_of<T>(value, false);
    if (TAILRACE_UNLIKELY(!record_own<T>(instrument_, instrument_->bare.load(std::memory_order_relaxed), bits))) {
      tailrace_record_attributes(instrument_, bits, nullptr, 0);
    }
  }
  template <class V>
  TAILRACE_INLINE void record(V value, Attributes attributes) const noexcept {
    if constexpr (kDisabled) return;
    tailrace_record_attributes(instrument_, bits_of<T>(value, false), attributes.data(), attributes.size());
  }
  TAILRACE_HIDDEN Bound bind(Attributes attributes = {}) const noexcept {
    Bound bound;
    if constexpr (!kDisabled) {
      bound.instrument_ = instrument_;
      bound.cell_ = tailrace_series(instrument_, attributes.data(), attributes.size());
    }
    return bound;
  }

 private:
  const Instrument* instrument_;
};

template <class T, class N, class Options>
TAILRACE_INLINE InstrumentData instrument_data(shm::MetricKind kind, const N& name, const Options& options) noexcept {
  static_assert(std::is_arithmetic_v<T> && !std::is_same_v<T, bool>, "an instrument is of integers or of floating point");
  InstrumentData data{};
  std::string_view text;
  if constexpr (is_literal<N>) text = N::text();
  else text = text_view(name);
  data.name = text.data();
  data.name_length = text.size();
  data.unit = options.unit.data();
  data.unit_length = options.unit.size();
  data.description = options.description.data();
  data.description_length = options.description.size();
  data.cardinality_limit = options.cardinality_limit;
  data.scope = options.scope != nullptr ? options.scope->id() : std::uint16_t{0};
  data.kind = static_cast<std::uint8_t>(kind);
  data.flags = std::is_floating_point_v<T> ? shm::kMetricReal : std::uint8_t{0};
  return data;
}

}  // namespace detail

template <class T>
using Counter = detail::Sum<detail::Canonical<T>, true>;
template <class T>
using UpDownCounter = detail::Sum<detail::Canonical<T>, false>;
template <class T>
using Gauge = detail::Gauge<detail::Canonical<T>>;
template <class T>
using Histogram = detail::Histogram<detail::Canonical<T>>;

// The instrument of that name. Costs a look-up: keep it where calls are frequent. T: any integer, counted
// in 64 bits, or floating point.
template <class T, class N>
TAILRACE_HIDDEN inline Counter<T> counter(const N& name, const InstrumentOptions& options = {}) noexcept {
  if constexpr (detail::kDisabled) return Counter<T>(nullptr);
  const detail::InstrumentData data = detail::instrument_data<T>(shm::MetricKind::counter, name, options);
  return Counter<T>(tailrace_instrument(&data));
}
template <class T, class N>
TAILRACE_HIDDEN inline UpDownCounter<T> up_down_counter(const N& name, const InstrumentOptions& options = {}) noexcept {
  if constexpr (detail::kDisabled) return UpDownCounter<T>(nullptr);
  const detail::InstrumentData data = detail::instrument_data<T>(shm::MetricKind::up_down_counter, name, options);
  return UpDownCounter<T>(tailrace_instrument(&data));
}
template <class T, class N>
TAILRACE_HIDDEN inline Gauge<T> gauge(const N& name, const InstrumentOptions& options = {}) noexcept {
  if constexpr (detail::kDisabled) return Gauge<T>(nullptr);
  const detail::InstrumentData data = detail::instrument_data<T>(shm::MetricKind::gauge, name, options);
  return Gauge<T>(tailrace_instrument(&data));
}
template <class T, class N>
TAILRACE_HIDDEN inline Histogram<T> histogram(const N& name, const HistogramOptions& options = {}) noexcept {
  if constexpr (detail::kDisabled) return Histogram<T>(nullptr);
  detail::InstrumentData data = detail::instrument_data<T>(shm::MetricKind::histogram, name, options);
  data.bounds = options.bounds.data();
  data.bounds_size = options.bounds.size();
  data.bounds_given = options.bounds.given();
  data.smallest = options.smallest;
  data.greatest = options.greatest;
  data.scale = options.scale;
  data.aggregation = static_cast<std::uint8_t>(options.kind);
  if (options.negatives) data.flags |= shm::kMetricNegative;
  return Histogram<T>(tailrace_instrument(&data));
}

// What a callback of an observable is given: observe() says the value of a set of attributes. A counter's is
// the total so far. Sets that a tick does not observe have no value until one does.
template <class T>
class Observer {
 public:
  TAILRACE_INLINE explicit Observer(const detail::Instrument* instrument) noexcept : instrument_(instrument) {}
  template <class V>
  TAILRACE_INLINE void observe(V value, Attributes attributes = {}) const noexcept {
    if (monotonic() && detail::negative(value)) return tailrace_metric_invalid();
    tailrace_observed(instrument_, detail::bits_of<detail::Canonical<T>>(value, monotonic()), attributes.data(), attributes.size());
  }

 private:
  TAILRACE_INLINE bool monotonic() const noexcept { return instrument_->kind == static_cast<std::uint8_t>(shm::MetricKind::counter); }
  const detail::Instrument* instrument_;
};

// The registration of a callback, ended with this object: afterwards the callback does not run any more. A
// callback may end its own; ending another's waits until that has returned.
class [[nodiscard]] Observation {
 public:
  Observation() noexcept = default;
  TAILRACE_INLINE explicit Observation(std::uint64_t id) noexcept : id_(id) {}
  TAILRACE_INLINE Observation(Observation&& other) noexcept : id_(other.id_) { other.id_ = 0; }
  TAILRACE_INLINE Observation& operator=(Observation&& other) noexcept {
    if (this != &other) {
      end();
      id_ = other.id_;
      other.id_ = 0;
    }
    return *this;
  }
  TAILRACE_INLINE ~Observation() { end(); }
  TAILRACE_INLINE void end() noexcept {
    if constexpr (detail::kDisabled) return;
    if (id_ != 0) tailrace_unobserve(id_);
    id_ = 0;
  }
  bool registered() const noexcept { return id_ != 0; }

 private:
  std::uint64_t id_ = 0;
};

namespace detail {

// An exception must not leave a callback through the library, which knows none.
template <class T, class F>
TAILRACE_HIDDEN inline bool run_callback(void* state, const Instrument* instrument) noexcept {
  const Observer<T> observer(instrument);
#if defined(__cpp_exceptions)
  try {
    (*static_cast<F*>(state))(observer);
  } catch (...) {
    return false;
  }
#else
  (*static_cast<F*>(state))(observer);
#endif
  return true;
}
template <class F>
TAILRACE_HIDDEN inline void drop_callback(void* state) noexcept {
  delete static_cast<F*>(state);
}

template <class T, class N, class F>
TAILRACE_HIDDEN inline Observation observe(shm::MetricKind kind, const N& name, F&& callback, const InstrumentOptions& options) noexcept {
  if constexpr (kDisabled) return Observation();
  using Callback = std::decay_t<F>;
  auto* state = new (std::nothrow) Callback(std::forward<F>(callback));
  if (state == nullptr) return Observation();
  InstrumentData data = instrument_data<T>(kind, name, options);
  data.flags |= shm::kMetricObservable;
  return Observation(tailrace_observe(&data, run_callback<T, Callback>, drop_callback<Callback>, state));
}

}  // namespace detail

// Observables: `callback`, which takes a const Observer<T>&, runs at each tick(). It allocates once, here.
template <class T, class N, class F>
TAILRACE_HIDDEN inline Observation observe_counter(const N& name, F&& callback, const InstrumentOptions& options = {}) noexcept {
  return detail::observe<T>(shm::MetricKind::counter, name, std::forward<F>(callback), options);
}
template <class T, class N, class F>
TAILRACE_HIDDEN inline Observation observe_up_down_counter(const N& name, F&& callback, const InstrumentOptions& options = {}) noexcept {
  return detail::observe<T>(shm::MetricKind::up_down_counter, name, std::forward<F>(callback), options);
}
template <class T, class N, class F>
TAILRACE_HIDDEN inline Observation observe_gauge(const N& name, F&& callback, const InstrumentOptions& options = {}) noexcept {
  return detail::observe<T>(shm::MetricKind::gauge, name, std::forward<F>(callback), options);
}

// Runs the callbacks of all observables; how many ran. Nothing, while another thread does.
TAILRACE_INLINE std::uint32_t tick() noexcept {
  if constexpr (detail::kDisabled) return 0;
  return tailrace_tick();
}

}  // namespace tailrace
