// SPDX-License-Identifier: Apache-2.0
#include "agent/tap/protocol.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

namespace tailrace::agent {
namespace {

constexpr std::array<char, 8> kMagic{'t', 'a', 'i', 'l', 't', 'a', 'p', '1'};
constexpr std::uint8_t kSeverityMax = 24;

struct Request {
  std::array<char, 8> magic;
  std::uint8_t signals;
  std::uint8_t severity;
  std::uint16_t service_bytes;
  std::uint16_t name_bytes;
  std::uint16_t zero;
  std::uint64_t slower_than_ns;
  std::array<std::uint8_t, 16> trace_id;
  std::array<char, kTapPatternBytes> service;
  std::array<char, kTapPatternBytes> name;
};
static_assert(sizeof(Request) == kTapRequestBytes && std::is_trivially_copyable_v<Request>);

Error refuse(std::string_view why) {
  return Error{ErrorCode::kInvalidArgument,
               fmt::format("this is no request of `tailrace tap` ({}); use the tap of the agent's own version", why)};
}

bool zero_from(std::span<const char> bytes, std::size_t begin) {
  return std::all_of(bytes.begin() + static_cast<std::ptrdiff_t>(begin), bytes.end(), [](char c) { return c == 0; });
}

}  // namespace

std::array<std::byte, kTapRequestBytes> encode_request(const TapFilter& filter) {
  Request request{};
  request.magic = kMagic;
  request.signals = filter.signals;
  request.severity = filter.severity;
  request.slower_than_ns = filter.slower_than_ns;
  request.trace_id = filter.trace_id.bytes;
  request.service_bytes = static_cast<std::uint16_t>(filter.service.copy(request.service.data(), kTapPatternBytes));
  request.name_bytes = static_cast<std::uint16_t>(filter.name.copy(request.name.data(), kTapPatternBytes));
  std::array<std::byte, kTapRequestBytes> packet;
  std::memcpy(packet.data(), &request, sizeof request);
  return packet;
}

Result<TapFilter> decode_request(std::span<const std::byte> packet) {
  if (packet.size() != sizeof(Request)) {
    return refuse(fmt::format("{} bytes instead of {}", packet.size(), sizeof(Request)));
  }
  Request request;
  std::memcpy(&request, packet.data(), sizeof request);
  if (request.magic != kMagic) return refuse("its first bytes are others");
  if (request.signals == 0 || request.signals > TapFilter::kAllSignals) return refuse("signals that do not exist");
  if (request.severity > kSeverityMax) return refuse("a severity that does not exist");
  if (request.service_bytes > kTapPatternBytes || request.name_bytes > kTapPatternBytes) {
    return refuse("a pattern longer than its field");
  }
  if (request.zero != 0 || !zero_from(request.service, request.service_bytes) ||
      !zero_from(request.name, request.name_bytes)) {
    return refuse("unused bytes that are not zero");
  }
  TapFilter filter;
  filter.signals = request.signals;
  filter.severity = request.severity;
  filter.slower_than_ns = request.slower_than_ns;
  filter.trace_id.bytes = request.trace_id;
  filter.service.assign(request.service.data(), request.service_bytes);
  filter.name.assign(request.name.data(), request.name_bytes);
  return filter;
}

std::string tap_socket_of(const std::string& hold_path) { return hold_path + ".tap"; }

std::string folder_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  return slash == std::string::npos ? "." : slash == 0 ? "/" : path.substr(0, slash);
}

std::string short_socket_path(int folder_fd, const std::string& path) {
  const std::size_t slash = path.rfind('/');
  return fmt::format("/proc/self/fd/{}/{}", folder_fd, slash == std::string::npos ? path : path.substr(slash + 1));
}

}  // namespace tailrace::agent
