// SPDX-License-Identifier: Apache-2.0
//
// A program that counts until it is killed or told to stop, and keeps beside Tailrace, in a file that both sides map,
// what it has begun to add and what add() has returned from.
//
//   counting SERVICE THREADS FILE BURST PAUSE_US
//
// Each thread: counter `adds`, histogram `sizes` and exponential histogram `spread` by 1, each with its own thread's
// number as attribute; and, once a burst, one of 300 series of the counter `wide`, so that a collection takes its time.
#include <tailrace/tailrace.hpp>

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

#include "tests/fault/counting.hpp"

namespace {

using tailrace::testing::Counting;

constexpr std::uint64_t kWide = 300;

void count(Counting& shared, unsigned thread, unsigned burst, unsigned pause_us) {
  const auto number = static_cast<std::int64_t>(thread);
  const auto adds = tailrace::counter<std::uint64_t>("adds").bind({{"thread", number}});
  const auto sizes = tailrace::histogram<double>("sizes").bind({{"thread", number}});
  tailrace::HistogramOptions exponential;
  exponential.kind = tailrace::HistogramKind::exponential;
  const auto spread = tailrace::histogram<double>("spread", exponential).bind({{"thread", number}});
  const auto wide = tailrace::counter<std::uint64_t>("wide");
  for (std::uint64_t done = 0; shared.stop == 0;) {
    shared.threads[thread].begun = ++done;
    adds.add(1);
    sizes.record(1.0);
    spread.record(1.0);
    shared.threads[thread].returned = done;
    if (done % burst == 0) {
      wide.add(1, {{"k", static_cast<std::int64_t>(done / burst % kWide)}, {"thread", number}});
      ::usleep(pause_us);
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 6) return 2;
  tailrace::Config config;
  config.service = argv[1];
  if (!tailrace::init(config).ok()) return 4;
  const int file = ::open(argv[3], O_RDWR | O_CLOEXEC);
  void* memory = ::mmap(nullptr, sizeof(Counting), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  if (file < 0 || memory == MAP_FAILED) return 5;
  auto& shared = *static_cast<Counting*>(memory);
  const auto threads = static_cast<unsigned>(std::atoi(argv[2]));
  const auto burst = static_cast<unsigned>(std::atoi(argv[4]));
  const auto pause_us = static_cast<unsigned>(std::atoi(argv[5]));
  std::vector<std::thread> running;
  for (unsigned i = 0; i < threads; ++i) running.emplace_back(count, std::ref(shared), i, burst, pause_us);
  for (std::thread& thread : running) thread.join();
  return 0;
}
