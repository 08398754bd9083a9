// SPDX-License-Identifier: Apache-2.0
//
// Text helpers for what users write: the C locale's letters, trimmed edges, and a form that is
// safe to print.
//
// Threads, failure: pure functions.
#pragma once

#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>

namespace tailrace::agent {

constexpr bool is_alnum(char c) noexcept {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

inline std::string to_lower(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  return out;
}

// Without the spaces and tabs around it.
constexpr std::string_view trim(std::string_view text) noexcept {
  const auto first = text.find_first_not_of(" \t");
  if (first == std::string_view::npos) {
    return {};
  }
  return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

// What the user wrote, fit for one line of a message: control characters out, long texts cut.
inline std::string shown(std::string_view text) {
  constexpr std::size_t kShownBytes = 120;
  std::string out(text.substr(0, kShownBytes));
  std::replace_if(
      out.begin(), out.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }, '?');
  if (text.size() > kShownBytes) {
    out += "…";
  }
  return out;
}

}  // namespace tailrace::agent
