// SPDX-License-Identifier: Apache-2.0
#include "agent/viewer/receiver.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <fmt/format.h>
#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/grpcpp.h>
#include <limits>
#include <list>
#include <malloc.h>
#include <mutex>
#include <string_view>
#include <thread>
#include <utility>

#include "agent/viewer/address.hpp"
#include "agent/viewer/inflate.hpp"
#include "agent/viewer/otlp_reader.hpp"

namespace tailrace::agent::viewer {
namespace {

using Clock = std::chrono::steady_clock;

// Messages being read at once: each may hold one request's bytes.
constexpr int kOpenCalls = 4;
// A sender that has a turn and does not send would keep it from others.
constexpr auto kReadDeadline = std::chrono::seconds(10);
constexpr auto kTick = std::chrono::milliseconds(500);
constexpr auto kStopGrace = std::chrono::milliseconds(200);
// What glibc keeps after a request of this size is worth the time to give it back.
constexpr std::size_t kTrimAfterBytes = std::size_t{4} << 20;

constexpr std::string_view kTracePath = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
constexpr std::string_view kLogPath = "/opentelemetry.proto.collector.logs.v1.LogsService/Export";
constexpr std::string_view kMetricPath = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export";

void put_varint(std::string& out, std::uint64_t value) {
  while (value >= 0x80) {
    out += static_cast<char>((value & 0x7F) | 0x80);
    value >>= 7;
  }
  out += static_cast<char>(value);
}

// Export*ServiceResponse, alike for all signals: partial_success = 1 { rejected = 1, error_message
// = 2 }.
std::string response_bytes(std::uint64_t rejected, std::string_view message) {
  if (rejected == 0) {
    return {};
  }
  std::string partial;
  partial += '\x08';
  put_varint(partial, rejected);
  partial += '\x12';
  put_varint(partial, message.size());
  partial += message;
  std::string response;
  response += '\x0A';
  put_varint(response, partial.size());
  return response + partial;
}

grpc::Status status_of(const Error& error) {
  const grpc::StatusCode code = error.code == ErrorCode::kResourceExhausted ? grpc::StatusCode::RESOURCE_EXHAUSTED
                                                                            : grpc::StatusCode::INVALID_ARGUMENT;
  return {code, error.sentence};
}

enum class Step : std::uint8_t { kWaiting, kReading, kAnswering };

struct Call {
  grpc::GenericServerContext context;
  grpc::GenericServerAsyncReaderWriter stream{&context};
  grpc::ByteBuffer message;
  Step step = Step::kWaiting;
  bool cancelled = false;
  Clock::time_point since;
  std::list<Call>::iterator self;
};

}  // namespace

class Receiver::Impl {
 public:
  Impl(Store& store, std::size_t max_request_bytes) : store_(store), max_request_bytes_(max_request_bytes) {}

  Status start(const std::string& address, int port) {
    grpc::ServerBuilder builder;
    int bound = 0;
    builder.AddListeningPort(authority(address, port), grpc::InsecureServerCredentials(), &bound);
    // Without this a second viewer would share the port and get half of the calls.
    builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
    builder.AddChannelArgument(GRPC_ARG_ENABLE_PER_MESSAGE_DECOMPRESSION, 0);
    builder.SetCompressionAlgorithmSupportStatus(GRPC_COMPRESS_DEFLATE, false);
    builder.SetMaxReceiveMessageSize(
        static_cast<int>(std::min<std::size_t>(max_request_bytes_, std::numeric_limits<int>::max())));
    builder.RegisterAsyncGenericService(&service_);
    queue_ = builder.AddCompletionQueue();
    server_ = builder.BuildAndStart();
    if (server_ == nullptr || bound == 0) {
      if (server_ != nullptr) {
        server_->Shutdown();
      }
      queue_->Shutdown();
      drain_queue();
      return explain_bind_failure("OTLP", "--otlp-port", address, port);
    }
    port_ = bound;
    for (int i = 0; i < kOpenCalls; ++i) {
      wait_for_call();
    }
    thread_ = std::thread([this] { run(); });
    return {};
  }

  void stop() {
    if (!thread_.joinable()) {
      return;
    }
    server_->Shutdown(std::chrono::system_clock::now() + kStopGrace);
    {
      const std::lock_guard lock(queue_mutex_);
      queue_closed_ = true;
      queue_->Shutdown();
    }
    thread_.join();
  }

  [[nodiscard]] int port() const noexcept { return port_; }

  [[nodiscard]] ReceiverCounters counters() const {
    ReceiverCounters counters;
    counters.trace_requests = trace_requests_.load(std::memory_order_relaxed);
    counters.log_requests = log_requests_.load(std::memory_order_relaxed);
    counters.metric_requests = metric_requests_.load(std::memory_order_relaxed);
    counters.refused_requests = refused_requests_.load(std::memory_order_relaxed);
    counters.request_bytes = request_bytes_.load(std::memory_order_relaxed);
    return counters;
  }

 private:
  using Counter = std::atomic<std::uint64_t>;
  static void count(Counter& counter, std::uint64_t by = 1) {
    counter.fetch_add(by, std::memory_order_relaxed);  // statistics: orders nothing
  }

  void wait_for_call() {
    Call& call = calls_.emplace_back();
    call.self = std::prev(calls_.end());
    begin(call, Step::kWaiting,
          [&] { service_.RequestCall(&call.context, &call.stream, queue_.get(), queue_.get(), &call); });
  }

  // gRPC ends the program when an operation begins on a queue that is shut down; then the call ends
  // here.
  template <typename Operation>
  void begin(Call& call, Step step, Operation&& operation) {
    const std::lock_guard lock(queue_mutex_);
    if (queue_closed_) {
      calls_.erase(call.self);
      return;
    }
    call.step = step;
    operation();
  }

  // Ends when the queue is shut down and empty.
  void run() {
    for (;;) {
      void* tag = nullptr;
      bool ok = false;
      switch (queue_->AsyncNext(&tag, &ok, std::chrono::system_clock::now() + kTick)) {
        case grpc::CompletionQueue::SHUTDOWN: return;
        case grpc::CompletionQueue::TIMEOUT: break;
        case grpc::CompletionQueue::GOT_EVENT: advance(*static_cast<Call*>(tag), ok);
      }
      cancel_stalled_calls();
    }
  }

  void drain_queue() {
    void* tag = nullptr;
    bool ok = false;
    while (queue_->Next(&tag, &ok)) {}
  }

  void advance(Call& call, bool ok) {
    switch (call.step) {
      case Step::kWaiting:
        if (!ok) {
          calls_.erase(call.self);  // the server is shutting down
          return;
        }
        call.since = Clock::now();
        if (signal_of(call.context.method()) == nullptr) {
          finish(call, grpc::Status(grpc::StatusCode::UNIMPLEMENTED,
                                    "no such method; this is an OTLP receiver for traces, logs and metrics"));
          return;
        }
        begin(call, Step::kReading, [&] { call.stream.Read(&call.message, &call); });
        return;
      case Step::kReading:
        if (!ok) {
          // gRPC has refused the message (too large: it answers that itself) or the sender is gone.
          finish(call, grpc::Status(grpc::StatusCode::INVALID_ARGUMENT, "the call carried no readable message"));
          return;
        }
        answer(call);
        return;
      case Step::kAnswering:
        calls_.erase(call.self);
        wait_for_call();
        return;
    }
  }

  void finish(Call& call, const grpc::Status& status) {
    count(refused_requests_);
    begin(call, Step::kAnswering, [&] { call.stream.Finish(status, &call); });
  }

  void answer(Call& call) {
    const std::size_t wire_bytes = call.message.Length();
    Result<std::string> answer = read_message(call);
    if (wire_bytes >= kTrimAfterBytes) {
      ::malloc_trim(0);
    }
    if (!answer) {
      finish(call, status_of(answer.error()));
      return;
    }
    const grpc::Slice slice(*answer);
    const grpc::ByteBuffer response(&slice, 1);
    begin(call, Step::kAnswering,
          [&] { call.stream.WriteAndFinish(response, grpc::WriteOptions(), grpc::Status::OK, &call); });
  }

  // The response's bytes. The request's memory is given back on the way out.
  Result<std::string> read_message(Call& call) {
    grpc::ByteBuffer message;
    message.Swap(&call.message);
    grpc::Slice slice;
    if (!message.TrySingleSlice(&slice).ok() && !message.DumpToSingleSlice(&slice).ok()) {
      return Error{ErrorCode::kCorrupt, "the call's message could not be read"};
    }
    message.Clear();
    std::string_view request(reinterpret_cast<const char*>(slice.begin()), slice.size());
    std::string inflated;
    if (is_gzip(request)) {
      Result<std::string> result = inflate_gzip(request, max_request_bytes_);
      if (!result) {
        return std::move(result).error();
      }
      inflated = *std::move(result);
      request = inflated;
    }
    const Signal* signal = signal_of(call.context.method());
    if (signal == nullptr) {
      return Error{ErrorCode::kInternal, "a call was read for a method that does not exist"};
    }
    Result<ReadCounts> counts = (this->*signal->read)(request);
    if (!counts) {
      return std::move(counts).error();
    }
    count(this->*signal->requests);
    count(request_bytes_, request.size());
    return response_bytes(counts->rejected,
                          fmt::format("{} of {} spans have no valid trace id or span id and were not kept",
                                      counts->rejected, counts->records));
  }

  Result<ReadCounts> take_traces(std::string_view request) { return read_traces(request, store_); }
  Result<ReadCounts> take_logs(std::string_view request) { return read_logs(request, store_); }
  Result<ReadCounts> take_metrics(std::string_view request) { return read_metrics(request, store_); }

  struct Signal {
    std::string_view path;
    Result<ReadCounts> (Impl::*read)(std::string_view);
    Counter Impl::*requests;
  };

  static const Signal* signal_of(std::string_view method) {
    static constexpr std::array<Signal, 3> kSignals{{
        {kTracePath, &Impl::take_traces, &Impl::trace_requests_},
        {kLogPath, &Impl::take_logs, &Impl::log_requests_},
        {kMetricPath, &Impl::take_metrics, &Impl::metric_requests_},
    }};
    for (const Signal& signal : kSignals) {
      if (signal.path == method) {
        return &signal;
      }
    }
    return nullptr;
  }

  void cancel_stalled_calls() {
    const Clock::time_point now = Clock::now();
    for (Call& call : calls_) {
      if (call.step == Step::kReading && !call.cancelled && now - call.since > kReadDeadline) {
        call.cancelled = true;
        call.context.TryCancel();
      }
    }
  }

  Store& store_;
  const std::size_t max_request_bytes_;
  grpc::AsyncGenericService service_;
  std::unique_ptr<grpc::ServerCompletionQueue> queue_;
  std::unique_ptr<grpc::Server> server_;
  std::list<Call> calls_;  // the receiver's thread only, once it runs
  std::thread thread_;
  std::mutex queue_mutex_;
  bool queue_closed_ = false;
  int port_ = 0;

  Counter trace_requests_{0};
  Counter log_requests_{0};
  Counter metric_requests_{0};
  Counter refused_requests_{0};
  Counter request_bytes_{0};
};

Receiver::Receiver(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Receiver::~Receiver() { stop(); }

Result<std::unique_ptr<Receiver>> Receiver::start(const std::string& address, int port, std::size_t max_request_bytes,
                                                  Store& store) {
  auto impl = std::make_unique<Impl>(store, max_request_bytes);
  if (Status status = impl->start(address, port); !status) {
    return std::move(status).error();
  }
  return std::unique_ptr<Receiver>(new Receiver(std::move(impl)));
}

int Receiver::port() const noexcept { return impl_->port(); }
ReceiverCounters Receiver::counters() const { return impl_->counters(); }
void Receiver::stop() { impl_->stop(); }

}  // namespace tailrace::agent::viewer
