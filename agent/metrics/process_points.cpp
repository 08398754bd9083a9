// SPDX-License-Identifier: Apache-2.0
#include "agent/metrics/process_points.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <initializer_list>
#include <string_view>

#include "proto/encode/metrics.hpp"

namespace tailrace::agent {
namespace {

constexpr std::uint64_t kVersionWord = 0x3173736563727054;  // "Tprcess1"

// Written back to front: the last metric first, and of each the last point first.
class Writing {
 public:
  Writing(otlp::BackwardWriter& writer, const ProcessBaseline& last, bool delta, std::uint64_t time_ns)
      : writer_(writer), last_(last), delta_(delta && last.time_ns != 0), preferred_delta_(delta), time_ns_(time_ns) {}

  struct Counted {
    std::string_view type;  // value of the attribute
    std::optional<std::uint64_t> now;
    std::uint64_t before;
  };

  // A counter of two parts, each a point with its attribute. `unit_of` makes a value of a difference.
  template <class MakeValue>
  void counter(std::string_view name, std::string_view unit, std::string_view description, std::string_view attribute,
               std::initializer_list<Counted> parts, MakeValue make_value) {
    const otlp::MetricView metric{name,
                                  description,
                                  unit,
                                  otlp::MetricData::sum,
                                  preferred_delta_ ? otlp::Temporality::delta : otlp::Temporality::cumulative,
                                  true};
    std::array<std::uint64_t, 2> values{};
    std::array<std::string_view, 2> types{};
    std::size_t count = 0;
    for (const Counted& part : parts) {
      if (!part.now) continue;
      const std::uint64_t before = delta_ ? part.before : 0;
      if (*part.now < before || (preferred_delta_ && *part.now == before)) continue;
      types[count] = part.type;
      values[count++] = *part.now - before;
    }
    if (count == 0) return;
    message(metric, count, [&](otlp::MetricMessage& writing, std::size_t i) {
      const otlp::KeyValue pair{attribute, otlp::Value::string(types[i])};
      otlp::NumberPointView point;
      point.attributes = {&pair, 1};
      point.start_ns = delta_ ? last_.time_ns : last_.start_ns;
      point.time_ns = time_ns_;
      point.value = make_value(values[i]);
      return writing.add(point);
    });
  }

  void level(std::string_view name, std::string_view unit, std::string_view description,
             std::optional<std::uint64_t> value) {
    if (!value) return;
    number({name, description, unit, otlp::MetricData::sum, otlp::Temporality::cumulative, false},
           otlp::Value::of(static_cast<std::int64_t>(*value)));
  }
  void gauge(std::string_view name, std::string_view unit, std::string_view description, double value) {
    number({name, description, unit, otlp::MetricData::gauge, otlp::Temporality::unspecified, false},
           otlp::Value::of(value));
  }

  [[nodiscard]] bool failed() const { return failed_; }
  [[nodiscard]] std::uint32_t points() const { return points_; }

 private:
  void number(const otlp::MetricView& metric, otlp::Value value) {
    message(metric, 1, [&](otlp::MetricMessage& writing, std::size_t) {
      otlp::NumberPointView point;
      point.start_ns = metric.data == otlp::MetricData::gauge ? 0 : last_.start_ns;
      point.time_ns = time_ns_;
      point.value = value;
      return writing.add(point);
    });
  }

  template <class Add>
  void message(const otlp::MetricView& metric, std::size_t count, Add add) {
    otlp::MetricMessage writing(writer_, metric);
    if (failed_ || !writing.begin()) {
      failed_ = true;
      return;
    }
    for (std::size_t i = count; i-- != 0;) {
      if (!add(writing, i)) {
        failed_ = true;
        return;
      }
    }
    writing.finish();
    points_ += static_cast<std::uint32_t>(count);
  }

  otlp::BackwardWriter& writer_;
  const ProcessBaseline& last_;
  const bool delta_;  // and there is something to make a difference from
  const bool preferred_delta_;
  const std::uint64_t time_ns_;
  std::uint32_t points_ = 0;
  bool failed_ = false;
};

}  // namespace

void ProcessBaseline::encode(std::vector<std::uint8_t>& out) const {
  const std::array<std::uint64_t, kBytes / 8> words{
      kVersionWord,       start_ticks,          start_ns,     time_ns,     user_ticks, system_ticks,
      voluntary_switches, involuntary_switches, minor_faults, major_faults};
  const std::size_t at = out.size();
  out.resize(at + kBytes);
  std::memcpy(out.data() + at, words.data(), kBytes);
}

std::optional<ProcessBaseline> ProcessBaseline::decode(std::span<const std::uint8_t> bytes) {
  std::array<std::uint64_t, kBytes / 8> words{};
  if (bytes.size() < kBytes) return std::nullopt;
  std::memcpy(words.data(), bytes.data(), kBytes);
  if (words[0] != kVersionWord) return std::nullopt;
  return ProcessBaseline{words[1], words[2], words[3], words[4], words[5], words[6], words[7], words[8], words[9]};
}

ProcessBaseline ProcessBaseline::of(const ProcessSample& sample, const ProcessBaseline& before, std::uint64_t time_ns) {
  ProcessBaseline base = before;
  if (base.start_ticks == 0) {
    const std::uint64_t age_ns = age_ns_of(sample.start_ticks);
    base.start_ticks = sample.start_ticks;
    base.start_ns = time_ns > age_ns ? time_ns - age_ns : 0;
  }
  base.time_ns = time_ns;
  // Never back: a counter that did not grow is as it was.
  const auto raise = [](std::uint64_t& value, std::uint64_t now) { value = std::max(value, now); };
  raise(base.user_ticks, sample.user_ticks);
  raise(base.system_ticks, sample.system_ticks);
  raise(base.voluntary_switches, sample.voluntary_switches.value_or(0));
  raise(base.involuntary_switches, sample.involuntary_switches.value_or(0));
  raise(base.minor_faults, sample.minor_faults);
  raise(base.major_faults, sample.major_faults);
  return base;
}

ProcessPoints encode_process_points(otlp::BackwardWriter& writer, const ProcessSample& sample,
                                    const ProcessBaseline& last, TemporalityPreference preference,
                                    std::uint64_t time_ns) {
  ProcessPoints result;
  result.next = last;
  if (last.start_ticks != 0 && last.start_ticks != sample.start_ticks) return result;
  // Differences are made from `last`; its start is what the first sample made it.
  ProcessBaseline base = last;
  result.next = ProcessBaseline::of(sample, last, time_ns);
  base.start_ns = result.next.start_ns;
  const auto seconds = [](std::uint64_t ticks) {
    return otlp::Value::of(static_cast<double>(ticks) / static_cast<double>(ticks_per_second()));
  };
  const auto whole = [](std::uint64_t count) { return otlp::Value::of(static_cast<std::int64_t>(count)); };

  Writing write(writer, base, preference == TemporalityPreference::delta, time_ns);
  write.gauge("process.uptime", "s", "The time the process has been running.",
              static_cast<double>(age_ns_of(sample.start_ticks)) / 1e9);
  write.level("process.unix.file_descriptor.count", "{file_descriptor}",
              "Number of unix file descriptors in use by the process.", sample.descriptors);
  write.level("process.thread.count", "{thread}", "Process threads count.", sample.threads);
  write.level("process.memory.virtual", "By", "The amount of committed virtual memory.", sample.virtual_bytes);
  write.level("process.memory.usage", "By", "The amount of physical memory in use.", sample.resident_bytes);
  write.counter(
      "process.paging.faults", "{fault}", "Number of page faults the process has made.", "system.paging.fault.type",
      {{"minor", sample.minor_faults, base.minor_faults}, {"major", sample.major_faults, base.major_faults}}, whole);
  write.counter("process.context_switches", "{context_switch}",
                "Number of times the process has been context switched.", "process.context_switch.type",
                {{"voluntary", sample.voluntary_switches, base.voluntary_switches},
                 {"involuntary", sample.involuntary_switches, base.involuntary_switches}},
                whole);
  write.counter("process.cpu.time", "s", "Total CPU seconds broken down by different CPU modes.", "cpu.mode",
                {{"user", sample.user_ticks, base.user_ticks}, {"system", sample.system_ticks, base.system_ticks}},
                seconds);
  if (write.failed()) {
    result.next = last;
    return result;
  }
  result.bytes = writer.bytes();
  result.points = write.points();
  return result;
}

}  // namespace tailrace::agent
