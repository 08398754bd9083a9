// SPDX-License-Identifier: Apache-2.0
//
// LogBody: a log's template and arguments to its text, in fmt's syntax.
//
// Plain "{}" templates are written by hand; everything else goes to libfmt, after a look at what a hostile
// template could ask for: a width or precision beyond kNumberMax, or thousands of fields with one, is
// refused. A template that does not fit its arguments gives its own text with the arguments behind it.
//
// Threads: one. Memory: one buffer, kept; the text is valid until the next call.
// Failure: never; `bad` counts what could not be formatted as meant, `cut` what was longer than kBytesMax.
#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "proto/encode/view.hpp"

namespace tailrace::agent {

class LogBody {
 public:
  static constexpr std::size_t kBytesMax = 64 * 1024;
  static constexpr unsigned kNumberMax = 512;
  static constexpr unsigned kFieldsMax = 256;

  [[nodiscard]] std::string_view format(std::string_view text, std::span<const otlp::Value> arguments);

  [[nodiscard]] std::uint64_t bad() const { return bad_; }
  [[nodiscard]] std::uint64_t cut() const { return cut_; }

 private:
  enum class Outcome : std::uint8_t { done, special, bad };
  using Buffer = fmt::basic_memory_buffer<char, 1024>;

  Outcome format_plain(std::string_view text, std::span<const otlp::Value> arguments);
  bool format_special(std::string_view text, std::span<const otlp::Value> arguments);
  void format_beside(std::string_view text, std::span<const otlp::Value> arguments);
  std::string_view finish();

  Buffer buffer_;
  Buffer rendered_;  // lists and bytes as text, for libfmt
  std::vector<std::size_t> rendered_ends_;
  std::vector<fmt::basic_format_arg<fmt::format_context>> arguments_;
  std::uint64_t bad_ = 0;
  std::uint64_t cut_ = 0;
};

}  // namespace tailrace::agent
