// SPDX-License-Identifier: Apache-2.0
#include "agent/tap/line.hpp"

#include <gtest/gtest.h>

#include <array>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "tests/agent/tap/views.hpp"

namespace tailrace::agent {
namespace {

using namespace test;
using otlp::KeyValue;
using otlp::Value;

// As the other end of the socket gets it.
TapLine sent(const TapLine& line) {
  const auto back = TapLine::from(reinterpret_cast<const char*>(&line), line.used_bytes());
  EXPECT_TRUE(back.has_value());
  return back.value_or(TapLine());
}

TEST(TapLine, CarriesEveryKindOfValue) {
  const std::array list{KeyValue{"", Value::of(true)}, KeyValue{"", Value::of(false)}};
  const std::array attributes{KeyValue{"flag", Value::of(true)},
                              KeyValue{"number", Value::of(std::int64_t{-42})},
                              KeyValue{"real", Value::of(0.5)},
                              KeyValue{"text", Value::string("hello")},
                              KeyValue{"raw", Value::bytes(std::string_view("\0\1", 2))},
                              KeyValue{"list", Value::array(list.data(), list.size())},
                              KeyValue{"map", Value::map(list.data(), 1)},
                              KeyValue{"none", Value()}};
  otlp::SpanView span = span_view("pay", 1'234);
  span.attributes = attributes;
  span.status_code = 2;
  span.status_message = "refused";
  const TapLine line = sent(TapLine("shop", span));
  EXPECT_EQ(line.service(), "shop");
  EXPECT_EQ(line.name(), "pay");
  EXPECT_EQ(line.body(), "refused");
  EXPECT_EQ(line.amount, 1'234u);
  EXPECT_EQ(line.trace_id, span.trace_id);
  EXPECT_EQ(line.time_ns, span.end_ns);
  EXPECT_EQ(line.flags, 0);
  TapAttributes all(line.attributes());
  std::vector<TapAttributes::Attribute> got;
  while (const auto attribute = all.next()) got.push_back(*attribute);
  ASSERT_EQ(got.size(), attributes.size());
  EXPECT_TRUE(got[0].value.boolean);
  EXPECT_EQ(got[1].value.integer, -42);
  EXPECT_EQ(got[2].value.real, 0.5);
  EXPECT_EQ(got[3].value.text(), "hello");
  EXPECT_EQ(got[4].value.text(), std::string_view("\0\1", 2));
  EXPECT_EQ(got[5].value.count, 2u);
  EXPECT_EQ(got[6].value.count, 1u);
  EXPECT_EQ(got[7].value.type, Value::Type::empty);
  EXPECT_EQ(got[7].key, "none");
}

TEST(TapLine, HugeTextsAreCutAtACharacterAndSaidSo) {
  std::string huge;
  while (huge.size() < 100'000) huge += "ä€";
  std::vector<KeyValue> attributes(1000, KeyValue{huge, Value::string(huge)});
  otlp::SpanView span = span_view(huge);
  span.status_message = huge;
  span.attributes = attributes;
  otlp::LogView log = log_view(huge);
  log.event_name = huge;
  log.attributes = attributes;
  TapMetric metric = metric_view(huge);
  metric.unit = huge;
  metric.attributes = attributes;
  for (const TapLine& line : {TapLine(huge, span), TapLine(huge, log), TapLine(huge, metric)}) {
    const TapLine back = sent(line);
    EXPECT_NE(back.flags & TapLine::kCut, 0);
    for (const std::string_view text : {back.service(), back.name(), back.body()}) {
      EXPECT_FALSE(text.empty());
      EXPECT_EQ(text, huge.substr(0, text.size()));
      EXPECT_NE(static_cast<unsigned char>(huge[text.size()]) & 0xC0U, 0x80U);
    }
  }
}

TEST(TapLine, SaysWhichSpansWereNeverEnded) {
  const std::array attributes{KeyValue{"tailrace.span.incomplete", Value::of(true)}};
  otlp::SpanView span = span_view("open");
  span.attributes = attributes;
  EXPECT_NE(sent(TapLine("shop", span)).flags & TapLine::kUnfinished, 0);
}

TEST(TapLine, BytesThatAreNoLineAreNotTakenForOne) {
  const TapLine good("shop", span_view("pay"));
  const auto* bytes = reinterpret_cast<const char*>(&good);
  // Cut in a block of its own, so that a sanitizer sees the first byte beyond it.
  for (std::size_t size = 0; size <= sizeof(TapLine); ++size) {
    const std::unique_ptr<char[]> cut(new char[size]);
    std::memcpy(cut.get(), bytes, size);
    EXPECT_EQ(TapLine::from(cut.get(), size).has_value(), size == good.used_bytes()) << size;
  }
  TapLine lies = good;
  lies.name_bytes = 60'000;
  EXPECT_FALSE(TapLine::from(reinterpret_cast<const char*>(&lies), good.used_bytes()).has_value());
  lies = good;
  lies.signal = 3;
  EXPECT_FALSE(TapLine::from(reinterpret_cast<const char*>(&lies), good.used_bytes()).has_value());
}

TEST(TapLine, AttributesThatDoNotHoldTogetherEndThere) {
  EXPECT_FALSE(TapAttributes("").next().has_value());
  EXPECT_FALSE(TapAttributes("\x01").next().has_value());
  EXPECT_FALSE(TapAttributes(std::string_view("\x04\xff\xff\xff....", 8)).next().has_value());
  EXPECT_FALSE(TapAttributes(std::string_view("\x7f\x01\x00\x00k", 5)).next().has_value());
}

}  // namespace
}  // namespace tailrace::agent
