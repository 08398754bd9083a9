// SPDX-License-Identifier: Apache-2.0
#include "agent/pipeline/envelope.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "agent/hold/pass.hpp"
#include "agent/pipeline/record_writer.hpp"
#include "agent/pipeline/worker.hpp"
#include "opentelemetry/proto/collector/trace/v1/trace_service.pb.h"
#include "proto/encode/batch.hpp"
#include "proto/encode/encode.hpp"

namespace tailrace::agent {
namespace {

namespace pb = opentelemetry::proto::collector::trace::v1;

// A hold in memory with two processes, and batches made as the drain workers make them.
class EnvelopeTest : public testing::Test {
 protected:
  void SetUp() override {
    auto opened = Hold::over(std::as_writable_bytes(std::span(memory_)), true);
    ASSERT_TRUE(opened.ok()) << opened.error().sentence;
    hold_ = std::move(opened).value();
    pass_ = std::make_unique<Pass>(*hold_);
    for (std::uint8_t i = 0; i < 2; ++i) {
      ProcessIdentity identity;
      identity.uuid.fill(static_cast<std::uint8_t>(i + 1));
      identity.service = "service-" + std::to_string(i);
      identity.lanes = 4;
      auto added = hold_->add(identity);
      ASSERT_TRUE(added.ok()) << added.error().sentence;
      processes_.push_back(*added);
    }
  }

  void append(std::size_t process, const std::string& scope, const std::string& span_name) {
    const std::string service = "service-" + std::to_string(process);
    const otlp::KeyValue attribute{"service.name", otlp::Value::string(service)};
    otlp::ResourceView resource;
    resource.attributes = otlp::Attributes(&attribute, 1);
    otlp::ScopeView scope_view;
    scope_view.name = scope;
    scope_view.schema_url = "https://example.com/schema";
    const otlp::BatchHead head = otlp::make_batch_head(Signal::traces, resource, scope_view);
    otlp::SpanView span;
    span.trace_id.bytes.fill(7);
    span.span_id.bytes.fill(9);
    span.name = span_name;
    std::uint8_t buffer[8192];
    otlp::BackwardWriter writer(buffer, sizeof buffer);
    ASSERT_TRUE(otlp::encode_span(writer, span));
    BatchKey key;
    key.process = processes_[process];
    key.priority = 1;
    key.route = std::hash<std::string>{}(scope);
    ASSERT_TRUE(pass_->begin(processes_[process]));
    ASSERT_EQ(pass_
                  ->append(key, std::as_bytes(std::span(head.bytes)), note_of(head.layout()),
                           std::as_bytes(writer.bytes()), Origin{})
                  .status,
              AppendStatus::appended);
  }

  // Commits, and closes what is open: a later append opens new batches of the same key.
  void close() {
    pass_->commit();
    std::vector<BatchInfo> open;
    pass_->open_batches(open);
    for (const BatchInfo& batch : open) {
      const Status closed = close_batch(*hold_, batch);
      ASSERT_TRUE(closed.ok()) << closed.error().sentence;
      waiting_.push_back(waiting_batch(batch));
    }
  }

  pb::ExportTraceServiceRequest build() {
    envelope_.build(*hold_, waiting_, damaged_);
    std::string bytes;
    for (const otlp::Piece& piece : envelope_.pieces()) {
      bytes.append(reinterpret_cast<const char*>(piece.data()), piece.size());
    }
    EXPECT_EQ(bytes.size(), envelope_.bytes());
    pb::ExportTraceServiceRequest request;
    EXPECT_TRUE(request.ParseFromString(bytes));
    return request;
  }

  std::vector<std::uint64_t> memory_ = std::vector<std::uint64_t>((4 << 20) / 8);
  std::unique_ptr<Hold> hold_;
  std::unique_ptr<Pass> pass_;
  std::vector<ProcessIndex> processes_;
  std::vector<WaitingBatch> waiting_;
  std::vector<WaitingBatch> damaged_;
  Envelope envelope_;
};

TEST_F(EnvelopeTest, otlp_D11_BatchesOfOneResourceAndScopeShareOneEnvelope) {
  append(0, "a", "first");
  close();
  append(1, "a", "other process");
  close();
  append(0, "b", "other scope");
  append(0, "a", "second");
  close();
  ASSERT_EQ(waiting_.size(), 4u);
  const pb::ExportTraceServiceRequest request = build();
  ASSERT_EQ(request.resource_spans_size(), 2);
  const auto& first = request.resource_spans(0);
  EXPECT_EQ(first.resource().attributes(0).value().string_value(), "service-0");
  ASSERT_EQ(first.scope_spans_size(), 2);
  int spans_of_a = 0;
  for (const auto& scope : first.scope_spans()) {
    EXPECT_EQ(scope.schema_url(), "https://example.com/schema");
    if (scope.scope().name() == "a") spans_of_a = scope.spans_size();
  }
  EXPECT_EQ(spans_of_a, 2);
  ASSERT_EQ(request.resource_spans(1).scope_spans_size(), 1);
  EXPECT_EQ(request.resource_spans(1).scope_spans(0).spans(0).name(), "other process");
}

TEST_F(EnvelopeTest, ManyPagesOfRecordsKeepTheirOrderAndBytes) {
  std::vector<std::string> names;
  for (int i = 0; i < 500; ++i) {
    names.push_back("span " + std::to_string(i) + std::string(static_cast<std::size_t>(i) % 97, 'x'));
    append(0, "a", names.back());
  }
  close();
  const pb::ExportTraceServiceRequest request = build();
  ASSERT_EQ(request.resource_spans_size(), 1);
  const auto& spans = request.resource_spans(0).scope_spans(0).spans();
  ASSERT_EQ(static_cast<std::size_t>(spans.size()), names.size());
  for (int i = 0; i < spans.size(); ++i) EXPECT_EQ(spans[i].name(), names[static_cast<std::size_t>(i)]);
}

}  // namespace
}  // namespace tailrace::agent
