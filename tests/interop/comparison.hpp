// SPDX-License-Identifier: Apache-2.0
//
// What arrived against what was expected, every field, byte for byte.
//
// An expectation is a Span or LogRecord in Protobuf's text format. In it
//   an id "@name" is the one that the recorder told under this name;
//   a time left out is any within the run (an event's: within its span), and never 0;
// everything else must be equal as serialized bytes, so that -0.0 is not 0.0, NaN equals NaN, and the order of
// attributes counts.
//
// Threads: one. Failure: test failures that show both sides as text.
#pragma once

#include <string>
#include <vector>

#include "tests/interop/delivery.hpp"

namespace tailrace::interop {

struct Expected {
  std::string scope;  // InstrumentationScope as text
  std::string schema_url;
  std::vector<std::string> records;  // Span or LogRecord as text
};

// Each expected record arrived, in its scope, once; and nothing else did.
void expect_spans(const Delivery& delivery, const std::vector<Expected>& expected);
void expect_logs(const Delivery& delivery, const std::vector<Expected>& expected);

// The span of this name; fails the test, and answers an empty one, when there is not exactly one.
pb::trace::v1::Span find_span(const Delivery& delivery, const std::string& name);
std::vector<pb::trace::v1::Span> all_spans(const Delivery& delivery);
std::vector<pb::logs::v1::LogRecord> all_logs(const Delivery& delivery);

}  // namespace tailrace::interop
