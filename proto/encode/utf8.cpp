// SPDX-License-Identifier: Apache-2.0
#include "proto/encode/utf8.hpp"

#include <cstring>

namespace tailrace::otlp {
namespace {

// Length of the valid sequence at `at`, 0 if there is none.
std::size_t sequence_length(const std::uint8_t* at, std::size_t left) {
  const auto continues = [&](std::size_t index, std::uint8_t low = 0x80, std::uint8_t high = 0xbf) {
    return index < left && at[index] >= low && at[index] <= high;
  };
  const std::uint8_t lead = at[0];
  if (lead < 0x80) return 1;
  if (lead < 0xc2) return 0;  // a continuation, or an overlong form of ASCII
  if (lead < 0xe0) return continues(1) ? 2 : 0;
  if (lead < 0xf0) {
    const std::uint8_t low = lead == 0xe0 ? 0xa0 : 0x80;   // else overlong
    const std::uint8_t high = lead == 0xed ? 0x9f : 0xbf;  // else a surrogate
    return continues(1, low, high) && continues(2) ? 3 : 0;
  }
  if (lead < 0xf5) {
    const std::uint8_t low = lead == 0xf0 ? 0x90 : 0x80;   // else overlong
    const std::uint8_t high = lead == 0xf4 ? 0x8f : 0xbf;  // else above U+10FFFF
    return continues(1, low, high) && continues(2) && continues(3) ? 4 : 0;
  }
  return 0;
}

}  // namespace

std::size_t count_invalid_utf8(const std::uint8_t* text, std::size_t size) {
  constexpr std::uint64_t kHighBits = 0x8080808080808080U;
  std::size_t invalid = 0;
  for (std::size_t index = 0; index < size;) {
    if (size - index >= sizeof kHighBits) {  // most text is ASCII for long stretches
      std::uint64_t word = 0;
      std::memcpy(&word, text + index, sizeof word);
      if ((word & kHighBits) == 0) {
        index += sizeof word;
        continue;
      }
    }
    const std::size_t length = sequence_length(text + index, size - index);
    invalid += length == 0 ? 1 : 0;
    index += length == 0 ? 1 : length;
  }
  return invalid;
}

std::uint8_t* replace_invalid_utf8(std::uint8_t* to, const std::uint8_t* text, std::size_t size) {
  for (std::size_t index = 0; index < size;) {
    const std::size_t length = sequence_length(text + index, size - index);
    if (length == 0) {
      *to++ = 0xef;
      *to++ = 0xbf;
      *to++ = 0xbd;
      ++index;
    }
    for (std::size_t count = 0; count < length; ++count) *to++ = text[index++];
  }
  return to;
}

}  // namespace tailrace::otlp
