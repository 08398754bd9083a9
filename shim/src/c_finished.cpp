// SPDX-License-Identifier: Apache-2.0
// The C interface: a finished span by one call.
//
// The ordinary one is written straight into the thread's lane: no slot, nothing pushed, one store of head. Every other
// one is begun, described and ended as a detached span, by the calls that everybody uses.
// Threads: any; in a signal handler that interrupted a write it takes the other way. Failure: counted like any span.
#include "c_span.hpp"

namespace tailrace::shim {
namespace {

using shm::ItemType;

constexpr std::size_t kAttributesHere = 62;  // no limit is below it where the block's room is open
constexpr std::uint64_t kTextsHere = 512;
// What this way may need at most, checked once before anything is written behind head: a string takes 8 bytes and up
// to 7 of padding, a scalar 16.
constexpr std::uint64_t kMost = sizeof(shm::SpanRecord) + 16 * kAttributesHere + kTextsHere;

// One item at `to`: its bytes, or 0: not here. `texts` is what is left for strings.
__attribute__((noinline)) std::uint64_t put_other(unsigned char* to, const tailrace_attribute_t& attribute,
                                                  std::uint64_t& texts) noexcept {
  std::uint32_t key = attribute.key.id;
  if (!known_string(key)) {
    if (key != 0 || attribute.key.text == nullptr || attribute.key.length == 0) return 0;
    key = name_of(attribute.key).id;
    if (key == 0) return 0;
  }
  const tailrace_value_t& value = attribute.value;
  if (value.type - TAILRACE_BOOL <= TAILRACE_DOUBLE - TAILRACE_BOOL) {
    if (value.type == TAILRACE_BOOL && value.as.boolean > 1) return 0;
    detail::put_pair(to, shm::item_word(key, static_cast<ItemType>(value.type), 0, 8), value.as.natural);
    return 16;
  }
  if (value.type == TAILRACE_STRING && value.as.string != nullptr && value.size - 1 < texts) {
    detail::put_word(to, shm::item_word(key, ItemType::string, 0, static_cast<std::uint16_t>(value.size)));
    detail::copy_text(to + 8, value.as.string, value.size);
    texts -= value.size;
    return 8 + ((value.size + 7) & ~std::uint64_t{7});
  }
  if (value.type == TAILRACE_NAME && known_string(value.id)) {
    detail::put_pair(to, shm::item_word(key, ItemType::string_id, 0, 8), value.id);
    return 16;
  }
  return 0;
}

// The same for what hot code sends: an interned key and a scalar, which always fits. `known`: known_string().
TAILRACE_INLINE std::uint64_t put_attribute(unsigned char* to, const tailrace_attribute_t& attribute,
                                            std::uint64_t known, std::uint64_t& texts) noexcept {
  const std::uint64_t key = attribute.key.id;
  const std::uint64_t type = attribute.value.type;
  const std::uint64_t bits = attribute.value.as.natural;
  if (TAILRACE_UNLIKELY(key - shm::kFirstStringId >= known || type - TAILRACE_BOOL > TAILRACE_DOUBLE - TAILRACE_BOOL ||
                        (type == TAILRACE_BOOL && bits > 1))) {
    return put_other(to, attribute, texts);
  }
  // An item's type stands where the value's does, above the key.
  detail::put_pair(to, key | type << 32 | std::uint64_t{8} << 48, bits);
  return 16;
}
static_assert(TAILRACE_BOOL == static_cast<int>(ItemType::boolean) &&
              TAILRACE_INT == static_cast<int>(ItemType::integer) &&
              TAILRACE_DOUBLE == static_cast<int>(ItemType::real));

TAILRACE_INLINE bool give_up(ThreadBlock* block) noexcept {
  detail::clear_busy(block);
  return false;
}

// What is not the same for every span without options.
struct Plain {
  std::uint64_t kind_status = static_cast<std::uint64_t>(SpanKind::internal);
  std::uint64_t priority = static_cast<std::uint64_t>(Priority::normal);
  std::uint16_t scope = 0;
  tailrace_time_t end{};
  tailrace_context_t* context = nullptr;
};
// False: not here.
bool take_plain(const tailrace_finished_options_t& o, Plain& out) noexcept {
  if (o.size != sizeof o || o.kind > TAILRACE_KIND_CONSUMER || o.status > TAILRACE_STATUS_ERROR ||
      o.priority == TAILRACE_PRIORITY_CRITICAL || o.priority > TAILRACE_PRIORITY_BACKGROUND ||
      (o.parent_mode | o.reserved | o.event_count | o.link_count | o.status_message.size | o.trace_state.size) != 0 ||
      o.parent != nullptr || o.end.clock > TAILRACE_CLOCK_UNIX || o.end.reserved != 0 ||
      !scope_of(o.scope, out.scope)) {
    return false;
  }
  out.kind_status = static_cast<std::uint64_t>(kind_of(o.kind)) | std::uint64_t{o.status} << 4;
  if (o.priority != TAILRACE_PRIORITY_DEFAULT) out.priority = o.priority - std::uint64_t{1};
  out.end = o.end;
  out.context = o.context;
  return true;
}

// False: nothing was recorded. `kind`, `priority` and the rest of `f` are constants where no options are given.
TAILRACE_INLINE bool write_finished(std::uint64_t name, std::uint64_t start, std::uint64_t start_clock,
                                    const tailrace_attribute_t* attributes, std::size_t count,
                                    const Plain& f) noexcept {
  ThreadBlock* block = tailrace_thread;
  const shm::ControlHot* control = block->control;
  if (TAILRACE_UNLIKELY(control == nullptr)) return false;
  const std::uint64_t known = g.mirror_length.load(std::memory_order_relaxed) / 8 - shm::kFirstStringId;
  if (TAILRACE_UNLIKELY(name - shm::kFirstStringId >= known || count > kAttributesHere || attributes == nullptr ||
                        start_clock - 1 > TAILRACE_CLOCK_UNIX - 1)) {
    return false;
  }
  // Depth and room are 0 where every start or item takes the slow path: another clock, samplers, limits.
  if (TAILRACE_UNLIKELY((control->disable_mask.load(std::memory_order_relaxed) & 1u) != 0 || block->busy != 0 ||
                        detail::special(control) != 0 || block->depth_limit == 0 || block->room == 0)) {
    return false;
  }
  detail::set_busy(block);
  const ContextEntry& parent = block->stack[detail::depth_of(block->top)];
  const std::uint64_t parent_id = parent.span_id;
  const std::uint64_t step = block->id_state;
  const std::uint64_t key = block->id_key;
  const std::uint64_t span_id = block->next_span;
  std::uint64_t hi;
  std::uint64_t lo;
  std::uint64_t tflags;
  if (parent_id == 0) {
    const std::uint64_t random = block->next_low;
    hi = (step ^ key) | 1;
    lo = __builtin_bswap64(random);
    const std::uint64_t randomness = random & detail::kRandomnessMask;
    const bool sampled =
        randomness >= control->trace_threshold.load(std::memory_order_relaxed) && randomness >= block->threshold;
    tflags = sampled ? shm::kRandom | shm::kSampled : shm::kRandom;
    block->next_low = detail::mix(step, key);
  } else {
    hi = parent.trace_id[0];
    lo = parent.trace_id[1];
    std::memcpy(&tflags, &parent.tflags, 8);
    // Activated, dead, or with a tracestate.
    if (TAILRACE_UNLIKELY(tflags > (shm::kRandom | shm::kSampled))) return give_up(block);
  }
  // The ids are used up, whatever becomes of them.
  block->next_span = detail::mix(step + detail::kIdStep, key) | 1;
  block->id_state = step + 2 * detail::kIdStep;
  if (f.context != nullptr) {
    std::memcpy(f.context->trace_id, &hi, 8);
    std::memcpy(f.context->trace_id + 8, &lo, 8);
    std::memcpy(f.context->span_id, &span_id, 8);
    f.context->sampled = (tflags & shm::kSampled) != 0 ? 1 : 0;
    f.context->random = (tflags & shm::kRandom) != 0 ? 1 : 0;
    f.context->remote = f.context->reserved = 0;
    f.context->trace_state = 0;
  }
  if (TAILRACE_UNLIKELY((tflags & shm::kSampled) == 0)) {
    detail::add_one(block->lane_head->not_sampled);
    detail::clear_busy(block);
    return true;
  }
  const std::uint64_t at = block->ring.head;
  if (TAILRACE_UNLIKELY(!block->ring.fits(f.priority, kMost))) return give_up(block);
  // Behind head nobody reads: what is written here is nothing until head moves.
  unsigned char* to = block->ring.data + (at & block->ring.mask);
  detail::put_pair(to + 48, parent_id,
                   name | f.kind_status << 32 | (tflags | shm::kRemoteKnown) << 40 | std::uint64_t{f.scope} << 48);
  detail::put_pair(to + 32, lo, span_id);
  detail::put_pair(to + 16, start, hi);
  std::uint64_t size = sizeof(shm::SpanRecord);
  std::uint64_t texts = kTextsHere;
  for (std::size_t i = 0; i < count; ++i) {
    const std::uint64_t grown = put_attribute(to + size, attributes[i], known, texts);
    if (TAILRACE_UNLIKELY(grown == 0)) return give_up(block);
    size += grown;
  }
  std::uint64_t flags = f.priority | (start_clock - 1) << shm::kFlagStartClockShift;
  std::uint64_t end = f.end.value;
  if (f.end.clock == TAILRACE_CLOCK_NOW)
    end = shm::cpu_counter();
  else
    flags |= (f.end.clock - std::uint64_t{1}) << shm::kFlagEndClockShift;
  detail::put_pair(
      to,
      shm::header_word(0, shm::RecordType::span, 0, 0) | size | flags << 48 | static_cast<std::uint64_t>(count) << 56,
      end);
  TAILRACE_TEST_POINT("shim.finished.filled");
  shm::LaneHead* lane = block->lane_head;
  lane->head.store(at + size, std::memory_order_release);  // pairs with the agent's acquire
  TAILRACE_TEST_POINT("shim.finished.head");
  detail::add_one(lane->written[0]);
  TAILRACE_TEST_POINT("shim.finished.written");
  block->ring.head = at + size;
  detail::clear_busy(block);
  return true;
}

bool good_events(const tailrace_event_t* events, std::size_t count) noexcept {
  if (count > kListMax || (events == nullptr && count != 0)) return false;
  Time time;
  for (std::size_t i = 0; i < count; ++i) {
    if (!good_name(events[i].name) || !time_of(events[i].time, time) ||
        !good_attributes(events[i].attributes, events[i].attribute_count)) {
      return false;
    }
  }
  return true;
}

__attribute__((noinline, cold)) bool record_as_detached(tailrace_name_t name, tailrace_time_t from,
                                                        const tailrace_attribute_t* attributes, std::size_t count,
                                                        const tailrace_finished_options_t* given) noexcept {
  tailrace_finished_options_t f{};
  SpanRequest request;
  Time end;
  if ((given != nullptr && !take(given, sizeof f, f)) || !good_name(name) || f.reserved != 0 ||
      f.status > TAILRACE_STATUS_ERROR || !good_attributes(attributes, count) ||
      !good_events(f.events, f.event_count) || !good_text(f.status_message) || !time_of(f.end, end)) {
    return refuse();
  }
  if (f.context != nullptr) *f.context = tailrace_context_t{};
  tailrace_span_options_t options{};
  options.size = sizeof options;
  options.kind = f.kind;
  options.priority = f.priority;
  options.parent_mode = f.parent_mode;
  options.parent = f.parent;
  options.start = from;
  options.links = f.links;
  options.link_count = f.link_count;
  options.trace_state = f.trace_state;
  options.scope = f.scope;
  if (!take_options(options, request)) return refuse();
  SpanState s{};
  std::uint64_t ids[4] = {};
  const detail::SpanStart start{name_of(name), &request.options, ids};
  tailrace_span_start(&s, &start);
  if (s.block == nullptr) return true;
  if (f.context != nullptr) {
    Context made;
    tailrace_span_context(&s, ids, &made);
    give_context(made, *f.context);
  }
  const Attribute* list = shim::attributes_of(attributes);
  for (std::size_t i = 0; i < count && s.word != 0; ++i) {
    const Name key = name_of(attributes[i].key);
    tailrace_span_set(&s, &key, &list[i].value);
  }
  add_links(s, f.links, f.link_count);
  for (std::size_t i = 0; i < f.event_count && s.word != 0; ++i) {
    const tailrace_event_t& event = f.events[i];
    const Name event_name = name_of(event.name);
    Time at;
    time_of(event.time, at);
    tailrace_span_event(&s, &event_name, shim::attributes_of(event.attributes), event.attribute_count, &at);
  }
  if (s.word != 0) tailrace_span_status(&s, f.status, f.status_message.data, f.status_message.size);
  tailrace_span_end(&s, &end);
  return true;
}

}  // namespace
}  // namespace tailrace::shim

using namespace tailrace::shim;

static std::uint64_t clock_of(const tailrace_time_t& time) noexcept {
  return time.clock | std::uint64_t{time.reserved} << 32;
}

// A copy of the direct way in which nothing is constant.
static __attribute__((noinline)) bool record_with_options(tailrace_name_t name, tailrace_time_t start,
                                                          const tailrace_attribute_t* attributes, std::size_t count,
                                                          const tailrace_finished_options_t* options) noexcept {
  Plain plain;
  if (take_plain(*options, plain) && write_finished(name.id, start.value, clock_of(start), attributes, count, plain))
    return true;
  return record_as_detached(name, start, attributes, count, options);
}

extern "C" bool tailrace_span_record(tailrace_name_t name, tailrace_time_t start,
                                     const tailrace_attribute_t* attributes, size_t count,
                                     const tailrace_finished_options_t* options) {
  if (TAILRACE_UNLIKELY(options != nullptr)) return record_with_options(name, start, attributes, count, options);
  if (TAILRACE_LIKELY(write_finished(name.id, start.value, clock_of(start), attributes, count, Plain()))) return true;
  return record_as_detached(name, start, attributes, count, nullptr);
}
