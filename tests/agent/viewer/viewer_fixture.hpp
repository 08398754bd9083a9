// SPDX-License-Identifier: Apache-2.0
//
// A viewer on free ports, a gRPC client of it, and its page's client.
#ifndef TAILRACE_TESTS_AGENT_VIEWER_VIEWER_FIXTURE_HPP_
#define TAILRACE_TESTS_AGENT_VIEWER_VIEWER_FIXTURE_HPP_

#include <chrono>
#include <climits>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>
#include <httplib.h>
#include <memory>
#include <string>

#include <nlohmann/json.hpp>

#include "agent/viewer/viewer.hpp"
#include "opentelemetry/proto/collector/logs/v1/logs_service.grpc.pb.h"
#include "opentelemetry/proto/collector/metrics/v1/metrics_service.grpc.pb.h"
#include "opentelemetry/proto/collector/trace/v1/trace_service.grpc.pb.h"
#include "tests/agent/viewer/otlp_requests.hpp"

namespace tailrace::agent::viewer::test {

using Json = nlohmann::ordered_json;
using opentelemetry::proto::collector::logs::v1::LogsService;
using opentelemetry::proto::collector::metrics::v1::MetricsService;
using opentelemetry::proto::collector::trace::v1::TraceService;

class OtlpClient {
 public:
  explicit OtlpClient(const std::string& authority) {
    grpc::ChannelArguments arguments;
    arguments.SetMaxSendMessageSize(INT_MAX);
    // A channel of its own, not one shared by address with an earlier test.
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    channel_ = grpc::CreateCustomChannel(authority, grpc::InsecureChannelCredentials(), arguments);
  }

  void compress(grpc_compression_algorithm algorithm) { algorithm_ = algorithm; }

  grpc::Status send(const TraceRequest& request, TraceResponse* response = nullptr) {
    return call<TraceService>(request, response);
  }
  grpc::Status send(const LogRequest& request, LogResponse* response = nullptr) {
    return call<LogsService>(request, response);
  }
  grpc::Status send(const MetricRequest& request, MetricResponse* response = nullptr) {
    return call<MetricsService>(request, response);
  }

  [[nodiscard]] const std::shared_ptr<grpc::Channel>& channel() const { return channel_; }

 private:
  template <typename Service, typename Request, typename Response>
  grpc::Status call(const Request& request, Response* response) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(20));
    context.set_wait_for_ready(true);
    context.set_compression_algorithm(algorithm_);
    Response ignored;
    return Service::NewStub(channel_)->Export(&context, request, response != nullptr ? response : &ignored);
  }

  std::shared_ptr<grpc::Channel> channel_;
  grpc_compression_algorithm algorithm_ = GRPC_COMPRESS_NONE;
};

class ViewerFixture : public ::testing::Test {
 protected:
  void SetUp() override { start(ViewerOptions{}); }

  void start(ViewerOptions options) {
    options.otlp_port = 0;
    options.http_port = 0;
    auto viewer = Viewer::start(options);
    ASSERT_TRUE(viewer.ok()) << viewer.error().sentence;
    viewer_ = *std::move(viewer);
    otlp_ = std::make_unique<OtlpClient>(viewer_->otlp_authority());
    std::string url = viewer_->page_url();
    url.pop_back();  // the slash
    http_ = std::make_unique<httplib::Client>(url);
  }

  [[nodiscard]] std::string get(const std::string& path) {
    const auto answer = http_->Get(path);
    EXPECT_TRUE(answer) << path;
    EXPECT_EQ(answer ? answer->status : 0, 200) << path;
    return answer ? answer->body : "";
  }
  [[nodiscard]] Json get_json(const std::string& path) { return Json::parse(get(path), nullptr, false); }

  std::unique_ptr<Viewer> viewer_;
  std::unique_ptr<OtlpClient> otlp_;
  std::unique_ptr<httplib::Client> http_;
};

}  // namespace tailrace::agent::viewer::test

#endif  // TAILRACE_TESTS_AGENT_VIEWER_VIEWER_FIXTURE_HPP_
