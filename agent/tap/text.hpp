// SPDX-License-Identifier: Apache-2.0
//
// A tapped line as a person reads it, in columns, or as one JSON object. All text in it came from
// applications: nothing of it reaches a terminal that the terminal would obey.
//
// Threads: one. Failure: none; what cannot be shown is shown as an escape.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "agent/tap/line.hpp"

namespace tailrace::agent {

// Control characters, line ends, marks that turn the writing direction and bytes that are no UTF-8 become
// visible: \n, \x1b, \u202e, U+FFFD.
[[nodiscard]] std::string printable(std::string_view text);

// "840 ns", "12.3 µs", "1.24 s", "3 min 4 s": three digits that matter.
[[nodiscard]] std::string short_duration(std::uint64_t ns);

class TapText {
 public:
  TapText(bool colour, bool json) : colour_(colour), json_(json) {}

  // With its end of line.
  [[nodiscard]] std::string line(const TapLine& line);
  [[nodiscard]] std::string left_out(std::uint64_t more, std::uint64_t all) const;

 private:
  [[nodiscard]] std::string columns(const TapLine& line);
  [[nodiscard]] std::string in_colour(std::string_view code, std::string_view text) const;

  const bool colour_;
  const bool json_;
  std::size_t service_width_ = 12;  // grows with what is seen, up to a bound
};

}  // namespace tailrace::agent
