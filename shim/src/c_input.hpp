// SPDX-License-Identifier: Apache-2.0
// What the C interface takes from its callers: checked here, then used as the C++ half's own types.
//
// Names, values and attributes have the same layout on both sides, so that nothing is copied or built on the way;
// every tag, handle and pointer is looked at before. A caller that changes them meanwhile is as wrong as one that
// frees them.
// Threads: any. Failure: false, and counted once a call by refuse().
#pragma once

#include <cstring>

#include <tailrace/tailrace.h>

#include "runtime.hpp"

namespace tailrace::shim {

inline constexpr std::uint64_t kTextMax = 0x7fffffff;
inline constexpr std::size_t kListMax = 1u << 20;  // attributes, events, links, arguments of one call

inline bool refuse() noexcept {
  g.bad_input.fetch_add(1, std::memory_order_relaxed);
  return false;
}

// An id of a published string, or at least of a place in its arena: nothing of ours is read through it.
inline bool known_string(std::uint32_t id) noexcept {
  const std::uint64_t end = g.mirror_length.load(std::memory_order_relaxed) / 8;
  return id >= shm::kFirstStringId && id < end;
}

inline bool good_text(const void* data, std::uint64_t size) noexcept {
  return size <= kTextMax && (data != nullptr || size == 0);
}
inline bool good_text(const tailrace_text_t& text) noexcept { return good_text(text.data, text.size); }
inline std::string_view view_of(const tailrace_text_t& text) noexcept { return {text.data, text.size}; }

inline bool good_name(const tailrace_name_t& name) noexcept {
  return good_text(name.text, name.length) && (name.id == 0 || known_string(name.id));
}
// As the inlined calls do it: with its id, where this thread knows one.
Name name_of(const tailrace_name_t& name) noexcept;

bool good_value(const tailrace_value_t& value) noexcept;
bool good_values(const tailrace_value_t* values, std::size_t count) noexcept;
bool good_attributes(const tailrace_attribute_t* attributes, std::size_t count) noexcept;

// Behind the check. The barrier: what the caller stored as its types is read as ours from here on.
static_assert(sizeof(tailrace_value_t) == sizeof(Value) && sizeof(tailrace_attribute_t) == sizeof(Attribute));
inline const Value* values_of(const tailrace_value_t* values) noexcept {
  asm volatile("" : : : "memory");
  return reinterpret_cast<const Value*>(values);
}
inline const Attribute* attributes_of(const tailrace_attribute_t* attributes) noexcept {
  asm volatile("" : : : "memory");
  return reinterpret_cast<const Attribute*>(attributes);
}

bool time_of(const tailrace_time_t& time, Time& out) noexcept;
bool scope_of(tailrace_scope_t scope, std::uint16_t& out) noexcept;
Context context_of(const tailrace_context_t& context) noexcept;
void give_context(const Context& context, tailrace_context_t& out) noexcept;
inline bool good_baggage(const tailrace_baggage_t& baggage) noexcept { return baggage.used <= sizeof baggage.text; }
bool priority_of(std::uint8_t priority, std::uint8_t otherwise, std::uint8_t& out) noexcept;

// A struct that begins with its size: an older caller's is shorter and the rest is zero; what a newer one has beyond
// ours has to be zero, because we cannot do what it asks for.
template <class T>
bool take(const T* given, std::uint32_t first_size, T& out) noexcept {
  constexpr std::uint32_t kSizeMax = 4096;
  if (given == nullptr || given->size < first_size || given->size > kSizeMax) return false;
  const std::uint32_t size = given->size;
  std::memset(&out, 0, sizeof out);
  std::memcpy(&out, given, size < sizeof out ? size : sizeof out);
  const auto* bytes = reinterpret_cast<const unsigned char*>(given);
  for (std::uint32_t i = sizeof out; i < size; ++i) {
    if (bytes[i] != 0) return false;
  }
  return true;
}

}  // namespace tailrace::shim
