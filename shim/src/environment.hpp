// SPDX-License-Identifier: Apache-2.0
// The environment variables that concern a process, and the rules of the OpenTelemetry specification
// for reading them: empty is unset, wrong is unset and said, everything at once.
// Threads: init() only. Ownership: views into the environment. Failure: a sentence in `Problems`.
#pragma once

#include <cstddef>
#include <cstdint>

#include <tailrace/detail/config.hpp>

namespace tailrace::shim {

// One sentence that lists everything that is wrong.
class Problems {
 public:
  void add(const char* format, ...) noexcept __attribute__((format(printf, 2, 3)));
  bool none() const noexcept { return size_ == 0; }
  const char* text() const noexcept { return text_; }

 private:
  char text_[4000] = {};
  std::size_t size_ = 0;
};

// A variable that is set and not empty; null otherwise.
const char* variable(const char* name) noexcept;

// `true` in any case of letters; anything else is false, and said unless it is `false`.
bool boolean_variable(const char* name, bool otherwise, Problems& problems) noexcept;

// A whole number between bounds; otherwise, said.
std::uint32_t number_variable(const char* name, std::uint32_t otherwise, std::uint32_t least, std::uint32_t most,
                              Problems& problems) noexcept;

bool same_word(const char* a, const char* b) noexcept;  // without regard to case

// %XX undone in place; false: a '%' without two digits.
bool percent_decode(char* text) noexcept;

// 56-bit rejection threshold of a probability.
std::uint64_t threshold_of(double ratio) noexcept;

// Applies OTEL_* and then TAILRACE_* to a configuration that code filled, and names those that are set and
// mean nothing here.
void apply_environment(Config& config, Problems& warnings) noexcept;

// Whether OTEL_LOG_LEVEL lets more than errors be said.
bool says_warnings() noexcept;

// A variable that concerns the agent, and what it says.
struct Hint {
  const char* name;
  const char* value;
};
inline constexpr std::size_t kHintsMax = 8;

// Those that are set and make sense; how many.
std::size_t read_hints(Hint (&hints)[kHintsMax], Problems& warnings) noexcept;

}  // namespace tailrace::shim
