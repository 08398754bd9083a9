// SPDX-License-Identifier: Apache-2.0
// A plug-in that uses the library on its own account, with the shared copy.
#include <string>

#include <tailrace/tailrace.hpp>

using namespace tailrace::literals;

extern "C" __attribute__((visibility("default"))) void plugin_work() {
  auto span = tailrace::span("plugin"_n);
  span.set("k"_n, 1);
  span.set("long", std::string(40, 'x'));
  span.set(TAILRACE_NAME("macro"), 2);
  tailrace::info("from the plugin {}"_n, 1);
}
