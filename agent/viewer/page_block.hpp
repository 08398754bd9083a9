// SPDX-License-Identifier: Apache-2.0
//
// PageBlock: zeroed pages straight from the kernel, given back when it is destroyed. Pages that are
// never touched cost nothing. Failure: an empty block (data() == nullptr) when the kernel has no
// memory to map.
#ifndef TAILRACE_AGENT_VIEWER_PAGE_BLOCK_HPP_
#define TAILRACE_AGENT_VIEWER_PAGE_BLOCK_HPP_

#include <cstddef>
#include <sys/mman.h>
#include <utility>

namespace tailrace::agent::viewer {

class PageBlock {
 public:
  PageBlock() = default;
  explicit PageBlock(std::size_t bytes) noexcept {
    void* pages = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (pages != MAP_FAILED) {
      data_ = static_cast<char*>(pages);
      bytes_ = bytes;
    }
  }
  PageBlock(PageBlock&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}
  PageBlock& operator=(PageBlock&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(bytes_, other.bytes_);
    return *this;
  }
  PageBlock(const PageBlock&) = delete;
  PageBlock& operator=(const PageBlock&) = delete;
  ~PageBlock() {
    if (data_ != nullptr) {
      ::munmap(data_, bytes_);
    }
  }

  [[nodiscard]] char* data() const noexcept { return data_; }
  [[nodiscard]] std::size_t bytes() const noexcept { return bytes_; }

 private:
  char* data_ = nullptr;
  std::size_t bytes_ = 0;
};

}  // namespace tailrace::agent::viewer

#endif  // TAILRACE_AGENT_VIEWER_PAGE_BLOCK_HPP_
