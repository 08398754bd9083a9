// SPDX-License-Identifier: Apache-2.0
//
// TapServer: where `tailrace tap` finds the agent: a socket beside the hold, in the agent's private folder.
//
// It takes connections of the agent's own user and of root (the kernel says who: SO_PEERCRED), reads one
// request, and sends lines every kTick. Nothing here waits for a client: what its socket does not take stays
// in its tap, a full tap leaves lines out and counts them, and who takes nothing for kPatience is closed.
//
// Threads: one of its own, asleep while nobody watches. Memory: kClients taps at most, a fixed number of
// bytes each. Failure: start() answers a sentence; the agent works without it.
#pragma once

#include <chrono>
#include <memory>
#include <string>

#include "agent/base/result.hpp"
#include "agent/tap/tap.hpp"

namespace tailrace::agent {

struct TapLimits {
  std::size_t clients = 8;
  std::chrono::milliseconds tick{100};
  std::chrono::milliseconds patience{30'000};       // for a client that takes nothing
  std::chrono::milliseconds request_within{2'000};  // for one that asks nothing
};

class TapServer {
 public:
  // Whoever calls this must be the folder's only agent: a socket that is left over is replaced.
  static Result<std::unique_ptr<TapServer>> start(const std::string& socket_path, TapHub& hub,
                                                  const TapLimits& limits = {});
  ~TapServer();  // stop()
  TapServer(const TapServer&) = delete;
  TapServer& operator=(const TapServer&) = delete;

  // Tells the clients, closes, and removes the socket. Idempotent.
  void stop();

 private:
  class Impl;
  explicit TapServer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace tailrace::agent
