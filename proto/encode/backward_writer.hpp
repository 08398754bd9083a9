// SPDX-License-Identifier: Apache-2.0
//
// BackwardWriter: a caller's buffer, filled from its end towards its front.
//
// A length-delimited field starts with its length. Written backwards the body
// comes first, so each length is known when it is written: canonical varints,
// no second pass, nothing patched or moved.
//
// Threads: one at a time.
// Memory: borrows the buffer; allocates nothing.
// Failure: an encode function that finds too little room returns false and
//   leaves the writer as it was (bytes in front of the cursor are undefined).
//   It wants up to kRoomBesideTexts bytes more than it writes in the end.

#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace tailrace::otlp {

// Room that every text copied leaves in front of it, so that the tags, lengths
// and numbers up to the next text need no check of their own.
inline constexpr std::size_t kRoomBesideTexts = 128;

class BackwardWriter {
 public:
  BackwardWriter(std::uint8_t* buffer, std::size_t size)
      : begin_(buffer), cursor_(buffer + size), end_(buffer + size) {}

  // What has been written: the last written field first, as it goes on the wire.
  [[nodiscard]] std::span<const std::uint8_t> bytes() const { return {cursor_, end_}; }
  [[nodiscard]] std::size_t size() const { return static_cast<std::size_t>(end_ - cursor_); }
  [[nodiscard]] std::size_t room() const { return static_cast<std::size_t>(cursor_ - begin_); }

  void clear() { cursor_ = end_; }

  // How many values were written empty because they lay deeper than a reader
  // may be asked to follow, and how many texts were not UTF-8 and were repaired.
  // Both since the writer was made; the failed calls count too.
  [[nodiscard]] std::uint64_t cut_values() const { return cut_values_; }
  [[nodiscard]] std::uint64_t repaired_texts() const { return repaired_texts_; }

  // Internals from here on: for the encode functions only.
  [[nodiscard]] std::uint8_t* begin() const { return begin_; }
  [[nodiscard]] std::uint8_t* cursor() const { return cursor_; }
  [[nodiscard]] bool advance_to(std::uint8_t* cursor) {
    if (cursor == nullptr) return false;
    cursor_ = cursor;
    return true;
  }
  void note_cut_value() { ++cut_values_; }
  void note_repaired_text() { ++repaired_texts_; }

 private:
  std::uint8_t* begin_;
  std::uint8_t* cursor_;
  std::uint8_t* end_;
  std::uint64_t cut_values_ = 0;
  std::uint64_t repaired_texts_ = 0;
};

}  // namespace tailrace::otlp
