// SPDX-License-Identifier: Apache-2.0
#include "agent/drain/segment_drain.hpp"

#include <algorithm>
#include <cstring>

#include <tailrace/shm/ring.hpp>

namespace tailrace::agent {
namespace {

using Consumer = shm::RingConsumer<std::uint64_t>;

constexpr std::uint64_t kPermille = 1000;

}  // namespace

std::uint8_t* CopyBuffer::room(std::size_t bytes) {
  const std::size_t words = (bytes + 7) / 8;
  if (words_.size() < words) words_.resize(words);
  return reinterpret_cast<std::uint8_t*>(words_.data());
}

// --- LaneRecords

LaneRecords::LaneRecords(SegmentDrain* drain, std::uint32_t lane, std::uint64_t from, std::uint64_t to)
    : drain_(drain), lane_(lane), from_(from), to_(to), position_(from), boundary_(from), copied_to_(from) {}

bool LaneRecords::next(shm::RecordRef& record) {
  const std::uint64_t copied = copied_to_ - position_;
  if (broken_ || copied == 0) return false;
  const bool in_first = position_ < boundary_;
  const shm::Bytes rest = in_first ? first_.from(static_cast<std::size_t>(position_ - from_))
                                   : second_.from(static_cast<std::size_t>(position_ - boundary_));
  shm::RecordHeader header;
  const bool partial = copied_to_ != to_;
  if (!rest.load(0, header)) {
    if (!partial) give_up();
    return false;
  }
  if (header.size < shm::kMinRecord || header.size % 8 != 0 || header.size > max_record_ ||
      header.size > to_ - position_) {
    give_up();
    return false;
  }
  if (header.size > copied && partial) return false;  // the rest of it comes with the next copy
  if (header.size > rest.size) {
    give_up();
    return false;
  }
  record.position = position_;
  record.type = static_cast<shm::RecordType>(header.type);
  record.flags = header.flags;
  record.count = header.count;
  record.bytes = {rest.data, header.size};
  position_ += header.size;
  record.next_position = position_;
  return true;
}

// Nothing behind a size that is wrong can be found: the lane goes on at its head.
void LaneRecords::give_up() {
  broken_ = true;
  skipped_ = to_ - position_;
  drain_->chain_broke(lane_, position_, skipped_);
  position_ = to_;
}

// --- SegmentDrain

SegmentDrain::SegmentDrain(AttachedSegment& segment, SegmentDecoder& decoder)
    : segment_(segment), decoder_(decoder), lanes_(segment.lane_count()) {
  take_claims();
  take_strings();
  take_scopes();
}

StartedAt SegmentDrain::start_at(std::uint32_t lane, std::uint64_t position) {
  Lane& own = lanes_[lane];
  const std::uint64_t head = segment_.head(lane);
  StartedAt started{position, false};
  // A head that is no position at all is met again, and counted, by the first pass.
  if (head % 8 == 0 && (position % 8 != 0 || head - position > segment_.ring_bytes())) {
    started = {head, true};
    ++counts_.resyncs;
  }
  own.position = started.position;
  own.last_head = started.position;
  own.head = started.position;
  if (segment_.readable()) segment_.publish_tail(lane, own.position);
  return started;
}

PassInfo SegmentDrain::begin_pass() {
  PassInfo info;
  ready_.clear();
  if (segment_.refresh_condition() != SegmentCondition::sound) return info;
  ++counts_.passes;
  const std::uint32_t used = segment_.lanes_used();
  const std::uint32_t ordinary = segment_.geometry().ordinary_lanes();
  for (std::uint32_t lane = 0; lane < used; ++lane) look_at(lane);
  for (std::uint32_t lane = ordinary; lane < segment_.lane_count(); ++lane) look_at(lane);

  // Behind the heads: a record before them has its time before this anchor and its strings in the arena.
  const shm::ClockReading anchor = shm::read_clocks(decoder_.timeline().kind());
  decoder_.timeline().add(anchor);
  take_strings();
  take_scopes();
  info.observed_ns = anchor.realtime_ns;
  if (segment_.refresh_condition() != SegmentCondition::sound) {
    ready_.clear();
    return info;
  }
  info.readable = true;
  for (const LaneWork& work : ready_) {
    info.bytes += work.bytes();
    info.fullest_permille = std::max(info.fullest_permille, work.bytes() * kPermille / segment_.ring_bytes());
  }
  std::sort(ready_.begin(), ready_.end(), [](const LaneWork& a, const LaneWork& b) { return a.bytes() > b.bytes(); });
  return info;
}

void SegmentDrain::look_at(std::uint32_t lane) {
  Lane& own = lanes_[lane];
  const std::uint64_t head = segment_.head(lane);
  if (head == own.position && head == own.last_head) {
    own.head = head;
    return;
  }
  const Consumer consumer{own.position, own.last_head};
  if (!consumer.believable(head, segment_.ring_bytes())) {
    ++counts_.bad_heads;
    own.head = own.position;
    strike("lane " + std::to_string(lane) + ": head " + std::to_string(head) + " cannot follow " +
           std::to_string(own.last_head) + ", tail " + std::to_string(own.position));
    return;
  }
  if (!segment_.lane_committed(lane)) {
    ++counts_.bad_heads;
    own.head = own.position;
    strike("lane " + std::to_string(lane) + ": head " + std::to_string(head) + " and no memory committed");
    return;
  }
  own.head = head;
  own.last_head = head;
  if (head != own.position) ready_.push_back({lane, own.position, head});
}

LaneRecords SegmentDrain::copy_lane(std::uint32_t lane, std::size_t budget_bytes, CopyBuffer& buffer) {
  const shm::Geometry& geometry = segment_.geometry();
  const Lane& own = lanes_[lane];
  LaneRecords records(this, lane, own.position, own.head);
  records.max_record_ = geometry.max_record;
  records.complete_ = own.head == own.position;
  const std::uint8_t* ring = segment_.ring(lane);
  if (own.head == own.position || ring == nullptr || !segment_.readable()) return records;

  // Room for the largest record, so that there is always one.
  const std::uint64_t wanted = std::max<std::uint64_t>(budget_bytes / 8 * 8, geometry.max_record + 8u) / 8 * 8;
  const std::uint64_t to = own.position + std::min(own.head - own.position, wanted);
  const shm::RingRuns runs = Consumer::runs(own.position, to, geometry.ring_bytes, geometry.slack_bytes);
  const std::size_t second_at = (runs.first.length + 7) & ~std::size_t{7};
  std::uint8_t* copy = buffer.room(second_at + runs.second.length);
  std::memcpy(copy, ring + runs.first.offset, runs.first.length);
  if (runs.second.length != 0) {
    std::memcpy(copy + second_at, ring + runs.second.offset, runs.second.length);
  }
  // Zeros that the fault guard put there are no records.
  if (segment_.refresh_condition() != SegmentCondition::sound) return records;
  records.first_ = {copy, runs.first.length};
  records.second_ = {copy + second_at, runs.second.length};
  records.boundary_ = own.position + runs.to_boundary;
  records.copied_to_ = to;
  records.complete_ = to == own.head;
  return records;
}

void SegmentDrain::commit(std::uint32_t lane, std::uint64_t position) {
  Lane& own = lanes_[lane];
  counts_.bytes += position - own.position;
  own.position = position;
  if (own.last_head < position) own.last_head = position;
  if (segment_.readable()) segment_.publish_tail(lane, position);
}

bool SegmentDrain::drained() const {
  if (!segment_.readable()) return true;
  for (std::uint32_t lane = 0; lane < lanes_.size(); ++lane) {
    if (segment_.head(lane) != lanes_[lane].position && segment_.lane_committed(lane)) return false;
  }
  return true;
}

void SegmentDrain::abandon_lanes() {
  if (!segment_.readable()) return;
  for (std::uint32_t lane = 0; lane < lanes_.size(); ++lane) {
    const std::uint64_t head = segment_.head(lane);
    Lane& own = lanes_[lane];
    if (head == own.position || !Consumer{own.position, own.last_head}.believable(head, segment_.ring_bytes())) {
      continue;
    }
    counts_.skipped_bytes += head - own.position;
    own.position = head;
    own.last_head = head;
    own.head = head;
    segment_.publish_tail(lane, head);
  }
}

void SegmentDrain::chain_broke(std::uint32_t lane, std::uint64_t position, std::uint64_t skipped) {
  ++counts_.broken_chains;
  counts_.skipped_bytes += skipped;
  strike("lane " + std::to_string(lane) + ": the record at " + std::to_string(position) + " has an impossible size, " +
         std::to_string(skipped) + " bytes are skipped");
}

void SegmentDrain::strike(const std::string& why) {
  if (++strikes_ >= kStrikesMax) segment_.quarantine(why);
}

// The application's own readings, for the time before we came.
void SegmentDrain::take_claims() {
  const shm::Geometry& geometry = segment_.geometry();
  decoder_.timeline().add_claim(
      {geometry.created_counter, geometry.created_realtime_ns, geometry.created_monotonic_ns});
  for (const shm::AnchorWords& anchor : segment_.process_words().anchors) {
    if (anchor.usable()) {
      decoder_.timeline().add_claim({anchor.counter, anchor.realtime_ns, anchor.monotonic_ns});
    }
  }
}

void SegmentDrain::take_strings() {
  StringCache& strings = decoder_.strings();
  const std::size_t more = strings.wanted(segment_.strings_len());
  if (more == 0) return;
  bytes_.resize(more);
  if (!segment_.read(segment_.geometry().region(shm::RegionKind::strings).offset + strings.length(), bytes_)) {
    return;
  }
  static_cast<void>(strings.extend({bytes_.data(), bytes_.size()}));
}

void SegmentDrain::take_scopes() {
  const std::uint32_t count = segment_.scopes_count();
  if (count <= scopes_) return;
  const shm::RegionRange& region = segment_.geometry().region(shm::RegionKind::scopes);
  bytes_.resize(std::size_t{count} * region.stride);
  if (!segment_.read(region.offset, bytes_)) return;
  std::vector<std::uint32_t> ids(count);
  for (std::uint32_t i = 0; i < count; ++i) {
    std::memcpy(&ids[i], bytes_.data() + std::size_t{i} * region.stride, sizeof ids[i]);
  }
  decoder_.set_scopes(ids);
  scopes_ = count;
}

}  // namespace tailrace::agent
