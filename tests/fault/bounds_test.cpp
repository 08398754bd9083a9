// SPDX-License-Identifier: Apache-2.0
//
// Bounds and the ordinary ends: memory under overload with nobody to send to, a full hold, SIGTERM, a second agent,
// an agent that is an ordinary user.
#include <gtest/gtest.h>
#include <pwd.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>

#include "tests/fault/host.hpp"

namespace tailrace::testing {
namespace {

namespace fs = std::filesystem;
using std::chrono::seconds;

std::string victim(const std::string& arguments) {
  return std::string(TAILRACE_VICTIM) + " " + arguments + " >/dev/null";
}

void wait_for(agent::ChildProcess& program, seconds patience) {
  for (int i = 0; program.running() && i < patience.count() * 50; ++i) std::this_thread::sleep_for(milliseconds(20));
  EXPECT_FALSE(program.running());
}

// Resident memory without what is shared: segments and the hold are files that are bounded by themselves.
std::uint64_t resident_bytes(pid_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/status");
  std::string word;
  std::uint64_t kib = 0;
  while (file >> word) {
    if (word == "RssAnon:" && file >> kib) return kib * 1024;
  }
  return 0;
}

class BoundsTest : public ::testing::Test {
 protected:
  Host host_;
};

TEST_F(BoundsTest, AFullHoldStopsTheDrainingAndEveryRecordIsAccountedFor) {
  host_.start_sink();
  host_.stop_sink();
  const std::vector<std::string> small{"--hold-size", "8MiB"};
  host_.start_agent(small);
  // Some 30 MiB of OTLP through a hold of 8 MiB and two lanes of 4 MiB: much of it has to be dropped.
  agent::ChildProcess flood = host_.start_program("/bin/sh", {"-c", victim("flood 2 80000 0 0")});
  std::uint64_t peak = 0;
  for (int i = 0; flood.running() && i < 3000; ++i) {
    peak = std::max(peak, resident_bytes(host_.agent().pid()));
    std::this_thread::sleep_for(milliseconds(20));
  }
  ASSERT_FALSE(flood.running()) << "the application waits for the agent";
  EXPECT_TRUE(wait_until([this] { return host_.status().totals[0].written() == 160'000; }, seconds(30)));
  const agent::HoldStatus outage = host_.status();
  expect_balanced(outage);
  EXPECT_EQ(outage.totals[0].written(), 160'000u);
  EXPECT_EQ(outage.totals[0].delivered, 0u);
  EXPECT_GT(outage.totals[0].dropped_total(), 0u) << "too little load to fill the hold";
  EXPECT_LE(outage.page_bytes, 8u << 20);
  EXPECT_GT(outage.page_bytes_used, outage.page_bytes / 2);
  EXPECT_EQ(outage.agent, agent::AgentVerdict::running);
  // The agent's own memory beside the hold does not grow with what waits. A sanitizer's own is beside the point.
#if !defined(__SANITIZE_THREAD__) && !defined(__SANITIZE_ADDRESS__)
  EXPECT_LT(peak, 64u << 20);
#endif

  host_.start_sink();
  ASSERT_TRUE(host_.wait_until_settled(seconds(60)));
  const agent::HoldStatus after = host_.status();
  expect_balanced(after);
  const agent::SignalLedger& spans = after.totals[0];
  EXPECT_EQ(spans.written(), 160'000u);
  EXPECT_EQ(spans.delivered + spans.dropped_total(), 160'000u);
  EXPECT_EQ(spans.unaccounted(), 0);
  std::uint64_t arrived = 0;
  for (const Arrived& one : host_.arrived()) arrived += one.is_log ? 0 : 1;
  EXPECT_EQ(arrived, spans.delivered);
}

TEST_F(BoundsTest, SegmentsOfDeadProcessesAreBoundedWhileNothingCanBeSent) {
  host_.start_sink();
  host_.stop_sink();
  host_.start_agent({"--dead-segments", "4MiB"});
  for (int i = 0; i < 12; ++i) {
    agent::ChildProcess program =
        host_.start_program("/bin/sh", {"-c", victim("short-" + std::to_string(i) + " 2 2000 0 0")});
    wait_for(program, seconds(20));
  }
  std::size_t files = 12;
  for (int i = 0; files > 2 && i < 1000; ++i) {
    std::this_thread::sleep_for(milliseconds(20));
    files = 0;
    for (const auto& entry : fs::directory_iterator(host_.segments()))
      files += entry.path().extension() == ".seg" ? 1u : 0u;
  }
  EXPECT_LE(files, 2u) << "dead segments are not removed";
  const agent::HoldStatus outage = host_.status();
  expect_balanced(outage);
  EXPECT_EQ(outage.totals[0].written(), 48'000u);
  host_.start_sink();
  ASSERT_TRUE(host_.wait_until_settled(seconds(30)));
  const agent::HoldStatus status = host_.status();
  expect_balanced(status);
  EXPECT_EQ(status.totals[0].delivered, 48'000u) << "they were drained before they were removed: nothing is lost";
}

TEST_F(BoundsTest, SegmentsThatAFullHoldCannotDrainAreEvictedAndBooked) {
  host_.start_sink();
  host_.stop_sink();
  host_.start_agent({"--hold-size", "8MiB", "--dead-segments", "8MiB", "--workers", "1"});
  // One that lives and whose records fill the hold: nobody else's can be drained from then on.
  agent::ChildProcess living = host_.start_program("/bin/sh", {"-c", "exec " + victim("living 1 0 50 2000")});
  EXPECT_TRUE(wait_until([&] { return host_.status().totals[0].in_lanes > 500; }, seconds(30)));
  constexpr int kPrograms = 5;
  for (int i = 0; i < kPrograms; ++i) {
    agent::ChildProcess program =
        host_.start_program("/bin/sh", {"-c", victim("dead-" + std::to_string(i) + " 2 10000 0 0")});
    wait_for(program, seconds(20));
  }
  const auto evicted = [this] {
    const agent::Ledger totals = host_.status().totals;
    const auto reason = static_cast<std::size_t>(agent::DropReason::segment_evicted);
    return totals[0].dropped[reason] + totals[1].dropped[reason];
  };
  EXPECT_TRUE(wait_until([&] { return evicted() > 0; }, seconds(30))) << "nothing was evicted";
  std::uint64_t memory = 0;
  EXPECT_TRUE(wait_until(
      [&] {
        memory = 0;
        for (const auto& entry : fs::directory_iterator(host_.segments())) {
          struct stat info {};
          if (entry.path().extension() == ".seg" && ::stat(entry.path().c_str(), &info) == 0) {
            memory += static_cast<std::uint64_t>(info.st_blocks) * 512;
          }
        }
        return memory < (8u << 20) + (6u << 20);  // and what the living one has
      },
      seconds(30)))
      << memory << " bytes of segments are left";
  expect_balanced(host_.status());
  living.signal(SIGKILL);
  living.stop();
  host_.start_sink();
  ASSERT_TRUE(host_.wait_until_settled(seconds(60)));
  const agent::HoldStatus status = host_.status();
  expect_balanced(status);
  std::uint64_t written = 0;
  for (const agent::ServiceStatus& service : status.services) {
    if (service.service.rfind("dead-", 0) == 0) written += service.ledger[0].written();
  }
  EXPECT_EQ(written, kPrograms * 20'000u) << "what was evicted was written all the same";
  std::uint64_t delivered = 0;
  for (const agent::SignalLedger& row : status.totals) {
    EXPECT_EQ(row.written(), row.delivered + row.dropped_total());
    EXPECT_EQ(row.unaccounted(), 0);
    delivered += row.delivered;
  }
  EXPECT_EQ(host_.arrived().size(), delivered);
}

TEST_F(BoundsTest, AHoldThatIsNotOnATmpfsIsSaid) {
  struct statfs here {};
  ASSERT_EQ(::statfs("/tmp", &here), 0);
  const bool disk = here.f_type != TMPFS_MAGIC;
  char folder[] = "/tmp/tailrace-hold-XXXXXX";
  ASSERT_NE(::mkdtemp(folder), nullptr);
  host_.start_sink();
  const auto said = [&](const std::string& hold) {
    auto agent = agent::ChildProcess::start(TAILRACE_PROGRAM, {"agent", "--dir", host_.segments(), "--hold", hold},
                                            agent::Captured::standard_error);
    EXPECT_TRUE(agent.ok());
    std::string words;
    while (words.find("ready:") == std::string::npos) {
      const auto line = agent->read_line(seconds(20));
      if (!line) break;
      words += *line + "\n";
    }
    agent->stop();
    return words.find("is not on a tmpfs") != std::string::npos;
  };
  EXPECT_FALSE(said(host_.path() + "/hold/file"));
  EXPECT_EQ(said(std::string(folder) + "/hold/file"), disk);
  fs::remove_all(folder);
  if (!disk) GTEST_SKIP() << "/tmp is a tmpfs here: where it is not said was seen, where it is said was not";
}

TEST_F(BoundsTest, SigtermDrainsAndSendsWhatIsLeft) {
  host_.start_sink();
  host_.start_agent({"--linger", "60000"});  // nothing would be sent for a minute
  agent::ChildProcess program = host_.start_program("/bin/sh", {"-c", victim("brief 2 500 0 0")});
  wait_for(program, seconds(20));
  EXPECT_EQ(host_.stop_agent(), 0);
  const agent::HoldStatus status = host_.status();
  EXPECT_EQ(status.agent, agent::AgentVerdict::dead);
  EXPECT_EQ(status.totals[0].delivered, 1000u);
  EXPECT_EQ(host_.arrived().size(), 1250u);
  expect_balanced(status);
}

TEST_F(BoundsTest, otlp_T12_WhatSigtermCannotSendInTimeStaysInTheHoldForTheNextAgent) {
  host_.start_sink();
  host_.stop_sink();
  host_.start_agent({"--shutdown-timeout", "500"});
  agent::ChildProcess program = host_.start_program("/bin/sh", {"-c", victim("brief 2 500 0 0")});
  wait_for(program, seconds(20));
  std::this_thread::sleep_for(milliseconds(500));
  const auto before = std::chrono::steady_clock::now();
  EXPECT_EQ(host_.stop_agent(), 0);
  EXPECT_LT(std::chrono::steady_clock::now() - before, seconds(5));
  bool said = false;
  for (const std::string& line : host_.agent_words()) {
    said = said || line.find("1250 records") != std::string::npos;
  }
  EXPECT_TRUE(said) << "the last line has to say how much is left";
  const agent::HoldStatus left = host_.status();
  EXPECT_EQ(left.totals[0].pending(), 1000u);
  expect_balanced(left);
  host_.start_sink();
  host_.start_agent();
  ASSERT_TRUE(host_.wait_until_settled(seconds(30)));
  EXPECT_EQ(host_.arrived().size(), 1250u);
}

TEST_F(BoundsTest, ASecondAgentOnTheSameDirectoryRefusesWithTheHoldersPid) {
  host_.start_sink();
  host_.start_agent();
  auto second = agent::ChildProcess::start(TAILRACE_PROGRAM, {"agent", "--dir", host_.segments()},
                                           agent::Captured::standard_error);
  ASSERT_TRUE(second.ok());
  std::string said;
  while (const auto line = second->read_line(seconds(10))) said += *line + "\n";
  EXPECT_NE(said.find(std::to_string(host_.agent().pid())), std::string::npos) << said;
  const int status = second->stop();
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 1) << status;
  EXPECT_TRUE(host_.agent().running());
}

TEST_F(BoundsTest, ASecondAgentThatSharesOnlyTheHoldRefusesToo) {
  host_.start_sink();
  host_.start_agent();
  auto second =
      agent::ChildProcess::start(TAILRACE_PROGRAM, {"agent", "--dir", host_.path() + "/other", "--hold", host_.hold()},
                                 agent::Captured::standard_error);
  ASSERT_TRUE(second.ok());
  std::string said;
  while (const auto line = second->read_line(seconds(10))) said += *line + "\n";
  EXPECT_NE(said.find(std::to_string(host_.agent().pid())), std::string::npos) << said;
}

TEST_F(BoundsTest, AnAgentThatIsAnOrdinaryUserServesProgramsOfOthers) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root to start the agent as another user; run the tests as root";
  const passwd* nobody = ::getpwnam("nobody");
  ASSERT_NE(nobody, nullptr);
  host_.start_sink();
  ASSERT_EQ(::mkdir(host_.segments().c_str(), 03733), 0);
  ASSERT_EQ(::chown(host_.segments().c_str(), nobody->pw_uid, nobody->pw_gid), 0);
  ASSERT_EQ(::chmod(host_.segments().c_str(), 03733), 0);
  ASSERT_EQ(::chmod(host_.path().c_str(), 0755), 0);
  // setpriv runs the agent as nobody, who may write nothing but its own directory.
  auto agent = agent::ChildProcess::start(
      "/usr/bin/setpriv",
      {"--reuid", "nobody", "--regid", "nogroup", "--clear-groups", TAILRACE_PROGRAM, "agent", "--dir",
       host_.segments(), "--endpoint", "http://127.0.0.1:" + std::to_string(host_.sink_port())},
      agent::Captured::standard_error);
  ASSERT_TRUE(agent.ok()) << agent.error().sentence;
  std::string words;
  while (words.find("ready:") == std::string::npos) {
    const auto line = agent->read_line(seconds(20));
    ASSERT_TRUE(line) << "the agent did not start as an ordinary user; it said:\n" << words;
    words += *line + "\n";
  }
  // Root's program, in a directory of somebody else below a parent that root alone may write: trusted.
  agent::ChildProcess program = host_.start_program("/bin/sh", {"-c", victim("of-root 2 500 50 500")});
  wait_for(program, seconds(20));
  // It may be gone before the agent has found its segment: then nothing is pending yet.
  for (int i = 0; i < 500 && host_.status().totals[0].seen < 1000; ++i) std::this_thread::sleep_for(milliseconds(20));
  ASSERT_TRUE(host_.wait_until_settled(seconds(30)));
  EXPECT_EQ(host_.status().totals[0].delivered, 1000u);
  EXPECT_EQ(agent->stop(), 0);
}

}  // namespace
}  // namespace tailrace::testing
