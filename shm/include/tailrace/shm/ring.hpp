// SPDX-License-Identifier: Apache-2.0
// The ring's protocol: one producer, one consumer, records published by a single store of `head`.
//
// Positions are byte counts, multiples of 8, that never wrap in practice; all comparisons are made
// on differences, so that the model test can run the same code with 8- and 16-bit positions.
//
// A record is contiguous: one that starts before the ring's end runs on into the slack behind it,
// and the same number of bytes at the ring's start is skipped. The slack is free when it is needed
// because a later record that runs into it needs a tail beyond the boundary before, hence beyond
// the earlier record in the slack; that needs every tail to be a record boundary.
//
// Threads: RingProducer by the lane's owner alone; RingConsumer by one drain worker alone. Neither
// blocks. Memory: both borrow the ring; nothing is allocated.
// Failure: a full ring is a false from the producer; an implausible position from the other side is
// ignored by the producer and reported by the consumer, which reads nothing then.
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include <tailrace/shm/layout.hpp>

namespace tailrace::shm {

// The producer's private state. Zero-filled is valid: everything takes the slow path.
template <class Pos>
struct RingProducer {
  using Distance = std::make_signed_t<Pos>;

  Pos head;                // private and authoritative; the shared one is an announcement
  Pos limit[kPriorities];  // head + n may not pass it
  Pos mask;                // capacity - 1
  unsigned char* data;
  Pos tail;  // last believable tail
  Pos capacity;
  Pos reserve[kPriorities];  // bytes kept free for higher priorities
  Pos overrun;               // a copy may write that far behind its record
  bool bell_rung;            // for this tail; until then half the ring is all there is

  void attach(unsigned char* ring, Pos ring_bytes, Pos at, Pos tail_now, Pos copy_overrun) {
    data = ring;
    capacity = ring_bytes;
    mask = static_cast<Pos>(ring_bytes - 1);
    head = at;
    tail = at;
    overrun = copy_overrun;
    reserve[static_cast<int>(Priority::critical)] = 0;
    reserve[static_cast<int>(Priority::normal)] = static_cast<Pos>(ring_bytes / 16);
    reserve[static_cast<int>(Priority::low)] = static_cast<Pos>(ring_bytes / 4);
    reserve[static_cast<int>(Priority::background)] = static_cast<Pos>(ring_bytes / 2);
    bell_rung = false;
    if (plausible_from_start(tail_now)) tail = tail_now;
    set_limits();
  }

  bool fits(std::size_t priority, Pos n) const {
    return static_cast<Distance>(static_cast<Pos>(limit[priority] - head)) >= static_cast<Distance>(n);
  }

  unsigned char* at_head() const { return data + (head & mask); }

  // Takes up what the consumer gave back. A tail that moves backwards, lies beyond head or between
  // two multiples of 8 is ignored: it can only be garbage.
  void refresh(Pos tail_now) {
    const bool forward = static_cast<Pos>(tail_now - tail) <= static_cast<Pos>(head - tail);
    if (forward && tail_now % 8 == 0 && tail_now != tail) {
      tail = tail_now;
      bell_rung = false;
    }
    set_limits();
  }

  // True once for each tail: the ring is half full and the consumer may be asleep.
  bool wants_bell() const { return !bell_rung; }
  void rang_bell() {
    bell_rung = true;
    set_limits();
  }

 private:
  bool plausible_from_start(Pos tail_now) const {
    return tail_now % 8 == 0 && static_cast<Pos>(head - tail_now) <= capacity;
  }
  void set_limits() {
    const Pos whole = static_cast<Pos>(capacity - overrun);
    for (std::size_t p = 0; p < kPriorities; ++p) {
      Pos room = static_cast<Pos>(whole > reserve[p] ? whole - reserve[p] : 0);
      if (!bell_rung && room > capacity / 2) room = static_cast<Pos>(capacity / 2);
      limit[p] = static_cast<Pos>(tail + room);
    }
  }
};

// What a pass may read, as at most two runs of the mapped ring: `first` starts at `from` and ends
// in the slack when the range passes the ring's end; `second` starts at the ring's start.
struct RingRun {
  std::size_t offset;
  std::size_t length;
};
struct RingRuns {
  RingRun first;
  RingRun second;           // length 0: the range does not pass the end
  std::size_t to_boundary;  // bytes from `from` to the ring's end, when it does
};

template <class Pos>
struct RingConsumer {
  Pos tail;       // everything before it is ours
  Pos last_head;  // the highest head that was believed

  // Whether `head` may be believed: a multiple of 8, not backwards, at most a ring ahead of tail.
  bool believable(Pos head, Pos capacity) const {
    return head % 8 == 0 && static_cast<Pos>(head - tail) <= capacity &&
           static_cast<Pos>(last_head - tail) <= static_cast<Pos>(head - tail);
  }

  static RingRuns runs(Pos from, Pos to, Pos capacity, Pos slack) {
    const std::size_t start = from & static_cast<Pos>(capacity - 1);
    const std::size_t bytes = static_cast<Pos>(to - from);
    const std::size_t to_end = capacity - start;
    if (bytes <= to_end) return {{start, bytes}, {0, 0}, bytes};
    // The record that passes the ring's end stops at `to` or before it.
    const std::size_t beyond = bytes - to_end;
    const std::size_t in_slack = beyond < slack ? beyond : slack;
    return {{start, to_end + in_slack}, {0, beyond}, to_end};
  }
};

}  // namespace tailrace::shm
