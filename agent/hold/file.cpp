// SPDX-License-Identifier: Apache-2.0
#include "agent/hold/file.hpp"

#include <cerrno>
#include <cinttypes>
#include <cstdio>
#include <cstring>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>
#include <vector>

#include <boost/interprocess/exceptions.hpp>

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

namespace tailrace::agent {
namespace {

// What Boost.Interprocess maps: its own file_mapping opens by path, ours is a descriptor already
// checked.
class CheckedDescriptor {
 public:
  explicit CheckedDescriptor(int fd) : fd_(fd) {}
  [[nodiscard]] boost::interprocess::mapping_handle_t get_mapping_handle() const {
    return boost::interprocess::ipcdetail::mapping_handle_from_file_handle(fd_);
  }
  [[nodiscard]] boost::interprocess::mode_t get_mode() const { return boost::interprocess::read_write; }

 private:
  int fd_;
};

Error system_error(const std::string& what) { return {ErrorCode::kSystem, what + ": " + std::strerror(errno)}; }

std::string octal(unsigned mode) {
  char text[16];
  std::snprintf(text, sizeof text, "%04o", mode & 07777u);
  return text;
}

Status check_folder(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  const std::string folder = slash == std::string::npos ? "." : slash == 0 ? "/" : path.substr(0, slash);
  if (::mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST) {
    return system_error("hold " + path + ": cannot make its folder");
  }
  const int fd = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0) {
    return system_error("hold " + path + ": cannot open its folder");
  }
  struct stat info {};
  const bool known = ::fstat(fd, &info) == 0;
  ::close(fd);
  if (!known) {
    return system_error("hold " + path + ": cannot examine its folder");
  }
  // Whoever can write the folder can put another file under our name while we look away.
  if (info.st_uid != ::geteuid() || (info.st_mode & 022) != 0) {
    return Error{ErrorCode::kPermissionDenied,
                 "hold " + path + ": its folder belongs to uid " + std::to_string(info.st_uid) + " with mode " +
                     octal(info.st_mode) + ", and must be the agent's alone; name a private folder with --hold"};
  }
  return {};
}

Status check_file(const std::string& path, int fd) {
  struct stat info {};
  if (::fstat(fd, &info) != 0) {
    return system_error("hold " + path);
  }
  if (!S_ISREG(info.st_mode) || info.st_nlink != 1 || info.st_uid != ::geteuid() || (info.st_mode & 077) != 0) {
    return Error{ErrorCode::kPermissionDenied,
                 "hold " + path + ": not a plain file of the agent's own with mode 0600 and one link (uid " +
                     std::to_string(info.st_uid) + ", mode " + octal(info.st_mode) + "); remove it"};
  }
  return {};
}

Status lock(const std::string& path, int fd) {
  // `tailrace status` tries a shared lock for an instant, so one refusal is no answer yet.
  for (int attempt = 0; attempt < 20; ++attempt) {
    if (::flock(fd, LOCK_EX | LOCK_NB) == 0) {
      return {};
    }
    if (errno != EWOULDBLOCK && errno != EINTR) {
      return system_error("hold " + path + ": cannot lock it");
    }
    ::usleep(10'000);
  }
  const std::uint32_t holder = lock_holder(fd);
  return Error{ErrorCode::kAlreadyExists, "hold " + path + ": another agent has it" +
                                              (holder != 0 ? ", process " + std::to_string(holder) : std::string()) +
                                              "; stop that one or name another file with --hold"};
}

}  // namespace

std::uint32_t lock_holder(int fd) {
  struct stat info {};
  if (::fstat(fd, &info) != 0) {
    return 0;
  }
  std::FILE* file = std::fopen("/proc/locks", "re");
  if (file == nullptr) {
    return 0;
  }
  char line[256];
  std::uint32_t holder = 0;
  while (holder == 0 && std::fgets(line, sizeof line, file) != nullptr) {
    int pid = 0;
    unsigned maj = 0;
    unsigned min = 0;
    std::uint64_t inode = 0;
    if (std::sscanf(line, "%*d: FLOCK %*s %*s %d %x:%x:%" SCNu64, &pid, &maj, &min, &inode) == 4 &&
        inode == info.st_ino && maj == major(info.st_dev) && min == minor(info.st_dev) && pid > 0) {
      holder = static_cast<std::uint32_t>(pid);
    }
  }
  std::fclose(file);
  return holder;
}

Result<std::unique_ptr<HoldFile>> HoldFile::open(const std::string& path) {
  if (Status folder = check_folder(path); !folder) {
    return std::move(folder).error();
  }
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600);
  if (fd < 0) {
    return system_error("hold " + path + ": cannot open it");
  }
  std::unique_ptr<HoldFile> file(new HoldFile(path, fd));
  if (Status checked = check_file(path, fd); !checked) {
    return std::move(checked).error();
  }
  if (Status locked = lock(path, fd); !locked) {
    return std::move(locked).error();
  }
  return file;
}

HoldFile::~HoldFile() {
  region_ = boost::interprocess::mapped_region();  // the lock lives as long as descriptor or mapping does
  ::close(fd_);
}

std::uint64_t HoldFile::bytes() const {
  struct stat info {};
  return ::fstat(fd_, &info) == 0 ? static_cast<std::uint64_t>(info.st_size) : 0;
}

Status HoldFile::resize(std::uint64_t bytes) {
  region_ = boost::interprocess::mapped_region();
  if (::ftruncate(fd_, static_cast<off_t>(bytes)) != 0) {
    return system_error("hold " + path_ + ": cannot size it to " + std::to_string(bytes) + " bytes");
  }
  return {};
}

Status HoldFile::map(std::uint64_t bytes) {
  try {
    region_ = boost::interprocess::mapped_region(CheckedDescriptor(fd_), boost::interprocess::read_write, 0,
                                                 static_cast<std::size_t>(bytes));
  } catch (const boost::interprocess::interprocess_exception& error) {
    return Error{ErrorCode::kSystem,
                 "hold " + path_ + ": cannot map " + std::to_string(bytes) + " bytes: " + error.what()};
  }
  // A child forked without exec must not keep the lock through its copy of the mapping.
  ::madvise(region_.get_address(), region_.get_size(), MADV_DONTFORK);
  return {};
}

std::byte* HoldFile::base() const { return static_cast<std::byte*>(region_.get_address()); }

bool HoldFile::commit_range(std::uint64_t offset, std::uint64_t length) {
  for (int attempt = 0; attempt < 8; ++attempt) {
    if (::madvise(base() + offset, length, MADV_POPULATE_WRITE) == 0) {
      return true;
    }
    if (errno == EINVAL) {  // before Linux 5.14
      return ::fallocate(fd_, 0, static_cast<off_t>(offset), static_cast<off_t>(length)) == 0;
    }
    if (errno != EINTR && errno != EAGAIN) {
      return false;
    }
  }
  return false;
}

bool HoldFile::release_range(std::uint64_t offset, std::uint64_t length) {
  return ::madvise(base() + offset, length, MADV_REMOVE) == 0;
}

Status HoldFile::keep_copy(std::uint64_t bytes) const {
  const std::string temporary = path_ + ".damaged.new";
  const std::string target = path_ + ".damaged";
  ::unlink(temporary.c_str());
  const int out = ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (out < 0) {
    return system_error("hold " + target + ": cannot make it");
  }
  std::vector<char> buffer(64 * 1024);
  bool ok = true;
  for (std::uint64_t offset = 0; ok && offset < bytes;) {
    const std::size_t want = bytes - offset < buffer.size() ? static_cast<std::size_t>(bytes - offset) : buffer.size();
    const ssize_t got = ::pread(fd_, buffer.data(), want, static_cast<off_t>(offset));
    if (got <= 0) {
      ok = got == 0;  // the damaged file may be shorter than its tables
      break;
    }
    ok = ::write(out, buffer.data(), static_cast<std::size_t>(got)) == got;
    offset += static_cast<std::uint64_t>(got);
  }
  ::close(out);
  if (!ok || ::rename(temporary.c_str(), target.c_str()) != 0) {
    const Error error = system_error("hold " + target + ": cannot write it");
    ::unlink(temporary.c_str());
    return error;
  }
  return {};
}

}  // namespace tailrace::agent
