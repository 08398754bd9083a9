// SPDX-License-Identifier: Apache-2.0
//
// A program that records until it is killed or has recorded enough, and says through its standard output what
// came of each call: 16 bytes {u8 kind, u8 thread, 6 bytes zero, u64 number} after the call returned.
//
//   victim SERVICE THREADS COUNT BURST PAUSE_US      COUNT 0: for ever
//
// kind 1: a span was started; 2: it was ended; 3: a log was written.
// VICTIM_WIDE=1 in the environment: spans of some 24 KiB, which do not fit in a record.
#include <tailrace/tailrace.hpp>

#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

namespace {

using namespace tailrace::literals;

struct Said {
  std::uint8_t kind;
  std::uint8_t thread;
  std::uint8_t zero[6];
  std::uint64_t number;
};
static_assert(sizeof(Said) == 16);

// One write of 16 bytes into a pipe is whole or absent.
void say(std::uint8_t kind, unsigned thread, std::uint64_t number) {
  const Said said{kind, static_cast<std::uint8_t>(thread), {}, number};
  if (::write(STDOUT_FILENO, &said, sizeof said) != static_cast<ssize_t>(sizeof said)) ::_exit(3);
}

void record(unsigned thread, std::uint64_t count, unsigned burst, unsigned pause_us) {
  const bool wide = std::getenv("VICTIM_WIDE") != nullptr;
  for (std::uint64_t number = 0; count == 0 || number < count; ++number) {
    auto span = tailrace::span("work"_n);
    span.set("thread"_n, static_cast<int>(thread));
    span.set("number"_n, static_cast<std::int64_t>(number));
    say(1, thread, number);
    span.set("text"_n, "some bytes of text");
    if (wide) {
      for (int i = 0; i < 40; ++i) span.set("wide." + std::to_string(i), std::string(600, 'w'));
    }
    span.end();
    say(2, thread, number);
    if (number % 4 == 0) {
      tailrace::log({"a log",
                     tailrace::Severity::info,
                     {{"thread", static_cast<int>(thread)}, {"number", static_cast<std::int64_t>(number)}}});
      say(3, thread, number);
    }
    if (burst != 0 && number % burst == burst - 1) ::usleep(pause_us);
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 6) return 2;
  tailrace::Config config;
  config.service = argv[1];
  config.ring_bytes = 4 << 20;  // room for what two busy cores cannot drain at once
  const tailrace::Outcome started = tailrace::init(config);
  if (!started.ok()) return 4;
  const auto threads = static_cast<unsigned>(std::atoi(argv[2]));
  const auto count = std::strtoull(argv[3], nullptr, 10);
  const auto burst = static_cast<unsigned>(std::atoi(argv[4]));
  const auto pause_us = static_cast<unsigned>(std::atoi(argv[5]));
  std::vector<std::thread> running;
  for (unsigned i = 0; i < threads; ++i) running.emplace_back(record, i, count, burst, pause_us);
  for (std::thread& thread : running) thread.join();
  return 0;
}
