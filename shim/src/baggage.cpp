// SPDX-License-Identifier: Apache-2.0
// The text of a baggage header: members joined by commas, without optional white space.
#include <cstring>

#include "propagation.hpp"
#include "text.hpp"

namespace tailrace::shim {
namespace {

constexpr std::size_t kHeaderMax = 65536;                 // of one header, whatever the white space in it
constexpr std::size_t kLookedAt = 4 * Baggage::kMembers;  // of its members, good or bad

bool is_space(char c) noexcept { return c == ' ' || c == '\t'; }
std::string_view trimmed(std::string_view text) noexcept {
  while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
  return text;
}
std::string_view next_piece(std::string_view& rest, char separator) noexcept {
  const std::size_t at = rest.find(separator);
  const std::string_view piece = part_of(rest, 0, at);
  rest = at == std::string_view::npos ? std::string_view() : part_of(rest, at + 1);
  return piece;
}

// RFC 7230 token.
bool is_token(std::string_view text) noexcept {
  for (const char c : text) {
    const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    if (!letter && (c == 0 || std::strchr("!#$%&'*+-.^_`|~", c) == nullptr)) return false;
  }
  return !text.empty();
}
bool is_octet(char c) noexcept { return c > 0x20 && c < 0x7f && c != '"' && c != ',' && c != ';' && c != '\\'; }
bool is_value(std::string_view text) noexcept {
  for (const char c : text) {
    if (!is_octet(c)) return false;
  }
  return true;
}

// Text that grows to a bound; over it, nothing counts any more.
class Writer {
 public:
  Writer(char* to, std::size_t room) noexcept : to_(to), room_(room) {}
  void put(char c) noexcept {
    if (size_ < room_) to_[size_] = c;
    ++size_;
  }
  void put(std::string_view text) noexcept {
    for (const char c : text) put(c);
  }
  void encode(std::string_view text) noexcept {
    for (const char c : text) {
      if (is_octet(c) && c != '%') {
        put(c);
      } else {
        put('%');
        put("0123456789ABCDEF"[static_cast<unsigned char>(c) >> 4]);
        put("0123456789ABCDEF"[static_cast<unsigned char>(c) & 15]);
      }
    }
  }
  bool good() const noexcept { return size_ <= room_; }
  std::size_t size() const noexcept { return size_; }

 private:
  char* to_;
  std::size_t room_;
  std::size_t size_ = 0;
};

// `key = value` or, of a property, `key`.
bool split(std::string_view text, bool property, std::string_view& key, std::string_view& value) noexcept {
  const std::size_t equals = text.find('=');
  key = trimmed(part_of(text, 0, equals));
  value = equals == std::string_view::npos ? std::string_view() : trimmed(part_of(text, equals + 1));
  return (property || equals != std::string_view::npos) && is_token(key) && is_value(value);
}
// False: one of them breaks the grammar.
bool put_properties(Writer& to, std::string_view properties) noexcept {
  while (!properties.empty()) {
    const std::string_view text = trimmed(next_piece(properties, ';'));
    if (text.empty()) continue;
    std::string_view key, value;
    if (!split(text, true, key, value)) return false;
    to.put(';');
    to.put(key);
    if (text.find('=') == std::string_view::npos) continue;
    to.put('=');
    to.put(value);
  }
  return true;
}

// The parts of a member of the text kept here.
struct Member {
  std::string_view whole, key, value, properties;
};
Member parts_of(std::string_view whole) noexcept {
  Member m;
  m.whole = whole;
  std::string_view rest = whole;
  const std::string_view first = next_piece(rest, ';');
  const std::size_t equals = first.find('=');
  m.key = part_of(first, 0, equals);
  m.value = equals == std::string_view::npos ? std::string_view() : part_of(first, equals + 1);
  m.properties = rest;
  return m;
}
bool find(std::string_view text, std::string_view key, Member& found) noexcept {
  while (!text.empty()) {
    found = parts_of(next_piece(text, ','));
    if (found.key == key) return true;
  }
  return false;
}

void erase(char* text, std::uint32_t& size, std::uint32_t& members, const Member& member) noexcept {
  std::size_t from = static_cast<std::size_t>(member.whole.data() - text);
  std::size_t to = from + member.whole.size();
  if (to < size)
    ++to;  // its comma
  else if (from > 0)
    --from;
  std::memmove(text + from, text + to, size - to);
  size -= static_cast<std::uint32_t>(to - from);
  --members;
}

// `put` writes value and properties; false: they break the grammar.
template <class Put>
bool append(char* text, std::uint32_t& size, std::uint32_t& members, std::string_view key, Put&& put) noexcept {
  Writer count(nullptr, 0);
  if (!put(count)) return false;
  const std::size_t length = key.size() + 1 + count.size();
  Member old;
  const bool replaces = find({text, size}, key, old);
  std::size_t left = size;
  std::uint32_t left_members = members;
  if (replaces) {
    left -= old.whole.size() + (members > 1 ? 1 : 0);
    --left_members;
  }
  if (left + (left_members != 0 ? 1 : 0) + length > Baggage::kBytes || left_members == Baggage::kMembers) return false;
  if (replaces) erase(text, size, members, old);
  Writer writer(text + size, Baggage::kBytes - size);
  if (members != 0) writer.put(',');
  writer.put(key);
  writer.put('=');
  put(writer);
  size += static_cast<std::uint32_t>(writer.size());
  ++members;
  return true;
}

int hex_digit(char c) noexcept {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

// The byte at `at` of an encoded text; `next` is behind it. A '%' without two digits is a '%'.
unsigned char byte_at(std::string_view text, std::size_t at, std::size_t& next) noexcept {
  next = at + 1;
  if (text[at] != '%' || at + 2 >= text.size()) return static_cast<unsigned char>(text[at]);
  const int high = hex_digit(text[at + 1]);
  const int low = hex_digit(text[at + 2]);
  if (high < 0 || low < 0) return '%';
  next = at + 3;
  return static_cast<unsigned char>(high << 4 | low);
}

// The UTF-8 character at `at`: its bytes and where the next begins; 0: there is none.
unsigned character_at(std::string_view text, std::size_t at, unsigned char (&bytes)[4], std::size_t& next) noexcept {
  bytes[0] = byte_at(text, at, next);
  const unsigned char first = bytes[0];
  if (first < 0x80) return 1;
  const unsigned length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  if (first < 0xc2 || first > 0xf4) return 0;
  std::size_t position = next;
  for (unsigned i = 1; i < length; ++i) {
    if (position >= text.size()) return 0;
    std::size_t behind = 0;
    bytes[i] = byte_at(text, position, behind);
    unsigned char least = 0x80, most = 0xbf;
    if (i == 1) {  // no overlong forms, no surrogates, nothing above U+10FFFF
      if (first == 0xe0) least = 0xa0;
      if (first == 0xed) most = 0x9f;
      if (first == 0xf0) least = 0x90;
      if (first == 0xf4) most = 0x8f;
    }
    if (bytes[i] < least || bytes[i] > most) return 0;
    position = behind;
  }
  next = position;
  return length;
}

}  // namespace
}  // namespace tailrace::shim

using namespace tailrace;
using namespace tailrace::shim;

extern "C" bool tailrace_baggage_add(char* text, std::uint32_t* size, std::uint32_t* members, const char* header,
                                     std::size_t length) noexcept {
  bool whole = length <= kHeaderMax;
  std::string_view rest(header, whole ? length : 0);
  std::size_t left = kLookedAt;
  for (; !rest.empty() && left > 0; --left) {
    const std::string_view member = trimmed(next_piece(rest, ','));
    if (member.empty()) continue;
    std::string_view properties = member;
    std::string_view key, value;
    const bool good = split(next_piece(properties, ';'), false, key, value) &&
                      append(text, *size, *members, key, [value, properties](Writer& to) {
                        to.put(value);
                        return put_properties(to, properties);
                      });
    whole = whole && good;
  }
  whole = whole && rest.empty();
  return whole;
}

bool shim::has_baggage(std::string_view header) noexcept {
  if (header.size() > kHeaderMax) return false;
  std::size_t left = kLookedAt;
  for (; !header.empty() && left > 0; --left) {
    std::string_view properties = trimmed(next_piece(header, ','));
    std::string_view key, value;
    Writer nowhere(nullptr, 0);
    if (split(next_piece(properties, ';'), false, key, value) && put_properties(nowhere, properties)) return true;
  }
  return false;
}

extern "C" bool tailrace_baggage_set(char* text, std::uint32_t* size, std::uint32_t* members,
                                     const detail::BaggageText* parts) noexcept {
  const std::string_view key(parts[0].text, parts[0].size);
  const std::string_view value(parts[1].text, parts[1].size);
  const std::string_view properties(parts[2].text, parts[2].size);
  if (!is_token(key) || value.size() > Baggage::kBytes || properties.size() > Baggage::kBytes) return false;
  return append(text, *size, *members, key, [&](Writer& to) {
    to.encode(value);
    return put_properties(to, properties);
  });
}

extern "C" bool tailrace_baggage_remove(char* text, std::uint32_t* size, std::uint32_t* members, const char* key,
                                        std::size_t length) noexcept {
  Member member;
  if (!find({text, *size}, {key, length}, member)) return false;
  erase(text, *size, *members, member);
  return true;
}

extern "C" bool tailrace_baggage_find(const char* text, std::uint32_t size, const char* key, std::size_t length,
                                      detail::BaggageText* found) noexcept {
  Member member;
  if (!find({text, size}, {key, length}, member)) return false;
  found[0] = {member.key.data(), member.key.size()};
  found[1] = {member.value.data(), member.value.size()};
  found[2] = {member.properties.data(), member.properties.size()};
  return true;
}

// What is no UTF-8 becomes U+FFFD, byte by byte.
extern "C" std::size_t tailrace_baggage_decode(const char* value, std::size_t length, char* room,
                                               std::size_t size) noexcept {
  const std::string_view text(value, length);
  std::size_t used = 0;
  for (std::size_t at = 0; at < text.size();) {
    unsigned char bytes[4];
    std::size_t next = at;
    unsigned count = character_at(text, at, bytes, next);
    if (count == 0) {
      std::memcpy(bytes, "\xef\xbf\xbd", 3);
      count = 3;
    }
    if (used + count > size) break;
    std::memcpy(room + used, bytes, count);
    used += count;
    at = next;
  }
  return used;
}
