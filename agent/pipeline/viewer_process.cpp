// SPDX-License-Identifier: Apache-2.0
#include "agent/pipeline/viewer_process.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <utility>
#include <vector>

extern char** environ;

namespace tailrace::agent {
namespace {

constexpr int kReadyFd = 3;
constexpr int kReadyTimeoutMs = 10'000;

// Reads one line from `fd`, or what came until the timeout or its end.
std::string read_line(int fd) {
  std::string line;
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(kReadyTimeoutMs);
  while (line.find('\n') == std::string::npos) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline -
                                                                             std::chrono::steady_clock::now());
    pollfd wanted{fd, POLLIN, 0};
    if (left.count() <= 0 || ::poll(&wanted, 1, static_cast<int>(left.count())) <= 0) break;
    char bytes[256];
    const ssize_t got = ::read(fd, bytes, sizeof bytes);
    if (got <= 0) break;
    line.append(bytes, static_cast<std::size_t>(got));
  }
  return line;
}

// What stands in `line` behind `label`, up to a comma or its end.
std::string word_after(const std::string& line, const std::string& label) {
  const std::size_t at = line.find(label);
  if (at == std::string::npos) return {};
  const std::size_t from = at + label.size();
  return line.substr(from, line.find_first_of(",\n", from) - from);
}

}  // namespace

Result<ViewerProcess> ViewerProcess::start(const std::string& program, std::uint16_t otlp_port,
                                           std::uint16_t http_port) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) {
    return Error{ErrorCode::kSystem, fmt::format("viewer: no pipe: {}", std::strerror(errno))};
  }
  std::vector<std::string> words{program,
                                 "viewer",
                                 "--otlp-port=" + std::to_string(otlp_port),
                                 "--http-port=" + std::to_string(http_port),
                                 "--ready-fd=" + std::to_string(kReadyFd),
                                 "--parent-death",
                                 "--parent-pid=" + std::to_string(::getpid())};
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);

  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, ends[1], kReadyFd);
  posix_spawn_file_actions_adddup2(&actions, STDERR_FILENO, STDOUT_FILENO);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t none;
  sigemptyset(&none);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
  ViewerProcess viewer;
  const int failed =
      ::posix_spawn(&viewer.pid_, program.c_str(), &actions, &attributes, arguments.data(), environ);
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  ::close(ends[1]);
  if (failed != 0) {
    viewer.pid_ = -1;
    ::close(ends[0]);
    return Error{ErrorCode::kSystem, fmt::format("viewer: cannot start {}: {}", program, std::strerror(failed))};
  }
  const std::string line = read_line(ends[0]);
  ::close(ends[0]);
  viewer.otlp_ = word_after(line, "otlp ");
  viewer.page_ = word_after(line, "page ");
  if (viewer.otlp_.empty() || viewer.page_.empty()) {
    return Error{ErrorCode::kUnavailable,
                 "viewer: it did not start, its own message stands above; run the agent without --viewer, or "
                 "`tailrace viewer` by hand to see more"};
  }
  return viewer;
}

ViewerProcess::ViewerProcess(ViewerProcess&& other) noexcept
    : pid_(std::exchange(other.pid_, -1)), otlp_(std::move(other.otlp_)), page_(std::move(other.page_)) {}

ViewerProcess::~ViewerProcess() {
  if (pid_ <= 0) return;
  ::kill(pid_, SIGTERM);
  for (int waited_ms = 0; waited_ms < 3000; waited_ms += 10) {
    if (::waitpid(pid_, nullptr, WNOHANG) != 0) return;
    ::usleep(10'000);
  }
  ::kill(pid_, SIGKILL);
  ::waitpid(pid_, nullptr, 0);
}

}  // namespace tailrace::agent
