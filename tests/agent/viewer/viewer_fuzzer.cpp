// SPDX-License-Identifier: Apache-2.0
//
// Any bytes as Export requests of the three signals, into a small store, and out again through the pages and
// the JSON. What is refused left nothing behind, the bound holds, and nothing foreign becomes markup.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>

#include "agent/viewer/api.hpp"
#include "agent/viewer/otlp_reader.hpp"
#include "agent/viewer/page.hpp"
#include "agent/viewer/store.hpp"

namespace {

using namespace tailrace::agent;
using namespace tailrace::agent::viewer;

void require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "viewer_fuzzer: %s\n", what);
  std::abort();
}

// Elements that no page of ours has (its script has a source).
void check_page(const std::string& page) {
  for (const char* never : {"<script>", "<img", "<iframe", "<object", "<style"}) {
    require(page.find(never) == std::string::npos, "markup that is not ours");
  }
  require(page.size() < std::size_t{16} << 20, "a page without bound");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  // A block of its own: AddressSanitizer guards its end.
  const std::unique_ptr<char[]> bytes(new char[size]);
  for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<char>(data[i]);
  const std::string_view request(bytes.get(), size);
  Store store(kMinBudgetBytes);
  const bool traces = read_traces(request, store).ok();
  const bool logs = read_logs(request, store).ok();
  const bool metrics = read_metrics(request, store).ok();
  const StoreCounters counters = store.counters();
  require(traces || counters.spans.received == 0, "a refused request left spans behind");
  require(logs || counters.logs.received == 0, "a refused request left logs behind");
  require(metrics || counters.metric_points == 0, "a refused request left metrics behind");
  require(counters.used_bytes <= counters.budget_bytes, "more than the budget");
  require(counters.spans.received == counters.spans.rejected + counters.spans.kept + counters.spans.dropped,
          "spans that are not accounted for");

  const ViewerState state;
  const std::vector<TraceRow> rows = store.recent_traces(10);
  const std::vector<LogRow> latest = store.latest_logs(10, kMaxAnswerBytes);
  check_page(page_html(state, rows, store.latest_metrics(100, kMaxAnswerBytes), latest));
  static_cast<void>(metrics_json(store, 100));
  static_cast<void>(logs_json(store, 100, nullptr));
  for (const TraceRow& row : rows) {
    check_page(trace_html("", row.trace_id, store.spans_of(row.trace_id, 100, kMaxAnswerBytes), latest));
    static_cast<void>(trace_json(store, row.trace_id));
  }
  return 0;
}
