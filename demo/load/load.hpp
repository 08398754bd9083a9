// SPDX-License-Identifier: Apache-2.0
//
// Load: clients on loopback that ask a file server for files, one request after the other on kept
// connections, until stopped. Bounded: so many connections, and at most so many requests a second.
//
// Threads: one a connection; counters may be read meanwhile. Failure: a connection that breaks is
// counted and opened again after a pause.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>
#include <thread>
#include <vector>

namespace demo {

struct LoadOptions {
  int port = 0;
  unsigned connections = 4;
  unsigned requests_per_second = 4000;  // of all connections together
  std::vector<std::string> paths;
};

// Up to `count` files below `root` of at most `bytes_max` bytes, as paths from `root`; spread over the tree.
std::vector<std::string> find_files(const std::string& root, std::size_t count, std::uint64_t bytes_max);

class Load {
 public:
  explicit Load(LoadOptions options);
  ~Load();
  Load(const Load&) = delete;
  Load& operator=(const Load&) = delete;

  void stop();
  [[nodiscard]] std::uint64_t requests() const { return requests_.load(std::memory_order_relaxed); }
  [[nodiscard]] std::uint64_t failures() const { return failures_.load(std::memory_order_relaxed); }

 private:
  void run(unsigned number);
  bool ask(int socket, const std::string& path, std::string& buffer);

  const LoadOptions options_;
  std::atomic<bool> stopping_{false};
  std::atomic<std::uint64_t> requests_{0};
  std::atomic<std::uint64_t> failures_{0};
  std::vector<std::thread> threads_;
};

}  // namespace demo
