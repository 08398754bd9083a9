// SPDX-License-Identifier: Apache-2.0
// Golden segments: one of each released minor version of the ABI, with one of everything in it, and the text
// that dump made of it then. A program of any later minor version must read them as they were meant.
//
// A new minor version adds a pair of files; TAILRACE_WRITE_GOLDEN=1 writes the pair of this version. The
// files of a released version never change: if this test fails, the change of the ABI is a breaking one.
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <sstream>

#include "agent/observe/dump.hpp"
#include "tests/shm/segment_builder.hpp"
#include "tests/shm/sparse_image.hpp"

namespace tailrace::agent {
namespace {

using shm::test::SegmentBuilder;

std::string golden(const std::string& name) { return TAILRACE_SOURCE_DIR "/tests/shm/golden/" + name; }

std::string read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  EXPECT_TRUE(file) << path << " cannot be read";
  std::ostringstream all;
  all << file.rdbuf();
  return all.str();
}

std::string dump_of(const std::vector<std::uint8_t>& image) {
  DumpOptions options;
  options.strings = 50;
  std::ostringstream out;
  EXPECT_EQ(dump_source(MemorySource({image.data(), image.size()}), "golden", options, out), 0);
  return out.str();
}

std::vector<std::uint8_t> packed_segment() {
  SegmentBuilder segment;
  shm::test::fill_with_everything(segment);
  return shm::test::pack_image(segment.image());
}

class GoldenTest : public testing::TestWithParam<const char*> {};

TEST_P(GoldenTest, SegmentOfAReleasedMinorVersionIsReadAsItWasMeant) {
  const std::string version = GetParam();
  const std::string packed = read_file(golden("segment-" + version + ".sparse"));
  const auto image = shm::test::unpack_image(shm::bytes_of(packed));
  EXPECT_EQ(dump_of(image), read_file(golden("segment-" + version + ".txt")));
}
INSTANTIATE_TEST_SUITE_P(Versions, GoldenTest, testing::Values("1.0"),
                         [](const auto&) { return std::string("1_0"); });

TEST(GoldenFilesTest, ThisVersionsFileIsWhatATestWritesToday) {
  const std::string version = std::to_string(shm::kAbiMajor) + "." + std::to_string(shm::kAbiMinor);
  const auto packed = packed_segment();
  const std::string bytes(packed.begin(), packed.end());
  if (std::getenv("TAILRACE_WRITE_GOLDEN") != nullptr) {
    std::ofstream(golden("segment-" + version + ".sparse"), std::ios::binary) << bytes;
    std::ofstream(golden("segment-" + version + ".txt"))
        << dump_of(shm::test::unpack_image({packed.data(), packed.size()}));
  }
  EXPECT_TRUE(read_file(golden("segment-" + version + ".sparse")) == bytes)
      << "a structure moved, or fill_with_everything() changed: within one version it may only gain new segments";
}

}  // namespace
}  // namespace tailrace::agent
