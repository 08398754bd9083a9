// SPDX-License-Identifier: Apache-2.0
//
// Undoes gzip within a bound. gRPC 1.51 bounds a message only before it is inflated, and a few
// kilobytes can inflate to gigabytes; so the receiver takes messages as they are and inflates them
// here.
//
// Failure: kResourceExhausted beyond `max_bytes`, kCorrupt for what is not whole gzip.
#ifndef TAILRACE_AGENT_VIEWER_INFLATE_HPP_
#define TAILRACE_AGENT_VIEWER_INFLATE_HPP_

#include <cstddef>
#include <string>
#include <string_view>

#include "agent/base/result.hpp"

namespace tailrace::agent::viewer {

// No OTLP request begins like this: 0x1f would be field 3 with a wire type that does not exist.
[[nodiscard]] constexpr bool is_gzip(std::string_view bytes) noexcept {
  return bytes.size() >= 2 && bytes[0] == '\x1f' && bytes[1] == '\x8b';
}

[[nodiscard]] Result<std::string> inflate_gzip(std::string_view bytes, std::size_t max_bytes);

}  // namespace tailrace::agent::viewer

#endif  // TAILRACE_AGENT_VIEWER_INFLATE_HPP_
