// SPDX-License-Identifier: Apache-2.0
// Baggage: what an application sends along with a request, as keys and values of its own.
//
// A Baggage is a value of 8 KB that holds the text of one header, so that nothing is allocated and what came in goes
// out as it was; copies copy what is used of it. Values are percent-encoded in there and decoded on request.
// Baggage is never recorded unless asked: record() sets chosen keys as attributes.
// Threads: a value; what is current belongs to the thread, as an Activate does.
// Failure: what breaks the grammar is left out member by member; what does not fit is left out, and said.
// Source: W3C Baggage.
#pragma once

#include <cstring>
#include <initializer_list>

#include <tailrace/detail/context.hpp>

namespace tailrace {

class Baggage {
 public:
  static constexpr std::size_t kBytes = 8192;  // of the header's text
  static constexpr std::size_t kMembers = 180;

  Baggage() noexcept = default;
  Baggage(const Baggage& other) noexcept { *this = other; }
  Baggage& operator=(const Baggage& other) noexcept {
    if (this != &other) {
      size_ = other.size_;
      members_ = other.members_;
      std::memcpy(text_, other.text_, size_);
    }
    return *this;
  }

  // Arguments are no views into this very Baggage.
  //
  // One header's members behind those that are there; of a key that is there twice the later one stays.
  // False: something was left out.
  bool add(std::string_view header) noexcept;
  // `value` is any text; `properties` is as it stands in a header: "p1;p2=v". False: the key is no token, the
  // properties are none, or there is no room; then nothing has changed.
  bool set(std::string_view key, std::string_view value, std::string_view properties = {}) noexcept;
  bool remove(std::string_view key) noexcept;  // false: it was not there
  void clear() noexcept { size_ = members_ = 0; }

  bool has(std::string_view key) const noexcept { return find(key).key.data() != nullptr; }
  // The decoded value in `room` (what fits of it), as a view of that; empty if there is none.
  std::string_view get(std::string_view key, char* room, std::size_t size) const noexcept;
  template <std::size_t N>
  std::string_view get(std::string_view key, char (&room)[N]) const noexcept {
    return get(key, room, N);
  }
  std::string_view properties(std::string_view key) const noexcept { return find(key).properties; }

  std::size_t size() const noexcept { return members_; }
  bool empty() const noexcept { return members_ == 0; }
  std::string_view header() const noexcept { return {text_, size_}; }

  // Sets the values of these keys, where they are, as attributes of the same names.
  template <class SpanType>
  void record(SpanType& span, std::initializer_list<std::string_view> keys) const noexcept {
    if (!span.recording()) return;
    for (const std::string_view key : keys) {
      if (!has(key)) continue;
      char value[kBytes];
      span.set(key, get(key, value));
    }
  }

 private:
  struct Found {
    std::string_view key, value, properties;  // value: encoded
  };
  Found find(std::string_view key) const noexcept;

  std::uint32_t size_ = 0;
  std::uint32_t members_ = 0;
  char text_[kBytes];
};

namespace detail {
struct BaggageText {
  const char* text;
  std::size_t size;
};
}  // namespace detail
}  // namespace tailrace

extern "C" {
// On the parts of a Baggage: a text of at most kBytes, its length, its members.
TAILRACE_EXPORT bool tailrace_baggage_add(char* text, std::uint32_t* size, std::uint32_t* members, const char* header,
                                          std::size_t length) noexcept;
TAILRACE_EXPORT bool tailrace_baggage_set(char* text, std::uint32_t* size, std::uint32_t* members,
                                          const tailrace::detail::BaggageText* parts) noexcept;
TAILRACE_EXPORT bool tailrace_baggage_remove(char* text, std::uint32_t* size, std::uint32_t* members, const char* key,
                                             std::size_t length) noexcept;
// Into found[0..2]: key, encoded value, properties. False: not there.
TAILRACE_EXPORT bool tailrace_baggage_find(const char* text, std::uint32_t size, const char* key, std::size_t length,
                                           tailrace::detail::BaggageText* found) noexcept;
TAILRACE_EXPORT std::size_t tailrace_baggage_decode(const char* value, std::size_t length, char* room,
                                                    std::size_t size) noexcept;
TAILRACE_EXPORT std::uint64_t tailrace_baggage_activate(const tailrace::Baggage* baggage) noexcept;
TAILRACE_EXPORT void tailrace_baggage_deactivate(std::uint64_t activation) noexcept;
TAILRACE_EXPORT bool tailrace_baggage_current(tailrace::Baggage* out) noexcept;
}

namespace tailrace {

inline bool Baggage::add(std::string_view header) noexcept {
  return !detail::kDisabled && tailrace_baggage_add(text_, &size_, &members_, header.data(), header.size());
}
inline bool Baggage::set(std::string_view key, std::string_view value, std::string_view properties) noexcept {
  if constexpr (detail::kDisabled) return false;
  const detail::BaggageText parts[3] = {
      {key.data(), key.size()}, {value.data(), value.size()}, {properties.data(), properties.size()}};
  return tailrace_baggage_set(text_, &size_, &members_, parts);
}
inline bool Baggage::remove(std::string_view key) noexcept {
  return !detail::kDisabled && tailrace_baggage_remove(text_, &size_, &members_, key.data(), key.size());
}
inline Baggage::Found Baggage::find(std::string_view key) const noexcept {
  detail::BaggageText found[3];
  if (detail::kDisabled || !tailrace_baggage_find(text_, size_, key.data(), key.size(), found)) return {};
  return {{found[0].text, found[0].size}, {found[1].text, found[1].size}, {found[2].text, found[2].size}};
}
inline std::string_view Baggage::get(std::string_view key, char* room, std::size_t size) const noexcept {
  const Found found = find(key);
  if (found.key.data() == nullptr) return {};
  return {room, tailrace_baggage_decode(found.value.data(), found.value.size(), room, size)};
}

// Makes a copy of a baggage current on this thread for a block: inject() sends it.
class ActivateBaggage {
 public:
  TAILRACE_INLINE explicit ActivateBaggage(const Baggage& baggage) noexcept {
    if constexpr (!detail::kDisabled) activation_ = tailrace_baggage_activate(&baggage);
  }
  TAILRACE_INLINE ~ActivateBaggage() {
    if constexpr (!detail::kDisabled) {
      if (activation_ != 0) tailrace_baggage_deactivate(activation_);
    }
  }
  ActivateBaggage(const ActivateBaggage&) = delete;
  ActivateBaggage& operator=(const ActivateBaggage&) = delete;

 private:
  std::uint64_t activation_ = 0;
};

// A copy of this thread's; empty if there is none.
inline Baggage current_baggage() noexcept {
  Baggage baggage;
  if constexpr (!detail::kDisabled) tailrace_baggage_current(&baggage);
  return baggage;
}

}  // namespace tailrace
