// SPDX-License-Identifier: Apache-2.0
//
// HttpServer: the viewer's page and JSON on a loopback address.
//
// It refuses requests whose Host is not a loopback name (DNS rebinding), sends a
// Content-Security-Policy that allows nothing but the viewer's own style and script, and allows no
// other origin to read it.
//
// Threads: one that accepts and two that answer. Ownership: borrows what its handlers capture,
// until stop(). Failure: start() answers a sentence that says which port and what to do.
#ifndef TAILRACE_AGENT_VIEWER_HTTP_SERVER_HPP_
#define TAILRACE_AGENT_VIEWER_HTTP_SERVER_HPP_

#include <functional>
#include <memory>
#include <string>

#include "agent/base/result.hpp"
#include "agent/viewer/api.hpp"
#include "agent/viewer/store.hpp"

namespace tailrace::agent::viewer {

class HttpServer {
 public:
  using StateOf = std::function<ViewerState()>;  // called by the answering threads

  [[nodiscard]] static Result<std::unique_ptr<HttpServer>> start(const std::string& address, int port,
                                                                 const Store& store, StateOf state_of);
  ~HttpServer();  // stop()
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  [[nodiscard]] int port() const noexcept;

  // Returns when the answers under way are written, or their clients timed out. Idempotent.
  void stop();

 private:
  class Impl;
  explicit HttpServer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace tailrace::agent::viewer

#endif  // TAILRACE_AGENT_VIEWER_HTTP_SERVER_HPP_
