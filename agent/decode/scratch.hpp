// SPDX-License-Identifier: Apache-2.0
//
// Scratch: memory for what one decoded record needs beside the record itself (attribute lists, repaired
// text), given back all at once before the next record.
//
// What it gave stays where it is until reset(). The blocks are kept, so that after the largest record so far
// nothing is allocated any more. Threads: one. Failure: std::bad_alloc where the system has no memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <type_traits>
#include <vector>

namespace tailrace::agent {

class Scratch {
 public:
  static constexpr std::size_t kBlockBytes = 64 * 1024;

  void reset() {
    block_ = 0;
    at_ = blocks_.empty() ? nullptr : blocks_[0].memory.get();
    end_ = blocks_.empty() ? nullptr : at_ + blocks_[0].bytes;
  }

  // Uninitialised room for `count` objects that need no destructor.
  template <class T>
  T* take(std::size_t count) {
    static_assert(std::is_trivially_destructible_v<T> && alignof(T) <= 16);
    const std::size_t bytes = (count * sizeof(T) + 15) & ~std::size_t{15};
    if (static_cast<std::size_t>(end_ - at_) < bytes) next_block(bytes);
    T* taken = reinterpret_cast<T*>(at_);
    at_ += bytes;
    return taken;
  }

  [[nodiscard]] std::size_t held_bytes() const {
    std::size_t bytes = 0;
    for (const Block& block : blocks_) bytes += block.bytes;
    return bytes;
  }

 private:
  struct Block {
    std::unique_ptr<unsigned char[]> memory;
    std::size_t bytes;
  };
  void next_block(std::size_t bytes);

  std::vector<Block> blocks_;
  std::size_t block_ = 0;
  unsigned char* at_ = nullptr;
  unsigned char* end_ = nullptr;
};

}  // namespace tailrace::agent
