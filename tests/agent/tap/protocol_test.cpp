// SPDX-License-Identifier: Apache-2.0
#include "agent/tap/protocol.hpp"

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

namespace tailrace::agent {
namespace {

TapFilter full_filter() {
  TapFilter filter;
  filter.service = std::string(kTapPatternBytes, 's');
  filter.name = "p*";
  filter.signals = 5;
  filter.severity = 13;
  filter.slower_than_ns = 10'000'000;
  filter.trace_id.bytes.fill(0xA1);
  return filter;
}

TEST(TapProtocol, ARequestComesBackWhole) {
  const TapFilter filter = full_filter();
  const Result<TapFilter> back = decode_request(encode_request(filter));
  ASSERT_TRUE(back.ok()) << back.error().sentence;
  EXPECT_EQ(back->service, filter.service);
  EXPECT_EQ(back->name, filter.name);
  EXPECT_EQ(back->signals, filter.signals);
  EXPECT_EQ(back->severity, filter.severity);
  EXPECT_EQ(back->slower_than_ns, filter.slower_than_ns);
  EXPECT_EQ(back->trace_id, filter.trace_id);
}

TEST(TapProtocol, EveryOtherLengthIsRefused) {
  const auto good = encode_request(full_filter());
  for (std::size_t size = 0; size <= 2 * kTapRequestBytes; ++size) {
    std::vector<std::byte> packet(good.begin(), good.end());
    packet.resize(size);
    EXPECT_EQ(decode_request(packet).ok(), size == kTapRequestBytes) << size;
  }
}

// Each field alone says something that no client of ours says.
TEST(TapProtocol, EveryLieIsRefused) {
  TapFilter filter;
  const auto good = encode_request(filter);
  struct Lie {
    std::size_t at;
    int value;
  };
  for (const Lie& lie : {Lie{0, 'T'}, Lie{8, 0}, Lie{8, 8}, Lie{9, 25}, Lie{10, 129}, Lie{11, 1}, Lie{12, 200},
                         Lie{14, 1}, Lie{40, 'x'}, Lie{kTapRequestBytes - 1, 1}}) {
    auto packet = good;
    packet[lie.at] = static_cast<std::byte>(lie.value);
    const Result<TapFilter> answer = decode_request(packet);
    EXPECT_FALSE(answer.ok()) << lie.at;
  }
}

TEST(TapProtocol, RandomBytesAreRefused) {
  std::mt19937 random(20261122);
  for (int i = 0; i < 10'000; ++i) {
    std::vector<std::byte> packet(random() % (2 * kTapRequestBytes));
    for (std::byte& byte : packet) byte = static_cast<std::byte>(random());
    EXPECT_FALSE(decode_request(packet).ok());
  }
}

}  // namespace
}  // namespace tailrace::agent
