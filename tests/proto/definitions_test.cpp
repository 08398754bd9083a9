// SPDX-License-Identifier: Apache-2.0
//
// The definitions in proto/ against the protocol's own tables (tests/proto/data,
// taken from release 1.11.0): every field, enum value and method of the tables
// must be ours, and ours must have nothing beside them.

#include <filesystem>
#include <fstream>
#include <gmock/gmock.h>
#include <google/protobuf/descriptor.h>
#include <gtest/gtest.h>
#include <set>
#include <string>
#include <vector>

#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "opentelemetry/proto/collector/logs/v1/logs_service.pb.h"
#include "opentelemetry/proto/collector/metrics/v1/metrics_service.pb.h"
#include "opentelemetry/proto/collector/trace/v1/trace_service.pb.h"

namespace {

namespace pb = google::protobuf;
namespace collector = opentelemetry::proto::collector;
using Rows = std::set<std::string>;

// The table without its first line.
Rows read_table(const std::string& name) {
  std::ifstream table(std::string(TAILRACE_PROTO_TEST_DATA) + "/" + name);
  std::string line;
  Rows rows;
  std::getline(table, line);
  while (std::getline(table, line)) {
    if (!line.empty()) rows.insert(line);
  }
  return rows;
}

// Our files: what the three services reach.
std::set<const pb::FileDescriptor*> our_files() {
  std::set<const pb::FileDescriptor*> files;
  const auto add = [&](const auto& self, const pb::FileDescriptor* file) -> void {
    if (!files.insert(file).second) return;
    for (int index = 0; index < file->dependency_count(); ++index) self(self, file->dependency(index));
  };
  add(add, collector::trace::v1::ExportTraceServiceRequest::descriptor()->file());
  add(add, collector::metrics::v1::ExportMetricsServiceRequest::descriptor()->file());
  add(add, collector::logs::v1::ExportLogsServiceRequest::descriptor()->file());
  return files;
}

// Without the package, with the messages it lies in: Span.Event.
template <typename Descriptor>
std::string local_name(const Descriptor* descriptor) {
  return descriptor->full_name().substr(descriptor->file()->package().size() + 1);
}

std::string type_of(const pb::FieldDescriptor* field) {
  if (const auto* message = field->message_type()) return message->full_name();
  if (const auto* values = field->enum_type()) return values->full_name();
  return field->type_name();
}

std::string label_of(const pb::FieldDescriptor* field) {
  if (field->is_repeated()) return "repeated";
  return field->has_optional_keyword() ? "optional" : "singular";
}

// Messages within messages included.
std::vector<const pb::Descriptor*> our_messages() {
  std::vector<const pb::Descriptor*> messages;
  const auto add = [&](const auto& self, const pb::Descriptor* message) -> void {
    messages.push_back(message);
    for (int index = 0; index < message->nested_type_count(); ++index) {
      self(self, message->nested_type(index));
    }
  };
  for (const auto* file : our_files()) {
    for (int index = 0; index < file->message_type_count(); ++index) {
      add(add, file->message_type(index));
    }
  }
  return messages;
}

void add_values(const pb::EnumDescriptor* values, Rows& rows) {
  for (int index = 0; index < values->value_count(); ++index) {
    const auto* value = values->value(index);
    rows.insert(values->file()->name() + "," + local_name(values) + "," + value->name() + "," +
                std::to_string(value->number()));
  }
}

TEST(ProtocolDefinitions, HaveExactlyTheFieldsOfTheTable) {
  Rows ours;
  for (const auto* message : our_messages()) {
    for (int index = 0; index < message->field_count(); ++index) {
      const auto* field = message->field(index);
      const auto* oneof = field->real_containing_oneof();
      ours.insert(message->file()->name() + "," + local_name(message) + "," + field->name() + "," +
                  std::to_string(field->number()) + "," + type_of(field) + "," + label_of(field) + "," +
                  (oneof != nullptr ? oneof->name() : ""));
    }
  }
  const Rows table = read_table("fields.csv");
  EXPECT_GT(table.size(), 150U);
  EXPECT_THAT(ours, testing::ContainerEq(table));
}

TEST(ProtocolDefinitions, HaveExactlyTheEnumValuesOfTheTable) {
  Rows ours;
  for (const auto* file : our_files()) {
    for (int index = 0; index < file->enum_type_count(); ++index) {
      add_values(file->enum_type(index), ours);
    }
  }
  for (const auto* message : our_messages()) {
    for (int index = 0; index < message->enum_type_count(); ++index) {
      add_values(message->enum_type(index), ours);
    }
  }
  const Rows table = read_table("enums.csv");
  EXPECT_GT(table.size(), 40U);
  EXPECT_THAT(ours, testing::ContainerEq(table));
}

TEST(ProtocolDefinitions, HaveExactlyTheMethodsOfTheTable) {
  Rows ours;
  for (const auto* file : our_files()) {
    for (int at = 0; at < file->service_count(); ++at) {
      const auto* service = file->service(at);
      for (int index = 0; index < service->method_count(); ++index) {
        const auto* method = service->method(index);
        EXPECT_FALSE(method->client_streaming() || method->server_streaming());
        ours.insert(service->full_name() + "," + method->name() + "," + method->input_type()->full_name() + "," +
                    method->output_type()->full_name() + ",/" + service->full_name() + "/" + method->name());
      }
    }
  }
  Rows table;  // without the HTTP path, which no definition holds
  for (const auto& row : read_table("services.csv")) table.insert(row.substr(0, row.rfind(',')));
  EXPECT_EQ(table.size(), 3U);
  EXPECT_THAT(ours, testing::ContainerEq(table));
}

TEST(ProtocolDefinitions, EveryFileUnderProtoIsOneOfTheTable) {
  Rows table;
  for (const auto& row : read_table("fields.csv")) table.insert(row.substr(0, row.find(',')));
  Rows ours;
  const std::filesystem::path root = TAILRACE_PROTO_DIR;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(root / "opentelemetry")) {
    if (entry.is_regular_file()) ours.insert(entry.path().lexically_relative(root).string());
  }
  EXPECT_THAT(ours, testing::ContainerEq(table));
}

// The tables say once for all that repeated numbers are packed.
TEST(ProtocolDefinitions, RepeatedNumbersArePacked) {
  for (const auto* message : our_messages()) {
    for (int index = 0; index < message->field_count(); ++index) {
      const auto* field = message->field(index);
      EXPECT_EQ(field->is_packed(), field->is_packable()) << field->full_name();
    }
  }
}

// otlp-D7: the number types that encoders get wrong, by name and not by table.
TEST(ProtocolDefinitions, D7NumbersOfMetricsHaveTheirWireTypes) {
  const auto* file = collector::metrics::v1::ExportMetricsServiceRequest::descriptor()->file()->dependency(0);
  ASSERT_EQ(file->name(), "opentelemetry/proto/metrics/v1/metrics.proto");
  const auto type = [&](const std::string& message, const std::string& field) {
    return file->FindMessageTypeByName(message)->FindFieldByName(field)->type();
  };
  using Field = pb::FieldDescriptor;
  EXPECT_EQ(type("NumberDataPoint", "as_int"), Field::TYPE_SFIXED64);
  EXPECT_EQ(type("Exemplar", "as_int"), Field::TYPE_SFIXED64);
  EXPECT_EQ(type("HistogramDataPoint", "bucket_counts"), Field::TYPE_FIXED64);
  EXPECT_EQ(type("ExponentialHistogramDataPoint", "scale"), Field::TYPE_SINT32);
  const auto* buckets = file->FindMessageTypeByName("ExponentialHistogramDataPoint")->FindNestedTypeByName("Buckets");
  EXPECT_EQ(buckets->FindFieldByName("offset")->type(), Field::TYPE_SINT32);
  EXPECT_EQ(buckets->FindFieldByName("bucket_counts")->type(), Field::TYPE_UINT64);
}

TEST(ErrorDefinitions, HoldWhatAnAnswerToARefusedCallNeeds) {
  const auto* status = google::rpc::Status::descriptor();
  ASSERT_EQ(status->field_count(), 3);
  EXPECT_EQ(status->FindFieldByNumber(1)->type(), pb::FieldDescriptor::TYPE_INT32);
  EXPECT_EQ(status->FindFieldByNumber(2)->type(), pb::FieldDescriptor::TYPE_STRING);
  EXPECT_EQ(status->FindFieldByNumber(3)->message_type()->full_name(), "google.protobuf.Any");
  EXPECT_TRUE(status->FindFieldByNumber(3)->is_repeated());

  google::rpc::RetryInfo wanted;
  wanted.mutable_retry_delay()->set_seconds(7);
  google::rpc::Status answer;
  answer.add_details()->PackFrom(wanted);
  EXPECT_EQ(answer.details(0).type_url(), "type.googleapis.com/google.rpc.RetryInfo");
  google::rpc::RetryInfo read;
  ASSERT_TRUE(answer.details(0).UnpackTo(&read));
  EXPECT_EQ(read.retry_delay().seconds(), 7);
}

}  // namespace
