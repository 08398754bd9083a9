// SPDX-License-Identifier: Apache-2.0
//
// A batch: one repeated element of an Export request, grown record by record.
//
//   0A llll  0A n resource   [1A n schema_url]
//     12 llll  0A n scope    [1A n schema_url]   <- the head ends here
//       12 n record  12 n record  …
//
// Both llll are varints stretched to four bytes (28 bits), so that the head has
// its final size when the batch is opened: records are appended once, never
// moved, and the two lengths are filled in when the batch is closed. Batches
// concatenate to a request: repeated fields do.
//
// The numbers 1, 2 and 3 mean the same in ResourceSpans, ResourceLogs and
// ResourceMetrics, and again in ScopeSpans, ScopeLogs and ScopeMetrics; the
// bytes of a head are therefore the same for every signal.
// One resource and one scope per batch is what otlp-D11 asks for.
//
// Threads: pure functions. Memory: only make_batch_head allocates.
// Failure: said in the answer; bytes handed to find_… and check_… are not
//   believed and never read out of bounds.

#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "proto/encode/pieces.hpp"
#include "proto/encode/view.hpp"

namespace tailrace::otlp {

// A batch's bytes, head included, stay below this.
inline constexpr std::uint32_t kMaxBatchBytes = (1U << 28) - 1;

// More than any honest resource and scope need; a head beyond it is not made.
inline constexpr std::size_t kMaxBatchHeadBytes = std::size_t{1} << 20;

inline constexpr std::size_t kWideLengthBytes = 4;

// Where the two lengths stand, counted from the first byte of the batch.
struct BatchLayout {
  std::size_t outer_length_pos = 0;
  std::size_t inner_length_pos = 0;
  std::size_t head_bytes = 0;
};

struct BatchHead {
  std::vector<std::uint8_t> bytes;  // empty: resource and scope exceed kMaxBatchHeadBytes
  std::size_t outer_length_pos = 0;
  std::size_t inner_length_pos = 0;

  [[nodiscard]] BatchLayout layout() const { return {outer_length_pos, inner_length_pos, bytes.size()}; }
};

// The head of an open batch; both lengths are zero. `signal` changes no byte.
[[nodiscard]] BatchHead make_batch_head(Signal signal, const ResourceView& resource, const ScopeView& scope);

// The lengths that close a batch of `total_bytes`, head included; nothing if
// the total is shorter than the head or beyond kMaxBatchBytes.
struct BatchLengths {
  std::uint32_t outer = 0;
  std::uint32_t inner = 0;
};
[[nodiscard]] std::optional<BatchLengths> batch_lengths(const BatchLayout& layout, std::uint64_t total_bytes);

// The four bytes of a length, or written to where they stand. A length may lie
// across two pages: then use the bytes. Writing the same length again, or dying
// in the middle, leaves a batch that find_batch_head still understands.
[[nodiscard]] constexpr std::array<std::uint8_t, kWideLengthBytes> length_bytes(std::uint32_t length) {
  return {static_cast<std::uint8_t>((length & 0x7f) | 0x80), static_cast<std::uint8_t>(((length >> 7) & 0x7f) | 0x80),
          static_cast<std::uint8_t>(((length >> 14) & 0x7f) | 0x80), static_cast<std::uint8_t>((length >> 21) & 0x7f)};
}
void fill_length(std::uint8_t* at, std::uint32_t length);

enum class BatchFault : std::uint8_t {
  none,
  cut_short,     // the bytes end inside the head or a record
  bad_head,      // a tag or length that our heads never have
  bad_record,    // a tag that is not a record's, or an over-long length
  wrong_length,  // closed, but a length does not reach the end exactly
  too_large,     // beyond kMaxBatchBytes
};
[[nodiscard]] const char* describe(BatchFault fault);

// Finds the positions again from the first bytes of a batch, open or closed;
// the values of the two lengths are not looked at. The pieces must reach to the
// end of the head at least (records behind it are not read).
struct FoundBatchHead {
  BatchFault fault = BatchFault::none;
  BatchLayout layout;
  BatchLengths lengths;  // as they stand in the head
};
[[nodiscard]] FoundBatchHead find_batch_head(Pieces first_pieces);
[[nodiscard]] FoundBatchHead find_batch_head(Piece first_bytes);

// Walks a whole batch: head, then the tag and length of every record, which
// must end exactly where the bytes end. The bodies are not looked into, but for
// those of metrics, whose records are the data points inside the Metric messages.
// Of a closed batch both lengths must be right; of an open one they are ignored.
enum class BatchState : std::uint8_t { open, closed };
struct BatchCheck {
  BatchFault fault = BatchFault::none;
  std::uint64_t position = 0;  // where the fault was met, or the end
  std::uint32_t records = 0;   // whole records before it; of metrics: data points
  BatchLayout layout;
};
[[nodiscard]] BatchCheck check_batch(Pieces pieces, BatchState state, Signal signal = Signal::traces);
[[nodiscard]] BatchCheck check_batch(Piece bytes, BatchState state, Signal signal = Signal::traces);

}  // namespace tailrace::otlp
