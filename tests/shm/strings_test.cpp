// SPDX-License-Identifier: Apache-2.0
// StringTable and UTF-8: the arena of a process that may say anything.
#include <gtest/gtest.h>

#include <tailrace/shm/layout.hpp>

#include "shm/reader/strings.hpp"
#include "shm/reader/utf8.hpp"
#include "tests/shm/segment_builder.hpp"

namespace tailrace::shm {
namespace {

using test::SegmentBuilder;

class StringTableTest : public testing::Test {
 protected:
  StringTableTest() : one(segment.intern("one")), two(segment.intern("")), three(segment.intern("three")) {}

  Bytes arena(std::size_t from, std::size_t length) {
    return segment.bytes(segment.region(RegionKind::strings).offset + from, length);
  }
  void copy_all(StringTable& to) {
    const std::size_t missing = to.missing(segment.process().strings_len.load());
    ASSERT_TRUE(to.extend(arena(to.size(), missing)));
  }
  void set_length(std::uint32_t id, std::uint32_t length) {
    std::memcpy(segment.at(RegionKind::strings) + 8 * id, &length, sizeof length);
  }

  SegmentBuilder segment;
  StringTable table{16384};
  std::uint32_t one;
  std::uint32_t two;
  std::uint32_t three;
};

TEST_F(StringTableTest, PublishedStringsAreFound) {
  copy_all(table);
  EXPECT_EQ(table.lookup(one), "one");
  EXPECT_EQ(table.lookup(two), "");
  EXPECT_EQ(table.lookup(three), "three");
}

TEST_F(StringTableTest, WhatWasNotPublishedIsNoString) {
  EXPECT_EQ(table.lookup(one), std::nullopt);
  copy_all(table);
  const std::uint32_t later = segment.intern("later");
  EXPECT_EQ(table.lookup(later), std::nullopt);
  copy_all(table);
  EXPECT_EQ(table.lookup(later), "later");
}

TEST_F(StringTableTest, ReservedAndImpossibleIdsAreNoStrings) {
  copy_all(table);
  for (const std::uint64_t id : {std::uint64_t{0}, std::uint64_t{kFirstStringId - 1}, table.size() / 8,
                                 std::uint64_t{0xFFFFFFFF}, ~std::uint64_t{0}, (~std::uint64_t{0}) / 8 + 1}) {
    EXPECT_EQ(table.lookup(id), std::nullopt) << id;
  }
}

TEST_F(StringTableTest, LengthThatLeadsOutOfThePublishedPartIsNoString) {
  set_length(three, 6);
  copy_all(table);
  EXPECT_EQ(table.lookup(three)->size(), 6u) << "into its own padding: ugly, but inside";
  set_length(one, 0xFFFFFFFF);
  StringTable other(16384);
  copy_all(other);
  EXPECT_EQ(other.lookup(one), std::nullopt);
  EXPECT_EQ(other.lookup(three)->substr(0, 5), "three");
}

TEST_F(StringTableTest, PublishedStringThatChangesLaterDoesNotChangeHere) {
  copy_all(table);
  set_length(one, 1);
  copy_all(table);
  EXPECT_EQ(table.lookup(one), "one");
}

TEST_F(StringTableTest, StringsStayWhereTheyAre) {
  copy_all(table);
  const char* before = table.lookup(one)->data();
  for (int i = 0; i < 500; ++i) segment.intern("more");
  copy_all(table);
  EXPECT_EQ(table.lookup(one)->data(), before);
}

TEST_F(StringTableTest, LengthThatGoesBackwardsIsIgnored) {
  copy_all(table);
  EXPECT_EQ(table.missing(kArenaStart), 0u);
  EXPECT_EQ(table.missing(0), 0u);
}

TEST_F(StringTableTest, EndlessStringsStopAtTheBudget) {
  StringTable small(1024);
  EXPECT_EQ(small.missing(~std::uint64_t{0}), 1024u);
  ASSERT_TRUE(small.extend(arena(0, 1024)));
  EXPECT_EQ(small.missing(~std::uint64_t{0}), 0u);
  EXPECT_FALSE(small.extend(arena(1024, 8)));
}

TEST_F(StringTableTest, BlobsLieInsideThePublishedPartOrAreEmpty) {
  copy_all(table);
  EXPECT_EQ(table.blob(kArenaStart, 8).size, 8u);
  EXPECT_TRUE(table.blob(0xFFFFFFFF, 0xFFFFFFFF).empty());
  EXPECT_TRUE(table.blob(table.size() - 8, 16).empty());
  EXPECT_TRUE(table.blob(0, 0).empty());
}

std::string repaired(std::string_view text) {
  std::string scratch;
  const std::string result(repair_utf8(text, scratch));
  EXPECT_TRUE(valid_utf8(result));
  return result;
}
const std::string kMark = "\xEF\xBF\xBD";

TEST(Utf8Test, ValidTextIsNotCopied) {
  for (const std::string_view text : {"", "plain", "caf\xC3\xA9", "\xE2\x82\xAC", "\xF0\x9F\x98\x80",
                                      "\xF4\x8F\xBF\xBF", "\xED\x9F\xBF", "\xEE\x80\x80", "\xC2\x80"}) {
    std::string scratch;
    EXPECT_TRUE(valid_utf8(text));
    EXPECT_EQ(repair_utf8(text, scratch).data(), text.data());
  }
}

TEST(Utf8Test, EachPieceThatCannotGoOnBecomesOneMark) {
  EXPECT_EQ(repaired("a\x80z"), "a" + kMark + "z");
  EXPECT_EQ(repaired("\xC0\xAF"), kMark + kMark) << "long form";
  EXPECT_EQ(repaired("\xE0\x9F\xBF"), kMark + kMark + kMark) << "long form";
  EXPECT_EQ(repaired("\xED\xA0\x80"), kMark + kMark + kMark) << "surrogate";
  EXPECT_EQ(repaired("\xF4\x90\x80\x80"), kMark + kMark + kMark + kMark) << "beyond U+10FFFF";
  EXPECT_EQ(repaired("\xF5"), kMark);
  EXPECT_EQ(repaired("x\xE2\x82"), "x" + kMark) << "cut at the end";
  EXPECT_EQ(repaired("\xF0\x9F\x98z"), kMark + "z");
  EXPECT_EQ(repaired("\xE2\x82\xE2\x82\xAC"), kMark + "\xE2\x82\xAC");
}

// The table 3-8 of the Unicode standard.
TEST(Utf8Test, UnicodeStandardsOwnExample) {
  EXPECT_EQ(repaired("\x61\xF1\x80\x80\xE1\x80\xC2\x62\x80\x63\x80\xBF\x64"),
            "a" + kMark + kMark + kMark + "b" + kMark + "c" + kMark + kMark + "d");
}

TEST(Utf8Test, EveryPairOfBytesCanBeRepairedAtEveryPlaceInAWord) {
  for (int a = 0; a < 256; ++a) {
    for (int b = 0; b < 256; b += 3) {
      for (std::size_t at = 0; at < 9; ++at) {
        std::string text(12, 'x');
        text[at] = static_cast<char>(a);
        text[at + 1] = static_cast<char>(b);
        std::string scratch;
        ASSERT_TRUE(valid_utf8(repair_utf8(text, scratch)));
      }
    }
  }
}

}  // namespace
}  // namespace tailrace::shm
