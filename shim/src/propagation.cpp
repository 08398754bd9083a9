// SPDX-License-Identifier: Apache-2.0
#include "propagation.hpp"

#include <cstring>

#include <tailrace/detail/propagation.hpp>

#include "runtime.hpp"
#include "trace_state.hpp"

namespace tailrace::shim {
namespace {

constexpr std::string_view kTraceparent = "traceparent";
constexpr std::string_view kTracestate = "tracestate";
constexpr std::string_view kBaggage = "baggage";

bool active(Propagator propagator) noexcept {
  return (g.propagators_off.load(std::memory_order_relaxed) & propagator) == 0;
}

struct Incoming {
  unsigned count = 0;
  Context context;
};
// More than one says nothing that could be trusted.
void visit_parent(void* to, const char* value, std::size_t length) noexcept {
  auto& parent = *static_cast<Incoming*>(to);
  std::string_view text(value, length);
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  if (++parent.count == 1) parent.context = Context::from_traceparent(text);
}
void visit_state(void* to, const char* value, std::size_t length) noexcept {
  static_cast<TraceStateParser*>(to)->add({value, length});
}

struct BaggageSink {
  Baggage* out;
  bool first;
};
// What is there stays until something valid came.
void visit_baggage(void* to, const char* value, std::size_t length) noexcept {
  auto& sink = *static_cast<BaggageSink*>(to);
  if (sink.first) {
    if (!has_baggage({value, length})) return;
    sink.out->clear();
    sink.first = false;
  }
  if (!sink.out->add({value, length})) count_cut(tailrace_thread);
}

std::uint32_t keep(const TraceStateParser& parser) noexcept {
  if (!parser.good() || parser.shortened()) count_cut(tailrace_thread);
  TraceStateText text;
  parser.finish(text);
  return keep_trace_state(text.view());
}

}  // namespace
}  // namespace tailrace::shim

using namespace tailrace;
using namespace tailrace::shim;

extern "C" bool tailrace_extract_context(const void* carrier, tailrace_get get, Context* context) noexcept {
  if (!active(kPropagateTraceContext)) return false;
  Incoming parent;
  get(carrier, kTraceparent.data(), kTraceparent.size(), visit_parent, &parent);
  if (parent.count != 1 || !parent.context.valid()) return false;
  TraceStateParser parser;
  get(carrier, kTracestate.data(), kTracestate.size(), visit_state, &parser);
  parent.context.trace_state = keep(parser);
  *context = parent.context;
  return true;
}

extern "C" bool tailrace_extract_baggage(const void* carrier, tailrace_get get, Baggage* baggage) noexcept {
  if (!active(kPropagateBaggage)) return false;
  BaggageSink sink{baggage, true};
  get(carrier, kBaggage.data(), kBaggage.size(), visit_baggage, &sink);
  return !sink.first;
}

extern "C" void tailrace_inject(void* carrier, tailrace_set set, const Context* context,
                                const Baggage* baggage) noexcept {
  Context own;
  if (context == nullptr) {
    tailrace_current(&own);
    context = &own;
  }
  if (active(kPropagateTraceContext) && context->valid()) {
    char text[56];
    context->traceparent(text);
    set(carrier, kTraceparent.data(), kTraceparent.size(), text, 55);
    TraceStateText state;
    if (context->trace_state != 0) {
      if (read_trace_state(context->trace_state, state)) {
        set(carrier, kTracestate.data(), kTracestate.size(), state.bytes, state.size);
      } else {
        count_cut(tailrace_thread);
      }
    }
  }
  if (baggage == nullptr) baggage = active_baggage();
  if (active(kPropagateBaggage) && baggage != nullptr && !baggage->empty()) {
    const std::string_view header = baggage->header();
    set(carrier, kBaggage.data(), kBaggage.size(), header.data(), header.size());
  }
}

extern "C" std::size_t tailrace_trace_state(const Context* context, char* out, std::size_t room) noexcept {
  TraceStateText state;
  if (!read_trace_state(context->trace_state, state) || state.size > room) return 0;
  std::memcpy(out, state.bytes, state.size);
  return state.size;
}

extern "C" bool tailrace_set_trace_state(Context* context, const char* text, std::size_t length) noexcept {
  TraceStateParser parser;
  parser.add({text, length});
  context->trace_state = keep(parser);
  return context->trace_state != 0;
}
