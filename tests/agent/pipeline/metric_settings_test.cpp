// SPDX-License-Identifier: Apache-2.0
//
// otlp 1.7: OTEL_METRIC_EXPORT_INTERVAL and …_TEMPORALITY_PREFERENCE, and who wins.
#include <gtest/gtest.h>

#include "agent/pipeline/session_metrics.hpp"

namespace tailrace::agent {
namespace {

using std::chrono::milliseconds;

ProcessHints hints(int interval_ms, Temporality temporality) {
  ProcessHints hints;
  hints.metric_interval = milliseconds(interval_ms);
  hints.temporality = temporality;
  return hints;
}

TEST(MetricSettingsTest, WithoutAWordAMinuteAndCumulative) {
  const MetricSettings settings = metric_settings_of({}, {});
  EXPECT_EQ(settings.interval, milliseconds(60'000));
  EXPECT_EQ(settings.preference, TemporalityPreference::cumulative);
  EXPECT_TRUE(settings.process_metrics);
}

TEST(MetricSettingsTest, AProcessMayWish) {
  const MetricSettings settings = metric_settings_of({}, hints(5000, Temporality::low_memory));
  EXPECT_EQ(settings.interval, milliseconds(5000));
  EXPECT_EQ(settings.preference, TemporalityPreference::lowmemory);
}

TEST(MetricSettingsTest, TheAgentsVariablesWinOverTheProcessAndItsOptionsOverBoth) {
  const ProcessHints both =
      hints(7000, Temporality::cumulative).or_else(hints(5000, Temporality::delta));  // the agent's, then the process's
  EXPECT_EQ(metric_settings_of({}, both).interval, milliseconds(7000));
  EXPECT_EQ(metric_settings_of({}, both).preference, TemporalityPreference::cumulative);
  AgentOptions options;
  options.metric_interval = milliseconds(100);
  options.temporality = Temporality::delta;
  options.process_metrics = false;
  const MetricSettings settings = metric_settings_of(options, both);
  EXPECT_EQ(settings.interval, milliseconds(100));
  EXPECT_EQ(settings.preference, TemporalityPreference::delta);
  EXPECT_FALSE(settings.process_metrics);
}

}  // namespace
}  // namespace tailrace::agent
