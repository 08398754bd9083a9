// SPDX-License-Identifier: Apache-2.0
//
// Text for people and for pages: escaping, ids, times, sizes. Pure functions; any bytes are
// accepted.
#ifndef TAILRACE_AGENT_VIEWER_TEXT_HPP_
#define TAILRACE_AGENT_VIEWER_TEXT_HPP_

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace tailrace::agent::viewer {

// At most `max_bytes`, cut before a UTF-8 character rather than inside one.
[[nodiscard]] std::string_view clip_text(std::string_view text, std::size_t max_bytes) noexcept;

// For element content and for quoted attribute values.
[[nodiscard]] std::string escape_html(std::string_view text);

[[nodiscard]] std::string to_hex(std::span<const std::uint8_t> bytes);
[[nodiscard]] bool from_hex(std::string_view hex, std::span<std::uint8_t> bytes) noexcept;

[[nodiscard]] std::string format_duration(std::uint64_t ns);    // "1.24 ms"
[[nodiscard]] std::string format_bytes(std::uint64_t bytes);    // "12.5 MiB"
[[nodiscard]] std::string format_count(std::uint64_t count);    // "1 234 567"
[[nodiscard]] std::string format_clock(std::uint64_t unix_ns);  // local time of day, "14:03:59.123"
[[nodiscard]] std::string format_iso(std::uint64_t unix_ns);    // "2026-11-22T13:03:59.123456789Z"

}  // namespace tailrace::agent::viewer

#endif  // TAILRACE_AGENT_VIEWER_TEXT_HPP_
