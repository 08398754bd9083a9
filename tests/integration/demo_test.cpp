// SPDX-License-Identifier: Apache-2.0
//
// The demo as a user starts it: its last line is JSON, the ledger in it balances, nothing is dropped, and no process
// or file is left behind.
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <chrono>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>
#include <string>

#include "agent/base/child_process.hpp"

namespace tailrace::testing {
namespace {

namespace fs = std::filesystem;
using agent::Captured;
using agent::ChildProcess;

std::set<std::string> demo_directories() {
  std::set<std::string> found;
  for (const auto& entry : fs::directory_iterator("/dev/shm")) {
    const std::string name = entry.path().filename();
    if (name.rfind("tailrace-demo-", 0) == 0) found.insert(name);
  }
  return found;
}

TEST(DemoTest, EndsWithALedgerThatBalancesAndLeavesNothingBehind) {
  const std::set<std::string> before = demo_directories();
  auto demo = ChildProcess::start(TAILRACE_PROGRAM, {"demo", "--seconds", "2", "--json"}, Captured::standard_output);
  ASSERT_TRUE(demo.ok()) << demo.error().sentence;
  std::string last;
  std::string all;
  while (const auto line = demo->read_line(std::chrono::seconds(60))) {
    last = *line;
    all += last + "\n";
  }
  while (demo->running()) {}
  const int status = demo->stop();
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status << "\n" << all;
  const nlohmann::json json = nlohmann::json::parse(last, nullptr, false);
  ASSERT_TRUE(json.is_object()) << all;
  for (const char* signal : {"traces", "logs", "metrics"}) {
    const nlohmann::json& row = json["ledger"][signal];
    EXPECT_GT(row["written"].get<std::uint64_t>(), 0u) << signal;
    EXPECT_EQ(row["dropped"], 0) << signal;
    EXPECT_EQ(row["pending"], 0) << signal;
    EXPECT_EQ(row["written"], row["delivered"]) << signal;
  }
  EXPECT_GT(json["requests"].get<std::uint64_t>(), 100u);
  EXPECT_GT(json["shim_ns_per_span"].get<double>(), 1.0);
  EXPECT_GT(json["agent_cpu_ns_per_record"].get<double>(), 1.0);
  EXPECT_EQ(json["ledger"]["logs"]["written"], json["requests"]) << "one line for each answer";
  EXPECT_EQ(demo_directories(), before);
}

}  // namespace
}  // namespace tailrace::testing
