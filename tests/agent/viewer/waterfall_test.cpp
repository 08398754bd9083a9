// SPDX-License-Identifier: Apache-2.0
#include "agent/viewer/waterfall.hpp"

#include <gtest/gtest.h>
#include <random>
#include <vector>

namespace tailrace::agent::viewer {
namespace {

SpanId id_of(std::uint8_t number) {
  SpanId id{};
  id[7] = number;
  return id;
}

SpanRow row(std::uint8_t id, std::uint8_t parent, std::uint64_t start_ns, std::uint64_t end_ns = 0) {
  SpanRow span;
  span.span_id = id_of(id);
  span.parent_id = id_of(parent);
  span.start_ns = start_ns;
  span.end_ns = end_ns == 0 ? start_ns + 10 : end_ns;
  return span;
}

// "1 .2 ..4 .3": ids in the order of drawing, a dot for each step of depth, ! for a missing parent.
std::string drawn(const std::vector<SpanRow>& spans) {
  std::string text;
  for (const WaterfallRow& one : make_waterfall(spans).rows) {
    text += (text.empty() ? "" : " ") + std::string(one.depth, '.') + (one.parent_missing ? "!" : "") +
            std::to_string(spans[one.span].span_id[7]);
  }
  return text;
}

TEST(ViewerWaterfall, ChildrenStandUnderTheirParentByStart) {
  EXPECT_EQ(drawn({row(3, 1, 300), row(4, 2, 250), row(1, 0, 100), row(2, 1, 200)}), "1 .2 ..4 .3");
}

TEST(ViewerWaterfall, WithoutTheirParentSpansBeginTreesOfTheirOwn) {
  EXPECT_EQ(drawn({row(2, 9, 200), row(3, 2, 300), row(1, 0, 100)}), "1 !2 .3");
}

TEST(ViewerWaterfall, RingsAndRepeatsAreDrawnOnce) {
  EXPECT_EQ(drawn({row(1, 1, 100)}), "!1");
  EXPECT_EQ(drawn({row(1, 2, 100), row(2, 1, 200), row(3, 2, 300)}), "!1 .2 ..3");
  EXPECT_EQ(drawn({row(1, 0, 100), row(1, 0, 100), row(2, 1, 200)}).size(), std::string("1 .2 1").size());
}

TEST(ViewerWaterfall, TheRangeIsNeverNothing) {
  EXPECT_EQ(make_waterfall({}).rows.size(), 0u);
  EXPECT_EQ(make_waterfall({row(1, 0, 100, 100)}).range_ns, 1u);
  const Waterfall wide = make_waterfall({row(1, 0, 0, ~0ull), row(2, 1, ~0ull, 1)});
  EXPECT_EQ(wide.start_ns, 0u);
  EXPECT_EQ(wide.range_ns, ~0ull);
}

TEST(ViewerWaterfall, EverySpanComesOnceWhateverTheIdsSay) {
  std::mt19937 random(11);
  for (int round = 0; round < 300; ++round) {
    std::vector<SpanRow> spans;
    for (unsigned i = 0; i < 1 + random() % 60; ++i) {
      spans.push_back(
          row(static_cast<std::uint8_t>(random() % 40), static_cast<std::uint8_t>(random() % 40), random()));
    }
    std::vector<int> times(spans.size());
    for (const WaterfallRow& one : make_waterfall(spans).rows) ++times[one.span];
    EXPECT_EQ(times, std::vector<int>(spans.size(), 1));
  }
}

// A chain of parents as long as the answer may be: no recursion follows it.
TEST(ViewerWaterfall, ADeepChainIsFollowed) {
  std::vector<SpanRow> spans;
  for (std::uint64_t i = 0; i < 10'000; ++i) {
    SpanRow span = row(0, 0, i);
    for (int k = 0; k < 8; ++k) {
      span.span_id[static_cast<std::size_t>(k)] = static_cast<std::uint8_t>((i + 1) >> (8 * k));
      span.parent_id[static_cast<std::size_t>(k)] = static_cast<std::uint8_t>(i >> (8 * k));
    }
    spans.push_back(span);
  }
  EXPECT_EQ(make_waterfall(spans).rows.back().depth, 9'999u);
}

}  // namespace
}  // namespace tailrace::agent::viewer
