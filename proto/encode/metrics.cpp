// SPDX-License-Identifier: Apache-2.0
#include "proto/encode/metrics.hpp"

#include <bit>
#include <cstring>

#include "proto/encode/backward_values.hpp"

namespace tailrace::otlp {
namespace {

using backward::Byte;
using backward::put_attributes;
using backward::put_fixed64_field;
using backward::put_header;
using backward::put_string_field;
using backward::put_varint;
using backward::put_varint_field;
using backward::store;
using backward::tag;
using backward::Wire;

// Tags and lengths of the three texts, of the data and of the message, each beyond what they can be.
constexpr std::size_t kHeadersBytes = 64;

constexpr unsigned field_of(MetricData data) {
  switch (data) {
    case MetricData::gauge: return 5;
    case MetricData::sum: return 7;
    case MetricData::histogram: return 9;
    case MetricData::exponential_histogram: return 10;
  }
  return 0;
}

// Written even when it is 0.
Byte* put_present64(Byte* cursor, Byte field_tag, std::uint64_t bits) {
  cursor -= 9;
  cursor[0] = field_tag;
  store(cursor + 1, bits);
  return cursor;
}

Byte* put_optional(Byte* cursor, Byte field_tag, const std::optional<double>& value) {
  return value ? put_present64(cursor, field_tag, std::bit_cast<std::uint64_t>(*value)) : cursor;
}

// A packed field of numbers that lie in memory as on the wire.
template <typename T>
Byte* put_packed64(Byte* cursor, const Byte* limit, Byte field_tag, std::span<const T> numbers) {
  static_assert(sizeof(T) == 8);
  if (numbers.empty()) return cursor;
  if (cursor - limit < static_cast<std::ptrdiff_t>(numbers.size_bytes())) return nullptr;
  const Byte* const end = cursor;
  cursor -= numbers.size_bytes();
  std::memcpy(cursor, numbers.data(), numbers.size_bytes());
  return put_header(cursor, end, field_tag);
}

constexpr std::uint64_t zigzag(std::int32_t number) {
  return static_cast<std::uint32_t>(number) << 1 ^ static_cast<std::uint32_t>(number >> 31);
}

Byte* put_buckets(Byte* cursor, const Byte* limit, Byte field_tag, const ExponentialPointView::Buckets& buckets) {
  if (buckets.counts.empty()) return cursor;
  const Byte* const end = cursor;
  for (std::size_t index = buckets.counts.size(); index-- > 0;) {
    if (cursor < limit) return nullptr;
    cursor = put_varint(cursor, buckets.counts[index]);
  }
  // The last number may have gone below the limit by ten bytes; what follows up to the next check has room.
  cursor = put_header(cursor, end, tag(2, Wire::length));
  cursor = put_varint_field(cursor, tag(1, Wire::varint), zigzag(buckets.offset));
  return put_header(cursor, end, field_tag);
}

Byte* put_times(Byte* cursor, std::uint64_t start_ns, std::uint64_t time_ns) {
  cursor = put_fixed64_field(cursor, tag(3, Wire::fixed64), time_ns);
  return put_fixed64_field(cursor, tag(2, Wire::fixed64), start_ns);
}

Byte* put_point(Byte* cursor, const Byte* limit, const NumberPointView& point, BackwardWriter& writer) {
  cursor = put_varint_field(cursor, tag(8, Wire::varint), point.flags);
  cursor = put_attributes(cursor, limit, tag(7, Wire::length), point.attributes, writer);
  if (cursor == nullptr) return nullptr;
  if (point.value.type == Value::Type::real) {
    cursor = put_present64(cursor, tag(4, Wire::fixed64), std::bit_cast<std::uint64_t>(point.value.real));
    return put_times(cursor, point.start_ns, point.time_ns);
  }
  cursor = put_present64(cursor, tag(6, Wire::fixed64), static_cast<std::uint64_t>(point.value.integer));
  return put_times(cursor, point.start_ns, point.time_ns);
}

Byte* put_point(Byte* cursor, const Byte* limit, const HistogramPointView& point, BackwardWriter& writer) {
  cursor = put_optional(cursor, tag(12, Wire::fixed64), point.max);
  cursor = put_optional(cursor, tag(11, Wire::fixed64), point.min);
  cursor = put_varint_field(cursor, tag(10, Wire::varint), point.flags);
  cursor = put_attributes(cursor, limit, tag(9, Wire::length), point.attributes, writer);
  if (cursor == nullptr) return nullptr;
  cursor = put_packed64(cursor, limit, tag(7, Wire::length), point.bounds);
  if (cursor == nullptr) return nullptr;
  cursor = put_packed64(cursor, limit, tag(6, Wire::length), point.bucket_counts);
  if (cursor == nullptr) return nullptr;
  cursor = put_optional(cursor, tag(5, Wire::fixed64), point.sum);
  cursor = put_fixed64_field(cursor, tag(4, Wire::fixed64), point.count);
  return put_times(cursor, point.start_ns, point.time_ns);
}

Byte* put_point(Byte* cursor, const Byte* limit, const ExponentialPointView& point, BackwardWriter& writer) {
  cursor = put_fixed64_field(cursor, tag(14, Wire::fixed64), std::bit_cast<std::uint64_t>(point.zero_threshold));
  cursor = put_optional(cursor, tag(13, Wire::fixed64), point.max);
  cursor = put_optional(cursor, tag(12, Wire::fixed64), point.min);
  cursor = put_varint_field(cursor, tag(10, Wire::varint), point.flags);
  cursor = put_buckets(cursor, limit, tag(9, Wire::length), point.negative);
  if (cursor == nullptr) return nullptr;
  cursor = put_buckets(cursor, limit, tag(8, Wire::length), point.positive);
  if (cursor == nullptr) return nullptr;
  cursor = put_fixed64_field(cursor, tag(7, Wire::fixed64), point.zero_count);
  cursor = put_varint_field(cursor, tag(6, Wire::varint), zigzag(point.scale));
  cursor = put_optional(cursor, tag(5, Wire::fixed64), point.sum);
  cursor = put_fixed64_field(cursor, tag(4, Wire::fixed64), point.count);
  cursor = put_times(cursor, point.start_ns, point.time_ns);
  return put_attributes(cursor, limit, tag(1, Wire::length), point.attributes, writer);
}

}  // namespace

bool MetricMessage::begin() {
  head_bytes_ = kHeadersBytes + kRoomBesideTexts;
  for (const std::string_view text : {metric_.name, metric_.description, metric_.unit})
    head_bytes_ += text.size() * (1 + kReplacementGrowth);
  if (writer_.room() < head_bytes_ + kRoomBesideTexts) return false;
  data_end_ = writer_.size();
  Byte* cursor = writer_.cursor();
  if (metric_.data == MetricData::sum)
    cursor = put_varint_field(cursor, tag(3, Wire::varint), metric_.monotonic ? 1 : 0);
  if (metric_.data != MetricData::gauge) {
    cursor = put_varint_field(cursor, tag(2, Wire::varint), static_cast<std::uint64_t>(metric_.temporality));
  }
  return writer_.advance_to(cursor);
}

template <typename Put>
bool MetricMessage::add_point(Put put) {
  const Byte* const limit = writer_.begin() + head_bytes_ + kRoomBesideTexts;
  if (writer_.room() < head_bytes_ + kRoomBesideTexts) return false;
  const Byte* const end = writer_.cursor();
  Byte* cursor = put(writer_.cursor(), limit);
  if (cursor == nullptr) return false;
  return writer_.advance_to(put_header(cursor, end, tag(1, Wire::length)));
}

bool MetricMessage::add(const NumberPointView& point) {
  return add_point([&](Byte* cursor, const Byte* limit) { return put_point(cursor, limit, point, writer_); });
}

bool MetricMessage::add(const HistogramPointView& point) {
  return add_point([&](Byte* cursor, const Byte* limit) { return put_point(cursor, limit, point, writer_); });
}

bool MetricMessage::add(const ExponentialPointView& point) {
  return add_point([&](Byte* cursor, const Byte* limit) { return put_point(cursor, limit, point, writer_); });
}

void MetricMessage::finish() {
  const Byte* const limit = writer_.begin() + kRoomBesideTexts;
  const Byte* const end = writer_.cursor() + (writer_.size() - data_end_);
  Byte* cursor = put_header(writer_.cursor(), end, tag(field_of(metric_.data), Wire::length));
  // Never nullptr: begin() and add() left head_bytes_.
  cursor = put_string_field(cursor, limit, tag(3, Wire::length), metric_.unit, writer_);
  cursor = put_string_field(cursor, limit, tag(2, Wire::length), metric_.description, writer_);
  cursor = put_string_field(cursor, limit, tag(1, Wire::length), metric_.name, writer_);
  static_cast<void>(writer_.advance_to(put_header(cursor, end, tag(2, Wire::length))));
}

}  // namespace tailrace::otlp
