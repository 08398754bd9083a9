// SPDX-License-Identifier: Apache-2.0
#include "agent/viewer/metric_reader.hpp"

#include <optional>
#include <string>
#include <string_view>

#include <protozero/pbf_reader.hpp>

#include "agent/viewer/otlp_value.hpp"
#include "agent/viewer/quantile.hpp"

namespace tailrace::agent::viewer {
namespace {

using protozero::data_view;
using protozero::pbf_reader;
using protozero::pbf_wire_type;
using protozero::tag_and_type;

constexpr auto kBytes = pbf_wire_type::length_delimited;
constexpr auto kVarint = pbf_wire_type::varint;
constexpr auto kFixed64 = pbf_wire_type::fixed64;

constexpr double kMedian = 0.5;
constexpr double kTail = 0.99;
constexpr std::uint32_t kNoRecordedValue = 1;

// Which field of a Metric holds which kind, and which fields of a point its attributes and flags.
struct Shape {
  MetricKind kind;
  unsigned attributes;
  unsigned flags;
};

std::optional<Shape> shape_of(unsigned field) {
  switch (field) {
    case 5: return Shape{MetricKind::kGauge, 7, 8};
    case 7: return Shape{MetricKind::kSum, 7, 8};
    case 9: return Shape{MetricKind::kHistogram, 9, 10};
    case 10: return Shape{MetricKind::kExponential, 1, 10};
    case 11: return Shape{MetricKind::kSummary, 7, 8};
    default: return std::nullopt;
  }
}

// Attributes as they stand on the wire, all as field 1, so that whoever shows them need not know the kind.
class AttributeRun {
 public:
  void clear() { bytes_.clear(); }
  void add(data_view attribute) {
    check_key_value(attribute, 0);
    bytes_ += '\x0A';
    for (std::size_t size = attribute.size();;) {
      const auto low = static_cast<unsigned char>(size & 0x7F);
      size >>= 7;
      bytes_ += static_cast<char>(size != 0 ? low | 0x80 : low);
      if (size == 0) break;
    }
    bytes_.append(attribute.data(), attribute.size());
  }
  [[nodiscard]] std::string_view bytes() const { return bytes_; }

 private:
  std::string bytes_;
};

template <typename Range, typename T>
bool take_packed(const Range& range, std::vector<T>& out) {
  for (const auto value : range) {
    if (out.size() == kMaxBuckets) return false;
    out.push_back(value);
  }
  return true;
}

struct PointReader {
  Shape shape;
  AttributeRun run;
  ExplicitBuckets explicit_buckets;
  ExponentialBuckets exponential;
  bool too_many = false;

  void read_side(data_view message, std::int32_t& offset, std::vector<std::uint64_t>& counts) {
    pbf_reader reader(message);
    while (reader.next()) {
      switch (reader.tag_and_type()) {
        case tag_and_type(1, kVarint): offset = reader.get_sint32(); break;
        case tag_and_type(2, kBytes): too_many = !take_packed(reader.get_packed_uint64(), counts) || too_many; break;
        default: reader.skip();
      }
    }
  }

  void read_quantile(data_view message, MetricPoint& point) {
    double at = 0;
    double value = 0;
    pbf_reader reader(message);
    while (reader.next()) {
      switch (reader.tag_and_type()) {
        case tag_and_type(1, kFixed64): at = reader.get_double(); break;
        case tag_and_type(2, kFixed64): value = reader.get_double(); break;
        default: reader.skip();
      }
    }
    if (at == kMedian) point.p50 = value;
    if (at == kTail) point.p99 = value;
  }

  // Gauges and sums: NumberDataPoint.
  bool number_field(pbf_reader& reader, MetricPoint& point) const {
    switch (reader.tag_and_type()) {
      case tag_and_type(4, kFixed64):
        point.real = reader.get_double();
        point.is_real = true;
        return true;
      case tag_and_type(6, kFixed64): point.integer = reader.get_sfixed64(); return true;
      default: return false;
    }
  }

  bool histogram_field(pbf_reader& reader, MetricPoint& point) {
    switch (reader.tag_and_type()) {
      case tag_and_type(4, kFixed64): point.count = reader.get_fixed64(); return true;
      case tag_and_type(5, kFixed64): point.sum = reader.get_double(); return true;
      case tag_and_type(6, kBytes):
        too_many = !take_packed(reader.get_packed_fixed64(), explicit_buckets.counts) || too_many;
        return true;
      case tag_and_type(7, kBytes):
        too_many = !take_packed(reader.get_packed_double(), explicit_buckets.bounds) || too_many;
        return true;
      case tag_and_type(11, kFixed64): point.min = reader.get_double(); return true;
      case tag_and_type(12, kFixed64): point.max = reader.get_double(); return true;
      default: return false;
    }
  }

  bool exponential_field(pbf_reader& reader, MetricPoint& point) {
    switch (reader.tag_and_type()) {
      case tag_and_type(4, kFixed64): point.count = reader.get_fixed64(); return true;
      case tag_and_type(5, kFixed64): point.sum = reader.get_double(); return true;
      case tag_and_type(6, kVarint): exponential.scale = reader.get_sint32(); return true;
      case tag_and_type(7, kFixed64): exponential.zero_count = reader.get_fixed64(); return true;
      case tag_and_type(8, kBytes):
        read_side(reader.get_view(), exponential.positive_offset, exponential.positive);
        return true;
      case tag_and_type(9, kBytes):
        read_side(reader.get_view(), exponential.negative_offset, exponential.negative);
        return true;
      case tag_and_type(12, kFixed64): point.min = reader.get_double(); return true;
      case tag_and_type(13, kFixed64): point.max = reader.get_double(); return true;
      default: return false;
    }
  }

  bool summary_field(pbf_reader& reader, MetricPoint& point) {
    switch (reader.tag_and_type()) {
      case tag_and_type(4, kFixed64): point.count = reader.get_fixed64(); return true;
      case tag_and_type(5, kFixed64): point.sum = reader.get_double(); return true;
      case tag_and_type(6, kBytes): read_quantile(reader.get_view(), point); return true;
      default: return false;
    }
  }

  bool own_field(pbf_reader& reader, MetricPoint& point) {
    switch (shape.kind) {
      case MetricKind::kGauge:
      case MetricKind::kSum: return number_field(reader, point);
      case MetricKind::kHistogram: return histogram_field(reader, point);
      case MetricKind::kExponential: return exponential_field(reader, point);
      case MetricKind::kSummary: break;
    }
    return summary_field(reader, point);
  }

  void read(data_view message, MetricPoint& point) {
    run.clear();
    explicit_buckets = {};
    exponential = {};
    too_many = false;
    pbf_reader reader(message);
    while (reader.next()) {
      if (reader.tag() == shape.attributes && reader.has_wire_type(kBytes)) {
        run.add(reader.get_view());
      } else if (reader.tag_and_type() == tag_and_type(3, kFixed64)) {
        point.time_ns = reader.get_fixed64();
      } else if (reader.tag() == shape.flags && reader.has_wire_type(kVarint)) {
        point.no_value = (reader.get_uint32() & kNoRecordedValue) != 0;
      } else if (!own_field(reader, point)) {
        reader.skip();
      }
    }
    if (too_many) return;
    const Extremes extremes{point.min, point.max};
    if (shape.kind == MetricKind::kHistogram) {
      point.p50 = quantile(explicit_buckets, extremes, kMedian);
      point.p99 = quantile(explicit_buckets, extremes, kTail);
    } else if (shape.kind == MetricKind::kExponential) {
      point.p50 = quantile(exponential, extremes, kMedian);
      point.p99 = quantile(exponential, extremes, kTail);
    }
  }
};

void read_data(data_view data, Shape shape, NewMetric& metric, const VisitMetric& visit) {
  MetricPoint like;
  like.kind = shape.kind;
  pbf_reader head(data);
  while (head.next()) {
    switch (head.tag_and_type()) {
      case tag_and_type(2, kVarint): like.delta = head.get_enum() == 1; break;
      case tag_and_type(3, kVarint): like.monotonic = head.get_bool(); break;
      default: head.skip();
    }
  }
  PointReader point_reader{shape, {}, {}, {}, false};
  pbf_reader reader(data);
  while (reader.next()) {
    if (reader.tag_and_type() != tag_and_type(1, kBytes)) {
      reader.skip();
      continue;
    }
    metric.point = like;
    point_reader.read(reader.get_view(), metric.point);
    metric.attributes = point_reader.run.bytes();
    visit(metric);
  }
}

}  // namespace

void read_metric(data_view message, const VisitMetric& visit) {
  NewMetric metric;
  // Name and unit may stand behind the data that they describe.
  pbf_reader head(message);
  while (head.next()) {
    switch (head.tag_and_type()) {
      case tag_and_type(1, kBytes): {
        const data_view name = head.get_view();
        metric.name = {name.data(), name.size()};
        break;
      }
      case tag_and_type(3, kBytes): {
        const data_view unit = head.get_view();
        metric.unit = {unit.data(), unit.size()};
        break;
      }
      default: head.skip();
    }
  }
  pbf_reader reader(message);
  while (reader.next()) {
    const std::optional<Shape> shape = shape_of(reader.tag());
    if (shape && reader.has_wire_type(kBytes)) {
      read_data(reader.get_view(), *shape, metric, visit);
    } else {
      reader.skip();
    }
  }
}

}  // namespace tailrace::agent::viewer
