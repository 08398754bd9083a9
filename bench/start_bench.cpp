// SPDX-License-Identifier: Apache-2.0
// What starting costs: init() of a process, the first record of a thread that gets a fresh lane, and of one that
// takes over a lane. Each is measured once in its thread or process, many times over; the median is printed.
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

#include <tailrace/shm/clock.hpp>
#include <tailrace/tailrace.hpp>

// Every allocation of this program.
static std::atomic<std::uint64_t> allocations{0};
extern "C" void* __libc_malloc(std::size_t);
extern "C" void* malloc(std::size_t n) {
  allocations.fetch_add(1, std::memory_order_relaxed);
  return __libc_malloc(n);
}

namespace {

using namespace tailrace::literals;

double percentile(std::vector<std::uint64_t> values, double p) {
  std::sort(values.begin(), values.end());
  return values.empty()
             ? 0
             : static_cast<double>(values[static_cast<std::size_t>(p * static_cast<double>(values.size() - 1))]);
}

void print(const char* name, const std::vector<std::uint64_t>& ns, double target_ns) {
  std::printf("%-30s %8.0f %8s %8.0f %8.0f %8.0f\n", name, percentile(ns, 0.5), "", target_ns, percentile(ns, 0.1),
              percentile(ns, 0.9));
}

std::uint64_t timed_init() {
  tailrace::Config config;
  config.service = "bench";
  const std::uint64_t before = tailrace::shm::monotonic_ns();
  const bool ok = tailrace::init(config).ok();
  const std::uint64_t after = tailrace::shm::monotonic_ns();
  if (!ok) std::exit(1);
  return after - before;
}

// init() is once a process: children that exec this program again.
std::vector<std::uint64_t> inits(const char* program, int count) {
  std::vector<std::uint64_t> ns;
  for (int i = 0; i < count; ++i) {
    const std::string command = std::string(program) + " init";
    FILE* child = ::popen(command.c_str(), "r");
    unsigned long long value = 0;
    if (child != nullptr && std::fscanf(child, "%llu", &value) == 1) ns.push_back(value);
    if (child != nullptr) ::pclose(child);
  }
  return ns;
}

std::uint64_t first_record() {
  const std::uint64_t before = tailrace::shm::monotonic_ns();
  tailrace::info("first record of a thread"_n);
  return tailrace::shm::monotonic_ns() - before;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc > 1 && std::string(argv[1]) == "init") {
    std::printf("%llu\n", static_cast<unsigned long long>(timed_init()));
    return 0;
  }
  std::printf("%-30s %8s %8s %8s %8s %8s\n", "", "ns", "ratio", "target", "p10", "p90");
  print("process init", inits(argv[0], 40), 300'000);
  timed_init();
  tailrace::info("first record of a thread"_n);  // interned, by the main thread

  // Threads that all live until the last has recorded: each gets a lane that nobody had.
  std::vector<std::uint64_t> fresh(100);
  std::atomic<bool> leave{false};
  std::vector<std::thread> threads;
  for (std::uint64_t& ns : fresh) {
    std::atomic<bool> done{false};
    threads.emplace_back([&ns, &done, &leave] {
      ns = first_record();
      done.store(true);
      while (!leave.load()) ::usleep(1000);
    });
    while (!done.load()) ::usleep(50);
  }
  leave.store(true);
  for (std::thread& thread : threads) thread.join();
  print("first record, fresh lane", fresh, 200'000);

  std::vector<std::uint64_t> recycled(200);
  for (std::uint64_t& ns : recycled) std::thread([&ns] { ns = first_record(); }).join();
  print("first record, recycled lane", recycled, 1'000);

  static const auto counter = tailrace::counter<std::uint64_t>("requests");
  const auto record = [](int i) {
    auto span = tailrace::span("request"_n);
    span.set("item"_n, i);
    span.set("path", "/index.html");
    span.event("taken"_n);
    tailrace::info("request {}", i);
    counter.add(1, {{"path", "/index.html"}});
  };
  record(0);
  const std::uint64_t before = allocations.load();
  for (int i = 0; i < 1000; ++i) record(i);
  std::printf("allocations after the first record %llu\n",
              static_cast<unsigned long long>(allocations.load() - before));
  return 0;
}
