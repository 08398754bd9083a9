// SPDX-License-Identifier: Apache-2.0
// What the step-by-step calls and the finished span of the C interface share.
#pragma once

#include <cstddef>
#include <new>

#include "c_input.hpp"

namespace tailrace::shim {

// In tailrace_span_t::tag: memory that no begin filled is found out by it.
inline constexpr std::uint64_t kCurrentTag = 0x7461696c72616300;
inline constexpr std::uint64_t kDetachedTag = kCurrentTag | 1;

static_assert(sizeof(tailrace_span_t::state) == sizeof(SpanState) && offsetof(tailrace_span_t, state) == 0);

inline bool is_handle(const tailrace_span_t* span) noexcept {
  return span != nullptr && (span->tag | 1) == kDetachedTag;
}
// True: a handle that does nothing. Else it is none, and counted.
bool not_a_handle(const tailrace_span_t* span) noexcept;

inline SpanState& state_of(tailrace_span_t* span) noexcept { return *reinterpret_cast<SpanState*>(span); }
inline const SpanState& state_of(const tailrace_span_t* span) noexcept {
  return *reinterpret_cast<const SpanState*>(span);
}
inline SpanState& fresh_state(tailrace_span_t* span, std::uint64_t tag) noexcept {
  span->tag = tag;
  return *new (static_cast<void*>(span)) SpanState{};
}

// What a start takes, with the memory that its views need.
struct SpanRequest {
  SpanOptions options;
  Context parent;
  Scope scope = __builtin_bit_cast(Scope, std::uint16_t{0});
};

inline SpanKind kind_of(std::uint8_t kind) noexcept {
  if (kind == TAILRACE_KIND_DEFAULT) return SpanKind::internal;
  return kind == TAILRACE_KIND_UNSPECIFIED ? SpanKind::unspecified : static_cast<SpanKind>(kind);
}

bool take_options(const tailrace_span_options_t& given, SpanRequest& out) noexcept;
bool good_links(const tailrace_link_t* links, std::size_t count) noexcept;
void add_links(SpanState& s, const tailrace_link_t* links, std::size_t count) noexcept;

}  // namespace tailrace::shim
