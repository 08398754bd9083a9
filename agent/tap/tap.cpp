// SPDX-License-Identifier: Apache-2.0
#include "agent/tap/tap.hpp"

#include <algorithm>
#include <utility>

#include "agent/tap/metric_points.hpp"

namespace tailrace::agent {
namespace {

constexpr std::size_t kProducers = 8;  // drain workers, with room

}  // namespace

// Twice the lines: blocks that some producer has begun are not full.
Tap::Tap(TapFilter filter) : filter_(std::move(filter)), queue_(2 * kLines, 0, kProducers) {}

// Several workers may find the last place at once; the one too many gives it back.
bool Tap::reserve() {
  if (waiting_.load(std::memory_order_relaxed) >= kLines) return false;
  if (waiting_.fetch_add(1, std::memory_order_relaxed) < kLines) return true;
  waiting_.fetch_sub(1, std::memory_order_relaxed);
  return false;
}

void Tap::offer(const TapLine& line) {
  if (queue_.try_enqueue(line)) return;
  waiting_.fetch_sub(1, std::memory_order_relaxed);
  leave_out(1);
}

bool Tap::take(TapLine& line) {
  if (!queue_.try_dequeue(line)) return false;
  waiting_.fetch_sub(1, std::memory_order_relaxed);
  return true;
}

void TapHub::add(std::shared_ptr<Tap> tap) {
  const std::lock_guard lock(mutex_);
  taps_.push_back(std::move(tap));
  changes_.fetch_add(1, std::memory_order_relaxed);
}

void TapHub::remove(const Tap* tap) {
  const std::lock_guard lock(mutex_);
  std::erase_if(taps_, [tap](const std::shared_ptr<Tap>& known) { return known.get() == tap; });
  changes_.fetch_add(1, std::memory_order_relaxed);
}

// Whoever changes the list at this moment is not waited for: the next pass looks again.
void TapPoint::look_again() {
  const std::unique_lock lock(hub_.mutex_, std::try_to_lock);
  if (!lock.owns_lock()) return;
  seen_ = hub_.changes_.load(std::memory_order_relaxed);
  taps_.clear();
  for (const std::shared_ptr<Tap>& tap : hub_.taps_) taps_.push_back({tap});
}

void TapPoint::book_left_out() {
  for (Watched& watched : taps_) {
    if (watched.left_out != 0) watched.tap->leave_out(std::exchange(watched.left_out, 0));
    watched.full = false;
  }
}

// The view has passed the filter.
template <class View>
void TapPoint::show(Watched& watched, std::string_view service, const View& view) {
  watched.full = watched.full || !watched.tap->reserve();
  if (watched.full) {
    ++watched.left_out;
  } else {
    watched.tap->offer(TapLine(service, view));
  }
}

void TapPoint::see(std::string_view service, const otlp::SpanView& span) {
  for (Watched& watched : taps_) {
    if (watched.tap->filter().passes(service, span)) show(watched, service, span);
  }
}

void TapPoint::see(std::string_view service, const otlp::LogView& log) {
  for (Watched& watched : taps_) {
    if (watched.tap->filter().passes(service, log)) show(watched, service, log);
  }
}

void TapPoint::see_points(std::string_view service, std::span<const std::uint8_t> messages) {
  each_metric_point(messages, [&](const TapMetric& metric) { see(service, metric); });
}

void TapPoint::see(std::string_view service, const TapMetric& metric) {
  for (Watched& watched : taps_) {
    if (watched.tap->filter().passes_metric(service, metric.name)) show(watched, service, metric);
  }
}

}  // namespace tailrace::agent
