// SPDX-License-Identifier: Apache-2.0
// Contexts across processes: extract() reads `traceparent`, `tracestate` and `baggage` out of a carrier, inject()
// writes them into one.
//
//   tailrace::Baggage baggage;
//   const tailrace::Context parent = tailrace::extract(request.headers, &baggage);
//   tailrace::SpanOptions options;
//   options.parent = parent;
//   auto span = tailrace::span("serve"_n, options);
//   tailrace::ActivateBaggage with(baggage);
//   tailrace::inject(downstream.headers);           // the current span's context, the current baggage
//
// A carrier is a map or multimap of strings, a sequence of pairs or of structs with `name` and `value`, or two
// functions put together by carrier(get, set). Names are compared without regard to case and sent in small letters.
// Threads: as the carrier allows. Nothing here allocates but what the carrier itself does to hold a header.
// Failure: nothing is thrown. What breaks its grammar is as if it had not come; a carrier's exception is swallowed,
// and the header is not there.
// Source: W3C Trace Context level 2, W3C Baggage.
#pragma once

#include <tailrace/detail/baggage.hpp>

extern "C" {
// Calls `visit` for each value of a header, in order.
typedef void (*tailrace_visit)(void* to, const char* value, std::size_t length);
typedef void (*tailrace_get)(const void* carrier, const char* name, std::size_t name_length, tailrace_visit visit,
                             void* to);
typedef void (*tailrace_set)(void* carrier, const char* name, std::size_t name_length, const char* value,
                             std::size_t length);

// False: nothing valid came, and `context` is as it was.
TAILRACE_EXPORT bool tailrace_extract_context(const void* carrier, tailrace_get get,
                                              tailrace::Context* context) noexcept;
TAILRACE_EXPORT bool tailrace_extract_baggage(const void* carrier, tailrace_get get,
                                              tailrace::Baggage* baggage) noexcept;
// Null: the current one.
TAILRACE_EXPORT void tailrace_inject(void* carrier, tailrace_set set, const tailrace::Context* context,
                                     const tailrace::Baggage* baggage) noexcept;
TAILRACE_EXPORT std::size_t tailrace_trace_state(const tailrace::Context* context, char* out,
                                                 std::size_t room) noexcept;
TAILRACE_EXPORT bool tailrace_set_trace_state(tailrace::Context* context, const char* text,
                                              std::size_t length) noexcept;
}

namespace tailrace {
namespace detail {

#if defined(__cpp_exceptions) || defined(__EXCEPTIONS)
#define TAILRACE_TRY try
#define TAILRACE_CATCH_ALL catch (...)
#else
#define TAILRACE_TRY if constexpr (true)
#define TAILRACE_CATCH_ALL else
#endif

constexpr char small_letter(char c) noexcept { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }
inline bool same_name(std::string_view a, std::string_view b) noexcept {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (small_letter(a[i]) != small_letter(b[i])) return false;
  }
  return true;
}

// Strings of any library: what converts to a view, or has data() and size().
template <class T>
std::string_view header_view(const T& text) noexcept {
  if constexpr (is_text<T>)
    return text_view(text);
  else
    return std::string_view(text.data(), text.size());
}

template <class E, class = void>
struct HeaderElement {
  static std::string_view name(const E& e) noexcept { return header_view(e.name); }
  static std::string_view value(const E& e) noexcept { return header_view(e.value); }
  static void assign(E& e, std::string_view value) { e.value = decltype(e.value)(value); }
  static E make(std::string_view name, std::string_view value) {
    E e{};
    e.name = decltype(e.name)(name);
    e.value = decltype(e.value)(value);
    return e;
  }
};
template <class E>
struct HeaderElement<E, std::void_t<decltype(std::declval<E&>().first), decltype(std::declval<E&>().second)>> {
  static std::string_view name(const E& e) noexcept { return header_view(e.first); }
  static std::string_view value(const E& e) noexcept { return header_view(e.second); }
  static void assign(E& e, std::string_view value) { e.second = decltype(e.second)(value); }
  static E make(std::string_view name, std::string_view value) {
    return E{std::remove_const_t<decltype(E::first)>(name), decltype(E::second)(value)};
  }
};

struct CountVisits {
  tailrace_visit visit;
  void* to;
  void operator()(std::string_view value) const { visit(to, value.data(), value.size()); }
};

template <class C, class = void>
inline constexpr bool visits_values = false;
template <class C>
inline constexpr bool visits_values<
    C, std::void_t<decltype(std::declval<const C&>().get(std::string_view(), std::declval<const CountVisits&>()))>> =
    true;
template <class C, class = void>
inline constexpr bool gets_value = false;
template <class C>
inline constexpr bool gets_value<C, std::void_t<decltype(std::declval<const C&>().get(std::string_view()))>> = true;
template <class C, class = void>
inline constexpr bool sets_value = false;
template <class C>
inline constexpr bool
    sets_value<C, std::void_t<decltype(std::declval<C&>().set(std::string_view(), std::string_view()))>> = true;
template <class C, class = void>
inline constexpr bool is_map = false;
template <class C>
inline constexpr bool is_map<C, std::void_t<typename C::key_type, typename C::mapped_type>> = true;

template <class C>
void carrier_get(const void* carrier, const char* name, std::size_t name_length, tailrace_visit visit,
                 void* to) noexcept {
  const C& from = *static_cast<const C*>(carrier);
  const std::string_view wanted(name, name_length);
  const CountVisits visitor{visit, to};
  TAILRACE_TRY {
    if constexpr (visits_values<C>) {
      from.get(wanted, visitor);
    } else if constexpr (gets_value<C>) {
      const auto& value = from.get(wanted);
      const std::string_view view = header_view(value);
      if (view.data() != nullptr) visitor(view);
    } else {
      for (const auto& element : from) {
        using Element = HeaderElement<std::remove_cv_t<std::remove_reference_t<decltype(element)>>>;
        if (same_name(Element::name(element), wanted)) visitor(Element::value(element));
      }
    }
  }
  TAILRACE_CATCH_ALL {}
}

// One header of this name stands in the carrier afterwards, however it was spelt before.
template <class C>
void carrier_set(void* carrier, const char* name, std::size_t name_length, const char* value,
                 std::size_t length) noexcept {
  C& to = *static_cast<C*>(carrier);
  const std::string_view key(name, name_length);
  const std::string_view text(value, length);
  TAILRACE_TRY {
    if constexpr (sets_value<C>) {
      to.set(key, text);
    } else if constexpr (is_map<C>) {
      for (auto at = to.begin(); at != to.end();) {
        if (same_name(header_view(at->first), key))
          at = to.erase(at);
        else
          ++at;
      }
      to.emplace(typename C::key_type(key), typename C::mapped_type(text));
    } else {
      using Element = HeaderElement<typename C::value_type>;
      bool there = false;
      for (auto at = to.begin(); at != to.end();) {
        if (!same_name(Element::name(*at), key)) {
          ++at;
        } else if (there) {
          at = to.erase(at);
        } else {
          Element::assign(*at++, text);
          there = true;
        }
      }
      if (!there) to.push_back(Element::make(key, text));
    }
  }
  TAILRACE_CATCH_ALL {}
}

template <class Get, class Set>
struct Functions {
  Get getter;
  Set setter;
  template <class G = Get, class = decltype(std::declval<const G&>()(std::string_view()))>
  auto get(std::string_view name) const {
    return getter(name);
  }
  template <class Visit, class G = Get,
            class = decltype(std::declval<const G&>()(std::string_view(), std::declval<const Visit&>()))>
  void get(std::string_view name, const Visit& visit) const {
    getter(name, visit);
  }
  void set(std::string_view name, std::string_view value) { setter(name, value); }
};

}  // namespace detail

// A carrier out of two functions: `get(name)` returns the value as a std::string_view or const char*, one without
// data for none, or `get(name, visit)` calls visit(value) for each; `set(name, value)` replaces.
template <class Get, class Set>
detail::Functions<Get, Set> carrier(Get get, Set set) noexcept {
  return {static_cast<Get&&>(get), static_cast<Set&&>(set)};
}
template <class Get>
auto carrier(Get get) noexcept {
  const auto nothing = [](std::string_view, std::string_view) {};
  return detail::Functions<Get, decltype(nothing)>{static_cast<Get&&>(get), nothing};
}

// The context that came in, remote and to be used as a parent or a link; `otherwise` where none did. With `baggage`
// that one too; it is left alone where none came.
template <class C>
Context extract(const C& carrier, Baggage* baggage = nullptr, const Context& otherwise = {}) noexcept {
  Context context = otherwise;
  if constexpr (!detail::kDisabled) {
    tailrace_extract_context(&carrier, &detail::carrier_get<C>, &context);
    if (baggage != nullptr) tailrace_extract_baggage(&carrier, &detail::carrier_get<C>, baggage);
  }
  return context;
}
template <class C>
Context extract(const C& carrier, const Context& otherwise) noexcept {
  return extract(carrier, nullptr, otherwise);
}

// The current context and the current baggage. What there is not is not written.
template <class C>
void inject(C&& carrier) noexcept {
  if constexpr (!detail::kDisabled) {
    tailrace_inject(&carrier, &detail::carrier_set<std::remove_reference_t<C>>, nullptr, nullptr);
  }
}
template <class C>
void inject(C&& carrier, const Context& context) noexcept {
  if constexpr (!detail::kDisabled) {
    tailrace_inject(&carrier, &detail::carrier_set<std::remove_reference_t<C>>, &context, nullptr);
  }
}
template <class C>
void inject(C&& carrier, const Context& context, const Baggage& baggage) noexcept {
  if constexpr (!detail::kDisabled) {
    tailrace_inject(&carrier, &detail::carrier_set<std::remove_reference_t<C>>, &context, &baggage);
  }
}

// The text of a context's tracestate.
class TraceState {
 public:
  TAILRACE_INLINE explicit TraceState(const Context& context) noexcept {
    if constexpr (!detail::kDisabled) {
      if (context.trace_state != 0) size_ = tailrace_trace_state(&context, text_, sizeof text_);
    }
  }
  std::string_view text() const noexcept { return {text_, size_}; }
  bool empty() const noexcept { return size_ == 0; }

 private:
  std::size_t size_ = 0;
  char text_[512];
};

// The context with this tracestate instead of its own; with none where the text is no tracestate.
// A text lives while a span or an Activate has it, and else until some thousand others came after it.
inline Context with_trace_state(Context context, std::string_view text) noexcept {
  if constexpr (!detail::kDisabled) tailrace_set_trace_state(&context, text.data(), text.size());
  return context;
}

}  // namespace tailrace
