// SPDX-License-Identifier: Apache-2.0
//
// Directory: the agent's side of the place where applications put their segments.
//
// Anyone may create a file in it and nobody but us may list it (mode 3733, ours). One agent owns it, by a
// flock on the directory itself, which others cannot open. Whatever lies in it was made by somebody else:
// only regular files named <16 hex>.seg are looked at, by descriptor, without following links or waiting.
//
// Threads: one (discovery). AttachedSegments it gave away are independent of it.
// Memory: one entry for each refused file that still exists.
// Failure: open() answers with a sentence; later a file that is refused is an Error once and skipped by
//   scan() from then on, until it is gone or replaced.
// Source: segment.md 3.1, 3.9.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "agent/base/result.hpp"
#include "agent/discover/lock_table.hpp"
#include "agent/discover/segment.hpp"

namespace tailrace::agent {

struct DirectoryOptions {
  std::string path;  // empty: the first usable of /run/tailrace, /dev/shm/tailrace, $XDG_RUNTIME_DIR/tailrace
  std::uint64_t segment_bytes_max = std::uint64_t{8} << 30;  // of address space, not of memory
  std::uint32_t segments_max = 4096;
  std::uint32_t segments_per_uid_max = 1024;
  std::uint32_t temporary_age_s = 60;
};

class Directory {
 public:
  // Opens the directory or makes it, checks that it can be trusted, locks it, watches it.
  static Result<std::unique_ptr<Directory>> open(const DirectoryOptions& options);
  ~Directory();
  Directory(const Directory&) = delete;
  Directory& operator=(const Directory&) = delete;

  [[nodiscard]] const std::string& path() const;
  [[nodiscard]] int fd() const;
  // Readable when something was created, renamed or deleted: poll it, then take_changes().
  [[nodiscard]] int watch_fd() const;
  // Reads the notifications away; true if a scan() is worth it (also after an overflow).
  bool take_changes();

  // Names of segments, sorted; refused ones are left out. Also removes temporaries that nobody holds.
  // Call on changes and every few seconds.
  [[nodiscard]] std::vector<std::string> scan();

  // kUnavailable and kResourceExhausted are worth another try (the name stays in scan()), every other
  // error is final for this file.
  Result<std::unique_ptr<AttachedSegment>> open_segment(const std::string& name);
  // The same with a table read once for several segments.
  Result<std::unique_ptr<AttachedSegment>> open_segment(const std::string& name, const LockTable& locks);

  [[nodiscard]] std::size_t refused() const;  // files refused and still there

 private:
  struct State;
  explicit Directory(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

// <16 lower-case hex digits>.seg
[[nodiscard]] bool is_segment_name(std::string_view name);

}  // namespace tailrace::agent
