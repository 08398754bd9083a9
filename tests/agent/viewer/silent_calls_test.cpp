// SPDX-License-Identifier: Apache-2.0
#include <grpcpp/generic/generic_stub.h>
#include <vector>

#include "tests/agent/viewer/viewer_fixture.hpp"

namespace tailrace::agent::viewer {
namespace {

using namespace test;

class ViewerReceiver : public ViewerFixture {};

// Senders that open a call and send nothing hold every turn; after the deadline the others are
// served.
TEST_F(ViewerReceiver, SilentCallsDoNotHoldTheReceiverForever) {
  grpc::GenericStub stub(otlp_->channel());
  grpc::CompletionQueue queue;
  struct Silent {
    grpc::ClientContext context;
    std::unique_ptr<grpc::GenericClientAsyncReaderWriter> call;
  };
  std::vector<std::unique_ptr<Silent>> silent;
  for (int i = 0; i < 4; ++i) {
    auto& one = silent.emplace_back(std::make_unique<Silent>());
    one->call = stub.PrepareCall(&one->context, "/opentelemetry.proto.collector.trace.v1.TraceService/Export", &queue);
    one->call->StartCall(nullptr);
    void* tag = nullptr;
    bool ok = false;
    queue.Next(&tag, &ok);
  }
  const auto started = std::chrono::steady_clock::now();
  TraceRequest request;
  add_span(request, kTraceA, kSpan1, "patient");
  EXPECT_TRUE(otlp_->send(request).ok());
  EXPECT_LT(std::chrono::steady_clock::now() - started, std::chrono::seconds(15));
  for (auto& one : silent) {
    one->context.TryCancel();
  }
  silent.clear();
  queue.Shutdown();
  void* tag = nullptr;
  bool ok = false;
  while (queue.Next(&tag, &ok)) {}
}

}  // namespace
}  // namespace tailrace::agent::viewer
