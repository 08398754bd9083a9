// SPDX-License-Identifier: Apache-2.0
//
// A process's wishes about batching reach the agent, which obeys them unless it was told otherwise.
#include <gtest/gtest.h>

#include <cstdlib>
#include <string>
#include <vector>

#include "tests/fault/host.hpp"

namespace tailrace::testing {
namespace {

using std::chrono::seconds;
using Environment = std::vector<std::pair<std::string, std::string>>;

const Environment kLongDelay{{"OTEL_BSP_SCHEDULE_DELAY", "30000"}};

class HintsTest : public ::testing::Test {
 protected:
  // Eight spans and two logs.
  void run_program(const Environment& environment) {
    agent::ChildProcess program =
        host_.start_program("/bin/sh", {"-c", std::string(TAILRACE_VICTIM) + " hints 1 8 0 0 >/dev/null"}, environment);
    EXPECT_TRUE(wait_until([&] { return !program.running(); }, seconds(20)));
  }
  [[nodiscard]] int arrived(bool logs) const {
    int count = 0;
    for (const Arrived& record : host_.arrived()) count += record.is_log == logs ? 1 : 0;
    return count;
  }
  // Of the only process there was.
  [[nodiscard]] std::uint64_t refused() const {
    std::uint64_t refused = 0;
    for (const agent::ProcessStatus& process : host_.status().processes) {
      refused += process.words[static_cast<std::size_t>(agent::ProcessWord::hints_refused)];
    }
    return refused;
  }
  bool agent_said(const std::string& what) {
    for (const std::string& line : host_.agent_words()) {
      if (line.find(what) != line.npos) return true;
    }
    return false;
  }

  Host host_;
};

// otlp-rules 1.7: OTEL_BSP_SCHEDULE_DELAY lands in the agent, for spans and not for logs.
TEST_F(HintsTest, SpansWaitAsLongAsTheirProcessWishes) {
  host_.start_sink();
  host_.start_agent();
  run_program(kLongDelay);
  EXPECT_TRUE(wait_until([&] { return arrived(true) == 2; }, seconds(20)));
  std::this_thread::sleep_for(milliseconds(500));
  EXPECT_EQ(arrived(false), 0);
  EXPECT_EQ(host_.status().open.records, 8u);
  EXPECT_EQ(host_.stop_agent(), 0);
  EXPECT_EQ(arrived(false), 8);
}

TEST_F(HintsTest, TheAgentsOptionWinsOverTheProcess) {
  host_.start_sink();
  host_.start_agent({"--linger", "10"});
  run_program(kLongDelay);
  EXPECT_TRUE(wait_until([&] { return arrived(false) == 8; }, seconds(20)));
}

TEST_F(HintsTest, TheAgentsEnvironmentWinsOverTheProcess) {
  host_.start_sink();
  ASSERT_EQ(::setenv("OTEL_BSP_SCHEDULE_DELAY", "10", 1), 0);
  host_.start_agent();
  ASSERT_EQ(::unsetenv("OTEL_BSP_SCHEDULE_DELAY"), 0);
  run_program(kLongDelay);
  EXPECT_TRUE(wait_until([&] { return arrived(false) == 8; }, seconds(20)));
  EXPECT_EQ(refused(), 0u);
}

TEST_F(HintsTest, AWishBeyondTheBoundsIsBroughtToThemSaidAndCounted) {
  host_.start_sink();
  host_.start_agent();
  run_program({{"OTEL_BLRP_MAX_EXPORT_BATCH_SIZE", "1"}});
  EXPECT_TRUE(wait_until([&] { return arrived(true) == 2; }, seconds(20)));
  EXPECT_EQ(refused(), 1u);
  EXPECT_TRUE(agent_said("OTEL_BLRP_MAX_EXPORT_BATCH_SIZE=1: outside 16 to 65536; using 16"));
}

}  // namespace
}  // namespace tailrace::testing
