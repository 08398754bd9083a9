// SPDX-License-Identifier: Apache-2.0
//
// Endpoint: where a signal is sent, read from what the user wrote.
//
//   http://collector:4317   [http://]host:port   http://[::1]:4317   unix:///run/collector.sock
//
// Threads, ownership: pure functions over text; an Endpoint is a value.
// Failure: an Error whose sentence names the text and what to write instead. What can be sent to
// but was surely not meant (a path, OTLP/HTTP's port) is accepted with a warning.
// Source: OTLP exporter specification, "Endpoint URLs for OTLP/gRPC"; RFC 3986 for authority and
// IPv6 literals.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "agent/base/result.hpp"

namespace tailrace::agent {

inline constexpr std::uint16_t kOtlpGrpcPort = 4317;
inline constexpr std::uint16_t kOtlpHttpPort = 4318;

struct Endpoint {
  std::string host = "localhost";  // name, IPv4 or IPv6 address without brackets; empty for unix
  std::uint16_t port = kOtlpGrpcPort;
  std::string unix_path;  // set: a socket in the file system, host and port unused

  // The name to dial in gRPC's own spelling: an address is dialled as it is, a name goes through
  // DNS.
  [[nodiscard]] std::string target() const;
  // "http://collector:4317", for people.
  [[nodiscard]] std::string url() const;
  // On this machine: no proxy is ever asked to reach it.
  [[nodiscard]] bool is_loopback() const;

  bool operator==(const Endpoint&) const = default;
};

// What a text without a scheme means: nothing was said about security, so the caller says.
enum class BareMeans { plain_text, tls };

struct ParsedEndpoint {
  Endpoint endpoint;
  std::vector<std::string> warnings;
};

// `source` is the variable or option the text came from; every sentence starts with it.
// `insecure_name` is the variable that would allow a text without a scheme.
Result<ParsedEndpoint> parse_endpoint(std::string_view source, std::string_view text, BareMeans bare,
                                      std::string_view insecure_name = "OTEL_EXPORTER_OTLP_INSECURE");

}  // namespace tailrace::agent
