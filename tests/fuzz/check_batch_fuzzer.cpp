// SPDX-License-Identifier: Apache-2.0
//
// Any bytes as a batch found in the hold after a restart, in pieces cut as the
// first byte says. The pieces are heap blocks: AddressSanitizer guards each end.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <vector>

#include "proto/encode/batch.hpp"

namespace {

using namespace tailrace::otlp;

void require(bool holds) {
  if (!holds) std::abort();
}

void compare(Pieces pieces, Piece whole, BatchState state, Signal signal) {
  const BatchCheck check = check_batch(pieces, state, signal);
  const BatchCheck same = check_batch(whole, state, signal);
  require(check.fault == same.fault && check.records == same.records && check.position == same.position);
  require(check.position <= whole.size() && check.records <= whole.size() / 2);
  if (check.fault != BatchFault::none) return;
  // What is sound open can be closed, and is sound then.
  std::vector<std::uint8_t> closed(whole.begin(), whole.end());
  const auto lengths = batch_lengths(check.layout, closed.size());
  require(lengths.has_value());
  fill_length(closed.data() + check.layout.outer_length_pos, lengths->outer);
  fill_length(closed.data() + check.layout.inner_length_pos, lengths->inner);
  const BatchCheck again = check_batch(Piece(closed), BatchState::closed, signal);
  require(again.fault == BatchFault::none && again.records == check.records);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::size_t step = 1 + data[0];
  const std::vector<std::uint8_t> bytes(data + 1, data + size);
  std::vector<std::vector<std::uint8_t>> blocks;
  for (std::size_t at = 0; at < bytes.size(); at += step) {
    const std::size_t end = std::min(bytes.size(), at + step);
    blocks.emplace_back(bytes.begin() + static_cast<std::ptrdiff_t>(at),
                        bytes.begin() + static_cast<std::ptrdiff_t>(end));
  }
  const std::vector<Piece> pieces(blocks.begin(), blocks.end());
  for (const Signal signal : {Signal::traces, Signal::metrics}) {
    compare(pieces, bytes, BatchState::open, signal);
    compare(pieces, bytes, BatchState::closed, signal);
  }
  require(find_batch_head(pieces).fault == find_batch_head(Piece(bytes)).fault);
  return 0;
}
