// SPDX-License-Identifier: Apache-2.0
//
// LockTable: who holds which file lock, as /proc/locks tells it.
//
// The pid is the kernel's, translated into our pid namespace: it attests whose segment a file is, which no
// field inside the segment can. One reading serves any number of segments.
//
// Threads: a value; build one, look up, drop it. Failure: an unreadable table is an empty one, and a holder
// that our pid namespace does not show is not in it; both mean "pid unknown", never a wrong pid.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string_view>
#include <vector>

namespace tailrace::agent {

class LockTable {
 public:
  LockTable() = default;
  [[nodiscard]] static LockTable read();
  // The same from text, for tests.
  [[nodiscard]] static LockTable parse(std::string_view text);

  // The pid that holds a flock on this file; 0 if nobody that we can see does.
  [[nodiscard]] pid_t holder(dev_t device, ino_t inode) const;
  [[nodiscard]] std::size_t size() const { return entries_.size(); }

 private:
  struct Entry {
    std::uint64_t inode;
    std::uint32_t major;
    std::uint32_t minor;
    pid_t pid;
  };
  std::vector<Entry> entries_;  // by inode
};

}  // namespace tailrace::agent
