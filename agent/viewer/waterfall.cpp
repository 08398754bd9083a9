// SPDX-License-Identifier: Apache-2.0
#include "agent/viewer/waterfall.hpp"

#include <algorithm>
#include <limits>
#include <map>
#include <utility>

namespace tailrace::agent::viewer {

Waterfall make_waterfall(const std::vector<SpanRow>& spans) {
  Waterfall made;
  if (spans.empty()) return made;
  std::uint64_t end_ns = 0;
  made.start_ns = std::numeric_limits<std::uint64_t>::max();
  std::map<SpanId, std::size_t> by_id;
  for (std::size_t i = 0; i < spans.size(); ++i) {
    by_id.emplace(spans[i].span_id, i);
    made.start_ns = std::min(made.start_ns, spans[i].start_ns);
    end_ns = std::max({end_ns, spans[i].start_ns, spans[i].end_ns});
  }
  made.range_ns = std::max<std::uint64_t>(end_ns - made.start_ns, 1);

  std::vector<std::vector<std::size_t>> children(spans.size());
  std::vector<std::size_t> roots;
  for (std::size_t i = 0; i < spans.size(); ++i) {
    const auto parent = by_id.find(spans[i].parent_id);
    if (is_none(spans[i].parent_id) || parent == by_id.end() || parent->second == i) {
      roots.push_back(i);
    } else {
      children[parent->second].push_back(i);
    }
  }
  const auto earlier = [&spans](std::size_t a, std::size_t b) {
    return std::pair(spans[a].start_ns, spans[a].span_id) < std::pair(spans[b].start_ns, spans[b].span_id);
  };
  for (std::vector<std::size_t>& of_one : children) std::sort(of_one.begin(), of_one.end(), earlier);
  std::sort(roots.begin(), roots.end(), earlier);

  std::vector<bool> drawn(spans.size(), false);
  std::vector<std::pair<std::size_t, unsigned>> open;  // a stack: chains of parents may be thousands long
  const auto draw_tree = [&](std::size_t root) {
    open.emplace_back(root, 0);
    while (!open.empty()) {
      const auto [span, depth] = open.back();
      open.pop_back();
      if (drawn[span]) continue;
      drawn[span] = true;
      made.rows.push_back({span, depth, span == root && !is_none(spans[span].parent_id)});
      for (auto child = children[span].rbegin(); child != children[span].rend(); ++child) {
        open.emplace_back(*child, depth + 1);
      }
    }
  };
  for (const std::size_t root : roots) draw_tree(root);
  for (std::size_t i = 0; i < spans.size(); ++i) {
    if (!drawn[i]) draw_tree(i);  // parents in a ring
  }
  return made;
}

}  // namespace tailrace::agent::viewer
