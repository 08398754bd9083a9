// SPDX-License-Identifier: Apache-2.0
//
// Thousands of spans and logs of random shape: always Protobuf's own bytes.

#include <cstdint>
#include <gtest/gtest.h>
#include <string>
#include <vector>

#include "proto/encode/encode.hpp"
#include "tests/proto/expected.hpp"
#include "tests/proto/random_views.hpp"

namespace tailrace::otlp::test {
namespace {

constexpr std::uint64_t kSeeds = 8;
constexpr int kRecordsPerSeed = 500;

class RandomRecords : public testing::TestWithParam<std::uint64_t> {
 protected:
  RandomViews views_{GetParam()};
  std::vector<std::uint8_t> buffer_ = std::vector<std::uint8_t>(std::size_t{32} << 20);
  BackwardWriter writer_{buffer_.data(), buffer_.size()};
};

TEST_P(RandomRecords, SpansAreWrittenAsProtobufWritesThem) {
  for (int index = 0; index < kRecordsPerSeed; ++index) {
    SCOPED_TRACE(testing::Message() << "span " << index << " of seed " << GetParam());
    views_.clear();
    writer_.clear();
    const SpanView view = views_.span();
    ASSERT_TRUE(encode_span(writer_, view));
    otel::trace::v1::Span read;
    ASSERT_TRUE(parse_span(text_of(writer_), read));
    ASSERT_EQ(difference(read, expected(view)), "");
    otel::trace::v1::ScopeSpans scope;
    *scope.add_spans() = expected(view);
    ASSERT_TRUE(text_of(writer_) == scope.SerializeAsString());
  }
  EXPECT_EQ(writer_.repaired_texts(), 0U);
}

TEST_P(RandomRecords, LogsAreWrittenAsProtobufWritesThem) {
  for (int index = 0; index < kRecordsPerSeed; ++index) {
    SCOPED_TRACE(testing::Message() << "log " << index << " of seed " << GetParam());
    views_.clear();
    writer_.clear();
    const LogView view = views_.log();
    ASSERT_TRUE(encode_log(writer_, view));
    otel::logs::v1::LogRecord read;
    ASSERT_TRUE(parse_log(text_of(writer_), read));
    ASSERT_EQ(difference(read, expected(view)), "");
    otel::logs::v1::ScopeLogs scope;
    *scope.add_log_records() = expected(view);
    ASSERT_TRUE(text_of(writer_) == scope.SerializeAsString());
  }
  EXPECT_EQ(writer_.repaired_texts(), 0U);
}

// Every size of buffer, each a heap block of exactly that size, so that a
// sanitizer sees the first byte out of place.
TEST_P(RandomRecords, AreWrittenWholeOrNotAtAllIntoABufferOfAnySize) {
  constexpr std::size_t kTooSlow = 4000;
  int tried = 0;
  while (tried < 12) {
    views_.clear();
    writer_.clear();
    const SpanView span = views_.span();
    const LogView log = views_.log();
    const bool is_span = views_.below(2) == 0;
    const auto encode = [&](BackwardWriter& writer) {
      return is_span ? encode_span(writer, span) : encode_log(writer, log);
    };
    ASSERT_TRUE(encode(writer_));
    const std::string whole = text_of(writer_);
    if (whole.size() > kTooSlow) continue;
    ++tried;
    for (std::size_t size = 0; size <= whole.size() + kRoomBesideTexts; ++size) {
      std::vector<std::uint8_t> exact(size);
      exact.shrink_to_fit();
      BackwardWriter small(exact.data(), exact.size());
      if (encode(small)) {
        ASSERT_TRUE(text_of(small) == whole) << size;
      } else {
        ASSERT_EQ(small.size(), 0U);
        ASSERT_LT(size, whole.size() + kRoomBesideTexts) << "promised room is not used";
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(OfSeed, RandomRecords, testing::Range<std::uint64_t>(1, kSeeds + 1));

// Elements without a text meet no check of their own.
TEST(SmallBuffer, IsNotLeftByALongArrayOfNumbers) {
  const std::vector<KeyValue> inner(90, KeyValue{"", Value::of(INT64_MIN)});
  std::vector<KeyValue> elements(100, KeyValue{"", Value::of(INT64_MIN)});
  elements.push_back({"", Value::array(inner.data(), inner.size())});
  const KeyValue attribute{"k", Value::array(elements.data(), elements.size())};
  SpanView span;
  span.attributes = {&attribute, 1};
  for (std::size_t size = 0; size <= 4096; ++size) {
    std::vector<std::uint8_t> exact(size);
    BackwardWriter writer(exact.data(), exact.size());
    if (!encode_span(writer, span)) {
      EXPECT_EQ(writer.size(), 0U);
    }
  }
}

// A writer that is full keeps what it holds.
TEST(FullWriter, KeepsTheRecordsBeforeTheOneThatDidNotFit) {
  RandomViews views(99);
  std::vector<std::uint8_t> buffer(std::size_t{64} << 10);
  BackwardWriter writer(buffer.data(), buffer.size());
  int records = 0;
  for (;; ++records) {
    const std::string before = text_of(writer);
    if (!encode_span(writer, views.span())) {
      EXPECT_TRUE(text_of(writer) == before);
      break;
    }
  }
  otel::trace::v1::ScopeSpans scope;
  ASSERT_TRUE(scope.ParseFromString(text_of(writer)));
  EXPECT_EQ(scope.spans_size(), records);
  EXPECT_GT(records, 5);
}

}  // namespace
}  // namespace tailrace::otlp::test
