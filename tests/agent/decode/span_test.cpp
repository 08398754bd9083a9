// SPDX-License-Identifier: Apache-2.0
#include "tests/agent/decode/decode_fixture.hpp"

namespace tailrace::agent::test {
namespace {

using shm::kFlagHasParts;
using shm::Priority;
using shm::TimeClock;
using shm::test::flags_of;
using shm::test::make_span;
using shm::test::make_span_part;
using shm::test::make_span_start;
using shm::test::SpanFields;
using shm::test::trace_id_from;
using ::testing::ElementsAre;

using SpanTest = DecoderTest;

TEST_F(SpanTest, EveryFixedFieldComesThrough) {
  const SpanFields fields{.name = id("pay"),
                          .span_id = 0x2122232425262728,
                          .parent_id = 0x99,
                          .start = 100,
                          .end = 250,
                          .kind = 3,
                          .status = 2,
                          .flags = flags_of(Priority::critical)};
  const Decoded decoded = decode(make_span(fields));
  ASSERT_EQ(decoded.kind, Decoded::Kind::span);
  EXPECT_EQ(decoded.priority, 0);
  EXPECT_EQ(decoded.parts, 0u);
  EXPECT_FALSE(decoded.truncated);
  const otlp::SpanView& span = *decoded.span;
  EXPECT_EQ(span.name, "pay");
  EXPECT_EQ(span.trace_id.bytes[0], 0x10);
  EXPECT_EQ(span.trace_id.bytes[15], 0x1f);
  EXPECT_THAT(span.span_id.bytes, ElementsAre(0x28, 0x27, 0x26, 0x25, 0x24, 0x23, 0x22, 0x21));
  EXPECT_EQ(span.parent_span_id.bytes[0], 0x99);
  EXPECT_EQ(span.kind, 3);
  EXPECT_EQ(span.status_code, 2);
  EXPECT_EQ(span.start_ns, kEpochNs + 100);
  EXPECT_EQ(span.end_ns, kEpochNs + 250);
}

TEST_F(SpanTest, EveryTypeOfAttributeComesThrough) {
  const std::uint32_t key = id("key");
  const std::uint32_t text = id("interned");
  EXPECT_EQ(show(span(Items()
                          .integer(key, -7)
                          .boolean("yes", true)
                          .boolean("no", false)
                          .real("half", 0.5)
                          .string_id("id", text)
                          .string("text", "caf\xC3\xA9")
                          .bytes("raw", std::string_view("\0\xFF", 2))
                          .empty("nothing")
                          .array("list", Items().integer(0u, 1).string(0u, "two").array(0u, Items().boolean(0u, true)))
                          .map("tree", Items().map("branch", Items().integer("leaf", 3)).empty("bare")))
                     .attributes),
            "key=-7, yes=true, no=false, half=0.500000, id='interned', text='caf\xC3\xA9', raw=bytes:0:255, "
            "nothing=empty, list=[1, 'two', [true]], tree={branch={leaf=3}, bare=empty}");
}

// otlp-D4
TEST_F(SpanTest, TheLastValueOfAKeyCountsAndKeepsTheFirstPlace) {
  const std::uint32_t a = id("a");
  const std::uint32_t a_again = id("a");  // literals of two files have two ids
  const std::uint32_t b = id("b");
  EXPECT_EQ(
      show(span(Items().integer(a, 1).integer(b, 2).integer(a, 3).string(a_again, "4").boolean("a", true)).attributes),
      "a=true, b=2");
  EXPECT_EQ(decoder_.counts().duplicate_keys, 3u);
}

TEST_F(SpanTest, ManyKeysStayApartAlthoughTheirHashesMeet) {
  Items items;
  std::string expected;
  for (int i = 0; i < 400; ++i) {
    const std::string key = "key." + std::to_string(i);
    items.integer(id(key), i);
    expected += (i == 0 ? "" : ", ") + key + "=" + std::to_string(i);
  }
  builder_.identity();
  EXPECT_EQ(show(span(items).attributes), expected);
  EXPECT_EQ(decoder_.counts().duplicate_keys, 0u);
}

// otlp-D4
TEST_F(SpanTest, AnAttributeWithoutAKeyIsLeftOutAndCounted) {
  const std::uint32_t empty = id("");
  const otlp::SpanView& view = span(Items().integer("", 1).integer(empty, 2).integer(0u, 3).integer("k", 4));
  EXPECT_EQ(show(view.attributes), "k=4");
  EXPECT_EQ(view.dropped_attributes, 3u);
  EXPECT_EQ(decoder_.counts().attributes_dropped, 3u);
}

TEST_F(SpanTest, KeysAreUniqueInsideMapsEventsAndLinksToo) {
  const shm::test::TraceId trace = trace_id_from(0x40);
  const otlp::SpanView& view =
      span(Items()
               .map("m", Items().integer("x", 1).integer("", 0).integer("x", 2))
               .event("e", 5, Items().integer("y", 1).integer("y", 2).integer("", 3))
               .link(trace.bytes, 9, 0, Items().integer("z", 1).integer("z", 2).integer("", 3)));
  EXPECT_EQ(show(view.attributes), "m={x=2}");
  EXPECT_EQ(show(view.events[0].attributes), "y=2");
  EXPECT_EQ(view.events[0].dropped_attributes, 1u);
  EXPECT_EQ(show(view.links[0].attributes), "z=2");
  EXPECT_EQ(view.links[0].dropped_attributes, 1u);
}

TEST_F(SpanTest, ReservedKeysGoToTheirFields) {
  const otlp::SpanView& view = span(Items()
                                        .string(shm::kStatusMessageKey, "card refused")
                                        .string(shm::kTraceStateKey, "vendor=1")
                                        .string(shm::kNameKey, "first name")
                                        .string_id(shm::kNameKey, id("second name"))
                                        .integer(shm::kStatusCodeKey, 1)
                                        .integer(shm::kStatusCodeKey, 2)
                                        .integer(shm::kDroppedAttributesKey, 4)
                                        .integer(shm::kDroppedAttributesKey, 1)
                                        .integer(shm::kDroppedEventsKey, 5)
                                        .integer(shm::kDroppedLinksKey, 6),
                                    {.name = id("old name")});
  EXPECT_EQ(view.status_message, "card refused");
  EXPECT_EQ(view.trace_state, "vendor=1");
  EXPECT_EQ(view.name, "second name");
  EXPECT_EQ(view.status_code, 2);
  EXPECT_EQ(view.dropped_attributes, 5u);
  EXPECT_EQ(view.dropped_events, 5u);
  EXPECT_EQ(view.dropped_links, 6u);
  EXPECT_TRUE(view.attributes.empty());
}

TEST_F(SpanTest, DroppedCountsDoNotWrapAround) {
  const otlp::SpanView& view = span(Items()
                                        .integer(shm::kDroppedAttributesKey, std::int64_t{1} << 40)
                                        .integer(shm::kDroppedEventsKey, -3)
                                        .integer("", 1));
  EXPECT_EQ(view.dropped_attributes, 0xFFFFFFFFu);
  EXPECT_EQ(view.dropped_events, 0u);
}

TEST_F(SpanTest, EventsAndLinksComeThrough) {
  const shm::test::TraceId trace = trace_id_from(0x40);
  const otlp::SpanView& view =
      span(Items()
               .event(id("retry"), 150, Items().integer("attempt", 2))
               .event("inline name", kEpochNs + 77, {}, TimeClock::realtime, 3)
               .link(trace.bytes, 0x99, 0x301, Items().string(shm::kTraceStateKey, "a=b").boolean("x", false), 2));
  ASSERT_EQ(view.events.size(), 2u);
  EXPECT_EQ(view.events[0].name, "retry");
  EXPECT_EQ(view.events[0].time_ns, kEpochNs + 150);
  EXPECT_EQ(show(view.events[0].attributes), "attempt=2");
  EXPECT_EQ(view.events[1].name, "inline name");
  EXPECT_EQ(view.events[1].time_ns, kEpochNs + 77);
  EXPECT_EQ(view.events[1].dropped_attributes, 3u);
  ASSERT_EQ(view.links.size(), 1u);
  EXPECT_EQ(view.links[0].trace_id.bytes[0], 0x40);
  EXPECT_EQ(view.links[0].span_id.bytes[0], 0x99);
  EXPECT_EQ(view.links[0].flags, 0x301u);
  EXPECT_EQ(view.links[0].trace_state, "a=b");
  EXPECT_EQ(view.links[0].dropped_attributes, 2u);
  EXPECT_EQ(show(view.links[0].attributes), "x=false");
}

TEST_F(SpanTest, ALinkThatPointsAtNothingCountsAsDroppedUnlessItSaysSomething) {
  const std::uint8_t zero[16] = {};
  const otlp::SpanView& view = span(Items().link(zero, 0).link(zero, 0, 0, Items().integer("k", 1)));
  EXPECT_EQ(view.links.size(), 1u);
  EXPECT_EQ(view.dropped_links, 1u);
}

// otlp-D2
TEST_F(SpanTest, FlagsCarryTheW3CBitsAndWhetherTheParentIsRemote) {
  using shm::kRandom, shm::kRemote, shm::kRemoteKnown, shm::kSampled, shm::kStarted;
  const auto flags = [this](unsigned tflags) { return span({}, {.tflags = static_cast<std::uint8_t>(tflags)}).flags; };
  EXPECT_EQ(flags(0), 0u);
  EXPECT_EQ(flags(kSampled), 0x1u);
  EXPECT_EQ(flags(kSampled | kRandom), 0x3u);
  EXPECT_EQ(flags(kSampled | kRemoteKnown), 0x101u);
  EXPECT_EQ(flags(kSampled | kRemoteKnown | kRemote), 0x301u);
  EXPECT_EQ(flags(kSampled | kRemote), 0x1u);  // remote, and not known to be: nothing is said
  EXPECT_EQ(flags(kSampled | kStarted), 0x1u);
}

// otlp-D1
TEST_F(SpanTest, ASpanWithoutIdsIsBad) {
  EXPECT_EQ(why_bad(make_span({.span_id = 0})), BadRecord::zero_id);
  EXPECT_EQ(why_bad(make_span({.trace_id = {}})), BadRecord::zero_id);
  EXPECT_EQ(decoder_.counts().bad, 2u);
}

// otlp-D3
TEST_F(SpanTest, ANegativeDurationIsZeroAndCounted) {
  const otlp::SpanView& view = span({}, {.start = 500, .end = 400});
  EXPECT_EQ(view.start_ns, kEpochNs + 500);
  EXPECT_EQ(view.end_ns, view.start_ns);
  EXPECT_EQ(decoder_.counts().negative_durations, 1u);
}

// otlp-D3
TEST_F(SpanTest, ASpanWithoutANameIsCalledUnnamedAndCounted) {
  EXPECT_EQ(span({}).name, "unnamed");
  EXPECT_EQ(span(Items().string(shm::kNameKey, ""), {.name = id("x")}).name, "unnamed");
  EXPECT_EQ(decoder_.counts().unnamed_spans, 2u);
}

TEST_F(SpanTest, EachTimeHasItsOwnClock) {
  const otlp::SpanView& view = span({}, {.start = kEpochNs + 10,
                                         .end = 700,
                                         .flags = flags_of(Priority::low, TimeClock::realtime, TimeClock::monotonic)});
  EXPECT_EQ(view.start_ns, kEpochNs + 10);
  EXPECT_EQ(view.end_ns, kEpochNs + 700);
}

TEST_F(SpanTest, TextThatIsNotUtf8IsRepairedWhereverItStands) {
  const std::uint32_t bad_key = id("k\xFF");
  const std::uint32_t bad_value = id("v\xC3");
  const otlp::SpanView& view = span(Items()
                                        .string_id(bad_key, bad_value)
                                        .string("inline\xFE", "a\x80z")
                                        .array("l", Items().string(0u, "\xED\xA0\x80"))
                                        .string(shm::kStatusMessageKey, "\xF5"));
  EXPECT_EQ(show(view.attributes),
            "k\xEF\xBF\xBD='v\xEF\xBF\xBD', inline\xEF\xBF\xBD='a\xEF\xBF\xBDz', "
            "l=['\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD']");
  EXPECT_EQ(view.status_message, "\xEF\xBF\xBD");
  EXPECT_EQ(decoder_.strings().repaired(), 2u);
  EXPECT_EQ(decoder_.counts().texts_repaired, 4u);
}

TEST_F(SpanTest, AStringThatIsNotThereIsVisibleAndCounted) {
  const otlp::SpanView& view = span(Items().integer(7777u, 1).string_id("k", 8888), {.name = 123});
  EXPECT_EQ(view.name, "<string 123?>");
  EXPECT_EQ(show(view.attributes), "<string 7777?>=1, k='<string 8888?>'");
  EXPECT_EQ(decoder_.strings().missing(), 3u);
}

TEST_F(SpanTest, AnUnknownItemIsSkippedAndItsNeighboursStay) {
  const otlp::SpanView& view =
      span(Items().integer("a", 1).raw(id("new"), 99, 0, 8, "12345678").raw(50, 2, 0, 8, "12345678").integer("b", 2));
  EXPECT_EQ(show(view.attributes), "a=1, b=2");
  EXPECT_EQ(view.dropped_attributes, 1u);
  EXPECT_EQ(decoder_.counts().items_unknown, 2u);
}

TEST_F(SpanTest, AnItemThatDoesNotHoldTogetherMakesTheRecordBad) {
  const std::uint32_t key = id("k");
  EXPECT_EQ(why_bad(make_span({}, Items().raw(key, 2, 0, 4, "1234\0\0\0\0"))), BadRecord::bad_items);
  EXPECT_EQ(why_bad(make_span({}, Items().raw(key, 5, 0, 64, "12345678"))), BadRecord::bad_items);
  EXPECT_EQ(why_bad(make_span({}, Items().raw(key, 9, 0, 8, "12345678"))), BadRecord::bad_items);
  EXPECT_EQ(why_bad(make_span({}, Items().raw(key, 7, 0, 16, std::string_view("\1\0\0\0\5\0\xFF\0xxxxxxxx", 16)))),
            BadRecord::bad_items);
  EXPECT_EQ(show(span(Items().integer(key, 1)).attributes), "k=1");  // the next one is none the worse
}

TEST_F(SpanTest, ValuesNestedTooDeepMakeTheRecordBad) {
  const auto nested = [](unsigned arrays) {
    Items items = Items().integer(0u, 1);
    for (unsigned i = 1; i < arrays; ++i) items = Items().array(0u, items);
    return Items().array("k", items);
  };
  EXPECT_EQ(span(nested(shm::kMaxItemDepth)).attributes.size(), 1u);
  EXPECT_EQ(why_bad(make_span({}, nested(shm::kMaxItemDepth + 2))), BadRecord::bad_items);
}

TEST_F(SpanTest, ARecordTooShortForItsFixedPartIsBad) {
  Blob record = make_span({});
  record.resize(56);
  EXPECT_EQ(why_bad(record), BadRecord::too_short);
  EXPECT_EQ(why_bad({}), BadRecord::wrong_type);
}

TEST_F(SpanTest, KindsAndStatusesThatOtlpDoesNotHaveAreUnset) {
  const otlp::SpanView& view = span({}, {.kind = 6, .status = 3});
  EXPECT_EQ(view.kind, 0);
  EXPECT_EQ(view.status_code, 0);
  EXPECT_EQ(span(Items().integer(shm::kStatusCodeKey, 77), {.status = 1}).status_code, 0);
}

// --- parts

TEST_F(SpanTest, APartIsKeptForItsSpan) {
  const Decoded part = decode(make_span_part(trace_id_from(0x10), 0x24, 3, Items().integer("a", 1)));
  EXPECT_EQ(part.kind, Decoded::Kind::part);
  EXPECT_EQ(part.part_index, 3u);
  EXPECT_EQ(part.trace_id.bytes[0], 0x10);
  EXPECT_EQ(part.span_id.bytes[0], 0x24);
}

TEST_F(SpanTest, ASpanSaysHowManyPartsItHas) {
  const auto flags = static_cast<std::uint8_t>(flags_of(Priority::normal) | kFlagHasParts);
  EXPECT_EQ(decode(make_span({.flags = flags}, Items().integer(shm::kPartCountKey, 3))).parts, 3u);
  EXPECT_EQ(decode(make_span({.flags = flags})).parts, 1u);
  EXPECT_EQ(decode(make_span({}, Items().integer(shm::kPartCountKey, -3))).parts, 0u);
  EXPECT_LE(decode(make_span({}, Items().integer(shm::kPartCountKey, std::int64_t{1} << 50))).parts, 1u << 16);
}

class PartsTest : public DecoderTest {
 protected:
  const otlp::SpanView& join(const Items& items, const std::vector<Blob>& parts) {
    record_ = make_span({.span_id = 0x24}, items);
    parts_ = parts;
    std::vector<shm::Bytes> views;
    for (const Blob& part : parts_) views.push_back(shm::test::bytes_of(part));
    const Decoded decoded = decoder_.decode_with_parts(shm::test::bytes_of(record_), views, 0);
    EXPECT_EQ(decoded.kind, Decoded::Kind::span);
    return *decoded.span;
  }
  static Blob part(std::uint32_t index, const Items& items, std::uint64_t span_id = 0x24) {
    return make_span_part(trace_id_from(0x10), span_id, index, items);
  }
  std::vector<Blob> parts_;
};

TEST_F(PartsTest, PartsAreTakenInTheirOrderAndTheLastValueOfAKeyCounts) {
  const otlp::SpanView& view =
      join(Items().integer("a", 0).integer(shm::kPartCountKey, 3),
           {part(2, Items().integer("a", 2).event("late", 1)), part(0, Items().integer("b", 0)),
            part(1, Items().integer("a", 1).string(shm::kNameKey, "renamed"))});
  EXPECT_EQ(show(view.attributes), "a=2, b=0");
  EXPECT_EQ(view.name, "renamed");
  EXPECT_EQ(view.events.size(), 1u);
  EXPECT_EQ(view.dropped_attributes, 0u);
}

TEST_F(PartsTest, AMissingPartIsADroppedAttribute) {
  const otlp::SpanView& view = join(Items().integer(shm::kPartCountKey, 4),
                                    {part(0, Items().integer("a", 0)), part(3, Items().integer("b", 0))});
  EXPECT_EQ(view.dropped_attributes, 2u);
  EXPECT_EQ(decoder_.counts().missing_parts, 2u);
}

TEST_F(PartsTest, APartTwiceAndAPartOfAnotherSpanAreNotTaken) {
  const otlp::SpanView& view = join(
      Items().integer(shm::kPartCountKey, 1),
      {part(0, Items().integer("a", 1)), part(0, Items().integer("a", 2)), part(1, Items().integer("c", 1), 0x77)});
  EXPECT_EQ(show(view.attributes), "a=1");
  EXPECT_EQ(view.dropped_attributes, 0u);
}

TEST_F(PartsTest, ABrokenPartIsAMissingOne) {
  const otlp::SpanView& view =
      join(Items().integer("a", 1).integer(shm::kPartCountKey, 1), {part(0, Items().raw(99, 2, 0, 4, "12345678"))});
  EXPECT_EQ(show(view.attributes), "a=1");
  EXPECT_EQ(view.dropped_attributes, 1u);
}

// --- spans left open

class OpenSpanTest : public DecoderTest {
 protected:
  const otlp::SpanView& open(const Items& items, std::uint64_t end_ns, CrashMark crash = {},
                             shm::SlotVerdict verdict = shm::SlotVerdict::open) {
    shm::SlotSpan slot;
    slot.verdict = verdict;
    record_ = make_span({.name = id("pay"), .start = 100, .end = 200}, items);
    std::memcpy(&slot.record, record_.data(), sizeof slot.record);
    slot.items[0] = shm::test::bytes_of(record_).from(sizeof(shm::SpanRecord));
    slot.item_ranges = 1;
    more_ = Items().integer("more", 2);
    slot.items[1] = shm::test::bytes_of(more_.blob());
    slot.item_ranges = 2;
    const Decoded decoded = decoder_.decode_slot(slot, {}, end_ns, crash);
    EXPECT_EQ(decoded.kind, Decoded::Kind::span);
    return *decoded.span;
  }
  Items more_;
};

TEST_F(OpenSpanTest, EndsWithTheLastSignOfLifeAndSaysThatItIsIncomplete) {
  const otlp::SpanView& view = open(Items().integer("a", 1), kEpochNs + 900);
  EXPECT_EQ(view.name, "pay");
  EXPECT_EQ(view.end_ns, kEpochNs + 900);
  EXPECT_EQ(show(view.attributes), "a=1, more=2, tailrace.span.incomplete=true");
  EXPECT_EQ(view.status_code, 0);
}

TEST_F(OpenSpanTest, NeverEndsBeforeItsStartOrItsOwnEvents) {
  EXPECT_EQ(open(Items(), 0).end_ns, kEpochNs + 100);
  EXPECT_EQ(open(Items().event("e", 700), kEpochNs + 300).end_ns, kEpochNs + 700);
}

TEST_F(OpenSpanTest, ARecordedCrashIsItsError) {
  const otlp::SpanView& view = open({}, kEpochNs + 900, {11, 0xdead0, 800});
  EXPECT_EQ(view.status_code, 2);
  EXPECT_EQ(view.status_message, "signal 11 at 0xdead0");
  EXPECT_EQ(view.end_ns, kEpochNs + 800);
  EXPECT_EQ(show(view.attributes),
            "more=2, tailrace.span.incomplete=true, tailrace.crash.signal=11, tailrace.crash.address='0xdead0'");
}

TEST_F(OpenSpanTest, OneThatHadEndedIsLeftAsItIs) {
  const otlp::SpanView& view = open({}, kEpochNs + 900, {}, shm::SlotVerdict::ended);
  EXPECT_EQ(view.end_ns, kEpochNs + 200);
  EXPECT_EQ(show(view.attributes), "more=2");
}

TEST_F(OpenSpanTest, AStartWithoutASpanIsAnIncompleteSpan) {
  const Blob start = make_span_start({.name = id("pay"), .start = 100}, Items().integer("a", 1));
  EXPECT_EQ(decode(start).kind, Decoded::Kind::span_start);
  const Decoded decoded = decoder_.decode_span_start(shm::test::bytes_of(start), {}, kEpochNs + 300, {});
  ASSERT_EQ(decoded.kind, Decoded::Kind::span);
  EXPECT_EQ(decoded.span->end_ns, kEpochNs + 300);
  EXPECT_EQ(show(decoded.span->attributes), "a=1, tailrace.span.incomplete=true");
}

// --- other records

TEST_F(SpanTest, OtherAndUnknownRecordsAreNothingToSend) {
  EXPECT_EQ(decode(shm::test::make_thread(1, "t")).kind, Decoded::Kind::other);
  EXPECT_EQ(decode(shm::test::make_loss(1, 2, 3, 4)).kind, Decoded::Kind::other);
  EXPECT_EQ(decode(shm::test::make_anchor(1, 2, 3)).kind, Decoded::Kind::other);
  EXPECT_EQ(decode(shm::test::make_record(shm::MoreRecord{}, static_cast<shm::RecordType>(77))).kind,
            Decoded::Kind::other);
  EXPECT_EQ(decoder_.counts().others, 4u);
  EXPECT_EQ(decode(shm::test::make_record(shm::MoreRecord{}, shm::RecordType::more)).kind, Decoded::Kind::bad);
}

// --- scopes and blobs

TEST_F(SpanTest, AScopeIsDecodedOnceAndStays) {
  const std::uint16_t scope_id = scope(Items()
                                           .string(shm::kNameKey, "lib")
                                           .string(shm::kVersionKey, "1.2")
                                           .string(shm::kSchemaUrlKey, "https://schema")
                                           .integer("n", 7));
  const Decoded decoded = decode(make_span({.scope = scope_id}, Items().string("still", "here")));
  EXPECT_EQ(decoded.scope, scope_id);
  const otlp::ScopeView& view = decoder_.scope(scope_id);
  EXPECT_EQ(view.name, "lib");
  EXPECT_EQ(view.version, "1.2");
  EXPECT_EQ(view.schema_url, "https://schema");
  EXPECT_EQ(show(view.attributes), "n=7");
  EXPECT_EQ(show(decoded.span->attributes), "still='here'");  // looking at the scope harmed no view
  EXPECT_EQ(&decoder_.scope(scope_id), &view);
  EXPECT_TRUE(decoder_.scope(0).name.empty());
}

TEST_F(SpanTest, TheSameScopeHasTheSameHashAndAnotherAnother) {
  const std::uint16_t a = scope(Items().string(shm::kNameKey, "lib"));
  const std::uint16_t b = scope(Items().string(shm::kNameKey, "lib"));
  const std::uint16_t c = scope(Items().string(shm::kVersionKey, "lib"));
  EXPECT_EQ(decoder_.scope_hash(a), decoder_.scope_hash(b));
  EXPECT_NE(decoder_.scope_hash(a), decoder_.scope_hash(c));
  EXPECT_NE(decoder_.scope_hash(a), decoder_.scope_hash(0));
}

TEST_F(SpanTest, AScopeThatIsNotThereIsVisibleUntilItComes) {
  EXPECT_EQ(decoder_.scope(1).name, "<scope 1?>");
  EXPECT_EQ(decoder_.counts().scopes_missing, 1u);
  EXPECT_EQ(scope(Items().string(shm::kNameKey, "late")), 1);
  EXPECT_EQ(decoder_.scope(1).name, "late");
  EXPECT_EQ(decoder_.scope(65535).name, "<scope 65535?>");
}

TEST_F(SpanTest, ABlobGivesAttributesAndASchema) {
  const Items items = Items().string("service.name", "s").string(shm::kSchemaUrlKey, "u").integer("", 1);
  const SegmentDecoder::Blob blob = decoder_.decode_blob(shm::test::bytes_of(items.blob()));
  EXPECT_TRUE(blob.sound);
  EXPECT_EQ(show(blob.attributes), "service.name='s'");
  EXPECT_EQ(blob.schema_url, "u");
  EXPECT_EQ(blob.dropped_attributes, 1u);
  const Blob broken(12, 0xFF);
  EXPECT_FALSE(decoder_.decode_blob(shm::test::bytes_of(broken)).sound);
}

TEST_F(SpanTest, TheLatestTimeIsTheLastSignOfLife) {
  EXPECT_EQ(decoder_.last_time_ns(), 0u);
  span({}, {.start = 10, .end = 900});
  span({}, {.start = 10, .end = 300});
  EXPECT_EQ(decoder_.last_time_ns(), kEpochNs + 900);
  const auto explicit_times = flags_of(Priority::normal, TimeClock::realtime, TimeClock::realtime);
  span({}, {.start = kEpochNs, .end = 2 * kEpochNs, .flags = explicit_times});
  EXPECT_EQ(decoder_.last_time_ns(), kEpochNs + 1'000'000'000);  // the last anchor, not the year 2077
}

}  // namespace
}  // namespace tailrace::agent::test
