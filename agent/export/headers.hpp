// SPDX-License-Identifier: Apache-2.0
//
// Headers: OTEL_EXPORTER_OTLP_HEADERS taken apart, "key=value,key=value" with percent-encoded
// values, into what gRPC may send as metadata.
//
// Threads, ownership: a pure function over text. Failure: a pair that cannot be sent is left out
// with a complaint that names its key or place, never its value: headers carry credentials.
// Source: W3C Baggage header syntax, without properties; gRPC over HTTP/2, "Custom-Metadata".
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace tailrace::agent {

// What servers take by default in all of a request's metadata.
inline constexpr std::size_t kHeadersBytesMax = 8 * 1024;

struct Header {
  std::string key;  // lower case
  std::string value;
  bool operator==(const Header&) const = default;
};

struct ParsedHeaders {
  std::vector<Header> headers;  // in order; a repeated key keeps its last value
  std::vector<std::string> complaints;
};

ParsedHeaders parse_headers(std::string_view source, std::string_view text);

}  // namespace tailrace::agent
