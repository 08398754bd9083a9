// SPDX-License-Identifier: Apache-2.0
//
// Taps: lossy copies of what passes the drain workers, for whoever watches.
//
//   drain worker ── TapPoint ── filter, copy ──► Tap (bounded queue) ──► TapServer ──► a client
//                      ▲ the list of taps, looked at once a pass ── TapHub
//
// A worker never waits here and allocates nothing per record: without a tap it reads one word a pass; with
// one it filters the decoded view and copies at most sizeof(TapLine) bytes. Once a queue is full, a match is
// counted as left out and costs no more, until the next round of passes.
//
// Threads: TapHub from any; Tap::offer() by workers, take() by the server alone; a TapPoint belongs to one
// worker. Memory: a Tap has room for kLines lines from its start and never more. Failure: lines left out,
// counted.
#pragma once

#include <concurrentqueue/concurrentqueue.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <string_view>
#include <vector>

#include "agent/tap/filter.hpp"
#include "agent/tap/line.hpp"

namespace tailrace::agent {

class Tap {
 public:
  // With the server's tick: some thousand lines a second. More than anybody reads, and few enough that copying
  // them is not felt among a million spans.
  static constexpr std::size_t kLines = 512;

  explicit Tap(TapFilter filter);

  [[nodiscard]] const TapFilter& filter() const { return filter_; }
  // Room for one line, which offer() then fills.
  [[nodiscard]] bool reserve();
  void offer(const TapLine& line);
  void leave_out(std::uint64_t lines) { left_out_.fetch_add(lines, std::memory_order_relaxed); }

  [[nodiscard]] bool take(TapLine& line);
  [[nodiscard]] std::uint64_t left_out() const { return left_out_.load(std::memory_order_relaxed); }

 private:
  const TapFilter filter_;
  moodycamel::ConcurrentQueue<TapLine> queue_;
  alignas(64) std::atomic<std::size_t> waiting_{0};  // in the queue, or about to be
  alignas(64) std::atomic<std::uint64_t> left_out_{0};
};

class TapHub {
 public:
  void add(std::shared_ptr<Tap> tap);
  void remove(const Tap* tap);

 private:
  friend class TapPoint;
  std::mutex mutex_;
  std::vector<std::shared_ptr<Tap>> taps_;
  std::atomic<std::uint64_t> changes_{0};
};

class TapPoint {
 public:
  explicit TapPoint(TapHub& hub) : hub_(hub) {}

  // Once a round of passes: whoever began or stopped watching since; and what was left out is counted.
  void refresh() {
    if (watched()) book_left_out();
    // Relaxed: the list itself is read under its mutex.
    if (hub_.changes_.load(std::memory_order_relaxed) != seen_) [[unlikely]]
      look_again();
  }
  [[nodiscard]] bool watched() const { return !taps_.empty(); }

  // Only when watched().
  void see(std::string_view service, const otlp::SpanView& span);
  void see(std::string_view service, const otlp::LogView& log);
  void see(std::string_view service, const TapMetric& metric);
  // Encoded metrics, as they are appended.
  void see_points(std::string_view service, std::span<const std::uint8_t> messages);

 private:
  struct Watched {
    std::shared_ptr<Tap> tap;
    bool full = false;           // since this round began: not looked at again in it
    std::uint64_t left_out = 0;  // in this round
  };
  void look_again();
  void book_left_out();
  template <class View>
  static void show(Watched& watched, std::string_view service, const View& view);

  TapHub& hub_;
  std::uint64_t seen_ = 0;
  std::vector<Watched> taps_;
};

}  // namespace tailrace::agent
