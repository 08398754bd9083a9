// SPDX-License-Identifier: Apache-2.0
//
// Private to agent/decode: the decoder's state and its parts. Spans are decoded in span_records.cpp, logs in
// log_records.cpp, everything else in decoder.cpp.
//
// Threads and memory: as SegmentDecoder. A view points into `scratch_`, the strings, or the record itself, until
//   the next record.
#pragma once

#include <algorithm>
#include <cstring>
#include <limits>
#include <vector>

#include "agent/decode/decoder.hpp"
#include "agent/decode/items.hpp"
#include "agent/decode/log_body.hpp"
#include "agent/decode/scope_table.hpp"
#include "agent/decode/scratch.hpp"

namespace tailrace::agent {

using otlp::KeyValue;
using shm::ItemRef;
using shm::ItemType;

inline constexpr std::uint8_t kTraceFlags = shm::kSampled | shm::kRandom;

inline std::uint32_t add_saturating(std::uint32_t sum, std::int64_t more) {
  if (more <= 0) return sum;
  const std::uint64_t total = std::uint64_t{sum} + static_cast<std::uint64_t>(more);
  return total > std::numeric_limits<std::uint32_t>::max() ? std::numeric_limits<std::uint32_t>::max()
                                                           : static_cast<std::uint32_t>(total);
}
inline otlp::TraceId trace_id_of(const std::uint8_t (&bytes)[16]) {
  otlp::TraceId id;
  std::memcpy(id.bytes.data(), bytes, 16);
  return id;
}
inline otlp::SpanId span_id_of(std::uint64_t word) {
  otlp::SpanId id;
  std::memcpy(id.bytes.data(), &word, 8);
  return id;
}
inline bool is_zero(const std::uint8_t (&bytes)[16]) {
  std::uint64_t halves[2];
  std::memcpy(halves, bytes, 16);
  return (halves[0] | halves[1]) == 0;
}

class SegmentDecoder::Impl {
 public:
  Impl(shm::ClockKind clock, std::size_t budget)
      : strings_(budget), timeline_(clock), items_(strings_, scratch_), scopes_(items_) {}

  StringCache strings_;
  Timeline timeline_;
  Scratch scratch_;
  ItemDecoder items_;
  ScopeTable scopes_;
  LogBody body_;
  mutable DecodeCounts counts_;
  std::uint64_t last_time_ns_ = 0;

  Decoded decode(const shm::RecordRef& record, std::uint64_t observed_ns);
  Decoded span_with_parts(shm::Bytes record, std::span<const shm::Bytes> parts);
  Decoded slot(const shm::SlotSpan& slot, std::span<const shm::Bytes> parts, std::uint64_t end_ns, CrashMark crash);
  Decoded span_start(shm::Bytes record, std::span<const shm::Bytes> parts, std::uint64_t end_ns, CrashMark crash);
  Blob blob(shm::Bytes items);
  const DecodeCounts& counts() const;

 private:
  // --- a span being built
  void begin_span(const shm::SpanRecord& fixed, std::size_t item_bytes);
  bool span_items(shm::Bytes items);
  bool plain_attribute(shm::ItemHeader header, const std::uint8_t* body);
  bool span_item(const ItemRef& item);
  bool reserved_span_item(const ItemRef& item);
  bool event(const ItemRef& item);
  bool link(const ItemRef& item);
  bool parts(const shm::SpanRecord& fixed, std::span<const shm::Bytes> records);
  void missing_parts();
  void span_times(const shm::SpanRecord& fixed, std::uint8_t flags);
  Decoded finish_span(const shm::SpanRecord& fixed, std::uint8_t flags);
  void leave_open(std::uint64_t end_ns, CrashMark crash);

  Decoded span(shm::Bytes bytes, std::uint8_t flags, bool started_only);
  Decoded log(shm::Bytes bytes, std::uint8_t flags, std::uint64_t observed_ns);
  bool log_items(shm::Bytes items);
  Decoded part(shm::Bytes bytes, std::uint8_t flags);
  Decoded bad(BadRecord reason);

  std::string_view text_or(const ItemRef& item, std::string_view otherwise) {
    std::string_view text;
    return items_.text_of(item, text) ? text : otherwise;
  }
  static std::int64_t integer_of(const ItemRef& item) { return item.type == ItemType::integer ? item.integer() : 0; }
  static std::size_t bytes_of(std::span<const shm::Bytes> records) {
    std::size_t bytes = 0;
    for (const shm::Bytes& record : records) bytes += record.size;
    return bytes;
  }
  std::uint64_t time_of(std::uint64_t time, shm::TimeClock clock) {
    static_cast<void>(timeline_.check(time, clock));
    return timeline_.to_realtime(time, clock);
  }

  otlp::SpanView span_;
  AttributeList attributes_;
  std::vector<otlp::EventView> events_;
  std::vector<otlp::LinkView> links_;
  std::uint32_t parts_expected_ = 0;
  std::uint32_t parts_found_ = 0;

  otlp::LogView log_;
  std::vector<otlp::Value> arguments_;
  bool has_body_ = false;
};

}  // namespace tailrace::agent
