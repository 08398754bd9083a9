// SPDX-License-Identifier: Apache-2.0
// -DTAILRACE_DISABLED: this program is not linked with the library, so whatever a call left behind would not link.
#include <gtest/gtest.h>
#include <tailrace/tailrace.hpp>

namespace {

using namespace tailrace::literals;

struct Holder {
  tailrace::Counter<int> counter = tailrace::counter<int>("c");
  tailrace::Histogram<double>::Bound bound = tailrace::histogram<double>("h").bind({{"k", "v"}});
};

TEST(Disabled, NothingIsLeftOfAnyCall) {
  EXPECT_EQ(tailrace::init().code, tailrace::Code::disabled);
  const Holder holder;
  holder.counter.add(1);
  holder.counter.add(1, {{"k"_n, 1}});
  holder.bound.record(1.5);
  tailrace::gauge<double>("g").set(1.5);
  tailrace::up_down_counter<int>("u").bind().add(-1);
  const tailrace::Observation o = tailrace::observe_gauge<int>("o", [](const auto& observer) { observer.observe(1); });
  EXPECT_FALSE(o.registered());
  EXPECT_EQ(tailrace::tick(), 0u);
  auto span = tailrace::span("s"_n);
  span.set("k", 1);
  tailrace::info("paid {}", 1);
  EXPECT_EQ(tailrace::stats().series, 0u);
}

}  // namespace
