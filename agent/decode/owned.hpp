// SPDX-License-Identifier: Apache-2.0
//
// Owned: deep copies of attributes that must outlive the record they came in (scopes, resources).
// Threads: one. Memory: everything given out lives as long as the object. Failure: none.
#pragma once

#include <cstring>
#include <new>
#include <string_view>

#include "agent/decode/scratch.hpp"
#include "proto/encode/view.hpp"

namespace tailrace::agent {

class Owned {
 public:
  [[nodiscard]] std::string_view text(std::string_view source) {
    if (source.empty()) return {};
    char* copy = memory_.take<char>(source.size());
    std::memcpy(copy, source.data(), source.size());
    return {copy, source.size()};
  }
  [[nodiscard]] otlp::Value value(const otlp::Value& source) {
    using Type = otlp::Value::Type;
    switch (source.type) {
      case Type::string: return otlp::Value::string(text(source.text()));
      case Type::bytes: return otlp::Value::bytes(text(source.text()));
      case Type::array: return otlp::Value::array(members(source.members()), source.count);
      case Type::map: return otlp::Value::map(members(source.members()), source.count);
      case Type::empty:
      case Type::boolean:
      case Type::integer:
      case Type::real: break;
    }
    return source;
  }
  [[nodiscard]] otlp::Attributes attributes(otlp::Attributes source) { return {members(source), source.size()}; }

 private:
  const otlp::KeyValue* members(otlp::Attributes source) {
    otlp::KeyValue* copy = memory_.take<otlp::KeyValue>(source.size());
    for (std::size_t i = 0; i < source.size(); ++i) {
      new (&copy[i]) otlp::KeyValue{text(source[i].key), value(source[i].value)};
    }
    return copy;
  }

  Scratch memory_;
};

}  // namespace tailrace::agent
