// SPDX-License-Identifier: Apache-2.0
//
// A program of somebody who has nothing but the installed package: one span, one log, a request from elsewhere.
// Whether they were delivered is for the ledger to say.
#include <tailrace/tailrace.hpp>

int main() {
  tailrace::Config config;
  config.service = "stranger";
  tailrace::init(config);
  struct Header {
    std::string_view name, value;
  };
  const Header request[] = {{"Traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"},
                            {"baggage", "shop=7"}};
  tailrace::Baggage baggage;
  tailrace::SpanOptions options;
  const tailrace::Context caller = tailrace::extract(request, &baggage);
  options.parent = caller;
  {
    auto span = tailrace::span("pay", options);
    baggage.record(span, {"shop"});
    const auto get = [](std::string_view) { return std::string_view(); };
    const auto set = [](std::string_view, std::string_view) {};
    tailrace::inject(tailrace::carrier(get, set), span.context(), baggage);
    span.set("amount", 42);
    tailrace::info("paid {}", 42);
  }
  return 0;
}
