// SPDX-License-Identifier: Apache-2.0
// Logs: a template and its arguments, or a body and attributes, straight into the thread's lane.
//
// info("paid {} for {}", 42, name) stores the template's id and the typed arguments; the agent formats
// them (fmt syntax). info("paid", {{"amount", 42}}) gives attributes instead. log(LogRecord) is for
// everything else. Each carries the ids of the current span.
// Threads: any. Failure: a log that does not fit is cut and flagged, or dropped and counted.
#pragma once

#include <tailrace/detail/config.hpp>
#include <tailrace/detail/span.hpp>

namespace tailrace {

// A view like the values in it: what braces or temporaries give it lives until the end of the statement.
struct LogRecord {
  Value body = {};
  Severity severity = Severity::info;
  Attributes attributes = {};
  std::string_view event_name = {};
  std::string_view severity_text = {};
  Time time = {};
  Time observed = {};
  const Context* context = nullptr;  // default: the current one
  const Scope* scope = nullptr;
  // Default: critical from error on, normal from warn on, low from info on, else background.
  Priority priority = static_cast<Priority>(255);
};

namespace detail {

struct LogData {
  Name name;  // template or body, where it is a string
  const Value* body;
  const Value* arguments;
  std::size_t arguments_size;
  const Attribute* attributes;
  std::size_t attributes_size;
  std::string_view event_name;
  std::string_view severity_text;
  const Time* time;
  const Time* observed;
  const Context* context;
  std::uint16_t scope;
  std::uint8_t severity;
  std::uint8_t priority;  // 255: by severity
  std::uint32_t is_template;
};

constexpr std::uint32_t priority_of(std::uint32_t severity) noexcept {
  return severity >= 17 ? 0u : severity >= 13 ? 1u : severity >= 9 ? 2u : 3u;
}

}  // namespace detail
}  // namespace tailrace

extern "C" TAILRACE_EXPORT void tailrace_log(const tailrace::detail::LogData* data) noexcept;

namespace tailrace {
namespace detail {

// How the arguments of a template travel to the writer: one register, or two for a string.
template <shm::ItemType Type>
struct TAILRACE_HIDDEN WordArgument {
  std::uint64_t word;
  static constexpr std::uint32_t size() noexcept { return 16; }
  static constexpr bool fits() noexcept { return true; }
  TAILRACE_INLINE unsigned char* put(unsigned char* to) const noexcept {
    put_word(to, shm::item_word(shm::kArgumentKey, Type, 0, 8));
    put_word(to + 8, word);
    return to + 16;
  }
  Value value() const noexcept;
};
struct TAILRACE_HIDDEN TextArgument {
  const char* text;
  std::size_t length;
  std::uint32_t size() const noexcept { return 8 + ((static_cast<std::uint32_t>(length) + 7u) & ~7u); }
  bool fits() const noexcept { return length <= 4096; }
  TAILRACE_INLINE unsigned char* put(unsigned char* to) const noexcept {
    put_word(to, shm::item_word(shm::kArgumentKey, shm::ItemType::string, 0, static_cast<std::uint16_t>(length)));
    if (TAILRACE_LIKELY(length != 0)) copy_text(to + 8, text, length);
    return to + size();
  }
  Value value() const noexcept { return Value(std::string_view(text, length)); }
};
template <shm::ItemType Type>
Value WordArgument<Type>::value() const noexcept {
  if constexpr (Type == shm::ItemType::boolean) {
    return Value(word != 0);
  } else if constexpr (Type == shm::ItemType::real) {
    double real;
    std::memcpy(&real, &word, 8);
    return Value(real);
  } else {
    return Value(static_cast<std::int64_t>(word));
  }
}
struct TAILRACE_HIDDEN ValueArgument {
  Value held;
  static constexpr std::uint32_t size() noexcept { return 0; }
  static constexpr bool fits() noexcept { return false; }
  unsigned char* put(unsigned char* to) const noexcept { return to; }
  Value value() const noexcept { return held; }
};

template <class T>
TAILRACE_INLINE auto argument(const T& value) noexcept {
  if constexpr (std::is_same_v<T, bool>) {
    return WordArgument<shm::ItemType::boolean>{value ? 1u : 0u};
  } else if constexpr (std::is_same_v<T, char>) {
    return TextArgument{&value, 1};
  } else if constexpr (std::is_integral_v<T> && !(std::is_unsigned_v<T> && sizeof(T) == 8)) {
    return WordArgument<shm::ItemType::integer>{static_cast<std::uint64_t>(static_cast<std::int64_t>(value))};
  } else if constexpr (std::is_floating_point_v<T>) {
    const double real = static_cast<double>(value);
    std::uint64_t bits;
    std::memcpy(&bits, &real, 8);
    return WordArgument<shm::ItemType::real>{bits};
  } else if constexpr (is_text<T>) {
    const std::string_view view = detail::text_view(value);
    return TextArgument{view.data(), view.size()};
  } else {
    return ValueArgument{Value(value)};
  }
}

template <class... E>
TAILRACE_HIDDEN __attribute__((noinline, cold)) bool log_slow(Name body, std::uint32_t severity, E... items) noexcept {
  const Value values[sizeof...(E) + 1] = {items.value()..., Value()};
  LogData data{};
  data.name = body;
  data.arguments = values;
  data.arguments_size = sizeof...(E);
  data.severity = static_cast<std::uint8_t>(severity);
  data.priority = 255;
  data.is_template = 1;
  tailrace_log(&data);
  return true;
}

// A log's fixed fields in one register: template id, severity, flags, priority, each where its word wants it.
constexpr unsigned kMetaPriorityShift = 48;
constexpr std::uint64_t log_meta(std::uint32_t severity) noexcept {
  return std::uint64_t{severity} << 32 | std::uint64_t{shm::kTemplate} << 40 |
         std::uint64_t{priority_of(severity)} << kMetaPriorityShift;
}

// One function for each list of argument types in a DSO; a leaf, so that nothing is saved on the stack.
// False: nothing was done.
template <class... E>
TAILRACE_HIDDEN __attribute__((noinline)) bool write_log(ThreadBlock* block, std::uint64_t meta, E... items) noexcept {
  const std::uint64_t size = (sizeof(shm::LogRecord) + ... + std::uint64_t{items.size()});
  const auto priority = static_cast<std::uint32_t>(meta >> kMetaPriorityShift);
  if (TAILRACE_UNLIKELY(block->busy != 0 || priority == 0)) return false;
  set_busy(block);
  // Behind the busy mark: a handler that wrote between the two would be written over.
  const std::uint64_t at = block->ring.head;
  if (TAILRACE_UNLIKELY(!block->ring.fits(priority, size))) {
    clear_busy(block);
    return tailrace_full(block, 1, priority, size);
  }
  const ContextEntry& context = block->stack[depth_of(block->top)];
  unsigned char* to = block->ring.data + (at & block->ring.mask);
  // The priority is the low two bits of the header's flags, which stand where it stands in `meta`.
  put_word(to, shm::header_word(0, shm::RecordType::log, 0, sizeof...(E)) | size | (meta >> 48 << 48));
  put_word(to + 8, shm::cpu_counter());
  put_word(to + 16, (meta << 16 >> 16) | std::uint64_t{context.tflags & (shm::kSampled | shm::kRandom)} << 40);
  put_word(to + 24, context.trace_id[0]);
  put_word(to + 32, context.trace_id[1]);
  put_word(to + 40, context.span_id);
  [[maybe_unused]] unsigned char* item = to + sizeof(shm::LogRecord);
  ((item = items.put(item)), ...);
  TAILRACE_TEST_POINT("shim.log.filled");
  const std::uint64_t target = at + size;
  shm::LaneHead* lane = block->lane_head;
  lane->head.store(target, std::memory_order_release);  // pairs with the agent's acquire
  TAILRACE_TEST_POINT("shim.log.head");
  add_one(lane->written[1]);
  TAILRACE_TEST_POINT("shim.log.written");
  block->ring.head = target;
  clear_busy(block);
  return true;
}

// What a template may be made of, checked against its arguments where the language can.
enum class ArgumentClass : std::uint8_t { integer, boolean, real, text, other };
template <class T>
constexpr ArgumentClass argument_class() noexcept {
  if constexpr (std::is_same_v<T, bool>)
    return ArgumentClass::boolean;
  else if constexpr (std::is_integral_v<T>)
    return ArgumentClass::integer;
  else if constexpr (std::is_floating_point_v<T>)
    return ArgumentClass::real;
  else if constexpr (is_text<T> || is_literal<T>)
    return ArgumentClass::text;
  else
    return ArgumentClass::other;
}
constexpr bool spec_suits(char type, ArgumentClass c) noexcept {
  switch (type) {
    case 'd':
    case 'x':
    case 'X':
    case 'b':
    case 'B':
    case 'o':
    case 'c': return c == ArgumentClass::integer || c == ArgumentClass::boolean;
    case 'e':
    case 'E':
    case 'f':
    case 'F':
    case 'g':
    case 'G':
    case 'a':
    case 'A': return c == ArgumentClass::real;
    case 's': return c == ArgumentClass::text || c == ArgumentClass::boolean;
    default: return true;
  }
}
// Braces in pairs, as many fields as arguments, presentation types that suit them.
constexpr bool template_suits(std::string_view text, const ArgumentClass* classes, std::size_t count) noexcept {
  std::size_t next = 0;
  bool numbered = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '}') {
      if (i + 1 >= text.size() || text[i + 1] != '}') return false;
      ++i;
      continue;
    }
    if (c != '{') continue;
    if (i + 1 < text.size() && text[i + 1] == '{') {
      ++i;
      continue;
    }
    ++i;
    std::size_t index = 0;
    bool digits = false;
    for (; i < text.size() && text[i] >= '0' && text[i] <= '9'; ++i) {
      index = index * 10 + static_cast<std::size_t>(text[i] - '0');
      digits = true;
    }
    if (digits)
      numbered = true;
    else
      index = next++;
    if (index >= count) return false;
    char last = 0;
    if (i < text.size() && text[i] == ':') {
      for (++i; i < text.size() && text[i] != '}'; ++i) {
        if (text[i] == '{') {  // a width or precision that is an argument
          while (i < text.size() && text[i] != '}') ++i;
          if (next++ >= count) return false;
          last = 0;
          continue;
        }
        last = text[i];
      }
    }
    if (i >= text.size() || text[i] != '}') return false;
    if (!spec_suits(last, classes[index])) return false;
  }
  return numbered || next == count;
}
void template_and_arguments_do_not_match();  // never defined: its name is the error message

#if defined(__cpp_consteval)
#define TAILRACE_CONSTEVAL consteval
#else
#define TAILRACE_CONSTEVAL constexpr
#endif

template <class T>
struct TAILRACE_HIDDEN Identity {
  using type = T;
};

template <class... A>
class TAILRACE_HIDDEN Template {
 public:
  template <std::size_t N>
  TAILRACE_CONSTEVAL Template(const char (&text)[N]) noexcept  // NOLINT: implicit by purpose
      : text_(text), length_(std::char_traits<char>::length(text)) {
#if defined(__cpp_consteval)
    check(std::string_view(text, length_));
#endif
  }
  template <class L, std::enable_if_t<is_literal<L>, int> = 0>
  TAILRACE_INLINE Template(const L&) noexcept  // NOLINT: implicit by purpose
      : text_(L::text().data()), length_(L::text().size()), cell_(L::cell()) {
#if defined(__cpp_consteval)
    constexpr bool suits = suits_arguments(L::text());
    static_assert(suits, "the template and its arguments do not match");
#endif
  }
  // Text of run time: not checked here; the agent shows it as it is where it does not suit.
  template <class T, std::enable_if_t<is_text<T> && !std::is_array_v<T>, int> = 0>
  constexpr Template(const T& text) noexcept : text_(nullptr), length_(0) {  // NOLINT: implicit by purpose
    const std::string_view view = detail::text_view(text);
    text_ = view.data();
    length_ = view.size();
  }
  // 0: the slow path must look.
  TAILRACE_INLINE std::uint32_t id() const noexcept {
    return cell_ != nullptr ? cell_->id.load(std::memory_order_acquire) : find_name(text_, length_);
  }
  TAILRACE_INLINE Name name(std::uint32_t known) const noexcept {
    return {text_, static_cast<std::uint32_t>(length_),
            known != 0 || cell_ == nullptr ? known : tailrace_intern(cell_)};
  }

 private:
  static constexpr bool suits_arguments(std::string_view text) noexcept {
    constexpr ArgumentClass classes[sizeof...(A) + 1] = {argument_class<A>()..., ArgumentClass::other};
    return template_suits(text, classes, sizeof...(A));
  }
#if defined(__cpp_consteval)
  static consteval void check(std::string_view text) noexcept {
    if (!suits_arguments(text)) template_and_arguments_do_not_match();
  }
#endif
  const char* text_;
  std::size_t length_;
  NameCell* cell_ = nullptr;
};

template <class... A>
TAILRACE_INLINE void log_template(std::uint32_t severity, const Template<A...>& text, const A&... arguments) noexcept {
  if constexpr (kDisabled) return;
  ThreadBlock* block = tailrace_thread;
  const shm::ControlHot* control = block->control;
  bool fast = false;
  if (TAILRACE_LIKELY(control != nullptr)) {  // a lane, after init(), not in a child
    if ((control->disable_mask.load(std::memory_order_relaxed) & 2u) != 0) return;
    const std::uint32_t wishes = log_wishes(control);
    if (severity < (wishes & 0xff)) return;
    if (severity < block->log_floor) {
      if (block->log_fast != 0) return;
    } else {
      fast = wishes <= 0xffff;
    }
  }
  const std::uint32_t id = text.id();
  if (TAILRACE_LIKELY(fast && id != 0 && (argument(arguments).fits() && ...))) {
    if (TAILRACE_LIKELY(write_log(block, id | log_meta(severity), argument(arguments)...))) return;
  }
  log_slow(text.name(id), severity, argument(arguments)...);
}

template <class N>
TAILRACE_INLINE void log_attributes(Severity severity, const N& body, Attributes attributes) noexcept {
  if constexpr (kDisabled) return;
  LogData data{};
  data.name = name_of(body);
  data.attributes = attributes.data();
  data.attributes_size = attributes.size();
  data.severity = static_cast<std::uint8_t>(severity);
  data.priority = 255;
  tailrace_log(&data);
}

}  // namespace detail

TAILRACE_INLINE void log(const LogRecord& record) noexcept {
  if constexpr (detail::kDisabled) return;
  detail::LogData data{};
  data.body = &record.body;
  data.attributes = record.attributes.data();
  data.attributes_size = record.attributes.size();
  data.event_name = record.event_name;
  data.severity_text = record.severity_text;
  data.time = &record.time;
  data.observed = &record.observed;
  data.context = record.context;
  data.scope = record.scope != nullptr ? record.scope->id() : std::uint16_t{0};
  data.severity = static_cast<std::uint8_t>(record.severity);
  data.priority = static_cast<std::uint8_t>(record.priority);
  tailrace_log(&data);
}

#define TAILRACE_DEFINE_LOG(level)                                                                                     \
  template <class... A>                                                                                                \
  TAILRACE_INLINE void level(detail::Template<typename detail::Identity<A>::type...> text,                             \
                             const A&... arguments) noexcept {                                                         \
    detail::log_template<A...>(static_cast<std::uint32_t>(Severity::level), text, arguments...);                       \
  }                                                                                                                    \
  template <class N>                                                                                                   \
  TAILRACE_HIDDEN inline void level(const N& body, Attributes attributes) noexcept {                                   \
    detail::log_attributes(Severity::level, body, attributes);                                                         \
  }
TAILRACE_DEFINE_LOG(trace)
TAILRACE_DEFINE_LOG(debug)
TAILRACE_DEFINE_LOG(info)
TAILRACE_DEFINE_LOG(warn)
TAILRACE_DEFINE_LOG(error)
TAILRACE_DEFINE_LOG(fatal)
#undef TAILRACE_DEFINE_LOG

}  // namespace tailrace
