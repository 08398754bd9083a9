// SPDX-License-Identifier: Apache-2.0
#include "tests/interop/delivery.hpp"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <optional>
#include <sstream>
#include <thread>

#include "agent/base/child_process.hpp"

namespace tailrace::interop {
namespace {

namespace fs = std::filesystem;
using agent::Captured;
using agent::ChildProcess;
using std::chrono::milliseconds;
using std::chrono::seconds;
using std::chrono::steady_clock;
using std::chrono::system_clock;

constexpr int kUnavailable = 3;  // exit status of collector/build

std::uint64_t now_ns() {
  return static_cast<std::uint64_t>(std::chrono::nanoseconds(system_clock::now().time_since_epoch()).count());
}

struct Answer {
  int status = -1;
  std::string output;
  [[nodiscard]] std::string last_line() const {
    const std::string text = output.substr(0, output.find_last_not_of('\n') + 1);
    return text.substr(text.find_last_of('\n') + 1);
  }
};

Answer run(const std::string& command) {
  Answer answer;
  std::FILE* pipe = ::popen((command + " 2>&1").c_str(), "r");
  if (pipe == nullptr) return answer;
  char block[4096];
  for (std::size_t size; (size = std::fread(block, 1, sizeof block, pipe)) > 0;) answer.output.append(block, size);
  const int status = ::pclose(pipe);
  answer.status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  return answer;
}

std::string contents(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

int free_port() {
  const int socket = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  const bool good = ::bind(socket, reinterpret_cast<sockaddr*>(&address), size) == 0 &&
                    ::getsockname(socket, reinterpret_cast<sockaddr*>(&address), &size) == 0;
  ::close(socket);
  return good ? ntohs(address.sin_port) : 0;
}

std::string unhex(const std::string& digits) {
  std::string bytes;
  for (std::size_t i = 0; i + 1 < digits.size(); i += 2) {
    bytes.push_back(static_cast<char>(std::stoi(digits.substr(i, 2), nullptr, 16)));
  }
  return bytes;
}

class Directory {
 public:
  Directory() {
    char made[] = "/dev/shm/tailrace-interop-XXXXXX";
    if (::mkdtemp(made) != nullptr) path_ = made;
  }
  ~Directory() {
    std::error_code ignored;
    if (!path_.empty()) fs::remove_all(path_, ignored);
  }
  Directory(const Directory&) = delete;
  Directory& operator=(const Directory&) = delete;
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  std::string path_;
};

// Reads lines until one holds `word`.
bool wait_for(ChildProcess& child, const std::string& word, std::string& words) {
  while (const std::optional<std::string> line = child.read_line(seconds(30))) {
    words += *line + "\n";
    if (line->find(word) != std::string::npos) return true;
  }
  return false;
}

class Run {
 public:
  Run(Reader reader, Delivery& out) : reader_(reader), out_(out) {}

  void operator()(const std::string& mode, const Environment& environment) {
    ASSERT_FALSE(directory_.path().empty()) << "cannot make a directory in /dev/shm";
    if (reader_ != Reader::python) {
      start_collector();
    } else {
      start_sink();
    }
    if (testing::Test::HasFatalFailure() || !out_.skipped.empty()) return;
    start_agent();
    if (testing::Test::HasFatalFailure()) return;
    record(mode, environment);
    if (testing::Test::HasFatalFailure()) return;
    wait_until_settled();
    out_.to_ns = now_ns();
    const int status = agent_->stop(seconds(20));
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << "the agent ended with " << status;
    destination_->stop(seconds(20));
    if (reader_ != Reader::python) {
      read_collector();
    } else {
      read_sink();
    }
  }

 private:
  void start_collector() {
    const Answer built = run(std::string("'") + TAILRACE_INTEROP_DIR + "/collector/build'");
    if (built.status == kUnavailable) {
      out_.skipped = built.last_line() +
                     "; with Go 1.25 or newer and a Go module proxy, or with TAILRACE_COLLECTOR "
                     "naming an OpenTelemetry Collector that has the OTLP receiver and the file "
                     "exporter, this test runs";
      return;
    }
    ASSERT_EQ(built.status, 0) << built.output;
    const std::string program = built.last_line();
    std::string words;
    for (int attempt = 0; attempt < 5; ++attempt) {  // the port may be taken before it listens
      port_ = free_port();
      const std::string config = directory_.path() + "/collector.yaml";
      std::ofstream(config) << "receivers: {otlp: {protocols: {grpc: {endpoint: \"127.0.0.1:" << port_ << "\"}}}}\n"
                            << "exporters:\n"
                            << "  file/traces: {path: " << directory_.path() << "/traces.bin, format: proto}\n"
                            << "  file/logs: {path: " << directory_.path() << "/logs.bin, format: proto}\n"
                            << "  file/metrics: {path: " << directory_.path() << "/metrics.bin, format: proto}\n"
                            << "service:\n"
                            << "  telemetry: {metrics: {level: none}}\n"
                            << "  pipelines:\n"
                            << "    traces: {receivers: [otlp], exporters: [file/traces]}\n"
                            << "    logs: {receivers: [otlp], exporters: [file/logs]}\n"
                            << "    metrics: {receivers: [otlp], exporters: [file/metrics]}\n";
      auto child = ChildProcess::start(program, {"--config", config}, Captured::standard_error);
      ASSERT_TRUE(child.ok()) << child.error().sentence;
      if (wait_for(*child, "Everything is ready", words)) {
        destination_.emplace(std::move(child).value());
        return;
      }
    }
    FAIL() << "the Collector does not start:\n" << words;
  }

  void start_sink() {
    const Answer venv = run(std::string("'") + TAILRACE_PROTO_TEST_DIR + "/python_venv.sh'");
    if (venv.status != 0) {
      out_.skipped = "no Python environment: " + venv.output +
                     "; with python3-venv and PyPI or a mirror of it, this "
                     "test runs";
      return;
    }
    python_ = venv.last_line();
    auto child =
        ChildProcess::start(TAILRACE_TEST_SINK, {"--dir", directory_.path() + "/requests"}, Captured::standard_output);
    ASSERT_TRUE(child.ok()) << child.error().sentence;
    const std::string line = child->read_line(seconds(30)).value_or("");
    ASSERT_EQ(line.rfind("PORT ", 0), 0U) << "the sink does not listen: " << line;
    port_ = std::stoi(line.substr(5));
    destination_.emplace(std::move(child).value());
  }

  void start_agent() {
    auto child =
        ChildProcess::start(TAILRACE_PROGRAM,
                            {"agent", "--dir", segments(), "--endpoint", "http://127.0.0.1:" + std::to_string(port_),
                             "--linger", "50", "--background-linger", "100"},
                            Captured::standard_error);
    ASSERT_TRUE(child.ok()) << child.error().sentence;
    std::string words;
    ASSERT_TRUE(wait_for(*child, "ready:", words)) << "the agent does not start:\n" << words;
    agent_.emplace(std::move(child).value());
  }

  void record(const std::string& mode, const Environment& environment) {
    out_.from_ns = now_ns();
    Environment all{{"TAILRACE_DIR", segments()}};
    all.insert(all.end(), environment.begin(), environment.end());
    auto recorder =
        ChildProcess::start(reader_ == Reader::collector_through_c ? TAILRACE_RECORDER_C : TAILRACE_RECORDER, {mode},
                            Captured::standard_output, all);
    ASSERT_TRUE(recorder.ok()) << recorder.error().sentence;
    out_.pid = recorder->pid();
    bool complete = false;
    while (const std::optional<std::string> line = recorder->read_line(seconds(60))) {
      std::istringstream in(*line);
      std::string what;
      in >> what;
      if (what == "WRITTEN") {
        in >> out_.written_spans >> out_.written_logs;
        complete = true;
        if (mode == "everything") {
          wait_until_attached();
          recorder->signal(SIGTERM);
        }
        continue;
      }
      std::string rest;
      std::getline(in >> std::ws, rest);
      if (what == "ID") {
        // The name may hold blanks, the ids do not.
        const std::size_t span = rest.rfind(' ');
        const std::size_t trace = rest.rfind(' ', span - 1);
        out_.ids[rest.substr(0, trace)] = {unhex(rest.substr(trace + 1, span - trace - 1)),
                                           unhex(rest.substr(span + 1))};
      } else if (what == "TIME") {
        const std::size_t blank = rest.rfind(' ');
        out_.times[rest.substr(0, blank)] = std::stoull(rest.substr(blank + 1));
      }
    }
    const int status = recorder->stop();
    ASSERT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << "the recorder ended with " << status;
    ASSERT_TRUE(complete) << "the recorder did not say how much it wrote";
  }

  void wait_until_attached() {
    const auto deadline = steady_clock::now() + seconds(60);
    while (steady_clock::now() < deadline) {
      const auto read = agent::read_status(segments() + "/agent/hold");
      if (read.ok() && !read->processes.empty()) return;
      std::this_thread::sleep_for(milliseconds(20));
    }
    ADD_FAILURE() << "the agent does not attach the recorder";
  }

  // Until nothing is pending and the recorder is known to be gone.
  void wait_until_settled() {
    const auto deadline = steady_clock::now() + seconds(60);
    for (;;) {
      auto read = agent::read_status(segments() + "/agent/hold");
      ASSERT_TRUE(read.ok()) << read.error().sentence;
      out_.status = std::move(read).value();
      bool settled = !out_.status.processes.empty();
      for (const agent::SignalLedger& row : out_.status.totals) settled = settled && row.pending() == 0;
      for (const agent::ProcessStatus& process : out_.status.processes) {
        settled = settled && (process.others || process.info.gone);
      }
      if (settled) return;
      ASSERT_LT(steady_clock::now(), deadline) << "the hold does not empty";
      // A pipe that nobody reads would stop the agent.
      while (const std::optional<std::string> line = agent_->read_line(milliseconds(0))) {
        std::fprintf(stderr, "  %s\n", line->c_str());
      }
      std::this_thread::sleep_for(milliseconds(20));
    }
  }

  // The file exporter writes each request behind its length, four bytes, the highest first.
  template <class Request>
  void read_framed(const std::string& path, std::vector<Request>& requests) {
    const std::string bytes = contents(path);
    for (std::size_t at = 0; at < bytes.size();) {
      ASSERT_GE(bytes.size() - at, 4U) << path << " ends within a length";
      std::size_t size = 0;
      for (int i = 0; i < 4; ++i) size = size << 8 | static_cast<unsigned char>(bytes[at++]);
      ASSERT_GE(bytes.size() - at, size) << path << " ends within a request";
      ASSERT_TRUE(requests.emplace_back().ParseFromArray(bytes.data() + at, static_cast<int>(size)));
      at += size;
    }
  }
  void read_collector() {
    read_framed(directory_.path() + "/traces.bin", out_.traces);
    read_framed(directory_.path() + "/logs.bin", out_.logs);
    read_framed(directory_.path() + "/metrics.bin", out_.metrics);
  }

  void read_sink() {
    for (const auto& entry : fs::directory_iterator(directory_.path() + "/requests")) {
      const std::string name = entry.path().filename();
      const std::string signal = name.substr(0, name.find('-'));
      const std::string again = directory_.path() + "/again.bin";
      const Answer answer = run("'" + python_ + "' '" + TAILRACE_PROTO_TEST_DIR + "/decode_with_python.py' " + signal +
                                " '" + entry.path().string() + "' --reserialized '" + again + "'");
      ASSERT_EQ(answer.status, 0) << answer.output;
      const std::string bytes = contents(again);
      const bool good = signal == "traces" ? out_.traces.emplace_back().ParseFromString(bytes)
                        : signal == "logs" ? out_.logs.emplace_back().ParseFromString(bytes)
                                           : out_.metrics.emplace_back().ParseFromString(bytes);
      ASSERT_TRUE(good) << name;
    }
  }

  [[nodiscard]] std::string segments() const { return directory_.path() + "/segments"; }

  Reader reader_;
  Delivery& out_;
  Directory directory_;
  int port_ = 0;
  std::string python_;
  std::optional<ChildProcess> destination_;
  std::optional<ChildProcess> agent_;
};

}  // namespace

Delivery deliver(Reader reader, const std::string& mode, const Environment& environment) {
  Delivery delivery;
  Run run(reader, delivery);
  run(mode, environment);
  return delivery;
}

}  // namespace tailrace::interop
