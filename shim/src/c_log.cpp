// SPDX-License-Identifier: Apache-2.0
// The C interface: logs.
#include "c_input.hpp"

using namespace tailrace;
using namespace tailrace::shim;

static constexpr std::uint32_t kSeverityMax = 24;
static constexpr std::uint8_t kBySeverity = 255;

extern "C" bool tailrace_log_text(std::uint32_t severity, tailrace_name_t body, const tailrace_attribute_t* attributes,
                                  size_t count) {
  if (severity > kSeverityMax || !good_name(body) || !good_attributes(attributes, count)) return refuse();
  detail::LogData data{};
  data.name = name_of(body);
  data.attributes = attributes_of(attributes);
  data.attributes_size = count;
  data.severity = static_cast<std::uint8_t>(severity);
  data.priority = kBySeverity;
  tailrace_log(&data);
  return true;
}

extern "C" bool tailrace_log_template(std::uint32_t severity, tailrace_name_t text, const tailrace_value_t* arguments,
                                      size_t count) {
  if (severity > kSeverityMax || !good_name(text) || !good_values(arguments, count)) return refuse();
  detail::LogData data{};
  data.name = name_of(text);
  data.arguments = values_of(arguments);
  data.arguments_size = count;
  data.severity = static_cast<std::uint8_t>(severity);
  data.priority = kBySeverity;
  data.is_template = 1;
  tailrace_log(&data);
  return true;
}

extern "C" bool tailrace_log_emit(const tailrace_log_record_t* record) {
  tailrace_log_record_t given;
  Time time;
  Time observed;
  std::uint16_t scope = 0;
  std::uint8_t priority = 0;
  if (!take(record, sizeof given, given) || given.severity > kSeverityMax || given.reserved_end != 0 ||
      !good_value(given.body) || !good_attributes(given.attributes, given.attribute_count) ||
      !good_text(given.event_name) || !good_text(given.severity_text) || !time_of(given.time, time) ||
      !time_of(given.observed, observed) || !scope_of(given.scope, scope) ||
      !priority_of(given.priority, kBySeverity, priority)) {
    return refuse();
  }
  detail::LogData data{};
  data.body = values_of(&given.body);
  data.attributes = attributes_of(given.attributes);
  data.attributes_size = given.attribute_count;
  data.event_name = view_of(given.event_name);
  data.severity_text = view_of(given.severity_text);
  data.time = &time;
  data.observed = &observed;
  Context context;
  if (given.context != nullptr) {
    context = context_of(*given.context);
    data.context = &context;
  }
  data.scope = scope;
  data.severity = given.severity;
  data.priority = priority;
  tailrace_log(&data);
  return true;
}
