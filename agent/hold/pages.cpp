// SPDX-License-Identifier: Apache-2.0
#include "agent/hold/pages.hpp"

#include <algorithm>
#include <bit>
#include <cassert>

#include "agent/hold/layout.hpp"
#include "agent/hold/words.hpp"

namespace tailrace::agent {

namespace {
constexpr std::uint32_t kGroup = 64;
static_assert(kGroup == hold_layout::kGroupPages, "one bitmap word is one group");
constexpr std::uint32_t kRun = 16;
constexpr std::uint64_t kRetryNs = 100'000'000;
}  // namespace

PagePool::PagePool(std::uint32_t pages, Commit commit)
    : pages_(pages),
      commit_(std::move(commit)),
      ready_((pages + kGroup - 1) / kGroup),
      raw_(ready_.size(), ~std::uint64_t{0}),
      group_committed_(ready_.size()),
      free_(pages) {
  if (pages % kGroup != 0) {
    raw_.back() = (std::uint64_t{1} << pages % kGroup) - 1;
  }
}

void PagePool::mark_owned(std::uint32_t page) {
  assert(is_free(page));
  raw_[page / kGroup] &= ~(std::uint64_t{1} << page % kGroup);
  --free_;
}

void PagePool::commit_owned_groups() {
  for (std::uint32_t group = 0; group < ready_.size(); ++group) {
    const std::uint32_t first = group * kGroup;
    const std::uint32_t count = std::min(kGroup, pages_ - first);
    if (std::popcount(raw_[group]) == static_cast<int>(count)) {
      continue;
    }
    // A refusal here can only concern free pages of the group: they stay uncommitted.
    if (commit_(first, count)) {
      group_committed_[group] = true;
      committed_ += count;
      free_committed_ += static_cast<std::uint32_t>(std::popcount(raw_[group]));
      ready_[group] = raw_[group];
      raw_[group] = 0;
    }
  }
}

std::uint32_t PagePool::free_pages() const {
  return tmpfs_full_ && clock_ns(CLOCK_MONOTONIC) < retry_ns_ ? free_committed_ : free_;
}

std::uint32_t PagePool::take(std::uint32_t after) {
  std::uint32_t page = kNone;
  if (after != kNone && after + 1 < pages_ && (ready_[(after + 1) / kGroup] >> (after + 1) % kGroup & 1) != 0) {
    page = after + 1;
  } else {
    page = find_run();
    if (page == kNone) {
      page = find_any();
    }
    if (page == kNone && commit_next_group()) {
      page = find_any();
    }
  }
  if (page != kNone) {
    ready_[page / kGroup] &= ~(std::uint64_t{1} << page % kGroup);
    --free_;
    --free_committed_;
  }
  return page;
}

void PagePool::give(std::uint32_t page) {
  assert(page < pages_ && !is_free(page));
  const std::uint32_t group = page / kGroup;
  const std::uint64_t bit = std::uint64_t{1} << page % kGroup;
  ++free_;
  if (group_committed_[group]) {
    ready_[group] |= bit;
    ++free_committed_;
    low_group_ = std::min(low_group_, group);
    run_group_ = std::min(run_group_, group);
  } else {
    raw_[group] |= bit;
    raw_group_ = std::min(raw_group_, group);
  }
}

std::uint32_t PagePool::trim(std::uint32_t keep, std::uint32_t groups, const Commit& uncommit) {
  std::uint32_t given = 0;
  for (auto group = static_cast<std::uint32_t>(ready_.size()); group-- != 0 && groups != 0;) {
    const std::uint32_t first = group * kGroup;
    const std::uint32_t count = std::min(kGroup, pages_ - first);
    if (!group_committed_[group] || std::popcount(ready_[group]) != static_cast<int>(count)) {
      continue;
    }
    if (free_committed_ < keep + count || !uncommit(first, count)) {
      break;
    }
    raw_[group] = ready_[group];
    ready_[group] = 0;
    group_committed_[group] = false;
    committed_ -= count;
    free_committed_ -= count;
    raw_group_ = std::min(raw_group_, group);
    given += count;
    --groups;
  }
  return given;
}

// The start of sixteen free pages in a row, aligned, in a committed group.
std::uint32_t PagePool::find_run() {
  for (; run_group_ < ready_.size(); ++run_group_) {
    const std::uint64_t word = ready_[run_group_];
    for (std::uint32_t run = 0; word != 0 && run < kGroup / kRun; ++run) {
      if ((word >> run * kRun & 0xffff) == 0xffff) {
        return run_group_ * kGroup + run * kRun;
      }
    }
  }
  return kNone;
}

std::uint32_t PagePool::find_any() {
  for (; low_group_ < ready_.size(); ++low_group_) {
    if (ready_[low_group_] != 0) {
      return low_group_ * kGroup + static_cast<std::uint32_t>(std::countr_zero(ready_[low_group_]));
    }
  }
  return kNone;
}

bool PagePool::commit_next_group() {
  if (tmpfs_full_ && clock_ns(CLOCK_MONOTONIC) < retry_ns_) {
    return false;
  }
  while (raw_group_ < raw_.size() && (group_committed_[raw_group_] || raw_[raw_group_] == 0)) {
    ++raw_group_;
  }
  if (raw_group_ == raw_.size()) {
    tmpfs_full_ = false;
    return false;
  }
  const std::uint32_t group = raw_group_;
  const std::uint32_t first = group * kGroup;
  const std::uint32_t count = std::min(kGroup, pages_ - first);
  if (!commit_(first, count)) {
    tmpfs_full_ = true;
    retry_ns_ = clock_ns(CLOCK_MONOTONIC) + kRetryNs;
    return false;
  }
  tmpfs_full_ = false;
  group_committed_[group] = true;
  committed_ += count;
  free_committed_ += static_cast<std::uint32_t>(std::popcount(raw_[group]));
  ready_[group] = raw_[group];
  raw_[group] = 0;
  low_group_ = std::min(low_group_, group);
  run_group_ = std::min(run_group_, group);
  return true;
}

}  // namespace tailrace::agent
