// SPDX-License-Identifier: Apache-2.0
// The same span beside a drainer and beside a second recording thread. The floor is measured in the same way in
// between: its ring is drained and contended for like the shim's lane.
//
// The drainer looks every 100 µs: one that polls hard measures the line transfer between cores, not the shim.
#include <sched.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <thread>
#include <vector>

#include <tailrace/shm/clock.hpp>
#include <tailrace/tailrace.hpp>

#include "floor.hpp"
#include "stand_in.hpp"

namespace {

using namespace tailrace::literals;
using tailrace::bench::Floor;
using tailrace::bench::StandIn;

constexpr int kBurst = 500;

volatile int some_int = 42;
volatile double some_double = 2.5;

void spans(int n) {
  for (int i = 0; i < n; ++i) {
    auto s = tailrace::span("handle request"_n);
    s.set("http.request.size"_n, int{some_int});
    s.set("duration"_n, double{some_double});
    s.set("cached"_n, true);
  }
}

void logs(int n) {
  for (int i = 0; i < n; ++i) {
    tailrace::info("request {} took {} for {}"_n, std::string_view("GET /index"), int{some_int}, double{some_double});
  }
}

double percentile(std::vector<double> v, double p) {
  std::sort(v.begin(), v.end());
  return v.empty() ? 0 : v[static_cast<std::size_t>(p * static_cast<double>(v.size() - 1))];
}

void pin(int core) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(static_cast<std::size_t>(core), &set);
  ::sched_setaffinity(0, sizeof set, &set);
}

// Nanoseconds each of `bursts` bursts took for one operation; paced, so that a drainer keeps up.
std::vector<double> measure(const std::function<void(int)>& burst, int bursts) {
  std::vector<double> ns;
  for (int i = 0; i < bursts; ++i) {
    const std::uint64_t before = tailrace::shm::monotonic_ns();
    burst(kBurst);
    ns.push_back(static_cast<double>(tailrace::shm::monotonic_ns() - before) / kBurst);
    ::usleep(300);
  }
  return ns;
}

// Single operations between fences, less what the fences and the clock cost.
std::uint64_t fenced_counter() {
#if defined(__x86_64__)
  __builtin_ia32_lfence();
  const std::uint64_t now = tailrace::shm::cpu_counter();
  __builtin_ia32_lfence();
  return now;
#else
  return tailrace::shm::cpu_counter();
#endif
}
template <class Operation>
void measure_single(Operation&& operation, int count, std::vector<double>& ticks) {
  for (int i = 0; i < count; ++i) {
    const std::uint64_t start = fenced_counter();
    const std::uint64_t empty = fenced_counter();
    operation();
    const std::uint64_t end = fenced_counter();
    const std::uint64_t cost = empty - start;
    ticks.push_back(static_cast<double>(end - empty > cost ? end - empty - cost : 0));
    if (i % 200 == 199) ::usleep(150);
  }
}
double ns_of_a_tick() {
  const std::uint64_t ns = tailrace::shm::monotonic_ns();
  const std::uint64_t ticks = tailrace::shm::cpu_counter();
  ::usleep(50'000);
  return static_cast<double>(tailrace::shm::monotonic_ns() - ns) /
         static_cast<double>(tailrace::shm::cpu_counter() - ticks);
}

void print(const char* name, const std::vector<double>& ns, double base, double target) {
  std::printf("%-30s %8.2f %8.3f %8.2f %8.2f %8.2f\n", name, percentile(ns, 0.5), percentile(ns, 0.5) / base, target,
              percentile(ns, 0.1), percentile(ns, 0.9));
}

}  // namespace

int main(int argc, char** argv) {
  const int bursts = argc > 1 ? std::atoi(argv[1]) : 2000;
  tailrace::Config config;
  config.service = "bench";
  config.ring_bytes = 1 << 20;
  if (!tailrace::init(config).ok()) return 1;
  pin(0);
  tailrace::attach_thread("first");
  StandIn agent;

  constexpr std::size_t kRing = 256 * 1024;
  auto* memory = static_cast<unsigned char*>(
      ::mmap(nullptr, 2 * kRing, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0));
  Floor floor(memory, kRing, reinterpret_cast<std::atomic<std::uint64_t>*>(memory + kRing + 32 * 1024));
  const auto floor_spans = [&floor](int n) {
    for (int i = 0; i < n; ++i) floor.span(static_cast<std::uint64_t>(some_int), some_double, true);
  };
  std::printf("%-30s %8s %8s %8s %8s %8s\n", "", "ns", "ratio", "target", "p10", "p90");

  // One thread, drained from the other core; the floor between.
  std::thread drained_side([&agent] {
    pin(1);
    agent.start_draining(2, std::chrono::microseconds(100));
  });
  drained_side.join();
  const auto floor_logs = [&floor](int n) {
    for (int i = 0; i < n; ++i) floor.log("GET /index", 10, static_cast<std::uint64_t>(some_int), some_double);
  };
  std::vector<double> floor_ns, drained, floor_log_ns, drained_logs;
  const auto append = [](std::vector<double>& to, const std::vector<double>& more) {
    to.insert(to.end(), more.begin(), more.end());
  };
  for (int round = 0; round < 4; ++round) {
    append(floor_ns, measure(floor_spans, bursts / 4));
    append(drained, measure(spans, bursts / 4));
    append(floor_log_ns, measure(floor_logs, bursts / 4));
    append(drained_logs, measure(logs, bursts / 4));
  }
  print("span drained, 3 attributes", drained, percentile(floor_ns, 0.5), 1.3);
  print("log drained, 3 arguments", drained_logs, percentile(floor_log_ns, 0.5), 1.2);

  // The tail of single spans, beside the floor's own.
  std::vector<double> floor_single, single;
  for (int round = 0; round < bursts / 20; ++round) {
    measure_single([&] { floor_spans(1); }, 1000, floor_single);
    measure_single([] { spans(1); }, 1000, single);
  }
  const double tick = ns_of_a_tick();
  for (double& t : single) t *= tick;
  for (double& t : floor_single) t *= tick;
  std::printf("%-30s %8.2f %8.3f %8.2f %8.2f %8.2f\n", "span drained, p99.9 of single", percentile(single, 0.999),
              percentile(single, 0.999) / percentile(floor_single, 0.999), 2.0, percentile(single, 0.5),
              percentile(floor_single, 0.5));

  // Two threads that record on their own cores, against one that records while the other core computes.
  std::atomic<bool> stop{false};
  std::vector<double> alone;
  std::vector<double> both;
  for (int round = 0; round < 4; ++round) {
    for (const bool recording : {false, true}) {
      stop.store(false);
      std::thread other([recording, &stop] {
        pin(1);
        if (recording) tailrace::attach_thread("second");
        std::uint64_t x = 1;
        while (!stop.load(std::memory_order_relaxed)) {
          if (recording) {
            spans(kBurst);
          } else {
            for (int i = 0; i < 10'000; ++i) x = x * 6364136223846793005ull + 1;
            asm volatile("" : "+r"(x));
          }
          ::usleep(300);
        }
      });
      const std::vector<double> ns = measure(spans, bursts / 4);
      stop.store(true);
      other.join();
      auto& into = recording ? both : alone;
      into.insert(into.end(), ns.begin(), ns.end());
    }
  }
  print("span from two threads", both, percentile(alone, 0.5), 1.1);
  agent.stop_draining();
  return 0;
}
