// SPDX-License-Identifier: Apache-2.0
//
// HoldFile: the hold's file, its lock and its mapping.
//
// Threads: commit_range from any thread; the rest while opening only.
// Ownership: descriptor (which carries the flock) and mapping live as long as the object.
// Failure: sentences that name the file, the number and what to do.
// Source: agent.md, rules 10 and 13; segment.md (facts tried): MADV_POPULATE_WRITE answers on a
// full tmpfs,
//   a touch would be SIGBUS.
#ifndef TAILRACE_AGENT_HOLD_FILE_HPP_
#define TAILRACE_AGENT_HOLD_FILE_HPP_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include <boost/interprocess/mapped_region.hpp>

#include "agent/base/result.hpp"

namespace tailrace::agent {

class HoldFile {
 public:
  // Opens or makes the file (0600, in a folder of 0700) and locks it. Refuses what is not ours
  // alone.
  static Result<std::unique_ptr<HoldFile>> open(const std::string& path);
  ~HoldFile();
  HoldFile(const HoldFile&) = delete;
  HoldFile& operator=(const HoldFile&) = delete;

  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] std::uint64_t bytes() const;  // 0: just made, or emptied
  Status resize(std::uint64_t bytes);
  Status map(std::uint64_t bytes);
  [[nodiscard]] std::byte* base() const;

  // Makes memory for the range exist. false: the tmpfs is full.
  bool commit_range(std::uint64_t offset, std::uint64_t length);
  // Gives the range's memory back to the tmpfs; it reads as zeroes afterwards.
  bool release_range(std::uint64_t offset, std::uint64_t length);
  // The file's first `bytes` as PATH.damaged, replacing an older one.
  Status keep_copy(std::uint64_t bytes) const;

 private:
  HoldFile(std::string path, int fd) : path_(std::move(path)), fd_(fd) {}

  std::string path_;
  int fd_;
  boost::interprocess::mapped_region region_;
};

// The process that holds a flock on the file, by /proc/locks; 0 if none is visible.
std::uint32_t lock_holder(int fd);

}  // namespace tailrace::agent

#endif  // TAILRACE_AGENT_HOLD_FILE_HPP_
