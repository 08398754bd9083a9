// SPDX-License-Identifier: Apache-2.0
#include "agent/decode/hints.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdlib>

#include "agent/base/text.hpp"

namespace tailrace::agent {
namespace {

using std::chrono::milliseconds;

constexpr std::uint32_t kHintsBytesMax = 16 * 1024;
constexpr std::uint64_t kNumberMax = 0x7fffffff;
constexpr std::size_t kUnknownSaid = 3;

// What the variables say, before they are put together.
struct Reading {
  ProcessHints hints;
  std::optional<std::uint32_t> queue_of_traces;
  std::optional<std::uint32_t> queue_of_logs;
};

class Checker {
 public:
  explicit Checker(HintsReport& report) : report_(report) {}

  void refuse(std::string sentence) {
    ++report_.refused;
    report_.warnings.push_back(std::move(sentence));
  }

  // A whole number, brought between the bounds; nothing where it is none.
  std::optional<std::uint32_t> number(const HintText& text, std::uint64_t least, std::uint64_t most) {
    std::uint64_t number = 0;
    const char* const end = text.value.data() + text.value.size();
    const auto [stop, error] = std::from_chars(text.value.data(), end, number);
    if (error != std::errc() || stop != end || number > kNumberMax) {
      refuse(fmt::format("{}=\"{}\": no whole number from 0 to {}; ignored", text.name, shown(text.value), kNumberMax));
      return std::nullopt;
    }
    const std::uint64_t bounded = std::clamp(number, least, most);
    if (bounded != number) {
      refuse(fmt::format("{}={}: outside {} to {}; using {}", text.name, number, least, most, bounded));
    }
    return static_cast<std::uint32_t>(bounded);
  }

  void delay(const HintText& text, std::optional<milliseconds>& to) {
    if (const auto n = number(text, 0, static_cast<std::uint64_t>(kDelayMax.count()))) to = milliseconds(*n);
  }
  void records(const HintText& text, std::optional<std::uint32_t>& to) {
    if (const auto n = number(text, kBatchRecordsMin, kBatchRecordsMax)) to = n;
  }
  void interval(const HintText& text, std::optional<milliseconds>& to) {
    const auto n = number(text, static_cast<std::uint64_t>(kMetricIntervalMin.count()),
                          static_cast<std::uint64_t>(kMetricIntervalMax.count()));
    if (n) to = milliseconds(*n);
  }
  void temporality(const HintText& text, std::optional<Temporality>& to) {
    const std::string value = to_lower(text.value);
    if (value == "cumulative") {
      to = Temporality::cumulative;
    } else if (value == "delta") {
      to = Temporality::delta;
    } else if (value == "lowmemory") {
      to = Temporality::low_memory;
    } else {
      refuse(fmt::format("{}=\"{}\": none of cumulative, delta, lowmemory; ignored", text.name, shown(text.value)));
    }
  }

 private:
  HintsReport& report_;
};

struct Row {
  std::string_view name;
  void (*apply)(Checker&, const HintText&, Reading&);
};
constexpr std::array kRows{
    Row{"OTEL_BSP_SCHEDULE_DELAY", [](Checker& c, const HintText& t, Reading& r) { c.delay(t, r.hints.traces.delay); }},
    Row{"OTEL_BSP_MAX_QUEUE_SIZE", [](Checker& c, const HintText& t, Reading& r) { c.records(t, r.queue_of_traces); }},
    Row{"OTEL_BSP_MAX_EXPORT_BATCH_SIZE",
        [](Checker& c, const HintText& t, Reading& r) { c.records(t, r.hints.traces.records); }},
    Row{"OTEL_BLRP_SCHEDULE_DELAY", [](Checker& c, const HintText& t, Reading& r) { c.delay(t, r.hints.logs.delay); }},
    Row{"OTEL_BLRP_MAX_QUEUE_SIZE", [](Checker& c, const HintText& t, Reading& r) { c.records(t, r.queue_of_logs); }},
    Row{"OTEL_BLRP_MAX_EXPORT_BATCH_SIZE",
        [](Checker& c, const HintText& t, Reading& r) { c.records(t, r.hints.logs.records); }},
    Row{"OTEL_METRIC_EXPORT_INTERVAL",
        [](Checker& c, const HintText& t, Reading& r) { c.interval(t, r.hints.metric_interval); }},
    Row{"OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE",
        [](Checker& c, const HintText& t, Reading& r) { c.temporality(t, r.hints.temporality); }},
};
constexpr std::array<std::string_view, kRows.size()> kNames = [] {
  std::array<std::string_view, kRows.size()> names{};
  for (std::size_t i = 0; i < kRows.size(); ++i) names[i] = kRows[i].name;
  return names;
}();

// The specification: a batch is no larger than the queue.
void bound_by(BatchHints& batch, const std::optional<std::uint32_t>& queue) {
  if (queue) batch.records = std::min(batch.records.value_or(*queue), *queue);
}

// Set for the agent and read by nobody.
struct Unread {
  const char* name;
  const char* instead;
};
constexpr std::array kUnread{
    Unread{"OTEL_CONFIG_FILE", "no file is read; options and variables count"},
    Unread{"OTEL_EXPERIMENTAL_CONFIG_FILE", "no file is read; options and variables count"},
    Unread{"OTEL_BSP_EXPORT_TIMEOUT", "not used; OTEL_EXPORTER_OTLP_TIMEOUT counts"},
    Unread{"OTEL_BLRP_EXPORT_TIMEOUT", "not used; OTEL_EXPORTER_OTLP_TIMEOUT counts"},
    Unread{"OTEL_METRIC_EXPORT_TIMEOUT", "not used; OTEL_EXPORTER_OTLP_TIMEOUT counts"},
};

template <class T>
std::optional<T> either(const std::optional<T>& first, const std::optional<T>& second) {
  return first ? first : second;
}

BatchHints either(const BatchHints& first, const BatchHints& second) {
  return {either(first.delay, second.delay), either(first.records, second.records)};
}

}  // namespace

ProcessHints ProcessHints::or_else(const ProcessHints& other) const {
  return {either(traces, other.traces), either(logs, other.logs), either(metric_interval, other.metric_interval),
          either(temporality, other.temporality)};
}

std::span<const std::string_view> hint_names() { return kNames; }

HintsReport check_hints(std::span<const HintText> texts) {
  HintsReport report;
  Checker checker(report);
  Reading reading;
  std::size_t unknown = 0;
  for (const HintText& given : texts) {
    const HintText text{given.name, trim(given.value)};
    if (text.value.empty()) continue;
    const auto row = std::find_if(kRows.begin(), kRows.end(), [&](const Row& r) { return r.name == text.name; });
    if (row != kRows.end()) {
      row->apply(checker, text, reading);
    } else if (++unknown <= kUnknownSaid) {
      checker.refuse(fmt::format("{}: no setting that a process may pass to the agent; ignored", shown(text.name)));
    } else {
      ++report.refused;
    }
  }
  bound_by(reading.hints.traces, reading.queue_of_traces);
  bound_by(reading.hints.logs, reading.queue_of_logs);
  report.hints = reading.hints;
  return report;
}

HintsReport check_hints(const SegmentDecoder::Blob& blob) {
  HintsReport report;
  if (!blob.sound) {
    Checker(report).refuse("its settings for the agent cannot be read; ignored");
    return report;
  }
  std::vector<HintText> texts;
  std::uint32_t no_text = 0;
  for (const otlp::KeyValue& item : blob.attributes) {
    if (item.value.type == otlp::Value::Type::string)
      texts.push_back({item.key, item.value.text()});
    else
      ++no_text;
  }
  report = check_hints(texts);
  if (no_text != 0) {
    report.warnings.push_back(fmt::format("{} settings for the agent are no text; ignored", no_text));
    report.refused += no_text;
  }
  return report;
}

HintsReport read_hints(AttachedSegment& segment, SegmentDecoder& decoder) {
  const shm::Geometry& geometry = segment.geometry();
  if (geometry.hints_length == 0) return {};
  SegmentDecoder::Blob blob;
  if (geometry.hints_length <= kHintsBytesMax) {
    blob = decoder.decode_blob(decoder.strings().blob_at(geometry.hints_offset, geometry.hints_length));
  }
  return check_hints(blob);
}

HintsReport own_hints() {
  std::vector<HintText> texts;
  for (const std::string_view name : kNames) {
    // The names are literals, so they end with a zero.
    if (const char* value = std::getenv(name.data()); value != nullptr) texts.push_back({name, value});
  }
  HintsReport report = check_hints(texts);
  for (const Unread& unread : kUnread) {
    const char* value = std::getenv(unread.name);
    if (value != nullptr && !trim(value).empty()) {
      report.warnings.push_back(fmt::format("{}: {}", unread.name, unread.instead));
    }
  }
  return report;
}

}  // namespace tailrace::agent
