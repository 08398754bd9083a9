// SPDX-License-Identifier: Apache-2.0
//
// A child process for the viewer's tests: started with its standard output in a pipe, ended in any
// case.
#ifndef TAILRACE_TESTS_AGENT_VIEWER_PROCESS_HPP_
#define TAILRACE_TESTS_AGENT_VIEWER_PROCESS_HPP_

#include <chrono>
#include <fcntl.h>
#include <optional>
#include <poll.h>
#include <signal.h>
#include <string>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>
#include <vector>

namespace tailrace::agent::viewer::test {

class Process {
 public:
  using Clock = std::chrono::steady_clock;

  // Standard error goes into the same pipe when `with_errors`, else nowhere.
  explicit Process(const std::vector<std::string>& command, bool with_errors = false) {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) {
      return;
    }
    std::vector<char*> arguments;
    for (const std::string& word : command) {
      arguments.push_back(const_cast<char*>(word.c_str()));
    }
    arguments.push_back(nullptr);
    pid_ = ::fork();
    if (pid_ == 0) {
      ::setpgid(0, 0);
      ::dup2(ends[1], STDOUT_FILENO);
      ::dup2(with_errors ? ends[1] : ::open("/dev/null", O_WRONLY | O_CLOEXEC), STDERR_FILENO);
      ::execvp(arguments[0], arguments.data());
      ::_exit(127);
    }
    ::close(ends[1]);
    output_ = ends[0];
  }
  ~Process() {
    if (pid_ > 0 && !ended_) {
      ::kill(-pid_, SIGKILL);  // its group: a browser has children
      static_cast<void>(wait_for_end(std::chrono::seconds(10)));
    }
    if (output_ >= 0) {
      ::close(output_);
    }
  }
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  [[nodiscard]] pid_t pid() const { return pid_; }
  void signal(int number) const { ::kill(pid_, number); }

  // Text up to the first line's end, or what came until the time was over.
  std::string read_line(std::chrono::milliseconds limit = std::chrono::seconds(20)) { return read(limit, true); }
  std::string read_all(std::chrono::milliseconds limit = std::chrono::seconds(20)) { return read(limit, false); }

  // The exit code (128 + signal when killed), or nothing when it still ran at the end of the time.
  std::optional<int> wait_for_end(std::chrono::milliseconds limit) {
    const auto end = Clock::now() + limit;
    while (!ended_) {
      int status = 0;
      if (::waitpid(pid_, &status, WNOHANG) == pid_) {
        ended_ = true;
        code_ = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
        break;
      }
      if (Clock::now() > end) {
        return std::nullopt;
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    return code_;
  }

 private:
  std::string read(std::chrono::milliseconds limit, bool one_line) {
    std::string text;
    const auto end = Clock::now() + limit;
    for (;;) {
      const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(end - Clock::now());
      pollfd wait{output_, POLLIN, 0};
      if (left.count() <= 0 || ::poll(&wait, 1, static_cast<int>(left.count())) <= 0) {
        return text;
      }
      char buffer[4096];
      const ssize_t bytes = ::read(output_, buffer, one_line ? 1 : sizeof(buffer));
      if (bytes <= 0) {
        return text;
      }
      text.append(buffer, static_cast<std::size_t>(bytes));
      if (one_line && text.back() == '\n') {
        return text;
      }
    }
  }

  pid_t pid_ = -1;
  int output_ = -1;
  bool ended_ = false;
  int code_ = 0;
};

}  // namespace tailrace::agent::viewer::test

#endif  // TAILRACE_TESTS_AGENT_VIEWER_PROCESS_HPP_
