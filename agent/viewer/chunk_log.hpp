// SPDX-License-Identifier: Apache-2.0
//
// ChunkLog: records in the order of their arrival, in memory that can be given back exactly.
//
// Whole chunks are mapped and unmapped, never malloc'd: what is dropped leaves the process at once
// and leaves no holes, so "bytes()" is what the kernel counts too. A record lies in one chunk;
// records are dropped a chunk at a time, oldest first.
//
//   chunk:  [frame|record][frame|record]…[unused]        position = chunk number * kChunkBytes +
//   offset
//
// Threads: none of its own; the owner locks. Ownership: owns its chunks; a pointer from at() is
// good until the record's chunk is dropped. Failure: append() answers nullptr when no memory can be
// mapped or the record is larger than kMaxRecordBytes.
#ifndef TAILRACE_AGENT_VIEWER_CHUNK_LOG_HPP_
#define TAILRACE_AGENT_VIEWER_CHUNK_LOG_HPP_

#include <cstddef>
#include <cstdint>
#include <deque>

#include "agent/viewer/page_block.hpp"

namespace tailrace::agent::viewer {

class ChunkLog {
 public:
  using Position = std::uint64_t;  // never wraps, never reused

  static constexpr std::size_t kChunkBytes = std::size_t{128} << 10;
  static constexpr Position kNoPosition = ~Position{0};

 private:
  struct Frame {
    std::uint32_t bytes;           // frame and record, a multiple of 8
    std::uint32_t previous_bytes;  // of the record before it in the same chunk, 0 for the first
  };

 public:
  static constexpr std::size_t kMaxRecordBytes = kChunkBytes - sizeof(Frame);

  // Room for one record of so many bytes, 8-byte aligned, not initialized; `position` names it from
  // now on.
  [[nodiscard]] char* append(std::size_t record_bytes, Position& position);

  // True when append() of so many bytes would map another chunk.
  [[nodiscard]] bool needs_chunk(std::size_t record_bytes) const noexcept;

  [[nodiscard]] bool empty() const noexcept { return chunks_.empty(); }
  // Everything before it has been dropped.
  [[nodiscard]] Position begin() const noexcept { return first_chunk_ * kChunkBytes; }
  [[nodiscard]] bool holds(Position position) const noexcept { return position != kNoPosition && position >= begin(); }

  [[nodiscard]] const char* at(Position position) const noexcept;
  [[nodiscard]] Position newest() const noexcept;                     // kNoPosition when empty
  [[nodiscard]] Position previous(Position position) const noexcept;  // kNoPosition at the oldest

  [[nodiscard]] std::size_t bytes() const noexcept { return chunks_.size() * kChunkBytes; }

  // Calls visit(position, record) for each record of the oldest chunk, then unmaps it.
  template <typename Visit>
  void drop_oldest_chunk(Visit&& visit) {
    if (chunks_.empty()) {
      return;
    }
    const Chunk& chunk = chunks_.front();
    for (std::size_t offset = 0; offset < chunk.used;) {
      const char* frame = chunk.block.data() + offset;
      visit(begin() + offset, frame + sizeof(Frame));
      offset += frame_at(frame).bytes;
    }
    chunks_.pop_front();
    ++first_chunk_;
  }

 private:
  struct Chunk {
    PageBlock block;
    std::size_t used = 0;
    std::size_t last = 0;  // offset of the newest record's frame
  };

  [[nodiscard]] static Frame frame_at(const char* at) noexcept;
  [[nodiscard]] const Chunk& chunk_of(Position position) const noexcept;

  std::deque<Chunk> chunks_;
  std::uint64_t first_chunk_ = 0;
};

}  // namespace tailrace::agent::viewer

#endif  // TAILRACE_AGENT_VIEWER_CHUNK_LOG_HPP_
