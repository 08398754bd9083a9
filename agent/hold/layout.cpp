// SPDX-License-Identifier: Apache-2.0
#include "agent/hold/layout.hpp"

#include <algorithm>
#include <bit>
#include <cstring>

namespace tailrace::agent::hold_layout {
namespace {

constexpr std::uint64_t round_up(std::uint64_t value, std::uint64_t unit) { return (value + unit - 1) / unit * unit; }

constexpr std::uint64_t mix(std::uint64_t value) {
  value ^= value >> 32;
  value *= 0x9e3779b97f4a7c15;
  return value ^ value >> 29;
}

}  // namespace

Geometry geometry_of(std::uint64_t file_bytes) {
  Geometry g;
  g.file_bytes = file_bytes / kPageBytes * kPageBytes;
  // A log must take one process with 1024 lanes, its ledger and a pass's batches: 2048 entries are
  // enough.
  g.log_entries = std::clamp(std::bit_floor(g.file_bytes / 8192), std::uint64_t{2048}, std::uint64_t{16384});
  g.process_count = std::clamp(g.file_bytes >> 17, std::uint64_t{16}, std::uint64_t{4096});

  g.log_offset = kHeaderBytes;
  g.processes_offset = g.log_offset + round_up((kLogEntries + 2 * g.log_entries) * 8, kPageBytes);
  g.slots_offset = g.processes_offset + g.process_count * kProcessBytes;
  // Pages, and for each of them a slot and a word; a page less than fits is left to the rounding.
  const std::uint64_t left = g.file_bytes - g.slots_offset;
  g.page_count = left / (kPageBytes + kSlotBytes + 8) - 1;
  g.slot_count = g.page_count;
  g.page_words_offset = g.slots_offset + g.slot_count * kSlotBytes;
  g.pages_offset = round_up(g.page_words_offset + g.page_count * 8, kPageBytes);
  return g;
}

const char* check_geometry(const std::uint64_t* words, const Geometry& g) {
  if (words[kHeaderMagic] != kMagic) {
    return "no hold: wrong magic";
  }
  if (words[kHeaderVersion] != kVersion) {
    return "a layout version that this program does not know";
  }
  if (words[kHeaderFileBytes] != g.file_bytes) {
    return "the file's size is not the one it was made with";
  }
  if (words[kHeaderLogEntries] != g.log_entries || words[kHeaderProcessCount] != g.process_count ||
      words[kHeaderSlotCount] != g.slot_count || words[kHeaderPageCount] != g.page_count ||
      words[kHeaderPagesOffset] != g.pages_offset) {
    return "tables in other places than this program's";
  }
  return nullptr;
}

std::uint64_t log_checksum(std::uint64_t count, const std::uint64_t* entries) {
  std::uint64_t sum = mix(count + kMagic);
  for (std::uint64_t i = 0; i < 2 * count; i += 2) {
    sum = std::rotl(sum, 7) + mix(entries[i] * 0xff51afd7ed558ccd + mix(entries[i + 1]));
  }
  return sum;
}

std::uint64_t add_to_checksum(std::uint64_t sum, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    std::uint64_t word = 0;
    const std::size_t part = std::min(bytes.size(), sizeof word);
    std::memcpy(&word, bytes.data(), part);
    sum = mix((sum + part) * 0xff51afd7ed558ccd ^ word);
    bytes = bytes.subspan(part);
  }
  return sum;
}

}  // namespace tailrace::agent::hold_layout
