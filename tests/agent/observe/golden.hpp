// SPDX-License-Identifier: Apache-2.0
// Golden files: where they lie, and how they are written anew.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "tests/shm/sparse_image.hpp"

namespace tailrace::agent::test {

inline std::string golden(const std::string& name) { return TAILRACE_SOURCE_DIR "/tests/shm/golden/" + name; }

inline std::string read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  EXPECT_TRUE(file) << path << " cannot be read";
  std::ostringstream all;
  all << file.rdbuf();
  return all.str();
}

inline std::vector<std::uint8_t> golden_image(const std::string& version) {
  const std::string packed = read_file(golden("segment-" + version + ".sparse"));
  return shm::test::unpack_image({reinterpret_cast<const std::uint8_t*>(packed.data()), packed.size()});
}

inline bool write_golden() { return std::getenv("TAILRACE_WRITE_GOLDEN") != nullptr; }

}  // namespace tailrace::agent::test
