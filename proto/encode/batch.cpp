// SPDX-License-Identifier: Apache-2.0
#include "proto/encode/batch.hpp"

#include <cstring>

#include "proto/encode/encode.hpp"

namespace tailrace::otlp {
namespace {

// Tags of length-delimited fields, the same at both levels and for every signal.
constexpr std::uint8_t kOuterTag = 0x0a;    // request: resource_spans
constexpr std::uint8_t kOwnerTag = 0x0a;    // resource, or scope
constexpr std::uint8_t kContentTag = 0x12;  // scope_spans, or a record
constexpr std::uint8_t kSchemaUrlTag = 0x1a;

// Of a Metric, and of its data.
constexpr std::uint8_t kNameTag = 0x0a;
constexpr std::uint8_t kDescriptionTag = 0x12;
constexpr std::uint8_t kUnitTag = 0x1a;
constexpr std::uint8_t kGaugeTag = 0x2a;
constexpr std::uint8_t kSumTag = 0x3a;
constexpr std::uint8_t kHistogramTag = 0x4a;
constexpr std::uint8_t kExponentialTag = 0x52;
constexpr std::uint8_t kPointTag = 0x0a;
constexpr std::uint8_t kTemporalityTag = 0x10;
constexpr std::uint8_t kMonotonicTag = 0x18;

constexpr std::size_t kFirstHeadBytes = 2048;

// Resource or scope, and its schema URL behind it; false when the room is too small.
template <typename Encode, typename View>
bool encode_owner(BackwardWriter& writer, Encode encode, const View& view) {
  return encode_schema_url(writer, view.schema_url) && encode(writer, view);
}

void append(std::vector<std::uint8_t>& bytes, std::span<const std::uint8_t> more) {
  bytes.insert(bytes.end(), more.begin(), more.end());
}

// The tag, then room for its length. Returns where the length stands.
std::size_t append_open_field(std::vector<std::uint8_t>& bytes, std::uint8_t tag) {
  bytes.push_back(tag);
  const std::size_t length_pos = bytes.size();
  append(bytes, length_bytes(0));
  return length_pos;
}

// What a reader met when it did not find what must stand there: the end, or
// something else.
BatchFault fault_of(const PieceReader& reader, BatchFault other) {
  return reader.left() == 0 ? BatchFault::cut_short : other;
}

bool skip_field_body(PieceReader& reader, BatchFault& fault, BatchFault other) {
  std::uint32_t length = 0;
  if (!reader.read_varint(length)) {
    fault = fault_of(reader, other);
    return false;
  }
  if (!reader.skip(length)) {
    fault = BatchFault::cut_short;
    return false;
  }
  return true;
}

// tag llll: an open field of the head.
bool read_open_field(PieceReader& reader, std::uint8_t tag, std::size_t& length_pos, std::uint32_t& length,
                     BatchFault& fault) {
  std::uint8_t byte = 0;
  if (!reader.read_byte(byte)) {
    fault = BatchFault::cut_short;
    return false;
  }
  length_pos = static_cast<std::size_t>(reader.position());
  if (byte != tag || !reader.read_wide_varint(length)) {
    fault = byte == tag ? fault_of(reader, BatchFault::bad_head) : BatchFault::bad_head;
    return false;
  }
  return true;
}

// 0A n owner [1A n schema_url]. On return `next` is the byte behind both, which
// has been read, and `has_next` says whether there was one.
bool read_owner(PieceReader& reader, std::uint8_t& next, bool& has_next, BatchFault& fault) {
  std::uint8_t byte = 0;
  if (!reader.read_byte(byte)) {
    fault = BatchFault::cut_short;
    return false;
  }
  if (byte != kOwnerTag) {
    fault = BatchFault::bad_head;
    return false;
  }
  if (!skip_field_body(reader, fault, BatchFault::bad_head)) return false;
  has_next = reader.read_byte(next);
  if (!has_next || next != kSchemaUrlTag) return true;
  if (!skip_field_body(reader, fault, BatchFault::bad_head)) return false;
  has_next = reader.read_byte(next);
  return true;
}

// Reads the head and, if there is one, the first byte behind it.
FoundBatchHead read_head(PieceReader& reader, std::uint8_t& next, bool& has_next) {
  FoundBatchHead found;
  if (!read_open_field(reader, kOuterTag, found.layout.outer_length_pos, found.lengths.outer, found.fault) ||
      !read_owner(reader, next, has_next, found.fault)) {
    return found;
  }
  if (!has_next) {
    found.fault = BatchFault::cut_short;
    return found;
  }
  found.layout.inner_length_pos = static_cast<std::size_t>(reader.position());
  if (next != kContentTag || !reader.read_wide_varint(found.lengths.inner)) {
    found.fault = next == kContentTag ? fault_of(reader, BatchFault::bad_head) : BatchFault::bad_head;
    return found;
  }
  if (!read_owner(reader, next, has_next, found.fault)) return found;
  found.layout.head_bytes = static_cast<std::size_t>(reader.position()) - (has_next ? 1 : 0);
  return found;
}

// Where a length that was just read ends; false beyond `outer_end`.
bool read_end(PieceReader& reader, std::uint64_t outer_end, std::uint64_t& end, BatchFault& fault) {
  std::uint32_t length = 0;
  if (!reader.read_varint(length)) {
    fault = fault_of(reader, BatchFault::bad_record);
    return false;
  }
  end = reader.position() + length;
  if (end > outer_end) {
    fault = outer_end == reader.total() ? BatchFault::cut_short : BatchFault::bad_record;
    return false;
  }
  return true;
}

// The body of a Gauge, Sum, Histogram or ExponentialHistogram, as MetricMessage writes it.
bool count_points(PieceReader& reader, std::uint64_t end, std::uint32_t& points, BatchFault& fault) {
  while (reader.position() < end) {
    std::uint8_t tag = 0;
    if (!reader.read_byte(tag)) break;
    if (tag == kPointTag) {
      std::uint64_t point_end = 0;
      if (!read_end(reader, end, point_end, fault)) return false;
      if (!reader.skip(point_end - reader.position())) break;
      ++points;
      continue;
    }
    std::uint32_t value = 0;
    if ((tag != kTemporalityTag && tag != kMonotonicTag) || !reader.read_varint(value)) {
      fault = fault_of(reader, BatchFault::bad_record);
      return false;
    }
  }
  if (reader.position() == end) return true;
  fault = BatchFault::bad_record;
  return false;
}

// A Metric behind its tag: its texts, then one kind of data.
bool skip_metric(PieceReader& reader, std::uint32_t& points, BatchFault& fault) {
  std::uint64_t end = 0;
  if (!read_end(reader, reader.total(), end, fault)) return false;
  while (reader.position() < end) {
    std::uint8_t tag = 0;
    std::uint64_t field_end = 0;
    if (!reader.read_byte(tag) || !read_end(reader, end, field_end, fault)) {
      if (fault == BatchFault::none) fault = BatchFault::bad_record;
      return false;
    }
    switch (tag) {
      case kNameTag:
      case kDescriptionTag:
      case kUnitTag:
        if (!reader.skip(field_end - reader.position())) {
          fault = BatchFault::bad_record;
          return false;
        }
        break;
      case kGaugeTag:
      case kSumTag:
      case kHistogramTag:
      case kExponentialTag:
        if (!count_points(reader, field_end, points, fault)) return false;
        break;
      default: fault = BatchFault::bad_record; return false;
    }
  }
  return true;
}

}  // namespace

BatchHead make_batch_head(Signal /*signal*/, const ResourceView& resource, const ScopeView& scope) {
  BatchHead head;
  std::vector<std::uint8_t> scratch(kFirstHeadBytes);
  while (scratch.size() <= kMaxBatchHeadBytes) {
    BackwardWriter scope_writer(scratch.data(), scratch.size());
    if (encode_owner(scope_writer, encode_scope, scope)) {
      const auto scope_bytes = scope_writer.bytes();
      BackwardWriter resource_writer(scratch.data(), scratch.size() - scope_bytes.size());
      if (encode_owner(resource_writer, encode_resource, resource)) {
        head.outer_length_pos = append_open_field(head.bytes, kOuterTag);
        append(head.bytes, resource_writer.bytes());
        head.inner_length_pos = append_open_field(head.bytes, kContentTag);
        append(head.bytes, scope_bytes);
        return head;
      }
    }
    scratch.resize(scratch.size() * 2);
  }
  return head;
}

std::optional<BatchLengths> batch_lengths(const BatchLayout& layout, std::uint64_t total_bytes) {
  if (total_bytes < layout.head_bytes || total_bytes > kMaxBatchBytes) return std::nullopt;
  const auto behind = [&](std::size_t length_pos) {
    return static_cast<std::uint32_t>(total_bytes - length_pos - kWideLengthBytes);
  };
  return BatchLengths{behind(layout.outer_length_pos), behind(layout.inner_length_pos)};
}

void fill_length(std::uint8_t* at, std::uint32_t length) {
  const auto bytes = length_bytes(length);
  std::memcpy(at, bytes.data(), bytes.size());
}

const char* describe(BatchFault fault) {
  switch (fault) {
    case BatchFault::none: return "sound";
    case BatchFault::cut_short: return "the bytes end inside the head or a record";
    case BatchFault::bad_head: return "the head is not one of ours";
    case BatchFault::bad_record: return "a record has a wrong tag or length";
    case BatchFault::wrong_length: return "a length of the head does not reach to the end";
    case BatchFault::too_large: return "larger than a batch can be";
  }
  return "unknown fault";
}

FoundBatchHead find_batch_head(Pieces first_pieces) {
  PieceReader reader(first_pieces);
  std::uint8_t next = 0;
  bool has_next = false;
  return read_head(reader, next, has_next);
}

FoundBatchHead find_batch_head(Piece first_bytes) { return find_batch_head(Pieces(&first_bytes, 1)); }

BatchCheck check_batch(Pieces pieces, BatchState state, Signal signal) {
  BatchCheck check;
  PieceReader reader(pieces);
  if (reader.total() > kMaxBatchBytes) {
    check.fault = BatchFault::too_large;
    return check;
  }
  std::uint8_t next = 0;
  bool has_next = false;
  const FoundBatchHead head = read_head(reader, next, has_next);
  check.fault = head.fault;
  check.position = reader.position();
  check.layout = head.layout;
  if (check.fault != BatchFault::none) return check;

  if (state == BatchState::closed) {
    const auto right = batch_lengths(head.layout, reader.total());
    if (!right || right->outer != head.lengths.outer || right->inner != head.lengths.inner) {
      check.fault = BatchFault::wrong_length;
      check.position = 0;
      return check;
    }
  }
  // Every turn consumes two bytes at least, so the bytes bound the loop.
  while (has_next) {
    check.position = reader.position() - 1;
    if (next != kContentTag) {
      check.fault = BatchFault::bad_record;
      return check;
    }
    if (signal == Signal::metrics) {
      if (!skip_metric(reader, check.records, check.fault)) return check;
    } else {
      if (!skip_field_body(reader, check.fault, BatchFault::bad_record)) return check;
      ++check.records;
    }
    has_next = reader.read_byte(next);
  }
  check.position = reader.position();
  return check;
}

BatchCheck check_batch(Piece bytes, BatchState state, Signal signal) {
  return check_batch(Pieces(&bytes, 1), state, signal);
}

}  // namespace tailrace::otlp
