// SPDX-License-Identifier: Apache-2.0
// Writes the segment fuzzer's seeds into a directory: images with one of everything, sparse and plain.
// Usage: segment_seeds DIRECTORY
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>

#include "tests/shm/sparse_image.hpp"
#include "tests/shm/segment_builder.hpp"

namespace {

using namespace tailrace::shm;

bool write_seed(const std::filesystem::path& directory, const char* name, const std::vector<std::uint8_t>& bytes) {
  std::ofstream file(directory / name, std::ios::binary);
  file.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  file.close();
  if (!file) std::fprintf(stderr, "segment_seeds: cannot write %s in %s\n", name, directory.c_str());
  return static_cast<bool>(file);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: segment_seeds DIRECTORY\n");
    return 2;
  }
  const std::filesystem::path directory = argv[1];
  std::error_code error;
  std::filesystem::create_directories(directory, error);

  test::SegmentBuilder empty;
  test::SegmentBuilder full;
  test::fill_with_everything(full);
  static_assert(test::kSparseImageBytes % kRegionAlign == 0);
  if (full.size() != test::kSparseImageBytes) {
    std::fprintf(stderr, "segment_seeds: an image has %zu bytes, kSparseImageBytes says %zu\n", full.size(),
                 test::kSparseImageBytes);
    return 1;
  }
  std::vector<std::uint8_t> header{0};
  header.insert(header.end(), full.data(), full.data() + 1024);

  test::BuilderOptions newer;
  newer.minor = kAbiMinor + 1;
  test::SegmentBuilder other(newer);
  test::fill_with_everything(other);
  other.identity().header_size += 64;
  other.process().crash.signal.store(11);

  const bool written = write_seed(directory, "empty", test::pack_image(empty.image())) &&
                       write_seed(directory, "everything", test::pack_image(full.image())) &&
                       write_seed(directory, "newer_minor", test::pack_image(other.image())) &&
                       write_seed(directory, "header_alone", header);
  return written ? 0 : 1;
}
