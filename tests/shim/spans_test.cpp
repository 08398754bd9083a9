// SPDX-License-Identifier: Apache-2.0
// Spans as an application writes them, read back from the segment.
#include <chrono>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <unistd.h>

#include <gtest/gtest.h>
#include <tailrace/tailrace.hpp>

#include "segment_view.hpp"

namespace tailrace::test {
namespace {

using namespace tailrace::literals;

class Spans : public ::testing::Test {
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

TEST_F(Spans, AreNestedUnderTheCurrentOne) {
  const Segment s = after([] {
    auto outer = span("outer"_n);
    { auto inner = span("inner"_n); }
    auto second = span("second"_n);
  });
  ASSERT_EQ(s.spans.size(), 3u);
  const Span* outer = s.span("outer");
  EXPECT_EQ(outer->parent_id, "");
  EXPECT_EQ(s.span("inner")->parent_id, outer->span_id);
  EXPECT_EQ(s.span("second")->parent_id, outer->span_id);
  EXPECT_EQ(s.span("inner")->trace_id, outer->trace_id);
  EXPECT_EQ(s.sums.written[0], 3u);
  EXPECT_LE(outer->record.start, outer->record.end);
  EXPECT_NE(outer->trace_id, std::string(32, '0'));
}

TEST_F(Spans, FollowAnExplicitAndARemoteParent) {
  const Segment s = after([] {
    Context remote = Context::from_traceparent("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-03");
    CHILD_EXPECT(remote.valid(), 1);
    SpanOptions options;
    options.parent = remote;
    options.kind = SpanKind::server;
    options.trace_state = "vendor=1";
    auto server = span("server"_n, options);
    SpanOptions none;
    none.parent = Parent::none();
    auto root = span("root"_n, none);
    SpanOptions local;
    const Context c = server.context();
    local.parent = c;
    auto child = span("child"_n, local);
  });
  const Span* server = s.span("server");
  EXPECT_EQ(server->trace_id, "0af7651916cd43dd8448eb211c80319c");
  EXPECT_EQ(server->parent_id, "b7ad6b7169203331");
  EXPECT_EQ(server->record.tflags, shm::kSampled | shm::kRandom | shm::kRemoteKnown | shm::kRemote);
  EXPECT_EQ(server->kind(), 2u);
  EXPECT_EQ(server->reserved(shm::kTraceStateKey), "\"vendor=1\"");
  EXPECT_EQ(s.span("root")->parent_id, "");
  EXPECT_NE(s.span("root")->trace_id, server->trace_id);
  EXPECT_EQ(s.span("child")->parent_id, server->span_id);
  EXPECT_EQ(s.span("child")->record.tflags & shm::kRemote, 0);
}

TEST_F(Spans, NotSampledByARemoteParentAreNotRecordedAndTheirChildrenNeither) {
  const Segment s = after([] {
    SpanOptions options;
    const Context c = Context::from_traceparent("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-02");
    options.parent = c;
    auto server = span("server"_n, options);
    auto child = span("child"_n);
    CHILD_EXPECT(!server.recording() && !child.recording(), 1);
    CHILD_EXPECT(child.context().valid() && !child.context().sampled, 2);
    info("inside");
  });
  EXPECT_TRUE(s.spans.empty());
  EXPECT_EQ(s.sums.not_sampled, 2u);
  EXPECT_EQ(s.log("inside")->trace_id, "0af7651916cd43dd8448eb211c80319c");
}

TEST_F(Spans, StartUnderAnActivatedContext) {
  const Segment s = after([] {
    auto detached = start_span("detached"_n);
    CHILD_EXPECT(!current().valid(), 1);
    {
      Activate active(detached.context());
      CHILD_EXPECT(current().valid(), 2);
      auto inside = span("inside"_n);
      info("log inside");
    }
    CHILD_EXPECT(!current().valid(), 3);
    auto outside = span("outside"_n);
  });
  EXPECT_EQ(s.span("inside")->parent_id, s.span("detached")->span_id);
  EXPECT_EQ(s.span("outside")->parent_id, "");
  EXPECT_EQ(s.log("log inside")->span_id, s.span("inside")->span_id);
}

TEST_F(Spans, EndOnAnotherThreadInThatThreadsLaneAndFreeTheirSlots) {
  const Segment s = after([] {
    for (int round = 0; round < 50; ++round) {
      auto a = start_span("moved"_n);
      a.set("round"_n, round);
      std::thread([b = std::move(a)]() mutable { b.set("there"_n, true); }).join();
    }
  });
  EXPECT_EQ(s.count("moved"), 50u);
  for (const Span& span : s.spans) {
    EXPECT_FALSE(span.open);
    EXPECT_EQ(span.attribute("there"), "true");
    EXPECT_NE(span.lane, 0u);
  }
  EXPECT_EQ(s.process.pool_used, 0u) << "slots freed by other threads come back before the pool is used";
}

TEST_F(Spans, EndedTwiceAreWrittenOnce) {
  const Segment s = after([] {
    auto a = span("a"_n);
    a.end();
    a.end();
    a.set("late"_n, 1);
    auto b = start_span("b"_n);
    b.end();
    b.end();
  });
  EXPECT_EQ(s.spans.size(), 2u);
  EXPECT_EQ(s.span("a")->attribute("late"), "");
}

TEST_F(Spans, EndedOutOfOrderLeaveTheNearestOpenOneCurrent) {
  const Segment s = after([] {
    std::optional<tailrace::Span> none;
    auto a = span("a"_n);
    auto b = span("b"_n);
    auto c = span("c"_n);
    b.end();
    { auto under_c = span("under c"_n); }
    c.end();
    { auto under_a = span("under a"_n); }
    a.end();
    CHILD_EXPECT(!current().valid(), 1);
  });
  EXPECT_EQ(s.span("under c")->parent_id, s.span("c")->span_id);
  EXPECT_EQ(s.span("under a")->parent_id, s.span("a")->span_id);
  EXPECT_EQ(s.spans.size(), 5u);
}

TEST_F(Spans, PastTheDepthLimitAreRefusedAndCounted) {
  Config config;
  config.depth_limit = 5;
  const Segment s = after(
      [] {
        const std::function<void(int)> nest = [&](int depth) {
          if (depth == 0) return;
          auto one = span("level"_n);
          one.set("depth"_n, depth);
          nest(depth - 1);
        };
        nest(8);
        auto after_it = span("after"_n);
      },
      config);
  EXPECT_EQ(s.count("level"), 5u);
  EXPECT_EQ(s.count("after"), 1u);
  EXPECT_EQ(s.sums.refused, 3u);
}

TEST_F(Spans, CarryEveryTypeOfValue) {
  const Segment s = after([] {
    auto a = span("values"_n);
    a.set("bool"_n, true);
    a.set("int"_n, -7);
    a.set("big"_n, std::uint64_t{18446744073709551615ull});
    a.set("small unsigned"_n, std::uint64_t{9223372036854775807ull});
    a.set("double"_n, 2.5);
    a.set("literal"_n, "interned"_n);
    a.set("text"_n, "plain");
    a.set("string"_n, std::string("of run time, and longer than sixteen bytes"));
    a.set("empty text"_n, std::string());
    a.set("empty"_n, Value());
    a.set("bytes"_n, Bytes{"\0\1\2", 3});
    a.set("list"_n, {1, 2, 3});
    a.set("mixed"_n, {1, "two", 3.0, true, {4, 5}});
    a.set("vector"_n, std::vector<std::string>{"x", "y"});
    a.set("map"_n, Value::map({{"a", 1}, {"b", {1, 2}}, {"c", Value::map({{"d", "e"}})}}));
    a.set(std::string("key of run time"), 1);
    int array[] = {7, 8};
    a.set("pointer"_n, Value(array, 2));
  });
  const Span* a = s.span("values");
  ASSERT_NE(a, nullptr);
  EXPECT_EQ(a->attribute("bool"), "true");
  EXPECT_EQ(a->attribute("int"), "-7");
  EXPECT_EQ(a->attribute("big"), "\"18446744073709551615\"") << "beyond int64: a decimal string";
  EXPECT_EQ(a->attribute("small unsigned"), "9223372036854775807");
  EXPECT_EQ(a->attribute("double"), "2.5");
  EXPECT_EQ(a->attribute("literal"), "\"interned\"");
  EXPECT_EQ(a->attribute("text"), "\"plain\"");
  EXPECT_EQ(a->attribute("string"), "\"of run time, and longer than sixteen bytes\"");
  EXPECT_EQ(a->attribute("empty text"), "\"\"");
  EXPECT_EQ(a->attribute("empty"), "empty");
  EXPECT_EQ(a->attribute("bytes"), "bytes(3)");
  EXPECT_EQ(a->attribute("list"), "[1, 2, 3]");
  EXPECT_EQ(a->attribute("mixed"), "[1, \"two\", 3, true, [4, 5]]");
  EXPECT_EQ(a->attribute("vector"), "[\"x\", \"y\"]");
  EXPECT_EQ(a->attribute("map"), "{\"a\": 1, \"b\": [1, 2], \"c\": {\"d\": \"e\"}}");
  EXPECT_EQ(a->attribute("key of run time"), "1");
  EXPECT_EQ(a->attribute("pointer"), "[7, 8]");
}

TEST_F(Spans, CopyStringsOfEveryLengthWithZeroedPadding) {
  const Segment s = after([] {
    for (std::size_t length = 1; length < 100; ++length) {
      std::string text;
      for (std::size_t i = 0; i < length; ++i) text += static_cast<char>('a' + i % 26);
      auto a = span("length"_n);
      a.set("text"_n, text);
      a.set("behind"_n, static_cast<int>(length));
      info("text {}"_n, text);
    }
  });
  for (const Span& span : s.spans) {
    const auto length = static_cast<std::size_t>(std::stoul(span.attribute("behind")));
    std::string text;
    for (std::size_t i = 0; i < length; ++i) text += static_cast<char>('a' + i % 26);
    EXPECT_EQ(span.attribute("text"), '"' + text + '"');
  }
  ASSERT_EQ(s.logs.size(), 99u);
  for (std::size_t i = 0; i < 99; ++i) EXPECT_EQ(s.logs[i].arguments()[0].size(), i + 3);
}

TEST_F(Spans, HaveEventsLinksStatusAndNewNames) {
  const Segment s = after([] {
    const Context remote = Context::from_traceparent("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
    auto a = span("before"_n, {.links = {{remote, {{"why", "batch"}}}}});
    a.event("cache.miss"_n, {{"key"_n, 42}});
    a.event("timed", {}, Time::unix_ns(1700000000000000000ull));
    a.link(remote);
    a.status(StatusCode::error, "it broke");
    a.rename("after"_n);
    try {
      throw std::out_of_range("index 7");
    } catch (const std::exception& e) {
      a.exception(e);
    }
    auto b = span("ok"_n);
    b.status(StatusCode::error, "first");
    b.status(StatusCode::ok);
    b.status(StatusCode::error, "too late");
  });
  const Span* a = s.span("after");
  ASSERT_NE(a, nullptr);
  const auto events = a->of(shm::ItemType::event);
  ASSERT_EQ(events.size(), 3u);
  EXPECT_EQ(events[0].key, "cache.miss");
  EXPECT_EQ(events[0].inside[0].value, "42");
  EXPECT_EQ(events[1].time, 1700000000000000000ull);
  EXPECT_EQ(events[2].key, "exception");
  EXPECT_EQ(events[2].inside[0].value, "\"std::out_of_range\"");
  EXPECT_EQ(events[2].inside[1].value, "\"index 7\"");
  const auto links = a->of(shm::ItemType::link);
  ASSERT_EQ(links.size(), 2u);
  EXPECT_EQ(links[0].linked_span, "b7ad6b7169203331");
  EXPECT_EQ(links[0].inside[0].value, "\"batch\"");
  EXPECT_EQ(a->status(), 2u);
  EXPECT_EQ(a->reserved(shm::kStatusMessageKey), "\"it broke\"");
  EXPECT_EQ(s.span("ok")->status(), 1u) << "ok is final";
  EXPECT_EQ(s.span("ok")->reserved(shm::kStatusMessageKey), "\"\"");
}

TEST_F(Spans, TakeTimesOfTheCaller) {
  const Segment s = after([] {
    SpanOptions options;
    options.start = Time::unix_ns(1000);
    auto a = span("explicit"_n, options);
    a.end(Time::unix_ns(3000));
    const auto now = std::chrono::steady_clock::now();
    options.start = now;
    auto b = span("steady"_n, options);
    b.end(std::chrono::steady_clock::now());
  });
  const Span* a = s.span("explicit");
  EXPECT_EQ(a->record.start, 1000u);
  EXPECT_EQ(a->record.end, 3000u);
  EXPECT_EQ(a->record.header.flags >> 4, 2 | 2 << 2) << "both REALTIME";
  EXPECT_EQ(s.span("steady")->record.header.flags >> 4, 1 | 1 << 2) << "both MONOTONIC";
}

TEST_F(Spans, BeyondTheirSlotGoOnInChainedSlotsAndThenInParts) {
  const Segment s = after([] {
    auto chained = span("chained"_n);
    for (int i = 0; i < 120; ++i) chained.set("k" + std::to_string(i), i);
    auto parted = span("parted"_n);
    for (int i = 0; i < 6; ++i) parted.set("big" + std::to_string(i), std::string(5000, 'x'));
    parted.set("small"_n, 1);
  });
  const Span* chained = s.span("chained");
  ASSERT_NE(chained, nullptr);
  for (int i = 0; i < 120; ++i) EXPECT_EQ(chained->attribute("k" + std::to_string(i)), std::to_string(i));
  EXPECT_EQ(chained->parts, 0u);
  const Span* parted = s.span("parted");
  EXPECT_EQ(parted->parts, 7u) << "behind a part there are only parts: the last value of a key is read last";
  EXPECT_NE(parted->record.header.flags & shm::kFlagHasParts, 0);
  EXPECT_EQ(parted->attribute("big5").size(), 5002u);
  EXPECT_EQ(parted->attribute("small"), "1");
}

TEST_F(Spans, TakeANullPointerForAnEmptyText) {
  const Segment s = after([] {
    const char* none = nullptr;
    auto a = span("null"_n);
    a.set("k"_n, none);
    a.set("j", none);
    info("null {}"_n, none);
  });
  const Span* a = s.span("null");
  ASSERT_NE(a, nullptr);
  EXPECT_EQ(a->attribute("k"), "\"\"");
  EXPECT_EQ(a->attribute("j"), "\"\"");
  EXPECT_NE(s.log("null {}"), nullptr);
}

TEST_F(Spans, BeyondTheirLimitsAreCutAndSayHowMuch) {
  Config config;
  config.attribute_count_limit = 3;
  config.attribute_value_length_limit = 5;
  config.span_event_count_limit = 2;
  config.span_link_count_limit = 1;
  config.event_attribute_count_limit = 1;
  const Segment s = after(
      [] {
        auto a = span("limited"_n);
        a.set("a"_n, "12345678");
        a.set("b"_n, "\xc3\xa4\xc3\xb6\xc3\xbc\xc3\xa4\xc3\xb6\xc3\xbc");
        a.set("c"_n, Bytes{"1234567", 7});
        a.set("d"_n, 4);
        a.set("e"_n, 5);
        a.set("a"_n, "again!");
        for (int i = 0; i < 4; ++i) a.event("e"_n, {{"x", 1}, {"y", 2}});
        for (int i = 0; i < 3; ++i) a.link(a.context());
      },
      config);
  const Span* a = s.span("limited");
  EXPECT_EQ(a->attribute("a"), "\"again\"") << "a key that is there already is no new attribute";
  EXPECT_EQ(a->attribute("b"), "\"\xc3\xa4\xc3\xb6\xc3\xbc\xc3\xa4\xc3\xb6\"") << "five characters, not bytes";
  EXPECT_EQ(a->attribute("c"), "bytes(5)");
  EXPECT_EQ(a->attribute("d"), "");
  EXPECT_EQ(a->reserved(shm::kDroppedAttributesKey), "2");
  EXPECT_EQ(a->reserved(shm::kDroppedEventsKey), "2");
  EXPECT_EQ(a->reserved(shm::kDroppedLinksKey), "2");
  ASSERT_EQ(a->of(shm::ItemType::event).size(), 2u);
  EXPECT_EQ(a->of(shm::ItemType::event)[0].dropped_attributes, 1u);
  EXPECT_NE(a->record.header.flags & shm::kFlagTruncated, 0);
  EXPECT_GT(s.sums.cut, 0u);
}

// otlp-D4: keys are unique, so only their number counts.
TEST_F(Spans, SetOneKeyAsOftenAsTheyLikeAndHaveRoomForOthers) {
  Config config;
  config.attribute_count_limit = 4;
  const Segment s = after(
      [] {
        // "b" stands behind what the slot holds: in its chain.
        auto a = span("again"_n);
        for (int i = 0; i < 40; ++i) a.set("a", i);
        a.set("b"_n, std::string(400, 'b'));
        for (int i = 0; i < 5; ++i) a.set("b"_n, i);
        a.set("c"_n, 1);
        for (int i = 0; i < 5; ++i) a.set("a"_n, 100 + i);
        a.set("d"_n, 1);
        a.set("e"_n, 1);
        a.set("f"_n, 1);
        a.set("c"_n, 2);
      },
      config);
  const Span* a = s.span("again");
  EXPECT_EQ(a->attribute("a"), "104");
  EXPECT_EQ(a->attribute("b"), "4");
  EXPECT_EQ(a->attribute("c"), "2");
  EXPECT_EQ(a->attribute("d"), "1");
  EXPECT_EQ(a->attribute("e"), "");
  EXPECT_EQ(a->reserved(shm::kDroppedAttributesKey), "2");
}

// The inlined calls count nothing; what comes later must not pay for it.
TEST_F(Spans, SetOneKeyInlineAndHaveRoomForOthers) {
  const Segment s = after([] {
    auto a = span("again"_n);
    for (int i = 0; i < 55; ++i) a.set("a"_n, i);
    for (int i = 0; i < 200; ++i) a.set("other " + std::to_string(i), i);
  });
  const Span* a = s.span("again");
  EXPECT_EQ(a->attribute("other 126"), "126") << "with \"a\" it is the last of 128";
  EXPECT_EQ(a->attribute("other 127"), "");
  EXPECT_EQ(a->reserved(shm::kDroppedAttributesKey), "73");
}

TEST_F(Spans, WithALimitOf0HaveNoneOfIt) {
  Config config;
  config.span_attribute_count_limit = 0;
  config.log_attribute_value_length_limit = 0;
  config.span_event_count_limit = 0;
  config.link_attribute_count_limit = 0;
  const Segment s = after(
      [] {
        auto a = span("none"_n);
        a.set("a"_n, 1);
        a.set("b"_n, "text");
        a.event("e"_n);
        a.link(a.context(), {{"x", 1}});
        info("log", {{"text", "text"}, {"number", 1}});
      },
      config);
  const Span* a = s.span("none");
  EXPECT_EQ(a->attribute("a") + a->attribute("b"), "");
  EXPECT_EQ(a->reserved(shm::kDroppedAttributesKey), "2");
  EXPECT_EQ(a->reserved(shm::kDroppedEventsKey), "1");
  ASSERT_EQ(a->of(shm::ItemType::link).size(), 1u);
  EXPECT_EQ(a->of(shm::ItemType::link)[0].dropped_attributes, 1u);
  EXPECT_EQ(s.log("log")->attribute("text"), "\"\"");
  EXPECT_EQ(s.log("log")->attribute("number"), "1");
}

TEST_F(Spans, SayHowManyAttributesOfAnExceptionWereLeftOut) {
  Config config;
  config.event_attribute_count_limit = 20;
  const Segment s = after(
      [] {
        auto a = span("a"_n);
        std::vector<std::string> keys;
        std::vector<Attribute> attributes;
        for (int i = 0; i < 30; ++i) keys.push_back("key " + std::to_string(i));
        for (int i = 0; i < 30; ++i) attributes.push_back({keys[static_cast<std::size_t>(i)], i});
        a.exception(std::runtime_error("why"), Attributes(attributes.data(), attributes.size()));
      },
      config);
  const auto events = s.span("a")->of(shm::ItemType::event);
  ASSERT_EQ(events.size(), 1u);
  ASSERT_EQ(events[0].inside.size(), 20u);
  EXPECT_EQ(events[0].inside[0].value, "\"std::runtime_error\"");
  EXPECT_EQ(events[0].inside[1].value, "\"why\"");
  EXPECT_EQ(events[0].inside[19].key, "key 17");
  EXPECT_EQ(events[0].dropped_attributes, 12u);
}

TEST_F(Spans, TakeACharacterForATextAndSmallIntegersForNumbers) {
  const Segment s = after([] {
    auto a = span("a"_n);
    a.set("char"_n, 'x');
    a.set(std::string("late char"), 'y');
    a.set("int8"_n, std::int8_t{-7});
    a.set("uint8"_n, std::uint8_t{7});
    a.set("array"_n, {'a', 1});
    a.event("e"_n, {{"c", 'z'}});
    info("letter {} of {}", 'q', 26);
  });
  const Span* a = s.span("a");
  EXPECT_EQ(a->attribute("char"), "\"x\"");
  EXPECT_EQ(a->attribute("late char"), "\"y\"");
  EXPECT_EQ(a->attribute("int8"), "-7");
  EXPECT_EQ(a->attribute("uint8"), "7");
  EXPECT_EQ(a->attribute("array"), "[\"a\", 1]");
  EXPECT_EQ(a->of(shm::ItemType::event)[0].inside[0].value, "\"z\"");
  EXPECT_EQ(s.logs[0].arguments(), (std::vector<std::string>{"\"q\"", "26"}));
}

TEST_F(Spans, OfManyFindPlaceInThePool) {
  const Segment s = after([] {
    std::vector<DetachedSpan> many;
    for (int i = 0; i < 200; ++i) {
      many.push_back(start_span("many"_n));
      many.back().set("i"_n, i);
    }
    // 32 of the lane, the rest of the pool; all end.
    many.clear();
    for (int i = 0; i < 40; ++i) many.push_back(start_span("open"_n));
    _exit(0);
  });
  EXPECT_EQ(s.count("many"), 200u);
  EXPECT_EQ(s.count("open"), 40u);
  EXPECT_EQ(s.process.pool_used, 168u);
  for (const Span& span : s.spans) EXPECT_EQ(span.open, span.name == "open");
}

TEST_F(Spans, WithoutAnySlotAreAnnouncedAndStillWhole) {
  const Segment s = after([] {
    std::vector<DetachedSpan> many;
    for (std::uint32_t i = 0; i < 32 + shm::kPoolSlotsDefault; ++i) many.push_back(start_span("filler"_n));
    auto a = start_span("no slot"_n);
    a.set("a"_n, 1);
    a.set("b"_n, "two");
    a.event("e"_n);
    a.status(StatusCode::error, "bad");
    a.end();
    _exit(0);
  });
  const Span* a = s.span("no slot");
  ASSERT_NE(a, nullptr);
  EXPECT_EQ(s.announced, 1u);
  EXPECT_EQ(a->record.tflags & shm::kStarted, shm::kStarted);
  EXPECT_EQ(a->attribute("a"), "1");
  EXPECT_EQ(a->attribute("b"), "\"two\"");
  EXPECT_EQ(a->of(shm::ItemType::event).size(), 1u);
  EXPECT_EQ(a->status(), 2u);
  EXPECT_EQ(a->parts, 4u);
}

TEST_F(Spans, LeftOpenStandInTheirSlotsWithEverythingSetSoFar) {
  const Segment s = after([] {
    auto a = span("open"_n);
    a.set("k"_n, 1);
    a.event("e"_n);
    _exit(0);
  });
  const Span* a = s.span("open");
  ASSERT_NE(a, nullptr);
  EXPECT_TRUE(a->open);
  EXPECT_EQ(a->attribute("k"), "1");
  EXPECT_EQ(a->of(shm::ItemType::event).size(), 1u);
  EXPECT_EQ(s.sums.written[0], 0u);
}

TEST_F(Spans, KnowTheirScope) {
  static Scope* early = new Scope("library", "1.2", "https://schema", {{"flavour", "dark"}});
  const Segment s = after([] {
    Scope same("library", "1.2", "https://schema", {{"flavour", "dark"}});
    CHILD_EXPECT(same.id() == early->id() && same.id() != 0, 1);
    Scope other("other");
    SpanOptions options;
    options.scope = &same;
    auto a = span("a"_n, options);
    options.scope = &other;
    auto b = span("b"_n, options);
    auto c = span("c"_n);
  });
  EXPECT_EQ(s.span("c")->record.scope, 0);
  const auto id = s.span("a")->record.scope;
  ASSERT_GE(s.scopes.size(), id);
  const auto& items = s.scopes[id - 1u];
  ASSERT_EQ(items.size(), 4u);
  EXPECT_EQ(items[0].value, "\"library\"");
  EXPECT_EQ(items[3].value, "\"dark\"");
  EXPECT_NE(s.span("b")->record.scope, id);
}

TEST_F(Spans, AreSampledExactlyByTheLowFiftySixBits) {
  Config config;
  config.sampler = Sampler::parent_based_ratio;
  config.sampler_ratio = 0.25;
  const Segment s = after(
      [] {
        for (int i = 0; i < 1500; ++i) auto a = span("root"_n);
      },
      config);
  const std::uint64_t threshold = static_cast<std::uint64_t>(0.75 * 72057594037927936.0);
  EXPECT_GT(s.spans.size(), 250u);
  EXPECT_LT(s.spans.size(), 500u);
  EXPECT_EQ(s.spans.size() + s.sums.not_sampled, 1500u);
  for (const Span& span : s.spans) {
    EXPECT_GE(std::stoull(span.trace_id.substr(18), nullptr, 16), threshold);
    EXPECT_EQ(span.record.tflags & shm::kRandom, shm::kRandom);
  }
}

TEST_F(Spans, OfARatioSamplerThatIgnoresParentsAreDecidedByTheTraceId) {
  Config config;
  config.sampler = Sampler::ratio;
  config.sampler_ratio = 0.5;
  const Segment s = after(
      [] {
        SpanOptions options;
        const Context low = Context::from_traceparent("00-0af7651916cd43dd8400000000000001-b7ad6b7169203331-03");
        options.parent = low;
        auto dropped = span("sampled parent, low id"_n, options);
        const Context high = Context::from_traceparent("00-0af7651916cd43dd84ffffffffffff01-b7ad6b7169203331-02");
        options.parent = high;
        auto kept = span("unsampled parent, high id"_n, options);
      },
      config);
  EXPECT_EQ(s.spans.size(), 1u);
  EXPECT_EQ(s.count("unsampled parent, high id"), 1u);
}

TEST_F(Spans, OfPlainNamesAreRightWhateverBufferTheyStandIn) {
  const Segment s = after([] {
    char buffer[32];
    for (int i = 0; i < 60; ++i) {
      std::snprintf(buffer, sizeof buffer, "name %d", i % 7);
      auto a = span(buffer);
      std::snprintf(buffer, sizeof buffer, "a rather long key number %d", i % 3);
      a.set(buffer, i);
    }
  });
  for (int i = 0; i < 7; ++i) EXPECT_GE(s.count("name " + std::to_string(i)), 8u);
  for (const Span& span : s.spans) EXPECT_EQ(span.items.back().key.substr(0, 24), "a rather long key number");
}

TEST_F(Spans, DroppedByAFullLaneAreCountedAndExplained) {
  const Segment s = after([] {
    for (int i = 0; i < 20000; ++i) debug("background {}"_n, i);
    for (int i = 0; i < 20000; ++i) auto a = span("fill"_n);
    error("still fits"_n);
  });
  EXPECT_GT(s.sums.dropped[0][1], 0u);
  EXPECT_GT(s.sums.dropped[1][3], 0u);
  EXPECT_EQ(s.sums.dropped[1][0], 0u) << "a flood of anything leaves the reserve of critical records";
  EXPECT_EQ(s.spans.size() + s.sums.dropped[0][1], 20000u);
  ASSERT_EQ(s.losses.size(), 2u);
  EXPECT_EQ(s.losses[0].lost[3], s.sums.dropped[1][3]);
  EXPECT_EQ(s.losses[1].lost[1], s.sums.dropped[0][1]);
  EXPECT_NE(s.log("still fits"), nullptr);
}

}  // namespace
}  // namespace tailrace::test
