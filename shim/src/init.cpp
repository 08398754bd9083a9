// SPDX-License-Identifier: Apache-2.0
// init(): all of the configuration is checked at once, then the segment is born.
#include <cctype>
#include <cerrno>
#include <cmath>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include <sys/auxv.h>
#include <unistd.h>

#include <tailrace/shm/directory.hpp>

#include "encode.hpp"
#include "environment.hpp"
#include "metrics.hpp"
#include "no_cancel.hpp"
#include "runtime.hpp"

#ifndef TAILRACE_VERSION
#define TAILRACE_VERSION "0"
#endif

namespace tailrace::shim {
namespace {

constexpr std::uint32_t kResourceBytes = 16 * 1024;
constexpr std::size_t kUuidText = 36;

const char* executable_name(char (&buffer)[256]) noexcept {
  const ssize_t length = readlink("/proc/self/exe", buffer, sizeof buffer - 1);
  if (length <= 0) return "process";
  buffer[length] = 0;
  const char* slash = std::strrchr(buffer, '/');
  return slash != nullptr ? slash + 1 : buffer;
}

bool view_in(std::string_view text, char* to, std::size_t room) noexcept {
  if (text.size() >= room) return false;
  std::memcpy(to, text.data(), text.size());
  to[text.size()] = 0;
  return true;
}

std::uint16_t count16(std::uint32_t n) noexcept { return static_cast<std::uint16_t>(n < 65535 ? n : 65535); }

// k=v,k=v with %XX; all of it or nothing. Without service.name if that is `named` already.
void resource_from_environment(Encoder& encoder, bool named, Problems& warnings) noexcept {
  const char* value = variable("OTEL_RESOURCE_ATTRIBUTES");
  if (value == nullptr) return;
  char text[8192];
  if (!view_in(value, text, sizeof text)) {
    warnings.add("OTEL_RESOURCE_ATTRIBUTES is longer than %zu bytes: ignored", sizeof text - 1);
    return;
  }
  // Twice over the same text: nothing is taken unless all of it is good.
  for (int writing = 0; writing < 2; ++writing) {
    char copy[8192];
    std::memcpy(copy, text, sizeof copy);
    char* next = copy;
    while (next != nullptr && *next != 0) {
      char* pair = next;
      next = std::strchr(pair, ',');
      if (next != nullptr) *next++ = 0;
      while (*pair == ' ') ++pair;
      if (*pair == 0) continue;
      char* equals = std::strchr(pair, '=');
      if (equals == nullptr || equals == pair) {
        warnings.add("OTEL_RESOURCE_ATTRIBUTES has '%.30s', which is not key=value: all of it is ignored", pair);
        return;
      }
      *equals = 0;
      char* content = equals + 1;
      if (!percent_decode(pair) || !percent_decode(content)) {
        warnings.add("OTEL_RESOURCE_ATTRIBUTES has a bad %% sequence near '%.30s': all of it is ignored", pair);
        return;
      }
      for (char* end = pair + std::strlen(pair); end > pair && end[-1] == ' '; --end) end[-1] = 0;
      if (writing == 0 || (named && std::strcmp(pair, "service.name") == 0)) continue;
      if (!encoder.item(Key(pair), Value(std::string_view(content)))) {
        warnings.add("OTEL_RESOURCE_ATTRIBUTES: the resource is larger than %u bytes, '%.30s' is left out",
                     kResourceBytes, pair);
      }
    }
  }
}

// The resource as items; of a key that comes again the last value counts. The instance id stands at a known
// place: a child writes its own over it.
std::uint32_t encode_resource(unsigned char* to, const Config& config, Problems& warnings) noexcept {
  Encoder e(to, kResourceBytes, 0xffffffff);
  const char placeholder[kUuidText + 1] = "00000000-0000-4000-8000-000000000000";
  e.item(Key("service.instance.id"), Value(std::string_view(placeholder, kUuidText)));
  char path[256];
  const char* executable = executable_name(path);
  e.item(Key("process.executable.name"), Value(std::string_view(executable)));
  e.item(Key("telemetry.sdk.language"), Value("cpp"));
  e.item(Key("telemetry.sdk.name"), Value("tailrace"));
  e.item(Key("telemetry.sdk.version"), Value(TAILRACE_VERSION));
  char unknown[300];
  std::snprintf(unknown, sizeof unknown, "unknown_service:%.200s", executable);
  e.item(Key("service.name"), Value(config.service.empty() ? std::string_view(unknown) : config.service));
  // A variable of its own wins over every list.
  const bool named = variable("OTEL_SERVICE_NAME") != nullptr || variable("TAILRACE_SERVICE_NAME") != nullptr;
  if (!config.service_version.empty()) e.item(Key("service.version"), Value(config.service_version));
  if (!config.service_namespace.empty()) e.item(Key("service.namespace"), Value(config.service_namespace));
  for (std::size_t i = 0; i < config.resource.size(); ++i) {
    const Attribute& attribute = config.resource.data()[i];
    if (named && std::string_view(attribute.key.text, attribute.key.length) == "service.name") continue;
    if (!e.item(attribute.key, attribute.value)) {
      warnings.add("the resource is larger than %u bytes: '%.*s' and what follows is left out", kResourceBytes,
                   static_cast<int>(attribute.key.length), attribute.key.text);
      break;
    }
  }
  resource_from_environment(e, named, warnings);
  return e.size();
}

// What a process says about batching and export concerns the agent: passed on in the variable's own words.
std::uint32_t encode_hints(unsigned char* to, std::uint32_t room, Problems& warnings) noexcept {
  Encoder e(to, room, 0xffffffff);
  Hint hints[kHintsMax];
  const std::size_t count = read_hints(hints, warnings);
  for (std::size_t i = 0; i < count; ++i) e.item(Key(hints[i].name), Value(std::string_view(hints[i].value)));
  return e.size();
}

void validate(const Config& c, Problems& problems) noexcept {
  if (c.ring_bytes < 4 * shm::kSlackBytesDefault || c.ring_bytes > shm::kRingBytesMax ||
      (c.ring_bytes & (c.ring_bytes - 1)) != 0) {
    problems.add("ring_bytes is %u, not a power of two from 64 KiB to 16 MiB", c.ring_bytes);
  }
  if (c.lanes < shm::kSharedLanes + 1 || c.lanes > shm::kLanesMax) {
    problems.add("lanes is %u, not from %u to %u", c.lanes, shm::kSharedLanes + 1, shm::kLanesMax);
  }
  if (c.depth_limit < 1 || c.depth_limit > detail::kDepthMax) {
    problems.add("depth_limit is %u, not from 1 to %u", c.depth_limit, detail::kDepthMax);
  }
  if (!(c.sampler_ratio >= 0.0 && c.sampler_ratio <= 1.0)) {
    problems.add("sampler_ratio is %g, not from 0 to 1", c.sampler_ratio);
  }
  if (c.directory.size() >= sizeof(Settings::directory)) {
    problems.add("directory is longer than %zu bytes", sizeof(Settings::directory) - 1);
  } else if (!c.directory.empty() && c.directory[0] != '/') {
    problems.add("directory is '%.*s', not an absolute path",
                 static_cast<int>(c.directory.size() < 60 ? c.directory.size() : 60), c.directory.data());
  }
  if (static_cast<unsigned>(c.min_severity) > 24)
    problems.add("min_severity is %u, not up to 24", static_cast<unsigned>(c.min_severity));
  if (static_cast<unsigned>(c.sampler) > static_cast<unsigned>(Sampler::ratio))
    problems.add("sampler is none of those known");
}

void settle(const Config& c, Settings& s) noexcept {
  view_in(c.directory, s.directory, sizeof s.directory);
  const char* runtime_dir = getauxval(AT_SECURE) == 0 ? variable("XDG_RUNTIME_DIR") : nullptr;
  if (runtime_dir != nullptr) view_in(runtime_dir, s.runtime_dir, sizeof s.runtime_dir);
  switch (c.sampler) {
    case Sampler::parent_based_always_on:
    case Sampler::always_on: s.threshold = 0; break;
    case Sampler::parent_based_always_off:
    case Sampler::always_off: s.threshold = 1ull << 56; break;
    default: s.threshold = threshold_of(c.sampler_ratio); break;
  }
  s.parent_based = c.sampler == Sampler::parent_based_always_on || c.sampler == Sampler::parent_based_always_off ||
                   c.sampler == Sampler::parent_based_ratio;
  s.off_mask = (c.traces ? 0u : 1u) | (c.logs ? 0u : 2u) | (c.metrics ? 0u : detail::kMetricsOff);
  s.exponential_histograms = c.exponential_histograms;
  s.observe_interval_ms = c.observe_interval_ms;
  const bool by_ratio = c.sampler == Sampler::ratio || c.sampler == Sampler::parent_based_ratio;
  s.ratio = by_ratio && s.threshold > 0 && s.threshold < 1ull << 56;
  s.min_severity = static_cast<std::uint32_t>(c.min_severity);
  if (s.min_severity <= 1) s.min_severity = 0;
  s.quiet = c.quiet;
  const auto pick = [](std::uint32_t special, std::uint32_t general) {
    return special != kAsGeneral ? special : general;
  };
  s.span_limits.attributes = count16(pick(c.span_attribute_count_limit, c.attribute_count_limit));
  s.span_limits.events = count16(c.span_event_count_limit);
  s.span_limits.links = count16(c.span_link_count_limit);
  s.span_limits.nested = count16(c.event_attribute_count_limit);
  s.link_attributes = c.link_attribute_count_limit;
  s.span_value_length = pick(c.span_attribute_value_length_limit, c.attribute_value_length_limit);
  s.log_attributes = pick(c.log_attribute_count_limit, c.attribute_count_limit);
  s.log_value_length = pick(c.log_attribute_value_length_limit, c.attribute_value_length_limit);
  s.depth_limit = c.depth_limit;
  s.geometry.lanes = c.lanes;
  s.geometry.ring_bytes = c.ring_bytes;
}

void finish(Outcome& outcome, Code code, const char* format, ...) noexcept __attribute__((format(printf, 3, 4)));
void finish(Outcome& outcome, Code code, const char* format, ...) noexcept {
  outcome.code = code;
  va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(outcome.sentence, sizeof outcome.sentence, format, arguments);
  va_end(arguments);
}

void remember(Code code, const char* why) noexcept {
  g.why_code = code;
  std::snprintf(g.why, sizeof g.why, "%.245s", why);
}

void initialise(Config config, Outcome& outcome) noexcept {
  Problems warnings;
  Problems problems;
  if (tailrace_instance.abi_major != shm::kAbiMajor) {
    warnings.add("another copy of tailrace with ABI %u is in this process: each has a segment of its own",
                 tailrace_instance.abi_major);
  }
  apply_environment(config, warnings);
  validate(config, problems);
  g.settings.quiet = config.quiet;
  g.propagators_off.store(~std::uint32_t{config.propagators} & kAllPropagators, std::memory_order_relaxed);
  if (config.disabled) {
    finish(outcome, Code::disabled, "telemetry is disabled by %s; nothing is recorded",
           variable("TAILRACE_DISABLED") != nullptr   ? "TAILRACE_DISABLED"
           : variable("OTEL_SDK_DISABLED") != nullptr ? "OTEL_SDK_DISABLED"
                                                      : "the configuration");
    return;
  }
  if (!problems.none()) {
    finish(outcome, Code::invalid, "the configuration is wrong: %s; nothing is recorded", problems.text());
    return;
  }
  settle(config, g.settings);
  static unsigned char blob[kResourceBytes];
  const std::uint32_t resource = encode_resource(blob, config, warnings);
  g.clock = static_cast<std::uint32_t>(shm::choose_clock());
  g.resource_offset = append_blob(blob, resource);
  g.resource_length = resource;
  g.instance_id_offset = g.resource_offset + 8 + 8 + shm::padded(sizeof("service.instance.id") - 1);
  const std::uint32_t hints = encode_hints(blob, sizeof blob, warnings);
  g.hints_offset = hints != 0 ? append_blob(blob, hints) : 0;
  g.hints_length = hints;
  Private* p = ensure_area();
  if (p == nullptr || g.resource_offset == 0 || !make_thread_hooks()) {
    finish(outcome, Code::no_segment, "no memory for telemetry; nothing is recorded");
    return;
  }
  char why[256] = {};
  p->state.store(ChildState::building, std::memory_order_relaxed);
  if (!build_segment(*p, why, sizeof why)) {
    p->state.store(ChildState::failed, std::memory_order_release);
    finish(outcome, g.why_code == Code::no_directory ? Code::no_directory : Code::no_segment, "%s; nothing is recorded",
           why);
    return;
  }
  if (!warnings.none()) {
    finish(outcome, Code::ok, "recording; ignored: %s", warnings.text());
    if (says_warnings()) say("recording; ignored: ", warnings.text());
    return;
  }
  finish(outcome, Code::ok, "recording into %s", g.segment_name);
}

}  // namespace

void uuid_text(const std::uint8_t* uuid, char* out) noexcept {
  for (int i = 0; i < 16; ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) *out++ = '-';
    *out++ = "0123456789abcdef"[uuid[i] >> 4];
    *out++ = "0123456789abcdef"[uuid[i] & 15];
  }
}

bool build_segment(Private& p, char* why, std::size_t room) noexcept {
  const NoCancel whole;
  const Settings& s = g.settings;
  shm::DirectoryChoice choice;
  choice.configured = s.directory;
  choice.runtime_dir = s.runtime_dir;
  const shm::OpenDirectory directory = shm::open_directory(choice);
  if (directory.fd < 0) {
    g.why_code = Code::no_directory;
    std::snprintf(why, room, "no directory for segments: %s", directory.why);
    return false;
  }
  shm::Birth birth;
  bool good = shm::begin_birth(birth, directory.fd, s.geometry);
  if (good) {
    // From here to `ready` nobody may intern or register: the segment takes over what there is.
    const bool metrics_locked = lock_metrics();
    const bool locked = metrics_locked && p.strings_lock.try_lock(1000000);
    shm::Identity& identity = *birth.map.identity;
    uuid_text(identity.uuid, reinterpret_cast<char*>(mirror()) + g.instance_id_offset);
    good = locked && copy_mirror(p, birth.map);
    if (good) {
      identity.resource_offset = g.resource_offset;
      identity.resource_length = g.resource_length;
      identity.hints_offset = g.hints_offset;
      identity.hints_length = g.hints_length;
      g.clock = identity.clock_kind;
      g.map = birth.map;
      for (std::uint32_t i = 1; i <= shm::kSharedLanes; ++i) {
        g.map.heads[s.geometry.lanes - i].shard.store(shm::kSharedShard, std::memory_order_relaxed);
      }
      copy_metrics(p, g.map);
      p.pid = static_cast<std::uint32_t>(getpid());
      write_anchor(p, 0);
      good = shm::publish(birth);
    } else {
      std::snprintf(birth.why, sizeof birth.why, "no space for the strings of a segment");
      shm::abandon(birth);
    }
    if (good) {
      std::memcpy(g.segment_name, birth.name, sizeof g.segment_name);
      p.state.store(ChildState::ready, std::memory_order_release);
    } else {
      g.map = shm::SegmentMap{};
    }
    if (locked) p.strings_lock.unlock();
    if (metrics_locked) g.metrics_lock.unlock();
  }
  if (!good) {
    g.why_code = Code::no_segment;
    std::snprintf(why, room, "%.180s: %.60s", directory.path, birth.why);
  }
  close(directory.fd);
  return good;
}

}  // namespace tailrace::shim

using namespace tailrace;
using namespace tailrace::shim;

extern "C" void tailrace_init(const Config* config, std::uint32_t config_size, std::uint32_t version,
                              Outcome* outcome) noexcept {
  const NoCancel whole;
  *outcome = Outcome{};
  Mode before = Mode::before_init;
  if (version != detail::kInlineVersion) {
    finish(*outcome, Code::invalid,
           "this program was compiled against version %u of the inlined calls, the library has %u; nothing is recorded",
           version, detail::kInlineVersion);
  } else if (!g.mode.compare_exchange_strong(before, Mode::initialising, std::memory_order_acq_rel)) {
    finish(*outcome, Code::already_initialised, "init() was called before; this call changes nothing");
    return;  // the first call's outcome stands
  } else {
    Config copy;
    std::memcpy(static_cast<void*>(&copy), config, config_size < sizeof copy ? config_size : sizeof copy);
    const int error = errno;
    initialise(copy, *outcome);
    errno = error;
    remember(outcome->code, outcome->sentence);
    if (outcome->code == Code::disabled) tailrace_thread = &off_block;
    g.mode.store(outcome->ok() ? Mode::active : Mode::off, std::memory_order_release);
    const std::uint32_t interval_ms = g.settings.observe_interval_ms;
    if (outcome->ok() && interval_ms != 0 && (g.settings.off_mask & detail::kMetricsOff) == 0 &&
        !start_ticking(interval_ms)) {
      complain("no thread for observables is to be had: call tick()");
    }
  }
  if (!outcome->ok() && outcome->code != Code::disabled) say(outcome->sentence);
  say_complaint();
}

extern "C" void tailrace_stats(Stats* out, std::uint32_t size) noexcept {
  Stats stats{};
  stats.initialised = g.mode.load(std::memory_order_acquire) == Mode::active;
  stats.mode = g.why_code;
  std::memcpy(stats.why, g.why, sizeof g.why < sizeof stats.why ? sizeof g.why : sizeof stats.why);
  stats.before_init = g.calls_before_init.load(std::memory_order_relaxed);
  stats.unrecorded = g.calls_unrecorded.load(std::memory_order_relaxed);
  stats.cut = g.cut_unlaned.load(std::memory_order_relaxed);
  stats.bad_input = g.bad_input.load(std::memory_order_relaxed);
  stats.series = g.series.load(std::memory_order_relaxed);
  stats.metrics_unrecorded = g.metrics_unrecorded.load(std::memory_order_relaxed);
  stats.callbacks_failed = g.callbacks_failed.load(std::memory_order_relaxed);
  stats.metrics_invalid = g.metrics_invalid.load(std::memory_order_relaxed);
  Private* p = area();
  if (p != nullptr && p->state.load(std::memory_order_acquire) == ChildState::ready) {
    std::memcpy(stats.segment, g.segment_name, sizeof stats.segment);
    const shm::SegmentMap& map = g.map;
    stats.lanes_used = map.process->lanes_used.load(std::memory_order_relaxed);
    stats.metrics_unrecorded += map.process->metrics_unrecorded.load(std::memory_order_relaxed);
    stats.metrics_invalid += map.process->metrics_invalid.load(std::memory_order_relaxed);
    stats.metrics_clamped = map.process->metrics_clamped.load(std::memory_order_relaxed);
    for (std::uint32_t i = 0; i < map.geometry.lanes; ++i) {
      if (i == stats.lanes_used && i < map.geometry.lanes - shm::kSharedLanes)
        i = map.geometry.lanes - shm::kSharedLanes;
      const shm::LaneHead& head = map.heads[i];
      if (head.in_use.load(std::memory_order_relaxed) != 0 && i < map.geometry.lanes - shm::kSharedLanes)
        ++stats.lanes_in_use;
      for (std::size_t s = 0; s < shm::kSignals; ++s) {
        stats.written[s] += head.written[s].load(std::memory_order_relaxed);
        for (std::size_t q = 0; q < shm::kPriorities; ++q)
          stats.dropped[s][q] += head.dropped[s][q].load(std::memory_order_relaxed);
      }
      stats.not_sampled += head.not_sampled.load(std::memory_order_relaxed);
      stats.refused += head.refused.load(std::memory_order_relaxed);
      stats.cut += head.cut.load(std::memory_order_relaxed);
    }
    for (std::size_t s = 0; s < shm::kSignals; ++s) {
      for (std::size_t q = 0; q < shm::kPriorities; ++q) {
        stats.unlaned_dropped[s][q] = map.process->unlaned_dropped[s][q].load(std::memory_order_relaxed);
      }
    }
  }
  std::memcpy(out, &stats, size < sizeof stats ? size : sizeof stats);
}
