// SPDX-License-Identifier: Apache-2.0
//
// Stores into the hold. Every store is one aligned u64 with release order: what a later process
// finds after kill -9 is what was stored before, in program order, and a status that reads along
// sees no later store without the earlier ones.
#ifndef TAILRACE_AGENT_HOLD_WORDS_HPP_
#define TAILRACE_AGENT_HOLD_WORDS_HPP_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <time.h>

namespace tailrace::agent {

inline void store_word(std::uint64_t* word, std::uint64_t value) {
  std::atomic_ref<std::uint64_t>(*word).store(value, std::memory_order_release);
}

// Text as words, cut to fit and always ended by a zero byte.
inline void store_text(std::uint64_t* words, std::size_t bytes, std::string_view text) {
  if (text.size() >= bytes) {
    text = text.substr(0, bytes - 1);
  }
  for (std::size_t i = 0; i < bytes / 8; ++i) {
    std::uint64_t word = 0;
    if (i * 8 < text.size()) {
      std::memcpy(&word, text.data() + i * 8, text.size() - i * 8 < 8 ? text.size() - i * 8 : 8);
    }
    store_word(words + i, word);
  }
}

// What was stored, or whatever damage made of it: printable ASCII and UTF-8 bytes stay, the rest is
// '?'.
inline std::string load_text(const std::uint64_t* words, std::size_t bytes) {
  std::string text(bytes, '\0');
  std::memcpy(text.data(), words, bytes);
  text.resize(::strnlen(text.data(), bytes));
  for (char& c : text) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
      c = '?';
    }
  }
  return text;
}

inline std::uint64_t clock_ns(clockid_t clock) {
  timespec now{};
  ::clock_gettime(clock, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<std::uint64_t>(now.tv_nsec);
}

}  // namespace tailrace::agent

#endif  // TAILRACE_AGENT_HOLD_WORDS_HPP_
