// SPDX-License-Identifier: Apache-2.0
// What there is to measure: an order book of one instrument with whole prices, and the queue that orders come by.
// Nothing of Tailrace is in here.
//
// Threads: Queue: one producer, one consumer; Book: one. Memory: fixed.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

namespace example {

struct Order {
  std::uint32_t price;  // 1 … Book::kPrices - 1; anything else is refused
  std::uint32_t quantity;
  bool buy;
};

class Queue {
 public:
  bool push(const Order& order) {
    const std::size_t at = written_.load(std::memory_order_relaxed);
    if (at - read_.load(std::memory_order_acquire) == kOrders) return false;
    orders_[at % kOrders] = order;
    written_.store(at + 1, std::memory_order_release);
    return true;
  }
  bool pop(Order& order) {
    const std::size_t at = read_.load(std::memory_order_relaxed);
    if (at == written_.load(std::memory_order_acquire)) return false;
    order = orders_[at % kOrders];
    read_.store(at + 1, std::memory_order_release);
    return true;
  }

 private:
  static constexpr std::size_t kOrders = 4096;
  std::array<Order, kOrders> orders_{};
  alignas(64) std::atomic<std::size_t> written_{0};
  alignas(64) std::atomic<std::size_t> read_{0};
};

struct Fill {
  std::uint32_t quantity = 0;  // traded at once; the rest waits in the book
  std::uint32_t trades = 0;
};

class Book {
 public:
  static constexpr std::uint32_t kPrices = 1024;

  Fill match(const Order& order) {
    Fill fill;
    std::uint32_t left = order.quantity;
    if (order.buy) {
      while (left != 0 && best_ask_ <= order.price) left -= trade(asks_[best_ask_], left, fill, best_ask_, +1);
      if (left != 0) rest(bids_[order.price], left, order.price > best_bid_, best_bid_, order.price);
    } else {
      while (left != 0 && best_bid_ >= order.price) left -= trade(bids_[best_bid_], left, fill, best_bid_, -1);
      if (left != 0) rest(asks_[order.price], left, order.price < best_ask_, best_ask_, order.price);
    }
    return fill;
  }

 private:
  // Takes from one level; moves on when it is empty. Levels 0 and kPrices end every walk.
  std::uint32_t trade(std::uint32_t& level, std::uint32_t left, Fill& fill, std::uint32_t& best, int step) {
    const std::uint32_t quantity = level < left ? level : left;
    level -= quantity;
    if (quantity != 0) {
      fill.quantity += quantity;
      ++fill.trades;
    }
    if (level == 0) best = static_cast<std::uint32_t>(static_cast<int>(best) + step);
    return quantity;
  }
  static void rest(std::uint32_t& level, std::uint32_t quantity, bool better, std::uint32_t& best,
                   std::uint32_t price) {
    level += quantity;
    if (better) best = price;
  }

  std::array<std::uint32_t, kPrices + 1> bids_{};
  std::array<std::uint32_t, kPrices + 1> asks_{};
  std::uint32_t best_bid_ = 0;
  std::uint32_t best_ask_ = kPrices;
};

}  // namespace example
