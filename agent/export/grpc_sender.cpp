// SPDX-License-Identifier: Apache-2.0
#include "agent/export/grpc_sender.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <condition_variable>
#include <grpc/slice.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>
#include <mutex>
#include <thread>
#include <utility>

#include "agent/export/channel.hpp"

namespace tailrace::agent {
namespace {

using Clock = std::chrono::steady_clock;

// How often a call that was answered is asked whether the connection has let go of its pieces. Such
// a call is rare: the answer came before the request was wholly written, or instead of it.
constexpr auto kReleasePoll = std::chrono::milliseconds(5);
constexpr auto kLinkWatch = std::chrono::milliseconds(200);
constexpr auto kLinkUpInterval = std::chrono::seconds(1);

const std::array<std::string, kSignals> kMethods = {
    "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
    "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
    "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
};

struct Call {
  std::uint64_t id = 0;
  std::uint64_t records = 0;
  Clock::time_point started;
  std::chrono::nanoseconds rtt{};
  grpc::ClientContext context;
  grpc::ByteBuffer response;
  grpc::Status status;
  std::unique_ptr<grpc::GenericClientAsyncResponseReader> reader;
  // Stored by send() after its last write to the call, loaded by the sender's thread before its
  // first read. The completion queue orders the two as well; said here, too, it is seen by a race
  // detector that does not see into the library.
  std::atomic<bool> handed_over{false};
  // Set by whichever thread drops the last reference to the pieces; pairs with the acquire in
  // is_released(). Nothing of gRPC's touches the call after it.
  std::atomic<bool> released{false};

  [[nodiscard]] bool is_released() const noexcept { return released.load(std::memory_order_acquire); }
  static void release(void* call) { static_cast<Call*>(call)->released.store(true, std::memory_order_release); }
};

// Slices over the caller's memory. One reference count serves the whole request, since gRPC lets
// slices share one while each is a range of its own; pieces that follow one another in memory
// become one slice.
grpc::ByteBuffer borrow(const std::vector<Piece>& pieces, Call& call) {
  std::vector<grpc_slice> ranges;
  ranges.reserve(pieces.size());
  for (const Piece& piece : pieces) {
    // gRPC's type has no const; nothing on the way of a request writes to it.
    auto* const bytes = static_cast<std::uint8_t*>(const_cast<void*>(piece.data));
    if (piece.size == 0) {
      continue;
    }
    if (ranges.empty()) {
      ranges.push_back(grpc_slice_new_with_user_data(bytes, piece.size, &Call::release, &call));
      continue;
    }
    auto& last = ranges.back().data.refcounted;
    if (last.bytes + last.length == bytes) {
      last.length += piece.size;
      continue;
    }
    grpc_slice range = ranges.front();
    range.data.refcounted.bytes = bytes;
    range.data.refcounted.length = piece.size;
    ranges.push_back(range);
  }
  std::vector<grpc::Slice> slices;
  slices.reserve(ranges.size());
  for (const grpc_slice& range : ranges) {
    if (slices.empty()) {
      slices.emplace_back(range, grpc::Slice::STEAL_REF);
    } else {
      slices.emplace_back(range, grpc::Slice::ADD_REF);
    }
  }
  return {slices.data(), slices.size()};
}

Answer answer_of(const Call& call) {
  Reply reply;
  reply.code = static_cast<int>(call.status.error_code());
  const std::string message = call.status.error_message();
  const std::string details = call.status.error_details();
  reply.message = message;
  reply.details = details;
  reply.records = call.records;
  grpc::Slice response;
  if (call.response.Valid() && call.response.DumpToSingleSlice(&response).ok()) {
    reply.response = std::string_view(reinterpret_cast<const char*>(response.begin()), response.size());
  }
  return classify(reply);
}

}  // namespace

class GrpcSender::Impl {
 public:
  Impl(Destination destination, SenderOptions options, OnDone on_done, OnLinkUp on_link_up)
      : destination_(std::move(destination)),
        options_(options),
        on_done_(std::move(on_done)),
        on_link_up_(std::move(on_link_up)),
        channel_(make_channel(destination_.endpoint, options_)),
        thread_([this] { run(); }) {}

  ~Impl() {
    static_cast<void>(shutdown(std::chrono::milliseconds(0)));
    {
      std::unique_lock lock(mutex_);
      idle_.wait(lock, [this] { return calls_.empty() && reporting_ == 0 && !watching_; });
    }
    queue_.Shutdown();
    thread_.join();
  }

  Status send(const Request& request) {
    std::size_t bytes = 0;
    for (const Piece& piece : request.pieces) {
      bytes += piece.size;
    }
    const auto& settings = destination_.signals[index_of(request.signal)];
    if (bytes == 0 || request.records == 0) {
      return Error{ErrorCode::kInvalidArgument, describe(request) + ": nothing in it; an empty one is not sent"};
    }
    if (!settings) {
      return Error{ErrorCode::kInvalidArgument,
                   describe(request) + ": its signal does not go to " + destination_.endpoint.url()};
    }
    const std::size_t bytes_max = std::min(options_.request_bytes_max, kRequestBytesCeiling);
    if (bytes > bytes_max) {
      return Error{ErrorCode::kResourceExhausted, describe(request) + ": " + std::to_string(bytes) + " bytes > " +
                                                      std::to_string(bytes_max) +
                                                      " allowed; send fewer records at a time"};
    }
    auto owned = std::make_unique<Call>();
    Call& call = *owned;
    {
      const std::lock_guard lock(mutex_);
      if (stopping_) {
        return Error{ErrorCode::kCancelled, describe(request) + ": the sender is shutting down"};
      }
      if (calls_.size() >= options_.in_flight_max) {
        return Error{ErrorCode::kUnavailable, describe(request) + ": " + std::to_string(calls_.size()) +
                                                  " requests under way already; send it when one is answered"};
      }
      // From here on shutdown() waits for it, and may cancel it even before it has started.
      calls_.push_back(std::move(owned));
    }
    start(call, request, *settings);
    return {};
  }

  unsigned in_flight() const {
    const std::lock_guard lock(mutex_);
    return static_cast<unsigned>(calls_.size());
  }

  ShutdownReport shutdown(std::chrono::milliseconds patience) {
    ShutdownReport report;
    std::unique_lock lock(mutex_);
    stopping_ = true;
    const auto idle = [this] { return calls_.empty() && reporting_ == 0; };
    if (!idle_.wait_for(lock, patience, idle)) {
      report.cancelled = static_cast<unsigned>(calls_.size());
      for (const auto& call : calls_) {
        call->context.TryCancel();
      }
      static_cast<void>(idle_.wait_for(lock, options_.cancel_wait, idle));
      report.stuck = static_cast<unsigned>(calls_.size());
      report.cancelled -= std::min(report.cancelled, report.stuck);
    }
    return report;
  }

 private:
  static std::string describe(const Request& request) {
    return "request " + std::to_string(request.id) + " (" + std::string(signal_name(request.signal)) + ")";
  }

  void start(Call& call, const Request& request, const SignalSettings& settings) {
    call.id = request.id;
    call.records = request.records;
    call.started = Clock::now();
    if (settings.timeout) {
      call.context.set_deadline(std::chrono::system_clock::now() + *settings.timeout);
    }
    for (const Header& header : settings.headers) {
      call.context.AddMetadata(header.key, header.value);
    }
    grpc::GenericStub stub(channel_);
    call.reader =
        stub.PrepareUnaryCall(&call.context, kMethods[index_of(request.signal)], borrow(request.pieces, call), &queue_);
    call.reader->StartCall();
    call.handed_over.store(true, std::memory_order_release);  // pairs with the acquire in finish()
    call.reader->Finish(&call.response, &call.status, &call);
  }

  void run() {
    for (;;) {
      void* tag = nullptr;
      bool ok = false;
      const auto next =
          lingering_.empty()
              ? (queue_.Next(&tag, &ok) ? grpc::CompletionQueue::GOT_EVENT : grpc::CompletionQueue::SHUTDOWN)
              : queue_.AsyncNext(&tag, &ok, std::chrono::system_clock::now() + kReleasePoll);
      if (next == grpc::CompletionQueue::SHUTDOWN) {
        return;
      }
      if (next == grpc::CompletionQueue::GOT_EVENT) {
        if (tag == &watching_) {
          look_at_link(false);
        } else {
          finish(*static_cast<Call*>(tag));
        }
      }
      report_released();
    }
  }

  void finish(Call& call) {
    static_cast<void>(call.handed_over.load(std::memory_order_acquire));  // pairs with the release in start()
    call.rtt = Clock::now() - call.started;
    if (call.is_released()) {
      report(call);
    } else {
      lingering_.push_back(&call);
    }
  }

  void report_released() {
    for (std::size_t i = 0; i < lingering_.size();) {
      Call& call = *lingering_[i];
      if (!call.is_released()) {
        ++i;
        continue;
      }
      lingering_.erase(lingering_.begin() + static_cast<std::ptrdiff_t>(i));
      report(call);
    }
  }

  void report(Call& call) {
    const Answer answer = answer_of(call);
    const std::uint64_t id = call.id;
    const auto rtt = call.rtt;
    {
      const std::lock_guard lock(mutex_);
      // The callback may send the next request, so the place is given back before it; shutdown()
      // still waits for the callback itself.
      ++reporting_;
      std::erase_if(calls_, [&](const auto& owned) { return owned.get() == &call; });
    }
    on_done_(id, answer, rtt);
    if (answer.code == grpc_code::kUnavailable) {
      watch_link();
    }
    {
      const std::lock_guard lock(mutex_);
      --reporting_;
    }
    idle_.notify_all();
  }

  // A channel that lost its connection stays idle until somebody asks, and is moved only by a
  // completion queue that waits for it: the watch does both until the connection stands.
  // UNAVAILABLE may also be the word of a destination that is there, or come a moment before the
  // channel notices its loss: hence one look at least.
  void watch_link() {
    {
      const std::lock_guard lock(mutex_);
      if (watching_ || stopping_) {
        return;
      }
      watching_ = true;
    }
    link_lost_ = false;
    look_at_link(true);
  }

  void look_at_link(bool first) {
    const grpc_connectivity_state state = channel_->GetState(true);
    const bool ready = state == GRPC_CHANNEL_READY;
    link_lost_ = link_lost_ || !ready;
    bool again = !(ready && !first) && state != GRPC_CHANNEL_SHUTDOWN;
    bool is_back = ready && link_lost_;
    {
      const std::lock_guard lock(mutex_);
      again = again && !stopping_;
      is_back = is_back && !stopping_;
      watching_ = again;
    }
    if (again) {
      channel_->NotifyOnStateChange(state, std::chrono::system_clock::now() + kLinkWatch, &queue_, &watching_);
      return;
    }
    // A peer that takes connections and drops them again must not pull requests out of their waits.
    const auto now = Clock::now();
    if (is_back && now - last_link_up_ >= kLinkUpInterval) {
      last_link_up_ = now;
      if (on_link_up_) {
        on_link_up_();
      }
    }
    idle_.notify_all();
  }

  const Destination destination_;
  const SenderOptions options_;
  const OnDone on_done_;
  const OnLinkUp on_link_up_;

  const std::shared_ptr<grpc::Channel> channel_;
  grpc::CompletionQueue queue_;

  mutable std::mutex mutex_;
  std::condition_variable idle_;
  std::vector<std::unique_ptr<Call>> calls_;  // at most in_flight_max
  unsigned reporting_ = 0;
  bool stopping_ = false;
  bool watching_ = false;  // a link watch is in the queue, under this word's address as tag

  // The thread's own.
  std::vector<Call*> lingering_;  // answered, pieces not yet let go of
  bool link_lost_ = false;        // since the watch began
  Clock::time_point last_link_up_{};
  std::thread thread_;  // last: it uses all of the above
};

GrpcSender::GrpcSender(Destination destination, SenderOptions options, OnDone on_done, OnLinkUp on_link_up)
    : impl_(std::make_unique<Impl>(std::move(destination), options, std::move(on_done), std::move(on_link_up))) {}

GrpcSender::~GrpcSender() = default;

Status GrpcSender::send(const Request& request) { return impl_->send(request); }

unsigned GrpcSender::in_flight() const { return impl_->in_flight(); }

GrpcSender::ShutdownReport GrpcSender::shutdown(std::chrono::milliseconds patience) {
  return impl_->shutdown(patience);
}

}  // namespace tailrace::agent
