// SPDX-License-Identifier: Apache-2.0
// Writes the metrics fuzzer's seeds into a directory: every kind of series, each temporality, with and
// without a baseline.
// Usage: metrics_seeds DIRECTORY
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "agent/metrics/baseline.hpp"
#include "tests/shm/segment_builder.hpp"
#include "tests/shm/sparse_image.hpp"

int main(int argc, char** argv) {
  using namespace tailrace;
  if (argc != 2) {
    std::fprintf(stderr, "usage: metrics_seeds DIRECTORY\n");
    return 2;
  }
  const std::filesystem::path directory = argv[1];
  std::error_code error;
  std::filesystem::create_directories(directory, error);

  shm::test::SegmentBuilder segment;
  shm::test::fill_with_metrics(segment, 0);
  const std::vector<std::uint8_t> image = shm::test::pack_image(segment.image());

  agent::Baseline baseline;
  using Shape = agent::Baseline::Shape;
  baseline.set({0, Shape::word, 1'700'000'000'000'000'000u, 3, 0, {}});
  baseline.set({3, Shape::start, 1'700'000'000'000'000'000u, 0, 0, {}});
  baseline.set({7, Shape::histogram, 1'700'000'000'000'000'000u, 0, 0, {{1, 1}}});
  baseline.set({8, Shape::histogram, 1'700'000'000'000'000'000u, 1, 1, {{5, 1}, {11, 1}}});
  for (int preference = 0; preference < 6; ++preference) {
    std::vector<std::uint8_t> known;
    if (preference >= 3) known = baseline.encode();
    std::vector<std::uint8_t> seed{static_cast<std::uint8_t>(preference), static_cast<std::uint8_t>(preference * 40),
                                   static_cast<std::uint8_t>(known.size()), 0};
    seed.insert(seed.end(), known.begin(), known.end());
    seed.insert(seed.end(), image.begin(), image.end());
    std::ofstream file(directory / std::to_string(preference), std::ios::binary);
    file.write(reinterpret_cast<const char*>(seed.data()), static_cast<std::streamsize>(seed.size()));
    if (!file.flush()) return 1;
  }
  return 0;
}
