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

#include <tailrace/detail/metric_cells.hpp>

namespace tailrace {

// A view of ascending bucket bounds, from braces or from memory of the caller.
class Bounds {
 public:
  constexpr Bounds() noexcept = default;
  constexpr Bounds(std::initializer_list<double> list) noexcept : size_(list.size()), given_(true) {
    data_ = list.begin();
  }
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
  static_assert(std::is_arithmetic_v<T> && !std::is_same_v<T, bool>,
                "an instrument is of integers or of floating point");
  InstrumentData data{};
  std::string_view text;
  if constexpr (is_literal<N>)
    text = N::text();
  else
    text = text_view(name);
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
    tailrace_observed(instrument_, detail::bits_of<detail::Canonical<T>>(value, monotonic()), attributes.data(),
                      attributes.size());
  }

 private:
  TAILRACE_INLINE bool monotonic() const noexcept {
    return instrument_->kind == static_cast<std::uint8_t>(shm::MetricKind::counter);
  }
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
TAILRACE_HIDDEN inline Observation observe(shm::MetricKind kind, const N& name, F&& callback,
                                           const InstrumentOptions& options) noexcept {
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
TAILRACE_HIDDEN inline Observation observe_counter(const N& name, F&& callback,
                                                   const InstrumentOptions& options = {}) noexcept {
  return detail::observe<T>(shm::MetricKind::counter, name, std::forward<F>(callback), options);
}
template <class T, class N, class F>
TAILRACE_HIDDEN inline Observation observe_up_down_counter(const N& name, F&& callback,
                                                           const InstrumentOptions& options = {}) noexcept {
  return detail::observe<T>(shm::MetricKind::up_down_counter, name, std::forward<F>(callback), options);
}
template <class T, class N, class F>
TAILRACE_HIDDEN inline Observation observe_gauge(const N& name, F&& callback,
                                                 const InstrumentOptions& options = {}) noexcept {
  return detail::observe<T>(shm::MetricKind::gauge, name, std::forward<F>(callback), options);
}

// Runs the callbacks of all observables; how many ran. Nothing, while another thread does.
TAILRACE_INLINE std::uint32_t tick() noexcept {
  if constexpr (detail::kDisabled) return 0;
  return tailrace_tick();
}

}  // namespace tailrace
