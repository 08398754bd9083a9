// SPDX-License-Identifier: Apache-2.0
//
// What the viewer takes from the machine: resident memory of the process, idle, full, and after the
// largest requests several at a time.
#include <cstdio>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "tests/agent/viewer/process.hpp"
#include "tests/agent/viewer/viewer_fixture.hpp"

namespace tailrace::agent::viewer {
namespace {

using namespace test;

constexpr std::uint64_t kMiB = std::uint64_t{1} << 20;
constexpr std::uint64_t kBudget = 64 * kMiB;
// gRPC, the libraries and the threads' stacks; what glibc keeps between requests.
constexpr std::uint64_t kIdleAllowance = 40 * kMiB;
constexpr std::uint64_t kHeapAllowance = 24 * kMiB;

class ViewerMemory : public ::testing::Test {
 protected:
  void SetUp() override {
    const std::string ready = viewer_.read_line();
    int otlp = 0;
    int page = 0;
    ASSERT_EQ(std::sscanf(ready.c_str(), "viewer: otlp 127.0.0.1:%d, page http://127.0.0.1:%d/", &otlp, &page), 2);
    otlp_ = "127.0.0.1:" + std::to_string(otlp);
    http_ = std::make_unique<httplib::Client>("127.0.0.1", page);
  }

  [[nodiscard]] Json status() {
    const auto answer = http_->Get("/api/status");
    return answer ? Json::parse(answer->body, nullptr, false) : Json();
  }
  std::uint64_t resident(const char* when) {
    const std::uint64_t bytes = status()["memory"]["rss_bytes"];
    std::printf("%-30s %6.1f MiB resident\n", when, static_cast<double>(bytes) / static_cast<double>(kMiB));
    return bytes;
  }

  Process viewer_{{VIEWER_PROGRAM, "--otlp-port", "0", "--http-port", "0"}};
  std::string otlp_;
  std::unique_ptr<httplib::Client> http_;
};

TEST_F(ViewerMemory, StaysNearItsBudgetHoweverMuchComes) {
  const std::uint64_t idle = resident("idle");
  EXPECT_LT(idle, kIdleAllowance);

  OtlpClient client(otlp_);
  std::uint64_t number = 0;
  while (status()["spans"]["dropped"] == 0 || status()["logs"]["dropped"] == 0) {
    TraceRequest traces;
    LogRequest logs;
    for (int i = 0; i < 5'000; ++i) {
      std::string id(16, '\x01');
      ++number;
      std::memcpy(id.data(), &number, sizeof(number));
      auto* attribute = add_span(traces, id, kSpan1, "GET /usr/share/doc")->add_attributes();
      attribute->set_key("http.route");
      attribute->mutable_value()->set_string_value("/usr/share/doc");
      add_log(logs, "a line of ordinary length, with a few words")->set_trace_id(id);
    }
    ASSERT_TRUE(client.send(traces).ok());
    ASSERT_TRUE(client.send(logs).ok());
  }
  EXPECT_LT(resident("full"), idle + kBudget + kHeapAllowance);

  for (const char* path : {"/api/logs?limit=10000", "/api/traces?limit=10000", "/"}) {
    EXPECT_TRUE(http_->Get(path)) << path;
  }
  EXPECT_LT(resident("after the largest answers"), idle + kBudget + kHeapAllowance);
}

TEST_F(ViewerMemory, GivesBackWhatTheLargestRequestsTook) {
  const std::uint64_t idle = resident("idle");
  TraceRequest request;
  auto* attribute = add_span(request, kTraceA, kSpan1, "large")->add_attributes();
  attribute->set_key("filling");
  attribute->mutable_value()->set_string_value(std::string(60 * kMiB, 'f'));
  std::vector<std::thread> senders;
  for (int i = 0; i < 6; ++i) {
    senders.emplace_back([&] {
      OtlpClient client(otlp_);
      EXPECT_TRUE(client.send(request).ok());
    });
  }
  for (std::thread& sender : senders) {
    sender.join();
  }
  EXPECT_EQ(status()["spans"]["received"], 6);
  EXPECT_LT(resident("after six of 60 MiB"), idle + kHeapAllowance);
}

}  // namespace
}  // namespace tailrace::agent::viewer
