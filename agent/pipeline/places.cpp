// SPDX-License-Identifier: Apache-2.0
#include "agent/pipeline/places.hpp"

#include <linux/magic.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cstdlib>

namespace tailrace::agent {

std::vector<std::string> candidate_directories() {
  std::vector<std::string> places;
  if (const char* given = std::getenv("TAILRACE_DIR"); given != nullptr && *given != '\0') {
    places.emplace_back(given);
  }
  places.emplace_back("/run/tailrace");
  places.emplace_back("/dev/shm/tailrace");
  if (const char* run = std::getenv("XDG_RUNTIME_DIR"); run != nullptr && *run != '\0') {
    places.emplace_back(std::string(run) + "/tailrace");
  }
  return places;
}

std::string hold_beside(const std::string& directory) { return directory + "/agent/hold"; }

bool is_on_tmpfs(const std::string& path) {
  struct statfs found {};
  return ::statfs(path.c_str(), &found) != 0 || found.f_type == TMPFS_MAGIC || found.f_type == RAMFS_MAGIC;
}

Result<std::string> find_hold(const std::string& directory) {
  if (!directory.empty()) return hold_beside(directory);
  std::string looked;
  for (const std::string& place : candidate_directories()) {
    const std::string path = hold_beside(place);
    if (::access(path.c_str(), F_OK) == 0) return path;
    looked += (looked.empty() ? "" : ", ") + path;
  }
  return Error{ErrorCode::kNotFound, "no hold that this user can see (looked at " + looked +
                                         "); name it with --dir or --hold, or start `tailrace agent`"};
}

}  // namespace tailrace::agent
