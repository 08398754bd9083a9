// SPDX-License-Identifier: Apache-2.0
#include "agent/decode/scratch.hpp"

#include <algorithm>

namespace tailrace::agent {

// Goes on to the first kept block that is large enough, else makes one.
void Scratch::next_block(std::size_t bytes) {
  std::size_t next = at_ == nullptr ? 0 : block_ + 1;
  while (next < blocks_.size() && blocks_[next].bytes < bytes) ++next;
  if (next == blocks_.size()) {
    const std::size_t size = std::max(bytes, kBlockBytes);
    blocks_.push_back({std::unique_ptr<unsigned char[]>(new unsigned char[size]), size});
  }
  block_ = next;
  at_ = blocks_[next].memory.get();
  end_ = at_ + blocks_[next].bytes;
}

}  // namespace tailrace::agent
