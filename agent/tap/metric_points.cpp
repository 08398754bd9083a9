// SPDX-License-Identifier: Apache-2.0
#include "agent/tap/metric_points.hpp"

#include <optional>
#include <vector>

#include <protozero/pbf_reader.hpp>

namespace tailrace::agent {
namespace {

using otlp::KeyValue;
using otlp::Value;
using protozero::data_view;
using protozero::pbf_reader;
using protozero::pbf_wire_type;
using protozero::tag_and_type;

constexpr auto kBytes = pbf_wire_type::length_delimited;
constexpr auto kVarint = pbf_wire_type::varint;
constexpr auto kFixed64 = pbf_wire_type::fixed64;

std::string_view text_of(data_view view) { return {view.data(), view.size()}; }

std::size_t count_of(data_view list) {
  std::size_t count = 0;
  for (pbf_reader reader(list); reader.next(); reader.skip()) ++count;
  return count;
}

// A line shows the number of an array's or map's members alone, so they are not read.
Value value_of(data_view message) {
  Value value;
  pbf_reader reader(message);
  while (reader.next()) {
    switch (reader.tag_and_type()) {
      case tag_and_type(1, kBytes): value = Value::string(text_of(reader.get_view())); break;
      case tag_and_type(2, kVarint): value = Value::of(reader.get_bool()); break;
      case tag_and_type(3, kVarint): value = Value::of(std::int64_t{reader.get_int64()}); break;
      case tag_and_type(4, kFixed64): value = Value::of(reader.get_double()); break;
      case tag_and_type(5, kBytes): value = Value::array(nullptr, count_of(reader.get_view())); break;
      case tag_and_type(6, kBytes): value = Value::map(nullptr, count_of(reader.get_view())); break;
      case tag_and_type(7, kBytes): value = Value::bytes(text_of(reader.get_view())); break;
      default: reader.skip();
    }
  }
  return value;
}

KeyValue attribute_of(data_view message) {
  KeyValue attribute;
  pbf_reader reader(message);
  while (reader.next()) {
    switch (reader.tag_and_type()) {
      case tag_and_type(1, kBytes): attribute.key = text_of(reader.get_view()); break;
      case tag_and_type(2, kBytes): attribute.value = value_of(reader.get_view()); break;
      default: reader.skip();
    }
  }
  return attribute;
}

// The fields of a point that a line shows, by the field of Metric that it lies in (metrics.proto).
struct Shape {
  bool histogram;
  unsigned attributes;
};

std::optional<Shape> shape_of(unsigned field) {
  switch (field) {
    case 5:
    case 7: return Shape{false, 7};
    case 9: return Shape{true, 9};
    case 10: return Shape{true, 1};
    default: return std::nullopt;
  }
}

void read_point(data_view message, Shape shape, TapMetric& metric, std::vector<KeyValue>& attributes) {
  attributes.clear();
  metric.kind = shape.histogram ? TapMetric::Kind::histogram : TapMetric::Kind::integer;
  metric.integer = 0;
  metric.real = 0;
  metric.count = 0;
  pbf_reader reader(message);
  while (reader.next()) {
    const auto field = reader.tag_and_type();
    if (field == tag_and_type(shape.attributes, kBytes)) {
      attributes.push_back(attribute_of(reader.get_view()));
    } else if (field == tag_and_type(3, kFixed64)) {
      metric.time_ns = reader.get_fixed64();
    } else if (shape.histogram && field == tag_and_type(4, kFixed64)) {
      metric.count = reader.get_fixed64();
    } else if (shape.histogram && field == tag_and_type(5, kFixed64)) {
      metric.real = reader.get_double();
    } else if (!shape.histogram && field == tag_and_type(4, kFixed64)) {
      metric.kind = TapMetric::Kind::real;
      metric.real = reader.get_double();
    } else if (!shape.histogram && field == tag_and_type(6, kFixed64)) {
      metric.integer = reader.get_sfixed64();
    } else {
      reader.skip();
    }
  }
  metric.attributes = attributes;
}

void read_metric(data_view message, const std::function<void(const TapMetric&)>& visit) {
  TapMetric metric;
  for (pbf_reader reader(message); reader.next();) {
    switch (reader.tag_and_type()) {
      case tag_and_type(1, kBytes): metric.name = text_of(reader.get_view()); break;
      case tag_and_type(3, kBytes): metric.unit = text_of(reader.get_view()); break;
      default: reader.skip();
    }
  }
  std::vector<KeyValue> attributes;
  for (pbf_reader reader(message); reader.next();) {
    const std::optional<Shape> shape = shape_of(reader.tag());
    if (!shape || !reader.has_wire_type(kBytes)) {
      reader.skip();
      continue;
    }
    pbf_reader points(reader.get_view());
    while (points.next()) {
      if (points.tag_and_type() != tag_and_type(1, kBytes)) {
        points.skip();
        continue;
      }
      read_point(points.get_view(), *shape, metric, attributes);
      visit(metric);
    }
  }
}

}  // namespace

void each_metric_point(std::span<const std::uint8_t> fields, const std::function<void(const TapMetric&)>& visit) {
  try {
    pbf_reader reader(reinterpret_cast<const char*>(fields.data()), fields.size());
    while (reader.next()) {
      if (reader.tag_and_type() == tag_and_type(2, kBytes)) {
        read_metric(reader.get_view(), visit);
      } else {
        reader.skip();
      }
    }
  } catch (const protozero::exception&) {
    return;
  }
}

}  // namespace tailrace::agent
