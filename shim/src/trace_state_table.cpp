// SPDX-License-Identifier: Apache-2.0
// Where tracestates live: some thousand places, found by content, taken by the least recently used.
//
// A server sees another text with every request, a process that samples by ratio the same one always. So an
// equal text is found again, and a new one takes the oldest of sixteen places that nobody has pinned.
// A reader copies and looks at the generation before and after; a writer says by a bit of the generation that
// it is at work, then looks at the pins. Who pins adds to them, then looks at the generation: one of the two
// sees the other (both sequentially consistent).
#include <cstring>

#include "lazy_table.hpp"
#include "runtime.hpp"
#include "trace_state.hpp"

namespace tailrace::shim {
namespace {

constexpr unsigned kPlaceBits = 12;
constexpr std::uint32_t kPlaces = 1u << kPlaceBits;
constexpr std::uint32_t kProbes = 16;
constexpr std::uint32_t kGenerationMask = (1u << 20) - 1;
constexpr std::uint32_t kPinnedMask = (1u << 24) - 1;
constexpr std::uint32_t kWriting = 1u << 31;

struct Kept {
  std::atomic<std::uint32_t> generation;  // 0: never used
  std::atomic<std::uint32_t> hash;
  std::atomic<std::uint32_t> used;  // Table::clock then
  std::atomic<std::uint32_t> size;
  std::atomic<std::uint64_t> words[kTraceStateBytes / 8];
};
struct Table {
  std::atomic<std::uint32_t> clock;
  std::atomic<std::uint32_t> pins[kPlaces];
  Kept places[kPlaces];
};

std::atomic<Table*> the_table;

Table* table() noexcept { return lazy_table(the_table); }

std::uint32_t place_of(std::uint32_t handle) noexcept { return handle & (kPlaces - 1); }
std::uint32_t handle_of(std::uint32_t generation, std::uint32_t place) noexcept {
  return generation << kPlaceBits | place;
}

std::uint32_t hash_of(std::string_view text) noexcept {
  std::uint64_t h = 0x9e3779b97f4a7c15ull ^ text.size();
  for (std::size_t at = 0; at < text.size(); at += 8) {
    std::uint64_t word = 0;
    std::memcpy(&word, text.data() + at, text.size() - at < 8 ? text.size() - at : 8);
    h = (h ^ word) * 0xd6e8feb86659fd93ull;
    h ^= h >> 32;
  }
  return static_cast<std::uint32_t>(h ^ h >> 29);
}

bool holds(const Kept& place, std::string_view text) noexcept {
  if (place.size.load(std::memory_order_relaxed) != text.size()) return false;
  for (std::size_t at = 0; at < text.size(); at += 8) {
    std::uint64_t word = 0;
    std::memcpy(&word, text.data() + at, text.size() - at < 8 ? text.size() - at : 8);
    if (place.words[at / 8].load(std::memory_order_relaxed) != word) return false;
  }
  return true;
}

// Handles fit 32 bits, and 24 of them are never all zero.
std::uint32_t next_generation(std::uint32_t generation) noexcept {
  generation = (generation + 1) & kGenerationMask;
  return (generation & (kPinnedMask >> kPlaceBits)) != 0 ? generation : generation + 1;
}

}  // namespace

std::uint32_t keep_trace_state(std::string_view text) noexcept {
  if (text.empty()) return 0;
  Table* t = text.size() <= kTraceStateBytes ? table() : nullptr;
  const std::uint32_t hash = hash_of(text);
  const std::uint32_t step = hash >> kPlaceBits | 1;  // odd: never the same place twice
  for (int attempt = 0; attempt < 2 && t != nullptr; ++attempt) {
    const std::uint32_t now = t->clock.load(std::memory_order_relaxed);
    std::uint32_t oldest = kPlaces;
    std::uint32_t oldest_age = 0;
    std::uint32_t oldest_generation = 0;
    for (std::uint32_t probe = 0; probe < kProbes; ++probe) {
      const std::uint32_t at = (hash + probe * step) & (kPlaces - 1);
      Kept& place = t->places[at];
      const std::uint32_t generation = place.generation.load(std::memory_order_acquire);
      if ((generation & kWriting) != 0) continue;
      if (generation != 0 && place.hash.load(std::memory_order_relaxed) == hash && holds(place, text)) {
        std::atomic_thread_fence(std::memory_order_acquire);
        if (place.generation.load(std::memory_order_relaxed) != generation) continue;
        if (place.used.load(std::memory_order_relaxed) != now) place.used.store(now, std::memory_order_relaxed);
        return handle_of(generation, at);
      }
      if (t->pins[at].load(std::memory_order_relaxed) != 0) continue;
      const std::uint32_t age = generation == 0 ? ~0u : now - place.used.load(std::memory_order_relaxed);
      if (oldest == kPlaces || age > oldest_age) {
        oldest = at;
        oldest_age = age;
        oldest_generation = generation;
      }
    }
    if (oldest == kPlaces) break;
    Kept& place = t->places[oldest];
    std::uint32_t expected = oldest_generation;
    if (!place.generation.compare_exchange_strong(expected, oldest_generation | kWriting)) continue;
    if (t->pins[oldest].load() != 0) {
      place.generation.store(oldest_generation);
      continue;
    }
    std::atomic_thread_fence(std::memory_order_release);
    place.hash.store(hash, std::memory_order_relaxed);
    place.size.store(static_cast<std::uint32_t>(text.size()), std::memory_order_relaxed);
    for (std::size_t at = 0; at < text.size(); at += 8) {
      std::uint64_t word = 0;
      std::memcpy(&word, text.data() + at, text.size() - at < 8 ? text.size() - at : 8);
      place.words[at / 8].store(word, std::memory_order_relaxed);
    }
    place.used.store(t->clock.fetch_add(1, std::memory_order_relaxed) + 1, std::memory_order_relaxed);
    const std::uint32_t generation = next_generation(oldest_generation);
    place.generation.store(generation, std::memory_order_release);
    return handle_of(generation, oldest);
  }
  count_cut(tailrace_thread);
  return 0;
}

bool read_trace_state(std::uint32_t handle, TraceStateText& out) noexcept {
  out.size = 0;
  Table* t = handle != 0 ? the_table.load(std::memory_order_acquire) : nullptr;
  if (t == nullptr) return false;
  const Kept& place = t->places[place_of(handle)];
  const std::uint32_t generation = place.generation.load(std::memory_order_acquire);
  const std::uint32_t size = place.size.load(std::memory_order_relaxed);
  if (generation != handle >> kPlaceBits || size > kTraceStateBytes) return false;
  for (std::size_t at = 0; at < size; at += 8) {
    const std::uint64_t word = place.words[at / 8].load(std::memory_order_relaxed);
    std::memcpy(out.bytes + at, &word, 8);
  }
  std::atomic_thread_fence(std::memory_order_acquire);
  if (place.generation.load(std::memory_order_relaxed) != generation) return false;
  out.size = size;
  return true;
}

std::uint32_t pin_trace_state(std::uint32_t handle) noexcept {
  Table* t = handle != 0 ? the_table.load(std::memory_order_acquire) : nullptr;
  if (t == nullptr) return 0;
  std::atomic<std::uint32_t>& pins = t->pins[place_of(handle)];
  pins.fetch_add(1);
  if (t->places[place_of(handle)].generation.load() == handle >> kPlaceBits) return handle & kPinnedMask;
  pins.fetch_sub(1);
  count_cut(tailrace_thread);
  return 0;
}

void unpin_trace_state(std::uint32_t pinned) noexcept {
  Table* t = pinned != 0 ? the_table.load(std::memory_order_acquire) : nullptr;
  if (t == nullptr) return;
  std::atomic<std::uint32_t>& pins = t->pins[place_of(pinned)];
  if (pins.load(std::memory_order_relaxed) != 0) pins.fetch_sub(1, std::memory_order_release);
}

std::uint32_t pinned_handle(std::uint32_t pinned) noexcept {
  Table* t = pinned != 0 ? the_table.load(std::memory_order_acquire) : nullptr;
  if (t == nullptr) return 0;
  const std::uint32_t generation = t->places[place_of(pinned)].generation.load(std::memory_order_acquire);
  const std::uint32_t handle = handle_of(generation & kGenerationMask, place_of(pinned));
  return (generation & kWriting) == 0 && (handle & kPinnedMask) == pinned ? handle : 0;
}

void trace_states_after_fork() noexcept {
  Table* t = the_table.load(std::memory_order_relaxed);
  if (t == nullptr) return;
  for (std::atomic<std::uint32_t>& pins : t->pins) {
    if (pins.load(std::memory_order_relaxed) != 0) pins.store(0, std::memory_order_relaxed);
  }
}

}  // namespace tailrace::shim
