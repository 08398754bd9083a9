// SPDX-License-Identifier: Apache-2.0
//
// gRPC's own cost: CPU of a process that does nothing but send encoded requests to a sink in
// another process. The agent's rows of the target table are measured against it in the same run.
//
//   grpc_cost_bench --sink PROGRAM [--seconds S] [--request-bytes N] [--in-flight N] [--json]
//
// PROGRAM is tailrace_test_sink; it is started with --count-only, and ended, by this program.
// With two CPUs or more the sink runs on the last and everything here on the first. Two ways are
// measured, in turns:
//   plain   the generic stub with default channel options and one slice a request: what gRPC
//           itself costs
//   sender  GrpcSender with the request in 4 KiB pieces none of which follows another in memory:
//           the hold's pages at their worst
// The figure is process CPU (user and system, all threads) divided by spans; the kernel's half of
// loopback is in it, as it is in the agent's own.
#include <algorithm>
#include <array>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>
#include <mutex>
#include <optional>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <string>
#include <sys/wait.h>
#include <thread>
#include <time.h>
#include <unistd.h>
#include <vector>

#include "agent/export/grpc_sender.hpp"

extern "C" char** environ;

namespace {

using namespace tailrace::agent;
using Clock = std::chrono::steady_clock;

constexpr std::size_t kPieceBytes = 4096;
constexpr int kRounds = 5;

struct Arguments {
  std::string sink;
  double seconds = 1;  // of each round
  std::size_t request_bytes = 512 * 1024;
  unsigned in_flight = 2;
  bool json = false;
};

struct Sink {
  pid_t pid = -1;
  std::uint16_t port = 0;
};

std::optional<Sink> start_sink(const std::string& program) {
  std::array<int, 2> fds{};
  if (pipe(fds.data()) != 0) {
    return std::nullopt;
  }
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, fds[1], STDOUT_FILENO);
  posix_spawn_file_actions_addclose(&actions, fds[0]);
  posix_spawn_file_actions_addclose(&actions, fds[1]);
  std::string flag = "--count-only";
  std::string name = program;
  std::array<char*, 3> argv = {name.data(), flag.data(), nullptr};
  Sink sink;
  const int failed = posix_spawn(&sink.pid, program.c_str(), &actions, nullptr, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  close(fds[1]);
  std::array<char, 64> line{};
  const ssize_t size = failed == 0 ? read(fds[0], line.data(), line.size() - 1) : -1;
  // The pipe stays open: the sink prints its counts into it when it ends.
  if (size <= 0 || std::strncmp(line.data(), "PORT ", 5) != 0) {
    return std::nullopt;
  }
  sink.port = static_cast<std::uint16_t>(std::strtoul(line.data() + 5, nullptr, 10));
  return sink;
}

void pin(pid_t pid, int cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(static_cast<std::size_t>(cpu), &set);
  static_cast<void>(sched_setaffinity(pid, sizeof(set), &set));
}

double process_cpu_seconds() {
  timespec now{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

// The sink does not decode it; only the size matters.
std::string make_request(std::size_t bytes) {
  std::string request(bytes, '\0');
  for (std::size_t i = 0; i < bytes; ++i) {
    request[i] = static_cast<char>(i * 131 >> 3);
  }
  return request;
}

struct Cost {
  double cpu_seconds = 0;
  double wall_seconds = 0;
  std::uint64_t bytes = 0;
  std::uint64_t failures = 0;
  [[nodiscard]] double ns_per(std::size_t span_bytes) const {
    return bytes == 0 ? 0 : cpu_seconds * 1e9 / (static_cast<double>(bytes) / static_cast<double>(span_bytes));
  }
};

Cost run_plain(std::uint16_t port, const std::string& request, const Arguments& arguments) {
  struct Call {
    grpc::ClientContext context;
    grpc::ByteBuffer response;
    grpc::Status status;
    std::unique_ptr<grpc::GenericClientAsyncResponseReader> reader;
  };
  const auto channel =
      grpc::CreateChannel("ipv4:127.0.0.1:" + std::to_string(port), grpc::InsecureChannelCredentials());
  grpc::GenericStub stub(channel);
  grpc::CompletionQueue queue;
  const std::string method = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
  const auto start = [&] {
    auto* call = new Call;
    grpc::Slice slice(request.data(), request.size(), grpc::Slice::STATIC_SLICE);
    call->reader = stub.PrepareUnaryCall(&call->context, method, grpc::ByteBuffer(&slice, 1), &queue);
    call->reader->StartCall();
    call->reader->Finish(&call->response, &call->status, call);
  };
  Cost cost;
  const double cpu_before = process_cpu_seconds();
  const auto began = Clock::now();
  const auto ends = began + std::chrono::duration<double>(arguments.seconds);
  unsigned under_way = 0;
  for (; under_way < arguments.in_flight; ++under_way) {
    start();
  }
  void* tag = nullptr;
  bool ok = false;
  while (under_way > 0 && queue.Next(&tag, &ok)) {
    const std::unique_ptr<Call> call(static_cast<Call*>(tag));
    cost.bytes += call->status.ok() ? request.size() : 0;
    cost.failures += call->status.ok() ? 0u : 1u;
    if (Clock::now() < ends) {
      start();
    } else {
      --under_way;
    }
  }
  cost.cpu_seconds = process_cpu_seconds() - cpu_before;
  cost.wall_seconds = std::chrono::duration<double>(Clock::now() - began).count();
  queue.Shutdown();
  while (queue.Next(&tag, &ok)) {}
  return cost;
}

Cost run_sender(std::uint16_t port, const std::string& bytes, const Arguments& arguments) {
  Request request;
  request.records = 1;
  for (std::size_t at = 0; at < bytes.size(); at += kPieceBytes) {
    request.pieces.push_back({bytes.data() + at, std::min(kPieceBytes, bytes.size() - at)});
  }
  std::reverse(request.pieces.begin(), request.pieces.end());
  std::mutex mutex;
  std::condition_variable done;
  unsigned under_way = arguments.in_flight;
  Cost cost;
  SenderOptions options;
  options.request_bytes_max = kRequestBytesCeiling;
  options.in_flight_max = arguments.in_flight + 1;
  Endpoint endpoint;
  endpoint.host = "127.0.0.1";
  endpoint.port = port;

  GrpcSender* sender_of_callback = nullptr;
  const double cpu_before = process_cpu_seconds();
  const auto began = Clock::now();
  const auto ends = began + std::chrono::duration<double>(arguments.seconds);
  GrpcSender sender(destination_to(endpoint), options,
                    [&](std::uint64_t, const Answer& answer, std::chrono::nanoseconds) {
                      const bool delivered = answer.kind == AnswerKind::delivered;
                      const std::lock_guard lock(mutex);
                      cost.bytes += delivered ? bytes.size() : 0;
                      cost.failures += delivered ? 0u : 1u;
                      if (Clock::now() >= ends || !sender_of_callback->send(request).ok()) {
                        --under_way;
                        done.notify_all();
                      }
                    });
  std::unique_lock lock(mutex);
  sender_of_callback = &sender;
  for (unsigned i = 0; i < arguments.in_flight; ++i) {
    if (!sender.send(request).ok()) {
      --under_way;
    }
  }
  done.wait(lock, [&] { return under_way == 0; });
  cost.cpu_seconds = process_cpu_seconds() - cpu_before;
  cost.wall_seconds = std::chrono::duration<double>(Clock::now() - began).count();
  return cost;
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

}  // namespace

int main(int argc, char** argv) {
  Arguments arguments;
  for (int i = 1; i < argc; ++i) {
    const std::string name = argv[i];
    const char* const value = i + 1 < argc ? argv[i + 1] : nullptr;
    if (name == "--json") {
      arguments.json = true;
    } else if (value != nullptr && name == "--sink") {
      arguments.sink = argv[++i];
    } else if (value != nullptr && name == "--seconds") {
      arguments.seconds = std::atof(argv[++i]);
    } else if (value != nullptr && name == "--request-bytes") {
      arguments.request_bytes = std::strtoul(argv[++i], nullptr, 10);
    } else if (value != nullptr && name == "--in-flight") {
      arguments.in_flight = static_cast<unsigned>(std::strtoul(argv[++i], nullptr, 10));
    } else {
      std::fprintf(stderr, "grpc_cost_bench: unknown argument %s\n", name.c_str());
      return 2;
    }
  }
  const auto sink = start_sink(arguments.sink);
  if (!sink) {
    std::fprintf(stderr, "grpc_cost_bench: cannot start the sink \"%s\"; give --sink PATH/tailrace_test_sink\n",
                 arguments.sink.c_str());
    return 1;
  }
  const int cpus = static_cast<int>(std::thread::hardware_concurrency());
  if (cpus > 1) {
    pin(sink->pid, cpus - 1);
    pin(0, 0);
  }

  const std::string request = make_request(arguments.request_bytes);
  std::vector<double> plain_wide, plain_small, sender_wide, sender_small, plain_rate, sender_rate;
  std::uint64_t failures = 0;
  static_cast<void>(run_plain(sink->port, request, arguments));  // first touch of both sides
  for (int round = 0; round < kRounds; ++round) {
    const Cost plain = run_plain(sink->port, request, arguments);
    const Cost sender = run_sender(sink->port, request, arguments);
    failures += plain.failures + sender.failures;
    plain_wide.push_back(plain.ns_per(800));
    plain_small.push_back(plain.ns_per(200));
    sender_wide.push_back(sender.ns_per(800));
    sender_small.push_back(sender.ns_per(200));
    plain_rate.push_back(static_cast<double>(plain.bytes) / plain.wall_seconds / 1e6);
    sender_rate.push_back(static_cast<double>(sender.bytes) / sender.wall_seconds / 1e6);
  }
  kill(sink->pid, SIGTERM);
  waitpid(sink->pid, nullptr, 0);

  if (arguments.json) {
    std::printf(
        "{\"grpc_ns_per_800_bytes\":%.1f,\"grpc_ns_per_200_bytes\":%.1f,"
        "\"sender_ns_per_800_bytes\":%.1f,\"sender_ns_per_200_bytes\":%.1f,\"failures\":%llu}\n",
        median(plain_wide), median(plain_small), median(sender_wide), median(sender_small),
        static_cast<unsigned long long>(failures));
  } else {
    std::printf("%-8s %22s %22s %10s   (CPU, median of %d rounds of %.1f s, requests of %zu bytes)\n", "way",
                "ns per 800-byte span", "ns per 200-byte span", "MB/s", kRounds, arguments.seconds,
                arguments.request_bytes);
    std::printf("%-8s %22.1f %22.1f %10.0f\n", "plain", median(plain_wide), median(plain_small), median(plain_rate));
    std::printf("%-8s %22.1f %22.1f %10.0f\n", "sender", median(sender_wide), median(sender_small),
                median(sender_rate));
    std::printf("requests not delivered: %llu\n", static_cast<unsigned long long>(failures));
  }
  return failures == 0 ? 0 : 1;
}
