// SPDX-License-Identifier: Apache-2.0
// The C interface: the process, its threads, names, scopes, time, contexts.
#include "c_input.hpp"

#include <tailrace/detail/flush.hpp>
#include <tailrace/detail/propagation.hpp>

using namespace tailrace;
using namespace tailrace::shim;

static_assert(sizeof(tailrace_config_t) == 160 && sizeof(tailrace_stats_t) == 608);
static_assert(static_cast<int>(Code::no_segment) == TAILRACE_NO_SEGMENT &&
              static_cast<int>(Code::disabled) == TAILRACE_IS_DISABLED);
static_assert(static_cast<int>(Sampler::ratio) == TAILRACE_RATIO);
static_assert(sizeof(tailrace_outcome_t::sentence) == sizeof(Outcome::sentence));

// The two halves of the library's baggage are one layout.
static_assert(sizeof(tailrace_baggage_t) == sizeof(Baggage) && sizeof(tailrace_baggage_t::text) == Baggage::kBytes);

extern "C" bool tailrace_config_init(tailrace_config_t* config, size_t size) {
  if (config == nullptr || size < sizeof(tailrace_config_t) || size > 4096) return refuse();
  const Config defaults;
  std::memset(static_cast<void*>(config), 0, size);
  config->size = static_cast<std::uint32_t>(size);
  config->sampler = static_cast<std::uint8_t>(defaults.sampler);
  config->min_severity = static_cast<std::uint8_t>(defaults.min_severity);
  config->traces = defaults.traces ? 1 : 0;
  config->logs = defaults.logs ? 1 : 0;
  config->metrics = defaults.metrics ? 1 : 0;
  config->sampler_ratio = defaults.sampler_ratio;
  config->attribute_count_limit = defaults.attribute_count_limit;
  config->attribute_value_length_limit = defaults.attribute_value_length_limit;
  config->span_attribute_count_limit = defaults.span_attribute_count_limit;
  config->span_attribute_value_length_limit = defaults.span_attribute_value_length_limit;
  config->log_attribute_count_limit = defaults.log_attribute_count_limit;
  config->log_attribute_value_length_limit = defaults.log_attribute_value_length_limit;
  config->span_event_count_limit = defaults.span_event_count_limit;
  config->span_link_count_limit = defaults.span_link_count_limit;
  config->event_attribute_count_limit = defaults.event_attribute_count_limit;
  config->link_attribute_count_limit = defaults.link_attribute_count_limit;
  config->depth_limit = defaults.depth_limit;
  config->lanes = defaults.lanes;
  config->ring_bytes = defaults.ring_bytes;
  config->observe_interval_ms = defaults.observe_interval_ms;
  config->propagators = defaults.propagators;
  return true;
}

// False: a member is none that can be.
static bool read_config(const tailrace_config_t& c, Config& out) noexcept {
  if (c.sampler > TAILRACE_RATIO || c.min_severity > 24 || (c.propagators & ~kAllPropagators) != 0) return false;
  if (!good_text(c.service) || !good_text(c.service_version) || !good_text(c.service_namespace) ||
      !good_text(c.directory) || !good_attributes(c.resource, c.resource_count)) {
    return false;
  }
  out.service = view_of(c.service);
  out.service_version = view_of(c.service_version);
  out.service_namespace = view_of(c.service_namespace);
  out.directory = view_of(c.directory);
  out.resource = Attributes(attributes_of(c.resource), c.resource_count);
  out.sampler = static_cast<Sampler>(c.sampler);
  out.sampler_ratio = c.sampler_ratio;
  out.min_severity = static_cast<Severity>(c.min_severity);
  out.disabled = c.disabled != 0;
  out.traces = c.traces != 0;
  out.logs = c.logs != 0;
  out.metrics = c.metrics != 0;
  out.exponential_histograms = c.exponential_histograms != 0;
  out.quiet = c.quiet != 0;
  out.attribute_count_limit = c.attribute_count_limit;
  out.attribute_value_length_limit = c.attribute_value_length_limit;
  out.span_attribute_count_limit = c.span_attribute_count_limit;
  out.span_attribute_value_length_limit = c.span_attribute_value_length_limit;
  out.log_attribute_count_limit = c.log_attribute_count_limit;
  out.log_attribute_value_length_limit = c.log_attribute_value_length_limit;
  out.span_event_count_limit = c.span_event_count_limit;
  out.span_link_count_limit = c.span_link_count_limit;
  out.event_attribute_count_limit = c.event_attribute_count_limit;
  out.link_attribute_count_limit = c.link_attribute_count_limit;
  out.depth_limit = c.depth_limit;
  out.lanes = c.lanes;
  out.ring_bytes = c.ring_bytes;
  out.observe_interval_ms = c.observe_interval_ms;
  out.propagators = c.propagators;
  return true;
}

extern "C" std::uint32_t tailrace_process_init(const tailrace_config_t* config, tailrace_outcome_t* outcome) {
  Config settings;
  Outcome result;
  tailrace_config_t given;
  if (config != nullptr && (!take(config, sizeof given, given) || !read_config(given, settings))) {
    refuse();
    result.code = Code::invalid;
    static constexpr char kSentence[] =
        "the configuration is not one that tailrace_config_init() began: its size, a tag or a pointer in it cannot be; "
        "nothing is recorded";
    std::memcpy(result.sentence, kSentence, sizeof kSentence);
    say(result.sentence);
  } else {
    tailrace_init(&settings, sizeof settings, detail::kInlineVersion, &result);
  }
  if (outcome != nullptr) {
    outcome->code = static_cast<std::uint32_t>(result.code);
    std::memcpy(outcome->sentence, result.sentence, sizeof outcome->sentence);
  }
  return static_cast<std::uint32_t>(result.code);
}

extern "C" bool tailrace_process_stats(tailrace_stats_t* out) {
  tailrace_stats_t given;
  if (!take(out, sizeof given, given)) return refuse();
  Stats stats{};
  tailrace_stats(&stats, sizeof stats);
  tailrace_stats_t result{};
  result.size = out->size;
  result.mode = static_cast<std::uint32_t>(stats.mode);
  static_assert(sizeof result.written == sizeof stats.written && sizeof result.dropped == sizeof stats.dropped);
  std::memcpy(result.written, stats.written, sizeof result.written);
  std::memcpy(result.dropped, stats.dropped, sizeof result.dropped);
  std::memcpy(result.unlaned_dropped, stats.unlaned_dropped, sizeof result.unlaned_dropped);
  result.not_sampled = stats.not_sampled;
  result.refused = stats.refused;
  result.cut = stats.cut;
  result.before_init = stats.before_init;
  result.unrecorded = stats.unrecorded;
  result.bad_input = stats.bad_input;
  result.series = stats.series;
  result.metrics_unrecorded = stats.metrics_unrecorded;
  result.metrics_invalid = stats.metrics_invalid;
  result.metrics_clamped = stats.metrics_clamped;
  result.callbacks_failed = stats.callbacks_failed;
  result.lanes_in_use = stats.lanes_in_use;
  result.lanes_used = stats.lanes_used;
  result.initialised = stats.initialised ? 1 : 0;
  static_assert(sizeof result.why >= sizeof stats.why && sizeof result.segment == sizeof stats.segment);
  std::memcpy(result.why, stats.why, sizeof stats.why);
  std::memcpy(result.segment, stats.segment, sizeof stats.segment);
  std::memcpy(out, &result, sizeof result);
  return true;
}

static void give_counts(const FlushCounts& counts, tailrace_flush_counts_t& out) noexcept {
  out.delivered = counts.delivered;
  out.rejected = counts.rejected;
  static_assert(sizeof out.dropped == sizeof counts.dropped);
  std::memcpy(out.dropped, counts.dropped, sizeof out.dropped);
  out.pending = counts.pending;
}
static_assert(static_cast<int>(FlushCode::not_recording) == TAILRACE_FLUSH_NOT_RECORDING);

extern "C" std::uint32_t tailrace_process_flush(std::uint64_t deadline_ms, std::uint32_t priority,
                                                tailrace_flush_result_t* out) {
  tailrace_flush_result_t given;
  if (priority > TAILRACE_PRIORITY_BACKGROUND || (out != nullptr && !take(out, sizeof given, given))) {
    refuse();
    return TAILRACE_FLUSH_NOT_RECORDING;
  }
  const bool critical = priority == TAILRACE_PRIORITY_CRITICAL;
  FlushResult result;
  tailrace_flush_within(deadline_ms, static_cast<std::uint32_t>(critical ? Priority::critical : Priority::background),
                        &result, sizeof result);
  if (out != nullptr) {
    out->code = static_cast<std::uint32_t>(result.code);
    out->timed_out = result.timed_out ? 1 : 0;
    out->reserved = 0;
    give_counts(result.total, out->total);
    for (std::size_t i = 0; i < shm::kSignals; ++i) give_counts(result.signals[i], out->signals[i]);
    static_assert(sizeof out->sentence == sizeof result.sentence);
    std::memcpy(out->sentence, result.sentence, sizeof out->sentence);
  }
  return static_cast<std::uint32_t>(result.code);
}

extern "C" bool tailrace_thread_attach(const char* name, size_t length) {
  if (!good_text(name, length)) return refuse();
  return tailrace_attach_thread(name, length);
}

extern "C" tailrace_name_t tailrace_name_intern(const char* text, size_t length) {
  tailrace_name_t name{};
  if (!good_text(text, length)) {
    refuse();
    return name;
  }
  name.text = text != nullptr ? text : "";
  name.length = static_cast<std::uint32_t>(length);
  if (length != 0) name.id = intern(text, length, true);
  if (name.id != 0) name.text = reinterpret_cast<const char*>(mirror()) + std::uint64_t{name.id} * 8 + 4;
  return name;
}

extern "C" tailrace_scope_t tailrace_scope_get(tailrace_text_t name, tailrace_text_t version,
                                               tailrace_text_t schema_url, const tailrace_attribute_t* attributes,
                                               size_t count) {
  if (!good_text(name) || !good_text(version) || !good_text(schema_url) || !good_attributes(attributes, count)) {
    refuse();
    return 0;
  }
  const detail::ScopeData data{
      name.data, name.size, version.data, version.size, schema_url.data, schema_url.size, attributes_of(attributes),
      count};
  return tailrace_scope(&data);
}

extern "C" tailrace_time_t tailrace_time_now(void) {
  tailrace_time_t time{};
  const bool active = g.mode.load(std::memory_order_acquire) == Mode::active;
  if (!active || g.clock == static_cast<std::uint32_t>(shm::ClockKind::monotonic)) {
    time.value = shm::monotonic_ns();
    time.clock = TAILRACE_CLOCK_MONOTONIC;
    return time;
  }
  std::uint8_t clock = 0;
  time.value = now(clock);
  time.clock = clock + 1u;
  return time;
}

extern "C" bool tailrace_context_current(tailrace_context_t* out) {
  if (out == nullptr) return refuse();
  Context context;
  const bool is = tailrace_current(&context);
  give_context(context, *out);
  return is;
}

extern "C" std::uint64_t tailrace_context_activate(const tailrace_context_t* context) {
  if (context == nullptr) {
    refuse();
    return 0;
  }
  const Context given = context_of(*context);
  return tailrace_activate(&given);
}

extern "C" void tailrace_context_deactivate(std::uint64_t activation) {
  if (activation != 0) tailrace_deactivate(activation);
}

extern "C" bool tailrace_context_to_traceparent(const tailrace_context_t* context, char out[56]) {
  if (context == nullptr || out == nullptr) return refuse();
  char text[56];
  context_of(*context).traceparent(text);
  std::memcpy(out, text, sizeof text);
  return true;
}

extern "C" bool tailrace_context_from_traceparent(const char* text, size_t length, tailrace_context_t* out) {
  if (out == nullptr || !good_text(text, length)) return refuse();
  const Context context = Context::from_traceparent(std::string_view(text, length));
  give_context(context, *out);
  return context.valid();
}

extern "C" size_t tailrace_context_get_trace_state(const tailrace_context_t* context, char* out, size_t room) {
  if (context == nullptr || (out == nullptr && room != 0)) {
    refuse();
    return 0;
  }
  const Context given = context_of(*context);
  return given.trace_state != 0 ? tailrace_trace_state(&given, out, room) : 0;
}

extern "C" bool tailrace_context_set_trace_state(tailrace_context_t* context, const char* text, size_t length) {
  if (context == nullptr || !good_text(text, length)) return refuse();
  Context changed = context_of(*context);
  const bool good = tailrace_set_trace_state(&changed, text, length);
  give_context(changed, *context);
  return good;
}

extern "C" bool tailrace_context_extract(const void* carrier, tailrace_carrier_get_t get, tailrace_context_t* out,
                                         tailrace_baggage_t* baggage) {
  if (get == nullptr || out == nullptr || (baggage != nullptr && !good_baggage(*baggage))) return refuse();
  Context context;
  const bool came = tailrace_extract_context(carrier, get, &context);
  give_context(context, *out);
  if (baggage != nullptr) tailrace_extract_baggage(carrier, get, reinterpret_cast<Baggage*>(baggage));
  return came;
}

extern "C" bool tailrace_context_inject(void* carrier, tailrace_carrier_set_t set, const tailrace_context_t* context,
                                        const tailrace_baggage_t* baggage) {
  if (set == nullptr || (baggage != nullptr && !good_baggage(*baggage))) return refuse();
  Context given;
  if (context != nullptr) given = context_of(*context);
  tailrace_inject(carrier, set, context != nullptr ? &given : nullptr, reinterpret_cast<const Baggage*>(baggage));
  return true;
}
