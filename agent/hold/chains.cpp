// SPDX-License-Identifier: Apache-2.0
//
// Chains of pages: taking, writing, giving back. Orders that matter after kill -9 are said where
// they are.
#include <algorithm>
#include <cassert>
#include <cstring>

#include "agent/hold/core.hpp"
#include "agent/hold/mutation.hpp"
#include "agent/hold/words.hpp"
#include <tailrace/shm/test_point.hpp>

namespace tailrace::agent {

using namespace hold_layout;

Chain& HoldCore::chain_of(std::uint32_t slot) {
  if (chains[slot] == nullptr) {
    chains[slot] = std::make_unique<Chain>();
    chains[slot]->slot = slot;
  }
  return *chains[slot];
}

Chain* HoldCore::find_chain(BatchId id) const {
  if (id.slot >= chains.size() || chains[id.slot] == nullptr) {
    return nullptr;
  }
  Chain* chain = chains[id.slot].get();
  return chain->in_use && chain->generation == id.generation ? chain : nullptr;
}

BatchInfo HoldCore::describe(const Chain& chain) const {
  BatchInfo info;
  info.id = chain.id();
  info.key = chain.key;
  info.state = chain.state;
  info.note = chain.note;
  info.bytes = chain.bytes;
  info.records = chain.records;
  info.opened_ns = chain.opened_ns;
  info.attempts = chain.attempts;
  info.due_ns = chain.due_ns;
  return info;
}

std::uint64_t HoldCore::slot_word(const Chain& chain) const {
  const SlotState state = chain.kind != kKindBatch          ? kSlotHeld
                          : chain.state == BatchState::open ? kSlotOpen
                                                            : kSlotClosed;
  return pack_slot_state(state, chain.records, chain.bytes);
}

Chain* HoldCore::open_chain(ChainKind kind, const BatchKey& key, std::uint64_t note, std::uint64_t bytes,
                            bool use_reserve) {
  std::uint32_t slot = slot_high;
  if (!free_slots.empty()) {
    slot = free_slots.top();
  } else if (slot_high == geometry.slot_count) {
    return nullptr;
  }
  Chain& chain = chain_of(slot);
  chain.pages.clear();
  chain.firsts.clear();
  chain.bytes = chain.records = chain.pending_bytes = chain.pending_records = 0;
  chain.kind = kind;
  chain.state = kind == kKindBatch ? BatchState::open : BatchState::parked;
  chain.resumed = chain.touched = false;
  chain.last_lane = kNoLane;
  chain.cursor_room = 0;
  chain.key = key;
  chain.note = note;
  chain.opened_ns = clock_ns(CLOCK_REALTIME);
  chain.attempts = 0;
  chain.due_ns = 0;
  chain.pass = nullptr;
  if (!grow(chain, bytes, use_reserve)) {
    return nullptr;
  }
  if (slot == slot_high) {
    store_word(word(0) + kHeaderSlotHigh, ++slot_high);
    TAILRACE_TEST_POINT("hold.slot.high");
  } else {
    free_slots.pop();
  }
  chain.in_use = true;

  // On a slot whose state is free: nothing of this is looked at until a transaction makes it live.
  std::uint64_t* words = word(geometry.slot(slot));
  store_word(words + kSlotOwner,
             pack_slot_owner(key.process, kind, static_cast<std::uint64_t>(key.signal), key.priority));
  TAILRACE_TEST_POINT("hold.slot.owner");
  store_word(words + kSlotRoute, key.route);
  store_word(words + kSlotNote, note);
  store_word(words + kSlotOpened, chain.opened_ns);
  store_word(words + kSlotAttempts, 0);
  store_word(words + kSlotDue, 0);
  TAILRACE_TEST_POINT("hold.slot.words");

  if (kind == kKindBatch || kind == kKindParked) {
    ++processes[key.process]->chains;
  }
  return &chain;
}

bool HoldCore::grow(Chain& chain, std::uint64_t bytes, bool use_reserve) {
  const std::uint64_t have = chain.pages.size();
  const std::uint64_t want = pages_of(bytes);
  const std::uint64_t reserve = use_reserve ? 0 : reserve_pages;
  if (want <= have) {
    return true;
  }
  // Uncommitted pages count as free until the tmpfs refuses, so the loop below may still come
  // short.
  if (want - have + reserve > pool.free_pages()) {
    return false;
  }
  while (chain.pages.size() < want) {
    const std::uint32_t page = pool.take(chain.pages.empty() ? PagePool::kNone : chain.pages.back());
    if (page == PagePool::kNone) {
      cut(chain, have * kPageBytes);
      return false;
    }
    if (!mutated(Mutation::page_word_after_commit)) {
      store_word(word(geometry.page_word(page)), pack_page(chain.slot, static_cast<std::uint32_t>(chain.pages.size())));
      TAILRACE_TEST_POINT("hold.page.take");
    }
    chain.pages.push_back(page);
    parked_pages += chain.kind == kKindParked ? 1 : 0;
  }
  return true;
}

void HoldCore::cut(Chain& chain, std::uint64_t bytes) {
  while (chain.pages.size() > pages_of(bytes)) {
    const std::uint32_t page = chain.pages.back();
    chain.pages.pop_back();
    store_word(word(geometry.page_word(page)), 0);
    TAILRACE_TEST_POINT("hold.page.clear");
    pool.give(page);
    parked_pages -= chain.kind == kKindParked ? 1 : 0;
  }
}

void HoldCore::write(const Chain& chain, std::uint64_t offset, ByteSpan bytes) const {
  while (!bytes.empty()) {
    const std::uint64_t within = offset % kPageBytes;
    const std::size_t part = std::min<std::size_t>(bytes.size(), kPageBytes - within);
    copy_bytes(page(chain.pages[offset / kPageBytes]) + within, bytes.data(), part);
    TAILRACE_TEST_POINT("hold.write");
    bytes = bytes.subspan(part);
    offset += part;
  }
}

void HoldCore::append(Chain& chain, ByteSpan bytes) const {
  write(chain, chain.pending_bytes, bytes);
  chain.pending_bytes += static_cast<std::uint32_t>(bytes.size());
  const std::uint64_t within = chain.pending_bytes % kPageBytes;
  chain.cursor_room = within == 0 ? 0 : kPageBytes - within;
  chain.cursor = within == 0 ? nullptr : page(chain.pages[chain.pending_bytes / kPageBytes]) + within;
}

void HoldCore::release(Chain& chain) {
  const bool counted = chain.kind == kKindBatch || chain.kind == kKindParked;
  // Page words before pages and slot: while a word still names this slot, neither may have a new
  // owner.
  for (const std::uint32_t index : chain.pages) {
    store_word(word(geometry.page_word(index)), 0);
    TAILRACE_TEST_POINT("hold.page.clear");
  }
  for (const std::uint32_t index : chain.pages) {
    pool.give(index);
  }
  if (chain.kind == kKindParked) {
    parked_pages -= static_cast<std::uint32_t>(chain.pages.size());
  }
  if (counted) {
    --processes[chain.key.process]->chains;
  }
  chain.pages.clear();
  if (chain.pages.capacity() > 64) {
    chain.pages.shrink_to_fit();
  }
  chain.in_use = false;
  chain.pass = nullptr;
  if (++chain.generation == 0) {
    chain.generation = 1;
  }
  free_slots.push(chain.slot);
}

}  // namespace tailrace::agent
