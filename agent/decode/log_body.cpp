// SPDX-License-Identifier: Apache-2.0
#include "agent/decode/log_body.hpp"

#include <iterator>

namespace tailrace::agent {
namespace {

constexpr unsigned kDepthMax = 16;  // record.hpp, kMaxItemDepth

template <class Buffer>
void append_text(Buffer& buffer, std::string_view text) {
  buffer.append(text.data(), text.data() + text.size());
}

// A value as "{}" prints it; lists as [a, b] and {k: v}, bytes as hex.
template <class Buffer>
void append_value(Buffer& buffer, const otlp::Value& value, unsigned depth = 0) {
  using Type = otlp::Value::Type;
  switch (value.type) {
    case Type::empty: return append_text(buffer, "null");
    case Type::boolean: return append_text(buffer, value.boolean ? "true" : "false");
    case Type::integer: {
      const fmt::format_int digits(value.integer);
      return append_text(buffer, {digits.data(), digits.size()});
    }
    case Type::real: fmt::format_to(std::back_inserter(buffer), "{}", value.real); return;
    case Type::string: return append_text(buffer, value.text());
    case Type::bytes: {
      constexpr char kDigits[] = "0123456789abcdef";
      for (const char c : value.text()) {
        const auto byte = static_cast<unsigned char>(c);
        buffer.push_back(kDigits[byte >> 4]);
        buffer.push_back(kDigits[byte & 15]);
      }
      return;
    }
    case Type::array:
    case Type::map: break;
  }
  const bool map = value.type == Type::map;
  buffer.push_back(map ? '{' : '[');
  bool first = true;
  for (const otlp::KeyValue& member : value.members()) {
    if (depth >= kDepthMax) break;
    if (!first) append_text(buffer, ", ");
    first = false;
    if (map) {
      append_text(buffer, member.key);
      append_text(buffer, ": ");
    }
    append_value(buffer, member.value, depth + 1);
  }
  buffer.push_back(map ? '}' : ']');
}

// Whether a template can be given to libfmt: nothing in it, or taken from an argument, asks for more
// than the limits. Whether it is well-formed is libfmt's business.
bool harmless(std::string_view text, std::span<const otlp::Value> arguments) {
  unsigned special = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '{') continue;
    if (i + 1 < text.size() && text[i + 1] == '{') {
      ++i;
      continue;
    }
    unsigned depth = 1;
    unsigned number = 0;
    bool has_spec = false;
    for (++i; i < text.size() && depth != 0; ++i) {
      const char c = text[i];
      if (c == '{') {
        // A width out of an argument: all of them must be small.
        for (const otlp::Value& argument : arguments) {
          if (argument.type == otlp::Value::Type::integer &&
              (argument.integer < 0 || argument.integer > LogBody::kNumberMax)) {
            return false;
          }
        }
        ++depth;
      }
      if (c == '}') --depth;
      has_spec = has_spec || c == ':';
      number = c >= '0' && c <= '9' ? number * 10 + static_cast<unsigned>(c - '0') : 0;
      if (number > LogBody::kNumberMax) return false;
    }
    --i;  // the closing brace is the outer loop's
    if (has_spec && ++special > LogBody::kFieldsMax) return false;
  }
  return true;
}

}  // namespace

std::string_view LogBody::format(std::string_view text, std::span<const otlp::Value> arguments) {
  buffer_.clear();
  const Outcome plain = format_plain(text, arguments);
  if (plain == Outcome::done) return finish();
  buffer_.clear();
  if (plain == Outcome::special && harmless(text, arguments) && format_special(text, arguments)) {
    return finish();
  }
  ++bad_;
  buffer_.clear();
  format_beside(text, arguments);
  return finish();
}

LogBody::Outcome LogBody::format_plain(std::string_view text, std::span<const otlp::Value> arguments) {
  std::size_t next = 0;
  const char* from = text.data();
  const char* const end = from + text.size();
  for (const char* at = from; at != end; ++at) {
    if (*at != '{' && *at != '}') continue;
    buffer_.append(from, at);
    if (at + 1 == end) return Outcome::bad;
    if (at[0] == '{' && at[1] == '}') {
      if (next == arguments.size()) return Outcome::bad;
      append_value(buffer_, arguments[next++]);
    } else if (at[0] == at[1]) {
      buffer_.push_back(at[0]);
    } else {
      return at[0] == '{' ? Outcome::special : Outcome::bad;
    }
    from = ++at + 1;
  }
  buffer_.append(from, end);
  return Outcome::done;
}

bool LogBody::format_special(std::string_view text, std::span<const otlp::Value> arguments) {
  using Context = fmt::format_context;
  using Type = otlp::Value::Type;
  // Two rounds: the rendered text moves while it grows.
  rendered_.clear();
  rendered_ends_.clear();
  for (const otlp::Value& value : arguments) {
    if (value.type == Type::array || value.type == Type::map || value.type == Type::bytes) {
      append_value(rendered_, value);
      rendered_ends_.push_back(rendered_.size());
    }
  }
  arguments_.clear();
  std::size_t from = 0;
  auto end = rendered_ends_.begin();
  for (const otlp::Value& value : arguments) {
    switch (value.type) {
      case Type::boolean: arguments_.push_back(fmt::detail::make_arg<Context>(value.boolean)); break;
      case Type::integer:
        arguments_.push_back(fmt::detail::make_arg<Context>(static_cast<long long>(value.integer)));
        break;
      case Type::real: arguments_.push_back(fmt::detail::make_arg<Context>(value.real)); break;
      case Type::string: {
        const fmt::string_view view(value.data, value.size);
        arguments_.push_back(fmt::detail::make_arg<Context>(view));
        break;
      }
      case Type::empty: {
        const fmt::string_view view("null", 4);
        arguments_.push_back(fmt::detail::make_arg<Context>(view));
        break;
      }
      case Type::bytes:
      case Type::array:
      case Type::map: {
        const fmt::string_view view(rendered_.data() + from, *end - from);
        arguments_.push_back(fmt::detail::make_arg<Context>(view));
        from = *end++;
        break;
      }
    }
  }
  try {
    fmt::vformat_to(std::back_inserter(buffer_), fmt::string_view(text.data(), text.size()),
                    fmt::format_args(arguments_.data(), static_cast<int>(arguments_.size())));
    return true;
  } catch (const fmt::format_error&) {
    return false;
  }
}

void LogBody::format_beside(std::string_view text, std::span<const otlp::Value> arguments) {
  append_text(buffer_, text);
  bool first = true;
  for (const otlp::Value& value : arguments) {
    append_text(buffer_, first ? " (" : ", ");
    first = false;
    append_value(buffer_, value);
  }
  if (!first) buffer_.push_back(')');
}

std::string_view LogBody::finish() {
  if (buffer_.size() > kBytesMax) {
    ++cut_;
    std::size_t size = kBytesMax;
    while (size != 0 && (static_cast<unsigned char>(buffer_[size]) & 0xC0) == 0x80) --size;
    return {buffer_.data(), size};
  }
  return {buffer_.data(), buffer_.size()};
}

}  // namespace tailrace::agent
