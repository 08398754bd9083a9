// SPDX-License-Identifier: Apache-2.0
#include "agent/decode/log_body.hpp"
#include "tests/agent/decode/decode_fixture.hpp"

namespace tailrace::agent::test {
namespace {

using shm::kArgumentKey;
using shm::kTemplate;
using shm::test::flags_of;
using shm::test::LogFields;
using shm::test::trace_id_from;

class LogTest : public DecoderTest {
 protected:
  // The body of a log with this template and these arguments.
  std::string text(std::string_view pattern, const Items& arguments) {
    return show(log(arguments, {.body = id(pattern), .tflags = kTemplate}).body);
  }
};

TEST_F(LogTest, EveryFieldComesThrough) {
  const otlp::LogView& view = log(Items()
                                      .map(shm::kBodyKey, Items().string("code", "E42"))
                                      .string(shm::kSeverityTextKey, "ERROR")
                                      .string(shm::kEventNameKey, "payment.failed")
                                      .integer(shm::kObservedTimeKey, 1234)
                                      .integer(shm::kDroppedAttributesKey, 2)
                                      .integer("a", 1),
                                  {.time = kEpochNs + 5,
                                   .severity = 17,
                                   .tflags = shm::kSampled,
                                   .trace_id = trace_id_from(0x10),
                                   .span_id = 0x21,
                                   .flags = flags_of(shm::Priority::critical, shm::TimeClock::realtime)});
  EXPECT_EQ(show(view.body), "{code='E42'}");
  EXPECT_EQ(view.severity, 17);
  EXPECT_EQ(view.severity_text, "ERROR");
  EXPECT_EQ(view.event_name, "payment.failed");
  EXPECT_EQ(view.time_ns, kEpochNs + 5);
  EXPECT_EQ(view.observed_ns, 1234u);
  EXPECT_EQ(view.dropped_attributes, 2u);
  EXPECT_EQ(show(view.attributes), "a=1");
  EXPECT_EQ(view.flags, 1u);
  EXPECT_EQ(view.trace_id.bytes[0], 0x10);
  EXPECT_EQ(view.span_id.bytes[0], 0x21);
}

// otlp-D10
TEST_F(LogTest, ObservedIsTheDrainsTimeUnlessTheApplicationSaysOne) {
  EXPECT_EQ(log({}).observed_ns, kObservedNs);
  EXPECT_EQ(log(Items().integer(shm::kObservedTimeKey, 99)).observed_ns, 99u);
  EXPECT_EQ(log(Items().integer(shm::kObservedTimeKey, -1)).observed_ns, kObservedNs);
}

TEST_F(LogTest, ABodyIsAStringByIdAValueOrNothing) {
  EXPECT_EQ(show(log({}, {.body = id("plain {}")}).body), "'plain {}'");
  EXPECT_EQ(show(log(Items().integer(shm::kBodyKey, 7), {.body = id("ignored")}).body), "7");
  EXPECT_EQ(show(log({}).body), "empty");
}

TEST_F(LogTest, ALogOutsideATraceHasNoFlagsAndNoSpan) {
  const otlp::LogView& view = log({}, {.tflags = shm::kSampled, .span_id = 7});
  EXPECT_EQ(view.flags, 0u);
  EXPECT_FALSE(view.span_id.is_valid());
}

TEST_F(LogTest, PlainTemplatesAreFilledIn) {
  EXPECT_EQ(text("paid {} of {} for {}: {}", Items()
                                                 .integer(kArgumentKey, -42)
                                                 .real(kArgumentKey, 0.5)
                                                 .string(kArgumentKey, "Eve")
                                                 .boolean(kArgumentKey, true)),
            "'paid -42 of 0.5 for Eve: true'");
  EXPECT_EQ(text("{}", Items().string_id(kArgumentKey, id("interned"))), "'interned'");
  EXPECT_EQ(text("none", {}), "'none'");
  EXPECT_EQ(text("", {}), "''");
  EXPECT_EQ(text("{{{}}} {{}}", Items().integer(kArgumentKey, 1)), "'{1} {}'");
  EXPECT_EQ(text("{}", Items().integer(kArgumentKey, 1).integer(kArgumentKey, 2)), "'1'");
  EXPECT_EQ(decoder_.counts().templates_bad, 0u);
}

TEST_F(LogTest, FmtsSyntaxWorks) {
  EXPECT_EQ(text("{:>5}|{:.2f}|{:#x}|{:e}", Items()
                                                .integer(kArgumentKey, 42)
                                                .real(kArgumentKey, 3.14159)
                                                .integer(kArgumentKey, 255)
                                                .real(kArgumentKey, 1.0)),
            "'   42|3.14|0xff|1.000000e+00'");
  EXPECT_EQ(text("{1} {0}", Items().string(kArgumentKey, "a").string(kArgumentKey, "b")), "'b a'");
  EXPECT_EQ(text("{:>{}}", Items().integer(kArgumentKey, 7).integer(kArgumentKey, 4)), "'   7'");
  EXPECT_EQ(decoder_.counts().templates_bad, 0u);
}

TEST_F(LogTest, ListsAndBytesAreShownAsText) {
  EXPECT_EQ(text("{} {:>4} {} {}", Items()
                                       .array(kArgumentKey, Items().integer(0u, 1).string(0u, "x"))
                                       .bytes(kArgumentKey, "\x01\xFE")
                                       .map(kArgumentKey, Items().boolean("k", false))
                                       .empty(kArgumentKey)),
            "'[1, x] 01fe {k: false} null'");
}

TEST_F(LogTest, ATemplateThatDoesNotFitIsShownWithItsArguments) {
  EXPECT_EQ(text("paid {} {}", Items().integer(kArgumentKey, 42)), "'paid {} {} (42)'");
  EXPECT_EQ(text("paid {:d}", Items().string(kArgumentKey, "x")), "'paid {:d} (x)'");
  EXPECT_EQ(text("paid {name}", Items().integer(kArgumentKey, 1).boolean(kArgumentKey, true)),
            "'paid {name} (1, true)'");
  EXPECT_EQ(text("paid {", Items().integer(kArgumentKey, 1)), "'paid { (1)'");
  EXPECT_EQ(text("paid }", {}), "'paid }'");
  EXPECT_EQ(decoder_.counts().templates_bad, 5u);
}

// A template is hostile like everything else: a width may not ask for gigabytes.
TEST_F(LogTest, AWidthThatAsksForGigabytesIsRefused) {
  EXPECT_EQ(text("{:2000000000}", Items().integer(kArgumentKey, 1)), "'{:2000000000} (1)'");
  EXPECT_EQ(text("{:.2000000000f}", Items().real(kArgumentKey, 1)), "'{:.2000000000f} (1)'");
  EXPECT_EQ(text("{:{}}", Items().integer(kArgumentKey, 1).integer(kArgumentKey, 2000000000)),
            "'{:{}} (1, 2000000000)'");
  std::string many;
  for (int i = 0; i < 300; ++i) many += "{0:400}";
  EXPECT_LT(text(many, Items().integer(kArgumentKey, 1)).size(), many.size() + 10);
  EXPECT_EQ(decoder_.counts().templates_bad, 4u);
}

TEST_F(LogTest, ABodyIsNeverLongerThanItsLimitAndCutAtACharacter) {
  std::string pattern;
  for (int i = 0; i < 250; ++i) pattern += "{0:\xC3\xA9>500}";
  const otlp::LogView& view = log(Items().string(kArgumentKey, "x"), {.body = id(pattern), .tflags = kTemplate});
  EXPECT_LE(view.body.text().size(), LogBody::kBytesMax);
  EXPECT_GT(view.body.text().size(), LogBody::kBytesMax - 4);
  EXPECT_EQ(static_cast<unsigned char>(view.body.text().back()) & 0xC0, 0x80);
}

TEST_F(LogTest, TheBodyIsUtf8WhateverTheTemplateDoes) {
  EXPECT_EQ(text("{:c}", Items().integer(kArgumentKey, 200)), "'\xEF\xBF\xBD'");
}

TEST_F(LogTest, ABrokenArgumentMakesTheRecordBad) {
  EXPECT_EQ(why_bad(shm::test::make_log({.tflags = kTemplate}, Items().raw(kArgumentKey, 2, 0, 3, "12345678"))),
            BadRecord::bad_items);
}

}  // namespace
}  // namespace tailrace::agent::test
