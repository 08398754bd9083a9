// SPDX-License-Identifier: Apache-2.0
#include "agent/observe/status.hpp"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>

namespace tailrace::agent {
namespace {

constexpr std::uint64_t kSecond = 1'000'000'000;

// A service with a living process: 1000 spans written, some of them in every state.
HoldStatus some_status() {
  HoldStatus status;
  status.agent = AgentVerdict::running;
  status.agent_pid = 4711;
  status.agent_version = "0.1.0";
  status.agent_started_ns = 100 * kSecond;
  status.page_bytes = 128 << 20;
  status.page_bytes_used = 3 << 20;
  SignalLedger spans;
  spans.shim_written = 1000;
  spans.seen = 960;
  spans.delivered = 900;
  spans.rejected = 5;
  spans.dropped[static_cast<std::size_t>(DropReason::lane_full)] = 10;
  spans.dropped[static_cast<std::size_t>(DropReason::corrupt)] = 3;
  spans.held = 52;
  spans.judge_lanes(false);
  ServiceStatus service;
  service.service = "checkout";
  service.processes = 2;
  service.ledger[0] = spans;
  status.services.push_back(service);
  status.totals[0] = spans;
  ProcessStatus process;
  process.info.identity.service = "checkout";
  process.ledger[0] = spans;
  status.processes.push_back(process);
  return status;
}

TEST(StatusTest, TheTableShowsEveryPartOfTheLedgerAndItsReasons) {
  const std::string table = status_table(some_status(), "/run/tailrace/agent/hold", 160 * kSecond);
  EXPECT_NE(table.find("running, pid 4711, version 0.1.0, up 60 s"), std::string::npos) << table;
  EXPECT_NE(table.find("3.0 MiB of 128.0 MiB used"), std::string::npos) << table;
  EXPECT_NE(table.find("checkout"), std::string::npos);
  for (const char* figure : {" 1000 ", " 900 ", " 5 ", " 13 ", " 82 "}) {
    EXPECT_NE(table.find(figure), std::string::npos) << figure << " is missing in\n" << table;
  }
  EXPECT_NE(table.find("lane_full"), std::string::npos);
  EXPECT_NE(table.find("corrupt"), std::string::npos);
  EXPECT_EQ(table.find("logs"), std::string::npos) << "a signal that nobody uses is left out";
}

TEST(StatusTest, ADeadAgentIsSaidWithWhatToDo) {
  HoldStatus status = some_status();
  status.agent = AgentVerdict::dead;
  const std::string table = status_table(status, "hold", 160 * kSecond);
  EXPECT_NE(table.find("DEAD"), std::string::npos);
  EXPECT_NE(table.find("start `tailrace agent`"), std::string::npos);
}

TEST(StatusTest, AStuckAgentIsToldByItsOldestThread) {
  HoldStatus status = some_status();
  status.agent = AgentVerdict::stuck;
  status.oldest_beat_age_ns = 42 * kSecond;
  status.threads.push_back({"drain 3", 42 * kSecond});
  const std::string table = status_table(status, "hold", 160 * kSecond);
  EXPECT_NE(table.find("STUCK"), std::string::npos);
  EXPECT_NE(table.find("drain 3"), std::string::npos);
  EXPECT_NE(table.find("42 s"), std::string::npos);
}

TEST(StatusTest, WhatMadeNoMetricPointIsShownAsWhatItIs) {
  HoldStatus status = some_status();
  EXPECT_EQ(status_table(status, "hold", 160 * kSecond).find("Metrics:"), std::string::npos) << "nothing to be said";
  ProcessStatus& process = status.processes[0];
  process.words[static_cast<std::size_t>(ProcessWord::metrics_unrecorded)] = 31;
  process.words[static_cast<std::size_t>(ProcessWord::metrics_invalid)] = 32;
  process.words[static_cast<std::size_t>(ProcessWord::metrics_clamped)] = 33;
  process.words[static_cast<std::size_t>(ProcessWord::metrics_skipped)] = 34;
  process.baselines_lost = 35;
  process.baseline_bytes = 36;
  const std::string table = status_table(status, "hold", 160 * kSecond);
  for (const char* line :
       {"31 calls found no series", "32 values not valid", "33 values beyond a histogram's last bucket",
        "34 collections skipped", "35 baselines lost"}) {
    EXPECT_NE(table.find(line), std::string::npos) << line << " is missing in\n" << table;
  }
  const nlohmann::json json = nlohmann::json::parse(status_json(status, "hold"));
  const nlohmann::json& metrics = json["processes"][0]["metrics"];
  EXPECT_EQ(metrics["unrecorded"], 31);
  EXPECT_EQ(metrics["invalid"], 32);
  EXPECT_EQ(metrics["clamped"], 33);
  EXPECT_EQ(metrics["collections_skipped"], 34);
  EXPECT_EQ(metrics["baselines_lost"], 35);
  EXPECT_EQ(metrics["baseline_bytes"], 36);
}

TEST(StatusTest, TheJsonBalances) {
  const nlohmann::json json = nlohmann::json::parse(status_json(some_status(), "hold"));
  const nlohmann::json& row = json["ledger"]["traces"];
  EXPECT_EQ(row["written"], 1000);
  EXPECT_EQ(row["delivered"].get<int>() + row["rejected"].get<int>() + row["dropped"].get<int>() +
                row["pending"].get<int>() + row["unaccounted"].get<int>(),
            1000);
  EXPECT_EQ(row["dropped_by_reason"]["lane_full"], 10);
  EXPECT_EQ(json["agent"]["state"], "running");
  EXPECT_EQ(json["services"][0]["service"], "checkout");
  EXPECT_EQ(json["processes"][0]["phase"], "live");
}

TEST(StatusTest, AServiceNameThatIsNoTextDoesNotBreakTheJson) {
  HoldStatus status = some_status();
  status.services[0].service = "bad \xff\xfe name";
  const nlohmann::json json = nlohmann::json::parse(status_json(status, "hold"), nullptr, false);
  ASSERT_FALSE(json.is_discarded());
  EXPECT_EQ(json["services"].size(), 1u);
}

TEST(StatusTest, FiguresAreShortEnoughForPeople) {
  EXPECT_EQ(human_bytes(17), "17 B");
  EXPECT_EQ(human_bytes(1536), "1.5 KiB");
  EXPECT_EQ(human_bytes(std::uint64_t{3} << 30), "3.0 GiB");
  EXPECT_EQ(human_duration(250'000'000), "250 ms");
  EXPECT_EQ(human_duration(75 * kSecond), "75 s");
  EXPECT_EQ(human_duration(3 * 3600 * kSecond), "3 h 0 min");
}

}  // namespace
}  // namespace tailrace::agent
