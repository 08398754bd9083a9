// SPDX-License-Identifier: Apache-2.0
#include "agent/viewer/chunk_log.hpp"

#include <cstring>
#include <utility>

namespace tailrace::agent::viewer {
namespace {

constexpr std::size_t round_up_to_8(std::size_t bytes) { return (bytes + 7) & ~std::size_t{7}; }

}  // namespace

ChunkLog::Frame ChunkLog::frame_at(const char* at) noexcept {
  Frame frame;
  std::memcpy(&frame, at, sizeof(frame));
  return frame;
}

const ChunkLog::Chunk& ChunkLog::chunk_of(Position position) const noexcept {
  return chunks_[static_cast<std::size_t>(position / kChunkBytes - first_chunk_)];
}

bool ChunkLog::needs_chunk(std::size_t record_bytes) const noexcept {
  return chunks_.empty() || kChunkBytes - chunks_.back().used < sizeof(Frame) + round_up_to_8(record_bytes);
}

char* ChunkLog::append(std::size_t record_bytes, Position& position) {
  if (record_bytes > kMaxRecordBytes) {
    return nullptr;
  }
  if (needs_chunk(record_bytes)) {
    Chunk fresh{PageBlock(kChunkBytes)};
    if (fresh.block.data() == nullptr) {
      return nullptr;
    }
    chunks_.push_back(std::move(fresh));
  }
  Chunk& chunk = chunks_.back();
  const std::size_t offset = chunk.used;
  const Frame frame{static_cast<std::uint32_t>(sizeof(Frame) + round_up_to_8(record_bytes)),
                    static_cast<std::uint32_t>(offset - chunk.last)};
  char* at = chunk.block.data() + offset;
  std::memcpy(at, &frame, sizeof(frame));
  chunk.last = offset;
  chunk.used += frame.bytes;
  position = (first_chunk_ + chunks_.size() - 1) * kChunkBytes + offset;
  return at + sizeof(frame);
}

const char* ChunkLog::at(Position position) const noexcept {
  return chunk_of(position).block.data() + position % kChunkBytes + sizeof(Frame);
}

ChunkLog::Position ChunkLog::newest() const noexcept {
  if (chunks_.empty()) {
    return kNoPosition;
  }
  return (first_chunk_ + chunks_.size() - 1) * kChunkBytes + chunks_.back().last;
}

ChunkLog::Position ChunkLog::previous(Position position) const noexcept {
  const Frame frame = frame_at(chunk_of(position).block.data() + position % kChunkBytes);
  if (frame.previous_bytes != 0) {
    return position - frame.previous_bytes;
  }
  const std::uint64_t chunk = position / kChunkBytes;
  if (chunk == first_chunk_) {
    return kNoPosition;
  }
  return (chunk - 1) * kChunkBytes + chunks_[static_cast<std::size_t>(chunk - 1 - first_chunk_)].last;
}

}  // namespace tailrace::agent::viewer
