// SPDX-License-Identifier: Apache-2.0
//
// WordSource: where the words of a segment's metrics are read: a segment that lives, or an image of one.
// Threads: as the caller's. Failure: false and nothing of `out` is to be believed.
#pragma once

#include <cstdint>
#include <span>

#include "agent/discover/segment.hpp"

namespace tailrace::agent {

class WordSource {
 public:
  virtual ~WordSource() = default;
  // The words at `offset` of the file, a multiple of 8; each is one 8-byte load, so that it is never half
  // an old and half a new value. The caller has checked the place against the geometry.
  [[nodiscard]] virtual bool words(std::uint64_t offset, std::span<std::uint64_t> out) const = 0;
};

// A segment as the agent has it. A page that cannot be had is an answer, never zeros.
class SegmentWords final : public WordSource {
 public:
  explicit SegmentWords(const AttachedSegment& segment) : segment_(segment) {}
  [[nodiscard]] bool words(std::uint64_t offset, std::span<std::uint64_t> out) const override {
    return segment_.read_words(offset, out);
  }

 private:
  const AttachedSegment& segment_;
};

}  // namespace tailrace::agent
