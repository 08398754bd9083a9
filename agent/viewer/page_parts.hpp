// SPDX-License-Identifier: Apache-2.0
//
// What the viewer's pages have in common: head, foot, times, links, tables of logs. Everything that came
// from outside is escaped here. Pure functions.
#ifndef TAILRACE_AGENT_VIEWER_PAGE_PARTS_HPP_
#define TAILRACE_AGENT_VIEWER_PAGE_PARTS_HPP_

#include <cstdint>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

#include "agent/viewer/record.hpp"

namespace tailrace::agent::viewer {

using Out = std::back_insert_iterator<std::string>;

// Up to and with <main>. Only a page that `refreshes` has a script.
void put_head(Out out, std::string_view title, const std::string& otlp_authority, bool refreshes);
void put_foot(Out out, std::string_view links);

[[nodiscard]] std::string time_element(std::uint64_t unix_ns);
[[nodiscard]] std::string trace_link(const TraceId& id);
void put_log_table(Out out, const std::vector<LogRow>& logs);

}  // namespace tailrace::agent::viewer

#endif  // TAILRACE_AGENT_VIEWER_PAGE_PARTS_HPP_
