// SPDX-License-Identifier: Apache-2.0
#include "environment.hpp"

#include <cerrno>
#include <cmath>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include <sys/auxv.h>

namespace tailrace::shim {
namespace {

constexpr std::uint32_t kMost = 0x7fffffff;
constexpr std::uint32_t kRingBytesMin = 4 * shm::kSlackBytesDefault;

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  c = lower(c);
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

struct SamplerName {
  const char* name;
  Sampler sampler;
};
constexpr SamplerName kSamplers[] = {
    {"always_on", Sampler::always_on},
    {"always_off", Sampler::always_off},
    {"traceidratio", Sampler::ratio},
    {"parentbased_always_on", Sampler::parent_based_always_on},
    {"parentbased_always_off", Sampler::parent_based_always_off},
    {"parentbased_traceidratio", Sampler::parent_based_ratio},
};

void apply_sampler(Config& config, Problems& warnings) {
  const char* name = variable("OTEL_TRACES_SAMPLER");
  const char* argument = variable("OTEL_TRACES_SAMPLER_ARG");
  if (name == nullptr) {
    if (argument != nullptr) warnings.add("OTEL_TRACES_SAMPLER_ARG is set and OTEL_TRACES_SAMPLER is not");
    return;
  }
  bool known = false;
  for (const SamplerName& candidate : kSamplers) {
    if (same_word(name, candidate.name)) {
      config.sampler = candidate.sampler;
      known = true;
    }
  }
  if (!known) {
    warnings.add(
        "OTEL_TRACES_SAMPLER is '%.40s', which is no sampler known here; it is the configuration's, by default "
        "parentbased_always_on",
        name);
    return;
  }
  config.sampler_ratio = 1.0;
  if (argument == nullptr || (config.sampler != Sampler::ratio && config.sampler != Sampler::parent_based_ratio))
    return;
  char* end = nullptr;
  errno = 0;
  const double ratio = std::strtod(argument, &end);
  if (end == argument || *end != 0 || errno != 0 || !(ratio >= 0.0 && ratio <= 1.0)) {
    warnings.add("OTEL_TRACES_SAMPLER_ARG is '%.40s', not a number between 0 and 1; the ratio is 1", argument);
  } else {
    config.sampler_ratio = ratio;
  }
}

// A list; twice is once. What exists elsewhere is named, so that a silent trace has a reason.
void apply_propagators(Config& config, Problems& warnings) {
  const char* list = variable("OTEL_PROPAGATORS");
  if (list == nullptr) return;
  unsigned found = 0;
  bool meant = false;
  while (*list != 0) {
    char word[24];
    std::size_t size = 0;
    for (; *list != 0 && *list != ','; ++list) {
      if (*list == ' ' || *list == '\t') continue;
      if (size < sizeof word - 1) word[size++] = *list;
    }
    if (*list == ',') ++list;
    word[size] = 0;
    if (size == 0) continue;
    const bool trace_context = same_word(word, "tracecontext");
    const bool known = trace_context || same_word(word, "baggage") || same_word(word, "none");
    meant = meant || known;
    if (trace_context) found |= kPropagateTraceContext;
    if (same_word(word, "baggage")) found |= kPropagateBaggage;
    if (known) continue;
    bool elsewhere = false;
    for (const char* other : {"b3", "b3multi", "jaeger", "xray", "ottrace"})
      elsewhere = elsewhere || same_word(word, other);
    warnings.add("OTEL_PROPAGATORS has '%s', which %s: tracecontext, baggage and none are", word,
                 elsewhere ? "is not supported" : "is no propagator known here");
  }
  if (meant) config.propagators = static_cast<std::uint8_t>(found);
}

// `none` switches a signal off here; where it goes otherwise is the agent's business.
void apply_exporter(const char* name, bool& on, Problems& warnings) {
  const char* value = variable(name);
  if (value == nullptr) return;
  if (same_word(value, "otlp")) {
    on = true;
  } else if (same_word(value, "none")) {
    on = false;
  } else {
    warnings.add("%s is '%.40s': only otlp and none mean something here; it goes to the agent, which sends OTLP", name,
                 value);
  }
}

void apply_aggregation(Config& config, Problems& warnings) {
  constexpr const char* kName = "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION";
  const char* value = variable(kName);
  if (value == nullptr) return;
  if (same_word(value, "base2_exponential_bucket_histogram")) {
    config.exponential_histograms = true;
  } else if (same_word(value, "explicit_bucket_histogram")) {
    config.exponential_histograms = false;
  } else {
    warnings.add("%s is '%.40s', neither explicit_bucket_histogram nor base2_exponential_bucket_histogram", kName,
                 value);
  }
}

enum class LogLevel { everything, errors, nothing, unknown };
LogLevel log_level() {
  struct Word {
    const char* word;
    LogLevel level;
  };
  constexpr Word kWords[] = {{"trace", LogLevel::everything},   {"debug", LogLevel::everything},
                             {"info", LogLevel::everything},    {"warn", LogLevel::everything},
                             {"warning", LogLevel::everything}, {"error", LogLevel::errors},
                             {"fatal", LogLevel::nothing},      {"critical", LogLevel::nothing},
                             {"none", LogLevel::nothing},       {"off", LogLevel::nothing}};
  const char* value = variable("OTEL_LOG_LEVEL");
  if (value == nullptr) return LogLevel::everything;
  for (const Word& known : kWords) {
    if (same_word(value, known.word)) return known.level;
  }
  return LogLevel::unknown;
}

// A word or OTLP's number.
void apply_min_severity(Config& config, Problems& warnings) {
  constexpr const char* kName = "TAILRACE_MIN_SEVERITY";
  struct Word {
    const char* word;
    Severity severity;
  };
  constexpr Word kWords[] = {{"trace", Severity::trace}, {"debug", Severity::debug}, {"info", Severity::info},
                             {"warn", Severity::warn},   {"error", Severity::error}, {"fatal", Severity::fatal}};
  const char* value = variable(kName);
  if (value == nullptr) return;
  for (const Word& known : kWords) {
    if (same_word(value, known.word)) {
      config.min_severity = known.severity;
      return;
    }
  }
  config.min_severity =
      static_cast<Severity>(number_variable(kName, static_cast<std::uint32_t>(config.min_severity), 1, 24, warnings));
}

void apply_ring_bytes(Config& config, Problems& warnings) {
  const std::uint32_t before = config.ring_bytes;
  config.ring_bytes = number_variable("TAILRACE_RING_BYTES", before, kRingBytesMin, shm::kRingBytesMax, warnings);
  if (config.ring_bytes != before && (config.ring_bytes & (config.ring_bytes - 1)) != 0) {
    warnings.add("TAILRACE_RING_BYTES is %u, not a power of two", config.ring_bytes);
    config.ring_bytes = before;
  }
}

// What OpenTelemetry defines and nothing here obeys. `harmless`: the value that asks for what is done anyway.
struct Unused {
  const char* name;
  const char* harmless;
  const char* instead;
};
constexpr Unused kUnused[] = {
    {"OTEL_CONFIG_FILE", nullptr, "no file is read, the variables count"},
    {"OTEL_EXPERIMENTAL_CONFIG_FILE", nullptr, "no file is read, the variables count"},
    {"OTEL_ENTITIES", nullptr, "not read, OTEL_RESOURCE_ATTRIBUTES is"},
    {"OTEL_METRICS_EXEMPLAR_FILTER", "always_off", "no exemplars are recorded"},
    {"OTEL_BSP_EXPORT_TIMEOUT", nullptr, "the agent's OTEL_EXPORTER_OTLP_TIMEOUT counts"},
    {"OTEL_BLRP_EXPORT_TIMEOUT", nullptr, "the agent's OTEL_EXPORTER_OTLP_TIMEOUT counts"},
    {"OTEL_METRIC_EXPORT_TIMEOUT", nullptr, "the agent's OTEL_EXPORTER_OTLP_TIMEOUT counts"},
};

void name_unused(Problems& warnings) {
  for (const Unused& unused : kUnused) {
    const char* value = variable(unused.name);
    if (value == nullptr || (unused.harmless != nullptr && same_word(value, unused.harmless))) continue;
    warnings.add("%s is set: %s", unused.name, unused.instead);
  }
}

void apply_limits(Config& c, Problems& w) {
  const auto limit = [&w](const char* name, std::uint32_t& to) { to = number_variable(name, to, 0, kMost, w); };
  limit("OTEL_ATTRIBUTE_COUNT_LIMIT", c.attribute_count_limit);
  limit("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", c.attribute_value_length_limit);
  limit("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", c.span_attribute_count_limit);
  limit("OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", c.span_attribute_value_length_limit);
  limit("OTEL_LOGRECORD_ATTRIBUTE_COUNT_LIMIT", c.log_attribute_count_limit);
  limit("OTEL_LOGRECORD_ATTRIBUTE_VALUE_LENGTH_LIMIT", c.log_attribute_value_length_limit);
  limit("OTEL_SPAN_EVENT_COUNT_LIMIT", c.span_event_count_limit);
  limit("OTEL_SPAN_LINK_COUNT_LIMIT", c.span_link_count_limit);
  limit("OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT", c.event_attribute_count_limit);
  limit("OTEL_LINK_ATTRIBUTE_COUNT_LIMIT", c.link_attribute_count_limit);
}

}  // namespace

void Problems::add(const char* format, ...) noexcept {
  if (size_ + 4 >= sizeof text_) return;
  if (size_ != 0) {
    std::memcpy(text_ + size_, "; ", 3);
    size_ += 2;
  }
  va_list arguments;
  va_start(arguments, format);
  const int n = std::vsnprintf(text_ + size_, sizeof text_ - size_, format, arguments);
  va_end(arguments);
  if (n > 0) size_ += static_cast<std::size_t>(n);
  if (size_ >= sizeof text_) size_ = sizeof text_ - 1;
}

const char* variable(const char* name) noexcept {
  const char* value = std::getenv(name);
  return value != nullptr && value[0] != 0 ? value : nullptr;
}

bool same_word(const char* a, const char* b) noexcept {
  for (; *a != 0 && lower(*a) == lower(*b); ++a, ++b) {}
  return lower(*a) == lower(*b);
}

bool boolean_variable(const char* name, bool otherwise, Problems& problems) noexcept {
  const char* value = variable(name);
  if (value == nullptr) return otherwise;
  if (same_word(value, "true")) return true;
  if (!same_word(value, "false")) problems.add("%s is '%.40s', neither true nor false: taken as false", name, value);
  return false;
}

std::uint32_t number_variable(const char* name, std::uint32_t otherwise, std::uint32_t least, std::uint32_t most,
                              Problems& problems) noexcept {
  const char* value = variable(name);
  if (value == nullptr) return otherwise;
  char* end = nullptr;
  errno = 0;
  const unsigned long long number = std::strtoull(value, &end, 10);
  if (value[0] < '0' || value[0] > '9' || *end != 0 || errno != 0 || number < least || number > most) {
    problems.add("%s is '%.40s', not a whole number from %u to %u", name, value, least, most);
    return otherwise;
  }
  return static_cast<std::uint32_t>(number);
}

bool percent_decode(char* text) noexcept {
  char* to = text;
  for (const char* from = text; *from != 0; ++from) {
    if (*from != '%') {
      *to++ = *from;
      continue;
    }
    const int high = hex_digit(from[1]);
    const int low = high >= 0 ? hex_digit(from[2]) : -1;
    if (low < 0) return false;
    *to++ = static_cast<char>(high << 4 | low);
    from += 2;
  }
  *to = 0;
  return true;
}

std::uint64_t threshold_of(double ratio) noexcept {
  constexpr double kAll = 72057594037927936.0;  // 2^56
  if (!(ratio > 0.0)) return 1ull << 56;
  if (ratio >= 1.0) return 0;
  return static_cast<std::uint64_t>((1.0 - ratio) * kAll);
}

bool says_warnings() noexcept { return log_level() == LogLevel::everything || log_level() == LogLevel::unknown; }

std::size_t read_hints(Hint (&hints)[kHintsMax], Problems& warnings) noexcept {
  constexpr const char* kNumbers[] = {"OTEL_BSP_SCHEDULE_DELAY",        "OTEL_BSP_MAX_QUEUE_SIZE",
                                      "OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "OTEL_BLRP_SCHEDULE_DELAY",
                                      "OTEL_BLRP_MAX_QUEUE_SIZE",       "OTEL_BLRP_MAX_EXPORT_BATCH_SIZE",
                                      "OTEL_METRIC_EXPORT_INTERVAL"};
  constexpr const char* kTemporality = "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE";
  static_assert(sizeof kNumbers / sizeof kNumbers[0] + 1 == kHintsMax);
  constexpr std::uint32_t kBad = 0xffffffff;
  std::size_t count = 0;
  for (const char* name : kNumbers) {
    const char* value = variable(name);
    if (value != nullptr && number_variable(name, kBad, 0, kMost, warnings) != kBad) hints[count++] = {name, value};
  }
  if (const char* value = variable(kTemporality); value != nullptr) {
    if (same_word(value, "cumulative") || same_word(value, "delta") || same_word(value, "lowmemory")) {
      hints[count++] = {kTemporality, value};
    } else {
      warnings.add("%s is '%.40s', none of cumulative, delta and lowmemory", kTemporality, value);
    }
  }
  return count;
}

void apply_environment(Config& c, Problems& w) noexcept {
  c.disabled = boolean_variable("OTEL_SDK_DISABLED", c.disabled, w);
  apply_sampler(c, w);
  apply_exporter("OTEL_TRACES_EXPORTER", c.traces, w);
  apply_exporter("OTEL_LOGS_EXPORTER", c.logs, w);
  apply_exporter("OTEL_METRICS_EXPORTER", c.metrics, w);
  apply_aggregation(c, w);
  apply_propagators(c, w);
  apply_limits(c, w);
  // OTEL_LOG_LEVEL is about what the SDK itself says.
  if (log_level() == LogLevel::nothing) c.quiet = true;
  if (log_level() == LogLevel::unknown) {
    w.add("OTEL_LOG_LEVEL is '%.40s', none of trace, debug, info, warn, error, fatal and none",
          variable("OTEL_LOG_LEVEL"));
  }
  if (const char* service = variable("OTEL_SERVICE_NAME"); service != nullptr) c.service = service;
  if (const char* service = variable("TAILRACE_SERVICE_NAME"); service != nullptr) c.service = service;
  if (const char* directory = variable("TAILRACE_DIR"); directory != nullptr) {
    // A privileged program does not let its caller choose where it writes.
    if (getauxval(AT_SECURE) == 0) c.directory = directory;
  }
  c.disabled = boolean_variable("TAILRACE_DISABLED", c.disabled, w);
  c.quiet = boolean_variable("TAILRACE_QUIET", c.quiet, w);
  apply_min_severity(c, w);
  c.depth_limit = number_variable("TAILRACE_DEPTH_LIMIT", c.depth_limit, 1, detail::kDepthMax, w);
  c.observe_interval_ms = number_variable("TAILRACE_OBSERVE_INTERVAL_MS", c.observe_interval_ms, 0, 0x7fffffff, w);
  c.lanes = number_variable("TAILRACE_LANES", c.lanes, shm::kSharedLanes + 1, shm::kLanesMax, w);
  apply_ring_bytes(c, w);
  name_unused(w);
}

}  // namespace tailrace::shim
