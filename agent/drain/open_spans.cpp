// SPDX-License-Identifier: Apache-2.0
#include "agent/drain/open_spans.hpp"

#include <algorithm>

namespace tailrace::agent {

OpenSpans::OpenSpans(AttachedSegment& segment, std::uint64_t from) : segment_(segment), index_(from) {
  const shm::Geometry& geometry = segment.geometry();
  // Before the slots: an ENDING slot is judged by heads that cannot be older than it.
  heads_.resize(geometry.lane_count);
  for (std::uint32_t lane = 0; lane < geometry.lane_count; ++lane) heads_[lane] = segment.head(lane);
  lane_slots_ = std::uint64_t{geometry.lane_count} * geometry.slots_per_lane;
  if (geometry.slot_bytes == 0) lane_slots_ = 0;
  const std::uint64_t pool_slots =
      geometry.slot_bytes == 0 ? 0 : std::min<std::uint64_t>(segment.pool_used(), kPoolBytesMax / geometry.slot_bytes);
  pool_.resize(static_cast<std::size_t>(pool_slots * geometry.slot_bytes));
  if (pool_slots != 0 && !segment.read(geometry.pool_slot(0), pool_)) pool_.clear();
  total_ = lane_slots_ + (pool_.empty() ? 0 : pool_slots);
}

bool OpenSpans::load_lane(std::uint32_t lane) {
  if (loaded_lane_ == lane) return !slots_.empty();
  const shm::Geometry& geometry = segment_.geometry();
  loaded_lane_ = lane;
  slots_.resize(std::size_t{geometry.slots_per_lane} * geometry.slot_bytes);
  if (!segment_.read(geometry.lane_slots(lane), slots_)) slots_.clear();
  return !slots_.empty();
}

bool OpenSpans::next(shm::SlotSpan& out) {
  const shm::Geometry& geometry = segment_.geometry();
  const shm::SlotContext context{{pool_.data(), pool_.size()}, geometry.slot_bytes, heads_.data(), geometry.lane_count};
  const std::uint32_t used = segment_.lanes_used();
  while (index_ < total_) {
    shm::Bytes slot;
    if (index_ < lane_slots_) {
      const auto lane = static_cast<std::uint32_t>(index_ / geometry.slots_per_lane);
      const bool taken = lane < used || segment_.is_shared_lane(lane);
      if (!taken || !load_lane(lane)) {
        if (taken) ++damaged_;
        index_ = std::uint64_t{lane + 1} * geometry.slots_per_lane;
        continue;
      }
      const auto at = static_cast<std::size_t>(index_ % geometry.slots_per_lane);
      slot = shm::Bytes{slots_.data(), slots_.size()}.part(at * geometry.slot_bytes, geometry.slot_bytes);
    } else {
      const auto at = static_cast<std::size_t>(index_ - lane_slots_);
      slot = shm::Bytes{pool_.data(), pool_.size()}.part(at * geometry.slot_bytes, geometry.slot_bytes);
    }
    ++index_;
    out = shm::read_slot(slot, context);
    if (out.verdict == shm::SlotVerdict::open || out.verdict == shm::SlotVerdict::ended) return true;
    if (out.verdict == shm::SlotVerdict::broken) ++damaged_;
  }
  return false;
}

}  // namespace tailrace::agent
