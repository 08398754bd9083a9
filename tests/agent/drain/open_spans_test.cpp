// SPDX-License-Identifier: Apache-2.0
#include "agent/drain/open_spans.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/drain/segment_drain.hpp"
#include "tests/agent/discover/segment_file.hpp"

namespace tailrace::agent {
namespace {

using shm::test::Items;
using shm::test::make_span;
using test::attach;
using test::open_directory;
using test::segment_name;
using test::SegmentFile;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

class OpenSpansTest : public ::testing::Test {
 protected:
  std::vector<std::uint64_t> ids(std::uint64_t from = 0) {
    OpenSpans open(*segment_, from);
    std::vector<std::uint64_t> found;
    shm::SlotSpan slot;
    while (open.next(slot)) found.push_back(slot.record.span_id);
    damaged_ = open.damaged();
    return found;
  }
  shm::test::SegmentBuilder& app() { return **file_; }

  test::TemporaryDirectory temporary_;
  std::unique_ptr<Directory> directory_ = open_directory(temporary_.path());
  std::unique_ptr<SegmentFile> file_ = std::make_unique<SegmentFile>(temporary_.in(segment_name(1)));
  std::unique_ptr<AttachedSegment> segment_ = attach(*directory_, segment_name(1));
  std::uint64_t damaged_ = 0;
};

TEST_F(OpenSpansTest, OpenOnesAndThoseWhoseRecordIsMissingAreFoundInSlotOrder) {
  fill_with_everything(app());
  EXPECT_THAT(ids(), ElementsAre(0x41, 0x43, 0x44));  // 0x42 is in its ring
  EXPECT_EQ(damaged_, 0u);
}

TEST_F(OpenSpansTest, GoesOnBehindTheSlotThatWasCommitted) {
  fill_with_everything(app());
  std::uint64_t from = 0;
  std::vector<std::uint64_t> found;
  for (int agents = 0; agents < 10; ++agents) {
    OpenSpans open(*segment_, from);  // each agent dies after one span
    shm::SlotSpan slot;
    if (!open.next(slot)) {
      EXPECT_EQ(open.index(), open.total());
      break;
    }
    found.push_back(slot.record.span_id);
    from = open.index();
  }
  EXPECT_THAT(found, ElementsAre(0x41, 0x43, 0x44));
}

TEST_F(OpenSpansTest, TheItemsOfAChainComeAlong) {
  fill_with_everything(app());
  SegmentDecoder decoder(segment_->geometry());
  SegmentDrain drain(*segment_, decoder);
  OpenSpans open(*segment_, 0);
  shm::SlotSpan slot;
  ASSERT_TRUE(open.next(slot));
  const Decoded decoded = decoder.decode_slot(slot, {}, 0, {});
  ASSERT_EQ(decoded.kind, Decoded::Kind::span);
  ASSERT_EQ(decoded.span->attributes.size(), 3u);
  EXPECT_EQ(decoded.span->name, "pay");
  EXPECT_EQ(decoded.span->attributes[1].key, "more");
  EXPECT_EQ(decoded.span->attributes[1].value.text(), "twice");
  EXPECT_EQ(decoded.span->attributes[2].key, "tailrace.span.incomplete");
}

TEST_F(OpenSpansTest, ASlotThatMakesNoSenseIsCountedAndSkipped) {
  app().take_lane(0);
  app().open_slot(app().slot(0, 0), make_span({.span_id = 1}));
  app().slot(0, 0).state.store(shm::slot_open(2));
  app().ending_slot(app().slot(0, 1), make_span({.span_id = 3}), 1000, 64);
  app().open_slot(app().slot(0, 2), make_span({.span_id = 4}));
  EXPECT_THAT(ids(), ElementsAre(4));
  EXPECT_EQ(damaged_, 2u);
}

TEST_F(OpenSpansTest, AChainInACircleEnds) {
  app().take_lane(0);
  app().open_slot(app().slot(0, 0), make_span({.span_id = 1}), 1);
  app().more_slot(0, Items().integer("a", 1), 2);
  app().more_slot(1, Items().integer("b", 1), 1);
  EXPECT_THAT(ids(), ElementsAre(1));
}

TEST_F(OpenSpansTest, AFileCutShortHasNone) {
  fill_with_everything(app());
  file_->cut_to(4096);
  EXPECT_THAT(ids(), IsEmpty());
}

TEST_F(OpenSpansTest, AnIndexBehindTheEndFindsNothing) {
  fill_with_everything(app());
  EXPECT_THAT(ids(1ull << 60), IsEmpty());
}

}  // namespace
}  // namespace tailrace::agent
