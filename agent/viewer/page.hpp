// SPDX-License-Identifier: Apache-2.0
//
// The viewer's one page, and the style and script it loads from the same place. The server writes
// the whole page; the script only fetches it again and exchanges <main>, so that the page works
// without it as well. Everything that came from outside is escaped. Pure functions.
#ifndef TAILRACE_AGENT_VIEWER_PAGE_HPP_
#define TAILRACE_AGENT_VIEWER_PAGE_HPP_

#include <string>
#include <string_view>
#include <vector>

#include "agent/viewer/api.hpp"
#include "agent/viewer/record.hpp"

namespace tailrace::agent::viewer {

inline constexpr std::size_t kPageTraces = 25;
inline constexpr std::size_t kPageLogs = 50;
// What is read of the logs' texts for one page.
inline constexpr std::size_t kPageLogBytes = std::size_t{1} << 20;

[[nodiscard]] std::string page_html(const ViewerState& state, const std::vector<TraceRow>& traces,
                                    const std::vector<LogRow>& logs);

extern const std::string_view kPageStyle;   // text/css
extern const std::string_view kPageScript;  // text/javascript

}  // namespace tailrace::agent::viewer

#endif  // TAILRACE_AGENT_VIEWER_PAGE_HPP_
