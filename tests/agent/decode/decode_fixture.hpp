// SPDX-License-Identifier: Apache-2.0
//
// A decoder that has the strings, scopes and times of a segment image, and records made for it.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

#include "agent/decode/decoder.hpp"
#include "tests/shm/segment_builder.hpp"

namespace tailrace::agent::test {

using shm::test::Blob;
using shm::test::Items;

// One unit of the counter is a nanosecond, and 0 of it is this time.
inline constexpr std::uint64_t kEpochNs = 1'700'000'000'000'000'000ull;

inline shm::ClockReading reading(std::uint64_t counter) { return {counter, kEpochNs + counter, counter}; }

class DecoderTest : public ::testing::Test {
 protected:
  DecoderTest() {
    decoder_.timeline().add_claim(reading(1));
    decoder_.timeline().add(reading(1'000'000'000));
  }

  std::uint32_t id(std::string_view text) {
    const std::uint32_t made = builder_.intern(text);
    publish();
    return made;
  }
  std::uint16_t scope(const Items& items) {
    const std::uint16_t made = builder_.scope(items);
    publish();
    return made;
  }
  void publish() {
    const std::uint64_t length = builder_.process().strings_len.load();
    StringCache& strings = decoder_.strings();
    const std::size_t more = strings.wanted(length);
    ASSERT_TRUE(strings.extend({builder_.at(shm::RegionKind::strings) + strings.length(), more}));
    const std::uint32_t count = builder_.process().scopes_count.load();
    std::vector<std::uint32_t> ids(count);
    if (count != 0) std::memcpy(ids.data(), builder_.at(shm::RegionKind::scopes), count * sizeof(std::uint32_t));
    decoder_.set_scopes(ids);
  }

  Decoded decode(Blob record) {
    record_ = std::move(record);
    return decoder_.decode(shm::test::bytes_of(record_), kObservedNs);
  }
  // A span with these items; the test fails if it is none.
  const otlp::SpanView& span(const Items& items, shm::test::SpanFields fields = {}) {
    const Decoded decoded = decode(shm::test::make_span(fields, items));
    EXPECT_EQ(decoded.kind, Decoded::Kind::span) << bad_record_name(decoded.bad);
    static const otlp::SpanView none;
    return decoded.span != nullptr ? *decoded.span : none;
  }
  const otlp::LogView& log(const Items& items, shm::test::LogFields fields = {}) {
    const Decoded decoded = decode(shm::test::make_log(fields, items));
    EXPECT_EQ(decoded.kind, Decoded::Kind::log) << bad_record_name(decoded.bad);
    static const otlp::LogView none;
    return decoded.log != nullptr ? *decoded.log : none;
  }
  BadRecord why_bad(const Blob& record) {
    const Decoded decoded = decode(record);
    EXPECT_EQ(decoded.kind, Decoded::Kind::bad);
    return decoded.bad;
  }

  static constexpr std::uint64_t kObservedNs = kEpochNs + 2'000'000'000;
  shm::test::SegmentBuilder builder_;
  SegmentDecoder decoder_{shm::ClockKind::monotonic};
  Blob record_;
};

// {key=value, …} for comparisons; every type shows itself.
inline std::string show(const otlp::Value& value);
inline std::string show(otlp::Attributes attributes, bool keys = true) {
  std::string text;
  for (const otlp::KeyValue& attribute : attributes) {
    if (!text.empty()) text += ", ";
    if (keys) text.append(attribute.key).append("=");
    text += show(attribute.value);
  }
  return text;
}
inline std::string show(const otlp::Value& value) {
  using Type = otlp::Value::Type;
  switch (value.type) {
    case Type::empty: return "empty";
    case Type::boolean: return value.boolean ? "true" : "false";
    case Type::integer: return std::to_string(value.integer);
    case Type::real: return std::to_string(value.real);
    case Type::string: return "'" + std::string(value.text()) + "'";
    case Type::bytes: {
      std::string text = "bytes";
      for (const char c : value.text()) text += ":" + std::to_string(static_cast<unsigned char>(c));
      return text;
    }
    case Type::array: return "[" + show(value.members(), false) + "]";
    case Type::map: return "{" + show(value.members()) + "}";
  }
  return "?";
}

}  // namespace tailrace::agent::test
