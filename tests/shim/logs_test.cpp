// SPDX-License-Identifier: Apache-2.0
// Logs as an application writes them, read back from the segment.
#include <chrono>
#include <string>
#include <vector>

#include <unistd.h>

#include <gtest/gtest.h>
#include <tailrace/tailrace.hpp>

#include "segment_view.hpp"

namespace tailrace::test {
namespace {

using namespace tailrace::literals;

class Logs : public ::testing::Test {
 protected:
  Segment after(const std::function<void()>& body, const Config& config = {}) {
    EXPECT_EQ(in_child([&] {
                CHILD_EXPECT(init(config).ok(), 90);
                body();
              }),
              0);
    return directory_.only();
  }
  Directory directory_;
};

TEST_F(Logs, KeepTheTemplateAndItsTypedArguments) {
  const Segment s = after([] {
    const std::string name = "bob";
    info("paid {} for {} at {:.2f}, {}", 42, name, 2.5, true);
    info("paid {} for {}"_n, std::uint64_t{18446744073709551615ull}, "a"_n);
    info("nothing to fill in");
    info(std::string("run time {}"), 1);
  });
  ASSERT_EQ(s.logs.size(), 4u);
  const Log& first = s.logs[0];
  EXPECT_EQ(first.body, "paid {} for {} at {:.2f}, {}");
  EXPECT_NE(first.record.tflags & shm::kTemplate, 0);
  EXPECT_EQ(first.arguments(), (std::vector<std::string>{"42", "\"bob\"", "2.5", "true"}));
  EXPECT_EQ(first.record.severity, 9);
  EXPECT_EQ(s.logs[1].arguments(), (std::vector<std::string>{"\"18446744073709551615\"", "\"a\""}));
  EXPECT_EQ(s.logs[3].body, "run time {}");
  EXPECT_EQ(s.sums.written[1], 4u);
}

TEST_F(Logs, WithAttributesHaveThoseAndNoArguments) {
  const Segment s = after([] { warn("paid", {{"amount", 42}, {"who"_n, "bob"}}); });
  const Log* log = s.log("paid");
  ASSERT_NE(log, nullptr);
  EXPECT_EQ(log->attribute("amount"), "42");
  EXPECT_EQ(log->attribute("who"), "\"bob\"");
  EXPECT_EQ(log->record.tflags & shm::kTemplate, 0);
  EXPECT_EQ(log->record.severity, 13);
}

// otlp-D10: an observed time that is given is kept, on whatever clock.
TEST_F(Logs, KeepASteadyObservedTimeAsOneOfTheCalendar) {
  const auto before = std::chrono::system_clock::now();
  const Segment s = after([] {
    LogRecord record;
    record.body = "observed";
    record.observed = std::chrono::steady_clock::now() - std::chrono::seconds(10);
    log(record);
  });
  const auto after = std::chrono::system_clock::now();
  const auto ns = [](std::chrono::system_clock::time_point t) {
    return std::chrono::duration_cast<std::chrono::nanoseconds>((t - std::chrono::seconds(10)).time_since_epoch())
        .count();
  };
  const std::string observed = s.log("observed")->reserved(shm::kObservedTimeKey);
  ASSERT_NE(observed, "");
  EXPECT_GE(std::stoll(observed), ns(before) - 1'000'000);
  EXPECT_LE(std::stoll(observed), ns(after) + 1'000'000);
}

TEST_F(Logs, OfEveryKindThroughLog) {
  const Segment s = after([] {
    static Scope scope("library");
    LogRecord record;
    const Attribute members[] = {{"a", 1}};
    const Attribute attributes[] = {{"k", "v"}};
    record.body = Value::map(members, 1);
    record.severity = static_cast<Severity>(18);
    record.severity_text = "SEVERE";
    record.event_name = "device.lost";
    record.time = Time::unix_ns(1000);
    record.observed = Time::unix_ns(2000);
    record.attributes = Attributes(attributes, 1);
    record.scope = &scope;
    const Context remote = Context::from_traceparent("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
    record.context = &remote;
    log(record);
    log({});
  });
  ASSERT_EQ(s.logs.size(), 2u);
  const Log& log = s.logs[0];
  EXPECT_EQ(log.body, "{\"a\": 1}");
  EXPECT_EQ(log.record.severity, 18);
  EXPECT_EQ(log.reserved(shm::kSeverityTextKey), "\"SEVERE\"");
  EXPECT_EQ(log.reserved(shm::kEventNameKey), "\"device.lost\"");
  EXPECT_EQ(log.reserved(shm::kObservedTimeKey), "2000");
  EXPECT_EQ(log.record.time, 1000u);
  EXPECT_EQ(log.record.header.flags >> shm::kFlagStartClockShift & 3, 2);
  EXPECT_EQ(log.attribute("k"), "\"v\"");
  EXPECT_EQ(log.span_id, "b7ad6b7169203331");
  EXPECT_EQ(log.record.header.flags & shm::kFlagPriorityMask, 0) << "errors are critical";
  ASSERT_EQ(s.scopes.size(), log.record.scope);
  EXPECT_EQ(s.logs[1].body, "");
}

TEST_F(Logs, CarryTheCurrentSpansIds) {
  const Segment s = after([] {
    auto a = span("a"_n);
    info("inside {}"_n, 1);
    a.end();
    info("outside {}"_n, 1);
  });
  EXPECT_EQ(s.logs[0].span_id, s.span("a")->span_id);
  EXPECT_EQ(s.logs[0].trace_id, s.span("a")->trace_id);
  EXPECT_EQ(s.logs[1].span_id, "");
}

TEST_F(Logs, HaveThePriorityOfTheirSeverity) {
  const Segment s = after([] {
    trace("t");
    debug("d");
    info("i");
    warn("w");
    error("e");
    fatal("f");
  });
  const int expected[] = {3, 3, 2, 1, 0, 0};
  ASSERT_EQ(s.logs.size(), 6u);
  for (std::size_t i = 0; i < 6; ++i) EXPECT_EQ(s.logs[i].record.header.flags & 3, expected[i]);
  EXPECT_EQ(s.process.doorbell, 2u) << "critical records ring at once";
}

TEST_F(Logs, BelowTheMinimumAreNotWritten) {
  Config config;
  config.min_severity = Severity::warn;
  const Segment s = after(
      [] {
        info("no {}"_n, 1);
        warn("yes {}"_n, 1);
        info("no", {{"a", 1}});
      },
      config);
  EXPECT_EQ(s.logs.size(), 1u);
}

TEST_F(Logs, TooLargeAreCutAtACharacterAndCounted) {
  const Segment s = after([] {
    std::string long_text(20001, 'x');
    for (std::size_t i = 0; i + 1 < long_text.size(); i += 2) {
      long_text[i] = '\xc3';
      long_text[i + 1] = '\xa4';
    }
    info("long {}"_n, long_text);
    LogRecord record;
    record.body = "many";
    std::vector<std::string> keys;
    std::vector<Attribute> attributes;
    const std::string value(1000, 'v');
    for (int i = 0; i < 30; ++i) keys.push_back("k" + std::to_string(i));
    for (int i = 0; i < 30; ++i) attributes.push_back({keys[static_cast<std::size_t>(i)], value});
    record.attributes = Attributes(attributes.data(), attributes.size());
    log(record);
  });
  ASSERT_EQ(s.logs.size(), 2u);
  const std::string argument = s.logs[0].arguments()[0];
  EXPECT_GT(argument.size(), 15000u);
  EXPECT_EQ(argument[argument.size() - 2], '\xa4') << "never half a character";
  EXPECT_NE(s.logs[0].record.header.flags & shm::kFlagTruncated, 0);
  EXPECT_EQ(s.logs[1].attribute("k3").size(), 1002u);
  EXPECT_NE(s.logs[1].reserved(shm::kDroppedAttributesKey), "");
  EXPECT_EQ(s.sums.cut, 2u);
}

TEST_F(Logs, BeyondTheAttributeLimitSayHowManyAreMissing) {
  Config config;
  config.log_attribute_count_limit = 2;
  const Segment s = after([] { info("m", {{"a", 1}, {"b", 2}, {"c", 3}}); }, config);
  EXPECT_EQ(s.logs[0].attribute("b"), "2");
  EXPECT_EQ(s.logs[0].attribute("c"), "");
  EXPECT_EQ(s.logs[0].reserved(shm::kDroppedAttributesKey), "1");
}

TEST_F(Logs, NestedTooDeeplyAreCutThere) {
  const Segment s = after([] {
    Value value(1);
    std::vector<Value> levels(40);
    for (Value& level : levels) {
      level = value;
      value = Value(&level, 1);
    }
    info("deep {}", value);
  });
  const std::string argument = s.logs[0].arguments()[0];
  EXPECT_EQ(argument, std::string(16, '[') + "empty" + std::string(16, ']'));
  EXPECT_EQ(s.sums.cut, 1u);
}

}  // namespace
}  // namespace tailrace::test
