// SPDX-License-Identifier: Apache-2.0
// Names and keys: literals that are interned once a call site, and strings that are found by content.
//
// "pay"_n and TAILRACE_NAME("pay") are literals by construction: their id stands in a static cell.
// Any other string is always right, whatever buffer it stands in: the thread's cache compares its
// content, and a string that is not there is written into the record as it is.
// Threads: any. Failure: id 0, and the string is written inline.
#pragma once

#if defined(__GNUC__) && !defined(TAILRACE_NO_SYSTEM_HEADER)
#pragma GCC system_header  // C++17 knows literal operator templates only as an extension
#endif

#include <cstddef>
#include <string_view>
#include <type_traits>

#include <tailrace/detail/thread_block.hpp>

namespace tailrace::detail {

struct NameCell {
  std::atomic<std::uint32_t> id;  // 0: not interned yet
  std::uint32_t length;
  const char* text;
};

// A string and, where it has one, its id.
struct Name {
  const char* text = nullptr;
  std::uint32_t length = 0;
  std::uint32_t id = 0;
};

}  // namespace tailrace::detail

extern "C" {
TAILRACE_EXPORT std::uint32_t tailrace_intern(tailrace::detail::NameCell* cell) noexcept;
TAILRACE_EXPORT std::uint32_t tailrace_name(const char* text, std::size_t length) noexcept;
}

namespace tailrace {
namespace detail {

struct LiteralTag {};

// Hidden, statics included: a unique symbol would keep a plug-in loaded for ever after dlclose.
template <class Source>
class TAILRACE_HIDDEN Literal : public LiteralTag {
 public:
  static constexpr std::string_view text() noexcept { return Source::text(); }
  // 0: not interned yet. Acquire: whoever publishes a record with the id must have the string
  // published before it.
  TAILRACE_INLINE static std::uint32_t known() noexcept {
    return kDisabled ? 0 : cell_.id.load(std::memory_order_acquire);
  }
  static constexpr NameCell* cell() noexcept { return &cell_; }
  TAILRACE_INLINE static std::uint32_t id() noexcept {
    if constexpr (kDisabled) return 0;
    const std::uint32_t id = known();
    return TAILRACE_LIKELY(id != 0) ? id : tailrace_intern(&cell_);
  }

 private:
  static inline NameCell cell_{{0}, static_cast<std::uint32_t>(Source::text().size()), Source::text().data()};
};

#if defined(__cpp_nontype_template_args) && __cpp_nontype_template_args >= 201911L
template <std::size_t N>
struct TAILRACE_HIDDEN FixedText {
  char chars[N];
  consteval FixedText(const char (&text)[N]) noexcept {  // NOLINT: a literal is what it takes
    for (std::size_t i = 0; i < N; ++i) chars[i] = text[i];
  }
};
template <FixedText Chars>
struct TAILRACE_HIDDEN FixedSource {
  static constexpr std::string_view text() noexcept { return {Chars.chars, sizeof(Chars.chars) - 1}; }
};
#else
template <class Char, Char... Chars>
struct TAILRACE_HIDDEN PackSource {
  static constexpr Char chars[sizeof...(Chars) + 1] = {Chars..., 0};
  static constexpr std::string_view text() noexcept { return {chars, sizeof...(Chars)}; }
};
#endif

template <class T>
inline constexpr bool is_literal = std::is_base_of_v<LiteralTag, T>;
template <class T>
inline constexpr bool is_text = std::is_convertible_v<T, std::string_view> && !is_literal<T> &&
                                !std::is_same_v<std::remove_cv_t<T>, std::nullptr_t>;  // that is the empty value

// The text of a value of such a type; a null pointer is an empty one.
template <class T>
constexpr std::string_view text_view(const T& text) noexcept {
  if constexpr (std::is_pointer_v<T>) {
    return text != nullptr ? std::string_view(text) : std::string_view();
  } else {
    return std::string_view(text);
  }
}

// The words by which a string is found. Folds to constants for a literal.
struct TextKey {
  std::uint64_t first;
  std::uint64_t last;
};
TAILRACE_INLINE TextKey text_key(const char* s, std::size_t n) noexcept {
  TextKey key{0, 0};
  if (n >= 8) {
    std::memcpy(&key.first, s, 8);
    std::memcpy(&key.last, s + n - 8, 8);
  } else if (n >= 4) {
    std::uint32_t first, last;
    std::memcpy(&first, s, 4);
    std::memcpy(&last, s + n - 4, 4);
    key = {first, last};
  } else if (n > 0) {
    const auto byte = [s](std::size_t i) { return static_cast<std::uint64_t>(static_cast<unsigned char>(s[i])); };
    key.first = byte(0) | byte(n / 2) << 8 | byte(n - 1) << 16;
  }
  return key;
}
TAILRACE_INLINE std::uint32_t name_index(const TextKey& key, std::size_t n) noexcept {
  const std::uint64_t h = (key.first ^ (key.last * 0x9e3779b97f4a7c15ull) ^ n) * 0xd6e8feb86659fd93ull;
  return static_cast<std::uint32_t>(h >> 57);
}
static_assert(kNameEntries == 128, "name_index() yields seven bits");

TAILRACE_INLINE std::uint32_t find_name(const char* s, std::size_t n) noexcept {
  if constexpr (kDisabled) return 0;
  const ThreadBlock* block = tailrace_thread;
  const TextKey key = text_key(s, n);
  const NameEntry& entry = block->names[name_index(key, n)];
  if (TAILRACE_LIKELY(entry.first == key.first && entry.last == key.last && entry.length == n && entry.id != 0)) {
    if (n <= 16 || std::memcmp(block->mirror + entry.id * std::uint64_t{8} + 4, s, n) == 0) return entry.id;
  }
  return tailrace_name(s, n);
}

// The id where it is at hand; 0 where the slow path must look.
template <class T>
TAILRACE_INLINE std::uint32_t known_id(const T& text) noexcept {
  if constexpr (is_literal<T>) {
    return T::known();
  } else {
    const std::string_view view = text_view(text);
    return find_name(view.data(), view.size());
  }
}
// All of it, for the slow path: a literal is interned now.
template <class T>
TAILRACE_INLINE Name name_of(const T& text, std::uint32_t known) noexcept {
  if constexpr (is_literal<T>) {
    return {T::text().data(), static_cast<std::uint32_t>(T::text().size()), known != 0 ? known : T::id()};
  } else {
    const std::string_view view = text_view(text);
    return {view.data(), static_cast<std::uint32_t>(view.size()), known};
  }
}

template <class T>
TAILRACE_INLINE Name name_of(const T& text) noexcept {
  if constexpr (is_literal<T>) {
    return {T::text().data(), static_cast<std::uint32_t>(T::text().size()), T::id()};
  } else {
    const std::string_view view = text_view(text);
    return {view.data(), static_cast<std::uint32_t>(view.size()), find_name(view.data(), view.size())};
  }
}

}  // namespace detail

inline namespace literals {
#if defined(__cpp_nontype_template_args) && __cpp_nontype_template_args >= 201911L
template <detail::FixedText Text>
TAILRACE_HIDDEN constexpr detail::Literal<detail::FixedSource<Text>> operator""_n() noexcept {
  return {};
}
#else
#if defined(__clang__)
#pragma clang diagnostic push
#pragma clang diagnostic ignored "-Wgnu-string-literal-operator-template"
#endif
template <class Char, Char... Chars>
TAILRACE_HIDDEN constexpr detail::Literal<detail::PackSource<Char, Chars...>> operator""_n() noexcept {
  return {};
}
#if defined(__clang__)
#pragma clang diagnostic pop
#endif
#endif
}  // namespace literals

}  // namespace tailrace

// The same where a user-defined literal is not wanted. The argument must be a string literal.
#define TAILRACE_NAME(literal)                                                                                         \
  ([]() noexcept {                                                                                                     \
    struct Source {                                                                                                    \
      static constexpr std::string_view text() noexcept { return {"" literal, sizeof(literal) - 1}; }                  \
    };                                                                                                                 \
    return ::tailrace::detail::Literal<Source>{};                                                                      \
  }())
