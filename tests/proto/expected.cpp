// SPDX-License-Identifier: Apache-2.0
#include "tests/proto/expected.hpp"

#include <google/protobuf/util/field_comparator.h>
#include <google/protobuf/util/message_differencer.h>

namespace tailrace::otlp::test {
namespace {

template <typename Fields>
void add_key_values(const Attributes& items, Fields* fields) {
  for (const KeyValue& item : items) {
    auto* field = fields->Add();
    field->set_key(std::string(item.key));
    *field->mutable_value() = expected(item.value);
  }
}

template <typename Id>
std::string id_bytes(const Id& id) {
  return id.is_valid() ? std::string(id.bytes.begin(), id.bytes.end()) : std::string();
}

}  // namespace

otel::common::v1::AnyValue expected(const Value& value) {
  otel::common::v1::AnyValue any;
  switch (value.type) {
    case Value::Type::empty: break;
    case Value::Type::boolean: any.set_bool_value(value.boolean); break;
    case Value::Type::integer: any.set_int_value(value.integer); break;
    case Value::Type::real: any.set_double_value(value.real); break;
    case Value::Type::string: any.set_string_value(std::string(value.text())); break;
    case Value::Type::bytes: any.set_bytes_value(std::string(value.text())); break;
    case Value::Type::array:
      any.mutable_array_value();
      for (const KeyValue& item : value.members()) {
        *any.mutable_array_value()->add_values() = expected(item.value);
      }
      break;
    case Value::Type::map: add_key_values(value.members(), any.mutable_kvlist_value()->mutable_values()); break;
  }
  return any;
}

otel::trace::v1::Span expected(const SpanView& view) {
  otel::trace::v1::Span span;
  span.set_trace_id(id_bytes(view.trace_id));
  span.set_span_id(id_bytes(view.span_id));
  span.set_parent_span_id(id_bytes(view.parent_span_id));
  span.set_trace_state(std::string(view.trace_state));
  span.set_name(std::string(view.name));
  span.set_flags(view.flags);
  span.set_kind(static_cast<otel::trace::v1::Span::SpanKind>(view.kind));
  span.set_start_time_unix_nano(view.start_ns);
  span.set_end_time_unix_nano(view.end_ns);
  add_key_values(view.attributes, span.mutable_attributes());
  span.set_dropped_attributes_count(view.dropped_attributes);
  for (const EventView& from : view.events) {
    auto* event = span.add_events();
    event->set_time_unix_nano(from.time_ns);
    event->set_name(std::string(from.name));
    add_key_values(from.attributes, event->mutable_attributes());
    event->set_dropped_attributes_count(from.dropped_attributes);
  }
  span.set_dropped_events_count(view.dropped_events);
  for (const LinkView& from : view.links) {
    auto* link = span.add_links();
    link->set_trace_id(id_bytes(from.trace_id));
    link->set_span_id(id_bytes(from.span_id));
    link->set_trace_state(std::string(from.trace_state));
    link->set_flags(from.flags);
    add_key_values(from.attributes, link->mutable_attributes());
    link->set_dropped_attributes_count(from.dropped_attributes);
  }
  span.set_dropped_links_count(view.dropped_links);
  if (view.status_code != 0 || !view.status_message.empty()) {
    span.mutable_status()->set_code(static_cast<otel::trace::v1::Status::StatusCode>(view.status_code));
    span.mutable_status()->set_message(std::string(view.status_message));
  }
  return span;
}

otel::logs::v1::LogRecord expected(const LogView& view) {
  otel::logs::v1::LogRecord log;
  log.set_time_unix_nano(view.time_ns);
  log.set_observed_time_unix_nano(view.observed_ns);
  log.set_severity_number(static_cast<otel::logs::v1::SeverityNumber>(view.severity));
  log.set_severity_text(std::string(view.severity_text));
  if (view.body.type != Value::Type::empty) *log.mutable_body() = expected(view.body);
  add_key_values(view.attributes, log.mutable_attributes());
  log.set_dropped_attributes_count(view.dropped_attributes);
  log.set_flags(view.flags);
  log.set_trace_id(id_bytes(view.trace_id));
  log.set_span_id(id_bytes(view.span_id));
  log.set_event_name(std::string(view.event_name));
  return log;
}

otel::metrics::v1::Metric expected(const MetricView& view) {
  otel::metrics::v1::Metric metric;
  metric.set_name(std::string(view.name));
  metric.set_description(std::string(view.description));
  metric.set_unit(std::string(view.unit));
  const auto temporality = static_cast<otel::metrics::v1::AggregationTemporality>(view.temporality);
  switch (view.data) {
    case MetricData::gauge: metric.mutable_gauge(); break;
    case MetricData::sum:
      metric.mutable_sum()->set_aggregation_temporality(temporality);
      metric.mutable_sum()->set_is_monotonic(view.monotonic);
      break;
    case MetricData::histogram: metric.mutable_histogram()->set_aggregation_temporality(temporality); break;
    case MetricData::exponential_histogram:
      metric.mutable_exponential_histogram()->set_aggregation_temporality(temporality);
      break;
  }
  return metric;
}

otel::metrics::v1::NumberDataPoint expected(const NumberPointView& view) {
  otel::metrics::v1::NumberDataPoint point;
  add_key_values(view.attributes, point.mutable_attributes());
  point.set_start_time_unix_nano(view.start_ns);
  point.set_time_unix_nano(view.time_ns);
  if (view.value.type == Value::Type::real)
    point.set_as_double(view.value.real);
  else
    point.set_as_int(view.value.integer);
  point.set_flags(view.flags);
  return point;
}

otel::metrics::v1::HistogramDataPoint expected(const HistogramPointView& view) {
  otel::metrics::v1::HistogramDataPoint point;
  add_key_values(view.attributes, point.mutable_attributes());
  point.set_start_time_unix_nano(view.start_ns);
  point.set_time_unix_nano(view.time_ns);
  point.set_count(view.count);
  if (view.sum) point.set_sum(*view.sum);
  for (const std::uint64_t count : view.bucket_counts) point.add_bucket_counts(count);
  for (const double bound : view.bounds) point.add_explicit_bounds(bound);
  point.set_flags(view.flags);
  if (view.min) point.set_min(*view.min);
  if (view.max) point.set_max(*view.max);
  return point;
}

otel::metrics::v1::ExponentialHistogramDataPoint expected(const ExponentialPointView& view) {
  otel::metrics::v1::ExponentialHistogramDataPoint point;
  add_key_values(view.attributes, point.mutable_attributes());
  point.set_start_time_unix_nano(view.start_ns);
  point.set_time_unix_nano(view.time_ns);
  point.set_count(view.count);
  if (view.sum) point.set_sum(*view.sum);
  point.set_scale(view.scale);
  point.set_zero_count(view.zero_count);
  const auto add = [](const ExponentialPointView::Buckets& from, auto* buckets) {
    buckets->set_offset(from.offset);
    for (const std::uint64_t count : from.counts) buckets->add_bucket_counts(count);
  };
  if (!view.positive.counts.empty()) add(view.positive, point.mutable_positive());
  if (!view.negative.counts.empty()) add(view.negative, point.mutable_negative());
  point.set_flags(view.flags);
  if (view.min) point.set_min(*view.min);
  if (view.max) point.set_max(*view.max);
  point.set_zero_threshold(view.zero_threshold);
  return point;
}

otel::resource::v1::Resource expected(const ResourceView& view) {
  otel::resource::v1::Resource resource;
  add_key_values(view.attributes, resource.mutable_attributes());
  resource.set_dropped_attributes_count(view.dropped_attributes);
  return resource;
}

otel::common::v1::InstrumentationScope expected(const ScopeView& view) {
  otel::common::v1::InstrumentationScope scope;
  scope.set_name(std::string(view.name));
  scope.set_version(std::string(view.version));
  add_key_values(view.attributes, scope.mutable_attributes());
  scope.set_dropped_attributes_count(view.dropped_attributes);
  return scope;
}

std::string text_of(const BackwardWriter& writer) { return std::string(writer.bytes().begin(), writer.bytes().end()); }

bool parse_span(std::string_view encoded, otel::trace::v1::Span& span) {
  otel::trace::v1::ScopeSpans scope;
  if (!scope.ParseFromString(std::string(encoded)) || scope.has_scope() || scope.spans_size() != 1 ||
      !scope.schema_url().empty()) {
    return false;
  }
  span = scope.spans(0);
  return true;
}

bool parse_log(std::string_view encoded, otel::logs::v1::LogRecord& log) {
  otel::logs::v1::ScopeLogs scope;
  if (!scope.ParseFromString(std::string(encoded)) || scope.has_scope() || scope.log_records_size() != 1 ||
      !scope.schema_url().empty()) {
    return false;
  }
  log = scope.log_records(0);
  return true;
}

std::string difference(const google::protobuf::Message& left, const google::protobuf::Message& right) {
  google::protobuf::util::DefaultFieldComparator comparator;
  comparator.set_treat_nan_as_equal(true);
  google::protobuf::util::MessageDifferencer differencer;
  differencer.set_field_comparator(&comparator);
  std::string report;
  differencer.ReportDifferencesToString(&report);
  return differencer.Compare(left, right) ? "" : report + " ";
}

}  // namespace tailrace::otlp::test
