// SPDX-License-Identifier: Apache-2.0
//
// Which addresses the viewer may listen on and by which names a browser may call it. It shows other
// programs' data without a password, so both must be this machine's own loopback.
#ifndef TAILRACE_AGENT_VIEWER_ADDRESS_HPP_
#define TAILRACE_AGENT_VIEWER_ADDRESS_HPP_

#include <string>
#include <string_view>

#include "agent/base/result.hpp"

namespace tailrace::agent::viewer {

// The numeric loopback address for "127.x.y.z", "::1" (also in brackets) or "localhost"; a refusal
// for others.
[[nodiscard]] Result<std::string> loopback_address(std::string_view address);

// "127.0.0.1:4317", "[::1]:4317".
[[nodiscard]] std::string authority(std::string_view address, int port);

// Whether an HTTP Host header names loopback, at whatever port (a tunnel's may differ from ours). A
// page from elsewhere whose name was rebound to 127.0.0.1 still carries that name here.
[[nodiscard]] bool is_loopback_host(std::string_view host_header) noexcept;

// Why a port could not be had, found by trying it once more, and what to do about it.
[[nodiscard]] Error explain_bind_failure(std::string_view what, std::string_view option, const std::string& address,
                                         int port);

}  // namespace tailrace::agent::viewer

#endif  // TAILRACE_AGENT_VIEWER_ADDRESS_HPP_
