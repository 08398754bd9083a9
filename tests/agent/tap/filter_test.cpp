// SPDX-License-Identifier: Apache-2.0
#include "agent/tap/filter.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <string>
#include <vector>

#include "tests/agent/tap/views.hpp"

namespace tailrace::agent {
namespace {

using namespace test;

TEST(TapPattern, StarsAndQuestionMarksMatchTheWholeText) {
  struct Case {
    const char* pattern;
    const char* text;
    bool matches;
  };
  for (const Case& c : {Case{"pay", "pay", true}, Case{"pay", "payment", false}, Case{"pay*", "payment", true},
                        Case{"*pay", "repay", true}, Case{"*pay*", "prepayment", true}, Case{"p?y", "pay", true},
                        Case{"p?y", "py", false}, Case{"*", "", true}, Case{"**", "anything", true}, Case{"", "", true},
                        Case{"", "x", false}, Case{"a*b*c", "a-b-b-c", true}, Case{"a*b*c", "a-c-b", false},
                        Case{"GET /*", "GET /cart", true}, Case{"?", "", false}, Case{"*.*", "a.b.c", true},
                        Case{"Pay", "pay", false}}) {
    EXPECT_EQ(matches_pattern(c.pattern, c.text), c.matches) << c.pattern << " on " << c.text;
  }
}

// A pattern of many stars on a text of one letter is the worst case of matchers that go back.
TEST(TapPattern, NoPatternTakesLong) {
  std::string pattern;
  while (pattern.size() < kTapPatternBytes - 2) pattern += "*a";
  pattern += "*b";
  const std::string text(1 << 20, 'a');
  const auto before = std::chrono::steady_clock::now();
  for (int i = 0; i < 10; ++i) EXPECT_FALSE(matches_pattern(pattern, text));
  EXPECT_LT(std::chrono::steady_clock::now() - before, std::chrono::seconds(2));
}

TEST(TapFilter, LetsThroughWhatItSays) {
  otlp::SpanView failed = span_view("pay", 20'000'000);
  failed.status_code = 2;
  const otlp::SpanView fast = span_view("pay", 1'000);
  otlp::LogView warning = log_view("low on stock", 13);
  warning.trace_id.bytes.fill(0xA1);
  otlp::LogView event = log_view("", 9);
  event.body = otlp::Value();
  event.event_name = "cart.emptied";
  const TapMetric metric = metric_view("http.requests");

  struct Case {
    const char* what;
    std::function<void(TapFilter&)> set;
    // failed span, fast span, warning, event, metric
    std::vector<bool> passes;
  };
  const std::vector<Case> cases{
      {"nothing asked", [](TapFilter&) {}, {true, true, true, true, true}},
      {"service", [](TapFilter& f) { f.service = "sho?"; }, {true, true, true, true, true}},
      {"another service", [](TapFilter& f) { f.service = "till"; }, {false, false, false, false, false}},
      {"name of spans", [](TapFilter& f) { f.name = "pay"; }, {true, true, false, false, false}},
      {"text of logs", [](TapFilter& f) { f.name = "*stock*"; }, {false, false, true, false, false}},
      {"event name", [](TapFilter& f) { f.name = "cart.*"; }, {false, false, false, true, false}},
      {"metric name", [](TapFilter& f) { f.name = "http.*"; }, {false, false, false, false, true}},
      {"traces", [](TapFilter& f) { f.signals = 1; }, {true, true, false, false, false}},
      {"logs", [](TapFilter& f) { f.signals = 2; }, {false, false, true, true, false}},
      {"metrics", [](TapFilter& f) { f.signals = 4; }, {false, false, false, false, true}},
      {"traces and metrics", [](TapFilter& f) { f.signals = 5; }, {true, true, false, false, true}},
      {"warn", [](TapFilter& f) { f.severity = 13; }, {true, false, true, false, false}},
      {"error", [](TapFilter& f) { f.severity = 17; }, {true, false, false, false, false}},
      {"fatal", [](TapFilter& f) { f.severity = 21; }, {false, false, false, false, false}},
      {"slower", [](TapFilter& f) { f.slower_than_ns = 10'000'000; }, {true, false, false, false, false}},
      {"just as slow", [](TapFilter& f) { f.slower_than_ns = 20'000'000; }, {true, false, false, false, false}},
      {"trace", [](TapFilter& f) { f.trace_id.bytes.fill(0xA1); }, {true, true, true, false, false}},
      {"another trace", [](TapFilter& f) { f.trace_id.bytes.fill(0xB2); }, {false, false, false, false, false}},
      {"all together",
       [](TapFilter& f) {
         f.service = "shop";
         f.name = "p*";
         f.severity = 17;
         f.slower_than_ns = 1;
         f.trace_id.bytes.fill(0xA1);
       },
       {true, false, false, false, false}},
  };
  for (const Case& c : cases) {
    TapFilter filter;
    c.set(filter);
    EXPECT_EQ(filter.passes("shop", failed), c.passes[0]) << c.what;
    EXPECT_EQ(filter.passes("shop", fast), c.passes[1]) << c.what;
    EXPECT_EQ(filter.passes("shop", warning), c.passes[2]) << c.what;
    EXPECT_EQ(filter.passes("shop", event), c.passes[3]) << c.what;
    EXPECT_EQ(filter.passes_metric("shop", metric.name), c.passes[4]) << c.what;
  }
}

TEST(TapFilter, ReadsWhatAUserTypes) {
  EXPECT_EQ(*parse_duration("10ms"), 10'000'000u);
  EXPECT_EQ(*parse_duration("1.5s"), 1'500'000'000u);
  EXPECT_EQ(*parse_duration("250 us"), 250'000u);
  EXPECT_EQ(*parse_duration("7ns"), 7u);
  EXPECT_EQ(*parse_duration("2min"), 120'000'000'000u);
  for (const char* bad : {"", "ms", "10", "-1s", "10 parsecs", "nan s", "1e300h", "10ms now"}) {
    EXPECT_FALSE(parse_duration(bad).ok()) << bad;
  }
  EXPECT_EQ(*parse_severity("trace"), 1);
  EXPECT_EQ(*parse_severity("warn"), 13);
  EXPECT_FALSE(parse_severity("loud").ok());
  EXPECT_EQ(parse_trace_id("A1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1")->bytes[0], 0xA1);
  for (const char* bad : {"", "a1", "00000000000000000000000000000000", "g1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1"}) {
    EXPECT_FALSE(parse_trace_id(bad).ok()) << bad;
  }
}

}  // namespace
}  // namespace tailrace::agent
