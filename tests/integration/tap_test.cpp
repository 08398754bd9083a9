// SPDX-License-Identifier: Apache-2.0
//
// `tailrace tap` as a user calls it, with a real agent and a program that records.
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <csignal>
#include <functional>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "tests/fault/host.hpp"

namespace tailrace::testing {
namespace {

using agent::Captured;
using agent::ChildProcess;
using std::chrono::seconds;

class TapTest : public ::testing::Test {
 protected:
  void SetUp() override {
    host_.start_sink();
    host_.start_agent();
  }

  ChildProcess tap(std::vector<std::string> options) {
    options.insert(options.begin(), "tap");
    ChildProcess child = host_.start_program(TAILRACE_PROGRAM, options);
    // The agent says when the filter is in force.
    EXPECT_TRUE(wait_until([this] { return heard("watches"); }, seconds(5)));
    return child;
  }

  bool heard(const std::string& words) {
    for (const std::string& line : host_.agent_words()) said_.push_back(line);
    for (auto line = said_.begin(); line != said_.end(); ++line) {
      if (line->find(words) == std::string::npos) continue;
      said_.erase(line);
      return true;
    }
    return false;
  }

  static std::vector<std::string> lines_of(ChildProcess& child, std::size_t count) {
    std::vector<std::string> lines;
    while (lines.size() < count) {
      auto line = child.read_line(seconds(10));
      if (!line) break;
      lines.push_back(std::move(*line));
    }
    EXPECT_EQ(lines.size(), count);
    return lines;
  }

  // The exit status of a program that ends by itself; -1 when it does not.
  static int status_of(ChildProcess& child) {
    int status = -1;
    if (!wait_until([&] { return !child.running(); }, seconds(10))) return -1;
    status = child.stop();
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }

  Host host_;
  std::vector<std::string> said_;
};

TEST_F(TapTest, ShowsWhatPassesThroughTheFilter) {
  ChildProcess app = host_.start_program(TAP_APP, {"till"});
  ChildProcess other = host_.start_program(TAP_APP, {"other"});
  struct Case {
    std::vector<std::string> options;
    std::function<bool(const nlohmann::json&)> right;
  };
  const std::vector<Case> cases{
      {{"--service", "till"}, [](const auto&) { return true; }},
      {{"--service", "t*l", "--slower-than", "10ms"},
       [](const auto& line) { return line["name"] == "slow" && line["duration_nano"] >= 20'000'000; }},
      {{"--service", "till", "--name", "fast"},
       [](const auto& line) { return line["name"] == "fast" && line["attributes"]["amount"] == 42; }},
      {{"--service", "till", "--severity", "warn"},
       [](const auto& line) { return line["body"] == "the stock is low" && line["attributes"]["left"] == 3; }},
      {{"--service", "till", "--signal", "logs"}, [](const auto& line) { return line["signal"] == "logs"; }},
  };
  for (const Case& c : cases) {
    std::vector<std::string> options = c.options;
    options.insert(options.end(), {"--json", "--count", "5"});
    ChildProcess child = tap(options);
    for (const std::string& text : lines_of(child, 5)) {
      const nlohmann::json line = nlohmann::json::parse(text, nullptr, false);
      ASSERT_TRUE(line.is_object()) << text;
      EXPECT_EQ(line["service"], "till") << text;
      EXPECT_TRUE(c.right(line)) << text;
    }
    EXPECT_EQ(status_of(child), 0) << "--count ends it";
  }
  app.stop();
  other.stop();
}

TEST_F(TapTest, ShowsMetricPointsAsTheyAreCollected) {
  host_.stop_agent();
  host_.start_agent({"--metric-interval", "200"});
  ChildProcess app = host_.start_program(TAP_APP, {"till"});
  ChildProcess child = tap({"--json", "--signal", "metrics", "--name", "turns", "--count", "2"});
  std::int64_t last = 0;
  for (const std::string& text : lines_of(child, 2)) {
    const nlohmann::json line = nlohmann::json::parse(text, nullptr, false);
    ASSERT_TRUE(line.is_object()) << text;
    EXPECT_EQ(line["signal"], "metrics");
    EXPECT_EQ(line["attributes"]["lane"], "left") << text;
    EXPECT_GT(line["value"].get<std::int64_t>(), last) << "cumulative";
    last = line["value"];
  }
  EXPECT_EQ(status_of(child), 0);
  app.stop();
}

TEST_F(TapTest, OneTraceIsFollowed) {
  ChildProcess app = host_.start_program(TAP_APP, {"till"});
  ChildProcess any = tap({"--json", "--count", "1", "--name", "slow"});
  const std::string first = lines_of(any, 1).at(0);
  // Each trace of the program ends with "slow": nothing comes after it.
  const std::string id = nlohmann::json::parse(first)["trace_id"];
  ChildProcess one = tap({"--json", "--trace", id});
  EXPECT_EQ(one.read_line(milliseconds(300)), std::nullopt);
  app.stop();
}

TEST_F(TapTest, TextFromAnApplicationCannotCommandTheTerminal) {
  ChildProcess app = host_.start_program(TAP_APP, {"till"});
  ChildProcess child = tap({"--name", "*evil", "--count", "2"});
  for (const std::string& line : lines_of(child, 2)) {
    EXPECT_NE(line.find("\\x1b[2J\\x07 evil"), std::string::npos) << line;
    EXPECT_EQ(line.find('\x1b'), std::string::npos);
    EXPECT_EQ(line.find('\x07'), std::string::npos);
  }
  app.stop();
}

TEST_F(TapTest, EndsOnCtrlCAndWhenNobodyReads) {
  ChildProcess child = tap({});
  child.signal(SIGINT);
  EXPECT_EQ(status_of(child), 0);
  EXPECT_TRUE(wait_until([this] { return heard("watches no longer"); }, seconds(5)));

  ChildProcess app = host_.start_program(TAP_APP, {"till"});
  ChildProcess piped = host_.start_program(
      "/bin/bash", {"-c", std::string(TAILRACE_PROGRAM) + " tap | head -n 1; echo ${PIPESTATUS[0]}"});
  const std::vector<std::string> lines = lines_of(piped, 2);
  EXPECT_EQ(lines.at(1), "0") << "a closed pipe is no failure";
  app.stop();
}

TEST_F(TapTest, SaysWhenTheAgentEndsAndWhenThereIsNone) {
  ChildProcess child = tap({});
  host_.kill_agent();
  EXPECT_EQ(status_of(child), 3);

  ChildProcess none = host_.start_program("/bin/bash", {"-c", std::string(TAILRACE_PROGRAM) + " tap 2>&1"});
  const std::string sentence = lines_of(none, 1).at(0);
  EXPECT_NE(sentence.find("no agent answers at " + host_.hold() + ".tap: start one with `tailrace agent`"),
            std::string::npos)
      << sentence;
  EXPECT_EQ(status_of(none), 1);

  host_.start_agent();  // takes the killed one's place, and its socket's
  ChildProcess again = tap({});
  EXPECT_EQ(host_.stop_agent(), 0);
  EXPECT_EQ(status_of(again), 3);
  struct stat info {};
  EXPECT_NE(::stat((host_.hold() + ".tap").c_str(), &info), 0) << "the socket is removed";
}

// A tap that is stopped (Ctrl-Z) holds nothing up: what the application writes is delivered all the same.
TEST_F(TapTest, ATapWhoseReaderHasStoppedEndsWhenItIsTold) {
  ChildProcess child = tap({});
  // Far more lines than a pipe holds, and nobody reads them.
  ChildProcess app = host_.start_program(
      "/bin/bash", {"-c", std::string("exec ") + TAILRACE_VICTIM + " victim 1 20000 200 2000 >/dev/null"});
  EXPECT_TRUE(wait_until([&] { return !app.running(); }, seconds(20)));
  std::this_thread::sleep_for(milliseconds(300));
  EXPECT_TRUE(child.running());
  child.signal(SIGINT);
  EXPECT_EQ(status_of(child), 0);
}

TEST_F(TapTest, AStoppedTapHoldsNothingUp) {
  ChildProcess child = tap({});
  child.signal(SIGSTOP);
  ChildProcess app = host_.start_program(
      "/bin/bash", {"-c", std::string("exec ") + TAILRACE_VICTIM + " victim 1 20000 200 2000 >/dev/null"});
  EXPECT_TRUE(wait_until([&] { return !app.running(); }, seconds(20)));
  EXPECT_TRUE(host_.wait_until_settled(seconds(20)));
  expect_balanced(host_.status());
  child.signal(SIGCONT);
  child.signal(SIGINT);
  EXPECT_EQ(status_of(child), 0);
}

}  // namespace
}  // namespace tailrace::testing
