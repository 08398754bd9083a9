// SPDX-License-Identifier: Apache-2.0
#include "agent/decode/hints.hpp"

#include "tests/agent/decode/decode_fixture.hpp"

namespace tailrace::agent::test {
namespace {

using std::chrono::milliseconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

HintsReport check(std::vector<HintText> texts) { return check_hints(texts); }

// otlp-rules 1.7: where BSP and BLRP variables land.
TEST(HintsTest, EachVariableHasItsPlace) {
  const HintsReport report = check({{"OTEL_BSP_SCHEDULE_DELAY", "5000"},
                                    {"OTEL_BSP_MAX_QUEUE_SIZE", "2048"},
                                    {"OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "512"},
                                    {"OTEL_BLRP_SCHEDULE_DELAY", "1000"},
                                    {"OTEL_BLRP_MAX_QUEUE_SIZE", "4096"},
                                    {"OTEL_BLRP_MAX_EXPORT_BATCH_SIZE", "256"},
                                    {"OTEL_METRIC_EXPORT_INTERVAL", "60000"},
                                    {"OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "Delta"}});
  EXPECT_THAT(report.warnings, IsEmpty());
  EXPECT_EQ(report.refused, 0u);
  const ProcessHints expected{
      {milliseconds(5000), 512}, {milliseconds(1000), 256}, milliseconds(60000), Temporality::delta};
  EXPECT_EQ(report.hints, expected);
}

TEST(HintsTest, EachWordOfTheTemporalityIsKnownInAnyCase) {
  const auto of = [](std::string_view word) {
    return check({{"OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", word}}).hints.temporality;
  };
  EXPECT_EQ(of("CUMULATIVE"), Temporality::cumulative);
  EXPECT_EQ(of("delta"), Temporality::delta);
  EXPECT_EQ(of("LowMemory"), Temporality::low_memory);
  EXPECT_EQ(of("sometimes"), std::nullopt);
}

TEST(HintsTest, ABatchIsNoLargerThanTheQueue) {
  EXPECT_EQ(check({{"OTEL_BSP_MAX_QUEUE_SIZE", "100"}, {"OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "512"}}).hints.traces.records,
            100u);
  EXPECT_EQ(check({{"OTEL_BLRP_MAX_QUEUE_SIZE", "100"}}).hints.logs.records, 100u);
}

TEST(HintsTest, AnEmptyValueIsUnset) {
  const HintsReport report = check({{"OTEL_BSP_SCHEDULE_DELAY", ""}, {"OTEL_METRIC_EXPORT_INTERVAL", "  "}});
  EXPECT_EQ(report.hints, ProcessHints{});
  EXPECT_EQ(report.refused, 0u);
}

TEST(HintsTest, WhatIsNoNumberIsIgnoredAndSaid) {
  for (const std::string_view value : {"soon", "-1", "1.5", "12s", "0x10", "99999999999999999999", "2147483648"}) {
    const HintsReport report = check({{"OTEL_BSP_SCHEDULE_DELAY", value}});
    EXPECT_EQ(report.hints, ProcessHints{}) << value;
    EXPECT_EQ(report.refused, 1u) << value;
    ASSERT_EQ(report.warnings.size(), 1u) << value;
    EXPECT_THAT(report.warnings[0], HasSubstr("OTEL_BSP_SCHEDULE_DELAY"));
    EXPECT_THAT(report.warnings[0], HasSubstr(std::string(value)));
  }
}

TEST(HintsTest, WhatLiesOutsideTheBoundsIsBroughtToThemAndSaid) {
  const HintsReport report = check({{"OTEL_BSP_SCHEDULE_DELAY", "2000000000"},
                                    {"OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "1"},
                                    {"OTEL_BLRP_MAX_EXPORT_BATCH_SIZE", "2000000000"},
                                    {"OTEL_METRIC_EXPORT_INTERVAL", "0"}});
  EXPECT_EQ(report.hints.traces.delay, kDelayMax);
  EXPECT_EQ(report.hints.traces.records, kBatchRecordsMin);
  EXPECT_EQ(report.hints.logs.records, kBatchRecordsMax);
  EXPECT_EQ(report.hints.metric_interval, kMetricIntervalMin);
  EXPECT_EQ(report.refused, 4u);
  EXPECT_EQ(report.warnings.size(), 4u);
}

TEST(HintsTest, AnUnknownSettingIsIgnoredAndManyAreCountedButNotAllSaid) {
  std::vector<HintText> many(1000, HintText{"OTEL_SECRET", "x"});
  const HintsReport report = check(many);
  EXPECT_EQ(report.hints, ProcessHints{});
  EXPECT_EQ(report.refused, 1000u);
  EXPECT_EQ(report.warnings.size(), 3u);
}

TEST(HintsTest, WhatOneDoesNotSayTheOtherMay) {
  ProcessHints first;
  first.traces.delay = milliseconds(1);
  first.metric_interval = milliseconds(1000);
  ProcessHints second;
  second.traces = {milliseconds(2), 64};
  second.temporality = Temporality::delta;
  const ProcessHints both = first.or_else(second);
  EXPECT_EQ(both.traces.delay, milliseconds(1));
  EXPECT_EQ(both.traces.records, 64u);
  EXPECT_EQ(both.metric_interval, milliseconds(1000));
  EXPECT_EQ(both.temporality, Temporality::delta);
}

class HintsBlobTest : public DecoderTest {};

TEST_F(HintsBlobTest, ABlobOfTextsIsRead) {
  const auto bytes = Items().string("OTEL_BSP_SCHEDULE_DELAY", "2000").integer("OTEL_METRIC_EXPORT_INTERVAL", 5).blob();
  const HintsReport report = check_hints(decoder_.decode_blob(shm::test::bytes_of(bytes)));
  EXPECT_EQ(report.hints.traces.delay, milliseconds(2000));
  EXPECT_EQ(report.hints.metric_interval, std::nullopt);
  EXPECT_THAT(report.warnings, ElementsAre(HasSubstr("no text")));
  EXPECT_EQ(report.refused, 1u);
}

TEST_F(HintsBlobTest, AnUnsoundBlobIsOneRefusedHint) {
  auto broken = Items().string("OTEL_BSP_SCHEDULE_DELAY", "2000").blob();
  broken.resize(broken.size() - 8);
  const HintsReport report = check_hints(decoder_.decode_blob(shm::test::bytes_of(broken)));
  EXPECT_EQ(report.hints, ProcessHints{});
  EXPECT_EQ(report.refused, 1u);
}

}  // namespace
}  // namespace tailrace::agent::test
