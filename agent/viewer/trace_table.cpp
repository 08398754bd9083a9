// SPDX-License-Identifier: Apache-2.0
#include "agent/viewer/trace_table.hpp"

#include <bit>
#include <cstring>
#include <random>

namespace tailrace::agent::viewer {

TraceTable::TraceTable(std::size_t bytes) {
  // Two to four index words an entry: the index is at most half full.
  const std::size_t wanted = bytes / (sizeof(Trace) + 4 * sizeof(std::uint32_t));
  const std::size_t buckets = std::bit_ceil(wanted * 2 + 2);
  entry_block_ = PageBlock(wanted * sizeof(Trace));
  index_block_ = PageBlock(buckets * sizeof(std::uint32_t));
  if (entry_block_.data() != nullptr && index_block_.data() != nullptr) {
    entries_ = reinterpret_cast<Trace*>(entry_block_.data());
    index_ = reinterpret_cast<std::uint32_t*>(index_block_.data());
    index_mask_ = buckets - 1;
    capacity_ = wanted;
  }
  std::random_device device;
  seed_ = (std::uint64_t{device()} << 32) | device();
}

// Seeded, because a sender chooses the ids and could choose them to share one bucket.
std::size_t TraceTable::bucket_of(const TraceId& id) const noexcept {
  std::uint64_t high;
  std::uint64_t low;
  std::memcpy(&high, id.data(), sizeof(high));
  std::memcpy(&low, id.data() + sizeof(high), sizeof(low));
  std::uint64_t hash = (high ^ seed_) * 0x9E3779B97F4A7C15u;
  hash = (hash ^ (hash >> 32) ^ low) * 0xD6E8FEB86659FD93u;
  return static_cast<std::size_t>(hash ^ (hash >> 32)) & index_mask_;
}

TraceTable::Slot TraceTable::find(const TraceId& id) const noexcept {
  if (capacity_ == 0) {
    return kNoSlot;
  }
  for (std::size_t bucket = bucket_of(id); index_[bucket] != 0; bucket = (bucket + 1) & index_mask_) {
    const Slot slot = index_[bucket] - 1;
    if (entries_[slot].id == id) {
      return slot;
    }
  }
  return kNoSlot;
}

TraceTable::Slot TraceTable::take(const TraceId& id) noexcept {
  if (size_ == capacity_) {
    return kNoSlot;
  }
  Slot slot = free_;
  if (slot != kNoSlot) {
    free_ = entries_[slot].livelier;
  } else {
    slot = never_used_++;
  }
  const std::uint32_t generation = entries_[slot].generation + 1;
  entries_[slot] = Trace{};
  Trace& trace = entries_[slot];
  trace.id = id;
  trace.generation = generation;
  trace.label = ChunkLog::kNoPosition;
  trace.newest = ChunkLog::kNoPosition;
  push_liveliest(slot);

  std::size_t bucket = bucket_of(id);
  while (index_[bucket] != 0) {
    bucket = (bucket + 1) & index_mask_;
  }
  index_[bucket] = slot + 1;
  ++size_;
  return slot;
}

void TraceTable::remove(Slot slot) noexcept {
  std::size_t hole = bucket_of(entries_[slot].id);
  while (index_[hole] != slot + 1) {
    hole = (hole + 1) & index_mask_;
  }
  // Close the gap: every entry behind it that may not stand after an empty bucket moves forward.
  for (std::size_t next = (hole + 1) & index_mask_; index_[next] != 0; next = (next + 1) & index_mask_) {
    const std::size_t home = bucket_of(entries_[index_[next] - 1].id);
    if (((next - home) & index_mask_) >= ((next - hole) & index_mask_)) {
      index_[hole] = index_[next];
      hole = next;
    }
  }
  index_[hole] = 0;

  unlink(slot);
  ++entries_[slot].generation;
  entries_[slot].livelier = free_;
  free_ = slot;
  --size_;
}

void TraceTable::touch(Slot slot) noexcept {
  if (slot != liveliest_) {
    unlink(slot);
    push_liveliest(slot);
  }
}

void TraceTable::unlink(Slot slot) noexcept {
  const Trace& trace = entries_[slot];
  (trace.quieter == kNoSlot ? quietest_ : entries_[trace.quieter].livelier) = trace.livelier;
  (trace.livelier == kNoSlot ? liveliest_ : entries_[trace.livelier].quieter) = trace.quieter;
}

void TraceTable::push_liveliest(Slot slot) noexcept {
  entries_[slot].quieter = liveliest_;
  entries_[slot].livelier = kNoSlot;
  (liveliest_ == kNoSlot ? quietest_ : entries_[liveliest_].livelier) = slot;
  liveliest_ = slot;
}

}  // namespace tailrace::agent::viewer
