// SPDX-License-Identifier: Apache-2.0
//
// GrpcSender: sends requests whose bytes are already encoded to one destination by OTLP/gRPC,
// several at a time, and reports what became of each.
//
// Threads: send(), in_flight() and shutdown() from any thread, also from within the callbacks
// except shutdown(). One thread of the sender's own drives the connection and runs every
// callback, one at a time.
// Memory: a request's pieces are borrowed and never copied or written; they are read until
// on_done() is called for its id, and never after. A call that timed out or was cancelled is
// reported only when the connection has let go of its pieces, which can take `stuck_after` when
// the peer's host no longer takes anything.
// Failure: send() refuses with an Error and then never reports the id. What was taken is reported
// exactly once, whatever happens, as the Answer of `classify`. The sender itself never sends
// anything twice.
// Connection: one channel, plain text. It is dialled when first needed and, once lost, again and
// again at most a second apart, also while nothing is being sent, so that on_link_up() tells when
// the destination is back. Meanwhile calls fail at once with UNAVAILABLE. gRPC's own retries are
// off: the caller's hold does that.
// Process: the first sender sets GRPC_DNS_RESOLVER in the environment where the user did not, so
// it is made before threads that read the environment.
// Source: OTLP specification, "OTLP/gRPC"; gRPC 1.51 generic stub.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "agent/base/result.hpp"
#include "agent/base/signal.hpp"
#include "agent/export/answer.hpp"
#include "agent/export/settings.hpp"

namespace tailrace::agent {

struct Piece {
  const void* data;
  std::size_t size;
};

// The pieces, one after the other, are one Export…ServiceRequest.
struct Request {
  std::uint64_t id = 0;  // the caller's own, handed back
  Signal signal = Signal::traces;
  std::uint64_t records = 0;
  std::vector<Piece> pieces;
};

inline constexpr std::size_t kRequestBytesDefault = 3'670'016;  // 3.5 MiB: receivers take 4 MiB by default
inline constexpr std::size_t kRequestBytesCeiling = std::size_t{64} * 1024 * 1024;
inline constexpr unsigned kInFlightDefault = 8;

struct SenderOptions {
  std::size_t request_bytes_max = kRequestBytesDefault;  // at most kRequestBytesCeiling
  unsigned in_flight_max = kInFlightDefault;
  // A connection whose peer acknowledges nothing for so long is given up.
  std::chrono::milliseconds stuck_after = std::chrono::seconds(20);
  std::chrono::milliseconds connect_timeout = std::chrono::seconds(5);
  // How long shutdown() waits for calls it has cancelled; they come back within milliseconds unless
  // stuck.
  std::chrono::milliseconds cancel_wait = std::chrono::seconds(2);
};

class GrpcSender {
 public:
  // `rtt` is from send() to the end of the call.
  using OnDone = std::function<void(std::uint64_t id, const Answer& answer, std::chrono::nanoseconds rtt)>;
  // A lost connection stands again; at most once a second.
  using OnLinkUp = std::function<void()>;

  GrpcSender(Destination destination, SenderOptions options, OnDone on_done, OnLinkUp on_link_up = nullptr);
  // Cancels what is in flight and waits until it is reported.
  ~GrpcSender();
  GrpcSender(const GrpcSender&) = delete;
  GrpcSender& operator=(const GrpcSender&) = delete;

  // kInvalidArgument: nothing in it, or a signal that does not go here. kResourceExhausted: larger
  // than request_bytes_max, so the caller records the discard. kUnavailable: in_flight_max are
  // under way. kCancelled: shutdown() was called.
  Status send(const Request& request);

  [[nodiscard]] unsigned in_flight() const;

  struct ShutdownReport {
    unsigned cancelled = 0;  // reported after being cancelled
    unsigned stuck = 0;      // not reported yet: the connection still holds their pieces
  };
  // Takes nothing more, waits for the answers under way, cancels those that take longer than
  // `patience` and waits for them, too. Only a stuck connection leaves something unreported; the
  // destructor waits for that.
  ShutdownReport shutdown(std::chrono::milliseconds patience);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace tailrace::agent
