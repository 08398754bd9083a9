// SPDX-License-Identifier: Apache-2.0
//
// ProcessHints: what a process's own environment says about batching and metrics, which here is the
// agent's work. The shim passes the variables on in the segment; they are a wish and foreign input.
//
// Order: the agent's options, the agent's own variables of the same names, these hints, the defaults.
// What is no number or no known word is ignored, what is too small or too large is brought to the nearest
// bound; each is counted and has a sentence.
//
// Threads: pure functions over text; values. Failure: none beyond HintsReport::warnings.
// Source: OpenTelemetry's environment variables, specification 1.60.0; otlp/rules.md 1.7.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "agent/decode/decoder.hpp"
#include "agent/discover/segment.hpp"

namespace tailrace::agent {

// By which points of a counter or histogram tell their times: cumulative from the start of the series, delta
// from the last report, low_memory delta where that takes no memory here (synchronous instruments).
enum class Temporality : std::uint8_t { cumulative, delta, low_memory };

struct BatchHints {
  std::optional<std::chrono::milliseconds> delay;  // …_SCHEDULE_DELAY: how long a batch waits for more
  std::optional<std::uint32_t> records;            // …_MAX_EXPORT_BATCH_SIZE, at most …_MAX_QUEUE_SIZE
  bool operator==(const BatchHints&) const = default;
};

// Empty: the process says nothing that can be used.
struct ProcessHints {
  BatchHints traces;                                         // OTEL_BSP_…
  BatchHints logs;                                           // OTEL_BLRP_…
  std::optional<std::chrono::milliseconds> metric_interval;  // OTEL_METRIC_EXPORT_INTERVAL
  std::optional<Temporality> temporality;                    // OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE
  bool operator==(const ProcessHints&) const = default;

  // What this does not say, taken from `other`.
  [[nodiscard]] ProcessHints or_else(const ProcessHints& other) const;
};

// A hint is foreign: within these bounds it costs the agent and other processes nothing to obey.
inline constexpr std::chrono::milliseconds kDelayMax{60'000};
inline constexpr std::uint32_t kBatchRecordsMin = 16;  // a batch of fewer wastes the page it lies in
inline constexpr std::uint32_t kBatchRecordsMax = 65'536;
inline constexpr std::chrono::milliseconds kMetricIntervalMin{100};
inline constexpr std::chrono::milliseconds kMetricIntervalMax{24 * 3600 * 1000};

// A variable and its value.
struct HintText {
  std::string_view name;
  std::string_view value;
};

struct HintsReport {
  ProcessHints hints;
  std::vector<std::string> warnings;
  std::uint32_t refused = 0;  // hints that are not obeyed as they stand, whether ignored or brought to a bound
};

// The names that mean something here, in the order in which the shim passes them on.
[[nodiscard]] std::span<const std::string_view> hint_names();

// Empty values are unset, by the specification.
[[nodiscard]] HintsReport check_hints(std::span<const HintText> texts);
// The same of a segment's blob; an unsound one is one refused hint.
[[nodiscard]] HintsReport check_hints(const SegmentDecoder::Blob& blob);

// Of a segment.
[[nodiscard]] HintsReport read_hints(AttachedSegment& segment, SegmentDecoder& decoder);
// Of this process's environment, which is the agent's.
[[nodiscard]] HintsReport own_hints();

}  // namespace tailrace::agent
