// SPDX-License-Identifier: Apache-2.0
//
// The encoder against a decoder that shares nothing with it, not even our
// definitions: OpenTelemetry's own Python package. It reads a request of random
// batches and serializes it again; that must be what C++ Protobuf serializes
// for the records that went in. Skipped, with the reason, where no Python
// environment can be had.

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <sstream>
#include <string>
#include <unistd.h>
#include <vector>

#include "proto/encode/batch.hpp"
#include "proto/encode/encode.hpp"
#include "tests/proto/expected.hpp"
#include "tests/proto/metric_points.hpp"
#include "tests/proto/random_views.hpp"

namespace tailrace::otlp::test {
namespace {

struct Outcome {
  int status = -1;
  std::string output;
};

Outcome run(const std::string& command) {
  Outcome outcome;
  std::FILE* pipe = ::popen((command + " 2>&1").c_str(), "r");
  if (pipe == nullptr) return outcome;
  char block[4096];
  for (std::size_t size; (size = std::fread(block, 1, sizeof block, pipe)) > 0;) {
    outcome.output.append(block, size);
  }
  outcome.status = ::pclose(pipe);
  return outcome;
}

std::string contents(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

class PythonDecoder : public testing::Test {
 protected:
  static constexpr int kBatches = 30;
  static constexpr int kRecords = 20;

  void SetUp() override {
    const std::string source = TAILRACE_PROTO_TEST_DIR;
    const Outcome venv = run("'" + source + "/python_venv.sh'");
    if (venv.status != 0) GTEST_SKIP() << "no Python environment: " << venv.output;
    // The path is the last line; warnings may stand before it.
    std::string python = venv.output.substr(0, venv.output.find_last_not_of('\n') + 1);
    python = python.substr(python.find_last_of('\n') + 1);
    command_ = "'" + python + "' '" + source + "/decode_with_python.py' ";
    std::string name = (std::filesystem::temp_directory_path() / "tailrace-python-XXXXXX").string();
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    directory_ = name;
  }

  void TearDown() override {
    if (!directory_.empty()) std::filesystem::remove_all(directory_);
  }

  template <typename View>
  void append_batch(Signal signal, const ResourceView& resource, const ScopeView& scope,
                    const std::vector<View>& records, bool (*encode)(BackwardWriter&, const View&)) {
    const BatchHead head = make_batch_head(signal, resource, scope);
    std::vector<std::uint8_t> batch = head.bytes;
    for (const View& record : records) {
      BackwardWriter writer(scratch_.data(), scratch_.size());
      ASSERT_TRUE(encode(writer, record));
      batch.insert(batch.end(), writer.bytes().begin(), writer.bytes().end());
    }
    const auto lengths = batch_lengths(head.layout(), batch.size());
    ASSERT_TRUE(lengths.has_value());
    fill_length(batch.data() + head.outer_length_pos, lengths->outer);
    fill_length(batch.data() + head.inner_length_pos, lengths->inner);
    request_.append(batch.begin(), batch.end());
  }

  // What the package makes of the request; its JSON goes to json_.
  std::string reserialized(const std::string& signal) {
    const auto in = directory_ / "request.bin";
    const auto out = directory_ / "again.bin";
    std::ofstream(in, std::ios::binary) << request_;
    const Outcome outcome = run(command_ + signal + " '" + in.string() + "' --reserialized '" + out.string() + "'");
    EXPECT_EQ(outcome.status, 0) << outcome.output;
    json_ = outcome.output;
    return contents(out);
  }

  std::vector<std::uint8_t> scratch_ = std::vector<std::uint8_t>(std::size_t{32} << 20);
  std::filesystem::path directory_;
  std::string command_;
  std::string request_;
  std::string json_;
};

TEST_F(PythonDecoder, ReadsTracesAsTheyWereRecorded) {
  RandomViews views(21);
  otel::collector::trace::v1::ExportTraceServiceRequest wanted;
  for (int index = 0; index < kBatches; ++index) {
    views.clear();
    const ResourceView resource = views.resource();
    const ScopeView scope = views.scope();
    std::vector<SpanView> spans(kRecords);
    auto* resource_spans = wanted.add_resource_spans();
    *resource_spans->mutable_resource() = expected(resource);
    resource_spans->set_schema_url(std::string(resource.schema_url));
    auto* scope_spans = resource_spans->add_scope_spans();
    *scope_spans->mutable_scope() = expected(scope);
    scope_spans->set_schema_url(std::string(scope.schema_url));
    for (SpanView& span : spans) *scope_spans->add_spans() = expected(span = views.span());
    append_batch(Signal::traces, resource, scope, spans, encode_span);
  }
  EXPECT_TRUE(reserialized("traces") == wanted.SerializeAsString());
  EXPECT_EQ(json_.rfind("{\"resourceSpans\":[{\"resource\":", 0), 0U) << json_.substr(0, 200);
}

TEST_F(PythonDecoder, ReadsLogsAsTheyWereRecorded) {
  RandomViews views(22);
  otel::collector::logs::v1::ExportLogsServiceRequest wanted;
  for (int index = 0; index < kBatches; ++index) {
    views.clear();
    const ResourceView resource = views.resource();
    const ScopeView scope = views.scope();
    std::vector<LogView> logs(kRecords);
    auto* resource_logs = wanted.add_resource_logs();
    *resource_logs->mutable_resource() = expected(resource);
    resource_logs->set_schema_url(std::string(resource.schema_url));
    auto* scope_logs = resource_logs->add_scope_logs();
    *scope_logs->mutable_scope() = expected(scope);
    scope_logs->set_schema_url(std::string(scope.schema_url));
    for (LogView& log : logs) *scope_logs->add_log_records() = expected(log = views.log());
    append_batch(Signal::logs, resource, scope, logs, encode_log);
  }
  EXPECT_TRUE(reserialized("logs") == wanted.SerializeAsString());
}

struct WholeMetric {
  MetricView metric;
  Points points;
};
bool encode_whole(BackwardWriter& writer, const WholeMetric& whole) {
  return encode(writer, whole.metric, whole.points);
}

TEST_F(PythonDecoder, ReadsMetricsAsTheyWereRecorded) {
  RandomViews views(23);
  otel::collector::metrics::v1::ExportMetricsServiceRequest wanted;
  for (int index = 0; index < kBatches; ++index) {
    views.clear();
    const ResourceView resource = views.resource();
    const ScopeView scope = views.scope();
    std::vector<WholeMetric> metrics(kRecords);
    auto* resource_metrics = wanted.add_resource_metrics();
    *resource_metrics->mutable_resource() = expected(resource);
    resource_metrics->set_schema_url(std::string(resource.schema_url));
    auto* scope_metrics = resource_metrics->add_scope_metrics();
    *scope_metrics->mutable_scope() = expected(scope);
    scope_metrics->set_schema_url(std::string(scope.schema_url));
    for (WholeMetric& whole : metrics) {
      whole.metric = views.metric();
      whole.points = Points::random(views, whole.metric.data, views.below(4));
      auto* metric = scope_metrics->add_metrics();
      *metric = expected(whole.metric);
      whole.points.expect_in(*metric);
    }
    append_batch(Signal::metrics, resource, scope, metrics, encode_whole);
  }
  EXPECT_TRUE(reserialized("metrics") == wanted.SerializeAsString());
}

// The readers' limit on nesting that the encoder cuts at is this one's, too.
TEST_F(PythonDecoder, ReadsTheDeepestValueTheEncoderWrites) {
  std::vector<KeyValue> items(60, KeyValue{"k", Value::string("innermost")});
  Value value = Value::string("innermost");
  for (KeyValue& item : items) {
    item.value = value;
    value = Value::array(&item, 1);
  }
  const KeyValue attribute{"k", value};
  const EventView event{1, "e", {&attribute, 1}, 0};
  SpanView span;
  span.name = "deep";
  span.events = {&event, 1};
  append_batch<SpanView>(Signal::traces, {}, {}, {span}, encode_span);
  EXPECT_FALSE(reserialized("traces").empty());
}

TEST_F(PythonDecoder, RefusesAFieldThatIsNotOfTheProtocol) {
  request_ = std::string("\x0a\x02\x78\x01", 4);  // resource_spans { 15: 1 }
  const auto in = directory_ / "request.bin";
  std::ofstream(in, std::ios::binary) << request_;
  const Outcome outcome = run(command_ + "traces '" + in.string() + "'");
  EXPECT_NE(outcome.status, 0);
  EXPECT_NE(outcome.output.find("resource_spans[0].15 is not of the protocol"), std::string::npos) << outcome.output;
}

}  // namespace
}  // namespace tailrace::otlp::test
