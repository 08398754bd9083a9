// SPDX-License-Identifier: Apache-2.0
// SegmentSource: the bytes of a segment for tools that only look: a file by pread, or memory in tests.
//
// Nothing is mapped: a file that is cut short while it is read gives short reads and no signal, and a hole
// that is read stays a hole.
// Threads: one at a time. Memory: FileSource owns its descriptor. Failure: read() answers how much it got.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "agent/base/result.hpp"
#include "shm/reader/bytes.hpp"

namespace tailrace::agent {

class SegmentSource {
 public:
  virtual ~SegmentSource() = default;
  virtual std::uint64_t size() const = 0;
  // Up to `length` bytes from `offset` on; fewer at the end.
  virtual std::vector<std::uint8_t> read(std::uint64_t offset, std::size_t length) const = 0;
  // Who keeps the segment alive, in words.
  virtual std::string life() const { return "not known"; }
};

class FileSource final : public SegmentSource {
 public:
  // A regular file; waits for nothing (a FIFO is refused, not opened for ever).
  static Result<FileSource> open(const std::string& path);
  FileSource(FileSource&& other) noexcept;
  FileSource& operator=(FileSource&&) = delete;
  ~FileSource() override;

  std::uint64_t size() const override { return size_; }
  std::vector<std::uint8_t> read(std::uint64_t offset, std::size_t length) const override;
  std::string life() const override;

 private:
  FileSource(int descriptor, std::uint64_t size, std::uint64_t inode)
      : descriptor_(descriptor), size_(size), inode_(inode) {}
  int descriptor_;
  std::uint64_t size_;
  std::uint64_t inode_;
};

class MemorySource final : public SegmentSource {
 public:
  explicit MemorySource(shm::Bytes image) : image_(image) {}
  std::uint64_t size() const override { return image_.size; }
  std::vector<std::uint8_t> read(std::uint64_t offset, std::size_t length) const override;

 private:
  shm::Bytes image_;
};

}  // namespace tailrace::agent
