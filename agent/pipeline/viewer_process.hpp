// SPDX-License-Identifier: Apache-2.0
//
// ViewerProcess: `tailrace viewer` started beside the agent, as a process of its own that ends with it.
//
// Threads: one owner. Failure: an Error when it does not say within some seconds where it listens.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>

#include "agent/base/result.hpp"

namespace tailrace::agent {

class ViewerProcess {
 public:
  // `program` is the tailrace executable itself. Ports: 0 = any free one.
  static Result<ViewerProcess> start(const std::string& program, std::uint16_t otlp_port,
                                     std::uint16_t http_port);
  ~ViewerProcess();  // ends it and waits
  ViewerProcess(ViewerProcess&& other) noexcept;
  ViewerProcess& operator=(ViewerProcess&&) = delete;
  ViewerProcess(const ViewerProcess&) = delete;
  ViewerProcess& operator=(const ViewerProcess&) = delete;

  [[nodiscard]] const std::string& otlp() const { return otlp_; }  // 127.0.0.1:PORT
  [[nodiscard]] const std::string& page() const { return page_; }  // http://127.0.0.1:PORT/
  [[nodiscard]] pid_t pid() const { return pid_; }

 private:
  ViewerProcess() = default;
  pid_t pid_ = -1;
  std::string otlp_;
  std::string page_;
};

}  // namespace tailrace::agent
