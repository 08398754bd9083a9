// SPDX-License-Identifier: Apache-2.0
//
// ScopeTable: the instrumentation scopes of one segment, decoded once each.
// Threads: one. Memory: deep copies, for the table's life. Failure: an id that is not published is a scope
//   with a visible name, "<scope 12?>", and counted.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "agent/decode/decoder.hpp"
#include "agent/decode/items.hpp"
#include "agent/decode/owned.hpp"
#include "proto/encode/view.hpp"

namespace tailrace::agent {

class ScopeTable {
 public:
  explicit ScopeTable(ItemDecoder& items) : items_(items) {}

  void set(std::span<const std::uint32_t> blob_ids);
  [[nodiscard]] std::uint32_t size() const { return static_cast<std::uint32_t>(blob_ids_.size()); }
  [[nodiscard]] const otlp::ScopeView& view(std::uint16_t id) { return entry(id).view; }
  [[nodiscard]] std::uint64_t hash(std::uint16_t id) { return entry(id).hash; }
  [[nodiscard]] std::uint64_t missing() const { return missing_; }

  // Items of any blob; what it says lies in the items' scratch.
  [[nodiscard]] SegmentDecoder::Blob decode_blob(shm::Bytes items) {
    otlp::ScopeView unused;
    return decode(items, unused);
  }

 private:
  struct Entry {
    bool known = false;
    otlp::ScopeView view;
    std::uint64_t hash = 0;
  };
  Entry& entry(std::uint16_t id);
  SegmentDecoder::Blob decode(shm::Bytes items, otlp::ScopeView& scope);
  void keep(Entry& entry, const otlp::ScopeView& scope);

  ItemDecoder& items_;
  std::vector<std::uint32_t> blob_ids_;
  std::vector<std::unique_ptr<Entry>> entries_;  // by id; an entry stays where it is
  Owned owned_;
  std::uint64_t missing_ = 0;
};

}  // namespace tailrace::agent
