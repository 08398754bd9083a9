/* SPDX-License-Identifier: Apache-2.0 */
/* A small C program that records: a request as a current span with a child, a log and a counter, then ten spans that
 * are recorded by one call each. It prints what was written. Run an agent, or not: it does not notice. */
#include <inttypes.h>
#include <stdio.h>

#include <tailrace/tailrace.h>

/* Names of hot code: interned once. */
static tailrace_name_t kParse, kBytes, kCached;
static tailrace_bound_t requests;

static void make_names(void) {
  kParse = tailrace_name_intern("parse", 5);
  kBytes = tailrace_name_intern("bytes", 5);
  kCached = tailrace_name_intern("cached", 6);
  const tailrace_instrument_options_t options = {
      .size = sizeof options, .kind = TAILRACE_COUNTER, .unit = TAILRACE_TEXT("{request}")};
  const tailrace_attribute_t get[] = {
      tailrace_attribute_of(TAILRACE_KEY("http.request.method"), tailrace_value_string("GET", 3))};
  requests = tailrace_instrument_bind(tailrace_instrument_get(TAILRACE_TEXT("requests"), &options), get, 1);
}

/* The cheapest span: read the clock, work, record. */
static void parse(int bytes) {
  const tailrace_time_t start = tailrace_cpu_time();
  const tailrace_attribute_t attributes[] = {
      tailrace_attribute_of(kBytes, tailrace_value_int(bytes)),
      tailrace_attribute_of(kCached, tailrace_value_bool(bytes % 2 == 0)),
  };
  tailrace_span_record(kParse, start, attributes, 2, NULL);
}

static void handle_request(const char* traceparent, size_t length) {
  tailrace_context_t caller;
  tailrace_context_from_traceparent(traceparent, length, &caller); /* all zero if it is none: a new trace */
  const tailrace_span_options_t options = {
      .size = sizeof options, .kind = TAILRACE_KIND_SERVER, .parent_mode = TAILRACE_PARENT_GIVEN, .parent = &caller};
  tailrace_span_t span, query;
  tailrace_span_begin(&span, TAILRACE_KEY("GET /orders"), &options);
  tailrace_span_begin(&query, TAILRACE_KEY("SELECT orders"), NULL); /* its child */
  tailrace_span_set_int(&query, TAILRACE_KEY("db.response.returned_rows"), 3);
  tailrace_span_finish(&query);
  for (int bytes = 1; bytes <= 10; ++bytes) parse(bytes);
  const tailrace_value_t arguments[] = {tailrace_value_string("/orders", 7), tailrace_value_int(200)};
  tailrace_log_template(TAILRACE_INFO, TAILRACE_KEY("{} answered with {}"), arguments, 2);
  tailrace_bound_measure_int(requests, 1);
  tailrace_span_set_int(&span, TAILRACE_KEY("http.response.status_code"), 200);
  tailrace_span_finish(&span);
}

int main(void) {
  tailrace_config_t config;
  tailrace_config_init(&config, sizeof config);
  config.service = TAILRACE_TEXT("orders-c");
  tailrace_outcome_t outcome;
  if (tailrace_process_init(&config, &outcome) != TAILRACE_OK) fprintf(stderr, "%s\n", outcome.sentence);
  make_names();
  static const char kHeader[] = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
  handle_request(kHeader, sizeof kHeader - 1);
  tailrace_stats_t stats = {.size = sizeof stats};
  tailrace_process_stats(&stats);
  printf("%" PRIu64 " spans, %" PRIu64 " logs, %" PRIu64 " series written, %" PRIu64 " calls were wrong\n",
         stats.written[0], stats.written[1], stats.series, stats.bad_input);
  return stats.bad_input == 0 ? 0 : 1;
}
