// SPDX-License-Identifier: Apache-2.0
// A stream of numbered records through one ring, written and checked by the real producer's and consumer's
// code: for two threads over one memory, and for two processes over one mapping.
//
// Record number n has a size and bytes that follow from n alone, so that the reader knows every byte of
// every record before it comes.
// Threads: StreamWriter on one, StreamReader on another. Memory: both borrow StreamMemory, which is valid
// when zero-filled. Failure: drain() is false, problem() says why.
#pragma once

#include <atomic>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include <tailrace/shm/record.hpp>
#include <tailrace/shm/ring.hpp>

#include "shm/reader/records.hpp"

namespace tailrace::shm::test {

inline constexpr std::size_t kStreamRing = 4096;
inline constexpr std::size_t kStreamMaxRecord = 512;
inline constexpr std::size_t kStreamOverrun = 64;
inline constexpr std::size_t kStreamSlack = kStreamMaxRecord - 8 + kStreamOverrun;

struct StreamMemory {
  LaneHead head;
  LaneTail tail;
  alignas(64) unsigned char ring[kStreamRing + kStreamSlack];
};

constexpr std::uint64_t mix(std::uint64_t n) {
  n = (n ^ (n >> 30)) * 0xbf58476d1ce4e5b9ull;
  n = (n ^ (n >> 27)) * 0x94d049bb133111ebull;
  return n ^ (n >> 31);
}

// Whole records of 24 to 512 bytes: header, number, then words that follow from both.
constexpr std::size_t stream_size(std::uint64_t n) { return 24 + 8 * (mix(n) % ((kStreamMaxRecord - 24) / 8 + 1)); }
constexpr std::uint64_t stream_word(std::uint64_t n, std::size_t i) { return mix(n * 64 + i); }

class StreamWriter {
 public:
  explicit StreamWriter(StreamMemory& memory) : memory_(memory) {
    ring_.attach(memory.ring, kStreamRing, memory.head.head.load(std::memory_order_relaxed),
                 memory.tail.tail.load(std::memory_order_acquire), kStreamOverrun);
  }

  // False: the ring is full now.
  bool write_next() {
    const std::size_t size = stream_size(written_);
    const auto priority = static_cast<std::size_t>(Priority::critical);
    if (!ring_.fits(priority, size)) {
      ring_.refresh(memory_.tail.tail.load(std::memory_order_acquire));  // pairs with drain()'s release
      if (ring_.wants_bell()) ring_.rang_bell();
      if (!ring_.fits(priority, size)) return false;
    }
    unsigned char* to = ring_.at_head();
    store(to, header_word(static_cast<std::uint32_t>(size), RecordType::log, 0, 0));
    store(to + 8, written_);
    for (std::size_t i = 2; i < size / 8; ++i) store(to + 8 * i, stream_word(written_, i));
    std::memset(to + size, 0xEE, kStreamOverrun);  // what a copy in large steps may do
    ring_.head += size;
    memory_.head.head.store(ring_.head, std::memory_order_release);  // pairs with drain()'s acquire
    ++written_;
    memory_.head.written[1].store(written_, std::memory_order_relaxed);
    return true;
  }
  std::uint64_t written() const { return written_; }

 private:
  static void store(unsigned char* to, std::uint64_t word) { std::memcpy(to, &word, sizeof word); }

  StreamMemory& memory_;
  RingProducer<std::uint64_t> ring_{};
  std::uint64_t written_ = 0;
};

class StreamReader {
 public:
  explicit StreamReader(StreamMemory& memory) : memory_(memory) {}

  // Reads what is there and gives the space back.
  bool drain() {
    const std::uint64_t head = memory_.head.head.load(std::memory_order_acquire);
    if (!consumer_.believable(head, kStreamRing)) return fail("a head that cannot be", head);
    const RingRuns runs = RingConsumer<std::uint64_t>::runs(consumer_.tail, head, kStreamRing, kStreamSlack);
    const unsigned char* ring = memory_.ring;
    first_.assign(ring + runs.first.offset, ring + runs.first.offset + runs.first.length);
    second_.assign(ring + runs.second.offset, ring + runs.second.offset + runs.second.length);
    RecordCursor cursor({first_.data(), first_.size()}, {second_.data(), second_.size()}, runs.to_boundary,
                        consumer_.tail, kStreamMaxRecord);
    RecordRef record;
    Next next = cursor.next(record);
    for (; next == Next::found; next = cursor.next(record)) {
      if (!check(record)) return false;
    }
    if (next == Next::broken) return fail("a broken chain at", cursor.position());
    consumer_.tail = head;
    consumer_.last_head = head;
    memory_.tail.tail.store(head, std::memory_order_release);
    return true;
  }
  std::uint64_t seen() const { return seen_; }
  const std::string& problem() const { return problem_; }

 private:
  bool fail(const char* what, std::uint64_t where) {
    problem_ = std::string(what) + " " + std::to_string(where) + " after " + std::to_string(seen_) + " records";
    return false;
  }
  bool check(const RecordRef& record) {
    if (record.bytes.load_or_zero<std::uint64_t>(8) != seen_) return fail("another number at", record.position);
    if (record.bytes.size != stream_size(seen_)) return fail("another size at", record.position);
    for (std::size_t i = 2; i < record.bytes.size / 8; ++i) {
      if (record.bytes.load_or_zero<std::uint64_t>(8 * i) != stream_word(seen_, i)) {
        return fail("another word at", record.position + 8 * i);
      }
    }
    ++seen_;
    return true;
  }

  StreamMemory& memory_;
  RingConsumer<std::uint64_t> consumer_{};
  std::vector<std::uint8_t> first_;
  std::vector<std::uint8_t> second_;
  std::uint64_t seen_ = 0;
  std::string problem_;
};

}  // namespace tailrace::shm::test
