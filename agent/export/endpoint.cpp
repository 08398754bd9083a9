// SPDX-License-Identifier: Apache-2.0
#include "agent/export/endpoint.hpp"

#include <algorithm>
#include <arpa/inet.h>
#include <charconv>
#include <optional>
#include <utility>

#include "agent/base/text.hpp"

namespace tailrace::agent {
namespace {

bool is_ipv4(const std::string& host) {
  in_addr address{};
  return inet_pton(AF_INET, host.c_str(), &address) == 1;
}

bool is_ipv6(const std::string& host) {
  in6_addr address{};
  return inet_pton(AF_INET6, host.substr(0, host.find('%')).c_str(), &address) == 1;
}

bool is_host_name(std::string_view host) {
  return !host.empty() && host.size() <= 253 &&
         std::all_of(host.begin(), host.end(), [](char c) { return is_alnum(c) || c == '-' || c == '.' || c == '_'; });
}

Error refuse(std::string_view source, std::string_view text, std::string_view what) {
  return {ErrorCode::kInvalidArgument, std::string(source) + "=\"" + shown(text) + "\": " + std::string(what)};
}

// host[:port] taken apart; nothing when there is no host or no valid port in it.
struct Authority {
  std::string host;
  std::optional<std::uint16_t> port;
};

std::optional<Authority> split_authority(std::string_view text) {
  Authority out;
  std::string_view port;
  bool has_port = false;
  if (text.starts_with('[')) {
    const auto close = text.find(']');
    if (close == std::string_view::npos) {
      return std::nullopt;
    }
    out.host = text.substr(1, close - 1);
    const auto rest = text.substr(close + 1);
    if (!is_ipv6(out.host) || (!rest.empty() && rest.front() != ':')) {
      return std::nullopt;
    }
    has_port = !rest.empty();
    port = has_port ? rest.substr(1) : rest;
  } else {
    const auto colon = text.find(':');
    has_port = colon != std::string_view::npos;
    port = has_port ? text.substr(colon + 1) : std::string_view();
    out.host = text.substr(0, colon);
    if (!is_host_name(out.host)) {
      return std::nullopt;
    }
  }
  if (has_port) {
    std::uint16_t number = 0;
    const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), number);
    if (error != std::errc() || end != port.data() + port.size() || number == 0) {
      return std::nullopt;
    }
    out.port = number;
  }
  return out;
}

Result<ParsedEndpoint> parse_unix(std::string_view source, std::string_view text, std::string_view path) {
  constexpr std::size_t kPathMax = 107;  // sockaddr_un
  if (path.starts_with("//")) {
    path.remove_prefix(2);
  }
  if (!path.starts_with('/') || path.size() > kPathMax) {
    return refuse(source, text,
                  "a unix socket needs an absolute path of at most 107 bytes; write "
                  "unix:///run/collector.sock");
  }
  ParsedEndpoint parsed;
  parsed.endpoint.host.clear();
  parsed.endpoint.port = 0;
  parsed.endpoint.unix_path = path;
  return parsed;
}

}  // namespace

std::string Endpoint::target() const {
  if (!unix_path.empty()) {
    std::string target = "unix:";
    for (const char c : unix_path) {
      if (is_alnum(c) || std::string_view("/-._~").find(c) != std::string_view::npos) {
        target += c;
      } else {
        constexpr std::string_view kDigits = "0123456789ABCDEF";
        const auto byte = static_cast<unsigned char>(c);
        target += {'%', kDigits[byte >> 4], kDigits[byte & 15u]};
      }
    }
    return target;
  }
  const std::string number = std::to_string(port);
  if (is_ipv4(host)) {
    return "ipv4:" + host + ":" + number;
  }
  if (is_ipv6(host)) {
    // A zone's percent sign is data here, and gRPC decodes the target as a URI.
    std::string address = host;
    if (const auto zone = address.find('%'); zone != std::string::npos) {
      address.replace(zone, 1, "%25");
    }
    return "ipv6:%5B" + address + "%5D:" + number;
  }
  return "dns:///" + host + ":" + number;
}

std::string Endpoint::url() const {
  if (!unix_path.empty()) {
    return "unix://" + unix_path;
  }
  const bool brackets = host.find(':') != std::string::npos;
  return "http://" + (brackets ? "[" + host + "]" : host) + ":" + std::to_string(port);
}

bool Endpoint::is_loopback() const {
  return !unix_path.empty() || to_lower(host) == "localhost" || host == "::1" ||
         (is_ipv4(host) && host.starts_with("127."));
}

Result<ParsedEndpoint> parse_endpoint(std::string_view source, std::string_view text, BareMeans bare,
                                      std::string_view insecure_name) {
  const std::string_view whole = text;
  if (to_lower(text.substr(0, 5)) == "unix:") {
    return parse_unix(source, whole, text.substr(5));
  }
  const auto mark = text.find("://");
  const auto rest = mark == std::string_view::npos ? text : text.substr(mark + 3);
  if (rest.substr(0, rest.find_first_of("/?#")).find('@') != std::string_view::npos) {
    // The text is not repeated: it may hold a password.
    return Error{ErrorCode::kInvalidArgument,
                 std::string(source) +
                     ": a user or password in the address is not used by OTLP/gRPC; send it "
                     "as a header, in OTEL_EXPORTER_OTLP_HEADERS"};
  }
  if (mark != std::string_view::npos) {
    const std::string scheme = to_lower(text.substr(0, mark));
    if (scheme == "https" || scheme == "grpcs") {
      return refuse(source, whole,
                    "this version connects in plain text only; write http:// for a collector on this host or "
                    "on a trusted network, and let that collector speak TLS");
    }
    if (scheme != "http" && scheme != "grpc") {
      return refuse(source, whole, "unknown scheme \"" + shown(scheme) + "\"; write http://HOST:PORT");
    }
    text = rest;
  } else if (bare == BareMeans::tls) {
    return refuse(source, whole,
                  "without a scheme this means TLS, and this version connects in plain text only; write "
                  "http://HOST:PORT, or set " +
                      std::string(insecure_name) + "=true");
  }

  ParsedEndpoint parsed;
  const auto tail_at = text.find_first_of("/?#");
  const std::string_view tail = tail_at == std::string_view::npos ? "" : text.substr(tail_at);
  const std::string_view authority = text.substr(0, tail_at);
  const auto split = split_authority(authority);
  if (!split) {
    return refuse(source, whole,
                  "no host and port that can be dialled; write http://HOST:PORT, an IPv6 address "
                  "in brackets");
  }
  parsed.endpoint.host = split->host;
  parsed.endpoint.port = split->port.value_or(kOtlpGrpcPort);

  const std::string prefix = std::string(source) + "=\"" + shown(whole) + "\": ";
  if (!split->port) {
    parsed.warnings.push_back(prefix + "no port; using 4317, the port of OTLP/gRPC");
  } else if (*split->port == kOtlpHttpPort) {
    parsed.warnings.push_back(prefix +
                              "4318 is the usual port of OTLP/HTTP, and this version speaks OTLP/gRPC; if "
                              "nothing arrives, use 4317");
  }
  if (!tail.empty() && tail != "/") {
    parsed.warnings.push_back(prefix + "\"" + shown(tail) + "\" is ignored: OTLP/gRPC has fixed method paths");
  }
  return parsed;
}

}  // namespace tailrace::agent
