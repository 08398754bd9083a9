// SPDX-License-Identifier: Apache-2.0
//
// The C++ API's spans, logs, metrics and contexts made of the C API's calls alone, so that one recorder records through
// either and what must come out is written once. Values are rebuilt as the C API's structs.
//
// Threads: as the C API. Ownership: what a call converts lives as long as the call. Failure: a call that the C API
// refuses ends the recorder.
#pragma once

#include <tailrace/tailrace.h>
#include <tailrace/tailrace.hpp>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <string_view>
#include <typeinfo>
#include <vector>

namespace tailrace::interop::through_c {

inline void must(bool accepted) {
  if (accepted) return;
  std::fputs("recorder: the C API refused a call\n", stderr);
  std::abort();
}

template <class N>
tailrace_name_t name(const N& from) {
  const detail::Name key = Key(from);
  return {key.text, key.length, key.id};
}
inline tailrace_name_t name(const detail::Name& from) { return {from.text, from.length, from.id}; }
inline tailrace_text_t text(std::string_view from) { return {from.data(), from.size()}; }
inline tailrace_time_t time(const Time& from) {
  return from.given ? tailrace_time_t{from.value, from.clock + 1u, 0} : tailrace_time_t{};
}
inline tailrace_context_t context(const Context& from) {
  tailrace_context_t to{};
  std::memcpy(to.trace_id, from.trace_id, 16);
  std::memcpy(to.span_id, from.span_id, 8);
  to.sampled = from.sampled, to.random = from.random, to.remote = from.remote;
  to.trace_state = from.trace_state;
  return to;
}
inline Context context(const tailrace_context_t& from) {
  Context to;
  std::memcpy(to.trace_id, from.trace_id, 16);
  std::memcpy(to.span_id, from.span_id, 8);
  to.sampled = from.sampled != 0, to.random = from.random != 0, to.remote = from.remote != 0;
  to.trace_state = from.trace_state;
  return to;
}

// Values of one call, with the arrays that they lead to.
class Converted {
 public:
  tailrace_value_t value(const Value& from) {
    switch (from.kind()) {
      case Value::Kind::empty: return tailrace_value_empty();
      case Value::Kind::boolean: return tailrace_value_bool(from.word() != 0);
      case Value::Kind::integer: return tailrace_value_int(static_cast<std::int64_t>(from.word()));
      case Value::Kind::unsigned_integer: return tailrace_value_uint(from.word());
      case Value::Kind::real: return tailrace_value_double(from.real());
      case Value::Kind::string: return tailrace_value_string(static_cast<const char*>(from.data()), from.size());
      case Value::Kind::bytes: return tailrace_value_bytes(from.data(), from.size());
      case Value::Kind::string_id:
        return tailrace_value_name(
            {static_cast<const char*>(from.data()), static_cast<std::uint32_t>(from.size()), from.id()});
      case Value::Kind::map: {
        const auto& members = attributes({static_cast<const Attribute*>(from.data()), from.size()});
        return tailrace_value_map(members.data(), members.size());
      }
      case Value::Kind::character:
        characters_.push_back(static_cast<char>(from.word()));
        return tailrace_value_string(&characters_.back(), 1);
      case Value::Kind::array: break;
    }
    std::vector<tailrace_value_t> elements;
    for (std::size_t i = 0; i < from.size(); ++i) elements.push_back(value(from.element(i)));
    values_.push_back(std::move(elements));
    return tailrace_value_array(values_.back().data(), values_.back().size());
  }
  const std::vector<tailrace_attribute_t>& attributes(Attributes from) {
    std::vector<tailrace_attribute_t> list;
    for (std::size_t i = 0; i < from.size(); ++i) {
      list.push_back(tailrace_attribute_of(name(static_cast<const detail::Name&>(from.data()[i].key)),
                                           value(from.data()[i].value)));
    }
    attributes_.push_back(std::move(list));
    return attributes_.back();
  }

 private:
  std::deque<char> characters_;
  std::deque<std::vector<tailrace_value_t>> values_;
  std::deque<std::vector<tailrace_attribute_t>> attributes_;
};

class SpanBase {
 public:
  SpanBase(const SpanBase&) = delete;
  SpanBase& operator=(const SpanBase&) = delete;
  ~SpanBase() { end(); }

  template <class K, class V>
  void set(const K& key, const V& value) {
    if constexpr (std::is_same_v<V, bool>) {
      must(tailrace_span_set_bool(&span_, name(key), value));
    } else if constexpr (std::is_integral_v<V> && !std::is_same_v<V, char> &&
                         !(std::is_unsigned_v<V> && sizeof(V) == 8)) {
      must(tailrace_span_set_int(&span_, name(key), value));
    } else if constexpr (std::is_floating_point_v<V>) {
      must(tailrace_span_set_double(&span_, name(key), static_cast<double>(value)));
    } else if constexpr (detail::is_text<V>) {
      const std::string_view view = detail::text_view(value);
      must(tailrace_span_set_string(&span_, name(key), view.data(), view.size()));
    } else {
      set_value(name(key), Value(value));
    }
  }
  template <class K>
  void set(const K& key, std::initializer_list<Value> values) {
    set_value(name(key), Value(values));
  }
  void set(Attributes attributes) {
    Converted converted;
    const auto& list = converted.attributes(attributes);
    must(tailrace_span_set_attributes(&span_, list.data(), list.size()));
  }
  template <class N>
  void event(const N& event_name, Attributes attributes = {}, Time at = {}) {
    Converted converted;
    const auto& list = converted.attributes(attributes);
    must(tailrace_span_add_event(&span_, name(event_name), list.data(), list.size(), time(at)));
  }
  void link(const Context& to, Attributes attributes = {}) {
    Converted converted;
    const auto& list = converted.attributes(attributes);
    const tailrace_context_t linked = through_c::context(to);
    must(tailrace_span_add_link(&span_, &linked, list.data(), list.size()));
  }
  void status(StatusCode code, std::string_view message = {}) {
    must(tailrace_span_set_status(&span_, static_cast<std::uint32_t>(code), message.data(), message.size()));
  }
  template <class N>
  void rename(const N& to) {
    must(tailrace_span_update_name(&span_, name(to)));
  }
  template <class E>
  void exception(const E& error, Attributes attributes = {}) {
    char type[128];
    const std::size_t length = tailrace_type_name(typeid(error).name(), type, sizeof type);
    Converted converted;
    const auto& list = converted.attributes(attributes);
    must(tailrace_span_add_exception(&span_, {type, length}, text(error.what()), {}, list.data(), list.size()));
  }
  void end() { must(tailrace_span_finish(&span_)); }
  void end(Time at) { must(tailrace_span_finish_at(&span_, time(at))); }
  Context context() const {
    tailrace_context_t ids;
    must(tailrace_span_get_context(&span_, &ids));
    return through_c::context(ids);
  }

 protected:
  SpanBase() { std::memset(&span_, 0, sizeof span_); }
  using Begin = bool (*)(tailrace_span_t*, tailrace_name_t, const tailrace_span_options_t*);
  void begin(Begin call, tailrace_name_t of, const SpanOptions& from) {
    tailrace_span_options_t options{};
    options.size = sizeof options;
    options.kind = from.kind == SpanKind::unspecified ? std::uint8_t{TAILRACE_KIND_UNSPECIFIED}
                                                      : static_cast<std::uint8_t>(from.kind);
    options.priority = static_cast<std::uint8_t>(static_cast<unsigned>(from.priority) + 1);
    options.parent_mode = from.parent.mode();
    tailrace_context_t parent{};
    if (from.parent.context() != nullptr) {
      parent = through_c::context(*from.parent.context());
      options.parent = &parent;
    }
    options.start = time(from.start);
    Converted converted;
    std::vector<tailrace_link_t> links;
    for (const Link& link : from.links) {
      const auto& list = converted.attributes(link.attributes);
      links.push_back({through_c::context(link.context), list.data(), list.size()});
    }
    options.links = links.data();
    options.link_count = links.size();
    options.trace_state = text(from.trace_state);
    options.scope = from.scope != nullptr ? from.scope->id() : 0u;
    must(call(&span_, of, &options));
  }

  tailrace_span_t span_;

 private:
  void set_value(tailrace_name_t key, const Value& value) {
    Converted converted;
    const tailrace_value_t rebuilt = converted.value(value);
    must(tailrace_span_set_value(&span_, key, &rebuilt));
  }
};

class Span : public SpanBase {
 public:
  template <class N>
  explicit Span(const N& of) {
    must(tailrace_span_begin(&span_, name(of), nullptr));
  }
  template <class N>
  Span(const N& of, const SpanOptions& options) {
    begin(&tailrace_span_begin, name(of), options);
  }
};

class DetachedSpan : public SpanBase {
 public:
  template <class N>
  DetachedSpan(const N& of, const SpanOptions& options) {
    begin(&tailrace_span_begin_detached, name(of), options);
  }
  DetachedSpan(DetachedSpan&& other) noexcept {
    span_ = other.span_;
    std::memset(&other.span_, 0, sizeof other.span_);
  }
};

template <class N>
Span span(const N& of) {
  return Span(of);
}
template <class N>
Span span(const N& of, const SpanOptions& options) {
  return Span(of, options);
}
template <class N>
DetachedSpan start_span(const N& of, const SpanOptions& options = {}) {
  return DetachedSpan(of, options);
}

class Activate {
 public:
  explicit Activate(const Context& which) {
    const tailrace_context_t given = context(which);
    activation_ = tailrace_context_activate(&given);
  }
  ~Activate() { tailrace_context_deactivate(activation_); }
  Activate(const Activate&) = delete;
  Activate& operator=(const Activate&) = delete;

 private:
  std::uint64_t activation_;
};

template <class C>
Context extract(const C& carrier) {
  tailrace_context_t came;
  tailrace_context_extract(&carrier, &detail::carrier_get<C>, &came, nullptr);
  return context(came);
}
inline Context with_trace_state(const Context& of, std::string_view state) {
  tailrace_context_t changed = context(of);
  must(tailrace_context_set_trace_state(&changed, state.data(), state.size()));
  return context(changed);
}

template <class N>
void log_with(Severity severity, const N& body, Attributes attributes) {
  Converted converted;
  const auto& list = converted.attributes(attributes);
  must(tailrace_log_text(static_cast<std::uint32_t>(severity), name(body), list.data(), list.size()));
}
template <class N, class... A>
void log_filled(Severity severity, const N& filled, const A&... arguments) {
  Converted converted;
  const std::vector<tailrace_value_t> values{converted.value(Value(arguments))...};
  must(tailrace_log_template(static_cast<std::uint32_t>(severity), name(filled), values.data(), values.size()));
}
#define TAILRACE_INTEROP_LOG(level)                                                                                    \
  template <class N, class... A>                                                                                       \
  void level(const N& filled, const A&... arguments) {                                                                 \
    log_filled(Severity::level, filled, arguments...);                                                                 \
  }                                                                                                                    \
  template <class N>                                                                                                   \
  void level(const N& body, Attributes attributes) {                                                                   \
    log_with(Severity::level, body, attributes);                                                                       \
  }
TAILRACE_INTEROP_LOG(trace)
TAILRACE_INTEROP_LOG(debug)
TAILRACE_INTEROP_LOG(info)
TAILRACE_INTEROP_LOG(warn)
TAILRACE_INTEROP_LOG(error)
TAILRACE_INTEROP_LOG(fatal)
#undef TAILRACE_INTEROP_LOG

inline void log(const LogRecord& from) {
  Converted converted;
  const auto& list = converted.attributes(from.attributes);
  tailrace_log_record_t record{};
  record.size = sizeof record;
  record.severity = static_cast<std::uint8_t>(from.severity);
  const auto priority = static_cast<unsigned>(from.priority);
  record.priority = static_cast<std::uint8_t>(priority == 255 ? 0 : priority + 1);
  record.body = converted.value(from.body);
  record.attributes = list.data();
  record.attribute_count = list.size();
  record.event_name = text(from.event_name);
  record.severity_text = text(from.severity_text);
  record.time = time(from.time);
  record.observed = time(from.observed);
  tailrace_context_t given{};
  if (from.context != nullptr) {
    given = context(*from.context);
    record.context = &given;
  }
  record.scope = from.scope != nullptr ? from.scope->id() : 0u;
  must(tailrace_log_emit(&record));
}

// Counters add, gauges set, histograms record: one verb in C.
template <class T>
class Instrument {
 public:
  class Bound {
   public:
    explicit Bound(tailrace_bound_t bound) : bound_(bound) {}
    template <class V>
    void add(V value) const {
      if constexpr (std::is_floating_point_v<V>)
        must(tailrace_bound_measure_double(bound_, static_cast<double>(value)));
      else
        must(tailrace_bound_measure_int(bound_, static_cast<std::int64_t>(value)));
    }
    template <class V>
    void set(V value) const {
      add(value);
    }
    template <class V>
    void record(V value) const {
      add(value);
    }

   private:
    tailrace_bound_t bound_;
  };

  explicit Instrument(const tailrace_instrument_t* instrument) : instrument_(instrument) {
    must(instrument != nullptr);
  }
  template <class V>
  void add(V value, Attributes attributes = {}) const {
    Converted converted;
    const auto& list = converted.attributes(attributes);
    if constexpr (std::is_floating_point_v<V>) {
      must(tailrace_instrument_measure_double(instrument_, static_cast<double>(value), list.data(), list.size()));
    } else {
      must(tailrace_instrument_measure_int(instrument_, static_cast<std::int64_t>(value), list.data(), list.size()));
    }
  }
  template <class V>
  void set(V value, Attributes attributes = {}) const {
    add(value, attributes);
  }
  template <class V>
  void record(V value, Attributes attributes = {}) const {
    add(value, attributes);
  }
  Bound bind(Attributes attributes = {}) const {
    Converted converted;
    const auto& list = converted.attributes(attributes);
    return Bound(tailrace_instrument_bind(instrument_, list.data(), list.size()));
  }

 private:
  const tailrace_instrument_t* instrument_;
};

template <class T, class Options>
tailrace_instrument_options_t instrument_options(tailrace_instrument_kind_t kind, const Options& from) {
  tailrace_instrument_options_t options{};
  options.size = sizeof options;
  options.kind = static_cast<std::uint8_t>(kind);
  options.number = std::is_floating_point_v<T> ? std::uint8_t{TAILRACE_DOUBLES} : std::uint8_t{TAILRACE_INTEGERS};
  options.unit = text(from.unit);
  options.description = text(from.description);
  options.cardinality_limit = from.cardinality_limit;
  options.scope = from.scope != nullptr ? from.scope->id() : 0u;
  return options;
}
template <class T>
Instrument<T> counter(std::string_view of, const InstrumentOptions& with = {}) {
  const auto options = instrument_options<T>(TAILRACE_COUNTER, with);
  return Instrument<T>(tailrace_instrument_get(text(of), &options));
}
template <class T>
Instrument<T> up_down_counter(std::string_view of, const InstrumentOptions& with = {}) {
  const auto options = instrument_options<T>(TAILRACE_UP_DOWN_COUNTER, with);
  return Instrument<T>(tailrace_instrument_get(text(of), &options));
}
template <class T>
Instrument<T> gauge(std::string_view of, const InstrumentOptions& with = {}) {
  const auto options = instrument_options<T>(TAILRACE_GAUGE, with);
  return Instrument<T>(tailrace_instrument_get(text(of), &options));
}
template <class T>
Instrument<T> histogram(std::string_view of, const HistogramOptions& with = {}) {
  auto options = instrument_options<T>(TAILRACE_HISTOGRAM, with);
  options.histogram = static_cast<std::uint8_t>(with.kind);
  options.negatives = with.negatives ? 1 : 0;
  options.scale = with.scale;
  options.scale_given = 1;
  options.bounds = with.bounds.given() ? with.bounds.data() : nullptr;
  options.bound_count = with.bounds.size();
  options.smallest = with.smallest;
  options.greatest = with.greatest;
  return Instrument<T>(tailrace_instrument_get(text(of), &options));
}

class Observer {
 public:
  explicit Observer(const tailrace_observer_t* observer) : observer_(observer) {}
  template <class V>
  void observe(V value, Attributes attributes = {}) const {
    Converted converted;
    const auto& list = converted.attributes(attributes);
    if constexpr (std::is_floating_point_v<V>)
      must(tailrace_observer_observe_double(observer_, value, list.data(), list.size()));
    else
      must(tailrace_observer_observe_int(observer_, static_cast<std::int64_t>(value), list.data(), list.size()));
  }

 private:
  const tailrace_observer_t* observer_;
};
class Observation {
 public:
  explicit Observation(std::uint64_t id) : id_(id) { must(id != 0); }
  ~Observation() { tailrace_observable_end(id_); }
  Observation(const Observation&) = delete;
  Observation& operator=(const Observation&) = delete;

 private:
  std::uint64_t id_;
};
template <class F>
Observation observe(std::string_view of, const tailrace_instrument_options_t& options, F callback) {
  return Observation(tailrace_observable_begin(
      text(of), &options,
      [](void* user, const tailrace_observer_t* observer) {
        (*static_cast<F*>(user))(Observer(observer));
        return true;
      },
      [](void* user) { delete static_cast<F*>(user); }, new F(callback)));
}
template <class T, class F>
Observation observe_counter(std::string_view of, F callback) {
  return observe(of, instrument_options<T>(TAILRACE_COUNTER, InstrumentOptions{}), callback);
}
template <class T, class F>
Observation observe_up_down_counter(std::string_view of, F callback) {
  return observe(of, instrument_options<T>(TAILRACE_UP_DOWN_COUNTER, InstrumentOptions{}), callback);
}
template <class T, class F>
Observation observe_gauge(std::string_view of, F callback) {
  return observe(of, instrument_options<T>(TAILRACE_GAUGE, InstrumentOptions{}), callback);
}
inline std::uint32_t tick() { return tailrace_process_tick(); }

template <class Duration>
FlushResult flush(Duration deadline) {
  tailrace_flush_result_t told{};
  told.size = sizeof told;
  FlushResult result;
  const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(deadline).count();
  result.code =
      static_cast<FlushCode>(tailrace_process_flush(static_cast<std::uint64_t>(ms), TAILRACE_PRIORITY_DEFAULT, &told));
  std::memcpy(result.sentence, told.sentence, sizeof result.sentence);
  return result;
}

inline Outcome init(const Config& from) {
  tailrace_config_t config;
  must(tailrace_config_init(&config, sizeof config));
  config.service = text(from.service);
  config.service_version = text(from.service_version);
  config.service_namespace = text(from.service_namespace);
  Converted converted;
  const auto& resource = converted.attributes(from.resource);
  config.resource = resource.data();
  config.resource_count = resource.size();
  config.ring_bytes = from.ring_bytes;
  config.lanes = from.lanes;
  tailrace_outcome_t said;
  Outcome outcome;
  outcome.code = static_cast<Code>(tailrace_process_init(&config, &said));
  std::memcpy(outcome.sentence, said.sentence, sizeof outcome.sentence);
  return outcome;
}

inline tailrace_stats_t stats() {
  tailrace_stats_t result{};
  result.size = sizeof result;
  must(tailrace_process_stats(&result) && result.bad_input == 0);
  return result;
}

}  // namespace tailrace::interop::through_c
