// SPDX-License-Identifier: Apache-2.0
// A part of a text. std::string_view::substr() throws, and would bind the library to the C++ runtime.
#pragma once

#include <cstddef>
#include <string_view>

namespace tailrace::shim {

constexpr std::string_view part_of(std::string_view text, std::size_t from,
                                   std::size_t count = std::string_view::npos) noexcept {
  if (from > text.size()) return {};
  const std::size_t left = text.size() - from;
  return {text.data() + from, count < left ? count : left};
}

}  // namespace tailrace::shim
