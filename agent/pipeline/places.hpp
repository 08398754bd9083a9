// SPDX-License-Identifier: Apache-2.0
//
// Where things lie by default: the directory of the segments and the hold beside them.
//
// Threads: any; reads the environment. Failure: an Error that names every place looked at.
#pragma once

#include <string>
#include <vector>

#include "agent/base/result.hpp"

namespace tailrace::agent {

// $TAILRACE_DIR, /run/tailrace, /dev/shm/tailrace, $XDG_RUNTIME_DIR/tailrace: those that are set.
std::vector<std::string> candidate_directories();

// The hold that belongs to a directory of segments.
std::string hold_beside(const std::string& directory);

// Whether that file's memory is a tmpfs's, or a ramfs's. An unreadable one is not said to be elsewhere.
bool is_on_tmpfs(const std::string& path);

// The hold of `directory`, or of the first candidate that has one.
Result<std::string> find_hold(const std::string& directory);

}  // namespace tailrace::agent
