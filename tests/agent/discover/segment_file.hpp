// SPDX-License-Identifier: Apache-2.0
//
// A directory of segments on a tmpfs, and segments in it as an application would have made them: built word
// by word (tests/shm/segment_builder.hpp) into a locked, mapped, named file.
#pragma once

#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <stdexcept>
#include <string>
#include <system_error>

#include "agent/discover/directory.hpp"
#include "tests/shm/segment_builder.hpp"

namespace tailrace::agent::test {

// Removed with everything in it. On /dev/shm, because segments lie on a tmpfs or nowhere.
class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    char pattern[] = "/dev/shm/tailrace-test-XXXXXX";
    if (::mkdtemp(pattern) == nullptr) throw std::system_error(errno, std::generic_category(), "mkdtemp");
    path_ = pattern;
  }
  ~TemporaryDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;

  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] std::string in(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

inline std::string segment_name(unsigned number) {
  char name[32];
  std::snprintf(name, sizeof name, "%016x.seg", number);
  return name;
}

// A segment whose application is this process: alive (locked) until die().
class SegmentFile {
 public:
  explicit SegmentFile(const std::string& path, const shm::test::BuilderOptions& options = {}, bool locked = true)
      : path_(path) {
    size_ = shm::test::builder_size(options);
    fd_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0660);
    if (fd_ < 0) throw std::system_error(errno, std::generic_category(), path);
    if (::ftruncate(fd_, static_cast<off_t>(size_)) != 0) throw std::runtime_error("ftruncate " + path);
    if (locked && ::flock(fd_, LOCK_EX | LOCK_NB) != 0) throw std::runtime_error("flock " + path);
    memory_ = ::mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_SHARED, fd_, 0);
    if (memory_ == MAP_FAILED) throw std::runtime_error("mmap " + path);
    builder_ = std::make_unique<shm::test::SegmentBuilder>(options, memory_);
  }
  ~SegmentFile() {
    builder_.reset();
    ::munmap(memory_, size_);
    die();
  }
  SegmentFile(const SegmentFile&) = delete;
  SegmentFile& operator=(const SegmentFile&) = delete;

  shm::test::SegmentBuilder& operator*() { return *builder_; }
  shm::test::SegmentBuilder* operator->() { return builder_.get(); }
  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] int fd() const { return fd_; }

  void die() {
    if (fd_ < 0) return;
    ::flock(fd_, LOCK_UN);
    ::close(fd_);
    fd_ = -1;
  }
  void cut_to(std::size_t bytes) const {
    if (::ftruncate(fd_, static_cast<off_t>(bytes)) != 0) throw std::runtime_error("ftruncate");
  }

 private:
  std::string path_;
  std::size_t size_ = 0;
  int fd_ = -1;
  void* memory_ = nullptr;
  std::unique_ptr<shm::test::SegmentBuilder> builder_;
};

inline std::unique_ptr<Directory> open_directory(const std::string& path) {
  DirectoryOptions options;
  options.path = path;
  Result<std::unique_ptr<Directory>> opened = Directory::open(options);
  if (!opened) throw std::runtime_error(opened.error().sentence);
  return std::move(*opened);
}

inline std::unique_ptr<AttachedSegment> attach(Directory& directory, const std::string& name) {
  Result<std::unique_ptr<AttachedSegment>> opened = directory.open_segment(name);
  if (!opened) throw std::runtime_error(opened.error().sentence);
  return std::move(*opened);
}

}  // namespace tailrace::agent::test
