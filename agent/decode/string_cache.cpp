// SPDX-License-Identifier: Apache-2.0
#include "agent/decode/string_cache.hpp"

#include <tailrace/shm/layout.hpp>

#include "shm/reader/utf8.hpp"

namespace tailrace::agent {

StringCache::StringCache(std::size_t budget_bytes) : table_(budget_bytes) {}

bool StringCache::extend(shm::Bytes more) {
  if (!table_.extend(more)) return false;
  if (!marks_) {
    marks_.reset(static_cast<std::uint16_t*>(std::calloc(table_.budget() / 8 + 1, sizeof(std::uint16_t))));
  }
  base_ = table_.blob(0, table_.size()).data;
  // Only entries whose length word has arrived can be marked.
  marked_ids_ = marks_ && base_ != nullptr ? table_.size() / 8 : 0;
  return true;
}

StringCache::Entry StringCache::find_slow(std::uint64_t id) {
  const auto known = odd_.find(id);
  if (known != odd_.end()) {
    if (known->second.missing) ++missing_;
    return {known->second.text, hash_of(known->second.text)};
  }
  const std::optional<std::string_view> text = table_.lookup(id);
  if (text && shm::valid_utf8(*text)) {
    const std::uint16_t hash = hash_of(*text);
    if (id < marked_ids_) marks_.get()[id] = hash;
    return {*text, hash};
  }
  Odd made{{}, !text.has_value()};
  if (text) {
    ++repaired_;
    std::string scratch;
    made.text = std::string(shm::repair_utf8(*text, scratch));
  } else {
    ++missing_;
    made.text = "<string " + std::to_string(id) + "?>";
  }
  if (odd_.size() >= kOddMax) {
    static constexpr std::string_view kNoMore = "<string ?>";
    return {kNoMore, hash_of(kNoMore)};
  }
  const std::string& kept = odd_.emplace(id, std::move(made)).first->second.text;
  return {kept, hash_of(kept)};
}

shm::Bytes StringCache::blob(std::uint32_t id) const {
  const std::optional<std::string_view> text = table_.lookup(id);
  return text ? shm::bytes_of(*text) : shm::Bytes{};
}

}  // namespace tailrace::agent
