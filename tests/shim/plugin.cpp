// SPDX-License-Identifier: Apache-2.0
// A plug-in that uses the library on its own account, with the shared copy.
#include <string>

#include <tailrace/tailrace.h>
#include <tailrace/tailrace.hpp>

using namespace tailrace::literals;

extern "C" __attribute__((visibility("default"))) void plugin_work() {
  auto span = tailrace::span("plugin"_n);
  span.set("k"_n, 1);
  span.set("long", std::string(40, 'x'));
  span.set(TAILRACE_NAME("macro"), 2);
  tailrace::info("from the plugin {}"_n, 1);
  // By the C API, which the executable does not use: the same copy must serve it.
  const tailrace_name_t name = tailrace_name_intern("plugin in C", 11);
  tailrace_span_t inner;
  tailrace_span_begin(&inner, name, nullptr);
  tailrace_span_set_int(&inner, tailrace_name_intern("plugin.key", 10), 3);
  tailrace_span_finish(&inner);
}
