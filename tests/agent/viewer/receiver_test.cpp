// SPDX-License-Identifier: Apache-2.0
#include <atomic>
#include <grpcpp/generic/generic_stub.h>
#include <thread>
#include <vector>

#include "tests/agent/viewer/viewer_fixture.hpp"

namespace tailrace::agent::viewer {
namespace {

using namespace test;

constexpr std::size_t kMiB = std::size_t{1} << 20;

class ViewerReceiver : public ViewerFixture {};

// A request of about so many bytes, in spans that the store keeps.
TraceRequest large_request(std::size_t bytes) {
  TraceRequest request;
  for (std::uint32_t i = 1; request.ByteSizeLong() < bytes && i < 200; ++i) {
    auto* attribute =
        add_span(request, kTraceA, std::string(7, '\x01') + static_cast<char>(i), "large")->add_attributes();
    attribute->set_key("filling");
    attribute->mutable_value()->set_string_value(std::string(bytes / 100, 'f'));
  }
  return request;
}

// otlp-T1
TEST_F(ViewerReceiver, TakesTracesLogsAndMetricsFromAnOrdinaryClient) {
  TraceRequest traces;
  add_span(traces, kTraceA, kSpan1, "GET /");
  LogRequest logs;
  add_log(logs, "served")->set_trace_id(kTraceA);
  MetricRequest metrics;
  metrics.add_resource_metrics()->add_scope_metrics()->add_metrics()->mutable_sum()->add_data_points();

  TraceResponse response;
  EXPECT_TRUE(otlp_->send(traces, &response).ok());
  EXPECT_FALSE(response.has_partial_success());
  EXPECT_TRUE(otlp_->send(logs).ok());
  EXPECT_TRUE(otlp_->send(metrics).ok());

  const Json status = get_json("/api/status");
  EXPECT_EQ(status["spans"]["received"], 1);
  EXPECT_EQ(status["spans"]["kept"], 1);
  EXPECT_EQ(status["logs"]["kept"], 1);
  EXPECT_EQ(status["metric_points"]["received"], 1);
  EXPECT_EQ(status["requests"]["traces"], 1);
  EXPECT_EQ(status["requests"]["logs"], 1);
  EXPECT_EQ(status["requests"]["metrics"], 1);
  EXPECT_EQ(status["requests"]["refused"], 0);
  EXPECT_EQ(get_json("/api/traces")["traces"][0]["name"], "GET /");
  EXPECT_EQ(get_json("/api/logs")["logs"][0]["body"], "served");
}

// otlp-T9
TEST_F(ViewerReceiver, AnEmptyRequestSucceeds) {
  TraceResponse response;
  EXPECT_TRUE(otlp_->send(TraceRequest{}, &response).ok());
  EXPECT_FALSE(response.has_partial_success());
  EXPECT_TRUE(otlp_->send(LogRequest{}).ok());
  EXPECT_TRUE(otlp_->send(MetricRequest{}).ok());
}

// otlp-D1
TEST_F(ViewerReceiver, SpansWithoutIdsAreReportedAsRejected) {
  TraceRequest request;
  add_span(request, kTraceA, kSpan1, "good");
  for (int i = 0; i < 300; ++i) {
    add_span(request, std::string(16, '\0'), kSpan1, "bad");
  }
  TraceResponse response;
  ASSERT_TRUE(otlp_->send(request, &response).ok());
  EXPECT_EQ(response.partial_success().rejected_spans(), 300);
  EXPECT_EQ(response.partial_success().error_message(),
            "300 of 301 spans have no valid trace id or span id and were not kept");
  EXPECT_EQ(get_json("/api/status")["spans"]["rejected"], 300);
}

// otlp-T4
TEST_F(ViewerReceiver, TakesGzip) {
  otlp_->compress(GRPC_COMPRESS_GZIP);
  const TraceRequest request = large_request(2 * kMiB);
  ASSERT_TRUE(otlp_->send(request).ok());
  const Json status = get_json("/api/status");
  EXPECT_EQ(status["requests"]["bytes"], request.ByteSizeLong());
  EXPECT_GT(status["spans"]["kept"], 50);
}

TEST_F(ViewerReceiver, RefusesEncodingsItDoesNotKnow) {
  otlp_->compress(GRPC_COMPRESS_DEFLATE);
  EXPECT_EQ(otlp_->send(large_request(kMiB)).error_code(), grpc::StatusCode::UNIMPLEMENTED);
}

// otlp-L2
TEST_F(ViewerReceiver, TooLargeIsResourceExhaustedWithoutRetryInfo) {
  ViewerOptions options;
  options.max_request_bytes = kMiB;
  start(options);
  EXPECT_TRUE(otlp_->send(large_request(kMiB / 2)).ok());
  const grpc::Status status = otlp_->send(large_request(2 * kMiB));
  EXPECT_EQ(status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED) << status.error_message();
  EXPECT_TRUE(status.error_details().empty());
  EXPECT_EQ(get_json("/api/status")["requests"]["refused"], 1);
  EXPECT_TRUE(otlp_->send(large_request(kMiB / 2)).ok());
}

// otlp-L2: a thousandth of the bytes on the wire.
TEST_F(ViewerReceiver, TooLargeAfterInflatingIsResourceExhausted) {
  ViewerOptions options;
  options.max_request_bytes = kMiB;
  start(options);
  otlp_->compress(GRPC_COMPRESS_GZIP);
  const grpc::Status status = otlp_->send(large_request(100 * kMiB));
  EXPECT_EQ(status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED) << status.error_message();
  EXPECT_TRUE(status.error_details().empty());
  EXPECT_NE(status.error_message().find("inflates to more than 1048576 bytes"), std::string::npos)
      << status.error_message();
  EXPECT_EQ(get_json("/api/status")["spans"]["received"], 0);
}

TEST_F(ViewerReceiver, TakesA60MebibyteRequestByDefault) {
  const TraceRequest request = large_request(60 * kMiB);
  const grpc::Status status = otlp_->send(request);
  EXPECT_TRUE(status.ok()) << status.error_message();
}

grpc::Status send_bytes(const std::shared_ptr<grpc::Channel>& channel, const std::string& method,
                        const std::string& bytes) {
  grpc::GenericStub stub(channel);
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(20));
  context.set_wait_for_ready(true);
  grpc::CompletionQueue queue;
  const grpc::Slice slice(bytes);
  const grpc::ByteBuffer request(&slice, 1);
  grpc::ByteBuffer response;
  grpc::Status status;
  auto call = stub.PrepareUnaryCall(&context, method, request, &queue);
  call->StartCall();
  call->Finish(&response, &status, nullptr);
  void* tag = nullptr;
  bool ok = false;
  queue.Next(&tag, &ok);
  queue.Shutdown();
  while (queue.Next(&tag, &ok)) {}
  return status;
}

TEST_F(ViewerReceiver, BytesThatAreNotOtlpAreRefusedForGood) {
  const grpc::Status status = send_bytes(
      otlp_->channel(), "/opentelemetry.proto.collector.trace.v1.TraceService/Export", "\x0A\x7F not a message");
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_NE(status.error_message().find("is not OTLP"), std::string::npos) << status.error_message();
  const grpc::Status cut = send_bytes(otlp_->channel(), "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
                                      "\x1f\x8b\x08 cut gzip");
  EXPECT_EQ(cut.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(get_json("/api/status")["requests"]["refused"], 2);
}

TEST_F(ViewerReceiver, UnknownMethodsAreUnimplemented) {
  EXPECT_EQ(send_bytes(otlp_->channel(), "/some.Other/Method", "").error_code(), grpc::StatusCode::UNIMPLEMENTED);
  TraceRequest request;
  add_span(request, kTraceA, kSpan1, "after it");
  EXPECT_TRUE(otlp_->send(request).ok());
}

TEST_F(ViewerReceiver, ManySendersAtOnceLoseNothing) {
  constexpr int kSenders = 8;
  constexpr int kRequests = 50;
  std::vector<std::thread> senders;
  for (int sender = 0; sender < kSenders; ++sender) {
    senders.emplace_back([&, sender] {
      OtlpClient client(viewer_->otlp_authority());
      for (int i = 0; i < kRequests; ++i) {
        TraceRequest request;
        for (int span = 1; span <= 20; ++span) {
          add_span(request, std::string(15, static_cast<char>(sender + 1)) + static_cast<char>(i), kSpan1, "s");
        }
        EXPECT_TRUE(client.send(request).ok());
      }
    });
  }
  for (std::thread& sender : senders) {
    sender.join();
  }
  EXPECT_EQ(get_json("/api/status")["spans"]["kept"], kSenders * kRequests * 20);
}

TEST_F(ViewerReceiver, StopsWithinASecondWhileSendersSend) {
  std::atomic<bool> done{false};
  std::vector<std::thread> senders;
  for (int sender = 0; sender < 4; ++sender) {
    senders.emplace_back([&] {
      const auto stub =
          TraceService::NewStub(grpc::CreateChannel(viewer_->otlp_authority(), grpc::InsecureChannelCredentials()));
      const TraceRequest request = large_request(kMiB);
      while (!done) {
        grpc::ClientContext context;
        context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(2));
        TraceResponse response;
        static_cast<void>(stub->Export(&context, request, &response));
      }
    });
  }
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  const auto started = std::chrono::steady_clock::now();
  viewer_->stop();
  // A second is promised; a machine that runs other tests beside this one may be late to notice.
  EXPECT_LT(std::chrono::steady_clock::now() - started, std::chrono::seconds(4));
  done = true;
  for (std::thread& sender : senders) {
    sender.join();
  }
}

TEST(ViewerReceiverPorts, ATakenPortIsSaidWithWhatToDo) {
  ViewerOptions options;
  options.otlp_port = 0;
  options.http_port = 0;
  auto first = Viewer::start(options);
  ASSERT_TRUE(first.ok());
  const std::string authority = (*first)->otlp_authority();
  options.otlp_port = std::stoi(authority.substr(authority.rfind(':') + 1));
  const auto second = Viewer::start(options);
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.error().code, ErrorCode::kAlreadyExists);
  EXPECT_NE(second.error().sentence.find("OTLP port " + authority + " is in use"), std::string::npos)
      << second.error().sentence;
  EXPECT_NE(second.error().sentence.find("--otlp-port 0"), std::string::npos);

  options.otlp_port = 0;
  std::string url = (*first)->page_url();
  url.pop_back();
  options.http_port = std::stoi(url.substr(url.rfind(':') + 1));
  const auto third = Viewer::start(options);
  ASSERT_FALSE(third.ok());
  EXPECT_NE(third.error().sentence.find("page port"), std::string::npos) << third.error().sentence;
  EXPECT_NE(third.error().sentence.find("--http-port 0"), std::string::npos);
}

TEST(ViewerReceiverPorts, OptionsThatMakeNoSenseAreRefusedWithASentence) {
  const auto refused = [](auto change) {
    ViewerOptions options;
    options.otlp_port = 0;
    options.http_port = 0;
    change(options);
    const auto viewer = Viewer::start(options);
    EXPECT_FALSE(viewer.ok());
    return viewer.ok() ? ErrorCode::kInternal : viewer.error().code;
  };
  EXPECT_EQ(refused([](ViewerOptions& o) { o.address = "0.0.0.0"; }), ErrorCode::kInvalidArgument);
  EXPECT_EQ(refused([](ViewerOptions& o) { o.otlp_port = 65'536; }), ErrorCode::kInvalidArgument);
  EXPECT_EQ(refused([](ViewerOptions& o) { o.http_port = -1; }), ErrorCode::kInvalidArgument);
  EXPECT_EQ(refused([](ViewerOptions& o) { o.otlp_port = o.http_port = 4317; }), ErrorCode::kInvalidArgument);
  EXPECT_EQ(refused([](ViewerOptions& o) { o.memory_bytes = 1'000; }), ErrorCode::kInvalidArgument);
  EXPECT_EQ(refused([](ViewerOptions& o) { o.max_request_bytes = 0; }), ErrorCode::kInvalidArgument);
}

}  // namespace
}  // namespace tailrace::agent::viewer
