// SPDX-License-Identifier: Apache-2.0
//
// Store: the last traces and logs and the latest metrics, in a byte budget.
//
// Spans and logs each lie in a ChunkLog in the order of their arrival. When the next chunk would
// exceed the budget, the oldest chunk of whichever log holds more is dropped: one signal alone may
// use everything, and a flood of one cannot push the other below half. A trace is an entry in a
// fixed table (an eighth of the budget) that chains its spans; it lives as long as one of its spans
// does. A full table drops the trace that was quiet for longest. Of metrics the latest point of each series
// is kept, in an eighth of the budget at most.
//
//   received = rejected + kept + dropped, for spans and for logs, at every moment.
//
// Threads: any; one mutex, held for one record in and for one answer out. Ownership: owns all it
// keeps; answers are copies. Failure: what cannot be kept (no memory to map) is counted as dropped.
#ifndef TAILRACE_AGENT_VIEWER_STORE_HPP_
#define TAILRACE_AGENT_VIEWER_STORE_HPP_

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <string_view>
#include <vector>

#include "agent/viewer/chunk_log.hpp"
#include "agent/viewer/metric_table.hpp"
#include "agent/viewer/record.hpp"
#include "agent/viewer/trace_table.hpp"

namespace tailrace::agent::viewer {

// Longer texts are cut at a character's border, so that one record cannot be the whole page.
inline constexpr std::size_t kMaxServiceBytes = 256;
inline constexpr std::size_t kMaxNameBytes = 1024;
inline constexpr std::size_t kMaxSeverityTextBytes = 64;
inline constexpr std::size_t kMaxEventNameBytes = 256;
inline constexpr std::size_t kMaxBodyBytes = std::size_t{16} << 10;
// A longer `detail` is left out whole; the reader already leaves out single fields to stay below
// it.
inline constexpr std::size_t kMaxDetailBytes = std::size_t{64} << 10;

inline constexpr std::size_t kMaxUnitBytes = 64;
inline constexpr std::size_t kMaxMetricAttributeBytes = std::size_t{4} << 10;

inline constexpr std::size_t kMinBudgetBytes = std::size_t{1} << 20;

struct SignalCounters {
  std::uint64_t received = 0;
  std::uint64_t rejected = 0;  // refused as invalid, and reported to the sender
  std::uint64_t kept = 0;      // here now
  std::uint64_t dropped = 0;   // by the budget
};

struct StoreCounters {
  SignalCounters spans;
  SignalCounters logs;
  std::uint64_t traces_kept = 0;
  std::uint64_t traces_dropped = 0;  // no span of it left
  std::uint64_t metric_points = 0;   // received
  std::uint64_t series_kept = 0;
  std::uint64_t series_dropped = 0;  // by their part of the budget
  std::size_t budget_bytes = 0;
  std::size_t used_bytes = 0;
};

class Store {
 public:
  // A budget below kMinBudgetBytes is raised to it.
  explicit Store(std::size_t budget_bytes);

  void add(const NewSpan& span);
  void add(const NewLog& log);
  void add(const NewMetric& metric);
  void count_rejected_spans(std::uint64_t count);

  // The `limit` traces that received a span last, in the order of their start, newest first.
  [[nodiscard]] std::vector<TraceRow> recent_traces(std::size_t limit) const;

  // Spans of one trace; at most `limit`, and `max_bytes` of text and detail.
  [[nodiscard]] TraceSpans spans_of(const TraceId& id, std::size_t limit, std::size_t max_bytes) const;

  // In the order of arrival, newest first; of one trace only when `trace` is not null.
  [[nodiscard]] std::vector<LogRow> latest_logs(std::size_t limit, std::size_t max_bytes,
                                                const TraceId* trace = nullptr) const;

  // The series that were updated last, by service and name.
  [[nodiscard]] std::vector<MetricRow> latest_metrics(std::size_t limit, std::size_t max_bytes) const;

  [[nodiscard]] StoreCounters counters() const;

 private:
  using Position = ChunkLog::Position;

  [[nodiscard]] std::size_t claimed_bytes() const noexcept;  // with the whole table
  bool make_room(const ChunkLog& log, std::size_t record_bytes);
  bool keep_within(std::size_t bytes);
  void drop_oldest_spans();
  void drop_oldest_logs();
  void drop_quietest_trace();
  void link_span(Trace& trace, Position position, const NewSpan& span);
  [[nodiscard]] TraceRow row_of(const Trace& trace) const;

  mutable std::mutex mutex_;
  const std::size_t budget_bytes_;
  TraceTable traces_;
  ChunkLog span_log_;
  ChunkLog log_log_;
  MetricTable metrics_;
  StoreCounters counters_;
};

}  // namespace tailrace::agent::viewer

#endif  // TAILRACE_AGENT_VIEWER_STORE_HPP_
