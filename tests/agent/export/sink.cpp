// SPDX-License-Identifier: Apache-2.0
#include "tests/agent/export/sink.hpp"

#include <exception>
#include <grpcpp/alarm.h>
#include <utility>
#include <vector>

#include <protozero/pbf_reader.hpp>
#include <protozero/pbf_writer.hpp>

namespace tailrace::agent::testing {
namespace {

std::optional<Signal> signal_of(std::string_view path) {
  if (path == "/opentelemetry.proto.collector.trace.v1.TraceService/Export") {
    return Signal::traces;
  }
  if (path == "/opentelemetry.proto.collector.logs.v1.LogsService/Export") {
    return Signal::logs;
  }
  if (path == "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export") {
    return Signal::metrics;
  }
  return std::nullopt;
}

std::string flatten(const grpc::ByteBuffer& buffer) {
  std::vector<grpc::Slice> slices;
  std::string bytes;
  if (buffer.Dump(&slices).ok()) {
    bytes.reserve(buffer.Length());
    for (const grpc::Slice& slice : slices) {
      bytes.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
    }
  }
  return bytes;
}

}  // namespace

std::string encode_partial_success(std::int64_t rejected, std::string_view message) {
  std::string partial;
  protozero::pbf_writer writer(partial);
  writer.add_int64(1, rejected);
  writer.add_string(2, message.data(), message.size());
  std::string response;
  protozero::pbf_writer(response).add_message(1, partial);
  return response;
}

std::string encode_retry_info(int code, std::chrono::nanoseconds delay) {
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(delay);
  std::string duration;
  protozero::pbf_writer duration_writer(duration);
  duration_writer.add_int64(1, seconds.count());
  duration_writer.add_int32(2, static_cast<std::int32_t>((delay - seconds).count()));
  std::string info;
  protozero::pbf_writer(info).add_message(1, duration);
  std::string any;
  protozero::pbf_writer any_writer(any);
  any_writer.add_string(1, "type.googleapis.com/google.rpc.RetryInfo");
  any_writer.add_bytes(2, info);
  std::string status;
  protozero::pbf_writer status_writer(status);
  status_writer.add_int32(1, code);
  status_writer.add_string(2, "slow down");
  status_writer.add_message(3, any);
  return status;
}

std::optional<std::uint64_t> count_records(std::string_view bytes) {
  // Request{resource_x = 1} → ResourceX{scope_x = 2} → ScopeX{spans | log_records | metrics = 2}
  try {
    std::uint64_t records = 0;
    protozero::pbf_reader request(bytes.data(), bytes.size());
    while (request.next(1, protozero::pbf_wire_type::length_delimited)) {
      auto resource = request.get_message();
      while (resource.next(2, protozero::pbf_wire_type::length_delimited)) {
        auto scope = resource.get_message();
        while (scope.next(2, protozero::pbf_wire_type::length_delimited)) {
          scope.skip();
          ++records;
        }
      }
    }
    return records;
  } catch (const std::exception&) {
    return std::nullopt;
  }
}

class Sink::Reactor : public grpc::ServerGenericBidiReactor {
 public:
  Reactor(Sink& sink, grpc::GenericCallbackServerContext* context) : sink_(sink), context_(context) {
    StartRead(&message_);
  }

  void OnReadDone(bool ok) override {
    if (!ok) {
      Finish(grpc::Status(grpc::StatusCode::INTERNAL, "no request message"));
      return;
    }
    reply_ = sink_.handle(*context_, message_);
    if (reply_.delay.count() == 0) {
      answer();
      return;
    }
    const std::lock_guard lock(alarm_mutex_);
    const auto delay = cancelled_ ? std::chrono::milliseconds(0) : reply_.delay;
    alarm_.Set(std::chrono::system_clock::now() + delay, [this](bool) { answer(); });
  }

  // May run beside OnReadDone(), never after OnDone().
  void OnCancel() override {
    const std::lock_guard lock(alarm_mutex_);
    cancelled_ = true;
    alarm_.Cancel();
  }

  void OnDone() override { delete this; }

 private:
  void answer() {
    const grpc::Status status(static_cast<grpc::StatusCode>(reply_.code), reply_.message, reply_.details);
    if (reply_.code != 0 || reply_.omit_response) {
      Finish(status);
      return;
    }
    grpc::Slice slice(reply_.response);
    response_ = grpc::ByteBuffer(&slice, 1);
    StartWriteAndFinish(&response_, grpc::WriteOptions(), status);
  }

  Sink& sink_;
  grpc::GenericCallbackServerContext* context_;
  grpc::ByteBuffer message_;
  grpc::ByteBuffer response_;
  SinkReply reply_;
  std::mutex alarm_mutex_;
  bool cancelled_ = false;
  grpc::Alarm alarm_;
};

Sink::Sink(SinkOptions options) : options_(std::move(options)) {
  grpc::ServerBuilder builder;
  const bool is_unix = options_.address.rfind("unix:", 0) == 0;
  builder.AddListeningPort(is_unix ? options_.address : options_.address + ":" + std::to_string(options_.port),
                           grpc::InsecureServerCredentials(), &port_);
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  builder.SetMaxReceiveMessageSize(-1);
  builder.SetMaxSendMessageSize(-1);
  builder.RegisterCallbackGenericService(this);
  server_ = builder.BuildAndStart();
}

Sink::~Sink() { stop(); }

SinkCounts Sink::counts(Signal signal) const {
  const std::lock_guard lock(mutex_);
  return counts_[index_of(signal)];
}

void Sink::stop() {
  if (server_) {
    server_->Shutdown(std::chrono::system_clock::now());
    server_->Wait();
    server_.reset();
  }
}

grpc::ServerGenericBidiReactor* Sink::CreateReactor(grpc::GenericCallbackServerContext* context) {
  return new Reactor(*this, context);
}

SinkReply Sink::handle(const grpc::GenericCallbackServerContext& context, grpc::ByteBuffer& message) {
  SinkRequest request;
  request.path = context.method();
  request.signal = signal_of(request.path);
  if (!request.signal) {
    return {.code = grpc::StatusCode::UNIMPLEMENTED, .message = "no such service", .details = {}, .response = {}};
  }
  const std::uint64_t size = message.Length();
  std::uint64_t records = 0;
  if (!options_.count_only) {
    request.bytes = flatten(message);
    records = count_records(request.bytes).value_or(0);
    for (const auto& [key, value] : context.client_metadata()) {
      request.metadata.emplace(std::string(key.data(), key.size()), std::string(value.data(), value.size()));
    }
  }
  message.Clear();
  const std::lock_guard lock(mutex_);
  SinkCounts& counts = counts_[index_of(*request.signal)];
  counts.bytes += size;
  counts.records += records;
  request.number = ++counts.requests;
  return options_.script ? options_.script(request) : SinkReply{};
}

}  // namespace tailrace::agent::testing
