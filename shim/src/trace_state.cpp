// SPDX-License-Identifier: Apache-2.0
#include "trace_state.hpp"

#include <cstring>

#include "text.hpp"

namespace tailrace::shim {
namespace {

constexpr std::size_t kKeyMax = 256;
constexpr std::size_t kValueMax = 256;
constexpr std::size_t kLargeEntry = 128;   // longer ones go first
constexpr std::size_t kHeaderMax = 65536;  // of all headers together, whatever the white space in them
constexpr std::size_t kHexDigits = 14;     // 56 bits
constexpr std::string_view kOwnKey = "ot";

bool is_space(char c) noexcept { return c == ' ' || c == '\t'; }
std::string_view trimmed(std::string_view text) noexcept {
  while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
  return text;
}

bool is_key(std::string_view key) noexcept {
  const auto first = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); };
  if (key.empty() || key.size() > kKeyMax || !first(key.front())) return false;
  for (const char c : key) {
    if (!first(c) && c != '_' && c != '-' && c != '*' && c != '/' && c != '@') return false;
  }
  return true;
}
// Trailing spaces are gone already; leading ones belong to the value.
bool is_value(std::string_view value) noexcept {
  if (value.empty() || value.size() > kValueMax) return false;
  for (const char c : value) {
    if (c < 0x20 || c > 0x7e || c == ',' || c == '=') return false;
  }
  return true;
}

std::uint64_t hash_of(std::string_view text) noexcept {
  std::uint64_t h = 0xcbf29ce484222325ull;
  for (const char c : text) h = (h ^ static_cast<unsigned char>(c)) * 0x100000001b3ull;
  return h ^ h >> 32;
}

// Cuts the first piece off `rest`.
std::string_view next_piece(std::string_view& rest, char separator) noexcept {
  const std::size_t at = rest.find(separator);
  const std::string_view piece = part_of(rest, 0, at);
  rest = at == std::string_view::npos ? std::string_view() : part_of(rest, at + 1);
  return piece;
}

int hex_digit(char c) noexcept { return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1; }
// Digits are the first ones of fourteen.
bool read_hex(std::string_view digits, std::uint64_t& out) noexcept {
  if (digits.empty() || digits.size() > kHexDigits) return false;
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < kHexDigits; ++i) {
    const int digit = i < digits.size() ? hex_digit(digits[i]) : 0;
    if (digit < 0) return false;
    value = value << 4 | static_cast<unsigned>(digit);
  }
  out = value;
  return true;
}

bool is_own(std::string_view member) noexcept {
  return member.size() > kOwnKey.size() && part_of(member, 0, kOwnKey.size()) == kOwnKey &&
         member[kOwnKey.size()] == '=';
}
std::string_view own_value(std::string_view trace_state) noexcept {
  for (std::string_view rest = trace_state; !rest.empty();) {
    const std::string_view member = next_piece(rest, ',');
    if (is_own(member)) return part_of(member, kOwnKey.size() + 1);
  }
  return {};
}
bool is_threshold(std::string_view part) noexcept { return part_of(part, 0, 3) == "th:"; }

}  // namespace

bool TraceStateParser::add(std::string_view header) noexcept {
  seen_ += header.size();
  if (seen_ > kHeaderMax) good_ = false;
  for (std::string_view rest = header; good_ && !rest.empty();) {
    const std::string_view text = trimmed(next_piece(rest, ','));
    if (!text.empty()) good_ = member(text);  // empty members are allowed and say nothing
  }
  return good_;
}

bool TraceStateParser::member(std::string_view text) noexcept {
  const std::size_t equals = text.find('=');
  if (equals == std::string_view::npos || count_ == kTraceStateMembers) return false;
  const std::string_view key = part_of(text, 0, equals);
  if (!is_key(key) || !is_value(part_of(text, equals + 1))) return false;
  const std::uint64_t hash = hash_of(key);
  for (unsigned i = 0; i < count_; ++i) {
    if (keys_[i] == hash) return false;
  }
  keys_[count_] = hash;
  // More of one kind than may be sent at all need not be remembered: what is left out is left out at its end.
  const bool large = text.size() > kLargeEntry;
  const std::size_t size = text.size() + (stored_[large] != 0 ? 1 : 0);
  const bool stored = !closed_[large] && stored_[large] + size <= kTraceStateBytes;
  closed_[large] = closed_[large] || !stored;
  entries_[count_++] = {static_cast<std::uint16_t>(used_), static_cast<std::uint16_t>(text.size()), stored, large};
  if (stored) {
    std::memcpy(bytes_ + used_, text.data(), text.size());
    used_ += text.size();
    stored_[large] += size;
  }
  return true;
}

bool TraceStateParser::shortened() const noexcept {
  const std::size_t both = stored_[0] + stored_[1] + (stored_[0] != 0 && stored_[1] != 0 ? 1 : 0);
  return closed_[0] || closed_[1] || both > kTraceStateBytes;
}

void TraceStateParser::finish(TraceStateText& out) const noexcept {
  out.size = 0;
  if (!good_) return;
  bool kept[kTraceStateMembers];
  std::size_t total = 0;
  for (unsigned i = 0; i < count_; ++i) {
    // Small ones are too many by themselves: no large one stays.
    kept[i] = entries_[i].stored && !(entries_[i].large && closed_[0]);
    if (kept[i]) total += entries_[i].size + 1u;
  }
  for (int pass = 0; pass < 2; ++pass) {
    for (unsigned i = count_; i-- > 0 && total > kTraceStateBytes + 1;) {
      if (!kept[i] || (pass == 0 && !entries_[i].large)) continue;
      kept[i] = false;
      total -= entries_[i].size + 1u;
    }
  }
  for (unsigned i = 0; i < count_; ++i) {
    if (!kept[i]) continue;
    if (out.size != 0) out.bytes[out.size++] = ',';
    std::memcpy(out.bytes + out.size, bytes_ + entries_[i].at, entries_[i].size);
    out.size += entries_[i].size;
  }
}

OwnMember own_member(std::string_view trace_state) noexcept {
  OwnMember own;
  for (std::string_view rest = own_value(trace_state); !rest.empty();) {
    const std::string_view part = next_piece(rest, ';');
    if (is_threshold(part)) {
      own.has_threshold = read_hex(part_of(part, 3), own.threshold);
    } else if (part_of(part, 0, 3) == "rv:" && part.size() == 3 + kHexDigits) {
      own.has_randomness = read_hex(part_of(part, 3), own.randomness);
    }
  }
  return own;
}

bool set_threshold(TraceStateText& text, const std::uint64_t* threshold) noexcept {
  const std::string_view before = own_value(text.view());
  // The threshold, then what else is there as long as it fits.
  char own[kOwnKey.size() + 1 + kValueMax];
  std::memcpy(own, "ot=", 3);
  std::size_t size = 3;
  if (threshold != nullptr) {
    std::memcpy(own + size, "th:", 3);
    size += 3;
    std::uint64_t digits = *threshold << 8;
    do {
      own[size++] = "0123456789abcdef"[digits >> 60];
      digits <<= 4;
    } while (digits != 0);
  }
  for (std::string_view rest = before; !rest.empty();) {
    const std::string_view part = next_piece(rest, ';');
    if (is_threshold(part)) {
      if (threshold != nullptr && part == std::string_view(own + 3, size - 3)) return false;
      continue;
    }
    const std::size_t needed = part.size() + (size > 3 ? 1 : 0);
    if (part.empty() || size + needed > sizeof own) continue;
    if (size > 3) own[size++] = ';';
    std::memcpy(own + size, part.data(), part.size());
    size += part.size();
  }
  if (threshold == nullptr && size - 3 == before.size()) return false;  // there was none

  TraceStateParser parser;
  unsigned room = kTraceStateMembers;
  if (size > 3) {
    parser.add({own, size});
    --room;
  }
  for (std::string_view rest = text.view(); !rest.empty() && room != 0;) {
    const std::string_view member = next_piece(rest, ',');
    if (is_own(member)) continue;
    parser.add(member);
    --room;
  }
  parser.finish(text);
  return true;
}

}  // namespace tailrace::shim
