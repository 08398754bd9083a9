// SPDX-License-Identifier: Apache-2.0
// init(), stats() and what else concerns the process rather than a record.
//
// Threads: init() once, by whoever comes first; everything else from any thread.
// Failure: an Outcome, which may be ignored: the sentence is also said once on standard error unless
// `quiet`, and the process goes on without telemetry.
#pragma once

#include <tailrace/detail/context.hpp>

namespace tailrace {

// OTLP's severity numbers; those between are legal too.
enum class Severity : std::uint8_t { trace = 1, debug = 5, info = 9, warn = 13, error = 17, fatal = 21 };

enum class Sampler : std::uint8_t {
  parent_based_always_on,
  parent_based_always_off,
  parent_based_ratio,
  always_on,
  always_off,
  ratio,
};

inline constexpr std::uint32_t kNoLimit = 0xffffffff;
inline constexpr std::uint32_t kAsGeneral = 0xfffffffe;  // of a limit: as the attribute limit without a signal

// Which headers inject() writes and extract() reads.
enum Propagator : std::uint8_t { kPropagateNothing = 0, kPropagateTraceContext = 1, kPropagateBaggage = 2 };
inline constexpr std::uint8_t kAllPropagators = kPropagateTraceContext | kPropagateBaggage;

// Every member has a default. Precedence: these < OTEL_* variables < TAILRACE_* variables.
// Texts and attributes are views: what they point at has to live until init() returns, no longer. A temporary
// string lives that long only inside the call: init({.service = name()}) is right, `config.service = name();`
// in a statement of its own leaves a view of a string that is gone.
struct Config {
  std::string_view service = {};  // default: unknown_service:<executable>
  std::string_view service_version = {};
  std::string_view service_namespace = {};
  Attributes resource = {};         // further attributes of the resource
  std::string_view directory = {};  // of the segments; default: /run/tailrace, /dev/shm/tailrace, …
  Sampler sampler = Sampler::parent_based_always_on;
  double sampler_ratio = 1.0;
  Severity min_severity = Severity::trace;  // logs below it are not written
  bool disabled = false;
  bool traces = true;
  bool logs = true;
  bool metrics = true;
  bool exponential_histograms = false;    // of histograms that do not say which kind they are
  std::uint32_t observe_interval_ms = 0;  // a thread of its own runs observables so often; 0: call tick()
  bool quiet = false;                     // nothing on standard error

  std::uint32_t attribute_count_limit = 128;
  std::uint32_t attribute_value_length_limit = kNoLimit;  // characters, or bytes of a bytes value
  std::uint32_t span_attribute_count_limit = kAsGeneral;
  std::uint32_t span_attribute_value_length_limit = kAsGeneral;
  std::uint32_t log_attribute_count_limit = kAsGeneral;
  std::uint32_t log_attribute_value_length_limit = kAsGeneral;
  std::uint32_t span_event_count_limit = 128;
  std::uint32_t span_link_count_limit = 128;
  std::uint32_t event_attribute_count_limit = 128;
  std::uint32_t link_attribute_count_limit = 128;
  std::uint32_t depth_limit = 64;  // spans open inside each other on one thread; at most 128

  std::uint32_t lanes = shm::kLanesDefault;           // threads with a lane of their own
  std::uint32_t ring_bytes = shm::kRingBytesDefault;  // of each; a power of two

  std::uint8_t propagators = kAllPropagators;  // Propagator bits; also with `disabled`
};

enum class Code : std::uint8_t {
  ok,
  already_initialised,
  invalid,       // of the configuration; nothing is recorded
  disabled,      // by OTEL_SDK_DISABLED or `disabled`; nothing is recorded
  no_directory,  // none that exists and may be trusted
  no_segment,    // no space, a limit, a kernel that lacks something
};

struct Outcome {
  Code code = Code::ok;
  char sentence[500] = {};
  bool ok() const noexcept { return code == Code::ok; }
  explicit operator bool() const noexcept { return ok(); }
};

struct Stats {
  std::uint64_t written[shm::kSignals];  // spans, logs, other
  std::uint64_t dropped[shm::kSignals][shm::kPriorities];
  std::uint64_t unlaned_dropped[shm::kSignals][shm::kPriorities];  // had no lane; not in `dropped`
  std::uint64_t not_sampled;
  std::uint64_t refused;             // spans past the depth limit
  std::uint64_t cut;                 // values shortened, items left out by a limit
  std::uint64_t before_init;         // calls
  std::uint64_t unrecorded;          // calls in a process that has no segment
  std::uint64_t series;              // of metrics: attribute sets of all instruments
  std::uint64_t metrics_unrecorded;  // calls that found no series: name in use otherwise, no room
  std::uint64_t metrics_invalid;     // NaN, infinite, negative where that cannot be: not recorded
  std::uint64_t metrics_clamped;     // beyond a histogram's range: in its last bucket
  std::uint64_t callbacks_failed;    // of observables: threw
  std::uint32_t lanes_in_use;
  std::uint32_t lanes_used;
  Code mode;
  bool initialised;
  char why[246];
  char segment[32];         // file name
  std::uint64_t bad_input;  // calls of the C interface with wrong arguments
};

}  // namespace tailrace

extern "C" {
TAILRACE_EXPORT void tailrace_init(const tailrace::Config* config, std::uint32_t config_size, std::uint32_t version,
                                   tailrace::Outcome* outcome) noexcept;
TAILRACE_EXPORT void tailrace_stats(tailrace::Stats* stats, std::uint32_t stats_size) noexcept;
TAILRACE_EXPORT bool tailrace_attach_thread(const char* name, std::size_t length) noexcept;
}

namespace tailrace {

TAILRACE_INLINE Outcome init(const Config& config = {}) noexcept {
  Outcome outcome;
  if constexpr (detail::kDisabled) {
    outcome.code = Code::disabled;
    return outcome;
  }
  tailrace_init(&config, sizeof config, detail::kInlineVersion, &outcome);
  return outcome;
}

TAILRACE_INLINE Stats stats() noexcept {
  Stats stats{};
  if constexpr (!detail::kDisabled) tailrace_stats(&stats, sizeof stats);
  return stats;
}

// Takes a lane for this thread now rather than at its first record; names the thread in telemetry.
// False: there is none to be had.
TAILRACE_INLINE bool attach_thread(std::string_view name = {}) noexcept {
  if constexpr (detail::kDisabled) return false;
  return tailrace_attach_thread(name.data(), name.size());
}

}  // namespace tailrace
