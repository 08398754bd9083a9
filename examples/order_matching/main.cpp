// SPDX-License-Identifier: Apache-2.0
// An order-matching loop without a lock, instrumented for as little added latency as there can be, and a measurement
// of how much that is: blocks of orders are matched by turns with and without Tailrace, by the same thread.
//
//   tailrace-example-order-matching [SECONDS] [ORDERS_A_SECOND]
//
// What hot code does: "…"_n names, instruments bound to their attributes once, attach_thread() before the loop.
#include <tailrace/tailrace.hpp>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <thread>
#include <vector>

#include "book.hpp"

namespace {

using namespace tailrace::literals;
using example::Book;
using example::Fill;
using example::Order;
using Clock = std::chrono::steady_clock;

// Made once: an add() on them is one instruction that changes memory.
const auto orders = tailrace::counter<std::uint64_t>("orders", {"{order}", "Orders taken"});
const auto bought = orders.bind({{"side", "buy"}});
const auto sold = orders.bind({{"side", "sell"}});
const auto traded = tailrace::counter<std::uint64_t>("trade.quantity", {"{share}", "Shares that changed hands"}).bind();
const auto depth =
    tailrace::histogram<std::uint64_t>("order.trades", {"{trade}", "Trades an order made at once"}).bind();

Fill match_plain(Book& book, const Order& order) {
  if (order.price == 0 || order.price >= Book::kPrices) return {};
  return book.match(order);
}

Fill match_traced(Book& book, const Order& order) {
  auto span = tailrace::span("match order"_n);
  (order.buy ? bought : sold).add(1u);
  if (order.price == 0 || order.price >= Book::kPrices) {
    span.status(tailrace::StatusCode::error, "price outside the book");
    tailrace::warn("order for {} at {} refused"_n, order.quantity, order.price);
    return {};
  }
  const Fill fill = book.match(order);
  span.set("order.price"_n, order.price);
  span.set("order.quantity"_n, order.quantity);
  span.set("order.filled"_n, fill.quantity);
  if (fill.quantity != 0) traded.add(fill.quantity);
  depth.record(fill.trades);
  return fill;
}

void produce(example::Queue& queue, std::atomic<bool>& done, std::chrono::seconds time, long rate) {
  std::mt19937_64 random(42);
  const auto start = Clock::now();
  for (long sent = 0; Clock::now() - start < time; ++sent) {
    const std::uint64_t draw = random();
    const bool buy = (draw & 1) != 0;
    const auto distance = static_cast<std::uint32_t>(draw >> 8 & 15);
    Order order{buy ? 500 + distance - 8 : 500 + 8 - distance, 1 + static_cast<std::uint32_t>(draw >> 16 & 127), buy};
    if ((draw >> 32) % 10000 == 0) order.price = 0;  // somebody always sends nonsense
    while (!queue.push(order) && Clock::now() - start < time) {}
    const auto due = start + std::chrono::nanoseconds(1'000'000'000 / rate * sent);
    while (Clock::now() < due) {}
  }
  done.store(true, std::memory_order_release);
}

double percentile(std::vector<std::uint32_t>& ns, double share) {
  if (ns.empty()) return 0;
  const auto at = static_cast<std::size_t>(share * static_cast<double>(ns.size() - 1));
  std::nth_element(ns.begin(), ns.begin() + static_cast<std::ptrdiff_t>(at), ns.end());
  return ns[at];
}

}  // namespace

int main(int argc, char** argv) {
  const auto seconds = std::chrono::seconds(argc > 1 ? std::atoi(argv[1]) : 5);
  const long rate = argc > 2 ? std::max(1L, std::atol(argv[2])) : 100'000;
  tailrace::Config config;
  config.service = "order-matching";
  tailrace::init(config);  // without an agent the loop runs just the same

  example::Queue queue;
  std::atomic<bool> done{false};
  std::vector<std::uint32_t> plain;
  std::vector<std::uint32_t> with;
  plain.reserve(static_cast<std::size_t>(rate * seconds.count() / 2 + 4096));
  with.reserve(plain.capacity());
  std::thread producer([&] { produce(queue, done, seconds, rate); });

  tailrace::attach_thread("matching");
  constexpr std::size_t kBlock = 256;
  Book book;
  Order order{};
  std::uint64_t matched = 0;
  for (std::size_t count = 0; !done.load(std::memory_order_acquire);) {
    if (!queue.pop(order)) continue;
    const bool turn = count++ / kBlock % 2 != 0;
    const auto start = Clock::now();
    const Fill fill = turn ? match_traced(book, order) : match_plain(book, order);
    const auto took = std::chrono::duration_cast<std::chrono::nanoseconds>(Clock::now() - start).count();
    matched += fill.quantity;
    std::vector<std::uint32_t>& samples = turn ? with : plain;
    if (samples.size() < samples.capacity())
      samples.push_back(static_cast<std::uint32_t>(std::min<std::int64_t>(took, ~0u)));
  }
  producer.join();

  std::printf("%zu orders without and %zu with Tailrace, %llu shares traded\n\n", plain.size(), with.size(),
              static_cast<unsigned long long>(matched));
  std::printf("ns an order, two clock reads included\n%-8s %10s %10s %10s\n", "", "without", "with", "added");
  for (const auto& [name, share] : {std::pair{"p50", 0.5}, {"p99", 0.99}, {"p99.9", 0.999}}) {
    const double without = percentile(plain, share);
    const double traced = percentile(with, share);
    std::printf("%-8s %10.0f %10.0f %+10.0f\n", name, without, traced, traced - without);
  }
  const tailrace::Stats stats = tailrace::stats();
  std::printf("\nspans written %llu, dropped for want of an agent %llu\n",
              static_cast<unsigned long long>(stats.written[0]), static_cast<unsigned long long>(stats.dropped[0][1]));
  return 0;
}
