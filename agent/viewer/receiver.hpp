// SPDX-License-Identifier: Apache-2.0
//
// Receiver: OTLP/gRPC on a loopback address, into a Store.
//
// It takes calls as bytes and reads them with otlp_reader.hpp. A call's message is read only when
// the receiver has turned to it, a few at a time, so senders cannot fill its memory by opening
// calls; the rest waits in HTTP/2's flow control.
//
// Answers: success also for an empty request; partial_success with the number of spans without ids;
// RESOURCE_EXHAUSTED without RetryInfo for a message that is too large, before or after inflating
// (not to be sent again); INVALID_ARGUMENT for bytes that are not OTLP; UNIMPLEMENTED for other
// methods and encodings.
//
// Threads: one of its own beside gRPC's; counters() from any. Ownership: borrows the Store, which
// must outlive it. Failure: start() answers a sentence that says which port and what to do.
#ifndef TAILRACE_AGENT_VIEWER_RECEIVER_HPP_
#define TAILRACE_AGENT_VIEWER_RECEIVER_HPP_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "agent/base/result.hpp"
#include "agent/viewer/store.hpp"

namespace tailrace::agent::viewer {

struct ReceiverCounters {
  std::uint64_t trace_requests = 0;
  std::uint64_t log_requests = 0;
  std::uint64_t metric_requests = 0;
  std::uint64_t refused_requests = 0;  // answered with an error
  std::uint64_t request_bytes = 0;     // accepted, inflated
};

class Receiver {
 public:
  // `address` must be one that check_loopback() accepts; port 0 is any free one.
  [[nodiscard]] static Result<std::unique_ptr<Receiver>> start(const std::string& address, int port,
                                                               std::size_t max_request_bytes, Store& store);
  ~Receiver();  // stop()
  Receiver(const Receiver&) = delete;
  Receiver& operator=(const Receiver&) = delete;

  [[nodiscard]] int port() const noexcept;
  [[nodiscard]] ReceiverCounters counters() const;

  // Ends open calls after a short grace. Idempotent.
  void stop();

 private:
  class Impl;
  explicit Receiver(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace tailrace::agent::viewer

#endif  // TAILRACE_AGENT_VIEWER_RECEIVER_HPP_
