// SPDX-License-Identifier: Apache-2.0
// The shim's calls against the floor, in one program: undrained bursts below half a ring, one after
// another in rotating order, the space given back between them by a stand-in for the agent.
//
// A burst counts only if a pure-arithmetic calibrator ran equally fast before and after it. Output: one
// line a row: name, nanoseconds (median), ratio to its floor, p10 and p90 of the bursts.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include <fcntl.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <tailrace/tailrace.hpp>

#include "floor.hpp"
#include "stand_in.hpp"

namespace {

using namespace tailrace::literals;
namespace shm = tailrace::shm;

using tailrace::bench::StandIn;

std::uint64_t now_ns() { return shm::monotonic_ns(); }

// Arithmetic alone: the same on every core, slower when a sibling is busy.
[[gnu::noinline]] std::uint64_t calibrate() {
  const std::uint64_t start = shm::cpu_counter();
  std::uint64_t x = 1;
  for (int i = 0; i < 2000; ++i) {
    x = x * 6364136223846793005ull + 1442695040888963407ull;
    asm volatile("" : "+r"(x));
  }
  return shm::cpu_counter() - start;
}

struct Row {
  const char* name;
  const char* floor;  // name of the row it is measured against
  void (*burst)(int n);
  void (*before)();
  int n;
  double target;  // ratio, or nanoseconds where there is no floor
  std::vector<double> ns;
};

StandIn* agent;
tailrace::bench::Floor* floor_ring;
volatile int sink_int = 42;
volatile double sink_double = 2.5;
const char* text = "GET /index";
std::string key_a = "http.request.size", key_b = "duration", key_c = "cached", span_name = "handle request";

void floor_span(int n) {
  for (int i = 0; i < n; ++i) floor_ring->span(static_cast<std::uint64_t>(sink_int), sink_double, true);
}
void span(int n) {
  for (int i = 0; i < n; ++i) {
    auto s = tailrace::span("handle request"_n);
    s.set("http.request.size"_n, int{sink_int});
    s.set("duration"_n, double{sink_double});
    s.set("cached"_n, true);
  }
}
void span_literals(int n) {
  for (int i = 0; i < n; ++i) {
    auto s = tailrace::span("handle request");
    s.set("http.request.size", int{sink_int});
    s.set("duration", double{sink_double});
    s.set("cached", true);
  }
}
void span_strings(int n) {
  for (int i = 0; i < n; ++i) {
    auto s = tailrace::span(span_name);
    s.set(key_a, int{sink_int});
    s.set(key_b, double{sink_double});
    s.set(key_c, true);
  }
}
void span_four(int n) {
  for (int i = 0; i < n; ++i) {
    auto s = tailrace::span("handle request"_n);
    s.set("http.request.size"_n, int{sink_int});
    s.set("duration"_n, double{sink_double});
    s.set("cached"_n, true);
    s.set("status"_n, int{sink_int});
  }
}
void span_string32(int n) {
  static const std::string value(32, 'x');
  for (int i = 0; i < n; ++i) {
    auto s = tailrace::span("handle request"_n);
    s.set("http.request.size"_n, int{sink_int});
    s.set("duration"_n, double{sink_double});
    s.set("cached"_n, true);
    s.set("path"_n, value);
  }
}
void floor_log(int n) {
  const char* t = text;
  const std::size_t length = std::strlen(t);
  for (int i = 0; i < n; ++i) {
    asm volatile("" : "+r"(t));
    floor_ring->log(t, length, static_cast<std::uint64_t>(sink_int), sink_double);
  }
}
void log(int n) {
  std::string_view t(text);
  for (int i = 0; i < n; ++i) {
    asm volatile("" : "+m"(t));
    tailrace::info("request {} took {} for {}"_n, t, int{sink_int}, double{sink_double});
  }
}
void counter(int n) {
  std::uint64_t x = 0;
  for (int i = 0; i < n; ++i) x += shm::cpu_counter();
  asm volatile("" : : "r"(x));
}
void nothing() {}
void drop_everything() {
  agent->control->hot.trace_threshold.store(1ull << 56);
}
void switch_off() { agent->control->hot.disable_mask.store(7); }
void normal() {
  agent->control->hot.trace_threshold.store(0);
  agent->control->hot.disable_mask.store(0);
  agent->give_back();
}
void fill() {
  normal();
  for (int i = 0; i < 6000; ++i) log(1);
  for (int i = 0; i < 6000; ++i) span(1);
}

double percentile(std::vector<double> v, double p) {
  if (v.empty()) return 0;
  std::sort(v.begin(), v.end());
  return v[static_cast<std::size_t>(p * static_cast<double>(v.size() - 1))];
}

}  // namespace

int main(int argc, char** argv) {
  const int rounds = argc > 1 ? std::atoi(argv[1]) : 600;
  tailrace::Config config;
  config.service = "bench";
  const tailrace::Outcome outcome = tailrace::init(config);
  if (!outcome) return 1;
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(static_cast<std::size_t>(sched_getcpu()), &set);
  sched_setaffinity(0, sizeof set, &set);
  tailrace::attach_thread("bench");
  StandIn a;
  agent = &a;

  // The floor's ring is of the same kind: shared pages of a tmpfs, touched before.
  const std::size_t bytes = 256 * 1024 + 16 * 1024;
  const int fd = memfd_create("floor", MFD_CLOEXEC);
  if (ftruncate(fd, static_cast<off_t>(bytes + 4096)) != 0) return 1;
  auto* ring = static_cast<unsigned char*>(mmap(nullptr, bytes + 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, 0));
  std::memset(ring, 0, bytes);
  tailrace::bench::Floor floor(ring, 256 * 1024, reinterpret_cast<std::atomic<std::uint64_t>*>(ring + bytes));
  floor_ring = &floor;

  Row rows[] = {
      {"counter read", nullptr, counter, nothing, 1000, 0, {}},
      {"floor: span", nullptr, floor_span, nothing, 1000, 0, {}},
      {"span, 3 attributes", "floor: span", span, normal, 1000, 1.15, {}},
      {"span, plain literals", "floor: span", span_literals, normal, 1000, 1.2, {}},
      {"span, run-time strings", "floor: span", span_strings, normal, 1000, 1.4, {}},
      {"span, 4 attributes", "floor: span", span_four, normal, 900, 0, {}},
      {"span, 3 and a 32-byte string", "floor: span", span_string32, normal, 800, 0, {}},
      {"floor: log", nullptr, floor_log, nothing, 1000, 0, {}},
      {"log, 3 arguments", "floor: log", log, normal, 1000, 1.05, {}},
      {"span not sampled", nullptr, span, drop_everything, 1000, 3.0, {}},
      {"span switched off", nullptr, span, switch_off, 1000, 0.8, {}},
      {"log switched off", nullptr, log, switch_off, 1000, 0.8, {}},
      {"span, lane full", nullptr, span, fill, 1000, 0, {}},
      {"log, lane full", nullptr, log, fill, 1000, 5.0, {}},
  };
  constexpr std::size_t kRows = sizeof rows / sizeof rows[0];
  for (Row& row : rows) {
    row.before();
    row.burst(row.n);
    normal();
  }
  std::uint64_t fastest = ~0ull;
  for (int i = 0; i < 2000; ++i) fastest = std::min(fastest, calibrate());
  std::uint64_t dropped_bursts = 0;
  for (int round = 0; round < rounds; ++round) {
    for (std::size_t k = 0; k < kRows; ++k) {
      Row& row = rows[(k + static_cast<std::size_t>(round)) % kRows];
      row.before();
      row.burst(64);
      const std::uint64_t c0 = calibrate();
      const std::uint64_t t0 = now_ns();
      row.burst(row.n);
      const std::uint64_t t1 = now_ns();
      const std::uint64_t c1 = calibrate();
      normal();
      if (c0 > fastest + fastest / 10 || c1 > fastest + fastest / 10) {
        ++dropped_bursts;
        continue;
      }
      row.ns.push_back(static_cast<double>(t1 - t0) / row.n);
    }
  }
  std::printf("%-30s %8s %8s %8s %8s %8s\n", "", "ns", "ratio", "target", "p10", "p90");
  for (const Row& row : rows) {
    double base = 0;
    for (const Row& other : rows) {
      if (row.floor != nullptr && std::strcmp(other.name, row.floor) == 0) base = percentile(other.ns, 0.5);
    }
    const double ns = percentile(row.ns, 0.5);
    std::printf("%-30s %8.2f", row.name, ns);
    if (base > 0) std::printf(" %8.3f", ns / base);
    else std::printf(" %8s", "");
    if (row.target > 0) std::printf(" %8.2f", row.target);
    else std::printf(" %8s", "");
    std::printf(" %8.2f %8.2f\n", percentile(row.ns, 0.1), percentile(row.ns, 0.9));
  }
  const tailrace::Stats stats = tailrace::stats();
  std::printf("bursts left out: %lu; spans written %lu, logs written %lu\n", dropped_bursts, stats.written[0], stats.written[1]);
  return 0;
}
