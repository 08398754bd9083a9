// SPDX-License-Identifier: Apache-2.0
//
// UTF-8 in place: is it valid, and how to make it so.
//
// Threads: pure functions. Memory: the caller's. Failure: none.
// Source: RFC 3629 (no overlong forms, no surrogates, nothing above U+10FFFF),
//   which is what Protobuf's strict readers check.

#pragma once

#include <cstddef>
#include <cstdint>

namespace tailrace::otlp {

// Bytes that belong to no valid sequence; 0 means the text is valid.
[[nodiscard]] std::size_t count_invalid_utf8(const std::uint8_t* text, std::size_t size);

// U+FFFD takes three bytes where an invalid one took one.
inline constexpr std::size_t kReplacementGrowth = 2;

// Copies `size` bytes to `to`, replacing each invalid one by U+FFFD, and returns
// the end of what was written. `to` may lie in front of `text` in the same
// buffer if the distance is at least kReplacementGrowth * count_invalid_utf8().
std::uint8_t* replace_invalid_utf8(std::uint8_t* to, const std::uint8_t* text, std::size_t size);

}  // namespace tailrace::otlp
