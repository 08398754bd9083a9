// SPDX-License-Identifier: Apache-2.0
#include "agent/viewer/store.hpp"

#include <algorithm>
#include <cstring>
#include <string>

#include "agent/viewer/text.hpp"

namespace tailrace::agent::viewer {
namespace {

// A record in a ChunkLog: one of these, then its texts one after another in the order of the
// lengths.
struct SpanRecord {
  ChunkLog::Position previous_of_trace;
  std::uint64_t start_ns;
  std::uint64_t end_ns;
  SpanId span_id;
  SpanId parent_id;
  std::uint32_t slot;
  std::uint32_t generation;
  std::uint32_t left_out;
  std::uint32_t detail_bytes;
  std::uint16_t service_bytes;
  std::uint16_t name_bytes;
  std::uint8_t kind;
  StatusCode status;
  bool unfinished;
};

struct LogRecord {
  std::uint64_t time_ns;
  TraceId trace_id;
  SpanId span_id;
  std::uint32_t left_out;
  std::uint32_t body_bytes;
  std::uint32_t detail_bytes;
  std::uint16_t service_bytes;
  std::uint16_t severity_text_bytes;
  std::uint16_t event_name_bytes;
  std::uint8_t severity;
};

static_assert(sizeof(SpanRecord) + kMaxServiceBytes + kMaxNameBytes + kMaxDetailBytes <= ChunkLog::kMaxRecordBytes);
static_assert(sizeof(LogRecord) + kMaxServiceBytes + kMaxSeverityTextBytes + kMaxEventNameBytes + kMaxBodyBytes +
                  kMaxDetailBytes <=
              ChunkLog::kMaxRecordBytes);
// The smallest budget has room for the tables and a chunk of each signal beside the one being
// opened.
static_assert(kMinBudgetBytes / 4 + 3 * ChunkLog::kChunkBytes <= kMinBudgetBytes);

template <typename Record>
Record read_record(const char* at) noexcept {
  Record record;
  std::memcpy(&record, at, sizeof(record));
  return record;
}

void put_text(char*& at, std::string_view text) noexcept {
  if (!text.empty()) {
    std::memcpy(at, text.data(), text.size());
    at += text.size();
  }
}

std::string take_text(const char*& at, std::size_t bytes) {
  std::string text(at, bytes);
  at += bytes;
  return text;
}

// A detail that is too long is left out whole: cutting it would tear a field.
std::string_view fitting_detail(std::string_view detail, std::uint32_t& left_out) noexcept {
  if (detail.size() <= kMaxDetailBytes) {
    return detail;
  }
  ++left_out;
  return {};
}

}  // namespace

Store::Store(std::size_t budget_bytes)
    : budget_bytes_(std::max(budget_bytes, kMinBudgetBytes)), traces_(budget_bytes_ / 8), metrics_(budget_bytes_ / 8) {
  counters_.budget_bytes = budget_bytes_;
}

std::size_t Store::claimed_bytes() const noexcept {
  return traces_.bytes() + span_log_.bytes() + log_log_.bytes() + metrics_.bytes();
}

bool Store::make_room(const ChunkLog& log, std::size_t record_bytes) {
  if (!log.needs_chunk(record_bytes)) {
    return true;
  }
  return keep_within(budget_bytes_ - ChunkLog::kChunkBytes);
}

bool Store::keep_within(std::size_t bytes) {
  while (claimed_bytes() > bytes) {
    if (span_log_.empty() && log_log_.empty()) {
      return false;
    }
    if (span_log_.bytes() >= log_log_.bytes()) {
      drop_oldest_spans();
    } else {
      drop_oldest_logs();
    }
  }
  return true;
}

void Store::add(const NewMetric& metric) {
  const std::lock_guard lock(mutex_);
  ++counters_.metric_points;
  metrics_.add(metric);
  keep_within(budget_bytes_);
}

void Store::add(const NewSpan& span) {
  std::uint32_t left_out = span.left_out;
  const std::string_view service = clip_text(span.service, kMaxServiceBytes);
  const std::string_view name = clip_text(span.name, kMaxNameBytes);
  const std::string_view detail = fitting_detail(span.detail, left_out);
  const std::size_t bytes = sizeof(SpanRecord) + service.size() + name.size() + detail.size();

  const std::lock_guard lock(mutex_);
  ++counters_.spans.received;
  Position position = ChunkLog::kNoPosition;
  // Room first: it may drop the last other span of this trace, and with it the trace's entry.
  char* at = make_room(span_log_, bytes) ? span_log_.append(bytes, position) : nullptr;
  if (at == nullptr) {
    ++counters_.spans.dropped;
    return;
  }
  SpanRecord record{};
  record.previous_of_trace = ChunkLog::kNoPosition;
  record.slot = TraceTable::kNoSlot;
  record.start_ns = span.start_ns;
  record.end_ns = span.end_ns;
  record.span_id = span.span_id;
  record.parent_id = span.parent_id;
  record.left_out = left_out;
  record.detail_bytes = static_cast<std::uint32_t>(detail.size());
  record.service_bytes = static_cast<std::uint16_t>(service.size());
  record.name_bytes = static_cast<std::uint16_t>(name.size());
  record.kind = span.kind;
  record.status = span.status;
  record.unfinished = span.unfinished;

  TraceTable::Slot slot = traces_.find(span.trace_id);
  if (slot == TraceTable::kNoSlot) {
    if (traces_.size() == traces_.capacity()) {
      drop_quietest_trace();
    }
    slot = traces_.take(span.trace_id);
  } else {
    traces_.touch(slot);
  }
  if (slot != TraceTable::kNoSlot) {
    Trace& trace = traces_[slot];
    record.slot = slot;
    record.generation = trace.generation;
    record.previous_of_trace = trace.newest;
    link_span(trace, position, span);
    ++counters_.spans.kept;
  } else {
    ++counters_.spans.dropped;
  }
  std::memcpy(at, &record, sizeof(record));
  at += sizeof(record);
  put_text(at, service);
  put_text(at, name);
  put_text(at, detail);
}

void Store::link_span(Trace& trace, Position position, const NewSpan& span) {
  const bool is_root = is_none(span.parent_id);
  const bool first = trace.newest == ChunkLog::kNoPosition;
  trace.newest = position;
  ++trace.live;
  trace.errors += span.status == StatusCode::kError ? 1 : 0;
  trace.unfinished += span.unfinished ? 1 : 0;
  trace.start_ns = first ? span.start_ns : std::min(trace.start_ns, span.start_ns);
  trace.end_ns = first ? span.end_ns : std::max(trace.end_ns, span.end_ns);
  if (is_root || !span_log_.holds(trace.label) || (!trace.has_root && span.start_ns < trace.label_start_ns)) {
    trace.label = position;
    trace.label_start_ns = span.start_ns;
  }
  trace.has_root = trace.has_root || is_root;
}

void Store::add(const NewLog& log) {
  std::uint32_t left_out = log.left_out;
  const std::string_view service = clip_text(log.service, kMaxServiceBytes);
  const std::string_view severity_text = clip_text(log.severity_text, kMaxSeverityTextBytes);
  const std::string_view event_name = clip_text(log.event_name, kMaxEventNameBytes);
  const std::string_view body = clip_text(log.body, kMaxBodyBytes);
  const std::string_view detail = fitting_detail(log.detail, left_out);
  const std::size_t bytes =
      sizeof(LogRecord) + service.size() + severity_text.size() + event_name.size() + body.size() + detail.size();

  const std::lock_guard lock(mutex_);
  ++counters_.logs.received;
  Position position = ChunkLog::kNoPosition;
  char* at = make_room(log_log_, bytes) ? log_log_.append(bytes, position) : nullptr;
  if (at == nullptr) {
    ++counters_.logs.dropped;
    return;
  }
  ++counters_.logs.kept;
  LogRecord record{};
  record.time_ns = log.time_ns;
  record.trace_id = log.trace_id;
  record.span_id = log.span_id;
  record.left_out = left_out + (body.size() < log.body.size() ? 1 : 0);
  record.body_bytes = static_cast<std::uint32_t>(body.size());
  record.detail_bytes = static_cast<std::uint32_t>(detail.size());
  record.service_bytes = static_cast<std::uint16_t>(service.size());
  record.severity_text_bytes = static_cast<std::uint16_t>(severity_text.size());
  record.event_name_bytes = static_cast<std::uint16_t>(event_name.size());
  record.severity = log.severity;
  std::memcpy(at, &record, sizeof(record));
  at += sizeof(record);
  put_text(at, service);
  put_text(at, severity_text);
  put_text(at, event_name);
  put_text(at, body);
  put_text(at, detail);
}

void Store::count_rejected_spans(std::uint64_t count) {
  const std::lock_guard lock(mutex_);
  counters_.spans.received += count;
  counters_.spans.rejected += count;
}

void Store::drop_oldest_spans() {
  span_log_.drop_oldest_chunk([this](Position, const char* at) {
    const auto record = read_record<SpanRecord>(at);
    if (record.slot == TraceTable::kNoSlot) {
      return;  // never kept
    }
    Trace& trace = traces_[record.slot];
    if (trace.generation != record.generation) {
      return;  // counted when its trace was dropped
    }
    --counters_.spans.kept;
    ++counters_.spans.dropped;
    --trace.live;
    ++trace.dropped;
    trace.errors -= record.status == StatusCode::kError ? 1 : 0;
    trace.unfinished -= record.unfinished ? 1 : 0;
    if (trace.live == 0) {
      traces_.remove(record.slot);
      ++counters_.traces_dropped;
    }
  });
}

void Store::drop_oldest_logs() {
  log_log_.drop_oldest_chunk([this](Position, const char*) {
    --counters_.logs.kept;
    ++counters_.logs.dropped;
  });
}

void Store::drop_quietest_trace() {
  const TraceTable::Slot slot = traces_.quietest();
  if (slot == TraceTable::kNoSlot) {
    return;
  }
  counters_.spans.kept -= traces_[slot].live;
  counters_.spans.dropped += traces_[slot].live;
  traces_.remove(slot);
  ++counters_.traces_dropped;
}

TraceRow Store::row_of(const Trace& trace) const {
  TraceRow row;
  row.trace_id = trace.id;
  row.spans = trace.live;
  row.spans_dropped = trace.dropped;
  row.errors = trace.errors;
  row.unfinished = trace.unfinished;
  row.start_ns = trace.start_ns;
  row.end_ns = trace.end_ns;
  const Position label = span_log_.holds(trace.label) ? trace.label : trace.newest;
  const char* at = span_log_.at(label);
  const auto record = read_record<SpanRecord>(at);
  at += sizeof(record);
  row.has_root = is_none(record.parent_id);
  row.service = take_text(at, record.service_bytes);
  row.name = take_text(at, record.name_bytes);
  return row;
}

std::vector<TraceRow> Store::recent_traces(std::size_t limit) const {
  std::vector<TraceRow> rows;
  {
    const std::lock_guard lock(mutex_);
    rows.reserve(std::min(limit, traces_.size()));
    for (auto slot = traces_.liveliest(); slot != TraceTable::kNoSlot && rows.size() < limit;
         slot = traces_[slot].quieter) {
      rows.push_back(row_of(traces_[slot]));
    }
  }
  std::stable_sort(rows.begin(), rows.end(),
                   [](const TraceRow& a, const TraceRow& b) { return a.start_ns > b.start_ns; });
  return rows;
}

TraceSpans Store::spans_of(const TraceId& id, std::size_t limit, std::size_t max_bytes) const {
  TraceSpans answer;
  std::size_t bytes = 0;
  const std::lock_guard lock(mutex_);
  const auto slot = traces_.find(id);
  if (slot == TraceTable::kNoSlot) {
    return answer;
  }
  Position position = traces_[slot].newest;
  while (span_log_.holds(position)) {
    const char* at = span_log_.at(position);
    const auto record = read_record<SpanRecord>(at);
    bytes += sizeof(SpanRow) + record.service_bytes + record.name_bytes + record.detail_bytes;
    if (answer.spans.size() == limit || bytes > max_bytes) {
      answer.more = true;
      break;
    }
    at += sizeof(record);
    SpanRow& row = answer.spans.emplace_back();
    row.span_id = record.span_id;
    row.parent_id = record.parent_id;
    row.start_ns = record.start_ns;
    row.end_ns = record.end_ns;
    row.kind = record.kind;
    row.status = record.status;
    row.unfinished = record.unfinished;
    row.left_out = record.left_out;
    row.service = take_text(at, record.service_bytes);
    row.name = take_text(at, record.name_bytes);
    row.detail = take_text(at, record.detail_bytes);
    position = record.previous_of_trace;
  }
  return answer;
}

std::vector<LogRow> Store::latest_logs(std::size_t limit, std::size_t max_bytes, const TraceId* trace) const {
  std::vector<LogRow> rows;
  std::size_t bytes = 0;
  const std::lock_guard lock(mutex_);
  for (Position position = log_log_.newest(); position != ChunkLog::kNoPosition && rows.size() < limit;
       position = log_log_.previous(position)) {
    const char* at = log_log_.at(position);
    const auto record = read_record<LogRecord>(at);
    if (trace != nullptr && record.trace_id != *trace) {
      continue;
    }
    bytes += sizeof(LogRow) + record.service_bytes + record.body_bytes + record.detail_bytes;
    if (bytes > max_bytes) {
      break;
    }
    at += sizeof(record);
    LogRow& row = rows.emplace_back();
    row.time_ns = record.time_ns;
    row.trace_id = record.trace_id;
    row.span_id = record.span_id;
    row.severity = record.severity;
    row.left_out = record.left_out;
    row.service = take_text(at, record.service_bytes);
    row.severity_text = take_text(at, record.severity_text_bytes);
    row.event_name = take_text(at, record.event_name_bytes);
    row.body = take_text(at, record.body_bytes);
    row.detail = take_text(at, record.detail_bytes);
  }
  return rows;
}

std::vector<MetricRow> Store::latest_metrics(std::size_t limit, std::size_t max_bytes) const {
  const std::lock_guard lock(mutex_);
  return metrics_.rows(limit, max_bytes);
}

StoreCounters Store::counters() const {
  const std::lock_guard lock(mutex_);
  StoreCounters counters = counters_;
  counters.traces_kept = traces_.size();
  counters.used_bytes = traces_.touched_bytes() + span_log_.bytes() + log_log_.bytes() + metrics_.bytes();
  counters.series_kept = metrics_.size();
  counters.series_dropped = metrics_.dropped();
  return counters;
}

}  // namespace tailrace::agent::viewer
