// SPDX-License-Identifier: Apache-2.0
// init() and the variables of the environment, row by row.
#include <cstdlib>
#include <string>
#include <vector>

#include <unistd.h>

#include <gtest/gtest.h>
#include <tailrace/tailrace.hpp>

#include "segment_view.hpp"
#include "shim/src/environment.hpp"

namespace tailrace::test {
namespace {

using namespace tailrace::literals;

struct Variables {
  std::vector<std::pair<const char*, const char*>> set;
  void apply() const {
    for (const auto& [name, value] : set) setenv(name, value, 1);
  }
};

class Environment : public ::testing::Test {
 protected:
  // The child's init() outcome must be `code`.
  Segment after(
      const Variables& variables, Code code = Code::ok, const Config& config = {},
      const std::function<void()>& body = [] {}) {
    EXPECT_EQ(in_child([&] {
                variables.apply();
                Config quiet = config;
                quiet.quiet = true;
                const Outcome outcome = init(quiet);
                CHILD_EXPECT(outcome.code == code, 90);
                body();
              }),
              0);
    const auto all = directory_.segments();
    return all.empty() ? Segment{} : all.front();
  }
  Directory directory_;
};

TEST_F(Environment, DisablesTheSdkOnlyByTrue) {
  EXPECT_EQ(after({{{"OTEL_SDK_DISABLED", "TRUE"}}}, Code::disabled).file, "");
  EXPECT_NE(after({{{"OTEL_SDK_DISABLED", "1"}}}, Code::ok).file, "") << "anything but true is false, with a warning";
}

TEST_F(Environment, GivesTheServiceItsName) {
  Config config;
  config.service = "code";
  EXPECT_EQ(after({}, Code::ok, config).of_resource("service.name"), "\"code\"");
}
TEST_F(Environment, LetsOtelServiceNameWinOverCodeAndResourceAttributes) {
  Config config;
  config.service = "code";
  const Segment s =
      after({{{"OTEL_SERVICE_NAME", "otel"}, {"OTEL_RESOURCE_ATTRIBUTES", "service.name=attributes,a=b%20c, d = e "}}},
            Code::ok, config);
  EXPECT_EQ(s.of_resource("service.name"), "\"otel\"");
  EXPECT_EQ(s.of_resource("a"), "\"b c\"");
}
TEST_F(Environment, LetsResourceAttributesWinOverCode) {
  Config config;
  config.service = "code";
  EXPECT_EQ(
      after({{{"OTEL_RESOURCE_ATTRIBUTES", "service.name=attributes"}}}, Code::ok, config).of_resource("service.name"),
      "\"attributes\"");
}
TEST_F(Environment, LetsTailraceServiceNameWinOverAll) {
  EXPECT_EQ(after({{{"OTEL_SERVICE_NAME", "otel"}, {"TAILRACE_SERVICE_NAME", "own"}}}).of_resource("service.name"),
            "\"own\"");
}
TEST_F(Environment, FallsBackToUnknownServiceAndTheExecutable) {
  EXPECT_EQ(after({}).of_resource("service.name").substr(0, 17), "\"unknown_service:");
}
TEST_F(Environment, DiscardsResourceAttributesThatCannotBeDecodedAltogether) {
  for (const char* bad : {"a=b,c=%zz", "a=b,noequals", "a=b,=x"}) {
    EXPECT_EQ(after({{{"OTEL_RESOURCE_ATTRIBUTES", bad}}}).of_resource("a"), "") << bad;
    for (const auto& file : directory_.files()) unlink((directory_.path() + "/" + file).c_str());
  }
}
TEST_F(Environment, NamesItselfInTheResource) {
  const Segment s = after({});
  EXPECT_EQ(s.of_resource("telemetry.sdk.name"), "\"tailrace\"");
  EXPECT_EQ(s.of_resource("telemetry.sdk.language"), "\"cpp\"");
  const std::string id = s.of_resource("service.instance.id");
  ASSERT_EQ(id.size(), 38u);
  EXPECT_EQ(id[15], '4') << "a UUID of version 4";
}
TEST_F(Environment, PassesTheAgentsVariablesOnAsHints) {
  const Segment s = after({{{"OTEL_BSP_SCHEDULE_DELAY", "100"}, {"OTEL_METRIC_EXPORT_INTERVAL", "1000"}}});
  ASSERT_EQ(s.hints.size(), 2u);
  EXPECT_EQ(s.hints[0].key, "OTEL_BSP_SCHEDULE_DELAY");
  EXPECT_EQ(s.hints[0].value, "\"100\"");
}

TEST_F(Environment, SwitchesSignalsOffByExporterNone) {
  const Segment s = after({{{"OTEL_TRACES_EXPORTER", "none"}, {"OTEL_LOGS_EXPORTER", "console"}}}, Code::ok, {}, [] {
    auto a = span("a"_n);
    CHILD_EXPECT(!a.recording(), 1);
    info("log {}"_n, 1);
  });
  EXPECT_TRUE(s.spans.empty());
  EXPECT_EQ(s.logs.size(), 1u);
}

struct SamplerRow {
  const char* sampler;
  const char* argument;
  std::size_t roots;           // of 64
  std::size_t sampled_remote;  // of 1
  std::size_t unsampled_remote;
};
class Samplers : public Environment, public ::testing::WithParamInterface<SamplerRow> {};

TEST_P(Samplers, DecideAsSpecified) {
  const SamplerRow row = GetParam();
  const Segment s =
      after({{{"OTEL_TRACES_SAMPLER", row.sampler}, {"OTEL_TRACES_SAMPLER_ARG", row.argument}}}, Code::ok, {}, [] {
        for (int i = 0; i < 64; ++i) auto root = span("root"_n);
        SpanOptions options;
        const Context sampled = Context::from_traceparent("00-0af7651916cd43dd8480000000000001-b7ad6b7169203331-03");
        options.parent = sampled;
        { auto a = span("sampled parent"_n, options); }
        const Context unsampled = Context::from_traceparent("00-0af7651916cd43dd8480000000000001-b7ad6b7169203331-02");
        options.parent = unsampled;
        { auto a = span("unsampled parent"_n, options); }
      });
  if (row.roots == 999) {
    EXPECT_GT(s.count("root"), 10u);
    EXPECT_LT(s.count("root"), 54u);
  } else {
    EXPECT_EQ(s.count("root"), row.roots);
  }
  EXPECT_EQ(s.count("sampled parent"), row.sampled_remote);
  EXPECT_EQ(s.count("unsampled parent"), row.unsampled_remote);
}
INSTANTIATE_TEST_SUITE_P(
    Table, Samplers,
    ::testing::Values(SamplerRow{"always_on", "", 64, 1, 1}, SamplerRow{"ALWAYS_OFF", "", 0, 0, 0},
                      SamplerRow{"traceidratio", "0.5", 999, 1, 1}, SamplerRow{"traceidratio", "0", 0, 0, 0},
                      SamplerRow{"traceidratio", "", 64, 1, 1}, SamplerRow{"traceidratio", "2", 64, 1, 1},
                      SamplerRow{"parentbased_always_on", "", 64, 1, 0},
                      SamplerRow{"parentbased_always_off", "", 0, 1, 0},
                      SamplerRow{"parentbased_traceidratio", "0", 0, 1, 0}, SamplerRow{"jaeger_remote", "", 64, 1, 0}));

TEST_F(Environment, TakesLimitsWithTheirFallBacks) {
  const Segment s = after({{{"OTEL_ATTRIBUTE_COUNT_LIMIT", "2"},
                            {"OTEL_LOGRECORD_ATTRIBUTE_COUNT_LIMIT", "1"},
                            {"OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", "3"},
                            {"OTEL_SPAN_EVENT_COUNT_LIMIT", "-1"}}},
                          Code::ok, {}, [] {
                            auto a = span("a"_n);
                            a.set("1"_n, "12345");
                            a.set("2"_n, 2);
                            a.set("3"_n, 3);
                            a.event("e"_n);
                            info("l", {{"x", "12345"}, {"y", 2}});
                          });
  EXPECT_EQ(s.span("a")->attribute("1"), "\"123\"");
  EXPECT_EQ(s.span("a")->attribute("2"), "2");
  EXPECT_EQ(s.span("a")->attribute("3"), "");
  EXPECT_EQ(s.span("a")->of(shm::ItemType::event).size(), 1u) << "a number out of range is unset";
  EXPECT_EQ(s.log("l")->attribute("x"), "\"12345\"");
  EXPECT_EQ(s.log("l")->attribute("y"), "");
}

TEST(EnvironmentRules, TakeEmptyForUnsetAndWrongForUnsetWithAWord) {
  setenv("TAILRACE_TEST_VARIABLE", "", 1);
  shim::Problems problems;
  EXPECT_EQ(shim::variable("TAILRACE_TEST_VARIABLE"), nullptr);
  EXPECT_EQ(shim::number_variable("TAILRACE_TEST_VARIABLE", 7, 0, 100, problems), 7u);
  EXPECT_TRUE(problems.none());
  for (const char* bad : {"abc", "-1", "101", "1.5", "1 ", "99999999999999999999"}) {
    setenv("TAILRACE_TEST_VARIABLE", bad, 1);
    shim::Problems said;
    EXPECT_EQ(shim::number_variable("TAILRACE_TEST_VARIABLE", 7, 0, 100, said), 7u) << bad;
    EXPECT_FALSE(said.none()) << bad;
  }
  setenv("TAILRACE_TEST_VARIABLE", "0", 1);
  EXPECT_EQ(shim::number_variable("TAILRACE_TEST_VARIABLE", 7, 0, 100, problems), 0u);
  EXPECT_TRUE(problems.none());
  unsetenv("TAILRACE_TEST_VARIABLE");
}

TEST(EnvironmentRules, TurnRatiosIntoThresholds) {
  EXPECT_EQ(shim::threshold_of(1.0), 0u);
  EXPECT_EQ(shim::threshold_of(0.0), 1ull << 56);
  EXPECT_EQ(shim::threshold_of(0.5), 1ull << 55);
  EXPECT_EQ(shim::threshold_of(0.25), 3ull << 54);
}

TEST_F(Environment, ValidatesEverythingAtOnceInOneSentence) {
  EXPECT_EQ(in_child([] {
              Config config;
              config.quiet = true;
              config.ring_bytes = 1000;
              config.depth_limit = 500;
              config.sampler_ratio = 7;
              config.directory = "relative";
              const Outcome outcome = init(config);
              const std::string sentence = outcome.sentence;
              CHILD_EXPECT(outcome.code == Code::invalid, 1);
              CHILD_EXPECT(sentence.find("ring_bytes is 1000") != std::string::npos, 2);
              CHILD_EXPECT(sentence.find("depth_limit is 500") != std::string::npos, 3);
              CHILD_EXPECT(sentence.find("sampler_ratio is 7") != std::string::npos, 4);
              CHILD_EXPECT(stats().mode == Code::invalid, 6);
              auto a = span("a"_n);
              CHILD_EXPECT(!a.recording() && stats().unrecorded > 0, 7);
            }),
            0);
}

TEST_F(Environment, RefusesTheSecondInit) {
  EXPECT_EQ(in_child([] {
              CHILD_EXPECT(init().ok(), 1);
              const Outcome second = init();
              CHILD_EXPECT(second.code == Code::already_initialised && second.sentence[0] != 0, 2);
              auto a = span("a"_n);
              CHILD_EXPECT(a.recording(), 3);
            }),
            0);
}

}  // namespace
}  // namespace tailrace::test
