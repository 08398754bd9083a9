// SPDX-License-Identifier: Apache-2.0
#include "tests/interop/comparison.hpp"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>
#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include <map>

namespace tailrace::interop {
namespace {

using pb::logs::v1::LogRecord;
using pb::trace::v1::Span;

// Times come from the counter of the processor, fitted to the clock: they may be off by this much.
constexpr std::uint64_t kSlackNs = 10'000'000;

std::string bytes_of(const google::protobuf::Message& message) {
  std::string bytes;
  google::protobuf::io::StringOutputStream stream(&bytes);
  google::protobuf::io::CodedOutputStream out(&stream);
  out.SetSerializationDeterministic(true);
  message.SerializeToCodedStream(&out);
  out.Trim();
  return bytes;
}

std::string text_of(const google::protobuf::Message& message) {
  std::string text;
  google::protobuf::TextFormat::PrintToString(message, &text);
  return text;
}

template <class Message>
Message parsed(const std::string& text) {
  Message message;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &message)) << text;
  return message;
}

class Names {
 public:
  explicit Names(const Delivery& delivery) : delivery_(delivery) {}
  void trace(std::string& id) const { put(id, true); }
  void span(std::string& id) const { put(id, false); }

 private:
  void put(std::string& id, bool trace) const {
    if (id.empty() || id[0] != '@') return;
    const auto found = delivery_.ids.find(id.substr(1));
    if (found == delivery_.ids.end()) {
      ADD_FAILURE() << "the recorder told no " << id;
      return;
    }
    id = trace ? found->second.trace : found->second.span;
  }
  const Delivery& delivery_;
};

// A message that is there and empty means what one that is not there means.
void complete(Span& span) { span.mutable_status(); }
void complete(LogRecord& record) { record.mutable_body(); }

void resolve(Span& span, const Names& names) {
  names.trace(*span.mutable_trace_id());
  names.span(*span.mutable_span_id());
  names.span(*span.mutable_parent_span_id());
  for (auto& link : *span.mutable_links()) {
    names.trace(*link.mutable_trace_id());
    names.span(*link.mutable_span_id());
  }
}
void resolve(LogRecord& record, const Names& names) {
  names.trace(*record.mutable_trace_id());
  names.span(*record.mutable_span_id());
}

void expect_within(std::uint64_t time, std::uint64_t from, std::uint64_t to, const std::string& what) {
  EXPECT_GE(time + kSlackNs, from) << what;
  EXPECT_LE(time, to + kSlackNs) << what;
}

// Checks the times that are not given, and takes them out.
void take_times(const Span& wanted, Span& got, const Delivery& delivery) {
  const std::uint64_t start = got.start_time_unix_nano();
  const std::uint64_t end = got.end_time_unix_nano();
  EXPECT_LE(start, end) << got.name();
  if (wanted.start_time_unix_nano() == 0) {
    expect_within(start, delivery.from_ns, delivery.to_ns, "start of " + got.name());
    got.clear_start_time_unix_nano();
  }
  if (wanted.end_time_unix_nano() == 0) {
    expect_within(end, delivery.from_ns, delivery.to_ns, "end of " + got.name());
    got.clear_end_time_unix_nano();
  }
  for (int i = 0; i < got.events_size() && i < wanted.events_size(); ++i) {
    if (wanted.events(i).time_unix_nano() != 0) continue;
    EXPECT_GE(got.events(i).time_unix_nano(), start) << got.name() << " event " << i;
    EXPECT_LE(got.events(i).time_unix_nano(), end) << got.name() << " event " << i;
    got.mutable_events(i)->clear_time_unix_nano();
  }
}
void take_times(const LogRecord& wanted, LogRecord& got, const Delivery& delivery) {
  const std::string what = "of the log " + got.body().ShortDebugString();
  if (wanted.time_unix_nano() == 0) {
    expect_within(got.time_unix_nano(), delivery.from_ns, delivery.to_ns, "time " + what);
  }
  if (wanted.observed_time_unix_nano() == 0) {
    expect_within(got.observed_time_unix_nano(), delivery.from_ns, delivery.to_ns, "observed time " + what);
    // Nobody observes what has not happened.
    if (wanted.time_unix_nano() == 0) {
      EXPECT_GE(got.observed_time_unix_nano() + kSlackNs, got.time_unix_nano()) << what;
    }
    got.clear_observed_time_unix_nano();
  }
  if (wanted.time_unix_nano() == 0) got.clear_time_unix_nano();
}

std::string key_of(const Span& span) { return span.name(); }
std::string key_of(const LogRecord& record) { return record.event_name() + " | " + record.body().ShortDebugString(); }

template <class Record>
using ByScope = std::map<std::string, std::multimap<std::string, Record>>;

std::string scope_key(const pb::common::v1::InstrumentationScope& scope, const std::string& schema_url) {
  return "scope " + scope.ShortDebugString() + " schema " + schema_url;
}

template <class Record>
void expect_records(const Delivery& delivery, const std::vector<Expected>& expected, ByScope<Record> arrived) {
  const Names names(delivery);
  for (const Expected& part : expected) {
    const auto scope = parsed<pb::common::v1::InstrumentationScope>(part.scope);
    auto& there = arrived[scope_key(scope, part.schema_url)];
    for (const std::string& text : part.records) {
      auto wanted = parsed<Record>(text);
      resolve(wanted, names);
      const std::string key = key_of(wanted);
      if (there.count(key) != 1) {
        ADD_FAILURE() << there.count(key) << " times in " << scope_key(scope, part.schema_url) << ": " << key;
        there.erase(key);
        continue;
      }
      Record got = there.find(key)->second;
      there.erase(key);
      take_times(wanted, got, delivery);
      complete(wanted);
      complete(got);
      if (bytes_of(got) == bytes_of(wanted)) continue;
      const std::string got_text = text_of(got);
      const std::string wanted_text = text_of(wanted);
      EXPECT_EQ(got_text, wanted_text) << key;
      if (got_text == wanted_text) ADD_FAILURE() << key << " differs in bytes only:\n" << got_text;
    }
  }
  for (const auto& [scope, records] : arrived) {
    for (const auto& [key, record] : records) {
      ADD_FAILURE() << "not expected in " << scope << ":\n" << text_of(record).substr(0, 2000);
    }
  }
}

}  // namespace

void expect_spans(const Delivery& delivery, const std::vector<Expected>& expected) {
  ByScope<Span> arrived;
  for (const auto& request : delivery.traces) {
    for (const auto& resource : request.resource_spans()) {
      for (const auto& scope : resource.scope_spans()) {
        auto& there = arrived[scope_key(scope.scope(), scope.schema_url())];
        for (const auto& span : scope.spans()) there.emplace(key_of(span), span);
      }
    }
  }
  expect_records(delivery, expected, std::move(arrived));
}

void expect_logs(const Delivery& delivery, const std::vector<Expected>& expected) {
  ByScope<LogRecord> arrived;
  for (const auto& request : delivery.logs) {
    for (const auto& resource : request.resource_logs()) {
      for (const auto& scope : resource.scope_logs()) {
        auto& there = arrived[scope_key(scope.scope(), scope.schema_url())];
        for (const auto& record : scope.log_records()) there.emplace(key_of(record), record);
      }
    }
  }
  expect_records(delivery, expected, std::move(arrived));
}

std::vector<Span> all_spans(const Delivery& delivery) {
  std::vector<Span> all;
  for (const auto& request : delivery.traces) {
    for (const auto& resource : request.resource_spans()) {
      for (const auto& scope : resource.scope_spans())
        all.insert(all.end(), scope.spans().begin(), scope.spans().end());
    }
  }
  return all;
}

std::vector<LogRecord> all_logs(const Delivery& delivery) {
  std::vector<LogRecord> all;
  for (const auto& request : delivery.logs) {
    for (const auto& resource : request.resource_logs()) {
      for (const auto& scope : resource.scope_logs()) {
        all.insert(all.end(), scope.log_records().begin(), scope.log_records().end());
      }
    }
  }
  return all;
}

Span find_span(const Delivery& delivery, const std::string& name) {
  std::vector<Span> found;
  for (Span& span : all_spans(delivery)) {
    if (span.name() == name) found.push_back(std::move(span));
  }
  EXPECT_EQ(found.size(), 1U) << name;
  return found.empty() ? Span() : found.front();
}

}  // namespace tailrace::interop
