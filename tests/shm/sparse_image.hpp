// SPDX-License-Identifier: Apache-2.0
// A segment image as a file of a few kilobytes: an image is most of a megabyte of zeros with little in it.
// For golden files, and for the fuzzer, whose mutations of the plain bytes would hardly ever hit a word that
// is read.
//
//   first byte even: the rest is the image, byte for byte
//   first byte odd:  pieces {u32 offset, u16 length, bytes} over kSparseImageBytes of zeros
//
// Threads: values. Failure: a piece cut short ends the list; offsets wrap at the image's size.
#pragma once

#include <cstdint>
#include <cstring>
#include <vector>

#include "shm/reader/bytes.hpp"

namespace tailrace::shm::test {

inline constexpr std::size_t kSparseImageBytes = 13 * 64 * 1024;  // of a SegmentBuilder's defaults

// Into memory that may be used again: fresh pages for each image would be most of a fuzzer's work.
inline void unpack_image(Bytes input, std::vector<std::uint8_t>& image) {
  image.clear();
  if (input.empty()) return;
  const bool sparse = (input.data[0] & 1) != 0;
  input = input.from(1);
  if (!sparse) {
    image.assign(input.data, input.data + input.size);
    return;
  }
  image.resize(kSparseImageBytes);
  std::uint32_t offset = 0;
  std::uint16_t length = 0;
  while (input.load(0, offset) && input.load(4, length)) {
    const Bytes rest = input.from(6);
    const std::size_t at = offset % image.size();
    std::size_t n = length < rest.size ? length : rest.size;
    if (n > image.size() - at) n = image.size() - at;
    if (n != 0) std::memcpy(image.data() + at, rest.data, n);
    input = rest.from(length);
  }
}
inline std::vector<std::uint8_t> unpack_image(Bytes input) {
  std::vector<std::uint8_t> image;
  unpack_image(input, image);
  return image;
}

inline std::vector<std::uint8_t> pack_image(Bytes image) {
  constexpr std::size_t kGap = 16;  // zeros that are cheaper to keep than a new piece
  std::vector<std::uint8_t> packed{1};
  std::size_t at = 0;
  while (at < image.size) {
    if (image.data[at] == 0) {
      ++at;
      continue;
    }
    at &= ~std::size_t{7};
    std::size_t end = at;
    for (std::size_t i = at; i < image.size && i < end + kGap && i - at < 0xFFF0; ++i) {
      if (image.data[i] != 0) end = i + 1;
    }
    const auto offset = static_cast<std::uint32_t>(at);
    const auto length = static_cast<std::uint16_t>(end - at);
    const auto* o = reinterpret_cast<const std::uint8_t*>(&offset);
    const auto* l = reinterpret_cast<const std::uint8_t*>(&length);
    packed.insert(packed.end(), o, o + sizeof offset);
    packed.insert(packed.end(), l, l + sizeof length);
    packed.insert(packed.end(), image.data + at, image.data + end);
    at = end;
  }
  return packed;
}

}  // namespace tailrace::shm::test
