// SPDX-License-Identifier: Apache-2.0
// The strings: interned once for the process, mirrored in private memory so that ids survive a fork.
//
// The mirror stands at the same offsets as the segment's arena and is there before init() and in every
// child; a segment that is born takes it over whole. Lookups take no lock. An insertion tries the lock
// a bounded number of times and gives up: the string then goes inline.
#include <cstring>

#include <sys/mman.h>

#include <tailrace/shm/birth.hpp>

#include "encode.hpp"
#include "runtime.hpp"

namespace tailrace::shim {
namespace {

constexpr std::uint32_t kLengthMax = 4096;
constexpr std::uint64_t kArenaBytes = shm::kArenaBytesDefault;
constexpr std::uint32_t kCommitStep = 64 * 1024;
constexpr unsigned kAttempts = 200;

std::uint64_t hash_of(const char* text, std::size_t length) {
  std::uint64_t h = 0x9e3779b97f4a7c15ull ^ length;
  std::size_t i = 0;
  for (; i + 8 <= length; i += 8) {
    std::uint64_t word;
    std::memcpy(&word, text + i, 8);
    h = (h ^ word) * 0xd6e8feb86659fd93ull;
    h ^= h >> 32;
  }
  std::uint64_t rest = 0;
  std::memcpy(&rest, text + i, length - i);
  h = (h ^ rest) * 0xd6e8feb86659fd93ull;
  return h ^ h >> 29;
}

// An anonymous mapping published to whoever asks first.
template <class T>
T* map_once(std::atomic<T*>& slot, std::size_t bytes) {
  T* have = slot.load(std::memory_order_acquire);
  if (have != nullptr) return have;
  void* fresh = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (fresh == MAP_FAILED) return nullptr;
  if (!slot.compare_exchange_strong(have, static_cast<T*>(fresh), std::memory_order_acq_rel)) {
    munmap(fresh, bytes);
    return have;
  }
  return static_cast<T*>(fresh);
}

std::atomic<std::uint32_t>* table() {
  unsigned char* m = mirror();
  return m != nullptr ? reinterpret_cast<std::atomic<std::uint32_t>*>(m + kArenaBytes) : nullptr;
}

bool same(const unsigned char* m, std::uint32_t id, const char* text, std::size_t length) {
  std::uint32_t have;
  std::memcpy(&have, m + std::uint64_t{id} * 8, 4);
  return have == length && std::memcmp(m + std::uint64_t{id} * 8 + 4, text, length) == 0;
}

std::uint32_t lookup(const unsigned char* m, std::atomic<std::uint32_t>* t, std::uint64_t hash, const char* text,
                     std::size_t length, std::uint32_t* free_at) {
  for (std::uint32_t probe = 0; probe < 64; ++probe) {
    const auto at = static_cast<std::uint32_t>((hash + probe) & (kNameTable - 1));
    const std::uint32_t id = t[at].load(std::memory_order_acquire);
    if (id == 0) {
      if (free_at != nullptr) *free_at = at;
      return 0;
    }
    if (same(m, id, text, length)) return id;
  }
  return 0;
}

// Under the lock. Offset of `bytes` fresh bytes, 0 = full; nobody sees them before announce().
std::uint64_t grow(Private& p, std::uint64_t bytes, std::uint64_t cap) {
  std::uint64_t at = g.mirror_length.load(std::memory_order_relaxed);
  if (at == 0) at = shm::kArenaStart;
  if (at + bytes > cap) return 0;
  if (p.state.load(std::memory_order_acquire) == ChildState::ready && at + bytes > p.strings_committed) {
    const std::uint64_t need = at + bytes - p.strings_committed;
    std::uint64_t step = need < kCommitStep ? kCommitStep : need;
    if (p.strings_committed + step > kArenaBytes) step = kArenaBytes - p.strings_committed;
    if (!shm::commit_range(g.map.strings + p.strings_committed, step)) return 0;
    p.strings_committed += step;
  }
  return at;
}

void announce(Private& p, unsigned char* m, std::uint64_t at, std::uint64_t end) {
  if (p.state.load(std::memory_order_acquire) == ChildState::ready) {
    std::memcpy(g.map.strings + at, m + at, end - at);
    TAILRACE_TEST_POINT("shim.intern.copied");
    g.map.process->strings_len.store(end, std::memory_order_release);  // pairs with the agent's acquire
    TAILRACE_TEST_POINT("shim.intern.published");
  }
  g.mirror_length.store(end, std::memory_order_release);
}

}  // namespace

unsigned char* mirror() noexcept { return map_once(g.mirror, kArenaBytes + kNameTable * sizeof(std::uint32_t)); }

std::uint32_t intern(const char* text, std::size_t length, bool literal) noexcept {
  unsigned char* m = mirror();
  Private* p = ensure_area();
  if (m == nullptr || p == nullptr || length > kLengthMax) return 0;
  std::atomic<std::uint32_t>* t = table();
  const std::uint64_t hash = hash_of(text, length);
  std::uint32_t free_at = kNameTable;
  std::uint32_t id = lookup(m, t, hash, text, length, &free_at);
  if (id != 0) return id;
  if (!p->strings_lock.try_lock(kAttempts)) return 0;
  free_at = kNameTable;
  id = lookup(m, t, hash, text, length, &free_at);
  // Strings of run time may fill half of the arena: the other half is for literals and scopes.
  const std::uint64_t cap = literal ? kArenaBytes : kArenaBytes / 2;
  if (id == 0 && free_at != kNameTable) {
    const std::uint64_t bytes = (4 + length + 7) & ~std::uint64_t{7};
    const std::uint64_t at = grow(*p, bytes, cap);
    if (at != 0) {
      const auto length32 = static_cast<std::uint32_t>(length);
      std::memcpy(m + at, &length32, 4);
      std::memcpy(m + at + 4, text, length);
      TAILRACE_TEST_POINT("shim.intern.filled");
      announce(*p, m, at, at + bytes);
      id = static_cast<std::uint32_t>(at / 8);
      t[free_at].store(id, std::memory_order_release);  // pairs with lookup()
    }
  }
  p->strings_lock.unlock();
  return id;
}

std::uint32_t find_string(const char* text, std::size_t length) noexcept {
  const unsigned char* m = mirror();
  return m != nullptr && length <= kLengthMax ? lookup(m, table(), hash_of(text, length), text, length, nullptr) : 0;
}

// A blob of items, without a length in front: the resource, the hints. Before the segment has a name.
std::uint32_t append_blob(const void* bytes, std::size_t length) noexcept {
  unsigned char* m = mirror();
  Private* p = ensure_area();
  if (m == nullptr || p == nullptr || !p->strings_lock.try_lock(1000000)) return 0;
  const std::uint64_t at = grow(*p, (length + 7) & ~std::uint64_t{7}, kArenaBytes);
  if (at != 0) {
    std::memcpy(m + at, bytes, length);
    announce(*p, m, at, at + ((length + 7) & ~std::uint64_t{7}));
  }
  p->strings_lock.unlock();
  return static_cast<std::uint32_t>(at);
}

// What was interned before the segment was there, and by the parent. Interning goes on behind it, so
// the caller holds strings_lock from here until the state says ready.
bool copy_mirror(Private& p, const shm::SegmentMap& map) noexcept {
  unsigned char* m = mirror();
  if (m == nullptr) return false;
  std::uint64_t length = g.mirror_length.load(std::memory_order_acquire);
  if (length == 0) {
    length = shm::kArenaStart;
    g.mirror_length.store(length, std::memory_order_release);
  }
  const std::uint64_t commit = (length + kCommitStep) < kArenaBytes ? length + kCommitStep : kArenaBytes;
  if (!shm::commit_range(map.strings, commit)) return false;
  p.strings_committed = commit;
  std::memcpy(map.strings + shm::kArenaStart, m + shm::kArenaStart, length - shm::kArenaStart);
  map.process->strings_len.store(length, std::memory_order_release);
  const std::uint32_t scopes = g.scopes_count.load(std::memory_order_acquire);
  for (std::uint32_t i = 0; i < scopes; ++i) map.scopes[i].store(g.scope_strings[i], std::memory_order_relaxed);
  map.process->scopes_count.store(scopes, std::memory_order_release);
  return true;
}

}  // namespace tailrace::shim

using namespace tailrace;

extern "C" std::uint32_t tailrace_intern(detail::NameCell* cell) noexcept {
  const std::uint32_t id = shim::intern(cell->text, cell->length, true);
  if (id != 0) cell->id.store(id, std::memory_order_release);  // pairs with Literal::id()
  return id;
}

// The thread's cache did not know it. Seen for the first time: inline, it may be one of thousands.
extern "C" std::uint32_t tailrace_name(const char* text, std::size_t length) noexcept {
  if (text == nullptr || length == 0) return 0;
  detail::ThreadBlock* block = tailrace_thread;
  if (block->control == nullptr) block = shim::enter();
  if (block == nullptr) return 0;
  const detail::TextKey key = detail::text_key(text, length);
  detail::NameEntry& entry = block->names[detail::name_index(key, length)];
  const bool seen = entry.first == key.first && entry.last == key.last && entry.length == length;
  if (!seen) {
    entry.id = 0;
    entry.first = key.first;
    entry.last = key.last;
    entry.length = static_cast<std::uint32_t>(length);
    return 0;
  }
  const std::uint32_t id = shim::intern(text, length, false);
  entry.id = id;
  return id;
}

extern "C" std::uint16_t tailrace_scope(const detail::ScopeData* data) noexcept {
  if (data == nullptr) return 0;
  unsigned char blob[2048];
  shim::Encoder encoder(blob, sizeof blob, 0xffffffff, false);
  encoder.string_item(shm::kNameKey, data->name, data->name_length);
  if (data->version_length != 0) encoder.string_item(shm::kVersionKey, data->version, data->version_length);
  if (data->schema_url_length != 0) encoder.string_item(shm::kSchemaUrlKey, data->schema_url, data->schema_url_length);
  for (std::size_t i = 0; i < data->attributes_size; ++i) {
    // No interning inside: the content of the blob must not depend on what was seen before.
    detail::Name name = data->attributes[i].key;
    if (!encoder.item(name, data->attributes[i].value)) break;
  }
  const std::uint32_t string = shim::intern(reinterpret_cast<const char*>(blob), encoder.size(), true);
  shim::Private* p = shim::ensure_area();
  if (string == 0 || p == nullptr) return 0;
  std::uint32_t count = shim::g.scopes_count.load(std::memory_order_acquire);
  for (std::uint32_t i = 0; i < count; ++i) {
    if (shim::g.scope_strings[i] == string) return static_cast<std::uint16_t>(i + 1);
  }
  if (!p->strings_lock.try_lock(1000)) return 0;
  std::uint16_t id = 0;
  count = shim::g.scopes_count.load(std::memory_order_acquire);
  for (std::uint32_t i = 0; i < count && id == 0; ++i) {
    if (shim::g.scope_strings[i] == string) id = static_cast<std::uint16_t>(i + 1);
  }
  if (id == 0 && count < shm::kScopesMax) {
    shim::g.scope_strings[count] = string;
    if (p->state.load(std::memory_order_acquire) == shim::ChildState::ready) {
      shim::g.map.scopes[count].store(string, std::memory_order_relaxed);
      TAILRACE_TEST_POINT("shim.scope.filled");
      shim::g.map.process->scopes_count.store(count + 1, std::memory_order_release);  // pairs with the agent
      TAILRACE_TEST_POINT("shim.scope.published");
    }
    shim::g.scopes_count.store(count + 1, std::memory_order_release);
    id = static_cast<std::uint16_t>(count + 1);
  }
  p->strings_lock.unlock();
  return id;
}
