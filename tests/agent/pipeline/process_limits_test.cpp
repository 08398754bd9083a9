// SPDX-License-Identifier: Apache-2.0
#include "agent/pipeline/process_limits.hpp"

#include <gtest/gtest.h>

namespace tailrace::agent {
namespace {

using std::chrono::milliseconds;

milliseconds linger(const BatchLimits& limits, QueueClass queue) {
  return limits.linger[static_cast<std::size_t>(queue)];
}

ProcessHints hints(int delay_ms, std::uint32_t records) {
  ProcessHints hints;
  hints.traces = {milliseconds(delay_ms), records};
  return hints;
}

TEST(ProcessLimitsTest, AProcessThatSaysNothingHasTheDefaults) {
  const AgentOptions options;
  for (const BatchLimits& limits : limits_of(options, {})) {
    EXPECT_EQ(limits.records, options.batch.records);
    EXPECT_EQ(limits.linger, options.batch.linger);
  }
}

TEST(ProcessLimitsTest, AHintConcernsItsSignalAlone) {
  const ProcessLimits limits = limits_of({}, hints(50, 100));
  EXPECT_EQ(linger(limits[index_of(Signal::traces)], QueueClass::normal), milliseconds(50));
  EXPECT_EQ(limits[index_of(Signal::traces)].records, 100u);
  EXPECT_EQ(linger(limits[index_of(Signal::logs)], QueueClass::normal), milliseconds(200));
  EXPECT_EQ(limits[index_of(Signal::logs)].records, 4096u);
}

TEST(ProcessLimitsTest, CriticalRecordsNeverWaitAndBackgroundOnesNoLessThanNormalOnes) {
  const BatchLimits slow = limits_of({}, hints(5000, 100))[index_of(Signal::traces)];
  EXPECT_EQ(linger(slow, QueueClass::critical), milliseconds(0));
  EXPECT_EQ(linger(slow, QueueClass::normal), milliseconds(5000));
  EXPECT_EQ(linger(slow, QueueClass::background), milliseconds(5000));
  const BatchLimits fast = limits_of({}, hints(50, 100))[index_of(Signal::traces)];
  EXPECT_EQ(linger(fast, QueueClass::background), milliseconds(2000));
}

TEST(ProcessLimitsTest, TheAgentsOptionsWinOverHints) {
  AgentOptions options;
  options.batch.records = 7;
  options.batch_records_given = true;
  options.batch.linger = {milliseconds(0), milliseconds(10), milliseconds(20)};
  options.linger_given = true;
  const BatchLimits limits = limits_of(options, hints(5000, 100))[index_of(Signal::traces)];
  EXPECT_EQ(limits.records, 7u);
  EXPECT_EQ(linger(limits, QueueClass::normal), milliseconds(10));
  EXPECT_EQ(linger(limits, QueueClass::background), milliseconds(20));
}

TEST(ProcessLimitsTest, AGivenLingerOfBackgroundRecordsIsNotChanged) {
  AgentOptions options;
  options.batch.linger[static_cast<std::size_t>(QueueClass::background)] = milliseconds(30);
  options.background_linger_given = true;
  const BatchLimits limits = limits_of(options, hints(5000, 100))[index_of(Signal::traces)];
  EXPECT_EQ(linger(limits, QueueClass::normal), milliseconds(5000));
  EXPECT_EQ(linger(limits, QueueClass::background), milliseconds(30));
}

}  // namespace
}  // namespace tailrace::agent
