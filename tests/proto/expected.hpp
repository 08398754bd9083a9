// SPDX-License-Identifier: Apache-2.0
//
// What Protobuf would hold for a view: the oracle of the encoder's tests, made
// with Protobuf's own classes and none of the encoder's code.

#pragma once

#include <string>
#include <string_view>

#include "opentelemetry/proto/collector/logs/v1/logs_service.pb.h"
#include "opentelemetry/proto/collector/metrics/v1/metrics_service.pb.h"
#include "opentelemetry/proto/collector/trace/v1/trace_service.pb.h"
#include "proto/encode/backward_writer.hpp"
#include "proto/encode/metrics.hpp"
#include "proto/encode/view.hpp"

namespace tailrace::otlp::test {

namespace otel = opentelemetry::proto;

otel::common::v1::AnyValue expected(const Value& value);
otel::trace::v1::Span expected(const SpanView& span);
otel::logs::v1::LogRecord expected(const LogView& log);
// A Metric without points, and its points.
otel::metrics::v1::Metric expected(const MetricView& metric);
otel::metrics::v1::NumberDataPoint expected(const NumberPointView& point);
otel::metrics::v1::HistogramDataPoint expected(const HistogramPointView& point);
otel::metrics::v1::ExponentialHistogramDataPoint expected(const ExponentialPointView& point);
otel::resource::v1::Resource expected(const ResourceView& resource);
otel::common::v1::InstrumentationScope expected(const ScopeView& scope);

// The bytes a writer holds, as Protobuf takes them.
std::string text_of(const BackwardWriter& writer);

// Parses the one field that `encoded` holds; false unless it is that field and
// nothing else.
bool parse_span(std::string_view encoded, otel::trace::v1::Span& span);
bool parse_log(std::string_view encoded, otel::logs::v1::LogRecord& log);

// Empty if both are equal field by field (a NaN equals a NaN), else what differs.
std::string difference(const google::protobuf::Message& left, const google::protobuf::Message& right);

}  // namespace tailrace::otlp::test
