// SPDX-License-Identifier: Apache-2.0
// RecordCursor: the records of one pass over a lane, from a private copy of the ring's bytes.
//
// The copy is what RingConsumer::runs() names: `first` starts at the pass's first position and may end in
// the slack, `second` starts at the ring's start. A record is believed when its size is a multiple of
// 8, at least 16, at most max_record, and no more than what is left of the pass; an unknown type is a
// record like any other. A size that breaks a rule breaks the chain: nothing behind it can be found.
//
// Threads: one at a time. Memory: borrows both runs. Failure: Next::broken; offset() then says where.
#pragma once

#include <tailrace/shm/record.hpp>

#include "shm/reader/bytes.hpp"

namespace tailrace::shm {

inline constexpr std::uint32_t kMinRecord = 16;

struct RecordRef {
  std::uint64_t position = 0;       // of its first byte
  std::uint64_t next_position = 0;  // behind its last byte: a record boundary
  RecordType type = RecordType::none;
  std::uint8_t flags = 0;
  std::uint8_t count = 0;  // items the writer says; 255 = 255 or more
  Bytes bytes;             // whole record, header included

  std::uint8_t priority() const { return flags & kFlagPriorityMask; }
  TimeClock start_clock() const { return static_cast<TimeClock>(flags >> kFlagStartClockShift & 3u); }
  TimeClock end_clock() const { return static_cast<TimeClock>(flags >> kFlagEndClockShift & 3u); }

  // The fixed part of a known type. False when the record is too short for it: that record alone is bad.
  template <class Fixed>
  [[nodiscard]] bool fixed(Fixed& out) const {
    return bytes.load(0, out);
  }
  // What stands behind the fixed part.
  template <class Fixed>
  Bytes items() const {
    return bytes.from(sizeof(Fixed));
  }
};

class RecordCursor {
 public:
  RecordCursor(Bytes first, Bytes second, std::size_t to_boundary, std::uint64_t from, std::uint32_t max_record)
      : first_(first), second_(second), to_boundary_(to_boundary), from_(from), max_record_(max_record) {
    total_ = second.empty() ? first.size : to_boundary + second.size;
    if (second.empty()) to_boundary_ = first.size;
  }

  Next next(RecordRef& out) {
    if (broken_) return Next::broken;
    if (offset_ == total_) return Next::end;
    const bool in_first = offset_ < to_boundary_;
    const Bytes rest = in_first ? first_.from(offset_) : second_.from(offset_ - to_boundary_);
    RecordHeader header;
    if (!rest.load(0, header) || header.size < kMinRecord || header.size % 8 != 0 || header.size > max_record_ ||
        header.size > total_ - offset_ || header.size > rest.size) {
      broken_ = true;
      return Next::broken;
    }
    out.position = position();
    out.type = static_cast<RecordType>(header.type);
    out.flags = header.flags;
    out.count = header.count;
    out.bytes = rest.part(0, header.size);
    offset_ += header.size;
    out.next_position = position();
    return Next::found;
  }

  // Where the next record starts, or where the chain broke.
  std::uint64_t position() const { return from_ + offset_; }
  std::uint64_t remaining() const { return total_ - offset_; }

 private:
  Bytes first_;
  Bytes second_;
  std::size_t to_boundary_;
  std::uint64_t from_;
  std::uint32_t max_record_;
  std::size_t total_ = 0;
  std::size_t offset_ = 0;
  bool broken_ = false;
};

}  // namespace tailrace::shm
