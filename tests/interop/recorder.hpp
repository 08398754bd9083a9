// SPDX-License-Identifier: Apache-2.0
//
// The parts of the recorder. Threads: the main thread calls them one after the other.
#pragma once

#include <tailrace/tailrace.hpp>

#include <cstdint>
#include <cstdio>
#include <string>

#if defined(TAILRACE_INTEROP_THROUGH_C)
#include "tests/interop/through_c.hpp"
#endif

namespace tailrace::interop {

using namespace tailrace::literals;

#if defined(TAILRACE_INTEROP_THROUGH_C)
namespace api = through_c;
using through_c::Activate;
using through_c::counter;
using through_c::DetachedSpan;
using through_c::flush;
using through_c::gauge;
using through_c::histogram;
using through_c::Observation;
using through_c::observe_counter;
using through_c::observe_gauge;
using through_c::observe_up_down_counter;
using through_c::Span;
using through_c::tick;
using through_c::up_down_counter;
#else
namespace api = ::tailrace;
#endif

void tell(const char* name, const Context& context);
void tell_time(const char* name, std::uint64_t ns);

// Of another process, sampled, its trace id not known to be random.
inline Context remote_context() {
  return Context::from_traceparent("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
}

void record_attributes();  // recorder_spans.cpp
void record_parents();
void record_items();
void record_wide();
void record_logs();     // recorder_logs.cpp
bool record_metrics();  // recorder_metrics.cpp

}  // namespace tailrace::interop
