// SPDX-License-Identifier: Apache-2.0
//
// What the encoder writes is, byte for byte, what Protobuf itself would write,
// and Protobuf reads it back equal field by field.
// otlp-D…: the data rules that encoders get wrong, as far as an encoder decides.

#include "proto/encode/encode.hpp"

#include <array>
#include <cmath>
#include <cstdint>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <limits>
#include <string>
#include <vector>

#include "tests/proto/expected.hpp"

namespace tailrace::otlp::test {
namespace {

template <typename Id>
Id id_of(std::uint8_t first) {
  Id id;
  for (auto& byte : id.bytes) byte = first++;
  return id;
}

SpanView plain_span() {
  SpanView span;
  span.trace_id = id_of<TraceId>(0x10);
  span.span_id = id_of<SpanId>(0x80);
  span.name = "pay";
  span.kind = 2;
  span.start_ns = 1'790'000'000'000'000'000;
  span.end_ns = 1'790'000'000'000'012'345;
  return span;
}

class Encoder : public testing::Test {
 protected:
  std::string encode(const SpanView& span) {
    EXPECT_TRUE(encode_span(writer_, span));
    return text_of(writer_);
  }
  std::string encode(const LogView& log) {
    EXPECT_TRUE(encode_log(writer_, log));
    return text_of(writer_);
  }

  otel::trace::v1::Span decoded(const SpanView& span) {
    otel::trace::v1::Span decoded;
    EXPECT_TRUE(parse_span(encode(span), decoded));
    return decoded;
  }
  otel::logs::v1::LogRecord decoded(const LogView& log) {
    otel::logs::v1::LogRecord decoded;
    EXPECT_TRUE(parse_log(encode(log), decoded));
    return decoded;
  }

  void expect_equal(const SpanView& span) {
    otel::trace::v1::ScopeSpans scope;
    *scope.add_spans() = expected(span);
    writer_.clear();
    EXPECT_EQ(difference(decoded(span), expected(span)), "");
    EXPECT_TRUE(text_of(writer_) == scope.SerializeAsString()) << "not Protobuf's bytes";
  }
  void expect_equal(const LogView& log) {
    otel::logs::v1::ScopeLogs scope;
    *scope.add_log_records() = expected(log);
    writer_.clear();
    EXPECT_EQ(difference(decoded(log), expected(log)), "");
    EXPECT_TRUE(text_of(writer_) == scope.SerializeAsString()) << "not Protobuf's bytes";
  }

  std::vector<std::uint8_t> buffer_ = std::vector<std::uint8_t>(std::size_t{1} << 20);
  BackwardWriter writer_{buffer_.data(), buffer_.size()};
};

TEST_F(Encoder, WritesASpanWithEveryField) {
  const std::array attributes{KeyValue{"amount", Value::of(std::int64_t{42})},
                              KeyValue{"currency", Value::string("EUR")}};
  const std::array events{EventView{1'790'000'000'000'000'100, "retry", attributes, 3},
                          EventView{1'790'000'000'000'000'200, "done", {}, 0}};
  const std::array links{LinkView{id_of<TraceId>(1), id_of<SpanId>(2), "ot=th:8", 0x301, attributes, 1},
                         LinkView{id_of<TraceId>(3), id_of<SpanId>(4), "", 0, {}, 0}};
  SpanView span = plain_span();
  span.parent_span_id = id_of<SpanId>(0x90);
  span.trace_state = "ot=th:c,vendor=x";
  span.flags = 0x103;
  span.attributes = attributes;
  span.events = events;
  span.links = links;
  span.dropped_attributes = 1;
  span.dropped_events = 200;
  span.dropped_links = 70000;
  span.status_code = 2;
  span.status_message = "card refused";
  expect_equal(span);
}

TEST_F(Encoder, WritesALogWithEveryField) {
  const std::array attributes{KeyValue{"user", Value::string("jane")}, KeyValue{"ratio", Value::of(0.25)}};
  LogView log;
  log.time_ns = 1'790'000'000'000'000'000;
  log.observed_ns = 1'790'000'000'000'000'001;
  log.severity = 17;
  log.severity_text = "ERROR";
  log.body = Value::string("payment of jane refused");
  log.attributes = attributes;
  log.dropped_attributes = 2;
  log.flags = 1;
  log.trace_id = id_of<TraceId>(0x10);
  log.span_id = id_of<SpanId>(0x80);
  log.event_name = "payment.refused";
  expect_equal(log);
}

TEST_F(Encoder, WritesNothingForDefaults) {
  EXPECT_EQ(encode(SpanView{}), std::string("\x12\x00", 2));
  writer_.clear();
  EXPECT_EQ(encode(LogView{}), std::string("\x12\x00", 2));
}

TEST_F(Encoder, WritesResourceScopeAndSchemaUrlAsTheirFields) {
  const std::array attributes{KeyValue{"service.name", Value::string("checkout")}};
  const ResourceView resource{attributes, 3, "ignored here"};
  const ScopeView scope{"shop", "1.2.3", "ignored here", attributes, 9};

  ASSERT_TRUE(encode_resource(writer_, resource));
  otel::trace::v1::ResourceSpans resource_spans;
  *resource_spans.mutable_resource() = expected(resource);
  EXPECT_EQ(text_of(writer_), resource_spans.SerializeAsString());

  writer_.clear();
  ASSERT_TRUE(encode_scope(writer_, scope));
  otel::trace::v1::ScopeSpans scope_spans;
  *scope_spans.mutable_scope() = expected(scope);
  EXPECT_EQ(text_of(writer_), scope_spans.SerializeAsString());

  writer_.clear();
  ASSERT_TRUE(encode_schema_url(writer_, "https://opentelemetry.io/schemas/1.44.0"));
  otel::logs::v1::ScopeLogs scope_logs;
  scope_logs.set_schema_url("https://opentelemetry.io/schemas/1.44.0");
  EXPECT_EQ(text_of(writer_), scope_logs.SerializeAsString());
}

TEST_F(Encoder, WritesEarlierFieldsBehindLaterOnes) {
  SpanView first = plain_span();
  SpanView second = plain_span();
  second.name = "second";
  ASSERT_TRUE(encode_span(writer_, second));
  ASSERT_TRUE(encode_span(writer_, first));
  otel::trace::v1::ScopeSpans scope;
  ASSERT_TRUE(scope.ParseFromString(text_of(writer_)));
  ASSERT_EQ(scope.spans_size(), 2);
  EXPECT_EQ(scope.spans(0).name(), "pay");
  EXPECT_EQ(scope.spans(1).name(), "second");
}

// otlp-D1
TEST_F(Encoder, D1IdsHaveSixteenAndEightBytes) {
  const auto span = decoded(plain_span());
  EXPECT_EQ(span.trace_id().size(), 16U);
  EXPECT_EQ(span.span_id().size(), 8U);
  EXPECT_EQ(static_cast<std::uint8_t>(span.trace_id()[15]), 0x1f);
}

// otlp-D1
TEST_F(Encoder, D1ARootSpanHasNoParentId) { EXPECT_TRUE(decoded(plain_span()).parent_span_id().empty()); }

// otlp-D1
TEST_F(Encoder, D1AnIdOfZerosIsLeftOut) {
  SpanView span = plain_span();
  span.trace_id = {};
  span.span_id = {};
  EXPECT_TRUE(decoded(span).trace_id().empty());
  LogView log;
  log.body = Value::string("outside of any span");
  writer_.clear();
  const auto record = decoded(log);
  EXPECT_TRUE(record.trace_id().empty());
  EXPECT_TRUE(record.span_id().empty());
}

// otlp-D2
TEST_F(Encoder, D2FlagsOfSpansAndLinksPassUnchanged) {
  for (const std::uint32_t flags : {0x0U, 0x1U, 0x3U, 0x101U, 0x303U, 0xffffffffU}) {
    const std::array links{LinkView{id_of<TraceId>(1), id_of<SpanId>(2), "", flags, {}, 0}};
    SpanView span = plain_span();
    span.flags = flags;
    span.links = links;
    writer_.clear();
    const auto read = decoded(span);
    EXPECT_EQ(read.flags(), flags);
    EXPECT_EQ(read.links(0).flags(), flags);
  }
}

// otlp-D3
TEST_F(Encoder, D3TimesAreFixed64Nanoseconds) {
  SpanView span;
  span.start_ns = 0x0102030405060708;
  span.end_ns = UINT64_MAX;
  EXPECT_EQ(encode(span), std::string("\x12\x12"
                                      "\x39\x08\x07\x06\x05\x04\x03\x02\x01"
                                      "\x41\xff\xff\xff\xff\xff\xff\xff\xff",
                                      20));
}

// otlp-D5: both are never written, whatever the value; unknown fields would show.
TEST_F(Encoder, D5StringIndexesAreNeverWritten) {
  const std::array attributes{KeyValue{"a", Value::of(std::int64_t{8})}, KeyValue{"b", Value::string("")},
                              KeyValue{"c", Value{}}};
  SpanView span = plain_span();
  span.attributes = attributes;
  const auto read = decoded(span);
  ASSERT_EQ(read.attributes_size(), 3);
  for (const auto& attribute : read.attributes()) {
    EXPECT_EQ(attribute.key_strindex(), 0);
    EXPECT_FALSE(attribute.value().has_string_value_strindex());
  }
}

// otlp-D6
TEST_F(Encoder, D6EveryDroppedCountIsWritten) {
  const std::array events{EventView{1, "e", {}, 11}};
  const std::array links{LinkView{id_of<TraceId>(1), id_of<SpanId>(2), "", 0, {}, 12}};
  SpanView span = plain_span();
  span.events = events;
  span.links = links;
  span.dropped_attributes = 13;
  span.dropped_events = 14;
  span.dropped_links = UINT32_MAX;
  const auto read = decoded(span);
  EXPECT_EQ(read.events(0).dropped_attributes_count(), 11U);
  EXPECT_EQ(read.links(0).dropped_attributes_count(), 12U);
  EXPECT_EQ(read.dropped_attributes_count(), 13U);
  EXPECT_EQ(read.dropped_events_count(), 14U);
  EXPECT_EQ(read.dropped_links_count(), UINT32_MAX);
  LogView log;
  log.dropped_attributes = 15;
  writer_.clear();
  EXPECT_EQ(decoded(log).dropped_attributes_count(), 15U);
}

// otlp-D10
TEST_F(Encoder, D10ObservedTimeAndEventNameAreWritten) {
  LogView log;
  log.observed_ns = 77;
  log.event_name = "started";
  const auto read = decoded(log);
  EXPECT_EQ(read.observed_time_unix_nano(), 77U);
  EXPECT_EQ(read.event_name(), "started");
}

// A value of every type, at the places a value can stand. otlp-D4: since 1.9 all
// of them are legal attribute values.
struct NamedValue {
  const char* name;
  Value value;
};

const std::string kLong(16384, 'x');
constexpr std::array kElements{KeyValue{"", Value::of(std::int64_t{1})},
                               KeyValue{"", Value::string("two")},
                               KeyValue{"", Value::of(3.0)},
                               KeyValue{"", Value{}},
                               KeyValue{"", Value::string("")},
                               KeyValue{"", Value::bytes("")}};
constexpr std::array kMembers{KeyValue{"first", Value::of(true)},
                              KeyValue{"second", Value::array(kElements.data(), kElements.size())},
                              KeyValue{"third", Value{}}};
constexpr std::array kMaps{KeyValue{"", Value::map(kMembers.data(), kMembers.size())},
                           KeyValue{"", Value::map(nullptr, 0)}, KeyValue{"", Value::array(nullptr, 0)}};

std::vector<NamedValue> named_values() {
  using Reals = std::numeric_limits<double>;
  return {
      {"Empty", Value{}},
      {"True", Value::of(true)},
      {"False", Value::of(false)},
      {"Zero", Value::of(std::int64_t{0})},
      {"Minus1", Value::of(std::int64_t{-1})},
      {"Int127", Value::of(std::int64_t{127})},
      {"Int128", Value::of(std::int64_t{128})},
      {"Int16383", Value::of(std::int64_t{16383})},
      {"Int16384", Value::of(std::int64_t{16384})},
      {"Int2097152", Value::of(std::int64_t{2097152})},
      {"IntMin", Value::of(INT64_MIN)},
      {"IntMax", Value::of(INT64_MAX)},
      {"Real", Value::of(1.5)},
      {"RealZero", Value::of(0.0)},
      {"RealMinusZero", Value::of(-0.0)},
      {"NaN", Value::of(std::nan(""))},
      {"Infinity", Value::of(Reals::infinity())},
      {"MinusInfinity", Value::of(-Reals::infinity())},
      {"RealMax", Value::of(Reals::max())},
      {"RealDenormal", Value::of(Reals::denorm_min())},
      {"EmptyString", Value::string("")},
      {"String", Value::string("hello")},
      {"StringWithNul", Value::string(std::string_view("a\0b", 3))},
      {"StringBeyondAscii", Value::string("Grüße, 世界 𝄞")},
      {"String125", Value::string(std::string_view(kLong).substr(0, 125))},
      {"String126", Value::string(std::string_view(kLong).substr(0, 126))},
      {"String16KiB", Value::string(kLong)},
      {"EmptyBytes", Value::bytes("")},
      {"Bytes", Value::bytes(std::string_view("\xff\x00\x80\xc0", 4))},
      {"Bytes16KiB", Value::bytes(kLong)},
      {"EmptyArray", Value::array(nullptr, 0)},
      {"Array", Value::array(kElements.data(), kElements.size())},
      {"EmptyMap", Value::map(nullptr, 0)},
      {"Map", Value::map(kMembers.data(), kMembers.size())},
      {"ArrayOfMaps", Value::array(kMaps.data(), kMaps.size())},
  };
}

class EncodedValue : public Encoder, public testing::WithParamInterface<NamedValue> {};

TEST_P(EncodedValue, D4IsReadBackAsAttributeOfASpan) {
  for (const std::string_view key : {std::string_view("k"), std::string_view(kLong)}) {
    const std::array attributes{KeyValue{"before", Value::of(true)}, KeyValue{key, GetParam().value},
                                KeyValue{"after", Value::of(false)}};
    const std::array events{EventView{1, "e", attributes, 0}};
    const std::array links{LinkView{id_of<TraceId>(1), id_of<SpanId>(2), "", 0, attributes, 0}};
    SpanView span = plain_span();
    span.attributes = attributes;
    span.events = events;
    span.links = links;
    expect_equal(span);
    EXPECT_TRUE(expected(span).attributes(1).has_value());
  }
}

TEST_P(EncodedValue, IsReadBackAsBodyAndAttributeOfALog) {
  const std::array attributes{KeyValue{"k", GetParam().value}};
  LogView log;
  log.time_ns = 1;
  log.body = GetParam().value;
  log.attributes = attributes;
  expect_equal(log);
}

TEST_P(EncodedValue, IsReadBackInsideArraysAndMaps) {
  const std::array elements{KeyValue{"", GetParam().value}, KeyValue{"", GetParam().value}};
  const std::array members{KeyValue{"a", Value::array(elements.data(), elements.size())},
                           KeyValue{"b", GetParam().value}};
  const std::array attributes{KeyValue{"k", Value::map(members.data(), members.size())}};
  SpanView span = plain_span();
  span.attributes = attributes;
  expect_equal(span);
}

INSTANTIATE_TEST_SUITE_P(OfEveryType, EncodedValue, testing::ValuesIn(named_values()),
                         [](const auto& test) { return std::string(test.param.name); });

// A chain of `depth` arrays or maps with a string at its end.
Value nested(Value::Type type, int depth, std::vector<KeyValue>& storage) {
  storage.assign(static_cast<std::size_t>(depth), KeyValue{"k", Value::string("innermost")});
  Value value = Value::string("innermost");
  for (KeyValue& item : storage) {
    item.value = value;
    value = type == Value::Type::map ? Value::map(&item, 1) : Value::array(&item, 1);
  }
  return value;
}

// What a reader with Protobuf's default limit must still take: the value stands
// as deep as a request allows, in the attribute of an event or a link.
class Nesting : public Encoder {
 protected:
  std::string request_with(const Value& value) {
    const std::array attributes{KeyValue{"k", value}};
    const std::array events{EventView{1, "e", attributes, 0}};
    SpanView span = plain_span();
    span.events = events;
    writer_.clear();
    const std::string encoded = encode(span);
    // The span's bytes are a ScopeSpans; two more levels around it, as on the wire.
    const auto wrap = [](const std::string& inner, std::uint8_t field_tag) {
      std::string outer(1, static_cast<char>(field_tag));
      for (std::size_t size = inner.size();; size >>= 7) {
        outer += static_cast<char>((size & 0x7f) | (size >= 0x80 ? 0x80 : 0));
        if (size < 0x80) break;
      }
      return outer + inner;
    };
    return wrap(wrap(encoded, 0x12), 0x0a);
  }

  static int depth_of(const otel::common::v1::AnyValue& value) {
    if (value.has_array_value() && value.array_value().values_size() > 0) {
      return 1 + depth_of(value.array_value().values(0));
    }
    if (value.has_kvlist_value() && value.kvlist_value().values_size() > 0) {
      return 1 + depth_of(value.kvlist_value().values(0).value());
    }
    return 0;
  }

  // The depth that a reader finds, 0 if it refuses the request.
  int depth_read(const Value& value) {
    otel::collector::trace::v1::ExportTraceServiceRequest request;
    if (!request.ParseFromString(request_with(value))) return 0;
    return depth_of(request.resource_spans(0).scope_spans(0).spans(0).events(0).attributes(0).value());
  }

  std::vector<KeyValue> storage_;
};

TEST_F(Nesting, IsReadBackWholeUpToTheLimitOfReaders) {
  EXPECT_EQ(depth_read(nested(Value::Type::array, 47, storage_)), 47);
  EXPECT_EQ(depth_read(nested(Value::Type::map, 31, storage_)), 31);
  EXPECT_EQ(writer_.cut_values(), 0U);
}

TEST_F(Nesting, BeyondTheLimitIsCutAndCountedAndTheRequestStillRead) {
  EXPECT_EQ(depth_read(nested(Value::Type::array, 48, storage_)), 47);
  EXPECT_EQ(writer_.cut_values(), 1U);
  EXPECT_EQ(depth_read(nested(Value::Type::map, 32, storage_)), 31);
  EXPECT_EQ(writer_.cut_values(), 2U);
  EXPECT_EQ(depth_read(nested(Value::Type::array, 5000, storage_)), 47);
  EXPECT_EQ(writer_.cut_values(), 3U);
}

}  // namespace
}  // namespace tailrace::otlp::test
