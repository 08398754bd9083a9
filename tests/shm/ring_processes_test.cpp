// SPDX-License-Identifier: Apache-2.0
// Producer and consumer as two processes over one MAP_SHARED mapping: at full speed, and with the producer
// killed at random moments. Whatever was published is whole; nothing comes twice.
#include <gtest/gtest.h>

#include <sched.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <new>
#include <random>
#include <thread>

#include "tests/shm/stream.hpp"

namespace tailrace::shm::test {
namespace {

using Clock = std::chrono::steady_clock;

class RingProcessesTest : public testing::Test {
 protected:
  void SetUp() override {
    void* at = ::mmap(nullptr, sizeof(StreamMemory), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ASSERT_NE(at, MAP_FAILED);
    memory = static_cast<StreamMemory*>(at);
  }
  void TearDown() override { ::munmap(memory, sizeof(StreamMemory)); }

  // A child that writes until it is killed, or `limit` records and then ends.
  pid_t start_writer(std::uint64_t limit) {
    const pid_t child = ::fork();
    if (child == 0) {
      StreamWriter writer(*memory);
      while (writer.written() < limit) {
        if (!writer.write_next()) ::sched_yield();
      }
      ::_exit(0);
    }
    return child;
  }

  StreamMemory* memory = nullptr;
};

TEST_F(RingProcessesTest, EverythingArrivesFromAnotherProcess) {
  constexpr std::uint64_t kRecords = 300000;
  const pid_t child = start_writer(kRecords);
  ASSERT_GT(child, 0);
  StreamReader reader(*memory);
  bool good = true;
  while (good && reader.seen() < kRecords) {
    const std::uint64_t before = reader.seen();
    good = reader.drain();
    if (reader.seen() == before) {
      if (::kill(child, 0) != 0) break;
      ::sched_yield();
    }
  }
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  ASSERT_TRUE(good && reader.drain()) << reader.problem();
  EXPECT_EQ(reader.seen(), kRecords);
}

TEST_F(RingProcessesTest, WhatAKilledProcessPublishedIsWholeAndComplete) {
  std::mt19937_64 random(7);
  for (int round = 0; round < 40; ++round) {
    std::memset(static_cast<void*>(memory), 0, sizeof *memory);
    const pid_t child = start_writer(~std::uint64_t{0});
    ASSERT_GT(child, 0);
    StreamReader reader(*memory);
    const auto end = Clock::now() + std::chrono::microseconds(500 + random() % 20000);
    const bool lazy = round % 2 == 0;  // then the ring is full most of the time
    bool good = true;
    while (good && Clock::now() < end) {
      good = reader.drain();
      if (lazy) std::this_thread::sleep_for(std::chrono::microseconds(300));
    }
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
    ASSERT_TRUE(good && reader.drain()) << "round " << round << ": " << reader.problem();
    // The counter is stored behind head: one behind it at most.
    const std::uint64_t counted = memory->head.written[1].load();
    EXPECT_LE(counted, reader.seen());
    EXPECT_GE(counted + 1, reader.seen());
  }
}

TEST_F(RingProcessesTest, ANewProducerGoesOnWhereADeadOneStopped) {
  StreamReader reader(*memory);
  const pid_t first = start_writer(1000);
  ASSERT_GT(first, 0);
  int status = 0;
  while (::waitpid(first, &status, WNOHANG) == 0) ASSERT_TRUE(reader.drain()) << reader.problem();
  ASSERT_TRUE(reader.drain()) << reader.problem();
  EXPECT_EQ(reader.seen(), 1000u);
  const std::uint64_t position = memory->head.head.load();
  EXPECT_EQ(memory->tail.tail.load(), position);

  // A recycled lane: the same head, a new private state.
  StreamWriter second(*memory);
  ASSERT_TRUE(second.write_next());
  EXPECT_EQ(memory->head.head.load(), position + stream_size(0));
}

}  // namespace
}  // namespace tailrace::shm::test
