// SPDX-License-Identifier: Apache-2.0
#include "encode.hpp"

#include <cstring>

namespace tailrace::shim {
namespace {

using shm::ItemType;

bool continues(char c) { return (static_cast<unsigned char>(c) & 0xc0) == 0x80; }

std::uint32_t decimal(std::uint64_t value, char (&out)[20]) {
  std::uint32_t n = 0;
  char reversed[20];
  do {
    reversed[n++] = static_cast<char>('0' + value % 10);
    value /= 10;
  } while (value != 0);
  for (std::uint32_t i = 0; i < n; ++i) out[i] = reversed[n - 1 - i];
  return n;
}

constexpr std::uint32_t kKeyBytesMax = 1024;

}  // namespace

std::uint32_t cut_text(const char* text, std::size_t length, std::uint32_t room, std::uint32_t characters) noexcept {
  std::size_t end = length < room ? length : room;
  if (characters < end) {
    // Walk characters only where the limit can bite.
    std::size_t at = 0;
    for (std::uint32_t seen = 0; at < end; ++at) {
      if (!continues(text[at]) && seen++ == characters) break;
    }
    end = at;
  }
  if (end < length) {
    for (unsigned back = 0; back < 4 && end > 0 && continues(text[end]); ++back) --end;
  }
  return static_cast<std::uint32_t>(end);
}

void Encoder::word(std::uint32_t at, std::uint64_t value) noexcept {
  if (to_ != nullptr) detail::put_word(to_ + at, value);
}

void Encoder::bytes(std::uint32_t at, const void* from, std::uint32_t length) noexcept {
  if (to_ == nullptr || length == 0) return;
  detail::put_word(to_ + at + (shm::padded(length) - 8), 0);
  std::memcpy(to_ + at, from, length);
}

void Encoder::raw(const void* from, std::uint32_t length) noexcept {
  if (length > left()) return;
  bytes(at_, from, length);
  at_ += length;
}

Encoder::Open Encoder::begin(const detail::Name& name, ItemType type, std::uint8_t flags) noexcept {
  detail::Name key = name;
  // Only when writing: the count before it then is at most too high, and no key is seen twice at once.
  if (find_ && to_ != nullptr && key.id == 0 && key.text != nullptr) key.id = detail::find_name(key.text, key.length);
  Open open;
  open.at = at_;
  open.type = type;
  open.flags = flags;
  open.key = key.id;
  std::uint32_t head = 8;
  if (key.id == 0 && key.text != nullptr) {
    const std::uint32_t length = cut_text(key.text, key.length, kKeyBytesMax, 0xffffffff);
    if (length < key.length) cut_ = true;
    open.inline_key = true;
    open.key = shm::kInlineKey;
    open.key_length = static_cast<std::uint16_t>(length);
    head = 16 + shm::padded(length);
  }
  if (head > left()) return open;
  if (open.inline_key) bytes(at_ + 16, key.text, open.key_length);
  open.value = at_ + head;
  at_ = open.value;
  open.good = true;
  return open;
}

// The item's length is known now; `at_` stands behind the padded value.
void Encoder::finish(const Open& open) noexcept {
  const std::uint32_t length = at_ - open.at - 8;
  if (open.inline_key) {
    word(open.at + 8, std::uint64_t{open.key_length} | std::uint64_t{at_ - open.value} << 16);
  }
  word(open.at, shm::item_word(open.key, open.type, open.flags, static_cast<std::uint16_t>(length)));
}

bool Encoder::word_item(std::uint32_t key, ItemType type, std::uint64_t value) noexcept {
  if (left() < 16) return false;
  word(at_, shm::item_word(key, type, 0, 8));
  word(at_ + 8, value);
  at_ += 16;
  ++count_;
  return true;
}

bool Encoder::string_item(std::uint32_t reserved_key, const char* text, std::size_t length) noexcept {
  detail::Name key;
  key.id = reserved_key;
  return item(key, Value(std::string_view(text, length)));
}

void Encoder::members(const Value& value, unsigned depth) noexcept {
  const bool map = value.kind() == Value::Kind::map;
  for (std::size_t i = 0; i < value.size(); ++i) {
    bool fits = false;
    if (map) {
      const Attribute& member = static_cast<const Attribute*>(value.data())[i];
      fits = item(member.key, member.value, depth + 1);
    } else {
      fits = item(detail::Name{}, value.element(i), depth + 1);
    }
    if (!fits) {
      cut_ = true;
      return;
    }
    --count_;  // only the outer item counts
  }
}

bool Encoder::item(const detail::Name& key, const Value& value, unsigned depth) noexcept {
  const std::uint32_t before = at_;
  char digits[20];  // of a number that is written as text, or the one character
  const void* from = value.data();
  std::size_t length = value.size();
  ItemType type = ItemType::empty;
  bool text = false;
  switch (value.kind()) {
    case Value::Kind::empty: break;
    case Value::Kind::boolean: type = ItemType::boolean; break;
    case Value::Kind::integer: type = ItemType::integer; break;
    case Value::Kind::real: type = ItemType::real; break;
    case Value::Kind::unsigned_integer:
      type = ItemType::integer;
      if (value.word() > 0x7fffffffffffffffull) {
        // OTLP has no unsigned integer: a decimal string is right, a negative number would be a lie.
        length = decimal(value.word(), digits);
        from = digits;
        type = ItemType::string;
        text = true;
      }
      break;
    case Value::Kind::string_id:
      if (value.id() != 0 && value.size() <= characters_) {
        type = ItemType::string_id;
        break;
      }
      type = ItemType::string;
      text = true;
      break;
    case Value::Kind::string:
      type = ItemType::string;
      text = true;
      break;
    case Value::Kind::character:
      digits[0] = static_cast<char>(value.word());
      from = digits;
      length = 1;
      type = ItemType::string;
      text = true;
      break;
    case Value::Kind::bytes: type = ItemType::bytes; break;
    case Value::Kind::array: type = ItemType::array; break;
    case Value::Kind::map: type = ItemType::map; break;
  }
  if (depth >= shm::kMaxItemDepth && (type == ItemType::array || type == ItemType::map)) {
    type = ItemType::empty;
    cut_ = true;
  }
  const Open open = begin(key, type);
  if (!open.good) return false;
  std::uint32_t unpadded = 0;  // bytes of the value, where they are not a multiple of 8
  switch (type) {
    case ItemType::boolean:
    case ItemType::integer:
    case ItemType::real:
    case ItemType::string_id:
      if (left() < 8) {
        at_ = before;
        return false;
      }
      word(at_, type == ItemType::string_id ? value.id() : value.word());
      at_ += 8;
      break;
    case ItemType::string:
    case ItemType::bytes: {
      std::uint32_t kept = 0;
      if (text) {
        kept = cut_text(static_cast<const char*>(from), length, left(), characters_);
      } else {
        std::uint32_t most = left() < characters_ ? left() : characters_;
        kept = length < most ? static_cast<std::uint32_t>(length) : most;
      }
      if (kept < length) cut_ = true;
      bytes(at_, from, kept);
      at_ += shm::padded(kept);
      unpadded = shm::padded(kept) - kept;
      break;
    }
    case ItemType::array:
    case ItemType::map: members(value, depth); break;
    default: break;
  }
  ++count_;
  const std::uint32_t body = at_ - open.at - 8 - unpadded;
  if (open.inline_key) {
    word(open.at + 8, std::uint64_t{open.key_length} | std::uint64_t{at_ - open.value - unpadded} << 16);
  }
  word(open.at, shm::item_word(open.key, type, 0, static_cast<std::uint16_t>(body)));
  return true;
}

}  // namespace tailrace::shim
