// SPDX-License-Identifier: Apache-2.0
#include "load.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <random>
#include <system_error>
#include <utility>

namespace demo {
namespace {

constexpr auto kPauseAfterFailure = std::chrono::milliseconds(20);
constexpr unsigned kMissingEvery = 50;  // one request in so many is for a file that is not there

int connect_to(int port) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return -1;
  const int on = 1;
  ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  const timeval patience{5, 0};
  ::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  if (::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) return fd;
  ::close(fd);
  return -1;
}

std::string encode_path(const std::string& path) {
  static constexpr char kHex[] = "0123456789ABCDEF";
  std::string out;
  for (const char c : path) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte <= ' ' || byte >= 127 || c == '%' || c == '?' || c == '#') {
      out += '%';
      out += kHex[byte >> 4];
      out += kHex[byte & 15];
    } else {
      out += c;
    }
  }
  return out;
}

}  // namespace

std::vector<std::string> find_files(const std::string& root, std::size_t count, std::uint64_t bytes_max) {
  namespace fs = std::filesystem;
  std::vector<std::string> found;
  std::error_code error;
  const auto options = fs::directory_options::skip_permission_denied;
  for (fs::recursive_directory_iterator at(root, options, error), end; at != end && !error; at.increment(error)) {
    std::error_code ignored;
    if (!at->is_regular_file(ignored) || at->file_size(ignored) > bytes_max) continue;
    found.push_back(at->path().string().substr(root.size()));
    if (found.size() >= 20'000) break;
  }
  std::mt19937 random(1);
  std::shuffle(found.begin(), found.end(), random);
  if (found.size() > count) found.resize(count);
  return found;
}

Load::Load(LoadOptions options) : options_(std::move(options)) {
  for (unsigned i = 0; i < options_.connections; ++i) threads_.emplace_back([this, i] { run(i); });
}

Load::~Load() { stop(); }

void Load::stop() {
  stopping_.store(true, std::memory_order_relaxed);
  for (std::thread& thread : threads_) {
    if (thread.joinable()) thread.join();
  }
}

void Load::run(unsigned number) {
  using Clock = std::chrono::steady_clock;
  const auto interval = std::chrono::nanoseconds(
      1'000'000'000ull * options_.connections / (options_.requests_per_second == 0 ? 1 : options_.requests_per_second));
  std::minstd_rand random(number + 1);
  std::string buffer;
  int socket = -1;
  auto next = Clock::now() + interval * number / options_.connections;
  while (!stopping_.load(std::memory_order_relaxed)) {
    std::this_thread::sleep_until(next);
    // A server that is late is not caught up with in one burst.
    next = std::max(next + interval, Clock::now() - std::chrono::milliseconds(50));
    if (socket < 0) socket = connect_to(options_.port);
    const std::string& path = options_.paths[random() % options_.paths.size()];
    const bool missing = random() % kMissingEvery == 0;
    if (socket >= 0 && ask(socket, missing ? "/no/such/file" : path, buffer)) {
      requests_.fetch_add(1, std::memory_order_relaxed);
      continue;
    }
    if (stopping_.load(std::memory_order_relaxed)) break;
    failures_.fetch_add(1, std::memory_order_relaxed);
    if (socket >= 0) ::close(std::exchange(socket, -1));
    std::this_thread::sleep_for(kPauseAfterFailure);
  }
  if (socket >= 0) ::close(socket);
}

bool Load::ask(int socket, const std::string& path, std::string& buffer) {
  const std::string request =
      "GET " + encode_path(path) + " HTTP/1.1\r\nHost: localhost\r\nAccept-Encoding: gzip\r\n\r\n";
  if (::send(socket, request.data(), request.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(request.size())) {
    return false;
  }
  buffer.clear();
  std::size_t wanted = std::string::npos;
  char bytes[65536];
  while (buffer.size() < wanted) {
    const ssize_t got = ::recv(socket, bytes, sizeof bytes, 0);
    if (got <= 0) return false;
    buffer.append(bytes, static_cast<std::size_t>(got));
    if (wanted != std::string::npos) continue;
    const std::size_t head = buffer.find("\r\n\r\n");
    if (head == std::string::npos) continue;
    const std::size_t length = buffer.find("Content-Length: ");
    if (length == std::string::npos || length > head) return false;
    wanted = head + 4 + static_cast<std::size_t>(std::strtoull(buffer.c_str() + length + 16, nullptr, 10));
  }
  return true;
}

}  // namespace demo
