// SPDX-License-Identifier: Apache-2.0
#include "agent/viewer/text.hpp"

#include <array>
#include <gtest/gtest.h>
#include <string>
#include <zlib.h>

#include "agent/viewer/address.hpp"
#include "agent/viewer/inflate.hpp"

namespace tailrace::agent::viewer {
namespace {

std::string gzip(const std::string& bytes) {
  z_stream stream{};
  EXPECT_EQ(deflateInit2(&stream, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
  std::string out(deflateBound(&stream, bytes.size()) + 64, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
  stream.avail_in = static_cast<uInt>(bytes.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  EXPECT_EQ(deflate(&stream, Z_FINISH), Z_STREAM_END);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

TEST(ViewerText, EverythingThatMeansSomethingInHtmlIsEscaped) {
  EXPECT_EQ(escape_html("<script>alert('x' & \"y\")</script>"),
            "&lt;script&gt;alert(&#39;x&#39; &amp; &quot;y&quot;)&lt;/script&gt;");
  EXPECT_EQ(escape_html(std::string_view("a\0b", 3)),
            "a\xEF\xBF\xBD"
            "b");
}

TEST(ViewerText, CutsBeforeACharacterNotInsideIt) {
  EXPECT_EQ(clip_text("abc", 3), "abc");
  EXPECT_EQ(clip_text("ab€", 4), "ab");
  EXPECT_EQ(clip_text("ab€", 5), "ab€");
  EXPECT_EQ(clip_text("", 0), "");
  EXPECT_EQ(clip_text("\x80\x80\x80\x80\x80\x80", 5).size(), 2u);  // no UTF-8: anywhere will do
}

TEST(ViewerText, HexGoesBothWaysAndRefusesOtherText) {
  std::array<std::uint8_t, 2> bytes{};
  EXPECT_TRUE(from_hex("aF09", bytes));
  EXPECT_EQ(to_hex(bytes), "af09");
  EXPECT_FALSE(from_hex("aF0", bytes));
  EXPECT_FALSE(from_hex("aF0g", bytes));
  EXPECT_FALSE(from_hex("", bytes));
}

TEST(ViewerText, DurationsAndSizesReadEasily) {
  EXPECT_EQ(format_duration(0), "0 ns");
  EXPECT_EQ(format_duration(1'500), "1.5 µs");
  EXPECT_EQ(format_duration(1'234'567), "1.23 ms");
  EXPECT_EQ(format_duration(2'500'000'000), "2.50 s");
  EXPECT_EQ(format_duration(150'000'000'000), "2 min 30 s");
  EXPECT_EQ(format_duration(7'260'000'000'000), "2 h 1 min");
  EXPECT_EQ(format_bytes(512), "512 B");
  EXPECT_EQ(format_bytes(std::uint64_t{64} << 20), "64.0 MiB");
  EXPECT_EQ(format_count(1'234'567), "1\u2009234\u2009567");
  EXPECT_EQ(format_count(12), "12");
}

TEST(ViewerText, TimesOfAnySizeAreShownWithoutHarm) {
  EXPECT_EQ(format_iso(1'000'000'001), "1970-01-01T00:00:01.000000001Z");
  EXPECT_EQ(format_iso(0), "");
  EXPECT_EQ(format_clock(0), "unknown");
  EXPECT_FALSE(format_iso(~std::uint64_t{0}).empty());
  EXPECT_FALSE(format_clock(~std::uint64_t{0}).empty());
}

TEST(ViewerAddress, OnlyLoopbackMayBeListenedOn) {
  EXPECT_EQ(*loopback_address("127.0.0.1"), "127.0.0.1");
  EXPECT_EQ(*loopback_address("127.8.9.10"), "127.8.9.10");
  EXPECT_EQ(*loopback_address("localhost"), "127.0.0.1");
  EXPECT_EQ(*loopback_address("[::1]"), "::1");
  for (const char* address :
       {"0.0.0.0", "::", "192.168.1.2", "example.org", "", "127.0.0.1.example.org", "::ffff:192.168.1.2", "127.1"}) {
    const auto refused = loopback_address(address);
    ASSERT_FALSE(refused.ok()) << address;
    EXPECT_EQ(refused.error().code, ErrorCode::kInvalidArgument);
    EXPECT_NE(refused.error().sentence.find("loopback only"), std::string::npos);
  }
}

TEST(ViewerAddress, OnlyLoopbackNamesAreAnswered) {
  for (const char* host : {"localhost", "LocalHost:8317", "127.0.0.1", "127.0.0.1:1", "[::1]", "[::1]:8317"}) {
    EXPECT_TRUE(is_loopback_host(host)) << host;
  }
  for (const char* host : {"", ":80", "example.org", "example.org:8317", "localhost.example.org",
                           "127.0.0.1.example.org", "[::1", "[::2]", "[]", "::1", "127.0.0.1:80:80", "127.0.0.1:x",
                           "127.0.0.1 ", "localhost@example.org", "10.0.0.1", "[fe80::1]:80"}) {
    EXPECT_FALSE(is_loopback_host(host)) << host;
  }
  EXPECT_FALSE(is_loopback_host(std::string(10'000, '1')));
}

TEST(ViewerInflate, GivesBackWhatWasCompressed) {
  for (const std::size_t size : {std::size_t{0}, std::size_t{1}, std::size_t{65'536}, std::size_t{3'000'000}}) {
    std::string bytes(size, 'a');
    for (std::size_t i = 0; i < size; i += 7) {
      bytes[i] = static_cast<char>(i * 31);
    }
    const std::string compressed = gzip(bytes);
    EXPECT_TRUE(is_gzip(compressed));
    const auto inflated = inflate_gzip(compressed, 3'000'000);
    ASSERT_TRUE(inflated.ok()) << inflated.error().sentence;
    EXPECT_EQ(*inflated, bytes);
  }
}

TEST(ViewerInflate, StopsAtTheBoundAndNotOneByteLater) {
  const std::string compressed = gzip(std::string(1'000'000, 'a'));
  EXPECT_LT(compressed.size(), 5'000u);
  EXPECT_TRUE(inflate_gzip(compressed, 1'000'000).ok());
  const auto refused = inflate_gzip(compressed, 999'999);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, ErrorCode::kResourceExhausted);
}

TEST(ViewerInflate, RefusesWhatIsCutOrDamaged) {
  const std::string compressed = gzip(std::string(10'000, 'a') + "end");
  for (std::size_t size = 2; size < compressed.size(); ++size) {
    const auto refused = inflate_gzip(std::string_view(compressed).substr(0, size), 100'000);
    ASSERT_FALSE(refused.ok()) << size;
    EXPECT_EQ(refused.error().code, ErrorCode::kCorrupt);
  }
  std::string damaged = compressed;
  damaged[damaged.size() - 6] = static_cast<char>(damaged[damaged.size() - 6] ^ 1);  // in the checksum
  EXPECT_FALSE(inflate_gzip(damaged, 100'000).ok());
}

}  // namespace
}  // namespace tailrace::agent::viewer
