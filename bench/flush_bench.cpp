// SPDX-License-Identifier: Apache-2.0
// From record to answer: a record is written, flushed, and the time taken until the destination's answer is known.
//
//   tailrace_flush_bench ROUNDS
//
// Prints p50, p99 and p99.9 in nanoseconds: a critical span alone, one beside threads that fill their lanes, and a
// plain span with a flush of everything. Between two rounds it rests a little, so that the agent is found asleep as
// often as awake. Ends with 1 if any flush was not answered.
#include <tailrace/tailrace.hpp>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <thread>
#include <vector>

namespace {

using namespace std::chrono_literals;
using namespace tailrace::literals;
using Clock = std::chrono::steady_clock;

bool measure(const char* name, long rounds, tailrace::Priority priority) {
  std::vector<double> times;
  const tailrace::Priority lowest =
      priority == tailrace::Priority::critical ? tailrace::Priority::critical : tailrace::Priority::background;
  for (long i = 0; i < rounds; ++i) {
    std::this_thread::sleep_for(std::chrono::microseconds(200 + 977 * i % 8000));
    const Clock::time_point start = Clock::now();
    {
      tailrace::SpanOptions options;
      options.priority = priority;
      auto span = tailrace::span("payment"_n, options);
      span.set("amount"_n, i);
    }
    const tailrace::FlushResult result = tailrace::flush(5s, lowest);
    times.push_back(
        static_cast<double>(std::chrono::duration_cast<std::chrono::nanoseconds>(Clock::now() - start).count()));
    if (!result.done() || result.total.delivered == 0) {
      std::fprintf(stderr, "round %ld: %s\n", i, result.sentence);
      return false;
    }
  }
  std::sort(times.begin(), times.end());
  const auto at = [&](double share) {
    return times[static_cast<std::size_t>(share * static_cast<double>(times.size() - 1))];
  };
  std::printf("%-44s  %.0f  %.0f  %.0f\n", name, at(0.5), at(0.99), at(0.999));
  std::fflush(stdout);
  return true;
}

}  // namespace

int main(int argc, char** argv) {
  const long rounds = argc > 1 ? std::atol(argv[1]) : 1000;
  tailrace::Config config;
  config.service = "flush-bench";
  if (!tailrace::init(config).ok()) return 1;
  tailrace::flush(10s);  // until the agent has found us
  bool good = measure("critical span, flush of critical records", rounds, tailrace::Priority::critical);
  good = measure("span, flush of everything", rounds, tailrace::Priority::normal) && good;

  std::atomic<bool> over{false};
  std::thread flood([&over] {
    while (!over.load(std::memory_order_relaxed)) {
      tailrace::SpanOptions options;
      options.priority = tailrace::Priority::background;
      for (int i = 0; i < 200; ++i) {
        auto span = tailrace::span("background"_n, options);
        span.set("number"_n, i);
      }
      std::this_thread::sleep_for(1ms);  // some 150 000 a second
    }
  });
  good = measure("critical span beside 150 k/s of background", rounds, tailrace::Priority::critical) && good;
  over.store(true, std::memory_order_relaxed);
  flood.join();
  return good ? 0 : 1;
}
