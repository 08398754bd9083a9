// SPDX-License-Identifier: Apache-2.0
#include "agent/pipeline/session_metrics.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>
#include <utility>
#include <vector>

#include "proto/encode/backward_writer.hpp"
#include "tailrace/shm/clock.hpp"
#include "tailrace/shm/test_point.hpp"

namespace tailrace::agent {
namespace {

using std::chrono::steady_clock;

// A part that touches more batches than a pass may is made again with a smaller share, down to this.
constexpr std::size_t kSmallestPart = 1024;

TemporalityPreference preference_of(Temporality temporality) {
  switch (temporality) {
    case Temporality::delta: return TemporalityPreference::delta;
    case Temporality::low_memory: return TemporalityPreference::lowmemory;
    case Temporality::cumulative: break;
  }
  return TemporalityPreference::cumulative;
}

// Where in the interval this process is collected.
steady_clock::duration phase_of(const Uuid& uuid, std::chrono::milliseconds interval) {
  std::array<std::uint64_t, 2> words{};
  std::memcpy(words.data(), uuid.data(), uuid.size());
  const std::uint64_t place = (words[0] ^ words[1]) * 0x9e3779b97f4a7c15 >> 32;
  return std::chrono::milliseconds(1 + place % static_cast<std::uint64_t>(interval.count()));
}

std::span<const std::uint8_t> bytes_of(const std::vector<std::byte>& bytes) {
  return {reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()};
}

}  // namespace

MetricSettings metric_settings_of(const AgentOptions& options, const ProcessHints& hints) {
  MetricSettings settings;
  settings.interval = options.metric_interval.value_or(hints.metric_interval.value_or(settings.interval));
  settings.preference =
      preference_of(options.temporality.value_or(hints.temporality.value_or(Temporality::cumulative)));
  settings.process_metrics = options.process_metrics;
  return settings;
}

std::string_view preference_name(TemporalityPreference preference) {
  switch (preference) {
    case TemporalityPreference::cumulative: return "cumulative";
    case TemporalityPreference::delta: return "delta";
    case TemporalityPreference::lowmemory: return "lowmemory";
  }
  return "unknown";
}

SessionMetrics::SessionMetrics(Hold& hold, ProcessIndex process, AttachedSegment& segment, SegmentDrain& drain,
                               SegmentDecoder& decoder, RecordWriter& writer, const MetricSettings& settings,
                               std::span<std::uint8_t> buffer, std::string who)
    : hold_(hold),
      process_(process),
      segment_(segment),
      drain_(drain),
      decoder_(decoder),
      writer_(writer),
      settings_(settings),
      buffer_(buffer),
      who_(std::move(who)),
      words_(segment),
      collector_(segment.geometry(), decoder),
      next_(steady_clock::now() + phase_of(segment.uuid(), settings.interval)) {
  take_baseline();
}

void SessionMetrics::take_baseline() {
  std::vector<std::byte> bytes;
  const BaselineState state = hold_.baseline(process_, bytes);
  if (state == BaselineState::none) return;
  if (state == BaselineState::kept) {
    const std::optional<ProcessBaseline> process = ProcessBaseline::decode(bytes_of(bytes));
    std::optional<Baseline> series;
    if (process) series = Baseline::decode(bytes_of(bytes).subspan(ProcessBaseline::kBytes));
    if (series) {
      baseline_ = std::move(*series);
      process_baseline_ = *process;
      return;
    }
  }
  lost_ = true;
  baseline_ = Baseline::lost(shm::realtime_ns());
  spdlog::warn(
      "{}: what was collected of its metrics is not known any more; its deltas start anew, so that nothing "
      "is sent twice, and what it counted since the last collection is missing from them",
      who_);
}

void SessionMetrics::collected_at(Time now) {
  next_ += settings_.interval;
  if (next_ <= now) next_ = now + settings_.interval;
}

void SessionMetrics::count_skipped() {
  hold_.set_word(process_, ProcessWord::metrics_skipped, hold_.word(process_, ProcessWord::metrics_skipped) + 1);
}

// The shim's own counts, so that status has them when the segment is gone.
void SessionMetrics::book_shim_counts() {
  const shm::ProcessWords words = segment_.process_words();
  const auto note = [this](ProcessWord word, std::uint64_t value) {
    if (hold_.word(process_, word) != value) hold_.set_word(process_, word, value);
  };
  note(ProcessWord::metrics_unrecorded, words.metrics_unrecorded);
  note(ProcessWord::metrics_invalid, words.metrics_invalid);
  note(ProcessWord::metrics_clamped, words.metrics_clamped);
}

// Once each: it will be the same in every collection.
void SessionMetrics::say_left_out(const CollectCounts& counts) {
  if (collector_.series().skipped() != 0 && !std::exchange(skipped_said_, true)) {
    spdlog::warn("{}: {} of its metric series make no sense and are left out, the last because {}", who_,
                 collector_.series().skipped(), collector_.series().why_skipped());
  }
  if ((counts.oversize != 0 || counts.not_finite != 0 || counts.saturated != 0) &&
      !std::exchange(left_out_said_, true)) {
    spdlog::warn(
        "{}: of its metric points {} are left out because they are larger than a message may be, {} because "
        "they are no numbers; {} are sent as the largest int64, which they are beyond",
        who_, counts.oversize, counts.not_finite, counts.saturated);
  }
}

bool SessionMetrics::Part::empty() const {
  return !last && process.points == 0 && series.groups.empty() && !series.baseline_changed;
}

CollectStatus SessionMetrics::collect(Pass& pass, bool last) {
  const std::uint32_t published = segment_.metrics_count();
  if (!drain_.begin_pass().readable) return CollectStatus::unreadable;
  collector_.take_up(words_, published);
  book_shim_counts();
  CollectOptions options;
  options.preference = settings_.preference;
  options.time_ns = shm::realtime_ns();

  std::optional<ProcessSample> sample;
  if (settings_.process_metrics && !segment_.dead()) sample = read_process_sample(segment_.pid());
  if (lost_ && sample && process_baseline_.time_ns == 0) {
    process_baseline_ = ProcessBaseline::of(*sample, process_baseline_, options.time_ns);
  }
  CollectCursor cursor;
  do {
    CollectCursor next = cursor;
    Part part;
    part.series = collector_.collect(words_, baseline_, options, next);
    if (!part.series.readable) return CollectStatus::unreadable;
    say_left_out(part.series.counts);
    TAILRACE_TEST_POINT("agent.metrics.collected");
    part.process.next = process_baseline_;
    otlp::BackwardWriter writer(buffer_.data(), buffer_.size());
    if (sample) {
      part.process = encode_process_points(writer, *sample, process_baseline_, settings_.preference, options.time_ns);
    }
    part.last = last && next.done();
    const AppendStatus status = part.empty() ? AppendStatus::appended : commit(pass, part);
    if (status == AppendStatus::cap && options.part_bytes > kSmallestPart) {
      options.part_bytes = std::max(kSmallestPart, options.part_bytes / 8);
      continue;
    }
    if (status == AppendStatus::oversize && !std::exchange(oversize_said_, true)) {
      spdlog::warn(
          "{}: its metrics do not fit in the hold and are not collected; give the agent a larger one "
          "(--hold-size)",
          who_);
    }
    if (status != AppendStatus::appended) return CollectStatus::full;
    cursor = next;
    sample.reset();
  } while (!cursor.done());
  return CollectStatus::done;
}

void SessionMetrics::begin(Pass& pass) {
  if (pass.begin(process_)) return;
  pass.commit();
  static_cast<void>(pass.begin(process_));
}

AppendStatus SessionMetrics::commit(Pass& pass, Part& part) {
  begin(pass);
  std::uint64_t points = 0;
  AppendStatus status = append(pass, part, points);
  TAILRACE_TEST_POINT("agent.metrics.appended");
  if (status == AppendStatus::appended) status = keep(pass, part);
  TAILRACE_TEST_POINT("agent.metrics.kept");
  if (status != AppendStatus::appended) {
    pass.abandon();
    return status;
  }
  if (points != 0) pass.add_produced(process_, Signal::metrics, points);
  if (part.last) pass.set_word(process_, ProcessWord::metrics_done, 1);
  pass.commit();
  show(part);
  TAILRACE_TEST_POINT("agent.metrics.committed");
  baseline_ = std::move(part.series.baseline);
  process_baseline_ = part.process.next;
  return status;
}

AppendStatus SessionMetrics::append(Pass& pass, const Part& part, std::uint64_t& points) {
  AppendStatus status = AppendStatus::appended;
  if (part.process.points != 0) {
    status = writer_.append_points(pass, std::nullopt, part.process.bytes, part.process.points);
    points += part.process.points;
  }
  for (const MetricGroup& group : part.series.groups) {
    for (const MetricPiece& piece : group.pieces) {
      if (status != AppendStatus::appended) return status;
      status = writer_.append_points(pass, group.scope, piece.bytes, piece.points);
      points += piece.points;
    }
  }
  return status;
}

void SessionMetrics::show(const Part& part) {
  if (part.process.points != 0) writer_.show_points(part.process.bytes);
  for (const MetricGroup& group : part.series.groups) {
    for (const MetricPiece& piece : group.pieces) writer_.show_points(piece.bytes);
  }
}

AppendStatus SessionMetrics::keep(Pass& pass, const Part& part) {
  if (!part.series.baseline_changed && part.process.next == process_baseline_) return AppendStatus::appended;
  std::vector<std::uint8_t> bytes;
  part.process.next.encode(bytes);
  const std::vector<std::uint8_t> series = part.series.baseline.encode();
  bytes.insert(bytes.end(), series.begin(), series.end());
  return pass.set_baseline(process_, std::as_bytes(std::span(bytes)));
}

}  // namespace tailrace::agent
