// SPDX-License-Identifier: Apache-2.0
#include "proto/encode/pieces.hpp"

#include <algorithm>

namespace tailrace::otlp {

bool PieceReader::read_varint(std::uint32_t& value) {
  std::uint64_t number = 0;
  for (unsigned shift = 0; shift < 35; shift += 7) {
    std::uint8_t byte = 0;
    if (!read_byte(byte)) return false;
    number |= static_cast<std::uint64_t>(byte & 0x7f) << shift;
    if (byte < 0x80) {
      const bool shortest = byte != 0 || shift == 0;
      value = static_cast<std::uint32_t>(number);
      return shortest && number <= UINT32_MAX;
    }
  }
  return false;
}

bool PieceReader::read_wide_varint(std::uint32_t& value) {
  value = 0;
  for (unsigned shift = 0; shift < 28; shift += 7) {
    std::uint8_t byte = 0;
    if (!read_byte(byte)) return false;
    const bool continued = byte >= 0x80;
    if (continued != (shift < 21)) return false;
    value |= static_cast<std::uint32_t>(byte & 0x7f) << shift;
  }
  return true;
}

bool PieceReader::skip(std::uint64_t count) {
  if (count > left()) return false;
  position_ += count;
  while (count > 0) {
    if (!enter_piece()) return false;
    const std::size_t here = pieces_[piece_].size() - offset_;
    const std::size_t step = static_cast<std::size_t>(std::min<std::uint64_t>(count, here));
    offset_ += step;
    count -= step;
  }
  return true;
}

}  // namespace tailrace::otlp
