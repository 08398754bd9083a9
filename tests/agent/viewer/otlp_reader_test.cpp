// SPDX-License-Identifier: Apache-2.0
#include "agent/viewer/otlp_reader.hpp"

#include <gtest/gtest.h>
#include <limits>
#include <random>
#include <string>

#include "agent/viewer/api.hpp"
#include "agent/viewer/otlp_value.hpp"
#include "tests/agent/viewer/otlp_requests.hpp"

namespace tailrace::agent::viewer {
namespace {

using namespace test;
using Json = nlohmann::ordered_json;

constexpr std::size_t kMiB = std::size_t{1} << 20;

TraceId trace_a() {
  TraceId id;
  id.fill(0xA1);
  return id;
}

class ViewerReader : public ::testing::Test {
 protected:
  Store store_{4 * kMiB};
};

TEST_F(ViewerReader, KeepsEveryPartOfASpan) {
  TraceRequest request;
  ProtoSpan* span = add_span(request, kTraceA, kSpan2, "pay", "checkout");
  span->set_parent_span_id(kSpan1);
  span->mutable_status()->set_code(opentelemetry::proto::trace::v1::Status::STATUS_CODE_ERROR);
  span->mutable_status()->set_message("declined");
  auto* text = span->add_attributes();
  text->set_key("card");
  text->mutable_value()->set_string_value("visa");
  auto* nested = span->add_attributes();
  nested->set_key("list");
  nested->mutable_value()->mutable_array_value()->add_values()->set_int_value(-7);
  nested->mutable_value()->mutable_array_value()->add_values()->set_bool_value(true);
  auto* map = nested->mutable_value()->mutable_array_value()->add_values()->mutable_kvlist_value()->add_values();
  map->set_key("bytes");
  map->mutable_value()->set_bytes_value(std::string("\x00\xff", 2));
  auto* number = span->add_attributes();
  number->set_key("nan");
  number->mutable_value()->set_double_value(std::numeric_limits<double>::quiet_NaN());
  span->add_events()->set_name("retry");
  span->add_links()->set_trace_id(kTraceB);

  const auto counts = read_traces(request.SerializeAsString(), store_);
  ASSERT_TRUE(counts.ok()) << counts.error().sentence;
  EXPECT_EQ(counts->records, 1u);
  EXPECT_EQ(counts->rejected, 0u);

  const Json spans = Json::parse(trace_json(store_, trace_a()))["spans"];
  ASSERT_EQ(spans.size(), 1u);
  const Json& row = spans[0];
  EXPECT_EQ(row["span_id"], "0202020202020202");
  EXPECT_EQ(row["parent_span_id"], "0101010101010101");
  EXPECT_EQ(row["service"], "checkout");
  EXPECT_EQ(row["name"], "pay");
  EXPECT_EQ(row["kind"], "server");
  EXPECT_EQ(row["status"], "error");
  EXPECT_EQ(row["start_time_unix_nano"], "1700000000000000000");
  EXPECT_EQ(row["end_time_unix_nano"], "1700000000001500000");
  EXPECT_EQ(row["attributes"].dump(), R"({"card":"visa","list":[-7,true,{"bytes":"0x00ff"}],"nan":"NaN"})");
  EXPECT_EQ(row["left_out"], 0);

  // Events, links and the status message are kept for pages to come.
  const std::string detail = store_.spans_of(trace_a(), 1, kMiB).spans.at(0).detail;
  EXPECT_NE(detail.find("retry"), std::string::npos);
  EXPECT_NE(detail.find(kTraceB), std::string::npos);
  EXPECT_NE(detail.find("declined"), std::string::npos);
}

TEST_F(ViewerReader, SeesTheMarkOfAnUnfinishedSpan) {
  TraceRequest request;
  auto* mark = add_span(request, kTraceA, kSpan1, "cut off")->add_attributes();
  mark->set_key("tailrace.span.incomplete");
  mark->mutable_value()->set_bool_value(true);
  auto* other = add_span(request, kTraceB, kSpan1, "whole")->add_attributes();
  other->set_key("tailrace.span.incomplete");
  other->mutable_value()->set_bool_value(false);
  ASSERT_TRUE(read_traces(request.SerializeAsString(), store_).ok());
  EXPECT_EQ(store_.spans_of(trace_a(), 1, kMiB).spans.at(0).unfinished, true);
  std::uint32_t unfinished = 0;
  for (const TraceRow& row : store_.recent_traces(10)) {
    unfinished += row.unfinished;
  }
  EXPECT_EQ(unfinished, 1u);
}

// otlp-D1
TEST_F(ViewerReader, SpansWithoutValidIdsAreRejectedAndTheOthersKept) {
  TraceRequest request;
  add_span(request, std::string(16, '\0'), kSpan1, "zero trace");
  add_span(request, kTraceA, std::string(8, '\0'), "zero span");
  add_span(request, "short", kSpan1, "short trace");
  add_span(request, kTraceA, "", "no span id");
  add_span(request, kTraceA, kSpan1, "good");
  const auto counts = read_traces(request.SerializeAsString(), store_);
  ASSERT_TRUE(counts.ok());
  EXPECT_EQ(counts->records, 5u);
  EXPECT_EQ(counts->rejected, 4u);
  EXPECT_EQ(store_.counters().spans.kept, 1u);
  EXPECT_EQ(store_.counters().spans.received, 5u);
  EXPECT_EQ(store_.counters().spans.rejected, 4u);
}

TEST_F(ViewerReader, TheResourceMayStandBehindItsSpans) {
  TraceRequest spans;
  add_span(spans, kTraceA, kSpan1, "early");
  auto without_resource = spans.resource_spans(0);
  without_resource.clear_resource();
  opentelemetry::proto::trace::v1::ResourceSpans only_resource;
  set_service(only_resource.mutable_resource(), "late");
  // A message's serialized parts may stand in any order, one behind the other.
  const std::string body = without_resource.SerializeAsString() + only_resource.SerializeAsString();
  std::string request = "\x0A";
  ASSERT_LT(body.size(), 128u);
  request += static_cast<char>(body.size());
  request += body;
  ASSERT_TRUE(read_traces(request, store_).ok());
  EXPECT_EQ(store_.recent_traces(1).at(0).service, "late");
}

TEST_F(ViewerReader, ServicesWithoutNameAreCalledUnknown) {
  TraceRequest request;
  add_span(request, kTraceA, kSpan1, "who", "");
  ASSERT_TRUE(read_traces(request.SerializeAsString(), store_).ok());
  EXPECT_EQ(store_.recent_traces(1).at(0).service, "unknown_service");
}

TEST_F(ViewerReader, KeepsEveryPartOfALog) {
  LogRequest request;
  ProtoLog* log = add_log(request, "paid 42", "checkout");
  log->set_severity_text("Notice");
  log->set_event_name("payment");
  log->set_trace_id(kTraceA);
  log->set_span_id(kSpan1);
  auto* attribute = log->add_attributes();
  attribute->set_key("amount");
  attribute->mutable_value()->set_int_value(42);
  const auto counts = read_logs(request.SerializeAsString(), store_);
  ASSERT_TRUE(counts.ok());
  EXPECT_EQ(counts->records, 1u);

  const Json row = Json::parse(logs_json(store_, 10, nullptr))["logs"][0];
  EXPECT_EQ(row["time_unix_nano"], "1700000000000000000");
  EXPECT_EQ(row["severity_number"], 9);
  EXPECT_EQ(row["severity_text"], "Notice");
  EXPECT_EQ(row["service"], "checkout");
  EXPECT_EQ(row["body"], "paid 42");
  EXPECT_EQ(row["event_name"], "payment");
  EXPECT_EQ(row["trace_id"], "a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1");
  EXPECT_EQ(row["span_id"], "0101010101010101");
  EXPECT_EQ(row["attributes"].dump(), R"({"amount":42})");
}

TEST_F(ViewerReader, LogsWithoutTimeShowWhenTheyWereObserved) {
  LogRequest request;
  add_log(request, "when?")->clear_time_unix_nano();
  ASSERT_TRUE(read_logs(request.SerializeAsString(), store_).ok());
  EXPECT_EQ(store_.latest_logs(1, kMiB).at(0).time_ns, kStartNs + 5);
}

TEST_F(ViewerReader, BodiesThatAreNotTextAreShownAsJson) {
  LogRequest request;
  auto* entry = add_log(request, "")->mutable_body()->mutable_kvlist_value()->add_values();
  entry->set_key("a");
  entry->mutable_value()->set_double_value(1.5);
  add_log(request, "")->clear_body();
  add_log(request, "")->mutable_body()->set_bytes_value(std::string(kMiB, 'b'));
  ASSERT_TRUE(read_logs(request.SerializeAsString(), store_).ok());
  const auto rows = store_.latest_logs(3, kMiB);
  EXPECT_EQ(rows.at(2).body, R"({"a":1.5})");
  EXPECT_EQ(rows.at(1).body, "");
  EXPECT_NE(rows.at(0).body.find("too large to show"), std::string::npos);
}

TEST_F(ViewerReader, TextThatIsNotUtf8DoesNotBreakTheJson) {
  std::string body = "bad \xFF\xFE text";
  LogRequest request;
  ProtoLog* log = add_log(request, "");
  log->mutable_body()->set_string_value(body);
  auto* attribute = log->add_attributes();
  attribute->set_key("\xC0");
  attribute->mutable_value()->set_string_value("\xED\xA0\x80");
  ASSERT_TRUE(read_logs(request.SerializeAsString(), store_).ok());
  const Json parsed = Json::parse(logs_json(store_, 1, nullptr), nullptr, false);
  ASSERT_FALSE(parsed.is_discarded());
  EXPECT_EQ(parsed["logs"][0]["body"], "bad \xEF\xBF\xBD\xEF\xBF\xBD text");
}

TEST_F(ViewerReader, AttributesThatDoNotFitAreLeftOutAndCounted) {
  TraceRequest request;
  ProtoSpan* span = add_span(request, kTraceA, kSpan1, "large");
  auto* huge = span->add_attributes();
  huge->set_key("huge");
  huge->mutable_value()->set_string_value(std::string(kMiB, 'h'));
  auto* small = span->add_attributes();
  small->set_key("small");
  small->mutable_value()->set_string_value("fits");
  ASSERT_TRUE(read_traces(request.SerializeAsString(), store_).ok());
  const SpanRow row = store_.spans_of(trace_a(), 1, kMiB).spans.at(0);
  EXPECT_EQ(row.left_out, 1u);
  EXPECT_EQ(attributes_json(row.detail, span_field::kAttributes).dump(), R"({"small":"fits"})");
}

TEST_F(ViewerReader, CountsMetricPointsOfEveryKind) {
  MetricRequest request;
  auto* scope = request.add_resource_metrics()->add_scope_metrics();
  scope->add_metrics()->mutable_gauge()->add_data_points();
  auto* sum = scope->add_metrics()->mutable_sum();
  sum->add_data_points();
  sum->add_data_points();
  scope->add_metrics()->mutable_histogram()->add_data_points();
  scope->add_metrics()->mutable_exponential_histogram()->add_data_points();
  scope->add_metrics()->mutable_summary()->add_data_points();
  const auto counts = read_metrics(request.SerializeAsString(), store_);
  ASSERT_TRUE(counts.ok());
  EXPECT_EQ(counts->records, 6u);
}

// otlp-T9
TEST_F(ViewerReader, EmptyRequestsAreWelcome) {
  EXPECT_EQ(read_traces("", store_)->records, 0u);
  EXPECT_EQ(read_logs("", store_)->records, 0u);
  EXPECT_EQ(read_metrics("", store_)->records, 0u);
}

TEST_F(ViewerReader, AMalformedRequestLeavesNothingBehind) {
  TraceRequest request;
  for (char i = 1; i < 50; ++i) {
    add_span(request, kTraceA, std::string(8, i), "span");
  }
  const std::string whole = request.SerializeAsString();
  for (std::size_t size = 1; size < whole.size(); size += 3) {
    const auto refused = read_traces(std::string_view(whole).substr(0, size), store_);
    ASSERT_FALSE(refused.ok()) << size;
    EXPECT_EQ(refused.error().code, ErrorCode::kCorrupt);
    EXPECT_NE(refused.error().sentence.find("nothing of it was kept"), std::string::npos);
  }
  EXPECT_EQ(store_.counters().spans.received, 0u);
}

TEST_F(ViewerReader, ValuesNestedTooDeepAreRefusedNotFollowed) {
  // Each level is one ArrayValue in an AnyValue; the sizes are written from the inside out.
  const auto wrap = [](char tag, const std::string& inner) {
    std::string out(1, tag);
    for (std::size_t size = inner.size();; size >>= 7) {
      out += static_cast<char>((size & 0x7F) | (size > 0x7F ? 0x80 : 0));
      if (size <= 0x7F) {
        break;
      }
    }
    return out + inner;
  };
  const auto request_of = [&](int levels) {
    std::string value;
    for (int i = 0; i < levels; ++i) {
      value = wrap('\x2A', wrap('\x0A', value));
    }
    return wrap('\x0A', wrap('\x12', wrap('\x12', wrap('\x2A', value))));
  };
  EXPECT_TRUE(read_logs(request_of(90), store_).ok());
  EXPECT_FALSE(store_.latest_logs(1, kMiB).at(0).body.empty());
  EXPECT_FALSE(read_logs(request_of(150), store_).ok());
  EXPECT_FALSE(read_logs(request_of(2'000), store_).ok());
}

TEST_F(ViewerReader, AnyBytesAreReadOrRefusedWithoutHarm) {
  TraceRequest spans;
  LogRequest logs;
  for (char i = 1; i < 20; ++i) {
    auto* span = add_span(spans, kTraceA, std::string(8, i), "span");
    span->add_attributes()->mutable_value()->mutable_kvlist_value()->add_values()->set_key("k");
    span->add_events()->add_attributes()->set_key("e");
    span->mutable_status()->set_message("m");
    auto* log = add_log(logs, "body");
    log->add_attributes()->mutable_value()->mutable_array_value()->add_values()->set_double_value(1);
  }
  const std::string good_spans = spans.SerializeAsString();
  const std::string good_logs = logs.SerializeAsString();
  std::mt19937_64 random(4317);
  for (int i = 0; i < 3'000; ++i) {
    std::string bytes = i % 2 == 0 ? good_spans : good_logs;
    for (std::uint64_t flips = random() % 8; flips > 0; --flips) {
      bytes[random() % bytes.size()] = static_cast<char>(random());
    }
    static_cast<void>(read_traces(bytes, store_).ok());
    static_cast<void>(read_logs(bytes, store_).ok());
    static_cast<void>(read_metrics(bytes, store_).ok());
    if (i % 300 == 0) {
      for (const TraceRow& row : store_.recent_traces(20)) {
        static_cast<void>(trace_json(store_, row.trace_id));
      }
      static_cast<void>(logs_json(store_, 100, nullptr));
    }
  }
  const StoreCounters counters = store_.counters();
  EXPECT_EQ(counters.spans.received, counters.spans.rejected + counters.spans.kept + counters.spans.dropped);
}

}  // namespace
}  // namespace tailrace::agent::viewer
