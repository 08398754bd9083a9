// SPDX-License-Identifier: Apache-2.0
//
// What a tap's client and the agent say to each other: one request, then answers, each one packet of a
// SOCK_SEQPACKET socket, so that none can be torn.
//
// Threads, ownership: plain functions and values. Failure: decode_request() believes nothing: it is the
// agent's decoder of foreign bytes, and refuses whatever is not exactly a request, with the reason.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "agent/base/result.hpp"
#include "agent/tap/filter.hpp"

namespace tailrace::agent {

inline constexpr std::size_t kTapRequestBytes = 296;
inline constexpr std::size_t kTapAnswerBytesMax = 1024;

[[nodiscard]] std::array<std::byte, kTapRequestBytes> encode_request(const TapFilter& filter);
[[nodiscard]] Result<TapFilter> decode_request(std::span<const std::byte> packet);

// The first byte of every answer; kTapAnswerHead bytes later comes what it names.
enum class TapAnswer : std::uint8_t {
  begun = 1,     // the filter is in force for every pass from now on
  line = 2,      // a TapLine
  left_out = 3,  // u64: lines that were not sent, all together
  refused = 4,   // a sentence; the agent closes
  stopping = 5,  // the agent ends; it closes
};
inline constexpr std::size_t kTapAnswerHead = 8;  // the rest of it is zero

// Where the agent of this hold listens.
[[nodiscard]] std::string tap_socket_of(const std::string& hold_path);

// A path has at most 107 bytes as a socket's address; this form is short for any folder.
// `folder_fd` must stay open while the result is used.
[[nodiscard]] std::string short_socket_path(int folder_fd, const std::string& path);
[[nodiscard]] std::string folder_of(const std::string& path);

}  // namespace tailrace::agent
