// SPDX-License-Identifier: Apache-2.0
//
// SegmentDecoder: from the records of one segment to the views that the encoder takes.
//
// A pure function over private bytes: it keeps the segment's strings, scopes and timeline, and touches
// neither the mapping nor the system. What breaks a rule inside a sound record is put right where OTLP has
// an answer (text repaired, duplicate keys resolved, durations not negative) and counted; a record that has
// none is `bad` and stands for itself alone.
//
// Threads: one (the segment's drain worker). Memory: views point into the record, the string cache and
//   scratch of the decoder; they are valid until the next decode call. Steady state allocates nothing.
// Failure: Decoded::Kind::bad with a reason.
// Source: segment.md 3.4, 3.5, 3.9, 3.13; otlp/rules.md 1.6.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include <tailrace/shm/record.hpp>

#include "agent/decode/string_cache.hpp"
#include "agent/decode/timeline.hpp"
#include "proto/encode/view.hpp"
#include "shm/reader/geometry.hpp"
#include "shm/reader/records.hpp"
#include "shm/reader/slots.hpp"

namespace tailrace::agent {

enum class BadRecord : std::uint8_t {
  none,
  too_short,   // for its type's fixed part
  bad_items,   // an item that does not hold together
  zero_id,     // a span without a trace or span id
  wrong_type,  // a record that does not belong where it was found
};
[[nodiscard]] std::string_view bad_record_name(BadRecord reason);

struct Decoded {
  enum class Kind : std::uint8_t {
    span,
    log,
    part,        // items of a span that is written elsewhere: keep the record's bytes for it
    span_start,  // a span began that has no slot: keep it until the span is seen
    other,       // THREAD, LOSS, ANCHOR, unknown types: nothing to send
    bad,
  };

  Kind kind = Kind::bad;
  BadRecord bad = BadRecord::none;
  std::uint8_t priority = 0;     // shm::Priority
  bool was_started = false;      // span: a span_start record was written for it
  bool truncated = false;        // the application had to cut it
  std::uint16_t scope = 0;       // for SegmentDecoder::scope(); 0 = the service's own
  std::uint32_t parts = 0;       // span: how many parts belong to it, 0 = it is whole
  std::uint32_t part_index = 0;  // part: its place among them
  otlp::TraceId trace_id;        // span, part, span_start
  otlp::SpanId span_id;
  const otlp::SpanView* span = nullptr;  // span, span_start (end = start)
  const otlp::LogView* log = nullptr;
};

// What was put right or left out; all only grow.
struct DecodeCounts {
  std::uint64_t spans = 0;
  std::uint64_t logs = 0;
  std::uint64_t others = 0;
  std::uint64_t bad = 0;
  std::uint64_t negative_durations = 0;
  std::uint64_t unnamed_spans = 0;
  std::uint64_t texts_repaired = 0;      // inline ones; StringCache counts its own
  std::uint64_t duplicate_keys = 0;      // overwritten by a later value: not dropped
  std::uint64_t attributes_dropped = 0;  // no key, or of an unknown type
  std::uint64_t items_unknown = 0;
  std::uint64_t templates_bad = 0;  // a log's template and arguments did not fit together
  std::uint64_t scopes_missing = 0;
  std::uint64_t truncated = 0;  // records the application had to cut
  std::uint64_t missing_parts = 0;
};

// What the application's crash handler stored.
struct CrashMark {
  std::uint32_t signal = 0;  // 0: no crash recorded
  std::uint64_t address = 0;
  std::uint64_t counter = 0;  // when; 0: unknown
};

class SegmentDecoder {
 public:
  explicit SegmentDecoder(shm::ClockKind clock, std::size_t string_budget_bytes = StringCache::kBudgetBytes);
  // Clock and string budget as the segment says; its creation reading is the timeline's first claim.
  explicit SegmentDecoder(const shm::Geometry& geometry);
  ~SegmentDecoder();
  SegmentDecoder(const SegmentDecoder&) = delete;
  SegmentDecoder& operator=(const SegmentDecoder&) = delete;

  [[nodiscard]] StringCache& strings();
  [[nodiscard]] Timeline& timeline();

  // The scope table's ids as published: entry i is the blob of scope id i + 1. May be repeated, longer.
  void set_scopes(std::span<const std::uint32_t> blob_ids);
  [[nodiscard]] std::uint32_t scopes() const;

  // --- records. `observed_ns` is the realtime of the drain pass.
  Decoded decode(const shm::RecordRef& record, std::uint64_t observed_ns);
  // From raw bytes, as they were parked.
  Decoded decode(shm::Bytes record, std::uint64_t observed_ns);

  // A span and the parts that were found for it, in any order. Parts that are missing are counted in the
  // span's dropped attributes. kind is span or bad.
  Decoded decode_with_parts(shm::Bytes span_record, std::span<const shm::Bytes> part_records,
                            std::uint64_t observed_ns);
  // A span found in a slot of a dead process. `ended`: as it is. `open`: its end is `end_ns` (never before
  // its start) and it says tailrace.span.incomplete = true; its status is error only if a crash was recorded.
  Decoded decode_slot(const shm::SlotSpan& slot, std::span<const shm::Bytes> part_records, std::uint64_t end_ns,
                      CrashMark crash);
  // The same from a SPAN_START record whose span never came.
  Decoded decode_span_start(shm::Bytes record, std::span<const shm::Bytes> part_records, std::uint64_t end_ns,
                            CrashMark crash);

  // --- scopes: valid for the decoder's life.
  [[nodiscard]] const otlp::ScopeView& scope(std::uint16_t id);
  // The same content gives the same hash in every process and agent: part of a batch's key.
  [[nodiscard]] std::uint64_t scope_hash(std::uint16_t id);

  // Items of a blob as attributes (resource, hints), valid until the next decode call.
  struct Blob {
    otlp::Attributes attributes;
    std::string_view schema_url;
    std::uint32_t dropped_attributes = 0;
    bool sound = false;
  };
  Blob decode_blob(shm::Bytes items);

  // The latest time of any record so far, 0 if none: a sign of life.
  [[nodiscard]] std::uint64_t last_time_ns() const;
  [[nodiscard]] const DecodeCounts& counts() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace tailrace::agent
