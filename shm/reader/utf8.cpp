// SPDX-License-Identifier: Apache-2.0
#include "shm/reader/utf8.hpp"

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace tailrace::shm {
namespace {

struct Sequence {
  std::size_t length;  // bytes of the character, or of the piece to replace
  bool valid;
};

// The second byte's range depends on the first: it is what excludes long forms, surrogates and what lies
// beyond U+10FFFF (Unicode, table 3-7).
Sequence first_sequence(const unsigned char* p, std::size_t left) {
  const unsigned char lead = p[0];
  if (lead < 0x80) return {1, true};
  std::size_t length = 0;
  unsigned char low = 0x80;
  unsigned char high = 0xBF;
  if (lead >= 0xC2 && lead <= 0xDF) {
    length = 2;
  } else if (lead >= 0xE0 && lead <= 0xEF) {
    length = 3;
    if (lead == 0xE0) low = 0xA0;
    if (lead == 0xED) high = 0x9F;
  } else if (lead >= 0xF0 && lead <= 0xF4) {
    length = 4;
    if (lead == 0xF0) low = 0x90;
    if (lead == 0xF4) high = 0x8F;
  } else {
    return {1, false};
  }
  for (std::size_t i = 1; i < length; ++i) {
    if (i >= left || p[i] < low || p[i] > high) return {i, false};
    low = 0x80;
    high = 0xBF;
  }
  return {length, true};
}

// Length of the valid start of the text.
std::size_t valid_prefix(const unsigned char* p, std::size_t size) {
  std::size_t at = 0;
  while (at < size) {
    std::uint64_t eight = 0;
    if (size - at >= sizeof eight) {
      std::memcpy(&eight, p + at, sizeof eight);
      if ((eight & 0x8080808080808080ull) == 0) {
        at += sizeof eight;
        continue;
      }
    }
    const Sequence next = first_sequence(p + at, size - at);
    if (!next.valid) return at;
    at += next.length;
  }
  return at;
}

const unsigned char* bytes_at(std::string_view text) { return reinterpret_cast<const unsigned char*>(text.data()); }

}  // namespace

bool valid_utf8(std::string_view text) { return valid_prefix(bytes_at(text), text.size()) == text.size(); }

std::string_view repair_utf8(std::string_view text, std::string& scratch) {
  std::size_t good = valid_prefix(bytes_at(text), text.size());
  if (good == text.size()) return text;
  scratch.clear();
  while (!text.empty()) {
    scratch.append(text.data(), good);
    text.remove_prefix(good);
    if (text.empty()) break;
    scratch.append("\xEF\xBF\xBD");
    text.remove_prefix(first_sequence(bytes_at(text), text.size()).length);
    good = valid_prefix(bytes_at(text), text.size());
  }
  return scratch;
}

}  // namespace tailrace::shm
