// SPDX-License-Identifier: Apache-2.0
//
// Everything in shared memory is hostile until copied and checked: while one program does its worst to its own
// segment and to the directory, the agent neither dies nor stalls, and what an honest one records arrives.
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <thread>

#include "tests/fault/host.hpp"

namespace tailrace::testing {
namespace {

namespace fs = std::filesystem;
using std::chrono::seconds;

class HostileTest : public ::testing::Test {
 protected:
  void SetUp() override {
    host_.start_sink();
    host_.start_agent();
    agent_pid_ = host_.agent().pid();
  }

  // An honest program records 4000 spans and 1000 logs a thread; all of it has to arrive.
  void expect_honest_neighbour_delivered() {
    agent::ChildProcess honest =
        host_.start_program("/bin/sh", {"-c", std::string(TAILRACE_VICTIM) + " honest 2 4000 20 500 >/dev/null"});
    for (int waited = 0; honest.running() && waited < 600; ++waited) std::this_thread::sleep_for(milliseconds(50));
    ASSERT_FALSE(honest.running()) << "the honest program hangs";
    std::uint64_t spans = 0;
    std::uint64_t logs = 0;
    for (int waited = 0; waited < 600; ++waited) {
      spans = logs = 0;
      for (const agent::ServiceStatus& service : host_.status().services) {
        if (service.service != "honest") continue;
        spans = service.ledger[0].delivered;
        logs = service.ledger[1].delivered;
      }
      if (spans == 8000 && logs == 2000) break;
      std::this_thread::sleep_for(milliseconds(50));
    }
    EXPECT_EQ(spans, 8000u);
    EXPECT_EQ(logs, 2000u);
    ASSERT_TRUE(host_.agent().running()) << "the agent died";
    EXPECT_EQ(host_.agent().pid(), agent_pid_);
    EXPECT_EQ(host_.status().agent, agent::AgentVerdict::running);
    for (const agent::ProcessStatus& process : host_.status().processes) {
      for (const agent::SignalLedger& row : process.ledger) EXPECT_EQ(row.imbalance(), 0);
    }
  }

  Host host_;
  pid_t agent_pid_ = 0;
};

class ScribbleTest : public HostileTest, public ::testing::WithParamInterface<const char*> {};

TEST_P(ScribbleTest, GarbageInOneSegmentHarmsNobodyElse) {
  std::vector<agent::ChildProcess> hostile;
  for (int seed = 1; seed <= 3; ++seed) {
    hostile.push_back(host_.start_program(TAILRACE_SCRIBBLER, {GetParam(), std::to_string(seed), "1500"}));
  }
  expect_honest_neighbour_delivered();
  for (agent::ChildProcess& program : hostile) {
    for (int waited = 0; program.running() && waited < 400; ++waited) std::this_thread::sleep_for(milliseconds(50));
    EXPECT_FALSE(program.running()) << "a hostile program hangs in a call";
    const int status = program.stop();
    // Whoever cuts its own file short may die of it; nobody else's words may kill it.
    if (std::string(GetParam()) != "truncate") {
      EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << "status " << status;
    }
  }
  ASSERT_TRUE(host_.agent().running());
}

INSTANTIATE_TEST_SUITE_P(Everywhere, ScribbleTest,
                         ::testing::Values("lanes", "slots", "strings", "process", "agent", "truncate", "punch"),
                         [](const auto& chosen) { return std::string(chosen.param); });

TEST_F(HostileTest, FilesThatAreNoSegmentsAreRefusedAndHarmNobody) {
  const fs::path place = host_.segments();
  const auto name = [&place](int i) { return place / ("00000000000000" + std::to_string(10 + i) + ".seg"); };
  std::ofstream(name(0)) << "not a segment";
  std::ofstream(name(1)) << std::string(1 << 20, '\xff');
  ASSERT_EQ(::mkfifo(name(2).c_str(), 0660), 0);
  fs::create_symlink("/etc/passwd", name(3));
  std::ofstream{name(4)};
  fs::resize_file(name(4), std::uintmax_t{1} << 40);
  fs::create_directory(name(5));
  std::ofstream(place / "unrelated") << "x";
  std::ofstream{name(6)};
  fs::create_hard_link(name(6), name(7));
  // The magic and nothing behind it.
  std::ofstream(name(8), std::ios::binary) << "TAILRACE" << std::string(200'000, '\0');
  std::this_thread::sleep_for(milliseconds(300));
  expect_honest_neighbour_delivered();
  EXPECT_TRUE(fs::exists(name(0))) << "what is not ours is not removed";
}

}  // namespace
}  // namespace tailrace::testing
