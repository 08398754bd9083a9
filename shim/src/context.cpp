// SPDX-License-Identifier: Apache-2.0
// The stack of contexts of a thread, and what is current on it.
#include "propagation.hpp"
#include "span_draft.hpp"

namespace tailrace::shim {

std::uint64_t without_dead(const ThreadBlock& block) noexcept {
  const auto dead = [&block](std::uint32_t depth) {
    return __atomic_load_n(&block.stack[depth].dead, __ATOMIC_RELAXED) != 0;
  };
  std::uint32_t depth = depth_of(block.top);
  while (depth > 0 && dead(depth)) --depth;
  std::uint64_t look = 0;
  for (std::uint32_t below = 1; below < depth; ++below) {
    if (dead(below)) look = kTopLook;
  }
  return block.serial << 32 | look | depth;
}

void leave_stack(const SpanState& s, std::uint64_t span_id, bool may_pop) noexcept {
  const std::uint32_t depth = depth_of(s.top);
  if (depth == 0 || depth > detail::kDepthMax || s.block == &closed_block) return;
  ThreadBlock* block = s.block;
  ContextEntry& entry = block->stack[depth];
  // Another owner's entry at this depth has another span's id.
  if ((__atomic_load_n(&block->top, __ATOMIC_RELAXED) ^ s.top) >> 32 != 0) return;
  if (span_id != 0 && __atomic_load_n(&entry.span_id, __ATOMIC_RELAXED) != span_id) return;
  __atomic_store_n(&entry.dead, 1u, __ATOMIC_RELAXED);
  if (!may_pop || tailrace_thread != block) return;
  block->top = without_dead(*block);
}

}  // namespace tailrace::shim

using namespace tailrace;
using namespace tailrace::shim;

extern "C" void tailrace_span_context(const SpanState* state, const std::uint64_t* given, Context* out) noexcept {
  const SpanState& s = *state;
  *out = Context{};
  if (!ours(s)) return;
  std::uint64_t ids[3];
  std::uint64_t tflags = 0;
  const std::uint32_t depth = depth_of(s.top);
  if (s.word != 0) {
    ids_of(s, ids);
    tflags = draft_of(s)[offsetof(shm::SpanRecord, tflags)];
  } else if (given != nullptr) {
    std::memcpy(ids, given, sizeof ids);
    tflags = given[3];
  } else if (depth != 0 && depth <= detail::kDepthMax && (s.block->top ^ s.top) >> 32 == 0) {
    const ContextEntry& entry = s.block->stack[depth];
    ids[0] = entry.trace_id[0];
    ids[1] = entry.trace_id[1];
    ids[2] = entry.span_id;
    tflags = entry.tflags;
  } else {
    return;
  }
  std::memcpy(out->trace_id, ids, 16);
  std::memcpy(out->span_id, &ids[2], 8);
  out->sampled = (tflags & shm::kSampled) != 0;
  out->random = (tflags & shm::kRandom) != 0;
  const auto trace_state =
      static_cast<std::uint32_t>(s.word != 0 ? trace_state_of(s) : tflags >> kFlagsTraceStateShift);
  if (trace_state != 0) out->trace_state = pinned_handle(trace_state);
}

extern "C" bool tailrace_current(Context* out) noexcept {
  *out = Context{};
  const ThreadBlock* block = tailrace_thread;
  if (block->control == nullptr) return active_context(*out);
  const ContextEntry& entry = block->stack[depth_of(block->top)];
  if (entry.span_id == 0) return false;
  std::memcpy(out->trace_id, entry.trace_id, 16);
  std::memcpy(out->span_id, &entry.span_id, 8);
  out->sampled = (entry.tflags & shm::kSampled) != 0;
  out->random = (entry.tflags & shm::kRandom) != 0;
  out->remote = (entry.tflags & shm::kRemote) != 0;
  const std::uint32_t trace_state = entry.tflags >> kFlagsTraceStateShift;
  if (trace_state != 0) out->trace_state = pinned_handle(trace_state);
  return true;
}

extern "C" std::uint64_t tailrace_activate(const Context* context) noexcept {
  ThreadBlock* block = enter();
  // Nothing is recorded here, but what came in is passed on.
  if (block == nullptr && g.mode.load(std::memory_order_acquire) == Mode::off) return activate_context(*context);
  if (block == nullptr || block->busy != 0) return 0;
  block->top = without_dead(*block);
  const std::uint32_t depth = depth_of(block->top);
  if (depth >= g.settings.depth_limit) return 0;
  const std::uint32_t pinned = context->valid() ? pin_trace_state(context->trace_state) : 0;
  ContextEntry& entry = block->stack[depth + 1];
  detail::set_busy(block);  // a handler that started a span now would take the same entry
  entry = ContextEntry{};
  if (context->valid()) {
    std::memcpy(entry.trace_id, context->trace_id, 16);
    std::memcpy(&entry.span_id, context->span_id, 8);
    entry.tflags = (context->sampled ? shm::kSampled : 0u) | (context->random ? shm::kRandom : 0u) |
                   (context->remote ? shm::kRemote : 0u) | shm::kRemoteKnown | pinned << kFlagsTraceStateShift;
  }
  const std::uint64_t top = block->top + 1;
  block->top = top;
  detail::clear_busy(block);
  return top;
}

extern "C" void tailrace_deactivate(std::uint64_t top) noexcept {
  if (deactivate_context(top)) return;
  ThreadBlock* block = tailrace_thread;
  if (block->control == nullptr || (block->top ^ top) >> 32 != 0) return;  // another thread, another process
  // Taken out while the entry is still this one's: behind the top, a handler may use it for a span of its own.
  std::uint32_t& tflags = block->stack[depth_of(top)].tflags;
  const std::uint32_t pinned = tflags >> kFlagsTraceStateShift;
  tflags &= (1u << kFlagsTraceStateShift) - 1;
  SpanState s{};
  s.block = block;
  s.top = top;
  leave_stack(s, 0, true);
  unpin_trace_state(pinned);
}
