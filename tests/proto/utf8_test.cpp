// SPDX-License-Identifier: Apache-2.0
//
// Applications hand over any bytes as text; a strict reader refuses the whole
// request for one bad byte. So every text is written valid, and a valid one
// unchanged. Protobuf's own parser is the judge.

#include "proto/encode/utf8.hpp"

#include <array>
#include <cstdint>
#include <google/protobuf/stubs/logging.h>
#include <gtest/gtest.h>
#include <string>
#include <vector>

#include "proto/encode/encode.hpp"
#include "tests/proto/expected.hpp"

namespace tailrace::otlp::test {
namespace {

class EncodedText : public testing::Test {
 protected:
  std::string name_read(std::string_view name) {
    SpanView span;
    span.name = name;
    writer_.clear();
    EXPECT_TRUE(encode_span(writer_, span));
    otel::trace::v1::Span read;
    EXPECT_TRUE(parse_span(text_of(writer_), read)) << "a strict reader refuses it";
    return read.name();
  }

  static bool is_valid(const std::string& text) {
    const std::string field = "\x2a" + std::string(1, static_cast<char>(text.size())) + text;
    otel::trace::v1::Span span;
    return span.ParseFromString(field);
  }

  // Valid text unchanged, other text repaired, both as Protobuf judges.
  void expect_readable(const std::string& text) {
    const std::uint64_t repaired = writer_.repaired_texts();
    const std::string read = name_read(text);
    if (is_valid(text)) {
      ASSERT_EQ(read, text);
      ASSERT_EQ(writer_.repaired_texts(), repaired);
    } else {
      ASSERT_NE(read, text);
      ASSERT_EQ(writer_.repaired_texts(), repaired + 1);
      ASSERT_EQ(count_invalid_utf8(reinterpret_cast<const std::uint8_t*>(read.data()), read.size()), 0U);
    }
  }

  google::protobuf::LogSilencer quiet_;  // it reports each refused text
  std::vector<std::uint8_t> buffer_ = std::vector<std::uint8_t>(std::size_t{1} << 20);
  BackwardWriter writer_{buffer_.data(), buffer_.size()};
};

TEST_F(EncodedText, OfAnyTwoBytesIsReadable) {
  for (int first = 0; first < 256; ++first) {
    for (int second = 0; second < 256; ++second) {
      expect_readable({static_cast<char>(first), static_cast<char>(second)});
    }
  }
}

TEST_F(EncodedText, OfAnyThreeOrFourBytesAtTheEdgesIsReadable) {
  constexpr std::array<std::uint8_t, 19> kEdges{0x00, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xc1,
                                                0xc2, 0xdf, 0xe0, 0xed, 0xef, 0xf0, 0xf4, 0xf5, 0xff};
  for (const auto a : kEdges) {
    for (const auto b : kEdges) {
      for (const auto c : kEdges) {
        expect_readable({static_cast<char>(a), static_cast<char>(b), static_cast<char>(c)});
        for (const auto d : kEdges) {
          expect_readable({static_cast<char>(a), static_cast<char>(b), static_cast<char>(c), static_cast<char>(d)});
        }
      }
    }
  }
}

TEST_F(EncodedText, WithABadByteAtAnyPlaceIsRepairedThere) {
  for (const std::size_t size : {1U, 3U, 7U, 8U, 15U, 16U, 17U, 31U, 32U, 33U, 64U, 100U}) {
    for (std::size_t at = 0; at < size; ++at) {
      std::string text(size, 'a');
      text[at] = '\xff';
      std::string repaired(size, 'a');
      repaired.replace(at, 1, "\xef\xbf\xbd");
      ASSERT_EQ(name_read(text), repaired) << at << " of " << size;
    }
  }
}

TEST_F(EncodedText, IsRepairedWhereverATextStands) {
  constexpr std::string_view kBad = "caf\xe9";
  const std::string good = "caf\xef\xbf\xbd";
  const std::array elements{KeyValue{"", Value::string(kBad)}};
  const std::array attributes{KeyValue{kBad, Value::string(kBad)},
                              KeyValue{"list", Value::array(elements.data(), elements.size())},
                              KeyValue{"raw", Value::bytes(kBad)}};
  const std::array events{EventView{1, kBad, {}, 0}};
  const std::array links{LinkView{{}, {}, kBad, 0, {}, 0}};
  SpanView span;
  span.name = span.trace_state = span.status_message = kBad;
  span.attributes = attributes;
  span.events = events;
  span.links = links;
  ASSERT_TRUE(encode_span(writer_, span));
  otel::trace::v1::Span read;
  ASSERT_TRUE(parse_span(text_of(writer_), read));
  EXPECT_EQ(read.name(), good);
  EXPECT_EQ(read.trace_state(), good);
  EXPECT_EQ(read.status().message(), good);
  EXPECT_EQ(read.attributes(0).key(), good);
  EXPECT_EQ(read.attributes(0).value().string_value(), good);
  EXPECT_EQ(read.attributes(1).value().array_value().values(0).string_value(), good);
  EXPECT_EQ(read.attributes(2).value().bytes_value(), kBad) << "bytes are not text";
  EXPECT_EQ(read.events(0).name(), good);
  EXPECT_EQ(read.links(0).trace_state(), good);
  EXPECT_EQ(writer_.repaired_texts(), 8U);

  LogView log;
  log.severity_text = log.event_name = kBad;
  log.body = Value::string(kBad);
  writer_.clear();
  ASSERT_TRUE(encode_log(writer_, log));
  otel::logs::v1::LogRecord record;
  ASSERT_TRUE(parse_log(text_of(writer_), record));
  EXPECT_EQ(record.severity_text(), good);
  EXPECT_EQ(record.event_name(), good);
  EXPECT_EQ(record.body().string_value(), good);
}

TEST_F(EncodedText, ThatGrowsByRepairNeverLeavesItsBuffer) {
  const std::string bad(200, '\x80');
  const std::array attributes{KeyValue{bad, Value::string(bad)}};
  SpanView span;
  span.name = span.trace_state = span.status_message = bad;
  span.attributes = attributes;
  ASSERT_TRUE(encode_span(writer_, span));
  const std::string whole = text_of(writer_);
  for (std::size_t size = 0; size <= whole.size() + kRoomBesideTexts; ++size) {
    std::vector<std::uint8_t> exact(size);
    BackwardWriter small(exact.data(), exact.size());
    if (encode_span(small, span)) {
      ASSERT_TRUE(text_of(small) == whole);
    } else {
      ASSERT_EQ(small.size(), 0U);
      ASSERT_LT(size, whole.size() + kRoomBesideTexts);
    }
  }
}

}  // namespace
}  // namespace tailrace::otlp::test
