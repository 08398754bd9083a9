// SPDX-License-Identifier: Apache-2.0
//
// Host: one machine's worth of the whole way, in a directory of its own on a tmpfs: an agent, a destination
// that keeps every request, and programs that record. Each can be killed and started again.
//
// Threads: one. Failure: what cannot be started fails the test with the reason.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "agent/base/child_process.hpp"
#include "agent/hold/status.hpp"

namespace tailrace::testing {

using std::chrono::milliseconds;

// One span or log record as it arrived.
struct Arrived {
  std::string service;
  std::string name;  // of a span; body of a log
  std::int64_t thread = -1;
  std::int64_t number = -1;
  bool incomplete = false;
  int attributes = 0;
  std::uint32_t dropped_attributes = 0;
  bool is_log = false;
  std::string request;  // file of the request it came in
};

// One data point as it arrived. `value` of a histogram is its count.
struct ArrivedPoint {
  std::string service;
  std::string metric;
  std::string attributes;  // as text, in their order
  std::int64_t thread = -1;
  bool delta = false;
  std::uint64_t start_ns = 0;
  std::uint64_t time_ns = 0;
  double value = 0;
  std::string request;
};

class Host {
 public:
  Host();
  ~Host();
  Host(const Host&) = delete;
  Host& operator=(const Host&) = delete;

  void start_sink(const std::vector<std::string>& options = {});
  void stop_sink();
  void start_agent(std::vector<std::string> options = {});
  // An agent that kills itself at the `hit`-th time that it passes a test point; false: it has not within a while, and
  // is stopped. Needs a build with test points and without sanitizers.
  bool run_agent_that_dies(const std::string& point, int hit, std::vector<std::string> options = {});
  void kill_agent();                                            // SIGKILL, and waits for it
  int stop_agent(milliseconds patience = milliseconds(15000));  // SIGTERM; the exit status
  [[nodiscard]] agent::ChildProcess& agent() { return *agent_; }
  // What the agent said up to "ready", and lines that it has said since the last call.
  [[nodiscard]] const std::string& first_words() const { return first_words_; }
  std::vector<std::string> agent_words();

  agent::ChildProcess start_program(const std::string& program, const std::vector<std::string>& arguments,
                                    const std::vector<std::pair<std::string, std::string>>& environment = {});

  [[nodiscard]] agent::HoldStatus status() const;
  // Until nothing is pending and every process is gone, or the patience is over; says which.
  bool wait_until_settled(milliseconds patience);
  // Every record that reached the destination, in all its lives.
  [[nodiscard]] std::vector<Arrived> arrived() const;
  [[nodiscard]] std::vector<ArrivedPoint> arrived_points() const;

  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] std::string segments() const { return path_ + "/segments"; }
  [[nodiscard]] std::string hold() const { return segments() + "/agent/hold"; }
  [[nodiscard]] int sink_port() const { return sink_port_; }

 private:
  [[nodiscard]] std::vector<std::string> agent_arguments(const std::vector<std::string>& options) const;

  std::string path_;
  int sink_port_ = 0;
  std::uint64_t sink_lives_ = 0;
  std::string first_words_;
  std::optional<agent::ChildProcess> sink_;
  std::optional<agent::ChildProcess> agent_;
};

// Looks again every 20 ms until `holds` does or the patience is over; says which.
template <class Condition>
bool wait_until(Condition holds, milliseconds patience) {
  const auto deadline = std::chrono::steady_clock::now() + patience;
  while (!holds()) {
    if (std::chrono::steady_clock::now() >= deadline) return false;
    std::this_thread::sleep_for(milliseconds(20));
  }
  return true;
}

// Expectations that hold at every moment, whoever is dead.
void expect_balanced(const agent::HoldStatus& status);

}  // namespace tailrace::testing
