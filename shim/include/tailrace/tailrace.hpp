// SPDX-License-Identifier: Apache-2.0
//
// Tailrace: spans, logs and metrics out of the hot path. This header is the whole public API.
//
//   #include <tailrace/tailrace.hpp>
//   using namespace tailrace::literals;
//
//   int main() {
//     tailrace::init({.service = "checkout"});      // C++17: tailrace::Config c; c.service = …
//     auto span = tailrace::span("pay"_n);          // parent: the current span of this thread
//     span.set("amount"_n, 42);
//     tailrace::info("paid {}", 42);                // carries the span's ids
//     tailrace::counter<int>("payments").add(1);
//   }                                               // the span ends here
//
// Every call but flush() returns without waiting, and every one without allocating or throwing, whether or not an agent
// is there, before init(), after main(), in destructors of threads, in a forked child. What cannot be recorded is
// counted; stats() tells. -DTAILRACE_DISABLED compiles every call to nothing.
//
// "…"_n is a name whose text is a literal by construction: the fastest form. A plain string is found by
// its content and never by its address, so any buffer will do.
#pragma once

#if defined(__GNUC__) && !defined(TAILRACE_NO_SYSTEM_HEADER)
#pragma GCC system_header  // C++17 knows literal operator templates only as an extension
#endif

#include <tailrace/detail/config.hpp>
#include <tailrace/detail/flush.hpp>
#include <tailrace/detail/log.hpp>
#include <tailrace/detail/metrics.hpp>
#include <tailrace/detail/propagation.hpp>
#include <tailrace/detail/span.hpp>
