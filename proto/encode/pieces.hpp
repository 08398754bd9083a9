// SPDX-License-Identifier: Apache-2.0
//
// PieceReader: reads forward over bytes that lie in several places, as a batch
// does in the pages of its chain.
//
// Threads: one at a time.
// Memory: borrows the pieces and what they point at; allocates nothing.
// Failure: false when the bytes end too early; never reads out of bounds.
//   Nothing it reads is believed: positions are 64 bits wide and cannot wrap.

#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace tailrace::otlp {

using Piece = std::span<const std::uint8_t>;
using Pieces = std::span<const Piece>;

class PieceReader {
 public:
  explicit PieceReader(Pieces pieces) : pieces_(pieces) {
    for (const Piece& piece : pieces) total_ += piece.size();
  }

  [[nodiscard]] std::uint64_t position() const { return position_; }
  [[nodiscard]] std::uint64_t total() const { return total_; }
  [[nodiscard]] std::uint64_t left() const { return total_ - position_; }

  [[nodiscard]] bool read_byte(std::uint8_t& byte) {
    if (!enter_piece()) return false;
    byte = pieces_[piece_][offset_++];
    ++position_;
    return true;
  }

  // The shortest form only, and not more than five bytes: all we ever write.
  [[nodiscard]] bool read_varint(std::uint32_t& value);

  // Exactly four bytes, the first three marked as continued: a length that is
  // written when the batch is closed. 28 bits.
  [[nodiscard]] bool read_wide_varint(std::uint32_t& value);

  [[nodiscard]] bool skip(std::uint64_t count);

 private:
  // Moves to the next piece that has bytes left.
  [[nodiscard]] bool enter_piece() {
    while (piece_ < pieces_.size() && offset_ == pieces_[piece_].size()) {
      ++piece_;
      offset_ = 0;
    }
    return piece_ < pieces_.size();
  }

  Pieces pieces_;
  std::size_t piece_ = 0;
  std::size_t offset_ = 0;
  std::uint64_t position_ = 0;
  std::uint64_t total_ = 0;
};

}  // namespace tailrace::otlp
