// SPDX-License-Identifier: Apache-2.0
// Times, contexts and what makes one current.
//
// A Context is a value: ids and flags of a span, of this process or another. `current()` is the
// thread's innermost open one; an Activate makes any context current for a block, which is how a span
// follows work across threads, callbacks and coroutines (one Activate per resume).
// Threads: a Context is a value; an Activate belongs to the thread that made it.
#pragma once

#include <tailrace/detail/value.hpp>

namespace tailrace {

using Priority = shm::Priority;  // critical, normal, low, background

// A moment: any std::chrono::system_clock or steady_clock time_point, or nanoseconds of either.
// Default: the moment of the call.
struct Time {
  std::uint64_t value = 0;
  std::uint8_t clock = 0;  // shm::TimeClock
  bool given = false;

  constexpr Time() noexcept = default;
  constexpr Time(std::uint64_t v, shm::TimeClock c) noexcept
      : value(v), clock(static_cast<std::uint8_t>(c)), given(true) {}
  static constexpr Time unix_ns(std::uint64_t ns) noexcept { return {ns, shm::TimeClock::realtime}; }
  static constexpr Time monotonic_ns(std::uint64_t ns) noexcept { return {ns, shm::TimeClock::monotonic}; }
  // Taken from the clock's type, so that <chrono> is not needed here.
  template <template <class, class> class Point, class Clock, class Duration>
  constexpr Time(const Point<Clock, Duration>& t) noexcept  // NOLINT: implicit by purpose
      : value(nanoseconds<typename Duration::period>(static_cast<std::int64_t>(t.time_since_epoch().count()))),
        clock(static_cast<std::uint8_t>(Clock::is_steady ? shm::TimeClock::monotonic : shm::TimeClock::realtime)),
        given(true) {}

 private:
  template <class Period>
  static constexpr std::uint64_t nanoseconds(std::int64_t count) noexcept {
    if constexpr (Period::num == 1 && 1000000000 % Period::den == 0) {
      return static_cast<std::uint64_t>(count * (1000000000 / Period::den));
    } else {
      return static_cast<std::uint64_t>(static_cast<double>(count) * 1e9 * Period::num / Period::den);
    }
  }
};

struct Context {
  std::uint8_t trace_id[16] = {};
  std::uint8_t span_id[8] = {};
  bool sampled = false;
  bool random = false;  // W3C: the low 56 bits of the trace id are random
  bool remote = false;  // it came from another process
  std::uint32_t trace_state = 0;

  bool valid() const noexcept {
    std::uint64_t words[3];
    std::memcpy(words, trace_id, 16);
    std::memcpy(words + 2, span_id, 8);
    return (words[0] | words[1]) != 0 && words[2] != 0;
  }

  // W3C traceparent, for a carrier of your own: 55 characters and a NUL.
  void traceparent(char (&out)[56]) const noexcept {
    char* p = out;
    const auto hex = [&p](const std::uint8_t* bytes, int n) {
      for (int i = 0; i < n; ++i) {
        *p++ = "0123456789abcdef"[bytes[i] >> 4];
        *p++ = "0123456789abcdef"[bytes[i] & 15];
      }
    };
    *p++ = '0', *p++ = '0', *p++ = '-';
    hex(trace_id, 16);
    *p++ = '-';
    hex(span_id, 8);
    *p++ = '-';
    const std::uint8_t flags = static_cast<std::uint8_t>((sampled ? 1 : 0) | (random ? 2 : 0));
    hex(&flags, 1);
    *p = 0;
  }
  // Invalid text gives an invalid context, which as a parent starts a new trace.
  static Context from_traceparent(std::string_view text) noexcept {
    Context context;
    context.remote = true;
    if (text.size() < 55 || (text.size() > 55 && text[55] != '-')) return Context{};
    bool good = text[2] == '-' && text[35] == '-' && text[52] == '-';
    const auto hex = [&text, &good](std::size_t at, std::uint8_t* bytes, int n) {
      for (int i = 0; i < 2 * n; ++i) {
        const char c = text[at + static_cast<std::size_t>(i)];
        const int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
        good = good && digit >= 0;
        bytes[i / 2] = static_cast<std::uint8_t>(bytes[i / 2] << 4 | (digit & 15));
      }
    };
    std::uint8_t version = 0;
    std::uint8_t flags = 0;
    hex(0, &version, 1);
    hex(3, context.trace_id, 16);
    hex(36, context.span_id, 8);
    hex(53, &flags, 1);
    if (!good || version == 0xff || (version == 0 && text.size() != 55) || !context.valid()) return Context{};
    context.sampled = (flags & 1) != 0;
    context.random = (flags & 2) != 0;
    return context;
  }
};

}  // namespace tailrace

extern "C" {
TAILRACE_EXPORT bool tailrace_current(tailrace::Context* out) noexcept;
TAILRACE_EXPORT std::uint64_t tailrace_activate(const tailrace::Context* context) noexcept;
TAILRACE_EXPORT void tailrace_deactivate(std::uint64_t top) noexcept;
}

namespace tailrace {

// The context of the innermost span that is open on this thread, or of its Activate; else not valid().
TAILRACE_INLINE Context current() noexcept {
  Context context;
  if constexpr (!detail::kDisabled) tailrace_current(&context);
  return context;
}

class Activate {
 public:
  TAILRACE_INLINE explicit Activate(const Context& context) noexcept {
    if constexpr (!detail::kDisabled) top_ = tailrace_activate(&context);
  }
  TAILRACE_INLINE ~Activate() {
    if constexpr (!detail::kDisabled) {
      if (top_ != 0) tailrace_deactivate(top_);
    }
  }
  Activate(const Activate&) = delete;
  Activate& operator=(const Activate&) = delete;

 private:
  std::uint64_t top_ = 0;  // 0: past the depth limit, nothing was pushed
};

namespace detail {
struct ScopeData {
  const char* name;
  std::size_t name_length;
  const char* version;
  std::size_t version_length;
  const char* schema_url;
  std::size_t schema_url_length;
  const Attribute* attributes;
  std::size_t attributes_size;
};
}  // namespace detail
}  // namespace tailrace

extern "C" TAILRACE_EXPORT std::uint16_t tailrace_scope(const tailrace::detail::ScopeData* data) noexcept;

namespace tailrace {

// An instrumentation scope: who made the record. Static, or a member of a library's state; may be made
// before init(). Two with the same content are the same scope.
class Scope {
 public:
  TAILRACE_INLINE explicit Scope(std::string_view name, std::string_view version = {}, std::string_view schema_url = {},
                                 Attributes attributes = {}) noexcept {
    if constexpr (detail::kDisabled) return;
    const detail::ScopeData data{name.data(),       name.size(),       version.data(),    version.size(),
                                 schema_url.data(), schema_url.size(), attributes.data(), attributes.size()};
    id_ = tailrace_scope(&data);
  }
  std::uint16_t id() const noexcept { return id_; }

 private:
  std::uint16_t id_ = 0;
};

}  // namespace tailrace
