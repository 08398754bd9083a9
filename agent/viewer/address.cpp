// SPDX-License-Identifier: Apache-2.0
#include "agent/viewer/address.hpp"

#include <algorithm>
#include <arpa/inet.h>
#include <cerrno>
#include <cstring>
#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

namespace tailrace::agent::viewer {
namespace {

std::string_view without_brackets(std::string_view address) noexcept {
  if (address.size() > 2 && address.front() == '[' && address.back() == ']') {
    return address.substr(1, address.size() - 2);
  }
  return address;
}

bool is_loopback_4(const std::string& address) noexcept {
  in_addr parsed{};
  return ::inet_pton(AF_INET, address.c_str(), &parsed) == 1 && (ntohl(parsed.s_addr) >> 24) == 127;
}

bool is_loopback_6(const std::string& address) noexcept {
  in6_addr parsed{};
  return ::inet_pton(AF_INET6, address.c_str(), &parsed) == 1 &&
         std::memcmp(&parsed, &in6addr_loopback, sizeof(parsed)) == 0;
}

bool is_digits(std::string_view text) noexcept {
  return std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

// errno of an attempt to bind and listen; 0 when it works (now).
int try_to_bind(const std::string& address, int port) noexcept {
  sockaddr_storage storage{};
  socklen_t length = 0;
  const bool six = address.find(':') != std::string::npos;
  if (six) {
    sockaddr_in6 to{};
    to.sin6_family = AF_INET6;
    to.sin6_port = htons(static_cast<std::uint16_t>(port));
    ::inet_pton(AF_INET6, address.c_str(), &to.sin6_addr);
    std::memcpy(&storage, &to, sizeof(to));
    length = sizeof(to);
  } else {
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(static_cast<std::uint16_t>(port));
    ::inet_pton(AF_INET, address.c_str(), &to.sin_addr);
    std::memcpy(&storage, &to, sizeof(to));
    length = sizeof(to);
  }
  const int fd = ::socket(six ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) {
    return errno;
  }
  const int yes = 1;
  ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
  int problem = 0;
  if (::bind(fd, reinterpret_cast<const sockaddr*>(&storage), length) != 0 || ::listen(fd, 1) != 0) {
    problem = errno;
  }
  ::close(fd);
  return problem;
}

}  // namespace

Result<std::string> loopback_address(std::string_view address) {
  std::string numeric(without_brackets(address));
  if (numeric == "localhost") {
    numeric = "127.0.0.1";
  }
  if (is_loopback_4(numeric) || is_loopback_6(numeric)) {
    return numeric;
  }
  return Error{ErrorCode::kInvalidArgument,
               fmt::format("address {}: the viewer listens on loopback only, because its page has no password; "
                           "use 127.0.0.1 or ::1, and a tunnel (ssh -L) to see it from elsewhere",
                           address)};
}

std::string authority(std::string_view address, int port) {
  return address.find(':') != std::string_view::npos ? fmt::format("[{}]:{}", address, port)
                                                     : fmt::format("{}:{}", address, port);
}

bool is_loopback_host(std::string_view host) noexcept {
  constexpr std::size_t kLongestHost = 64;
  if (host.empty() || host.size() > kLongestHost) {
    return false;
  }
  std::string_view name = host;
  if (host.front() == '[') {
    const std::size_t close = host.find(']');
    if (close == std::string_view::npos) {
      return false;
    }
    name = host.substr(0, close + 1);
  } else {
    name = host.substr(0, host.find(':'));
  }
  const std::string_view rest = host.substr(name.size());
  if (name.empty()) {
    return false;
  }
  if (!rest.empty() && (rest.front() != ':' || !is_digits(rest.substr(1)))) {
    return false;
  }
  std::string lower(name.size(), '\0');
  std::transform(name.begin(), name.end(), lower.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  if (name.front() == '[') {
    return is_loopback_6(std::string(without_brackets(lower)));
  }
  return lower == "localhost" || is_loopback_4(lower);
}

Error explain_bind_failure(std::string_view what, std::string_view option, const std::string& address, int port) {
  const int problem = try_to_bind(address, port);
  const std::string place = authority(address, port);
  if (problem == EADDRINUSE) {
    return {ErrorCode::kAlreadyExists,
            fmt::format("{} port {} is in use by another program (perhaps another viewer or a Collector); "
                        "stop it, or choose another port with {} N ({} 0 takes any free one)",
                        what, place, option, option)};
  }
  if (problem == EACCES || problem == EPERM) {
    return {
        ErrorCode::kPermissionDenied,
        fmt::format("{} port {} may not be opened by this user; choose one above 1023 with {} N", what, place, option)};
  }
  return {ErrorCode::kSystem, fmt::format("{} port {} cannot be opened: {}; choose another with {} N", what, place,
                                          problem == 0 ? "it was taken a moment ago" : std::strerror(problem), option)};
}

}  // namespace tailrace::agent::viewer
