// SPDX-License-Identifier: Apache-2.0
#include "agent/export/headers.hpp"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include "agent/base/text.hpp"

namespace tailrace::agent {
namespace {

int hex_digit(char c) {
  if (c >= '0' && c <= '9') {
    return c - '0';
  }
  const char lower = static_cast<char>(c | 0x20);
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

std::optional<std::string> percent_decode(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out += text[i];
      continue;
    }
    const int high = i + 2 < text.size() ? hex_digit(text[i + 1]) : -1;
    const int low = i + 2 < text.size() ? hex_digit(text[i + 2]) : -1;
    if (high < 0 || low < 0) {
      return std::nullopt;
    }
    out += static_cast<char>(high * 16 + low);
    i += 2;
  }
  return out;
}

bool is_key(std::string_view key) {
  return !key.empty() &&
         std::all_of(key.begin(), key.end(), [](char c) { return is_alnum(c) || c == '-' || c == '_' || c == '.'; });
}

// Names that the connection itself sets; a second one would make servers refuse the request.
bool is_reserved(std::string_view key) {
  constexpr std::array<std::string_view, 8> kReserved = {
      "te", "content-type", "content-length", "host", "connection", "transfer-encoding", "user-agent", "upgrade"};
  return key.starts_with("grpc-") || std::find(kReserved.begin(), kReserved.end(), key) != kReserved.end();
}

bool is_value(std::string_view value) {
  return std::all_of(value.begin(), value.end(), [](char c) { return c >= 0x20 && c <= 0x7e; });
}

}  // namespace

ParsedHeaders parse_headers(std::string_view source, std::string_view text) {
  ParsedHeaders parsed;
  std::size_t place = 0;
  std::size_t bytes = 0;
  const auto complain = [&](std::string_view what) {
    parsed.complaints.push_back(std::string(source) + ": pair " + std::to_string(place) + ": " + std::string(what) +
                                "; the pair is left out");
  };

  for (bool more = true; more;) {
    const auto comma = text.find(',');
    const std::string_view pair = trim(text.substr(0, comma));
    more = comma != std::string_view::npos;
    text.remove_prefix(more ? comma + 1 : text.size());
    ++place;
    if (pair.empty()) {
      continue;  // a comma at an end, or two in a row
    }
    const auto equals = pair.find('=');
    if (equals == std::string_view::npos) {
      complain("no \"=\"; write key=value,key=value");
      continue;
    }
    const auto raw_key = percent_decode(trim(pair.substr(0, equals)));
    const std::string key = raw_key ? to_lower(*raw_key) : std::string();
    const auto value = percent_decode(trim(pair.substr(equals + 1)));
    if (!is_key(key)) {
      complain("a key is made of letters, digits, \"-\", \"_\" and \".\"");
    } else if (is_reserved(key)) {
      complain("\"" + key + "\" is set by the connection itself");
    } else if (!value) {
      complain("the value of \"" + key + "\" has a \"%\" without two hexadecimal digits; write %25 for \"%\"");
    } else if (!key.ends_with("-bin") && !is_value(*value)) {
      complain("the value of \"" + key + "\" has bytes other than printable ASCII");
    } else if (bytes + key.size() + value->size() > kHeadersBytesMax) {
      complain("\"" + key + "\" would make the headers longer than 8192 bytes, which servers refuse");
    } else {
      bytes += key.size() + value->size();
      std::erase_if(parsed.headers, [&](const Header& h) { return h.key == key; });
      parsed.headers.push_back({key, *value});
    }
  }
  return parsed;
}

}  // namespace tailrace::agent
