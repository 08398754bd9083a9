// SPDX-License-Identifier: Apache-2.0
// The C API: what c_api_test.c recorded stands in the segment as if a C++ program had recorded it.
#include <cstdio>
#include <fstream>
#include <regex>
#include <set>
#include <sstream>
#include <string>

#include <unistd.h>

#include <gtest/gtest.h>
#include <tailrace/tailrace.h>
#include <tailrace/tailrace.hpp>  // both in one program

#include "c_api.h"
#include "segment_view.hpp"

namespace tailrace::test {
namespace {

int run(int (*calls)()) {
  return in_child([calls] {
    const int line = calls();
    if (line != 0) std::fprintf(stderr, "c_api_test.c:%d: is not so\n", line);
    std::fflush(stderr);
    _exit(line != 0 ? 1 : 0);
  });
}
Segment recorded(int (*calls)()) {
  Directory directory;
  EXPECT_EQ(run(calls), 0);
  return directory.only();
}

TEST(CApi, ASpanIsRecordedStepByStep) {
  const Segment s = recorded(c_records_spans);
  EXPECT_EQ(s.of_resource("service.name"), "\"c\"");
  EXPECT_NE(std::find(s.threads.begin(), s.threads.end(), "0:main of c"), s.threads.end());
  const Span* outer = s.span("hot name");
  ASSERT_NE(outer, nullptr);
  EXPECT_EQ(outer->kind(), 1u);
  EXPECT_EQ(outer->parent_id, "");
  EXPECT_EQ(outer->attribute("hot.key"), "\"a string of the same key\"");
  EXPECT_EQ(outer->attribute("plain.bool"), "true");
  EXPECT_EQ(outer->attribute("plain.double"), "2.5");
  EXPECT_EQ(outer->attribute("plain.string"), "\"text\"");
  EXPECT_EQ(s.count("hot name"), 1u) << "an end that comes twice does nothing";
  const Span* inner = s.span("renamed");
  ASSERT_NE(inner, nullptr);
  EXPECT_EQ(inner->parent_id, outer->span_id);
  EXPECT_EQ(inner->trace_id, outer->trace_id);
  EXPECT_EQ(inner->kind(), 3u);
  EXPECT_EQ(inner->status(), 2u);
  EXPECT_EQ(inner->reserved(shm::kStatusMessageKey), "\"it broke\"");
  EXPECT_EQ(inner->record.start, 1700000000000000001u);
  EXPECT_EQ(inner->record.end, 1700000000000000009u);
  EXPECT_EQ(inner->record.header.flags >> shm::kFlagStartClockShift & 3, static_cast<int>(shm::TimeClock::realtime));
  EXPECT_EQ(inner->record.scope, 1u);
  EXPECT_EQ(inner->attribute("n"), "1");
  EXPECT_EQ(inner->attribute("hot.key"), "\"hot name\"");
  const auto events = inner->of(shm::ItemType::event);
  ASSERT_EQ(events.size(), 3u);
  EXPECT_EQ(events[0].key, "event");
  EXPECT_EQ(events[0].time, 1700000000000000002u);
  EXPECT_EQ(events[0].inside.size(), 2u);
  EXPECT_EQ(events[2].key, "exception");
  ASSERT_EQ(events[2].inside.size(), 4u);
  EXPECT_EQ(events[2].inside[0].key + events[2].inside[0].value, "exception.type\"IOError\"");
  EXPECT_EQ(events[2].inside[1].key + events[2].inside[1].value, "exception.message\"it broke\"");
  EXPECT_EQ(events[2].inside[2].key + events[2].inside[2].value, "exception.stacktrace\"at line 1\"");
  const auto links = inner->of(shm::ItemType::link);
  ASSERT_EQ(links.size(), 1u);
  EXPECT_EQ(links[0].linked_span, outer->span_id);
  const Span* wide = s.span("wide");
  ASSERT_NE(wide, nullptr);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(wide->attribute("wide." + std::to_string(i)), std::to_string(i));
  EXPECT_EQ(s.spans.size(), 3u);
}

TEST(CApi, EveryTypeOfValueIsRecorded) {
  const Segment s = recorded(c_records_all_types);
  const Span* span = s.span("types");
  ASSERT_NE(span, nullptr);
  const char* expected[] = {"empty",
                            "true",
                            "-9223372036854775808",
                            "42",
                            "\"18446744073709551615\"",
                            "-0.5",
                            "\"grüß\"",
                            "\"\"",
                            "bytes(3)",
                            "[1, \"two\", false]",
                            "{\"a\": [1, \"two\", false], \"b\": empty}",
                            "\"interned\"",
                            "[]"};
  for (std::size_t i = 0; i < std::size(expected); ++i)
    EXPECT_EQ(span->attribute("v" + std::to_string(i)), expected[i]) << i;
  EXPECT_EQ(span->attribute("deep"), "[[[[[[[[[[[[[[[[empty]]]]]]]]]]]]]]]]");
}

TEST(CApi, ParentsAreCurrentGivenOrNone) {
  const Segment s = recorded(c_records_contexts);
  const Span* server = s.span("server");
  ASSERT_NE(server, nullptr);
  EXPECT_EQ(server->trace_id, "4bf92f3577b34da6a3ce929d0e0e4736");
  EXPECT_EQ(server->parent_id, "00f067aa0ba902b7");
  EXPECT_EQ(server->kind(), 2u);
  EXPECT_EQ(server->record.tflags & shm::kRemote, shm::kRemote);
  EXPECT_EQ(server->reserved(shm::kTraceStateKey), "\"vendor=opaque\"");
  EXPECT_EQ(server->of(shm::ItemType::link).size(), 1u);
  const Span *root = s.span("root"), *detached = s.span("detached"), *child = s.span("child of detached");
  ASSERT_TRUE(root != nullptr && detached != nullptr && child != nullptr);
  EXPECT_EQ(root->parent_id, "");
  EXPECT_NE(root->trace_id, server->trace_id);
  EXPECT_EQ(detached->parent_id, server->span_id);
  EXPECT_EQ(detached->attribute("elsewhere"), "true");
  EXPECT_EQ(child->parent_id, detached->span_id);
}

TEST(CApi, AFinishedSpanIsRecordedByOneCall) {
  const Segment s = recorded(c_records_finished_spans);
  const Span* parent = s.span("parent");
  ASSERT_NE(parent, nullptr);
  EXPECT_EQ(s.count("finished"), 11u);
  std::set<std::string> ids;
  int with_attributes = 0;
  for (const Span& span : s.spans) {
    EXPECT_TRUE(ids.insert(span.span_id).second) << span.name;
    EXPECT_FALSE(span.open || span.from_slot) << span.name;
    if (span.name != "finished") continue;
    EXPECT_EQ(span.parent_id, parent->span_id);
    EXPECT_EQ(span.trace_id, parent->trace_id);
    EXPECT_EQ(span.kind(), 1u);
    EXPECT_EQ(span.record.header.flags & shm::kFlagPriorityMask, 1);
    EXPECT_LE(span.record.start, span.record.end);
    EXPECT_LE(parent->record.start, span.record.start) << "of one clock";
    if (span.items.empty()) continue;
    EXPECT_EQ(span.attribute("k"), std::to_string(with_attributes++)) << "in order";
    EXPECT_EQ(span.attribute("real"), "0.5");
    EXPECT_EQ(span.attribute("yes"), "true");
    EXPECT_EQ(span.attribute("text"), "\"a text of eighteen\"");
    EXPECT_EQ(span.attribute("name"), "\"finished\"");
    EXPECT_EQ(span.record.header.count, 5);
  }
  EXPECT_EQ(with_attributes, 10);
  const Span* optioned = s.span("optioned");
  ASSERT_NE(optioned, nullptr);
  EXPECT_EQ(optioned->kind(), 2u);
  EXPECT_EQ(optioned->status(), 2u);
  EXPECT_EQ(optioned->record.scope, 1u);
  EXPECT_EQ(optioned->record.header.flags & shm::kFlagPriorityMask, 2);
  EXPECT_EQ(optioned->record.start, 1700000000000000001u);
  EXPECT_EQ(optioned->record.end, 1700000000000000009u);
  const Span* whole = s.span("whole");
  ASSERT_NE(whole, nullptr);
  EXPECT_EQ(whole->parent_id, optioned->span_id);
  EXPECT_EQ(whole->trace_id, optioned->trace_id);
  EXPECT_EQ(whole->status(), 2u);
  EXPECT_EQ(whole->reserved(shm::kStatusMessageKey), "\"message\"");
  EXPECT_EQ(whole->reserved(shm::kTraceStateKey), "\"a=b\"");
  ASSERT_EQ(whole->of(shm::ItemType::event).size(), 1u);
  EXPECT_EQ(whole->of(shm::ItemType::event)[0].time, 1700000000000000005u);
  ASSERT_EQ(whole->of(shm::ItemType::link).size(), 1u);
  EXPECT_EQ(whole->of(shm::ItemType::link)[0].linked_span, optioned->span_id);
  const Span *many = s.span("many"), *large = s.span("large");
  ASSERT_TRUE(many != nullptr && large != nullptr);
  for (int i = 0; i < 70; ++i) EXPECT_EQ(many->attribute("m" + std::to_string(i)), std::to_string(i));
  EXPECT_EQ(large->attribute("k").size(), 3002u);
  EXPECT_EQ(s.sums.written[0], s.spans.size());
}

TEST(CApi, LogsHaveABodyATemplateOrEverything) {
  const Segment s = recorded(c_records_logs);
  const Span* span = s.span("logs");
  const Log *plain = s.log("a body with {} in it"), *with = s.log("with attributes"), *paid = s.log("paid {} for {}"),
            *record = s.log("everything");
  ASSERT_TRUE(span != nullptr && plain != nullptr && with != nullptr && paid != nullptr && record != nullptr);
  EXPECT_EQ(plain->record.tflags & shm::kTemplate, 0) << "its braces are text";
  EXPECT_EQ(plain->record.severity, 9);
  EXPECT_EQ(plain->span_id, span->span_id);
  EXPECT_EQ(with->attribute("k"), "1");
  EXPECT_EQ(paid->record.tflags & shm::kTemplate, shm::kTemplate);
  EXPECT_EQ(paid->arguments(), (std::vector<std::string>{"42", "\"Ada\""}));
  EXPECT_EQ(paid->record.header.flags & shm::kFlagPriorityMask, 0) << "an error is critical";
  EXPECT_EQ(record->record.severity, 10);
  EXPECT_EQ(record->record.header.flags & shm::kFlagPriorityMask, 0);
  EXPECT_EQ(record->record.time, 1700000000000000001u);
  EXPECT_EQ(record->reserved(shm::kObservedTimeKey), "1700000000000000002");
  EXPECT_EQ(record->reserved(shm::kEventNameKey), "\"shop.paid\"");
  EXPECT_EQ(record->reserved(shm::kSeverityTextKey), "\"NOTICE\"");
  EXPECT_EQ(record->trace_id, "01000000000000000000000000000000");
  EXPECT_EQ(record->span_id, "0200000000000000");
  EXPECT_EQ(record->record.scope, 1u);
}

TEST(CApi, InstrumentsMeasureBoundLookedUpAndObserved) {
  const Segment s = recorded(c_records_metrics);
  const Metric *payments = s.metric("payments"), *card = s.metric("payments", "method", "\"card\""),
               *level = s.metric("level"), *depth = s.metric("depth"), *latency = s.metric("latency"),
               *sizes = s.metric("sizes");
  ASSERT_TRUE(payments != nullptr && card != nullptr && level != nullptr && depth != nullptr && latency != nullptr &&
              sizes != nullptr);
  EXPECT_EQ(payments->integer, 1);
  EXPECT_EQ(payments->unit, "{payment}");
  EXPECT_EQ(payments->description, "payments taken");
  EXPECT_EQ(card->integer, 42);
  EXPECT_EQ(level->real, 1.5);
  EXPECT_TRUE(depth->set);
  EXPECT_EQ(depth->integer, -7);
  EXPECT_EQ(latency->count, 4u);
  EXPECT_EQ(latency->real, 105.5);
  EXPECT_EQ(latency->buckets, (std::vector<std::uint64_t>{1, 1, 2}));
  EXPECT_EQ(sizes->count, 2u);
  EXPECT_EQ(sizes->integer, 103);
  EXPECT_EQ(sizes->descriptor.kind, static_cast<std::uint8_t>(shm::MetricKind::exponential_histogram));
  const Metric *bare = s.metric("connections"), *pool = s.metric("connections", "pool", "\"a\"");
  ASSERT_TRUE(bare != nullptr && pool != nullptr);
  EXPECT_EQ(bare->real, 12);
  EXPECT_EQ(pool->real, 0.5);
}

TEST(CApi, ContextsAndBaggageTravelInCarriers) {
  const Segment s = recorded(c_propagates);
  const Span* span = s.span("serve");
  ASSERT_NE(span, nullptr);
  EXPECT_EQ(span->trace_id, "4bf92f3577b34da6a3ce929d0e0e4736");
  EXPECT_EQ(span->parent_id, "00f067aa0ba902b7");
  recorded(c_carries_baggage);
}

TEST(CApi, WrongArgumentsAreRefusedCountedAndRecordNothing) {
  const Segment s = recorded(c_passes_wrong_arguments);
  EXPECT_EQ(s.spans.size(), 2u) << "the newer caller's, and the one that every wrong item was refused by";
  const Span* span = s.span("the span");
  ASSERT_NE(span, nullptr);
  for (const Item& item : span->items) EXPECT_EQ(item.raw_key, shm::kNameKey) << item.key << " = " << item.value;
  EXPECT_TRUE(s.logs.empty());
}

TEST(CApi, AFlushSaysThatNobodyReads) {
  const Segment s = recorded(c_flushes);
  EXPECT_EQ(s.logs.size(), 1u);
}

TEST(CApi, BeforeInitCallsAreCounted) {
  const Segment s = recorded(c_runs_before_init);
  EXPECT_EQ(s.spans.size(), 1u);
  EXPECT_EQ(s.count("early"), 1u);
}

TEST(CApi, TheConfigurationIsObeyed) {
  const Segment s = recorded(c_configures);
  EXPECT_EQ(s.of_resource("service.name"), "\"configured\"");
  EXPECT_EQ(s.of_resource("service.version"), "\"1.2.3\"");
  EXPECT_EQ(s.of_resource("service.namespace"), "\"tests\"");
  EXPECT_EQ(s.of_resource("r"), "5");
  for (const char* name : {"limited", "limited too"}) {
    const Span* limited = s.span(name);
    ASSERT_NE(limited, nullptr);
    EXPECT_EQ(limited->attribute("a"), "1");
    EXPECT_EQ(limited->attribute("b"), "");
    EXPECT_EQ(limited->reserved(shm::kDroppedAttributesKey), "1");
  }
  EXPECT_EQ(s.logs.size(), 1u);
}

TEST(CApi, DisabledItRecordsNothing) {
  Directory directory;
  EXPECT_EQ(run(c_disabled), 0);
  EXPECT_TRUE(directory.files().empty());
}

// The library exports every function that the header declares, by that name.
TEST(CApi, TheLibraryExportsWhatTheHeaderDeclares) {
  std::ifstream header(TAILRACE_C_HEADER);
  std::ostringstream whole;
  whole << header.rdbuf();
  const std::string text = whole.str();
  const std::regex declaration(R"(TAILRACE_FUNCTION\s[^(]*?(tailrace_\w+)\()");
  std::set<std::string> declared, exported;
  for (std::sregex_iterator at(text.begin(), text.end(), declaration), end; at != end; ++at) declared.insert((*at)[1]);
  EXPECT_GE(declared.size(), 50u);
  FILE* pipe = popen("nm -D --defined-only " TAILRACE_LIBRARY, "r");
  ASSERT_NE(pipe, nullptr);
  char line[512];
  while (std::fgets(line, sizeof line, pipe) != nullptr) {
    const std::string symbol(line);
    const std::size_t at = symbol.find(" tailrace_");
    if (at != std::string::npos) exported.insert(symbol.substr(at + 1, symbol.find_first_of("@\n", at) - at - 1));
  }
  pclose(pipe);
  for (const std::string& name : declared) EXPECT_EQ(exported.count(name), 1u) << name;
}

}  // namespace
}  // namespace tailrace::test
