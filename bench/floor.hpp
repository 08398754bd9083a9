// SPDX-License-Identifier: Apache-2.0
// The floor: the same bytes as the shim's records, written with no API at all. Bare ids, the counter,
// every word stored straight into an owned ring, one release store. What the shim costs is said as a ratio to this.
//
// Threads: one. Memory: borrows a ring of a power of two and slack behind it.
#pragma once

#include <atomic>
#include <cstdint>
#include <cstring>

#include <tailrace/shm/clock.hpp>
#include <tailrace/shm/record.hpp>

namespace tailrace::bench {

class Floor {
 public:
  Floor(unsigned char* ring, std::uint64_t ring_bytes, std::atomic<std::uint64_t>* head)
      : ring_(ring), mask_(ring_bytes - 1), shared_head_(head) {}

  // Start, three scalar attributes, end.
  [[gnu::noinline]] void span(std::uint64_t a, double b, bool c) {
    unsigned char* to = ring_ + (head_ & mask_);
    put(to, 16, shm::cpu_counter());
    put(to, 24, random());
    put(to, 32, random());
    put(to, 40, random());
    put(to, 48, 0);
    put(to, 56, 64 | 1ull << 32 | 7ull << 40);
    put(to, 64, shm::item_word(70, shm::ItemType::integer, 0, 8));
    put(to, 72, a);
    put(to, 80, shm::item_word(71, shm::ItemType::real, 0, 8));
    std::memcpy(to + 88, &b, 8);
    put(to, 96, shm::item_word(72, shm::ItemType::boolean, 0, 8));
    put(to, 104, c ? 1 : 0);
    put(to, 0, shm::header_word(112, shm::RecordType::span, 1, 3));
    put(to, 8, shm::cpu_counter());
    head_ += 112;
    shared_head_->store(head_, std::memory_order_release);
  }

  // A template and three arguments: a string of 8 to 16 bytes, an integer, a double.
  [[gnu::noinline]] void log(const char* text, std::size_t length, std::uint64_t a, double b) {
    unsigned char* to = ring_ + (head_ & mask_);
    put(to, 8, shm::cpu_counter());
    put(to, 0, shm::header_word(112, shm::RecordType::log, 2, 3));
    put(to, 16, 80 | 9ull << 32 | 16ull << 40);
    put(to, 24, 0);
    put(to, 32, 0);
    put(to, 40, 0);
    put(to, 48, shm::item_word(5, shm::ItemType::string, 0, static_cast<std::uint16_t>(length)));
    std::memcpy(to + 56, text, length);
    put(to, 72, shm::item_word(5, shm::ItemType::integer, 0, 8));
    put(to, 80, a);
    put(to, 88, shm::item_word(5, shm::ItemType::real, 0, 8));
    std::memcpy(to + 96, &b, 8);
    head_ += 104;
    shared_head_->store(head_, std::memory_order_release);
  }

 private:
  std::uint64_t random() {
    __extension__ typedef unsigned __int128 Wide;
    state_ += 0xa0761d6478bd642full;
    const Wide product = static_cast<Wide>(state_) * (state_ ^ 0xe7037ed1a0b428dbull);
    return static_cast<std::uint64_t>(product >> 64) ^ static_cast<std::uint64_t>(product);
  }
  static void put(unsigned char* to, std::size_t at, std::uint64_t value) { std::memcpy(to + at, &value, 8); }

  unsigned char* ring_;
  std::uint64_t mask_;
  std::uint64_t head_ = 0;
  std::uint64_t state_ = 42;
  std::atomic<std::uint64_t>* shared_head_;
};

}  // namespace tailrace::bench
