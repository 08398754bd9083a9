// SPDX-License-Identifier: Apache-2.0
#include "shm/reader/strings.hpp"

#include <tailrace/shm/layout.hpp>

namespace tailrace::shm {

bool StringTable::extend(Bytes more) {
  if (more.empty()) return true;
  if (more.size > budget_ - size_) return false;
  if (!block_) block_.reset(static_cast<std::uint8_t*>(std::malloc(budget_)));
  if (!block_) return false;
  std::memcpy(block_.get() + size_, more.data, more.size);
  size_ += more.size;
  return true;
}

std::optional<std::string_view> StringTable::lookup(std::uint64_t id) const {
  if (id < kFirstStringId || id > size_ / 8) return std::nullopt;
  const Bytes entry = Bytes{block_.get(), size_}.from(static_cast<std::size_t>(id) * 8);
  std::uint32_t length = 0;
  if (!entry.load(0, length) || !entry.covers(sizeof length, length)) return std::nullopt;
  return entry.part(sizeof length, length).text();
}

Bytes StringTable::blob(std::uint64_t offset, std::uint64_t length) const {
  if (offset > size_ || length > size_ - offset) return {};
  return Bytes{block_.get(), size_}.part(static_cast<std::size_t>(offset), static_cast<std::size_t>(length));
}

}  // namespace tailrace::shm
