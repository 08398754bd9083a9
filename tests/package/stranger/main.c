/* SPDX-License-Identifier: Apache-2.0 */
/* The same in C: one span, one log, from the installed package. */
#include <tailrace/tailrace.h>

int main(void) {
  tailrace_config_t config;
  tailrace_config_init(&config, sizeof config);
  config.service = TAILRACE_TEXT("stranger");
  tailrace_process_init(&config, NULL);
  tailrace_span_t span;
  tailrace_span_begin(&span, TAILRACE_KEY("pay"), NULL);
  tailrace_span_set_int(&span, TAILRACE_KEY("amount"), 42);
  tailrace_log_text(TAILRACE_INFO, TAILRACE_KEY("paid"), NULL, 0);
  tailrace_span_finish(&span);
  return 0;
}
