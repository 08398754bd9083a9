// SPDX-License-Identifier: Apache-2.0
// Records and items of a segment as text for a terminal: one line each, nothing in it that a terminal
// would obey.
// Threads: any. Failure: what cannot be decoded is said in the line, and `damaged` is set.
#pragma once

#include <string>
#include <string_view>

#include "shm/reader/items.hpp"
#include "shm/reader/records.hpp"
#include "shm/reader/strings.hpp"

namespace tailrace::agent {

// In quotes; control characters, quotes and backslashes escaped, broken UTF-8 replaced. Long texts are
// cut at `max_bytes` with a mark.
std::string quoted(std::string_view text, std::size_t max_bytes = 400);
std::string hex(shm::Bytes bytes);

class SegmentText {
 public:
  explicit SegmentText(const shm::StringTable& strings) : strings_(strings) {}

  // `SPAN normal "pay" trace … {amount=42}`
  std::string record(const shm::RecordRef& record);
  std::string span(const shm::SpanRecord& span, shm::TimeClock start_clock, shm::TimeClock end_clock);
  // `amount=42, list=[1, "two"], event "retry" at … {attempt=2}`
  std::string items(shm::Bytes items);
  std::string string(std::uint64_t id);

  bool damaged() const { return damaged_; }

 private:
  std::string walk(shm::ItemCursor cursor, bool with_keys);
  std::string item(const shm::ItemRef& item, bool with_key);
  std::string value(const shm::ItemRef& item);
  std::string key(const shm::ItemRef& item);
  std::string body(const shm::RecordRef& record);
  template <class Fixed>
  bool take(const shm::RecordRef& record, Fixed& fixed, std::string& line);
  std::string bad(std::string what);

  const shm::StringTable& strings_;
  bool damaged_ = false;
};

}  // namespace tailrace::agent
