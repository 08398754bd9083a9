// SPDX-License-Identifier: Apache-2.0
//
// Views to OTLP bytes, by hand and without Protobuf.
//
// Each function writes one whole field (tag, length, body) in front of what the
// writer holds. Rules that hold for all of them:
// - Canonical: fields in the order of their numbers, shortest varints, nothing
//   written that equals its default. Empty resources and scopes are written
//   (length 0): a batch head has a fixed shape.
// - Ids that are all zero are left out, never written as zeros (otlp-D1).
// - string_value_strindex and key_strindex are never written (otlp-D5).
// - Every `string` field is valid UTF-8 whatever the view held: a byte that
//   belongs to no valid sequence becomes U+FFFD. A strict reader refuses the
//   whole request otherwise, with the records of others in it.
// - A value nested deeper than kNestingLevels messages below an attribute's
//   value is written empty and counted by the writer: readers built on Protobuf
//   follow 100 levels and refuse the whole request beyond. An array takes two
//   levels, a map three.
//
// Threads: pure functions over the views and the writer.
// Failure: false when the buffer is too small; see BackwardWriter.

#pragma once

#include "proto/encode/backward_writer.hpp"
#include "proto/encode/view.hpp"

namespace tailrace::otlp {

// 100 less request, resource, scope, record, event or link, attribute and the
// attribute's value. 46 nested arrays or 31 nested maps.
inline constexpr int kNestingLevels = 94;

// One ScopeSpans.spans field.
[[nodiscard]] bool encode_span(BackwardWriter& writer, const SpanView& span);

// One ScopeLogs.log_records field.
[[nodiscard]] bool encode_log(BackwardWriter& writer, const LogView& log);

// One ResourceSpans.resource field; ResourceLogs and ResourceMetrics are alike.
[[nodiscard]] bool encode_resource(BackwardWriter& writer, const ResourceView& resource);

// One ScopeSpans.scope field; ScopeLogs and ScopeMetrics are alike.
[[nodiscard]] bool encode_scope(BackwardWriter& writer, const ScopeView& scope);

// The schema_url field (3) of a Resource… or Scope… message; nothing if empty.
[[nodiscard]] bool encode_schema_url(BackwardWriter& writer, std::string_view schema_url);

}  // namespace tailrace::otlp
