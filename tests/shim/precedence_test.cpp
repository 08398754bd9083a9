// SPDX-License-Identifier: Apache-2.0
// Who wins: code, then OpenTelemetry's variables, then our own. And our own variables' values. otlp-rules 1.7.
#include <cstdlib>
#include <functional>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <tailrace/tailrace.hpp>

#include "segment_view.hpp"

namespace tailrace::test {
namespace {

using namespace tailrace::literals;
using Variable = std::pair<const char*, const char*>;

// Something of each kind, in a process with this configuration and these variables.
Segment recorded(const Config& given, const std::vector<Variable>& variables, std::string* warning = nullptr) {
  const Directory directory;
  int ends[2];
  EXPECT_EQ(pipe(ends), 0);
  EXPECT_EQ(in_child([&] {
              for (const auto& [name, value] : variables) setenv(name, value, 1);
              Config config = given;
              config.quiet = true;
              const std::string sentence = init(config).sentence;
              CHILD_EXPECT(write(ends[1], sentence.data(), sentence.size()) > 0, 90);
              auto a = span("a"_n);
              for (int i = 0; i < 4; ++i) a.set("key " + std::to_string(i), "text");
              auto b = span("b"_n);
              auto c = span("c"_n);
              warn("a warning");
              error("an error");
              counter<std::uint64_t>("counter").add(1);
              histogram<double>("histogram").record(1.0);
            }),
            0);
  close(ends[1]);
  char text[512] = {};
  EXPECT_GT(read(ends[0], text, sizeof text - 1), 0);
  close(ends[0]);
  if (warning != nullptr) *warning = text;
  const std::vector<Segment> all = directory.segments();
  return all.empty() ? Segment{} : all.front();
}

std::string has(bool it) { return it ? "yes" : "no"; }
std::string attributes(const Segment& s) {
  const Span* a = s.span("a");
  return a == nullptr ? "none" : std::to_string(a->of(shm::ItemType::string).size());
}

struct Row {
  const char* what;
  std::function<void(Config&)> code;
  Variable otel;  // empty: there is none
  Variable own;
  std::function<std::string(const Segment&)> seen;
  const char* by_default;
  const char* by_code;
  const char* by_otel;
  const char* by_own;
};

const Attribute kResource[] = {{"a", "code"}, {"service.name", "code"}};

const Row kRows[] = {
    {"the service's name",
     [](Config& c) { c.service = "code"; },
     {"OTEL_SERVICE_NAME", "otel"},
     {"TAILRACE_SERVICE_NAME", "own"},
     [](const Segment& s) { return s.of_resource("service.name").substr(1, 4); },
     "unkn",
     "code",
     "otel",
     "own\""},
    {"an attribute of the resource",
     [](Config& c) { c.resource = Attributes(kResource, 2); },
     {"OTEL_RESOURCE_ATTRIBUTES", "a=otel,service.version=2"},
     {},
     [](const Segment& s) { return s.of_resource("a"); },
     "",
     "\"code\"",
     "\"otel\"",
     ""},
    {"the service's version",
     [](Config& c) { c.service_version = "1"; },
     {"OTEL_RESOURCE_ATTRIBUTES", "a=otel,service.version=2"},
     {},
     [](const Segment& s) { return s.of_resource("service.version"); },
     "",
     "\"1\"",
     "\"2\"",
     ""},
    {"the service's name in the resource",
     [](Config& c) { c.resource = Attributes(kResource, 2); },
     {"OTEL_RESOURCE_ATTRIBUTES", "service.name=otel"},
     {"OTEL_SERVICE_NAME", "strong"},
     [](const Segment& s) { return s.of_resource("service.name").substr(1, 4); },
     "unkn",
     "code",
     "otel",
     "stro"},
    {"whether anything is recorded",
     [](Config& c) { c.disabled = true; },
     {"OTEL_SDK_DISABLED", "false"},
     {"TAILRACE_DISABLED", "True"},
     [](const Segment& s) { return has(!s.file.empty()); },
     "yes",
     "no",
     "yes",
     "no"},
    {"traces",
     [](Config& c) { c.traces = false; },
     {"OTEL_TRACES_EXPORTER", "Otlp"},
     {},
     [](const Segment& s) { return has(s.span("a") != nullptr); },
     "yes",
     "no",
     "yes",
     ""},
    {"logs",
     [](Config& c) { c.logs = false; },
     {"OTEL_LOGS_EXPORTER", "otlp"},
     {},
     [](const Segment& s) { return has(s.log("an error") != nullptr); },
     "yes",
     "no",
     "yes",
     ""},
    {"metrics",
     [](Config& c) { c.metrics = false; },
     {"OTEL_METRICS_EXPORTER", "otlp"},
     {},
     [](const Segment& s) { return has(s.metric("counter") != nullptr && s.metric("counter")->integer == 1); },
     "yes",
     "no",
     "yes",
     ""},
    {"the sampler",
     [](Config& c) { c.sampler = Sampler::always_off; },
     {"OTEL_TRACES_SAMPLER", "ALWAYS_ON"},
     {},
     [](const Segment& s) { return has(s.span("a") != nullptr); },
     "yes",
     "no",
     "yes",
     ""},
    {"a limit",
     [](Config& c) { c.span_attribute_count_limit = 1; },
     {"OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "3"},
     {},
     attributes,
     "4",
     "1",
     "3",
     ""},
    {"a limit that falls back",
     [](Config& c) { c.attribute_count_limit = 1; },
     {"OTEL_ATTRIBUTE_COUNT_LIMIT", "0"},
     {},
     attributes,
     "4",
     "1",
     "0",
     ""},
    {"the histograms",
     [](Config& c) { c.exponential_histograms = true; },
     {"OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION", "explicit_bucket_histogram"},
     {},
     [](const Segment& s) {
       return has(s.metric("histogram")->descriptor.kind ==
                  static_cast<std::uint8_t>(shm::MetricKind::exponential_histogram));
     },
     "no",
     "yes",
     "no",
     ""},
    {"the least severity",
     [](Config& c) { c.min_severity = Severity::fatal; },
     {},
     {"TAILRACE_MIN_SEVERITY", "Error"},
     [](const Segment& s) { return std::to_string(s.logs.size()); },
     "2",
     "0",
     "",
     "1"},
    {"the least severity as a number",
     [](Config& c) { c.min_severity = Severity::fatal; },
     {},
     {"TAILRACE_MIN_SEVERITY", "13"},
     [](const Segment& s) { return std::to_string(s.logs.size()); },
     "2",
     "0",
     "",
     "2"},
    {"the depth",
     [](Config& c) { c.depth_limit = 1; },
     {},
     {"TAILRACE_DEPTH_LIMIT", "2"},
     [](const Segment& s) { return std::to_string(s.spans.size()); },
     "3",
     "1",
     "",
     "2"},
};

TEST(Precedence, IsCodeThenOpenTelemetrysVariablesThenOurOwn) {
  for (const Row& row : kRows) {
    Config config;
    std::vector<Variable> variables;
    EXPECT_EQ(row.seen(recorded(config, variables)), row.by_default) << row.what;
    row.code(config);
    EXPECT_EQ(row.seen(recorded(config, variables)), row.by_code) << row.what;
    if (row.otel.first != nullptr) {
      variables.push_back(row.otel);
      EXPECT_EQ(row.seen(recorded(config, variables)), row.by_otel) << row.what;
    }
    if (row.own.first != nullptr) {
      variables.push_back(row.own);
      EXPECT_EQ(row.seen(recorded(config, variables)), row.by_own) << row.what;
    }
  }
}

// A wrong variable of ours is no reason to record nothing, as a wrong configuration in code is.
TEST(Precedence, AWrongVariableOfOursIsUnsetAndNamed) {
  const Variable rows[] = {
      {"TAILRACE_DISABLED", "1"},      {"TAILRACE_QUIET", "yes"},           {"TAILRACE_MIN_SEVERITY", "loud"},
      {"TAILRACE_MIN_SEVERITY", "25"}, {"TAILRACE_DEPTH_LIMIT", "0"},       {"TAILRACE_DEPTH_LIMIT", "129"},
      {"TAILRACE_LANES", "1"},         {"TAILRACE_LANES", "1000000"},       {"TAILRACE_RING_BYTES", "65537"},
      {"TAILRACE_RING_BYTES", "4096"}, {"TAILRACE_RING_BYTES", "33554432"}, {"TAILRACE_RING_BYTES", "64k"}};
  for (const Variable& row : rows) {
    std::string warning;
    const Segment s = recorded({}, {row}, &warning);
    EXPECT_EQ(s.spans.size(), 3u) << row.first << "=" << row.second;
    EXPECT_EQ(warning.rfind("recording; ignored: " + std::string(row.first) + " ", 0), 0u) << warning;
  }
}

TEST(Precedence, ARightVariableOfOursIsTakenWithoutAWord) {
  const Variable rows[] = {{"TAILRACE_DISABLED", ""},        {"TAILRACE_MIN_SEVERITY", "TRACE"},
                           {"TAILRACE_DEPTH_LIMIT", "128"},  {"TAILRACE_LANES", "64"},
                           {"TAILRACE_RING_BYTES", "65536"}, {"TAILRACE_RING_BYTES", "1048576"}};
  for (const Variable& row : rows) {
    std::string warning;
    const Segment s = recorded({}, {row}, &warning);
    EXPECT_EQ(s.spans.size(), 3u) << row.first << "=" << row.second;
    EXPECT_EQ(warning.rfind("recording into ", 0), 0u) << warning;
  }
}

}  // namespace
}  // namespace tailrace::test
