// SPDX-License-Identifier: Apache-2.0
//
// ViewerProcess: `tailrace viewer` started beside the agent, as a process of its own that ends with it.
//
// Threads: one owner. Failure: an Error when it does not say within some seconds where it listens.
#pragma once

#include <cstdint>
#include <string>
#include <utility>

#include "agent/base/child_process.hpp"
#include "agent/base/result.hpp"

namespace tailrace::agent {

class ViewerProcess {
 public:
  // `program` is the tailrace executable itself. Ports: 0 = any free one.
  static Result<ViewerProcess> start(const std::string& program, std::uint16_t otlp_port, std::uint16_t http_port);

  [[nodiscard]] const std::string& otlp() const { return otlp_; }  // 127.0.0.1:PORT
  [[nodiscard]] const std::string& page() const { return page_; }  // http://127.0.0.1:PORT/

 private:
  explicit ViewerProcess(ChildProcess child) : child_(std::move(child)) {}
  ChildProcess child_;  // ended when this one goes
  std::string otlp_;
  std::string page_;
};

}  // namespace tailrace::agent
