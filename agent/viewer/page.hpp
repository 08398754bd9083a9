// SPDX-License-Identifier: Apache-2.0
//
// The viewer's pages, and the style and script they load from the same place. The server writes
// whole pages; the script only fetches it again and exchanges <main>, so that the page works
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

inline constexpr std::size_t kPageMetrics = 100;
inline constexpr std::size_t kPageMetricBytes = std::size_t{256} << 10;
// One trace: spans drawn, and what is read of all its texts. Beyond kTraceDetailBytes of attributes spans are
// drawn without theirs.
inline constexpr std::size_t kTraceSpans = 2000;
inline constexpr std::size_t kTraceDetailBytes = std::size_t{1} << 20;

[[nodiscard]] std::string page_html(const ViewerState& state, const std::vector<TraceRow>& traces,
                                    const std::vector<MetricRow>& metrics, const std::vector<LogRow>& logs);

// The waterfall of one trace: a bar for each span, children under their parent. No script.
[[nodiscard]] std::string trace_html(const std::string& otlp_authority, const TraceId& id, const TraceSpans& trace,
                                     const std::vector<LogRow>& logs);

extern const std::string_view kPageStyle;   // text/css
extern const std::string_view kPageScript;  // text/javascript

}  // namespace tailrace::agent::viewer

#endif  // TAILRACE_AGENT_VIEWER_PAGE_HPP_
