// SPDX-License-Identifier: Apache-2.0
// The C interface: spans, step by step. The same inlined half as C++ programs have, behind one call.
//
// A handle's state stands in the caller's memory and is worked on there: a signal handler that interrupts a call finds
// it marked.
#include "c_span.hpp"

namespace tailrace::shim {

using shm::ItemType;

bool not_a_handle(const tailrace_span_t* span) noexcept { return (span != nullptr && span->tag == 0) || refuse(); }

bool take_options(const tailrace_span_options_t& given, SpanRequest& out) noexcept {
  std::uint8_t priority = 0;
  std::uint16_t scope = 0;
  if (given.kind > TAILRACE_KIND_UNSPECIFIED || given.parent_mode > TAILRACE_PARENT_NONE || given.reserved != 0 ||
      given.reserved_end != 0) {
    return false;
  }
  if ((given.parent_mode == TAILRACE_PARENT_GIVEN) != (given.parent != nullptr)) return false;
  if (!priority_of(given.priority, static_cast<std::uint8_t>(Priority::normal), priority) ||
      !scope_of(given.scope, scope) || !time_of(given.start, out.options.start) || !good_text(given.trace_state) ||
      !good_links(given.links, given.link_count)) {
    return false;
  }
  out.scope = __builtin_bit_cast(Scope, scope);
  out.options.scope = &out.scope;
  out.options.kind = kind_of(given.kind);
  out.options.priority = static_cast<Priority>(priority);
  if (given.parent_mode == TAILRACE_PARENT_GIVEN) {
    out.parent = context_of(*given.parent);
    out.options.parent = Parent(out.parent);
  } else if (given.parent_mode == TAILRACE_PARENT_NONE) {
    out.options.parent = Parent::none();
  }
  out.options.trace_state = view_of(given.trace_state);
  return true;
}

bool good_links(const tailrace_link_t* links, std::size_t count) noexcept {
  if (count > kListMax || (links == nullptr && count != 0)) return false;
  for (std::size_t i = 0; i < count; ++i) {
    if (!good_attributes(links[i].attributes, links[i].attribute_count)) return false;
  }
  return true;
}

void add_links(SpanState& s, const tailrace_link_t* links, std::size_t count) noexcept {
  for (std::size_t i = 0; i < count && s.word != 0; ++i) {
    const Link link{context_of(links[i].context),
                    Attributes(attributes_of(links[i].attributes), links[i].attribute_count)};
    tailrace_span_link(&s, &link);
  }
}

namespace {

// The calls of hot code are leaves: what they cannot do is one jump to a function that begins again. A plain text
// whose id this thread knows comes back from there once, with the id.
bool with_id(tailrace_name_t& name) noexcept {
  if (name.id != 0 || name.length == 0 || !good_name(name)) return false;
  name.id = name_of(name).id;
  return name.id != 0;
}

__attribute__((noinline)) bool begin(tailrace_span_t* span, tailrace_name_t name,
                                     const tailrace_span_options_t* options, std::uint64_t* ids) noexcept {
  if (span == nullptr) return refuse();
  SpanState& s = fresh_state(span, ids == nullptr ? kCurrentTag : kDetachedTag);
  if (options == nullptr && ids == nullptr && with_id(name)) return tailrace_span_begin(span, name, nullptr);
  SpanRequest request;
  tailrace_span_options_t given{};
  if (!good_name(name) ||
      (options != nullptr && (!take(options, sizeof given, given) || !take_options(given, request)))) {
    span->tag = 0;
    return refuse();
  }
  const detail::SpanStart start{name_of(name), &request.options, ids};
  tailrace_span_start(&s, &start);
  add_links(s, given.links, given.link_count);
  return true;
}

bool set(SpanState& s, const tailrace_name_t& key, const Value& value) noexcept {
  if (key.text == nullptr || !good_name(key)) return refuse();
  const Name name = name_of(key);
  tailrace_span_set(&s, &name, &value);
  return true;
}

bool set_scalar(tailrace_span_t* span, tailrace_name_t key, ItemType type, std::uint64_t word) noexcept;

__attribute__((noinline)) bool set_scalar_slow(tailrace_span_t* span, tailrace_name_t key, ItemType type,
                                               std::uint64_t word) noexcept {
  if (!is_handle(span)) return not_a_handle(span);
  SpanState& s = state_of(span);
  if (s.word == 0) return true;
  if (with_id(key)) return set_scalar(span, key, type, word);
  tailrace_value_t value{};
  value.type = static_cast<std::uint32_t>(type);
  value.as.natural = word;
  return set(s, key, *values_of(&value));
}
static_assert(TAILRACE_BOOL == static_cast<int>(ItemType::boolean) &&
              TAILRACE_INT == static_cast<int>(ItemType::integer) &&
              TAILRACE_DOUBLE == static_cast<int>(ItemType::real));

__attribute__((noinline)) bool set_scalar(tailrace_span_t* span, tailrace_name_t key, ItemType type,
                                          std::uint64_t word) noexcept {
  if (TAILRACE_LIKELY(is_handle(span) && known_string(key.id) && state_of(span).word != 0 &&
                      detail::set_word(state_of(span), key.id, type, word))) {
    return true;
  }
  return set_scalar_slow(span, key, type, word);
}

__attribute__((noinline)) bool set_string_slow(tailrace_span_t* span, tailrace_name_t key, const char* text,
                                               std::size_t length) noexcept {
  if (!is_handle(span)) return not_a_handle(span);
  if (!good_text(text, length)) return refuse();
  SpanState& s = state_of(span);
  if (s.word == 0) return true;
  if (with_id(key)) return tailrace_span_set_string(span, key, text, length);
  return set(s, key, Value(std::string_view(text, length)));
}

}  // namespace
}  // namespace tailrace::shim

using namespace tailrace;
using namespace tailrace::shim;

extern "C" bool tailrace_span_begin(tailrace_span_t* span, tailrace_name_t name,
                                    const tailrace_span_options_t* options) {
  if (TAILRACE_LIKELY(span != nullptr && options == nullptr && known_string(name.id))) {
    SpanState& s = fresh_state(span, kCurrentTag);
    if (TAILRACE_LIKELY(detail::start_fast(s, name.id, SpanKind::internal, Priority::normal, 0))) return true;
  }
  return begin(span, name, options, nullptr);
}

extern "C" bool tailrace_span_begin_detached(tailrace_span_t* span, tailrace_name_t name,
                                             const tailrace_span_options_t* options) {
  if (span == nullptr) return refuse();
  for (std::uint64_t& id : span->ids) id = 0;
  return begin(span, name, options, span->ids);
}

extern "C" bool tailrace_span_recording(const tailrace_span_t* span) {
  if (!is_handle(span)) {
    not_a_handle(span);
    return false;
  }
  return state_of(span).word != 0;
}

extern "C" bool tailrace_span_get_context(const tailrace_span_t* span, tailrace_context_t* out) {
  if (out == nullptr) return refuse();
  Context context;
  const bool handle = is_handle(span);
  if (handle && state_of(span).block != nullptr) {
    tailrace_span_context(&state_of(span), span->tag == kDetachedTag ? span->ids : nullptr, &context);
  }
  give_context(context, *out);
  return handle || not_a_handle(span);
}

extern "C" bool tailrace_span_set_bool(tailrace_span_t* span, tailrace_name_t key, bool value) {
  return set_scalar(span, key, shm::ItemType::boolean, value ? 1 : 0);
}

extern "C" bool tailrace_span_set_int(tailrace_span_t* span, tailrace_name_t key, std::int64_t value) {
  return set_scalar(span, key, shm::ItemType::integer, static_cast<std::uint64_t>(value));
}

extern "C" bool tailrace_span_set_double(tailrace_span_t* span, tailrace_name_t key, double value) {
  std::uint64_t word;
  std::memcpy(&word, &value, sizeof word);
  return set_scalar(span, key, shm::ItemType::real, word);
}

extern "C" bool tailrace_span_set_string(tailrace_span_t* span, tailrace_name_t key, const char* text, size_t length) {
  if (TAILRACE_LIKELY(is_handle(span) && known_string(key.id) && text != nullptr && state_of(span).word != 0 &&
                      detail::set_text(state_of(span), key.id, text, length))) {
    return true;
  }
  return set_string_slow(span, key, text, length);
}

extern "C" bool tailrace_span_set_value(tailrace_span_t* span, tailrace_name_t key, const tailrace_value_t* value) {
  if (!is_handle(span)) return not_a_handle(span);
  if (value == nullptr || !good_value(*value)) return refuse();
  SpanState& s = state_of(span);
  return s.word == 0 || set(s, key, *values_of(value));
}

extern "C" bool tailrace_span_set_attributes(tailrace_span_t* span, const tailrace_attribute_t* attributes,
                                             size_t count) {
  if (!is_handle(span)) return not_a_handle(span);
  if (!good_attributes(attributes, count)) return refuse();
  SpanState& s = state_of(span);
  const Attribute* list = shim::attributes_of(attributes);
  for (std::size_t i = 0; i < count && s.word != 0; ++i) {
    const Name key = name_of(attributes[i].key);
    tailrace_span_set(&s, &key, &list[i].value);
  }
  return true;
}

extern "C" bool tailrace_span_add_event(tailrace_span_t* span, tailrace_name_t name,
                                        const tailrace_attribute_t* attributes, size_t count, tailrace_time_t time) {
  if (!is_handle(span)) return not_a_handle(span);
  Time at;
  if (!good_name(name) || !good_attributes(attributes, count) || !time_of(time, at)) return refuse();
  SpanState& s = state_of(span);
  if (s.word == 0) return true;
  const Name known = name_of(name);
  tailrace_span_event(&s, &known, shim::attributes_of(attributes), count, &at);
  return true;
}

extern "C" bool tailrace_span_add_link(tailrace_span_t* span, const tailrace_context_t* context,
                                       const tailrace_attribute_t* attributes, size_t count) {
  if (!is_handle(span)) return not_a_handle(span);
  if (context == nullptr || !good_attributes(attributes, count)) return refuse();
  const tailrace_link_t link{*context, attributes, count};
  add_links(state_of(span), &link, 1);
  return true;
}

extern "C" bool tailrace_span_add_exception(tailrace_span_t* span, tailrace_text_t type, tailrace_text_t message,
                                            tailrace_text_t stacktrace, const tailrace_attribute_t* attributes,
                                            size_t count) {
  if (!is_handle(span)) return not_a_handle(span);
  constexpr std::size_t kMost = 64;
  if (!good_text(type) || !good_text(message) || !good_text(stacktrace) || !good_attributes(attributes, count))
    return refuse();
  SpanState& s = state_of(span);
  if (s.word == 0) return true;
  alignas(Attribute) unsigned char memory[kMost * sizeof(Attribute)];
  auto* all = reinterpret_cast<Attribute*>(memory);
  std::size_t n = 0;
  const auto add = [all, &n](const char* key, const tailrace_text_t& text) {
    if (text.size != 0) new (&all[n++]) Attribute{key, Value(view_of(text))};
  };
  add("exception.type", type);
  add("exception.message", message);
  add("exception.stacktrace", stacktrace);
  const Attribute* list = shim::attributes_of(attributes);
  std::size_t i = 0;
  for (; i < count && n < kMost; ++i) new (&all[n++]) Attribute(list[i]);
  if (i < count) count_cut(tailrace_thread);
  const Name name = detail::name_of("exception");
  const Time now;
  tailrace_span_event(&s, &name, all, n, &now);
  return true;
}

extern "C" bool tailrace_span_set_status(tailrace_span_t* span, std::uint32_t status, const char* message,
                                         size_t length) {
  if (!is_handle(span)) return not_a_handle(span);
  if (status > TAILRACE_STATUS_ERROR || !good_text(message, length)) return refuse();
  if (state_of(span).word != 0) tailrace_span_status(&state_of(span), status, message, length);
  return true;
}

extern "C" bool tailrace_span_update_name(tailrace_span_t* span, tailrace_name_t name) {
  if (!is_handle(span)) return not_a_handle(span);
  if (!good_name(name)) return refuse();
  const Name known = name_of(name);
  if (state_of(span).word != 0) tailrace_span_rename(&state_of(span), &known);
  return true;
}

extern "C" bool tailrace_span_finish(tailrace_span_t* span) {
  if (TAILRACE_UNLIKELY(!is_handle(span))) return not_a_handle(span);
  SpanState& s = state_of(span);
  const SpanState state = s;
  s.block = nullptr;
  s.word = 0;
  if (TAILRACE_LIKELY(state.word != 0 && span->tag == kCurrentTag)) {
    detail::end_span(state.block, state.slot, state.word, state.top, state.bits);
    return true;
  }
  if (state.block != nullptr) detail::end_cold(state, Time());
  return true;
}

extern "C" bool tailrace_span_finish_at(tailrace_span_t* span, tailrace_time_t end) {
  if (!is_handle(span)) return not_a_handle(span);
  Time at;
  if (!time_of(end, at)) return refuse();
  SpanState& s = state_of(span);
  const SpanState state = s;
  s.block = nullptr;
  s.word = 0;
  if (state.block != nullptr) detail::end_cold(state, at);
  return true;
}
