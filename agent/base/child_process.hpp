// SPDX-License-Identifier: Apache-2.0
//
// ChildProcess: a program started beside us, one of its output streams read line by line, ended and waited for
// when the owner goes.
//
// Threads: one owner. Memory: what was read and not yet taken. Failure: start() answers with a sentence;
// reading ends with nothing when the child is silent for too long or gone.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "agent/base/result.hpp"

namespace tailrace::agent {

enum class Captured { standard_output, standard_error };

class ChildProcess {
 public:
  // `program` with `arguments` (without the program's own name) and `environment` entries added to ours. The
  // stream that is not captured goes where our standard error goes.
  static Result<ChildProcess> start(const std::string& program, const std::vector<std::string>& arguments,
                                    Captured captured,
                                    const std::vector<std::pair<std::string, std::string>>& environment = {});
  ~ChildProcess();  // stop()
  ChildProcess(ChildProcess&& other) noexcept;
  ChildProcess& operator=(ChildProcess&&) = delete;
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;

  // The next line without its end; nothing after `patience`, or when the stream has ended.
  std::optional<std::string> read_line(std::chrono::milliseconds patience);
  void signal(int number) const;
  // SIGTERM, then SIGKILL after `patience`. The exit status as waitpid tells it; -1 if there was none to wait for.
  int stop(std::chrono::milliseconds patience = std::chrono::seconds(5));
  [[nodiscard]] bool running();
  [[nodiscard]] pid_t pid() const { return pid_; }

 private:
  ChildProcess() = default;
  pid_t pid_ = -1;
  int stream_ = -1;
  std::string pending_;
  int status_ = -1;
};

// The executable that runs now.
std::string own_program();

}  // namespace tailrace::agent
