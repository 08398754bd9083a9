// SPDX-License-Identifier: Apache-2.0
//
// tailrace_test_sink: an OTLP/gRPC receiver on loopback as a program of its own, so that fault
// tests can kill, stop and restart the destination of a whole pipeline.
//
// Prints "PORT n" when it listens. Ends on SIGTERM or SIGINT with one line a signal:
//   traces requests 3 bytes 4096 records 17 accepted 17
// `accepted` leaves out requests that were answered with an error and records that were rejected.
#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <signal.h>
#include <string>
#include <system_error>
#include <unistd.h>

#include <CLI/CLI.hpp>

#include "tests/agent/export/sink.hpp"

namespace {

using namespace tailrace::agent;
using tailrace::agent::testing::Sink;
using tailrace::agent::testing::SinkReply;
using tailrace::agent::testing::SinkRequest;

struct Arguments {
  std::uint16_t port = 0;
  std::string dir;
  bool count_only = false;
  int status = 0;
  std::string message;
  std::int64_t retry_info_ms = -1;
  std::int64_t delay_ms = 0;
  std::int64_t partial = 0;
  std::uint64_t first = 0;
};

// A reader sees each request whole or not at all: written aside, then renamed.
bool store(const std::string& dir, const SinkRequest& request) {
  const std::string name = std::string(signal_name(*request.signal)) + "-" + std::to_string(request.number) + ".bin";
  const std::filesystem::path aside = std::filesystem::path(dir) / ("." + name + ".part");
  {
    std::ofstream out(aside, std::ios::binary | std::ios::trunc);
    out.write(request.bytes.data(), static_cast<std::streamsize>(request.bytes.size()));
    if (!out.flush()) {
      return false;
    }
  }
  std::error_code error;
  std::filesystem::rename(aside, std::filesystem::path(dir) / name, error);
  return !error;
}

class Answers {
 public:
  explicit Answers(const Arguments& arguments) : arguments_(arguments) {}

  // Runs under the sink's own lock.
  SinkReply operator()(const SinkRequest& request) {
    SinkReply reply;
    const std::uint64_t records = testing::count_records(request.bytes).value_or(0);
    const bool told = arguments_.first == 0 || ++answered_ <= arguments_.first;
    if (told) {
      reply.delay = std::chrono::milliseconds(arguments_.delay_ms);
      reply.code = arguments_.status;
      reply.message = arguments_.message;
      if (reply.code != 0 && arguments_.retry_info_ms >= 0) {
        reply.details = testing::encode_retry_info(reply.code, std::chrono::milliseconds(arguments_.retry_info_ms));
      }
    }
    if (reply.code != 0) {
      return reply;
    }
    if (!arguments_.dir.empty() && !store(arguments_.dir, request)) {
      reply.code = grpc::StatusCode::UNAVAILABLE;
      reply.message = "cannot write to " + arguments_.dir;
      return reply;
    }
    std::uint64_t rejected = 0;
    if (told && (arguments_.partial > 0 || !arguments_.message.empty())) {
      rejected = std::min(static_cast<std::uint64_t>(arguments_.partial), records);
      reply.response = testing::encode_partial_success(static_cast<std::int64_t>(rejected), arguments_.message);
    }
    accepted_[index_of(*request.signal)] += records - rejected;
    return reply;
  }

  [[nodiscard]] std::uint64_t accepted(Signal signal) const { return accepted_[index_of(signal)]; }

 private:
  const Arguments& arguments_;
  std::uint64_t answered_ = 0;
  std::array<std::uint64_t, kSignals> accepted_{};
};

}  // namespace

int main(int argc, char** argv) {
  Arguments arguments;
  CLI::App app("An OTLP/gRPC receiver for tests");
  app.add_option("--port", arguments.port, "listen here instead of on a free port");
  auto* dir =
      app.add_option("--dir", arguments.dir, "store each accepted request as <signal>-<n>.bin before it is answered");
  app.add_flag("--count-only", arguments.count_only, "only count requests and bytes")->excludes(dir);
  app.add_option("--status", arguments.status, "answer with this gRPC status code");
  app.add_option("--message", arguments.message, "the status message, or the warning of a success");
  app.add_option("--retry-info", arguments.retry_info_ms, "send RetryInfo with this many milliseconds");
  app.add_option("--delay", arguments.delay_ms, "wait so many milliseconds before each answer");
  app.add_option("--partial", arguments.partial, "reject so many records of each request");
  app.add_option("--first", arguments.first, "do all of this to the first N requests only, then accept");
  CLI11_PARSE(app, argc, argv);

  if (!arguments.dir.empty()) {
    std::error_code error;
    std::filesystem::create_directories(arguments.dir, error);
  }
  // Blocked before any thread starts, so that only sigwait() below takes them.
  sigset_t stop_signals;
  sigemptyset(&stop_signals);
  sigaddset(&stop_signals, SIGTERM);
  sigaddset(&stop_signals, SIGINT);
  pthread_sigmask(SIG_BLOCK, &stop_signals, nullptr);

  Answers answers(arguments);
  testing::SinkOptions options;
  options.port = arguments.port;
  options.count_only = arguments.count_only;
  options.script = [&answers](const SinkRequest& request) { return answers(request); };
  Sink sink(std::move(options));
  if (sink.port() == 0) {
    std::fprintf(stderr, "tailrace_test_sink: cannot listen on 127.0.0.1:%u\n", arguments.port);
    return 1;
  }
  std::printf("PORT %u\n", sink.port());
  std::fflush(stdout);

  int signal_number = 0;
  sigwait(&stop_signals, &signal_number);
  sink.stop();
  for (const Signal signal : kEachSignal) {
    const auto counts = sink.counts(signal);
    std::printf("%s requests %llu bytes %llu records %llu accepted %llu\n", std::string(signal_name(signal)).c_str(),
                static_cast<unsigned long long>(counts.requests), static_cast<unsigned long long>(counts.bytes),
                static_cast<unsigned long long>(counts.records),
                static_cast<unsigned long long>(answers.accepted(signal)));
  }
  return 0;
}
