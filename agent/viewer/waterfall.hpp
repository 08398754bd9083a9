// SPDX-License-Identifier: Apache-2.0
//
// Waterfall: in what order and how deep the spans of one trace are drawn. Children stand under their parent,
// by start; a span whose parent is not there begins a tree of its own, and so does one of a ring of parents.
//
// Pure function. Failure: none; whatever the ids say, each span comes once.
#ifndef TAILRACE_AGENT_VIEWER_WATERFALL_HPP_
#define TAILRACE_AGENT_VIEWER_WATERFALL_HPP_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "agent/viewer/record.hpp"

namespace tailrace::agent::viewer {

struct WaterfallRow {
  std::size_t span = 0;  // index into what was given
  unsigned depth = 0;
  bool parent_missing = false;
};

struct Waterfall {
  std::vector<WaterfallRow> rows;
  std::uint64_t start_ns = 0;  // of the earliest span
  std::uint64_t range_ns = 1;  // to the latest end; never 0
};

[[nodiscard]] Waterfall make_waterfall(const std::vector<SpanRow>& spans);

}  // namespace tailrace::agent::viewer

#endif  // TAILRACE_AGENT_VIEWER_WATERFALL_HPP_
