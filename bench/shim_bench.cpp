// SPDX-License-Identifier: Apache-2.0
// The shim's calls against the floor, in one program: undrained bursts below half a ring, one after
// another in rotating order, the space given back between them by a stand-in for the agent.
//
// A burst counts only if a pure-arithmetic calibrator ran equally fast before and after it. Output: one
// line a row: name, nanoseconds (median), ratio to its floor, p10 and p90 of the bursts.
//
// tailrace_shim_bench [ROUNDS]           the times
// tailrace_shim_bench --list             the operations' names
// tailrace_shim_bench --run NAME N       one operation N times and no more: for counting its instructions
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

#include "operations.hpp"

namespace {

namespace shm = tailrace::shm;

using namespace tailrace::bench;

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

double percentile(std::vector<double> v, double p) {
  if (v.empty()) return 0;
  std::sort(v.begin(), v.end());
  return v[static_cast<std::size_t>(p * static_cast<double>(v.size() - 1))];
}

// Rings of the same kind as a lane's: shared pages of a tmpfs, touched before.
unsigned char* make_pages(const char* name, std::size_t bytes) {
  const int fd = memfd_create(name, MFD_CLOEXEC);
  if (fd < 0 || ftruncate(fd, static_cast<off_t>(bytes)) != 0) return nullptr;
  void* pages = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, 0);
  close(fd);
  if (pages == MAP_FAILED) return nullptr;
  return static_cast<unsigned char*>(std::memset(pages, 0, bytes));
}

struct Row {
  const Operation* operation;
  std::vector<double> ns;
};

void measure(int rounds) {
  std::vector<Row> rows;
  for (const Operation& operation : operations) rows.push_back({&operation, {}});
  for (const Row& row : rows) {
    row.operation->before();
    row.operation->burst(row.operation->n);
    normal();
  }
  std::uint64_t fastest = ~0ull;
  for (int i = 0; i < 2000; ++i) fastest = std::min(fastest, calibrate());
  std::uint64_t dropped_bursts = 0;
  for (int round = 0; round < rounds; ++round) {
    for (std::size_t k = 0; k < rows.size(); ++k) {
      Row& row = rows[(k + static_cast<std::size_t>(round)) % rows.size()];
      row.operation->before();
      row.operation->burst(64);
      const std::uint64_t c0 = calibrate();
      const std::uint64_t t0 = now_ns();
      row.operation->burst(row.operation->n);
      const std::uint64_t t1 = now_ns();
      const std::uint64_t c1 = calibrate();
      normal();
      if (c0 > fastest + fastest / 10 || c1 > fastest + fastest / 10) {
        ++dropped_bursts;
        continue;
      }
      row.ns.push_back(static_cast<double>(t1 - t0) / row.operation->n);
    }
  }
  std::printf("%-30s %8s %8s %8s %8s %8s\n", "", "ns", "ratio", "target", "p10", "p90");
  for (const Row& row : rows) {
    double base = 0;
    for (const Row& other : rows) {
      if (row.operation->floor != nullptr && std::strcmp(other.operation->name, row.operation->floor) == 0) {
        base = percentile(other.ns, 0.5);
      }
    }
    const double ns = percentile(row.ns, 0.5);
    std::printf("%-30s %8.2f", row.operation->name, ns);
    if (base > 0)
      std::printf(" %8.3f", ns / base);
    else
      std::printf(" %8s", "");
    if (row.operation->target > 0)
      std::printf(" %8.2f", row.operation->target);
    else
      std::printf(" %8s", "");
    std::printf(" %8.2f %8.2f\n", percentile(row.ns, 0.1), percentile(row.ns, 0.9));
  }
  const tailrace::Stats stats = tailrace::stats();
  std::printf("bursts left out: %lu; spans written %lu, logs written %lu\n", dropped_bursts, stats.written[0],
              stats.written[1]);
}

int run(const char* name, int n) {
  for (const Operation& operation : operations) {
    if (std::strcmp(operation.name, name) != 0) continue;
    operation.before();
    operation.burst(100);
    operation.burst(n);
    return 0;
  }
  std::fprintf(stderr, "no operation is called \"%s\"; --list prints their names\n", name);
  return 2;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 2 && std::strcmp(argv[1], "--list") == 0) {
    for (const Operation& operation : operations) std::puts(operation.name);
    return 0;
  }
  tailrace::Config config;
  config.service = "bench";
  if (!tailrace::init(config)) return 1;
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(static_cast<std::size_t>(sched_getcpu()), &set);
  sched_setaffinity(0, sizeof set, &set);
  tailrace::attach_thread("bench");
  StandIn a;
  agent = &a;

  constexpr std::size_t kRing = 256 * 1024;
  constexpr std::size_t kSlack = 16 * 1024;
  unsigned char* ring = make_pages("floor", kRing + kSlack + 4096);
  unsigned char* lane = make_pages("protocol", kRing + kSlack + sizeof(shm::SpanSlot) + sizeof(shm::LaneHead));
  if (ring == nullptr || lane == nullptr) {
    std::fprintf(stderr, "no shared memory for the floor: is there room in RAM?\n");
    return 1;
  }
  Floor floor(ring, kRing, reinterpret_cast<std::atomic<std::uint64_t>*>(ring + kRing + kSlack));
  floor_ring = &floor;
  Protocol alone(reinterpret_cast<shm::SpanSlot*>(lane + kRing + kSlack), lane, kRing,
                 reinterpret_cast<shm::LaneHead*>(lane + kRing + kSlack + sizeof(shm::SpanSlot)));
  protocol = &alone;

  if (argc == 4 && std::strcmp(argv[1], "--run") == 0) return run(argv[2], std::atoi(argv[3]));
  measure(argc > 1 ? std::atoi(argv[1]) : 600);
  return 0;
}
