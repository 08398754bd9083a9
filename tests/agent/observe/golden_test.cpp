// SPDX-License-Identifier: Apache-2.0
// Golden segments: one of each released minor version of the ABI, with one of everything in it, and the text
// that dump made of it then. A program of any later minor version must read them as they were meant.
//
// A new minor version adds files of its own; TAILRACE_WRITE_GOLDEN=1 writes those of this version. The image of
// version 1.0 is frozen since 2026-11-22 and never changes. If one of these tests fails, so does an old
// application beside a new agent; the texts may change only where the same is said in other words.
#include <gtest/gtest.h>

#include "agent/observe/dump.hpp"
#include "tests/agent/observe/golden.hpp"
#include "tests/shm/segment_builder.hpp"

namespace tailrace::agent {
namespace {

using shm::test::SegmentBuilder;
using test::golden;
using test::golden_image;
using test::read_file;

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
  const auto image = golden_image(version);
  EXPECT_EQ(dump_of(image), read_file(golden("segment-" + version + ".txt")));
}
INSTANTIATE_TEST_SUITE_P(Versions, GoldenTest, testing::Values("1.0"), [](const auto&) { return std::string("1_0"); });

TEST(GoldenFilesTest, ThisVersionsFileIsWhatATestWritesToday) {
  const std::string version = std::to_string(shm::kAbiMajor) + "." + std::to_string(shm::kAbiMinor);
  const auto packed = packed_segment();
  const std::string bytes(packed.begin(), packed.end());
  if (test::write_golden()) {
    std::ofstream(golden("segment-" + version + ".sparse"), std::ios::binary) << bytes;
    std::ofstream(golden("segment-" + version + ".txt"))
        << dump_of(shm::test::unpack_image({packed.data(), packed.size()}));
  }
  EXPECT_TRUE(read_file(golden("segment-" + version + ".sparse")) == bytes)
      << "a structure moved, or fill_with_everything() changed: within one version it may only gain new segments";
}

// FNV-1a: editing the image, whatever for, fails here.
TEST(GoldenFilesTest, TheImageOfVersion1_0IsTheOneThatWasFrozen) {
  std::uint64_t hash = 0xcbf29ce484222325ull;
  for (const char byte : read_file(golden("segment-1.0.sparse"))) {
    hash = (hash ^ static_cast<std::uint8_t>(byte)) * 0x100000001b3ull;
  }
  EXPECT_EQ(hash, 4911422919967198442ull);
}

}  // namespace
}  // namespace tailrace::agent
