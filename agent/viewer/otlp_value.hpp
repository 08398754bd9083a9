// SPDX-License-Identifier: Apache-2.0
//
// OTLP's AnyValue and attribute lists as they stand on the wire: checked, and shown as JSON.
//
// The check comes first, over a whole request, before anything of it is kept; it throws what
// protozero throws, and otlp_reader catches it. The functions that show values never throw: they
// read what was checked, and show bytes that they cannot read as a sentence.
#ifndef TAILRACE_AGENT_VIEWER_OTLP_VALUE_HPP_
#define TAILRACE_AGENT_VIEWER_OTLP_VALUE_HPP_

#include <string>
#include <string_view>

#include <nlohmann/json.hpp>
#include <protozero/data_view.hpp>
#include <protozero/exception.hpp>

namespace tailrace::agent::viewer {

// Protobuf's own limit for messages in messages; deeper is an attack on the reader's stack.
inline constexpr int kMaxValueDepth = 100;

struct TooDeep : protozero::exception {
  [[nodiscard]] const char* what() const noexcept override { return "values nested too deep"; }
};

void check_value(protozero::data_view value, int depth);
void check_key_value(protozero::data_view key_value, int depth);

// Strings, booleans, numbers, arrays and objects as JSON has them; bytes as "0x…"; NaN and
// infinities as text.
[[nodiscard]] nlohmann::ordered_json value_json(std::string_view value);

// The KeyValue fields number `field` of a message, as one object.
[[nodiscard]] nlohmann::ordered_json attributes_json(std::string_view message, unsigned field);

// A string is itself, nothing is nothing, all else is its JSON.
[[nodiscard]] std::string value_text(std::string_view value);

// Text from outside may not be UTF-8: bytes that are not become U+FFFD.
[[nodiscard]] std::string dump_json(const nlohmann::ordered_json& json);

}  // namespace tailrace::agent::viewer

#endif  // TAILRACE_AGENT_VIEWER_OTLP_VALUE_HPP_
