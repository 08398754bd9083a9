/* SPDX-License-Identifier: Apache-2.0 */
/* -DTAILRACE_DISABLED in C: the same calls, and nothing of them is left. This file is linked without the library. */
#define TAILRACE_DISABLED
#include <tailrace/tailrace.h>

#include "c_api.h"

int c_disabled(void) {
  tailrace_config_t config;
  if (!tailrace_config_init(&config, sizeof config)) return 1;
  if (tailrace_process_init(&config, NULL) != TAILRACE_IS_DISABLED) return 2;
  tailrace_span_t span;
  if (!tailrace_span_begin(&span, TAILRACE_KEY("n"), NULL) || tailrace_span_recording(&span)) return 3;
  tailrace_span_set_int(&span, TAILRACE_KEY("k"), 1);
  tailrace_context_t context;
  tailrace_span_get_context(&span, &context);
  if (context.trace_id[0] != 0 || !tailrace_span_finish(&span)) return 4;
  tailrace_span_record(TAILRACE_KEY("n"), tailrace_cpu_time(), NULL, 0, NULL);
  tailrace_log_text(TAILRACE_INFO, TAILRACE_KEY("body"), NULL, 0);
  const tailrace_instrument_options_t options = {.size = sizeof options, .kind = TAILRACE_COUNTER};
  tailrace_instrument_measure_int(tailrace_instrument_get(TAILRACE_TEXT("c"), &options), 1, NULL, 0);
  tailrace_bound_measure_int(tailrace_instrument_bind(NULL, NULL, 0), 1);
  tailrace_stats_t stats = {.size = sizeof stats};
  return tailrace_process_stats(&stats) && stats.written[0] == 0 ? 0 : 5;
}
