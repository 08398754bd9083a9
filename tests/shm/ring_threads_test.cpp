// SPDX-License-Identifier: Apache-2.0
// Producer and consumer as two threads over one memory, so that ThreadSanitizer sees both sides (it sees
// no race between two mappings of one file). What it checks is the pairing of head and tail alone: the
// records themselves are copied by plain loads and stores.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <thread>
#include <memory>

#include <tailrace/shm/record.hpp>
#include <tailrace/shm/ring.hpp>

#include "tests/shm/stream.hpp"

namespace tailrace::shm::test {
namespace {

void run_two_threads(std::uint64_t records, std::chrono::microseconds pause) {
  auto memory = std::make_unique<StreamMemory>();
  std::atomic<bool> finished{false};
  std::thread writer([&] {
    StreamWriter stream(*memory);
    while (stream.written() < records) {
      if (!stream.write_next()) std::this_thread::yield();
    }
    finished.store(true, std::memory_order_release);
  });
  StreamReader reader(*memory);
  for (;;) {
    const bool last = finished.load(std::memory_order_acquire);
    ASSERT_TRUE(reader.drain()) << reader.problem();
    if (last) break;
    // Yields at least: on one free core the two would wait for the end of each other's slices.
    pause.count() == 0 ? std::this_thread::yield() : std::this_thread::sleep_for(pause);
  }
  writer.join();
  EXPECT_EQ(reader.seen(), records);
}

TEST(RingThreadsTest, EveryRecordArrivesOnceInOrder) { run_two_threads(60000, std::chrono::microseconds(0)); }
TEST(RingThreadsTest, EveryRecordArrivesWhenTheConsumerIsSlow) {
  run_two_threads(6000, std::chrono::microseconds(200));
}

}  // namespace
}  // namespace tailrace::shm::test
