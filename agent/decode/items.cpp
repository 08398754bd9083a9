// SPDX-License-Identifier: Apache-2.0
#include "agent/decode/items.hpp"

#include <new>

#include "shm/reader/utf8.hpp"

namespace tailrace::agent {

std::string_view ItemDecoder::clean_slow(std::string_view text) {
  const std::string_view good = shm::repair_utf8(text, repaired_);
  if (good.data() == text.data()) return text;
  ++counts.texts_repaired;
  char* copy = scratch_.take<char>(good.size());
  std::memcpy(copy, good.data(), good.size());
  return {copy, good.size()};
}

otlp::Value* ItemDecoder::find(AttributeList& list, std::string_view key, std::uint16_t hash) {
  for (std::size_t i = 0; i < list.count; ++i) {
    if (list.hashes[i] != hash || list.items[i].key != key) continue;
    ++counts.duplicate_keys;
    return &list.items[i].value;
  }
  return nullptr;
}

StringCache::Entry ItemDecoder::key_of(const shm::ItemRef& item) {
  if (item.key >= shm::kFirstStringId) return strings_.find(item.key);
  if (item.key != shm::kInlineKey) return {{}, 0};
  const std::string_view key = clean(item.inline_key.text());
  return {key, StringCache::hash_of(key)};
}

bool ItemDecoder::text_of(const shm::ItemRef& item, std::string_view& out) {
  if (item.type == shm::ItemType::string) {
    out = clean(item.body.text());
  } else if (item.type == shm::ItemType::string_id) {
    out = strings_.find(item.string_id()).text;
  } else {
    return false;
  }
  return true;
}

ItemDecoder::Took ItemDecoder::value_of(const shm::ItemRef& item, otlp::Value& out) {
  switch (item.type) {
    case shm::ItemType::empty: out = otlp::Value(); return Took::value;
    case shm::ItemType::boolean: out = otlp::Value::of(item.boolean()); return Took::value;
    case shm::ItemType::integer: out = otlp::Value::of(item.integer()); return Took::value;
    case shm::ItemType::real: out = otlp::Value::of(item.real()); return Took::value;
    case shm::ItemType::string_id: out = otlp::Value::string(strings_.find(item.string_id()).text); return Took::value;
    case shm::ItemType::string: out = otlp::Value::string(clean(item.body.text())); return Took::value;
    case shm::ItemType::bytes: out = otlp::Value::bytes(item.body.text()); return Took::value;
    case shm::ItemType::array:
    case shm::ItemType::map: return list_of(item, out);
    case shm::ItemType::event:
    case shm::ItemType::link: break;
  }
  return Took::unknown;
}

// Members stand side by side, so their number is counted first; the cursor bounds the depth.
ItemDecoder::Took ItemDecoder::list_of(const shm::ItemRef& item, otlp::Value& out) {
  std::size_t members = 0;
  shm::ItemRef member;
  for (shm::ItemCursor cursor = item.inside();;) {
    const shm::Next found = cursor.next(member);
    if (found == shm::Next::broken) return Took::broken;
    if (found == shm::Next::end) break;
    ++members;
  }
  AttributeList list;
  open_for(list, members);
  for (shm::ItemCursor cursor = item.inside(); cursor.next(member) == shm::Next::found;) {
    if (item.type == shm::ItemType::map) {
      if (!add(list, member)) return Took::broken;
      continue;
    }
    otlp::Value value;
    const Took took = value_of(member, value);
    if (took == Took::broken) return took;
    if (took == Took::unknown) ++counts.items_unknown;
    // An element that nobody knows stays as an empty one: the others keep their places.
    new (&list.items[list.count++]) otlp::KeyValue{{}, value};
  }
  out = item.type == shm::ItemType::map ? otlp::Value::map(list.items, list.count)
                                        : otlp::Value::array(list.items, list.count);
  return Took::value;
}

bool ItemDecoder::add(AttributeList& list, const shm::ItemRef& item) {
  otlp::Value value;
  const Took took = value_of(item, value);
  if (took == Took::broken) return false;
  const StringCache::Entry key = key_of(item);
  if (took == Took::unknown) ++counts.items_unknown;
  if (took == Took::unknown || key.text.empty()) {
    ++counts.attributes_dropped;
    ++list.dropped;
    return true;
  }
  place(list, key.text, key.hash) = value;
  return true;
}

}  // namespace tailrace::agent
