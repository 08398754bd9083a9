// SPDX-License-Identifier: Apache-2.0
//
// Outcomes: what a sender reported, by request id, for tests to wait for.
//
// Threads: any. Failure: wait_for() records a test failure when nothing came in time.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <gtest/gtest.h>
#include <map>
#include <mutex>
#include <string>
#include <string_view>

#include "agent/export/grpc_sender.hpp"

namespace tailrace::agent::testing {

struct Outcome {
  Answer answer;
  std::chrono::nanoseconds rtt{};
  std::chrono::steady_clock::time_point at{};
};

class Outcomes {
 public:
  GrpcSender::OnDone on_done() {
    return [this](std::uint64_t id, const Answer& answer, std::chrono::nanoseconds rtt) {
      const std::lock_guard lock(mutex_);
      twice_ = !outcomes_.emplace(id, Outcome{answer, rtt, std::chrono::steady_clock::now()}).second || twice_;
      changed_.notify_all();
    };
  }

  Outcome wait_for(std::uint64_t id, std::chrono::milliseconds patience = std::chrono::seconds(20)) {
    std::unique_lock lock(mutex_);
    const bool came = changed_.wait_for(lock, patience, [&] { return outcomes_.count(id) != 0; });
    EXPECT_TRUE(came) << "request " << id << " was not reported";
    return came ? outcomes_.at(id) : Outcome{};
  }

  bool has(std::uint64_t id) const {
    const std::lock_guard lock(mutex_);
    return outcomes_.count(id) != 0;
  }
  std::size_t size() const {
    const std::lock_guard lock(mutex_);
    return outcomes_.size();
  }
  bool any_twice() const {
    const std::lock_guard lock(mutex_);
    return twice_;
  }

 private:
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::map<std::uint64_t, Outcome> outcomes_;
  bool twice_ = false;
};

// The bytes are borrowed until the outcome is there.
inline Request request_of(std::uint64_t id, Signal signal, std::string_view bytes, std::uint64_t records) {
  Request request;
  request.id = id;
  request.signal = signal;
  request.records = records;
  request.pieces.push_back({bytes.data(), bytes.size()});
  return request;
}

inline Endpoint endpoint_on(std::uint16_t port) {
  Endpoint endpoint;
  endpoint.host = "127.0.0.1";
  endpoint.port = port;
  return endpoint;
}

}  // namespace tailrace::agent::testing
