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
  auto* memory = static_cast<unsigned char*>(::mmap(nullptr, 2 * kRing, PROT_READ | PROT_WRITE,
                                                    MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0));
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
  std::vector<double> floor_ns;
  std::vector<double> drained;
  for (int round = 0; round < 4; ++round) {
    const std::vector<double> f = measure(floor_spans, bursts / 4);
    const std::vector<double> s = measure(spans, bursts / 4);
    floor_ns.insert(floor_ns.end(), f.begin(), f.end());
    drained.insert(drained.end(), s.begin(), s.end());
  }
  print("span drained, 3 attributes", drained, percentile(floor_ns, 0.5), 1.3);

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
