// SPDX-License-Identifier: Apache-2.0
//
// OTLP requests for the viewer's tests, built with Protobuf so that the viewer's own reader is
// judged by another.
#ifndef TAILRACE_TESTS_AGENT_VIEWER_OTLP_REQUESTS_HPP_
#define TAILRACE_TESTS_AGENT_VIEWER_OTLP_REQUESTS_HPP_

#include <cstdint>
#include <string>

#include "opentelemetry/proto/collector/logs/v1/logs_service.pb.h"
#include "opentelemetry/proto/collector/metrics/v1/metrics_service.pb.h"
#include "opentelemetry/proto/collector/trace/v1/trace_service.pb.h"

namespace tailrace::agent::viewer::test {

using TraceRequest = opentelemetry::proto::collector::trace::v1::ExportTraceServiceRequest;
using TraceResponse = opentelemetry::proto::collector::trace::v1::ExportTraceServiceResponse;
using LogRequest = opentelemetry::proto::collector::logs::v1::ExportLogsServiceRequest;
using LogResponse = opentelemetry::proto::collector::logs::v1::ExportLogsServiceResponse;
using MetricRequest = opentelemetry::proto::collector::metrics::v1::ExportMetricsServiceRequest;
using MetricResponse = opentelemetry::proto::collector::metrics::v1::ExportMetricsServiceResponse;
using ProtoSpan = opentelemetry::proto::trace::v1::Span;
using ProtoLog = opentelemetry::proto::logs::v1::LogRecord;

inline constexpr std::uint64_t kStartNs = 1'700'000'000'000'000'000;

inline void set_service(opentelemetry::proto::resource::v1::Resource* resource, const std::string& name) {
  auto* attribute = resource->add_attributes();
  attribute->set_key("service.name");
  attribute->mutable_value()->set_string_value(name);
}

// Spans share the request's one resource and scope.
inline ProtoSpan* add_span(TraceRequest& request, const std::string& trace_id, const std::string& span_id,
                           const std::string& name, const std::string& service = "shop") {
  if (request.resource_spans_size() == 0) {
    auto* resource_spans = request.add_resource_spans();
    set_service(resource_spans->mutable_resource(), service);
    resource_spans->add_scope_spans()->mutable_scope()->set_name("test");
  }
  ProtoSpan* span = request.mutable_resource_spans(0)->mutable_scope_spans(0)->add_spans();
  span->set_trace_id(trace_id);
  span->set_span_id(span_id);
  span->set_name(name);
  span->set_kind(ProtoSpan::SPAN_KIND_SERVER);
  span->set_start_time_unix_nano(kStartNs);
  span->set_end_time_unix_nano(kStartNs + 1'500'000);
  return span;
}

inline ProtoLog* add_log(LogRequest& request, const std::string& body, const std::string& service = "shop") {
  if (request.resource_logs_size() == 0) {
    auto* resource_logs = request.add_resource_logs();
    set_service(resource_logs->mutable_resource(), service);
    resource_logs->add_scope_logs();
  }
  ProtoLog* log = request.mutable_resource_logs(0)->mutable_scope_logs(0)->add_log_records();
  log->set_time_unix_nano(kStartNs);
  log->set_observed_time_unix_nano(kStartNs + 5);
  log->set_severity_number(opentelemetry::proto::logs::v1::SEVERITY_NUMBER_INFO);
  log->mutable_body()->set_string_value(body);
  return log;
}

inline opentelemetry::proto::metrics::v1::Metric* add_metric(MetricRequest& request, const std::string& name,
                                                             const std::string& unit,
                                                             const std::string& service = "shop") {
  if (request.resource_metrics_size() == 0) {
    auto* resource_metrics = request.add_resource_metrics();
    set_service(resource_metrics->mutable_resource(), service);
    resource_metrics->add_scope_metrics()->mutable_scope()->set_name("scope");
  }
  auto* metric = request.mutable_resource_metrics(0)->mutable_scope_metrics(0)->add_metrics();
  metric->set_name(name);
  metric->set_unit(unit);
  return metric;
}

// Of a span, event, log or data point.
template <typename Message>
void add_attribute(Message* message, const std::string& key, const std::string& value) {
  auto* attribute = message->add_attributes();
  attribute->set_key(key);
  attribute->mutable_value()->set_string_value(value);
}

inline const std::string kTraceA(16, '\xA1');
inline const std::string kTraceB(16, '\xB2');
inline const std::string kSpan1(8, '\x01');
inline const std::string kSpan2(8, '\x02');

}  // namespace tailrace::agent::viewer::test

#endif  // TAILRACE_TESTS_AGENT_VIEWER_OTLP_REQUESTS_HPP_
