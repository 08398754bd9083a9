// SPDX-License-Identifier: Apache-2.0
//
// The seeds of viewer_fuzzer: viewer_seeds DIRECTORY
#include <filesystem>
#include <fstream>
#include <string>

#include "tests/agent/viewer/otlp_requests.hpp"

int main(int argc, char** argv) {
  using namespace tailrace::agent::viewer::test;
  if (argc != 2) return 2;
  const std::filesystem::path folder(argv[1]);
  std::filesystem::create_directories(folder);
  const auto write = [&folder](const char* name, const auto& request) {
    std::ofstream(folder / name, std::ios::binary) << request.SerializeAsString();
  };
  TraceRequest traces;
  ProtoSpan* root = add_span(traces, kTraceA, kSpan1, "GET <b>/cart</b>");
  add_attribute(root, "key", "value");
  ProtoSpan* child = add_span(traces, kTraceA, kSpan2, "query");
  child->set_parent_span_id(kSpan1);
  child->add_events()->set_name("retry");
  child->add_links()->set_trace_id(kTraceB);
  child->mutable_status()->set_message("failed");
  write("traces", traces);
  LogRequest logs;
  add_attribute(add_log(logs, "paid"), "amount", "42");
  add_log(logs, "")->mutable_body()->mutable_kvlist_value()->add_values()->set_key("k");
  write("logs", logs);
  MetricRequest metrics;
  auto* gauge = add_metric(metrics, "gauge", "By")->mutable_gauge()->add_data_points();
  gauge->set_as_double(0.5);
  add_attribute(gauge, "pool", "heap");
  auto* sum = add_metric(metrics, "sum", "1")->mutable_sum();
  sum->set_is_monotonic(true);
  sum->add_data_points()->set_as_int(7);
  auto* histogram = add_metric(metrics, "histogram", "ms")->mutable_histogram()->add_data_points();
  for (int i = 0; i < 3; ++i) {
    histogram->add_explicit_bounds(i);
    histogram->add_bucket_counts(4);
  }
  auto* exponential = add_metric(metrics, "exponential", "ms")->mutable_exponential_histogram()->add_data_points();
  exponential->set_scale(3);
  exponential->mutable_positive()->add_bucket_counts(4);
  exponential->mutable_negative()->add_bucket_counts(2);
  auto* summary = add_metric(metrics, "summary", "ms")->mutable_summary()->add_data_points();
  summary->add_quantile_values()->set_quantile(0.5);
  write("metrics", metrics);
  return 0;
}
