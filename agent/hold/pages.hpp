// SPDX-License-Identifier: Apache-2.0
//
// PagePool: which pages are free. Private to the running agent and rebuilt by the next one; the
// hold's own truth is the page word.
//
// A chain grows into the page after its last one where that is free, and a new chain starts where
// sixteen are free in a row: contiguous pages make few slices of a request. Low pages first, and
// memory committed group by group only when no committed page is free: a quiet agent stays small.
//
// Threads: under the hold's mutex. Failure: take() answers kNone when nothing is free or the tmpfs
// gives no more.
#ifndef TAILRACE_AGENT_HOLD_PAGES_HPP_
#define TAILRACE_AGENT_HOLD_PAGES_HPP_

#include <cstdint>
#include <functional>
#include <vector>

namespace tailrace::agent {

class PagePool {
 public:
  static constexpr std::uint32_t kNone = ~std::uint32_t{0};
  using Commit = std::function<bool(std::uint32_t first_page, std::uint32_t pages)>;

  // Every page is free and none committed.
  PagePool(std::uint32_t pages, Commit commit);

  // At start-up: this page is owned, hence committed.
  void mark_owned(std::uint32_t page);
  // After the last mark_owned: makes the groups of owned pages present.
  void commit_owned_groups();

  [[nodiscard]] std::uint32_t take(std::uint32_t after = kNone);
  void give(std::uint32_t page);
  // Gives groups that are wholly free back, highest first, until `keep` free committed pages or
  // `groups` groups are reached. Returns pages.
  std::uint32_t trim(std::uint32_t keep, std::uint32_t groups, const Commit& uncommit);

  [[nodiscard]] std::uint32_t pages() const { return pages_; }
  // What take() could still give: without uncommitted pages while the tmpfs is known to be full.
  [[nodiscard]] std::uint32_t free_pages() const;
  [[nodiscard]] std::uint32_t used_pages() const { return pages_ - free_; }
  [[nodiscard]] std::uint32_t committed_pages() const { return committed_; }
  [[nodiscard]] bool tmpfs_full() const { return tmpfs_full_; }
  [[nodiscard]] bool is_free(std::uint32_t page) const {
    return ((ready_[page / 64] | raw_[page / 64]) >> (page % 64) & 1) != 0;
  }

 private:
  [[nodiscard]] std::uint32_t find_run();
  [[nodiscard]] std::uint32_t find_any();
  bool commit_next_group();

  std::uint32_t pages_;
  Commit commit_;
  // A group is 64 pages, hence one word: bit set = free. ready_: committed pages, raw_: the others.
  std::vector<std::uint64_t> ready_;
  std::vector<std::uint64_t> raw_;
  std::vector<bool> group_committed_;
  std::uint32_t free_;
  std::uint32_t free_committed_ = 0;
  std::uint32_t committed_ = 0;
  std::uint32_t low_group_ = 0;  // no committed page below this group is free
  std::uint32_t run_group_ = 0;  // where the search for a run begins
  std::uint32_t raw_group_ = 0;  // no group below this one is uncommitted
  bool tmpfs_full_ = false;
  std::uint64_t retry_ns_ = 0;  // CLOCK_MONOTONIC: a full tmpfs is not asked again before
};

}  // namespace tailrace::agent

#endif  // TAILRACE_AGENT_HOLD_PAGES_HPP_
