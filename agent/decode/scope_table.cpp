// SPDX-License-Identifier: Apache-2.0
#include "agent/decode/scope_table.hpp"

#include <algorithm>
#include <limits>

namespace tailrace::agent {
namespace {

// FNV-1a with lengths between the parts: the same in every agent, so that batches keep together after a
// restart.
class ContentHash {
 public:
  void add(std::uint64_t word) {
    for (int i = 0; i < 8; ++i) mix(static_cast<unsigned char>(word >> (8 * i)));
  }
  void add(std::string_view text) {
    add(text.size());
    for (const char c : text) mix(static_cast<unsigned char>(c));
  }
  void add(const otlp::Value& value) {
    using Type = otlp::Value::Type;
    mix(static_cast<unsigned char>(value.type));
    switch (value.type) {
      case Type::empty: break;
      case Type::boolean: mix(value.boolean ? 1 : 0); break;
      case Type::integer: add(static_cast<std::uint64_t>(value.integer)); break;
      case Type::real: {
        std::uint64_t bits;
        std::memcpy(&bits, &value.real, sizeof bits);
        add(bits);
        break;
      }
      case Type::string:
      case Type::bytes: add(value.text()); break;
      case Type::array:
      case Type::map: add(value.members()); break;
    }
  }
  void add(otlp::Attributes attributes) {
    add(attributes.size());
    for (const otlp::KeyValue& attribute : attributes) {
      add(attribute.key);
      add(attribute.value);
    }
  }
  [[nodiscard]] std::uint64_t value() const { return state_; }

 private:
  void mix(unsigned char byte) { state_ = (state_ ^ byte) * 0x100000001B3ull; }
  std::uint64_t state_ = 0xCBF29CE484222325ull;
};

}  // namespace

void ScopeTable::set(std::span<const std::uint32_t> blob_ids) {
  const std::size_t count = std::min<std::size_t>(blob_ids.size(), std::numeric_limits<std::uint16_t>::max());
  blob_ids_.assign(blob_ids.begin(), blob_ids.begin() + static_cast<std::ptrdiff_t>(count));
  // An id that was missing may be there now.
  for (std::size_t id = 1; id < entries_.size(); ++id) {
    if (entries_[id] && !entries_[id]->known && id <= count) entries_[id].reset();
  }
}

SegmentDecoder::Blob ScopeTable::decode(shm::Bytes items, otlp::ScopeView& scope) {
  SegmentDecoder::Blob blob;
  AttributeList list;
  items_.open(list, items.size);
  shm::ItemRef item;
  for (shm::ItemCursor cursor(items);;) {
    const shm::Next found = cursor.next(item);
    if (found == shm::Next::broken) return {};
    if (found == shm::Next::end) break;
    std::string_view text;
    switch (item.key) {
      case shm::kNameKey:
        if (items_.text_of(item, text)) scope.name = text;
        break;
      case shm::kVersionKey:
        if (items_.text_of(item, text)) scope.version = text;
        break;
      case shm::kSchemaUrlKey:
        if (items_.text_of(item, text)) blob.schema_url = text;
        break;
      case shm::kDroppedAttributesKey:
        if (item.type == shm::ItemType::integer) {
          list.dropped += static_cast<std::uint32_t>(
              std::clamp<std::int64_t>(item.integer(), 0, std::numeric_limits<std::int32_t>::max()));
        }
        break;
      default:
        if (!items_.add(list, item)) return {};
    }
  }
  blob.attributes = list.view();
  blob.dropped_attributes = list.dropped;
  blob.sound = true;
  scope.schema_url = blob.schema_url;
  scope.attributes = blob.attributes;
  scope.dropped_attributes = blob.dropped_attributes;
  return blob;
}

void ScopeTable::keep(Entry& entry, const otlp::ScopeView& scope) {
  entry.view.name = owned_.text(scope.name);
  entry.view.version = owned_.text(scope.version);
  entry.view.schema_url = owned_.text(scope.schema_url);
  entry.view.attributes = owned_.attributes(scope.attributes);
  entry.view.dropped_attributes = scope.dropped_attributes;
  ContentHash hash;
  hash.add(entry.view.name);
  hash.add(entry.view.version);
  hash.add(entry.view.schema_url);
  hash.add(entry.view.attributes);
  hash.add(entry.view.dropped_attributes);
  entry.hash = hash.value();
}

ScopeTable::Entry& ScopeTable::entry(std::uint16_t id) {
  if (id >= entries_.size()) entries_.resize(std::size_t{id} + 1);
  std::unique_ptr<Entry>& place = entries_[id];
  if (place) {
    if (!place->known) ++missing_;
    return *place;
  }
  place = std::make_unique<Entry>();
  otlp::ScopeView scope;  // scope 0: the service's own, without a name
  place->known = id == 0;
  if (id != 0 && id <= blob_ids_.size()) {
    place->known = decode(items_.strings().blob(blob_ids_[id - 1u]), scope).sound;
  }
  const std::string visible = "<scope " + std::to_string(id) + "?>";
  if (!place->known) {
    ++missing_;
    scope = {};
    scope.name = visible;
  }
  keep(*place, scope);
  return *place;
}

}  // namespace tailrace::agent
