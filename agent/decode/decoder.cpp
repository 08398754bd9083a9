// SPDX-License-Identifier: Apache-2.0
#include "agent/decode/decoder.hpp"

#include "agent/decode/decoder_impl.hpp"

namespace tailrace::agent {

std::string_view bad_record_name(BadRecord reason) {
  switch (reason) {
    case BadRecord::none: return "none";
    case BadRecord::too_short: return "too_short";
    case BadRecord::bad_items: return "bad_items";
    case BadRecord::zero_id: return "zero_id";
    case BadRecord::wrong_type: return "wrong_type";
  }
  return "unknown";
}

// --- all records

Decoded SegmentDecoder::Impl::part(shm::Bytes bytes, std::uint8_t flags) {
  shm::SpanPartRecord fixed;
  if (!bytes.load(0, fixed)) return bad(BadRecord::too_short);
  if (is_zero(fixed.trace_id) || fixed.span_id == 0) return bad(BadRecord::zero_id);
  Decoded decoded;
  decoded.kind = Decoded::Kind::part;
  decoded.priority = flags & shm::kFlagPriorityMask;
  decoded.truncated = (flags & shm::kFlagTruncated) != 0;
  decoded.part_index = fixed.index;
  decoded.trace_id = trace_id_of(fixed.trace_id);
  decoded.span_id = span_id_of(fixed.span_id);
  return decoded;
}

Decoded SegmentDecoder::Impl::bad(BadRecord reason) {
  ++counts_.bad;
  Decoded decoded;
  decoded.bad = reason;
  return decoded;
}

Decoded SegmentDecoder::Impl::decode(const shm::RecordRef& record, std::uint64_t observed_ns) {
  switch (record.type) {
    case shm::RecordType::span: return span(record.bytes, record.flags, false);
    case shm::RecordType::log: return log(record.bytes, record.flags, observed_ns);
    case shm::RecordType::span_part: return part(record.bytes, record.flags);
    case shm::RecordType::span_start: {
      Decoded decoded = span(record.bytes, record.flags, true);
      if (decoded.kind == Decoded::Kind::span) {
        decoded.kind = Decoded::Kind::span_start;
        --counts_.spans;
      }
      return decoded;
    }
    case shm::RecordType::more:
    case shm::RecordType::none: return bad(BadRecord::wrong_type);
    case shm::RecordType::thread:
    case shm::RecordType::loss:
    case shm::RecordType::anchor:
    case shm::RecordType::exemplar:
    case shm::RecordType::process_note: break;
  }
  ++counts_.others;
  Decoded decoded;
  decoded.kind = Decoded::Kind::other;
  decoded.priority = record.priority();
  return decoded;
}

SegmentDecoder::Blob SegmentDecoder::Impl::blob(shm::Bytes items) {
  scratch_.reset();
  return scopes_.decode_blob(items);
}

const DecodeCounts& SegmentDecoder::Impl::counts() const {
  counts_.texts_repaired = items_.counts.texts_repaired;
  counts_.duplicate_keys = items_.counts.duplicate_keys;
  counts_.attributes_dropped = items_.counts.attributes_dropped;
  counts_.items_unknown = items_.counts.items_unknown;
  counts_.templates_bad = body_.bad();
  counts_.scopes_missing = scopes_.missing();
  return counts_;
}

// --- the interface

SegmentDecoder::SegmentDecoder(shm::ClockKind clock, std::size_t string_budget_bytes)
    : impl_(std::make_unique<Impl>(clock, string_budget_bytes)) {}

SegmentDecoder::SegmentDecoder(const shm::Geometry& geometry)
    : SegmentDecoder(geometry.clock_kind,
                     static_cast<std::size_t>(std::min<std::uint64_t>(geometry.region(shm::RegionKind::strings).length,
                                                                      StringCache::kBudgetBytes))) {
  impl_->timeline_.add_claim({geometry.created_counter, geometry.created_realtime_ns, geometry.created_monotonic_ns});
}

SegmentDecoder::~SegmentDecoder() = default;

StringCache& SegmentDecoder::strings() { return impl_->strings_; }
Timeline& SegmentDecoder::timeline() { return impl_->timeline_; }
void SegmentDecoder::set_scopes(std::span<const std::uint32_t> blob_ids) { impl_->scopes_.set(blob_ids); }
std::uint32_t SegmentDecoder::scopes() const { return impl_->scopes_.size(); }

Decoded SegmentDecoder::decode(const shm::RecordRef& record, std::uint64_t observed_ns) {
  return impl_->decode(record, observed_ns);
}

Decoded SegmentDecoder::decode(shm::Bytes record, std::uint64_t observed_ns) {
  shm::RecordHeader header{};
  shm::RecordRef ref;
  if (record.load(0, header)) {
    ref.type = static_cast<shm::RecordType>(header.type);
    ref.flags = header.flags;
    ref.count = header.count;
  }
  ref.bytes = record;
  return impl_->decode(ref, observed_ns);
}

Decoded SegmentDecoder::decode_with_parts(shm::Bytes span_record, std::span<const shm::Bytes> part_records,
                                          std::uint64_t /*observed_ns: a span has no such time*/) {
  return impl_->span_with_parts(span_record, part_records);
}
Decoded SegmentDecoder::decode_slot(const shm::SlotSpan& slot, std::span<const shm::Bytes> part_records,
                                    std::uint64_t end_ns, CrashMark crash) {
  return impl_->slot(slot, part_records, end_ns, crash);
}
Decoded SegmentDecoder::decode_span_start(shm::Bytes record, std::span<const shm::Bytes> part_records,
                                          std::uint64_t end_ns, CrashMark crash) {
  return impl_->span_start(record, part_records, end_ns, crash);
}

const otlp::ScopeView& SegmentDecoder::scope(std::uint16_t id) { return impl_->scopes_.view(id); }
std::uint64_t SegmentDecoder::scope_hash(std::uint16_t id) { return impl_->scopes_.hash(id); }
SegmentDecoder::Blob SegmentDecoder::decode_blob(shm::Bytes items) { return impl_->blob(items); }
std::uint64_t SegmentDecoder::last_time_ns() const {
  // An explicit time may lie in the future; no sign of life does.
  const Timeline& line = impl_->timeline_;
  return line.size() == 0 ? impl_->last_time_ns_ : std::min(impl_->last_time_ns_, line.latest().realtime_ns);
}
const DecodeCounts& SegmentDecoder::counts() const { return impl_->counts(); }

}  // namespace tailrace::agent
