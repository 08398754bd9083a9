// SPDX-License-Identifier: Apache-2.0
#include "agent/observe/segment_source.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <sstream>
#include <utility>

namespace tailrace::agent {
namespace {

// The holder of the flock on an inode, as the kernel tells it; 0 when it shows none.
long lock_holder(std::uint64_t inode) {
  std::ifstream locks("/proc/locks");
  std::string line;
  while (std::getline(locks, line)) {
    // 1: FLOCK  ADVISORY  WRITE 1234 00:1b:5678 0 EOF
    std::istringstream words(line);
    std::string number, kind, mode, access, file;
    long pid = 0;
    if (!(words >> number >> kind >> mode >> access >> pid >> file) || kind != "FLOCK") continue;
    const auto colon = file.rfind(':');
    if (colon != std::string::npos && file.substr(colon + 1) == std::to_string(inode)) return pid;
  }
  return 0;
}

}  // namespace

Result<FileSource> FileSource::open(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
  if (fd < 0) {
    const int error = errno;
    const ErrorCode code = error == ENOENT   ? ErrorCode::kNotFound
                           : error == EACCES ? ErrorCode::kPermissionDenied
                                             : ErrorCode::kSystem;
    return Error{code, path + ": " + std::strerror(error)};
  }
  struct stat about {};
  if (::fstat(fd, &about) != 0 || !S_ISREG(about.st_mode)) {
    ::close(fd);
    return Error{ErrorCode::kInvalidArgument, path + ": not a regular file"};
  }
  return FileSource(fd, static_cast<std::uint64_t>(about.st_size), static_cast<std::uint64_t>(about.st_ino));
}

FileSource::FileSource(FileSource&& other) noexcept
    : descriptor_(std::exchange(other.descriptor_, -1)), size_(other.size_), inode_(other.inode_) {}

FileSource::~FileSource() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

std::vector<std::uint8_t> FileSource::read(std::uint64_t offset, std::size_t length) const {
  if (offset >= size_) return {};
  if (length > size_ - offset) length = static_cast<std::size_t>(size_ - offset);
  std::vector<std::uint8_t> bytes(length);
  std::size_t got = 0;
  while (got < length) {
    const ssize_t n = ::pread(descriptor_, bytes.data() + got, length - got, static_cast<off_t>(offset + got));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;
    got += static_cast<std::size_t>(n);
  }
  bytes.resize(got);
  return bytes;
}

std::string FileSource::life() const {
  // A shared lock for an instant: what the agent asks too, so neither is misled by the other.
  if (::flock(descriptor_, LOCK_SH | LOCK_NB) == 0) {
    ::flock(descriptor_, LOCK_UN);
    return "dead: nobody holds its lock";
  }
  const long pid = lock_holder(inode_);
  if (pid > 0) return "alive: pid " + std::to_string(pid) + " holds its lock";
  return "alive: its lock is held";
}

std::vector<std::uint8_t> MemorySource::read(std::uint64_t offset, std::size_t length) const {
  if (offset >= image_.size) return {};
  const shm::Bytes rest = image_.from(static_cast<std::size_t>(offset));
  return {rest.data, rest.data + (length < rest.size ? length : rest.size)};
}

}  // namespace tailrace::agent
