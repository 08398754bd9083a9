// SPDX-License-Identifier: Apache-2.0
#include "agent/tap/text.hpp"

#include <gtest/gtest.h>

#include <array>
#include <cstdlib>
#include <ctime>
#include <nlohmann/json.hpp>
#include <string>

#include "tests/agent/tap/views.hpp"

namespace tailrace::agent {
namespace {

using namespace test;
using otlp::KeyValue;
using otlp::Value;

class TapTextTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ::setenv("TZ", "UTC", 1);
    ::tzset();
  }
  TapText plain_{false, false};
  TapText json_{false, true};
};

TEST_F(TapTextTest, ASpanIsOneAlignedLine) {
  const std::array attributes{KeyValue{"amount", Value::of(std::int64_t{42})},
                              KeyValue{"note", Value::string("two words")}};
  otlp::SpanView span = span_view("pay", 1'240'000);
  span.attributes = attributes;
  EXPECT_EQ(plain_.line(TapLine("shop", span)),
            "22:13:20.001  shop          span       1.24 ms  pay  amount=42  note=\"two words\"  "
            "trace=a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1\n");
  span.status_code = 2;
  span.status_message = "card refused";
  span.attributes = {};
  EXPECT_EQ(plain_.line(TapLine("shop", span)),
            "22:13:20.001  shop          span !     1.24 ms  pay  error: card refused  "
            "trace=a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1\n");
}

TEST_F(TapTextTest, LogsAndMetricsStandInTheSameColumns) {
  EXPECT_EQ(plain_.line(TapLine("shop", log_view("paid 42", 13))),
            "22:13:20.000  shop          WARN                paid 42\n");
  EXPECT_EQ(plain_.line(TapLine("shop", metric_view("http.bytes", 7))),
            "22:13:20.000  shop          metric           7  http.bytes By\n");
  TapMetric histogram = metric_view("latency");
  histogram.kind = TapMetric::Kind::histogram;
  histogram.count = 3;
  histogram.real = 1.5;
  EXPECT_EQ(plain_.line(TapLine("shop", histogram)),
            "22:13:20.000  shop          metric         n=3  latency By  sum 1.5\n");
}

TEST_F(TapTextTest, NothingInALineIsObeyedByATerminal) {
  const std::string attack =
      "\x1b[2J\x07\r\n\t\x7f\xc2\x9b"
      "31m\xe2\x80\xae"
      "evil\xe2\x81\xa6\xe2\x80\xa8\xff\xfe\x1b]0;title\x07";
  const std::array attributes{KeyValue{attack, Value::string(attack)}};
  otlp::SpanView span = span_view(attack);
  span.attributes = attributes;
  span.status_code = 2;
  span.status_message = attack;
  otlp::LogView log = log_view(attack);
  log.event_name = attack;
  log.attributes = attributes;
  TapMetric metric = metric_view(attack);
  metric.unit = attack;
  for (const TapLine& line : {TapLine(attack, span), TapLine(attack, log), TapLine(attack, metric)}) {
    for (TapText* text : {&plain_, &json_}) {
      std::string out = text->line(line);
      ASSERT_EQ(out.back(), '\n');
      out.pop_back();
      for (const char c : out) {
        EXPECT_TRUE(static_cast<unsigned char>(c) >= 0x20 && c != 0x7f) << out;
      }
      for (const char* mark : {"\xc2\x9b", "\xe2\x80\xae", "\xe2\x81\xa6", "\xe2\x80\xa8", "\xff"}) {
        EXPECT_EQ(out.find(mark), std::string::npos) << out;
      }
    }
  }
  EXPECT_EQ(printable("\x1b[31m\xc2\x9b\xe2\x80\xae"), "\\x1b[31m\\u009b\\u202e");
  EXPECT_EQ(printable("grün € 漢"), "grün € 漢");
}

TEST_F(TapTextTest, ColoursAreAddedOnlyWhenAskedFor) {
  TapText coloured(true, false);
  const std::string with = coloured.line(TapLine("shop", log_view("paid", 17)));
  EXPECT_NE(with.find("\x1b[31mERROR"), std::string::npos);
  EXPECT_EQ(plain_.line(TapLine("shop", log_view("paid", 17))).find('\x1b'), std::string::npos);
}

TEST_F(TapTextTest, JsonHasOneObjectALine) {
  const std::array attributes{KeyValue{"amount", Value::of(std::int64_t{42})}, KeyValue{"ok", Value::of(true)}};
  otlp::SpanView span = span_view("pay", 1'240'000);
  span.attributes = attributes;
  const auto json = nlohmann::json::parse(json_.line(TapLine("shop", span)), nullptr, false);
  EXPECT_EQ(json["signal"], "traces");
  EXPECT_EQ(json["service"], "shop");
  EXPECT_EQ(json["name"], "pay");
  EXPECT_EQ(json["duration_nano"], 1'240'000);
  EXPECT_EQ(json["time_unix_nano"], "1700000000001240000");
  EXPECT_EQ(json["trace_id"], "a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1");
  EXPECT_EQ(json["attributes"]["amount"], 42);
  EXPECT_EQ(json["attributes"]["ok"], true);
  const auto log = nlohmann::json::parse(json_.line(TapLine("shop", log_view("paid"))), nullptr, false);
  EXPECT_EQ(log["body"], "paid");
  EXPECT_FALSE(log.contains("trace_id"));
  const auto metric = nlohmann::json::parse(json_.line(TapLine("shop", metric_view("m", -5))), nullptr, false);
  EXPECT_EQ(metric["value"], -5);
  const auto left_out = nlohmann::json::parse(json_.left_out(3, 10), nullptr, false);
  EXPECT_EQ(left_out["left_out"], 3);
  EXPECT_EQ(left_out["left_out_in_all"], 10);
}

TEST_F(TapTextTest, DurationsHaveThreeDigitsThatMatter) {
  EXPECT_EQ(short_duration(0), "0 ns");
  EXPECT_EQ(short_duration(999), "999 ns");
  EXPECT_EQ(short_duration(12'345), "12.3 µs");
  EXPECT_EQ(short_duration(999'499), "999 µs");
  EXPECT_EQ(short_duration(999'500), "1.00 ms");
  EXPECT_EQ(short_duration(123'456'789), "123 ms");
  EXPECT_EQ(short_duration(1'500'000'000), "1.50 s");
  EXPECT_EQ(short_duration(184'000'000'000), "3 min 4 s");
  EXPECT_EQ(short_duration(7'260'000'000'000), "2 h 1 min");
}

}  // namespace
}  // namespace tailrace::agent
