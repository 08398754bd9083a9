// SPDX-License-Identifier: Apache-2.0
#include <tailrace/shm/directory.hpp>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

namespace tailrace::shm {
namespace {

constexpr long kTmpfsMagic = 0x01021994;

bool writable_by_others(const struct stat& s) { return (s.st_mode & (S_IWGRP | S_IWOTH)) != 0; }

// Only root or the caller can put something into it or replace what is there.
bool only_ours(const struct stat& s) { return (s.st_uid == 0 || s.st_uid == geteuid()) && !writable_by_others(s); }

void make_if_safe(const char* path) {
  char parent[256];
  const char* slash = std::strrchr(path, '/');
  if (slash == nullptr || slash == path || static_cast<std::size_t>(slash - path) >= sizeof parent) return;
  std::memcpy(parent, path, static_cast<std::size_t>(slash - path));
  parent[slash - path] = 0;
  struct stat s {};
  if (lstat(parent, &s) == 0 && S_ISDIR(s.st_mode) && only_ours(s)) mkdir(path, 0700);
}

}  // namespace

OpenDirectory open_one_directory(const char* path, bool make) noexcept {
  OpenDirectory result;
  if (std::strlen(path) >= sizeof result.path) {
    std::snprintf(result.why, sizeof result.why, "the path of the segment directory is longer than %zu bytes",
                  sizeof result.path - 1);
    return result;
  }
  std::memcpy(result.path, path, std::strlen(path) + 1);
  const int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
  // Mode 3733 forbids listing, hence O_RDONLY, to all but the owner: O_PATH serves everyone.
  int fd = open(path, flags | O_PATH);
  if (fd < 0 && errno == ENOENT && make) {
    make_if_safe(path);
    fd = open(path, flags | O_PATH);
  }
  if (fd < 0) {
    std::snprintf(result.why, sizeof result.why, "%.150s: %s; start the agent, which makes it", path,
                  std::strerror(errno));
    return result;
  }
  struct stat self {};
  struct stat parent {};
  struct statfs fs {};
  if (fstat(fd, &self) != 0 || fstatat(fd, "..", &parent, 0) != 0) {
    std::snprintf(result.why, sizeof result.why, "%.150s: %s", path, std::strerror(errno));
  } else if (self.st_uid != 0 && self.st_uid != geteuid() && !only_ours(parent)) {
    std::snprintf(result.why, sizeof result.why,
                  "%.150s belongs to uid %u and stands where others may write: not trusted", path,
                  static_cast<unsigned>(self.st_uid));
  } else if (fstatfs(fd, &fs) != 0) {
    std::snprintf(result.why, sizeof result.why, "%.150s: %s", path, std::strerror(errno));
  } else if (static_cast<long>(fs.f_type) != kTmpfsMagic) {
    std::snprintf(result.why, sizeof result.why, "%.150s is not on a tmpfs: writing there would wait for a disk", path);
  } else if (faccessat(fd, ".", W_OK | X_OK, AT_EACCESS) != 0) {
    std::snprintf(result.why, sizeof result.why, "%.150s: %s", path, std::strerror(errno));
  } else {
    result.fd = fd;
    return result;
  }
  close(fd);
  return result;
}

OpenDirectory open_directory(const DirectoryChoice& choice) noexcept {
  if (choice.configured != nullptr && choice.configured[0] != 0) {
    return open_one_directory(choice.configured, true);
  }
  OpenDirectory first = open_one_directory("/run/tailrace", false);
  if (first.fd >= 0) return first;
  OpenDirectory next = open_one_directory("/dev/shm/tailrace", false);
  if (next.fd >= 0) return next;
  if (choice.runtime_dir != nullptr && choice.runtime_dir[0] == '/') {
    char path[256];
    const int n = std::snprintf(path, sizeof path, "%s/tailrace", choice.runtime_dir);
    if (n > 0 && static_cast<std::size_t>(n) < sizeof path) {
      next = open_one_directory(path, true);
      if (next.fd >= 0) return next;
    }
  }
  return first;  // the place where it ought to have been
}

}  // namespace tailrace::shm
