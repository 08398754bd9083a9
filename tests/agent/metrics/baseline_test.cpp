// SPDX-License-Identifier: Apache-2.0
#include "agent/metrics/baseline.hpp"

#include <gtest/gtest.h>

#include <limits>
#include <random>

namespace tailrace::agent {
namespace {

using Shape = Baseline::Shape;
constexpr auto kMax = std::numeric_limits<std::uint64_t>::max();

Baseline random_baseline(std::mt19937_64& random) {
  Baseline baseline = random() % 3 == 0 ? Baseline::lost(random() >> random() % 64) : Baseline();
  const auto number = [&] { return random() % 8 == 0 ? kMax : random() >> random() % 64; };
  for (std::uint32_t series = 0; series < 1000; series += static_cast<std::uint32_t>(1 + random() % 200)) {
    Baseline::Entry entry;
    entry.series = series;
    entry.shape = static_cast<Shape>(random() % 3);
    entry.start_ns = number();
    if (entry.shape != Shape::start) entry.word = number();
    if (entry.shape == Shape::histogram) {
      entry.zero = number();
      for (std::uint32_t i = 0; i < 300; i += static_cast<std::uint32_t>(1 + random() % 50)) {
        entry.buckets.push_back({i, number() | 1});
      }
    }
    baseline.set(entry);
  }
  return baseline;
}

TEST(BaselineTest, ComesBackFromItsBytesAsItWas) {
  std::mt19937_64 random(1);
  for (int i = 0; i < 300; ++i) {
    const Baseline baseline = random_baseline(random);
    const auto bytes = baseline.encode();
    const auto again = Baseline::decode(bytes);
    ASSERT_TRUE(again.has_value());
    ASSERT_TRUE(*again == baseline);
    ASSERT_EQ(again->encode(), bytes);
  }
}

TEST(BaselineTest, OfNothingHasNoBytesAndALostOneHasSome) {
  EXPECT_TRUE(Baseline().encode().empty());
  EXPECT_TRUE(Baseline::decode({})->entries().empty());
  const auto again = Baseline::decode(Baseline::lost(77).encode());
  ASSERT_TRUE(again.has_value());
  EXPECT_EQ(again->lost_ns(), 77u);
}

TEST(BaselineTest, KeepsItsEntriesInOrderAndReplacesThem) {
  Baseline baseline;
  for (const std::uint32_t series : {5u, 1u, 9u, 5u}) {
    Baseline::Entry entry;
    entry.series = series;
    entry.word = baseline.entries().size();
    baseline.set(entry);
  }
  ASSERT_EQ(baseline.entries().size(), 3u);
  EXPECT_EQ(baseline.entries()[1].series, 5u);
  EXPECT_EQ(baseline.find(5)->word, 3u);
  EXPECT_EQ(baseline.find(4), nullptr);
}

// A counter that is collected again and again takes some ten bytes.
TEST(BaselineTest, IsCompact) {
  Baseline baseline;
  for (std::uint32_t i = 0; i < 1000; ++i) baseline.set({i, Shape::word, 1'700'000'000'000'000'000u, 12345 + i, 0, {}});
  EXPECT_LT(baseline.encode().size(), 7 * 1000u);
}

// It is read back after a kill: cut or changed bytes are no baseline, or one that holds together.
TEST(BaselineTest, OfBytesThatItDidNotWriteIsNothingOrWholeAndNeverHarm) {
  std::mt19937_64 random(2);
  std::size_t refused = 0;
  for (int i = 0; i < 200; ++i) {
    const auto bytes = random_baseline(random).encode();
    for (std::size_t size = 0; size <= bytes.size(); size += 1 + random() % 20) {
      const std::vector<std::uint8_t> cut(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(size));
      const auto read = Baseline::decode(cut);
      if (read) {
        ASSERT_EQ(read->encode(), cut);
      }
    }
    for (int flips = 0; flips < 50 && !bytes.empty(); ++flips) {
      std::vector<std::uint8_t> changed = bytes;
      changed[random() % changed.size()] ^= static_cast<std::uint8_t>(1u << random() % 8);
      const auto read = Baseline::decode(changed);
      if (!read) ++refused;
      if (read) {
        ASSERT_EQ(read->encode(), changed);
      }
    }
  }
  EXPECT_GT(refused, 100u);
  const std::vector<std::uint8_t> other_version{'T', 'M', 'B', 2, 1};
  EXPECT_FALSE(Baseline::decode(other_version).has_value());
  // A count of buckets that nothing stands behind.
  const std::vector<std::uint8_t> hollow{'T', 'M', 'B', 1, 0, 0, 0,    2,    0,    0,   0,
                                         0,   0,   0,   0, 0, 0, 0xff, 0xff, 0xff, 0x0f};
  EXPECT_FALSE(Baseline::decode(hollow).has_value());
}

}  // namespace
}  // namespace tailrace::agent
