// SPDX-License-Identifier: Apache-2.0
//
// Sink: a real OTLP/gRPC receiver for tests and benchmarks, which answers what it is told to.
//
// Threads: requests arrive on gRPC's threads; the script runs on them, one request at a time.
// Ownership: a request's bytes belong to the script's call. Failure: port() is 0 when the address
// was taken.
// Source: gRPC 1.51 generic callback service; the paths of the three OTLP services.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/grpcpp.h>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "agent/base/signal.hpp"

namespace tailrace::agent::testing {

struct SinkRequest {
  std::optional<Signal> signal;  // none: a path that is no OTLP service's
  std::string path;
  std::string bytes;  // empty when the sink only counts
  std::multimap<std::string, std::string> metadata;
  std::uint64_t number = 0;  // of this signal, from 1
};

struct SinkReply {
  int code = 0;
  std::string message;
  std::string details;   // google.rpc.Status, encoded
  std::string response;  // Export…ServiceResponse, encoded
  bool omit_response = false;
  std::chrono::milliseconds delay{0};
};

// The replies that tests need, in bytes.
std::string encode_partial_success(std::int64_t rejected, std::string_view message);
std::string encode_retry_info(int code, std::chrono::nanoseconds delay);

struct SinkCounts {
  std::uint64_t requests = 0;
  std::uint64_t bytes = 0;
  std::uint64_t records = 0;  // spans, log records or metrics; 0 when the sink only counts
};

// How many spans, log records or metrics an Export…ServiceRequest holds; they stand at the same
// depth under the same field numbers. Nothing when the bytes are no such message.
std::optional<std::uint64_t> count_records(std::string_view bytes);

struct SinkOptions {
  std::string address = "127.0.0.1";  // or "[::1]", or "unix:PATH", which has no port
  std::uint16_t port = 0;             // 0: any free one
  bool count_only = false;
  std::function<SinkReply(const SinkRequest&)> script;  // none: success
};

class Sink : private grpc::CallbackGenericService {
 public:
  explicit Sink(SinkOptions options = {});
  ~Sink() override;
  Sink(const Sink&) = delete;
  Sink& operator=(const Sink&) = delete;

  [[nodiscard]] std::uint16_t port() const noexcept { return static_cast<std::uint16_t>(port_); }
  [[nodiscard]] SinkCounts counts(Signal signal) const;
  // Ends calls under way and closes the port.
  void stop();

 private:
  class Reactor;
  grpc::ServerGenericBidiReactor* CreateReactor(grpc::GenericCallbackServerContext* context) override;
  SinkReply handle(const grpc::GenericCallbackServerContext& context, grpc::ByteBuffer& message);

  const SinkOptions options_;
  mutable std::mutex mutex_;
  std::array<SinkCounts, kSignals> counts_;
  int port_ = 0;
  std::unique_ptr<grpc::Server> server_;
};

}  // namespace tailrace::agent::testing
