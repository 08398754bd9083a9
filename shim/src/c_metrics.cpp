// SPDX-License-Identifier: Apache-2.0
// The C interface: metrics. The inlined half of C++ programs where there is a series, the library's calls elsewhere.
#include <tailrace/detail/metrics.hpp>

#include "c_input.hpp"

using namespace tailrace;
using namespace tailrace::shim;
using detail::Cell;
using detail::Instrument;
using detail::InstrumentData;
using shm::MetricKind;

static_assert(TAILRACE_HISTOGRAM == static_cast<int>(MetricKind::histogram) &&
              TAILRACE_COUNTER == static_cast<int>(MetricKind::counter));
static_assert(TAILRACE_HISTOGRAM_EXPONENTIAL == static_cast<int>(HistogramKind::exponential));

namespace {

const Instrument* ours(const tailrace_instrument_t* instrument) noexcept {
  return reinterpret_cast<const Instrument*>(instrument);
}
bool real(const Instrument& instrument) noexcept { return (instrument.flags & shm::kMetricReal) != 0; }
bool monotonic(const Instrument& instrument) noexcept {
  return instrument.kind == static_cast<std::uint8_t>(MetricKind::counter);
}

bool take_data(const tailrace_text_t& name, const tailrace_instrument_options_t* options,
               InstrumentData& data) noexcept {
  constexpr std::size_t kBoundsMax = 1u << 16;
  tailrace_instrument_options_t o;
  std::uint16_t scope = 0;
  if (!good_text(name) || !take(options, sizeof o, o) || o.kind < TAILRACE_COUNTER || o.kind > TAILRACE_HISTOGRAM ||
      o.number > TAILRACE_DOUBLES || o.histogram > TAILRACE_HISTOGRAM_EXPONENTIAL || !good_text(o.unit) ||
      !good_text(o.description) || o.bound_count > kBoundsMax || (o.bounds == nullptr && o.bound_count != 0) ||
      o.reserved_end != 0 || !scope_of(o.scope, scope)) {
    return false;
  }
  const HistogramOptions defaults;
  data = InstrumentData{};
  data.name = name.data;
  data.name_length = name.size;
  data.unit = o.unit.data;
  data.unit_length = o.unit.size;
  data.description = o.description.data;
  data.description_length = o.description.size;
  data.bounds = o.bounds;
  data.bounds_size = o.bound_count;
  data.bounds_given = o.bounds != nullptr;
  data.smallest = o.smallest;
  data.greatest = o.greatest;
  data.cardinality_limit = o.cardinality_limit != 0 ? o.cardinality_limit : defaults.cardinality_limit;
  data.scope = scope;
  data.kind = o.kind;
  data.scale = o.scale_given != 0 ? o.scale : defaults.scale;
  data.aggregation = o.histogram;
  data.flags = o.number == TAILRACE_DOUBLES ? shm::kMetricReal : std::uint8_t{0};
  if (o.negatives != 0) data.flags = static_cast<std::uint8_t>(data.flags | shm::kMetricNegative);
  return true;
}

// False: the library must.
bool measure_here(const Instrument& instrument, Cell cell, std::uint64_t bits) noexcept {
  if ((instrument.flags & shm::kMetricObservable) != 0) return false;
  const bool reals = real(instrument);
  switch (static_cast<MetricKind>(instrument.kind)) {
    case MetricKind::counter:
      return reals ? detail::add_own<double, true>(cell, bits) : detail::add_own<std::int64_t, true>(cell, bits);
    case MetricKind::up_down_counter:
      return reals ? detail::add_own<double, false>(cell, bits) : detail::add_own<std::int64_t, false>(cell, bits);
    case MetricKind::gauge:
      return reals ? detail::set_shared<double>(cell, bits) : detail::set_shared<std::int64_t>(cell, bits);
    case MetricKind::histogram:
    case MetricKind::exponential_histogram:
      return reals ? detail::record_own<double>(&instrument, cell, bits)
                   : detail::record_own<std::int64_t>(&instrument, cell, bits);
    default: return false;
  }
}

bool measure(const Instrument& instrument, std::uint64_t bits, const tailrace_attribute_t* attributes,
             std::size_t count) noexcept {
  if (count == 0) {
    if (!measure_here(instrument, instrument.bare.load(std::memory_order_relaxed), bits)) {
      tailrace_record_attributes(&instrument, bits, nullptr, 0);
    }
    return true;
  }
  if (!good_attributes(attributes, count)) return refuse();
  tailrace_record_attributes(&instrument, bits, attributes_of(attributes), count);
  return true;
}

// The value's bits as the instrument's cells have them. False: counted as not to be recorded.
bool bits_of(const Instrument& instrument, std::int64_t value, std::uint64_t& bits) noexcept {
  if (value < 0 && monotonic(instrument)) {
    tailrace_metric_invalid();
    return false;
  }
  bits = real(instrument) ? detail::bits_of_real(static_cast<double>(value)) : static_cast<std::uint64_t>(value);
  return true;
}

}  // namespace

extern "C" const tailrace_instrument_t* tailrace_instrument_get(tailrace_text_t name,
                                                                const tailrace_instrument_options_t* options) {
  InstrumentData data;
  if (!take_data(name, options, data)) {
    refuse();
    return nullptr;
  }
  return reinterpret_cast<const tailrace_instrument_t*>(tailrace_instrument(&data));
}

extern "C" bool tailrace_instrument_measure_int(const tailrace_instrument_t* instrument, std::int64_t value,
                                                const tailrace_attribute_t* attributes, size_t count) {
  if (instrument == nullptr) return refuse();
  std::uint64_t bits;
  return !bits_of(*ours(instrument), value, bits) || measure(*ours(instrument), bits, attributes, count);
}

extern "C" bool tailrace_instrument_measure_double(const tailrace_instrument_t* instrument, double value,
                                                   const tailrace_attribute_t* attributes, size_t count) {
  if (instrument == nullptr || !real(*ours(instrument))) return refuse();
  return measure(*ours(instrument), detail::bits_of_real(value), attributes, count);
}

extern "C" tailrace_bound_t tailrace_instrument_bind(const tailrace_instrument_t* instrument,
                                                     const tailrace_attribute_t* attributes, size_t count) {
  tailrace_bound_t bound{nullptr, detail::kNoCell};
  if (instrument == nullptr || !good_attributes(attributes, count)) {
    refuse();
    return bound;
  }
  bound.instrument = instrument;
  bound.cell = tailrace_series(ours(instrument), attributes_of(attributes), count);
  return bound;
}

extern "C" bool tailrace_bound_measure_int(tailrace_bound_t bound, std::int64_t value) {
  if (bound.instrument == nullptr) return refuse();
  const Instrument& instrument = *ours(bound.instrument);
  std::uint64_t bits;
  if (!bits_of(instrument, value, bits)) return true;
  if (!measure_here(instrument, bound.cell, bits)) tailrace_record(&instrument, bound.cell, bits);
  return true;
}

extern "C" bool tailrace_bound_measure_double(tailrace_bound_t bound, double value) {
  if (bound.instrument == nullptr || !real(*ours(bound.instrument))) return refuse();
  const Instrument& instrument = *ours(bound.instrument);
  const std::uint64_t bits = detail::bits_of_real(value);
  if (!measure_here(instrument, bound.cell, bits)) tailrace_record(&instrument, bound.cell, bits);
  return true;
}

extern "C" std::uint64_t tailrace_observable_begin(tailrace_text_t name, const tailrace_instrument_options_t* options,
                                                   tailrace_observe_t callback, tailrace_drop_t drop, void* user) {
  InstrumentData data;
  const tailrace_drop_t end = drop != nullptr ? drop : [](void*) {};
  if (callback == nullptr || !take_data(name, options, data) || data.kind > TAILRACE_GAUGE) {
    refuse();
    end(user);
    return 0;
  }
  data.flags = static_cast<std::uint8_t>(data.flags | shm::kMetricObservable);
  // The same function but for the name of the type that its second argument leads to.
  return tailrace_observe(&data, reinterpret_cast<bool (*)(void*, const Instrument*)>(callback), end, user);
}

extern "C" void tailrace_observable_end(std::uint64_t observable) {
  if (observable != 0) tailrace_unobserve(observable);
}

extern "C" bool tailrace_observer_observe_int(const tailrace_observer_t* observer, std::int64_t value,
                                              const tailrace_attribute_t* attributes, size_t count) {
  if (observer == nullptr || !good_attributes(attributes, count)) return refuse();
  const auto& instrument = *reinterpret_cast<const Instrument*>(observer);
  std::uint64_t bits;
  if (bits_of(instrument, value, bits)) tailrace_observed(&instrument, bits, attributes_of(attributes), count);
  return true;
}

extern "C" bool tailrace_observer_observe_double(const tailrace_observer_t* observer, double value,
                                                 const tailrace_attribute_t* attributes, size_t count) {
  if (observer == nullptr || !good_attributes(attributes, count)) return refuse();
  const auto& instrument = *reinterpret_cast<const Instrument*>(observer);
  if (!real(instrument)) return refuse();
  if (value < 0 && monotonic(instrument)) {
    tailrace_metric_invalid();
  } else {
    tailrace_observed(&instrument, detail::bits_of_real(value), attributes_of(attributes), count);
  }
  return true;
}

extern "C" std::uint32_t tailrace_process_tick(void) { return tailrace_tick(); }
