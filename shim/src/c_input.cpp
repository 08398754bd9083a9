// SPDX-License-Identifier: Apache-2.0
#include "c_input.hpp"

#include <cstddef>

namespace tailrace::shim {
namespace {

static_assert(sizeof(tailrace_context_t) == sizeof(Context) &&
              offsetof(tailrace_context_t, trace_state) == offsetof(Context, trace_state));
static_assert(sizeof(tailrace_name_t) == sizeof(Name) && offsetof(tailrace_name_t, id) == offsetof(Name, id));
static_assert(offsetof(tailrace_attribute_t, value) == offsetof(Attribute, value));
static_assert(TAILRACE_NAME == static_cast<int>(Value::Kind::string_id) &&
              TAILRACE_UINT == static_cast<int>(Value::Kind::unsigned_integer) &&
              TAILRACE_MAP == static_cast<int>(Value::Kind::map) &&
              TAILRACE_STRING == static_cast<int>(Value::Kind::string));

// Every element takes at least eight bytes of a record, and they are read in this order: what comes behind so many
// is never read.
constexpr std::uint32_t kElementsRead = 65536 / 8 + shm::kMaxItemDepth + 1;

bool good(const tailrace_value_t& value, unsigned depth, std::uint32_t& left) noexcept {
  if (left == 0) return true;
  --left;
  if (value.reserved != 0 || (value.id != 0 && value.type != TAILRACE_NAME)) return false;
  switch (value.type) {
    case TAILRACE_EMPTY:
    case TAILRACE_INT:
    case TAILRACE_UINT:
    case TAILRACE_DOUBLE: return true;
    case TAILRACE_BOOL: return value.as.boolean <= 1;
    case TAILRACE_STRING:
    case TAILRACE_BYTES: return good_text(value.as.bytes, value.size);
    case TAILRACE_NAME: return known_string(value.id) && good_text(value.as.bytes, value.size);
    case TAILRACE_ARRAY:
    case TAILRACE_MAP: break;
    default: return false;
  }
  if (value.size > kListMax || (value.as.array == nullptr && value.size != 0)) return false;
  if (depth >= shm::kMaxItemDepth) return true;  // the encoder does not look inside either
  for (std::uint64_t i = 0; i < value.size && left != 0; ++i) {
    if (value.type == TAILRACE_ARRAY) {
      if (!good(value.as.array[i], depth + 1, left)) return false;
    } else {
      const tailrace_attribute_t& member = value.as.map[i];
      if (member.key.text == nullptr || !good_name(member.key) || !good(member.value, depth + 1, left)) return false;
    }
  }
  return true;
}

}  // namespace

bool good_value(const tailrace_value_t& value) noexcept {
  std::uint32_t left = kElementsRead;
  return good(value, 0, left);
}

bool good_values(const tailrace_value_t* values, std::size_t count) noexcept {
  if (count > kListMax || (values == nullptr && count != 0)) return false;
  for (std::size_t i = 0; i < count; ++i) {
    if (!good_value(values[i])) return false;
  }
  return true;
}

bool good_attributes(const tailrace_attribute_t* attributes, std::size_t count) noexcept {
  if (count > kListMax || (attributes == nullptr && count != 0)) return false;
  for (std::size_t i = 0; i < count; ++i) {
    // A key without text would be one of the format's own.
    if (attributes[i].key.text == nullptr || !good_name(attributes[i].key) || !good_value(attributes[i].value))
      return false;
  }
  return true;
}

Name name_of(const tailrace_name_t& name) noexcept {
  const std::uint32_t id = name.id != 0 || name.length == 0 ? name.id : detail::find_name(name.text, name.length);
  return {name.text != nullptr ? name.text : "", name.length, id};
}

bool time_of(const tailrace_time_t& time, Time& out) noexcept {
  if (time.clock > TAILRACE_CLOCK_UNIX || time.reserved != 0) return false;
  const bool no_counter = g.clock == static_cast<std::uint32_t>(shm::ClockKind::monotonic);
  if (time.clock == TAILRACE_CLOCK_NOW || (time.clock == TAILRACE_CLOCK_CPU && no_counter)) {
    out = Time();
  } else {
    out = Time(time.value, static_cast<shm::TimeClock>(time.clock - 1));
  }
  return true;
}

bool scope_of(tailrace_scope_t scope, std::uint16_t& out) noexcept {
  if (scope > g.scopes_count.load(std::memory_order_acquire)) return false;
  out = static_cast<std::uint16_t>(scope);
  return true;
}

bool priority_of(std::uint8_t priority, std::uint8_t otherwise, std::uint8_t& out) noexcept {
  if (priority > TAILRACE_PRIORITY_BACKGROUND) return false;
  out = priority == TAILRACE_PRIORITY_DEFAULT ? otherwise : static_cast<std::uint8_t>(priority - 1);
  return true;
}

Context context_of(const tailrace_context_t& given) noexcept {
  Context context;
  std::memcpy(context.trace_id, given.trace_id, sizeof context.trace_id);
  std::memcpy(context.span_id, given.span_id, sizeof context.span_id);
  context.sampled = given.sampled != 0;
  context.random = given.random != 0;
  context.remote = given.remote != 0;
  context.trace_state = given.trace_state;
  return context;
}

void give_context(const Context& context, tailrace_context_t& out) noexcept {
  std::memcpy(out.trace_id, context.trace_id, sizeof out.trace_id);
  std::memcpy(out.span_id, context.span_id, sizeof out.span_id);
  out.sampled = context.sampled ? 1 : 0;
  out.random = context.random ? 1 : 0;
  out.remote = context.remote ? 1 : 0;
  out.reserved = 0;
  out.trace_state = context.trace_state;
}

}  // namespace tailrace::shim
