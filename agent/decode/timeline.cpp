// SPDX-License-Identifier: Apache-2.0
#include "agent/decode/timeline.hpp"

#include <algorithm>
#include <limits>

namespace tailrace::agent {
namespace {

constexpr std::uint64_t kMillisecond = 1'000'000;
// Anchors nearer than this to the one before add noise and no knowledge.
constexpr std::uint64_t kSpacingNs = 10 * kMillisecond;
// More than a thousandth, and a millisecond, beyond what a slewed clock does: somebody set it.
constexpr std::uint64_t kSlewDivisor = 1000;

// 1.0, with 32 fractional bits.
constexpr std::uint64_t kUnitSlope = std::uint64_t{1} << 32;

std::uint64_t difference(std::uint64_t a, std::uint64_t b) { return a > b ? a - b : b - a; }

bool stepped(const shm::ClockReading& a, const shm::ClockReading& b) {
  const std::uint64_t mono = b.monotonic_ns - a.monotonic_ns;
  if (b.realtime_ns < a.realtime_ns) return true;
  return difference(b.realtime_ns - a.realtime_ns, mono) > kMillisecond + mono / kSlewDivisor;
}

}  // namespace

// The line from a to b. Over a step it is b's, extended back at the pace of MONOTONIC.
Timeline::Piece Timeline::piece(const shm::ClockReading& a, const shm::ClockReading& b) {
  const std::uint64_t units = b.counter - a.counter;
  const std::uint64_t mono = b.monotonic_ns - a.monotonic_ns;
  const bool step = stepped(a, b);
  const std::uint64_t ns = step ? mono : b.realtime_ns - a.realtime_ns;
  const std::uint64_t start_ns = !step ? a.realtime_ns : b.realtime_ns > mono ? b.realtime_ns - mono : 0;
  if (units == 0) return {a.counter, start_ns, kUnitSlope};
  const Wide fixed = (static_cast<Wide>(ns) << 32) / units;
  constexpr std::uint64_t kSlopeMax = std::numeric_limits<std::uint64_t>::max();
  return {a.counter, start_ns, fixed > kSlopeMax ? kSlopeMax : static_cast<std::uint64_t>(fixed)};
}

void Timeline::add_claim(const shm::ClockReading& reading) {
  if (reading.counter == 0 || reading.monotonic_ns == 0 || count_ != claims_ || claims_ == kClaimsMax) return;
  const auto end = anchors_.begin() + static_cast<std::ptrdiff_t>(count_);
  const auto at =
      std::lower_bound(anchors_.begin(), end, reading.counter,
                       [](const shm::ClockReading& anchor, std::uint64_t counter) { return anchor.counter < counter; });
  const bool fits_before = at == anchors_.begin() || (at - 1)->monotonic_ns < reading.monotonic_ns;
  const bool fits_behind = at == end || (at->counter > reading.counter && at->monotonic_ns > reading.monotonic_ns);
  if (!fits_before || !fits_behind) return;
  std::move_backward(at, end, end + 1);
  *at = reading;
  ++count_;
  ++claims_;
  refresh();
}

void Timeline::add(const shm::ClockReading& reading) {
  // A claim from the future is none, and a clock that made one is not ours.
  while (count_ != 0 && count_ == claims_) {
    const shm::ClockReading& last = anchors_[count_ - 1];
    if (last.counter < reading.counter && last.monotonic_ns <= reading.monotonic_ns + kMillisecond) break;
    claim_disagrees_ = true;
    --count_;
    --claims_;
  }
  if (count_ > claims_ && anchors_[count_ - 1].counter >= reading.counter) return;
  const bool near = count_ > claims_ + 1 && reading.monotonic_ns - anchors_[count_ - 2].monotonic_ns < kSpacingNs &&
                    !stepped(anchors_[count_ - 2], reading);
  if (near) --count_;
  if (count_ == kAnchorsMax) thin();
  anchors_[count_++] = reading;
  refresh();
}

const shm::ClockReading& Timeline::latest() const { return anchors_[count_ == 0 ? 0 : count_ - 1]; }

// Every second of the older three quarters goes: what is long ago is known more coarsely each time.
void Timeline::thin() {
  const std::size_t old = kAnchorsMax / 4 * 3;
  std::size_t kept = 1;
  for (std::size_t i = 2; i < old; i += 2) anchors_[kept++] = anchors_[i];
  for (std::size_t i = old; i < count_; ++i) anchors_[kept++] = anchors_[i];
  count_ = kept;
  claims_ = 0;
}

void Timeline::refresh() {
  if (count_ < 2) return;
  const shm::ClockReading& before = anchors_[count_ - 2];
  const shm::ClockReading& last = anchors_[count_ - 1];
  hot_ = piece(before, last);
  const std::uint64_t ms_units =
      hot_.slope == 0 ? 0 : static_cast<std::uint64_t>((static_cast<Wide>(kMillisecond) << 32) / hot_.slope);
  future_counter_ = last.counter + ms_units;
}

std::uint64_t Timeline::from_counter(std::uint64_t time) const {
  if (count_ == 0) return time;
  if (count_ == 1) {
    const bool nanoseconds = kind_ == shm::ClockKind::monotonic;
    return nanoseconds ? anchors_[0].realtime_ns + (time - anchors_[0].counter) : anchors_[0].realtime_ns;
  }
  const auto begin = anchors_.begin();
  const auto end = begin + static_cast<std::ptrdiff_t>(count_);
  const auto behind = std::upper_bound(begin, end, time, [](std::uint64_t counter, const shm::ClockReading& anchor) {
    return counter < anchor.counter;
  });
  if (behind == begin) {
    const Piece first = piece(begin[0], begin[1]);
    const Wide back = (static_cast<Wide>(first.counter - time) * first.slope) >> 32;
    return back < first.realtime_ns ? first.realtime_ns - static_cast<std::uint64_t>(back) : 0;
  }
  const auto before = behind - 1;
  return (behind == end ? piece(before[-1], before[0]) : piece(before[0], before[1])).real_of(time);
}

std::uint64_t Timeline::from_monotonic(std::uint64_t time) const {
  if (count_ == 0) return time;
  const auto begin = anchors_.begin();
  const auto end = begin + static_cast<std::ptrdiff_t>(count_);
  const auto behind = std::upper_bound(
      begin, end, time, [](std::uint64_t mono, const shm::ClockReading& anchor) { return mono < anchor.monotonic_ns; });
  if (behind == begin) {
    const std::uint64_t back = begin->monotonic_ns - time;
    return back < begin->realtime_ns ? begin->realtime_ns - back : 0;
  }
  const auto before = behind - 1;
  const std::uint64_t since = time - before->monotonic_ns;
  if (behind == end) return before->realtime_ns + since;
  if (stepped(*before, *behind)) {
    const std::uint64_t back = behind->monotonic_ns - time;
    return back < behind->realtime_ns ? behind->realtime_ns - back : 0;
  }
  const std::uint64_t mono = behind->monotonic_ns - before->monotonic_ns;
  const std::uint64_t real = behind->realtime_ns - before->realtime_ns;
  return before->realtime_ns + static_cast<std::uint64_t>(static_cast<Wide>(since) * real / mono);
}

}  // namespace tailrace::agent
