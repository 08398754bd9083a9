// SPDX-License-Identifier: Apache-2.0
// The words of a segment image, for what reads metrics. A read outside the image fails the test.
#pragma once

#include <gtest/gtest.h>

#include <cstring>

#include "agent/metrics/word_source.hpp"
#include "shm/reader/bytes.hpp"

namespace tailrace::agent::test {

class ImageWords final : public WordSource {
 public:
  explicit ImageWords(shm::Bytes image) : image_(image) {}
  [[nodiscard]] bool words(std::uint64_t offset, std::span<std::uint64_t> out) const override {
    const shm::Bytes part = image_.part(static_cast<std::size_t>(offset), out.size_bytes());
    EXPECT_EQ(part.size, out.size_bytes()) << "a read outside the image";
    EXPECT_EQ(offset % 8, 0u);
    if (broken || part.size != out.size_bytes()) return false;
    if (part.size != 0) std::memcpy(out.data(), part.data, part.size);
    return true;
  }
  bool broken = false;

 private:
  shm::Bytes image_;
};

}  // namespace tailrace::agent::test
