// SPDX-License-Identifier: Apache-2.0
//
// What an application records arrives, whole: every kind of span and log, through shared memory, agent and
// gRPC, read by two readers that share nothing with our encoder; recorded through the C++ API and through the C API.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <pwd.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <map>
#include <set>
#include <string>

#include "tests/interop/comparison.hpp"
#include "tests/interop/delivery.hpp"
#include "tests/interop/expected_logs.hpp"
#include "tests/interop/expected_spans.hpp"

namespace tailrace::interop {
namespace {

using pb::trace::v1::Span;

const Environment kResourceEnvironment{
    {"OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test%20bench,team=caf%C3%A9"}};
const Environment kLimitEnvironment{
    {"OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", "5"},   {"OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "4"},
    {"OTEL_SPAN_EVENT_COUNT_LIMIT", "2"},         {"OTEL_SPAN_LINK_COUNT_LIMIT", "1"},
    {"OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT", "2"},    {"OTEL_LINK_ATTRIBUTE_COUNT_LIMIT", "1"},
    {"OTEL_LOGRECORD_ATTRIBUTE_COUNT_LIMIT", "2"}};

class Interop : public testing::TestWithParam<Reader> {
 protected:
  // One run for all tests of a program: they only look at it.
  void use(const std::string& mode, const Environment& environment) {
    static std::map<std::pair<Reader, std::string>, Delivery> runs;
    const std::pair<Reader, std::string> key{GetParam(), mode};
    const auto found = runs.find(key);
    delivery_ = found != runs.end() ? &found->second : &(runs[key] = deliver(GetParam(), mode, environment));
    if (!delivery_->skipped.empty()) GTEST_SKIP() << delivery_->skipped;
  }
  void use_everything() { use("everything", kResourceEnvironment); }

  Delivery* delivery_ = nullptr;
};

INSTANTIATE_TEST_SUITE_P(Read, Interop, testing::Values(Reader::collector, Reader::collector_through_c, Reader::python),
                         [](const auto& one) { return name_of(one.param); });

#define USE_OR_RETURN(...)                                                                                             \
  __VA_ARGS__;                                                                                                         \
  if (IsSkipped() || HasFatalFailure()) return

// "$x*100" in an expectation: a hundred times x.
std::string unfolded(std::string text) {
  for (std::size_t at; (at = text.find('$')) != text.npos && text[at + 2] == '*';) {
    std::size_t end = at + 3;
    while (std::isdigit(static_cast<unsigned char>(text[end])) != 0) ++end;
    text.replace(at, end - at, std::string(std::stoul(text.substr(at + 3)), text[at + 1]));
  }
  return text;
}

template <std::size_t N>
void add(Expected& to, const char* const (&records)[N]) {
  for (const char* record : records) to.records.push_back(unfolded(record));
}

std::string text_attribute(const std::string& key, const std::string& value) {
  return "attributes { key: \"" + key + "\" value { string_value: \"" + value + "\" } } ";
}
std::string int_attribute(const std::string& key, int value) {
  return "attributes { key: \"" + key + "\" value { int_value: " + std::to_string(value) + " } } ";
}
constexpr const char* kRemoteLink =
    R"(links { trace_id: "\x4b\xf9\x2f\x35\x77\xb3\x4d\xa6\xa3\xce\x92\x9d\x0e\x0e\x47\x36"
       span_id: "\x00\xf0\x67\xaa\x0b\xa9\x02\xb7" flags: 769 attributes { key: "k" value { int_value: 2 } } } )";
std::string head(const std::string& name) {
  return "trace_id: \"@" + name + "\" span_id: \"@" + name + "\" name: \"" + name +
         "\" kind: SPAN_KIND_INTERNAL flags: 259 ";
}

std::vector<std::string> many_spans() {
  std::vector<std::string> spans;
  for (int i = 0; i < 40; ++i) spans.push_back(head("many." + std::to_string(i)) + int_attribute("i", i));
  return spans;
}

std::string chained_span() {
  std::string span = head("wide.chain");
  for (int i = 0; i < 60; ++i) {
    const std::string key = "chain." + std::to_string(i);
    if (i == 3) {
      span += text_attribute(key, "changed");
    } else if (i == 50) {
      span += int_attribute(key, 50);
    } else {
      span += text_attribute(key, std::string(32, "abcdefghijklmnopqrstuvwxyz"[i % 26]));
    }
  }
  return span + "events { name: \"wide.event\" attributes { key: \"k\" value { int_value: 1 } } } " + kRemoteLink +
         "status { code: STATUS_CODE_ERROR message: \"far behind\" }";
}

std::string parted_span() {
  std::string span = head("wide.parts") + text_attribute("first", "changed");
  for (int i = 0; i < 119; ++i) {
    span += text_attribute("part." + std::to_string(i), std::string(300, "abcdefghijklmnopqrstuvwxyz"[i % 26]));
  }
  return span + int_attribute("part.119", 119) +
         "events { name: \"wide.event\" time_unix_nano: 1700000000123456789 "
         "attributes { key: \"k\" value { int_value: 1 } } } " +
         kRemoteLink + "status { code: STATUS_CODE_ERROR message: \"in a part\" }";
}

std::string counted_span() {
  std::string span = head("wide.counts") + text_attribute("count.0", "changed");
  for (int i = 1; i < 128; ++i) span += int_attribute("count." + std::to_string(i), i);
  for (int i = 0; i < 128; ++i) {
    char digits[5];
    std::snprintf(digits, sizeof digits, "\\x%02x", static_cast<unsigned>(i + 1));
    span += "events { name: \"e" + std::to_string(i) + "\" } ";
    span += R"(links { trace_id: "\x4b\xf9\x2f\x35\x77\xb3\x4d\xa6\xa3\xce\x92\x9d\x0e\x0e\x47\x36" flags: 769 )"
            R"(span_id: "\x00\xf0\x67\xaa\x0b\xa9\x02)" +
            std::string(digits) + "\" } ";
  }
  return span + "dropped_attributes_count: 2 dropped_events_count: 2 dropped_links_count: 2";
}

bool starts_with(const std::string& text, const std::string& start) { return text.rfind(start, 0) == 0; }

// Takes out of a delivery what another test looks at.
Delivery without_large(const Delivery& from) {
  Delivery rest = from;
  for (auto& request : rest.traces) {
    for (auto& resource : *request.mutable_resource_spans()) {
      for (auto& scope : *resource.mutable_scope_spans()) {
        auto* spans = scope.mutable_spans();
        spans->erase(
            std::remove_if(spans->begin(), spans->end(),
                           [](const Span& span) { return span.name() == "wide.value" || span.name() == "wide.event"; }),
            spans->end());
      }
    }
  }
  for (auto& request : rest.logs) {
    for (auto& resource : *request.mutable_resource_logs()) {
      for (auto& scope : *resource.mutable_scope_logs()) {
        auto* records = scope.mutable_log_records();
        records->erase(std::remove_if(records->begin(), records->end(),
                                      [](const auto& record) { return record.body().string_value() == "large"; }),
                       records->end());
      }
    }
  }
  return rest;
}

TEST_P(Interop, every_kind_of_span_arrives_with_every_field_equal) {
  USE_OR_RETURN(use_everything());
  Expected own;
  add(own, kAttributeSpans);
  add(own, kParentSpans);
  add(own, kItemSpans);
  for (std::string& span : many_spans()) own.records.push_back(std::move(span));
  own.records.push_back(chained_span());
  own.records.push_back(parted_span());
  own.records.push_back(counted_span());
  Expected library{kLibraryScope, kLibrarySchema, {}};
  add(library, kLibrarySpans);
  const Expected other{kOtherScope, "", {kOtherSpan}};
  expect_spans(without_large(*delivery_), {own, library, other});
}

TEST_P(Interop, every_kind_of_log_arrives_with_every_field_equal) {
  USE_OR_RETURN(use_everything());
  Expected own;
  add(own, kTemplateLogs);
  add(own, kRecordLogs);
  for (int severity = 1; severity <= 24; ++severity) {
    own.records.push_back("severity_number: " + std::to_string(severity) + " body { string_value: \"severity " +
                          std::to_string(severity) + "\" }");
  }
  expect_logs(without_large(*delivery_), {own, {kLibraryScope, kLibrarySchema, {kLibraryLog}}});
}

TEST_P(Interop, every_record_that_was_counted_arrives_once) {
  USE_OR_RETURN(use_everything());
  EXPECT_EQ(all_spans(*delivery_).size(), delivery_->written_spans);
  EXPECT_EQ(all_logs(*delivery_).size(), delivery_->written_logs);
  std::set<std::string> ids;
  for (const Span& span : all_spans(*delivery_)) EXPECT_TRUE(ids.insert(span.span_id()).second) << span.name();
  for (const agent::SignalLedger& row : delivery_->status.totals) {
    EXPECT_EQ(row.imbalance(), 0);
    EXPECT_EQ(row.unaccounted(), 0);
  }
  const auto& ledger = delivery_->status.totals;
  EXPECT_EQ(ledger[0].delivered, delivery_->written_spans);
  EXPECT_EQ(ledger[1].delivered, delivery_->written_logs);
}

TEST_P(Interop, a_moment_of_the_steady_clock_arrives_as_time_of_day) {
  USE_OR_RETURN(use_everything());
  const Span span = find_span(*delivery_, "time.steady_clock");
  const auto expect_near = [](std::uint64_t got, std::uint64_t wanted) {
    EXPECT_NEAR(static_cast<double>(static_cast<std::int64_t>(got - wanted)), 0.0, 5e6) << got << " is not " << wanted;
  };
  expect_near(span.start_time_unix_nano(), delivery_->times.at("steady.start"));
  expect_near(span.end_time_unix_nano(), delivery_->times.at("steady.end"));
  ASSERT_EQ(span.events_size(), 1);
  EXPECT_EQ(span.events(0).time_unix_nano(), span.end_time_unix_nano());
}

TEST_P(Interop, otlp_D1_ids_are_whole_and_a_root_has_no_parent) {
  USE_OR_RETURN(use_everything());
  for (const Span& span : all_spans(*delivery_)) {
    EXPECT_EQ(span.trace_id().size(), 16U) << span.name();
    EXPECT_EQ(span.span_id().size(), 8U) << span.name();
    EXPECT_NE(span.trace_id(), std::string(16, '\0')) << span.name();
    EXPECT_NE(span.span_id(), std::string(8, '\0')) << span.name();
    EXPECT_TRUE(span.parent_span_id().empty() || span.parent_span_id().size() == 8U) << span.name();
    EXPECT_NE(span.parent_span_id(), std::string(8, '\0')) << span.name();
  }
  EXPECT_TRUE(find_span(*delivery_, "parent.root").parent_span_id().empty());
  EXPECT_TRUE(find_span(*delivery_, "parent.none").parent_span_id().empty());
}

TEST_P(Interop, otlp_D2_flags_say_whether_the_parent_is_remote_and_nothing_unknown) {
  USE_OR_RETURN(use_everything());
  for (const Span& span : all_spans(*delivery_)) {
    EXPECT_EQ(span.flags() & ~0x3ffU, 0U) << span.name();
    EXPECT_NE(span.flags() & 0x100U, 0U) << span.name();
    for (const auto& link : span.links()) EXPECT_EQ(link.flags() & ~0x3ffU, 0U) << span.name();
  }
  EXPECT_NE(find_span(*delivery_, "parent.remote").flags() & 0x200U, 0U);
  EXPECT_NE(find_span(*delivery_, "parent.activated_remote").flags() & 0x200U, 0U);
  EXPECT_EQ(find_span(*delivery_, "parent.below_remote").flags() & 0x200U, 0U);
}

TEST_P(Interop, otlp_D3_names_are_never_empty_and_no_span_ends_before_its_start) {
  USE_OR_RETURN(use_everything());
  for (const Span& span : all_spans(*delivery_)) {
    EXPECT_FALSE(span.name().empty());
    EXPECT_GE(span.end_time_unix_nano(), span.start_time_unix_nano()) << span.name();
    for (const auto& event : span.events()) EXPECT_FALSE(event.name().empty()) << span.name();
  }
}

template <class Attributes>
void expect_unique_keys(const Attributes& attributes, const std::string& where) {
  std::set<std::string> keys;
  for (const auto& attribute : attributes) {
    EXPECT_FALSE(attribute.key().empty()) << where;
    EXPECT_TRUE(keys.insert(attribute.key()).second) << where << " has " << attribute.key() << " twice";
  }
}

TEST_P(Interop, otlp_D4_keys_are_unique_and_not_empty_everywhere) {
  USE_OR_RETURN(use_everything());
  for (const Span& span : all_spans(*delivery_)) {
    expect_unique_keys(span.attributes(), span.name());
    for (const auto& event : span.events()) expect_unique_keys(event.attributes(), span.name());
    for (const auto& link : span.links()) expect_unique_keys(link.attributes(), span.name());
  }
  for (const auto& record : all_logs(*delivery_))
    expect_unique_keys(record.attributes(), record.body().ShortDebugString());
  for (const auto& request : delivery_->traces) {
    for (const auto& resource : request.resource_spans())
      expect_unique_keys(resource.resource().attributes(), "resource");
  }
}

TEST_P(Interop, otlp_D6_what_limits_left_out_is_counted) {
  USE_OR_RETURN(use("limits", kLimitEnvironment));
  Expected spans;
  add(spans, kLimitedSpans);
  expect_spans(*delivery_, {spans});
  Expected logs;
  add(logs, kLimitedLogs);
  expect_logs(*delivery_, {logs});
}

TEST_P(Interop, otlp_D6_what_no_record_can_hold_is_counted) {
  USE_OR_RETURN(use_everything());
  const std::string value(500, 'v');
  const auto expect_kept = [&value](const auto& holder, const char* what) {
    EXPECT_GT(holder.attributes_size(), 25) << what;
    EXPECT_EQ(static_cast<unsigned>(holder.attributes_size()) + holder.dropped_attributes_count(), 60U) << what;
    for (int i = 0; i + 1 < holder.attributes_size(); ++i)
      EXPECT_EQ(holder.attributes(i).value().string_value(), value) << what;
  };
  const Span event = find_span(*delivery_, "wide.event");
  ASSERT_EQ(event.events_size(), 1);
  ASSERT_EQ(event.links_size(), 1);
  expect_kept(event.events(0), "event");
  expect_kept(event.links(0), "link");
  for (const auto& record : all_logs(*delivery_)) {
    if (record.body().string_value() == "large") expect_kept(record, "log");
  }
  // A value that no record can hold keeps its start.
  const Span span = find_span(*delivery_, "wide.value");
  ASSERT_EQ(span.attributes_size(), 3);
  EXPECT_EQ(span.attributes(0).value().string_value(), std::string(15000, 'f'));
  EXPECT_TRUE(starts_with(std::string(40000, 'c'), span.attributes(1).value().string_value()));
  EXPECT_GT(span.attributes(1).value().string_value().size(), 16000U);
  EXPECT_TRUE(span.attributes(2).value().bool_value());
}

TEST_P(Interop, otlp_D6_parts_beyond_what_the_agent_joins_are_counted) {
  USE_OR_RETURN(use("parts", {{"OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "2000"}}));
  const Span span = find_span(*delivery_, "seven hundred");
  EXPECT_GE(span.attributes_size(), 500);
  EXPECT_EQ(static_cast<unsigned>(span.attributes_size()) + span.dropped_attributes_count(), 700U);
  EXPECT_EQ(delivery_->status.totals[0].delivered, 1U);
}

TEST_P(Interop, otlp_D9_no_time_is_zero) {
  USE_OR_RETURN(use_everything());
  for (const Span& span : all_spans(*delivery_)) {
    EXPECT_NE(span.start_time_unix_nano(), 0U) << span.name();
    for (const auto& event : span.events()) EXPECT_NE(event.time_unix_nano(), 0U) << span.name();
  }
  for (const auto& record : all_logs(*delivery_))
    EXPECT_NE(record.time_unix_nano(), 0U) << record.body().ShortDebugString();
}

TEST_P(Interop, otlp_D10_every_log_says_when_it_was_observed) {
  USE_OR_RETURN(use_everything());
  for (const auto& record : all_logs(*delivery_)) {
    EXPECT_NE(record.observed_time_unix_nano(), 0U) << record.body().ShortDebugString();
  }
}

TEST_P(Interop, otlp_D11_a_request_has_each_resource_and_each_scope_once) {
  USE_OR_RETURN(use_everything());
  for (const auto& request : delivery_->traces) {
    std::set<std::string> resources;
    for (const auto& resource : request.resource_spans()) {
      EXPECT_TRUE(resources.insert(resource.resource().SerializeAsString() + resource.schema_url()).second);
      std::set<std::string> scopes;
      for (const auto& scope : resource.scope_spans()) {
        EXPECT_TRUE(scopes.insert(scope.scope().SerializeAsString() + scope.schema_url()).second)
            << scope.scope().ShortDebugString();
      }
    }
  }
  for (const auto& request : delivery_->logs) {
    std::set<std::string> resources;
    for (const auto& resource : request.resource_logs()) {
      EXPECT_TRUE(resources.insert(resource.resource().SerializeAsString() + resource.schema_url()).second);
      std::set<std::string> scopes;
      for (const auto& scope : resource.scope_logs()) {
        EXPECT_TRUE(scopes.insert(scope.scope().SerializeAsString() + scope.schema_url()).second)
            << scope.scope().ShortDebugString();
      }
    }
  }
}

TEST_P(Interop, the_resource_is_what_the_process_said_and_the_agent_knows) {
  USE_OR_RETURN(use_everything());
  utsname system{};
  ASSERT_EQ(::uname(&system), 0);
  const passwd* owner = ::getpwuid(::getuid());
  std::set<std::string> seen;
  const auto expect_resource = [&](const pb::resource::v1::Resource& resource) {
    if (!seen.insert(resource.SerializeAsString()).second) return;
    std::map<std::string, pb::common::v1::AnyValue> values;
    for (const auto& attribute : resource.attributes()) values[attribute.key()] = attribute.value();
    const auto take_text = [&values](const std::string& key) {
      const std::string text = values[key].string_value();
      values.erase(key);
      return text;
    };
    EXPECT_EQ(take_text("service.name"), "recorder");
    EXPECT_EQ(take_text("service.version"), "1.2.3");
    EXPECT_EQ(take_text("service.namespace"), "interop");
    EXPECT_THAT(take_text("service.instance.id"),
                testing::MatchesRegex("[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"));
    EXPECT_EQ(take_text("telemetry.sdk.name"), "tailrace");
    EXPECT_EQ(take_text("telemetry.sdk.language"), "cpp");
    EXPECT_EQ(take_text("telemetry.sdk.version"), TAILRACE_PROJECT_VERSION);
    EXPECT_EQ(take_text("deployment.environment.name"), "test bench");
    EXPECT_EQ(take_text("team"), "caf\xc3\xa9");
    EXPECT_EQ(take_text("resource.text"), "gr\xc3\xbc\xc3\x9f dich");
    EXPECT_EQ(values["resource.bool"].ShortDebugString(), "bool_value: true");
    EXPECT_EQ(values["resource.ints"].ShortDebugString(),
              "array_value { values { int_value: 1 } values { int_value: 2 } values { int_value: 3 } }");
    EXPECT_EQ(values["process.pid"].int_value(), delivery_->pid);
    EXPECT_EQ(take_text("process.executable.name"),
              GetParam() == Reader::collector_through_c ? "tailrace_interop_recorder_c" : "tailrace_interop_recorder");
    EXPECT_EQ(take_text("process.owner"), owner != nullptr ? owner->pw_name : std::to_string(::getuid()));
    EXPECT_THAT(take_text("process.creation.time"),
                testing::MatchesRegex("20[0-9]{2}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\\.[0-9]{3}Z"));
    EXPECT_EQ(take_text("host.name"), system.nodename);
    EXPECT_FALSE(take_text("host.arch").empty());
    EXPECT_EQ(take_text("os.type"), "linux");
    for (const char* key : {"resource.bool", "resource.ints", "process.pid", "host.id", "container.id"})
      values.erase(key);
    for (const auto& [key, value] : values) ADD_FAILURE() << "not expected: " << key << " " << value.ShortDebugString();
    EXPECT_EQ(resource.dropped_attributes_count(), 0U);
  };
  for (const auto& request : delivery_->traces) {
    for (const auto& resource : request.resource_spans()) expect_resource(resource.resource());
  }
  for (const auto& request : delivery_->logs) {
    for (const auto& resource : request.resource_logs()) expect_resource(resource.resource());
  }
  EXPECT_EQ(seen.size(), 1U);
}

TEST_P(Interop, a_thread_without_a_lane_records_as_well) {
  USE_OR_RETURN(use("shared", {}));
  Expected spans;
  add(spans, kSharedSpans);
  expect_spans(*delivery_, {spans});
  Expected logs;
  add(logs, kSharedLogs);
  expect_logs(*delivery_, {logs});
}

}  // namespace
}  // namespace tailrace::interop
