// SPDX-License-Identifier: Apache-2.0
// The directory that holds the segments: where it is, and whether it may be trusted.
//
// Trusted = owned by root or by the caller, or its parent can be written by root or the caller alone.
// Anything else is a trap: the owner of a directory may truncate what lies in it, and a process that
// maps a truncated file dies of SIGBUS.
// Threads: any. Ownership: the caller closes the descriptor. Failure: fd is -1, `why` is a sentence.
#pragma once

#include <cstddef>

namespace tailrace::shm {

struct DirectoryChoice {
  const char* configured = nullptr;   // named by the user: only this one is tried, and made if absent
  const char* runtime_dir = nullptr;  // $XDG_RUNTIME_DIR; "tailrace" in it is made if absent
};

struct OpenDirectory {
  int fd = -1;
  char path[256] = {};
  char why[256] = {};
};

// Tries, in this order: the configured one, or else /run/tailrace, /dev/shm/tailrace and
// $XDG_RUNTIME_DIR/tailrace. A directory is made only inside one that nobody else can write.
OpenDirectory open_directory(const DirectoryChoice& choice) noexcept;

// The rules for one path, for tests and for `tailrace doctor`.
OpenDirectory open_one_directory(const char* path, bool make) noexcept;

}  // namespace tailrace::shm
