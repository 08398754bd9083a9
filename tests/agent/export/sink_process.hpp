// SPDX-License-Identifier: Apache-2.0
//
// SinkProcess: tailrace_test_sink as a child, to be killed, stopped and started again on the same
// port.
//
// Threads: one owner. Ownership: kills and reaps the child when destroyed. Failure: port() is 0.
#pragma once

#include <array>
#include <cstdint>
#include <cstdlib>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string>
#include <sys/wait.h>
#include <unistd.h>
#include <utility>
#include <vector>

extern "C" char** environ;

namespace tailrace::agent::testing {

class SinkProcess {
 public:
  SinkProcess(std::string program, std::vector<std::string> arguments) {
    std::array<int, 2> fds{};
    if (::pipe2(fds.data(), O_CLOEXEC) != 0) {
      return;
    }
    out_ = fds[0];
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, fds[1], STDOUT_FILENO);
    std::vector<char*> argv = {program.data()};
    for (std::string& argument : arguments) {
      argv.push_back(argument.data());
    }
    argv.push_back(nullptr);
    if (posix_spawn(&pid_, program.c_str(), &actions, nullptr, argv.data(), environ) != 0) {
      pid_ = -1;
    }
    posix_spawn_file_actions_destroy(&actions);
    ::close(fds[1]);
    const std::string line = read_line();
    if (line.rfind("PORT ", 0) == 0) {
      port_ = static_cast<std::uint16_t>(std::strtoul(line.c_str() + 5, nullptr, 10));
    }
  }
  ~SinkProcess() {
    end(SIGKILL);
    if (out_ >= 0) {
      ::close(out_);
    }
  }
  SinkProcess(const SinkProcess&) = delete;
  SinkProcess& operator=(const SinkProcess&) = delete;

  [[nodiscard]] std::uint16_t port() const noexcept { return port_; }
  void signal(int number) const {
    if (pid_ > 0) {
      ::kill(pid_, number);
    }
  }
  // SIGSTOP, and every thread of it has stopped.
  void stop() const {
    if (pid_ > 0 && ::kill(pid_, SIGSTOP) == 0) {
      int status = 0;
      ::waitpid(pid_, &status, WUNTRACED);
    }
  }
  // Sends the signal and waits for the end.
  void end(int number) {
    if (pid_ > 0) {
      ::kill(pid_, number);
      ::waitpid(pid_, nullptr, 0);
      pid_ = -1;
    }
  }
  // One line of its output; empty after ten seconds of silence or at the end.
  std::string read_line() {
    std::string line;
    char byte = 0;
    pollfd waited{out_, POLLIN, 0};
    while (::poll(&waited, 1, 10'000) > 0 && ::read(out_, &byte, 1) == 1 && byte != '\n') {
      line += byte;
    }
    return line;
  }

 private:
  pid_t pid_ = -1;
  int out_ = -1;
  std::uint16_t port_ = 0;
};

}  // namespace tailrace::agent::testing
