/* SPDX-License-Identifier: Apache-2.0 */
/* The calls of the C API, made by a C11 program: every function of <tailrace/tailrace.h>. */
#include <math.h>
#include <pthread.h> /* ThreadSanitizer does not know <threads.h> */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tailrace/tailrace.h>

#include "c_api.h"

#define CHECK(condition)                                                                                               \
  do {                                                                                                                 \
    if (!(condition)) return __LINE__;                                                                                 \
  } while (0)

static int start(void) {
  tailrace_config_t config;
  CHECK(tailrace_config_init(&config, sizeof config));
  config.service = TAILRACE_TEXT("c");
  config.quiet = 1;
  tailrace_outcome_t outcome;
  CHECK(tailrace_process_init(&config, &outcome) == TAILRACE_OK);
  CHECK(outcome.code == TAILRACE_OK && outcome.sentence[0] != 0);
  return 0;
}

static tailrace_stats_t stats(void) {
  tailrace_stats_t s = {.size = sizeof s};
  if (!tailrace_process_stats(&s)) abort();
  return s;
}

static const tailrace_time_t now; /* zero: the moment of the call */

int c_records_spans(void) {
  CHECK(start() == 0);
  CHECK(tailrace_thread_attach("main of c", 9));
  const tailrace_name_t hot = tailrace_name_intern("hot name", 8);
  const tailrace_name_t key = tailrace_name_intern("hot.key", 7);
  CHECK(hot.id != 0 && key.id != 0 && hot.length == 8 && memcmp(hot.text, "hot name", 8) == 0);
  CHECK(tailrace_name_intern("hot name", 8).id == hot.id);

  tailrace_span_t outer, inner;
  CHECK(tailrace_span_begin(&outer, hot, NULL));
  CHECK(tailrace_span_recording(&outer));
  CHECK(tailrace_span_set_int(&outer, key, 42));
  CHECK(tailrace_span_set_bool(&outer, TAILRACE_KEY("plain.bool"), true));
  CHECK(tailrace_span_set_double(&outer, TAILRACE_KEY("plain.double"), 2.5));
  CHECK(tailrace_span_set_string(&outer, TAILRACE_KEY("plain.string"), "text", 4));
  CHECK(tailrace_span_set_string(&outer, key, "a string of the same key", 24));

  const tailrace_span_options_t options = {
      .size = sizeof options,
      .kind = TAILRACE_KIND_CLIENT,
      .start = tailrace_time_unix_ns(1700000000000000001),
      .scope = tailrace_scope_get(TAILRACE_TEXT("library"), TAILRACE_TEXT("1.2"), TAILRACE_TEXT(""), NULL, 0),
  };
  CHECK(options.scope != 0);
  CHECK(tailrace_span_begin(&inner, TAILRACE_KEY("inner"), &options));
  const tailrace_attribute_t attributes[] = {
      tailrace_attribute_of(TAILRACE_KEY("n"), tailrace_value_int(1)),
      tailrace_attribute_of(key, tailrace_value_name(hot)),
  };
  CHECK(tailrace_span_set_attributes(&inner, attributes, 2));
  CHECK(tailrace_span_add_event(&inner, TAILRACE_KEY("event"), attributes, 2,
                                tailrace_time_unix_ns(1700000000000000002)));
  CHECK(tailrace_span_add_event(&inner, hot, NULL, 0, now));
  tailrace_context_t context;
  CHECK(tailrace_span_get_context(&outer, &context));
  CHECK(tailrace_span_add_link(&inner, &context, attributes, 1));
  CHECK(tailrace_span_add_exception(&inner, TAILRACE_TEXT("IOError"), TAILRACE_TEXT("it broke"),
                                    TAILRACE_TEXT("at line 1"), attributes, 1));
  CHECK(tailrace_span_set_status(&inner, TAILRACE_STATUS_ERROR, "it broke", 8));
  CHECK(tailrace_span_update_name(&inner, TAILRACE_KEY("renamed")));
  CHECK(tailrace_span_finish_at(&inner, tailrace_time_unix_ns(1700000000000000009)));
  CHECK(tailrace_span_finish(&outer));
  CHECK(!tailrace_span_recording(&outer));
  CHECK(tailrace_span_finish(&outer) && tailrace_span_set_int(&outer, key, 1)); /* nothing happens */

  tailrace_span_t nothing;
  memset(&nothing, 0, sizeof nothing);
  CHECK(tailrace_span_set_int(&nothing, key, 1) && tailrace_span_finish(&nothing));
  CHECK(!tailrace_span_recording(&nothing));

  /* More than a draft holds, by the same calls. */
  tailrace_span_t wide;
  CHECK(tailrace_span_begin(&wide, TAILRACE_KEY("wide"), NULL));
  for (int i = 0; i < 100; ++i) {
    char text[16];
    const int length = snprintf(text, sizeof text, "wide.%d", i);
    CHECK(tailrace_span_set_int(&wide, tailrace_name_of(text, (size_t)length), i));
  }
  CHECK(tailrace_span_finish(&wide));
  CHECK(stats().bad_input == 0);
  return 0;
}

int c_records_all_types(void) {
  CHECK(start() == 0);
  const tailrace_value_t inner[] = {tailrace_value_int(1), tailrace_value_string("two", 3), tailrace_value_bool(false)};
  const tailrace_attribute_t members[] = {
      tailrace_attribute_of(TAILRACE_KEY("a"), tailrace_value_array(inner, 3)),
      tailrace_attribute_of(TAILRACE_KEY("b"), tailrace_value_empty()),
  };
  const tailrace_value_t values[] = {
      tailrace_value_empty(),
      tailrace_value_bool(true),
      tailrace_value_int(INT64_MIN),
      tailrace_value_uint(42),
      tailrace_value_uint(UINT64_MAX),
      tailrace_value_double(-0.5),
      tailrace_value_string("gr\xc3\xbc\xc3\x9f", 6),
      tailrace_value_string(NULL, 0),
      tailrace_value_bytes("\x00\xff\x01", 3),
      tailrace_value_array(inner, 3),
      tailrace_value_map(members, 2),
      tailrace_value_name(tailrace_name_intern("interned", 8)),
      tailrace_value_array(NULL, 0),
  };
  tailrace_span_t span;
  CHECK(tailrace_span_begin(&span, TAILRACE_KEY("types"), NULL));
  for (size_t i = 0; i < sizeof values / sizeof *values; ++i) {
    char key[8];
    const int length = snprintf(key, sizeof key, "v%zu", i);
    CHECK(tailrace_span_set_value(&span, tailrace_name_of(key, (size_t)length), &values[i]));
  }
  /* What is nested deeper than a record may is an empty value. */
  tailrace_value_t levels[20];
  levels[0] = tailrace_value_array(inner, 1);
  for (int i = 1; i < 20; ++i) levels[i] = tailrace_value_array(&levels[i - 1], 1);
  CHECK(tailrace_span_set_value(&span, TAILRACE_KEY("deep"), &levels[19]));
  CHECK(tailrace_span_finish(&span));
  CHECK(stats().bad_input == 0);
  return 0;
}

static void* finish_elsewhere(void* span) {
  tailrace_span_t* moved = span;
  return tailrace_span_set_bool(moved, TAILRACE_KEY("elsewhere"), true) && tailrace_span_finish(moved) ? span : NULL;
}

int c_records_contexts(void) {
  CHECK(start() == 0);
  tailrace_context_t context, current;
  CHECK(!tailrace_context_current(&current));
  CHECK(tailrace_context_from_traceparent("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", 55, &context));
  CHECK(context.remote == 1 && context.sampled == 1 && context.trace_id[0] == 0x4b);
  char text[56];
  CHECK(tailrace_context_to_traceparent(&context, text));
  CHECK(strcmp(text, "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01") == 0);

  tailrace_span_options_t options = {.size = sizeof options};
  options.parent_mode = TAILRACE_PARENT_GIVEN;
  options.parent = &context;
  options.kind = TAILRACE_KIND_SERVER;
  options.trace_state = TAILRACE_TEXT("vendor=opaque");
  const tailrace_link_t link = {.context = context};
  options.links = &link;
  options.link_count = 1;
  tailrace_span_t server, detached, child, root;
  CHECK(tailrace_span_begin(&server, TAILRACE_KEY("server"), &options));
  CHECK(tailrace_context_current(&current));
  tailrace_context_t own;
  CHECK(tailrace_span_get_context(&server, &own));
  CHECK(memcmp(&own.trace_id, &context.trace_id, 16) == 0 && memcmp(own.span_id, current.span_id, 8) == 0);
  char state[512];
  CHECK(tailrace_context_get_trace_state(&own, state, sizeof state) == 13 && memcmp(state, "vendor=opaque", 13) == 0);

  const tailrace_span_options_t none = {.size = sizeof none, .parent_mode = TAILRACE_PARENT_NONE};
  CHECK(tailrace_span_begin(&root, TAILRACE_KEY("root"), &none));
  CHECK(tailrace_span_finish(&root));

  CHECK(tailrace_span_begin_detached(&detached, TAILRACE_KEY("detached"), NULL));
  CHECK(tailrace_context_current(&current) && memcmp(own.span_id, current.span_id, 8) == 0);
  tailrace_context_t of_detached;
  CHECK(tailrace_span_get_context(&detached, &of_detached));
  const uint64_t activation = tailrace_context_activate(&of_detached);
  CHECK(activation != 0);
  CHECK(tailrace_span_begin(&child, TAILRACE_KEY("child of detached"), NULL));
  CHECK(tailrace_span_finish(&child));
  tailrace_context_deactivate(activation);
  CHECK(tailrace_context_current(&current) && memcmp(own.span_id, current.span_id, 8) == 0);
  tailrace_span_t moved = detached; /* a handle may move */
  pthread_t other;
  void* result = NULL;
  CHECK(pthread_create(&other, NULL, finish_elsewhere, &moved) == 0);
  CHECK(pthread_join(other, &result) == 0 && result == &moved);
  CHECK(tailrace_span_finish(&server));
  CHECK(!tailrace_context_current(&current));
  CHECK(stats().bad_input == 0);
  return 0;
}

int c_records_finished_spans(void) {
  CHECK(start() == 0);
  CHECK(tailrace_thread_attach(NULL, 0));
  const tailrace_name_t name = tailrace_name_intern("finished", 8);
  const tailrace_name_t key = tailrace_name_intern("k", 1);
  tailrace_span_t parent;
  CHECK(tailrace_span_begin(&parent, TAILRACE_KEY("parent"), NULL));
  for (int i = 0; i < 10; ++i) { /* the first brings the lane's THREAD record */
    const tailrace_time_t begun = i % 2 == 0 ? tailrace_cpu_time() : tailrace_time_now();
    const tailrace_attribute_t attributes[] = {
        tailrace_attribute_of(key, tailrace_value_int(i)),
        tailrace_attribute_of(tailrace_name_intern("real", 4), tailrace_value_double(0.5)),
        tailrace_attribute_of(tailrace_name_intern("yes", 3), tailrace_value_bool(true)),
        tailrace_attribute_of(tailrace_name_intern("text", 4), tailrace_value_string("a text of eighteen", 18)),
        tailrace_attribute_of(tailrace_name_intern("name", 4), tailrace_value_name(name)),
    };
    CHECK(tailrace_span_record(name, begun, attributes, 5, NULL));
  }
  CHECK(tailrace_span_record(name, tailrace_cpu_time(), NULL, 0, NULL));

  /* Own times, kind, status and scope: still the direct way. */
  tailrace_context_t ids;
  tailrace_finished_options_t options = {.size = sizeof options,
                                         .kind = TAILRACE_KIND_SERVER,
                                         .priority = TAILRACE_PRIORITY_LOW,
                                         .status = TAILRACE_STATUS_ERROR,
                                         .end = tailrace_time_unix_ns(1700000000000000009),
                                         .context = &ids};
  options.scope = tailrace_scope_get(TAILRACE_TEXT("scope"), TAILRACE_TEXT(""), TAILRACE_TEXT(""), NULL, 0);
  const tailrace_attribute_t plain[] = {tailrace_attribute_of(key, tailrace_value_int(7))};
  CHECK(tailrace_span_record(tailrace_name_intern("optioned", 8), tailrace_time_unix_ns(1700000000000000001), plain, 1,
                             &options));
  CHECK(ids.sampled == 1 && ids.span_id[0] + ids.span_id[1] + ids.span_id[2] + ids.span_id[3] != 0);

  /* Everything there is: by way of a detached span. */
  const tailrace_context_t first = ids;
  const tailrace_event_t events[] = {{TAILRACE_KEY("event"), tailrace_time_unix_ns(1700000000000000005), plain, 1}};
  const tailrace_link_t links[] = {{first, plain, 1}};
  options.parent_mode = TAILRACE_PARENT_GIVEN;
  options.parent = &first;
  options.events = events;
  options.event_count = 1;
  options.links = links;
  options.link_count = 1;
  options.status_message = TAILRACE_TEXT("message");
  options.trace_state = TAILRACE_TEXT("a=b");
  CHECK(tailrace_span_record(TAILRACE_KEY("whole"), tailrace_time_unix_ns(1700000000000000001), plain, 1, &options));
  CHECK(memcmp(ids.trace_id, first.trace_id, 16) == 0 && memcmp(ids.span_id, first.span_id, 8) != 0);

  /* More than goes the direct way. */
  tailrace_attribute_t many[70];
  char keys[70][8];
  for (int i = 0; i < 70; ++i) {
    const int length = snprintf(keys[i], sizeof keys[i], "m%d", i);
    many[i] = tailrace_attribute_of(tailrace_name_of(keys[i], (size_t)length), tailrace_value_int(i));
  }
  CHECK(tailrace_span_record(TAILRACE_KEY("many"), now, many, 70, NULL));
  char large[3000];
  memset(large, 'l', sizeof large);
  const tailrace_attribute_t one[] = {tailrace_attribute_of(key, tailrace_value_string(large, sizeof large))};
  CHECK(tailrace_span_record(tailrace_name_intern("large", 5), tailrace_cpu_time(), one, 1, NULL));
  CHECK(tailrace_span_finish(&parent));
  CHECK(stats().bad_input == 0);
  return 0;
}

int c_records_logs(void) {
  CHECK(start() == 0);
  tailrace_span_t span;
  CHECK(tailrace_span_begin(&span, TAILRACE_KEY("logs"), NULL));
  const tailrace_attribute_t attributes[] = {tailrace_attribute_of(TAILRACE_KEY("k"), tailrace_value_int(1))};
  CHECK(tailrace_log_text(TAILRACE_INFO, TAILRACE_KEY("a body with {} in it"), NULL, 0));
  CHECK(tailrace_log_text(TAILRACE_WARN, tailrace_name_intern("with attributes", 15), attributes, 1));
  const tailrace_value_t arguments[] = {tailrace_value_int(42), tailrace_value_string("Ada", 3)};
  CHECK(tailrace_log_template(TAILRACE_ERROR, TAILRACE_KEY("paid {} for {}"), arguments, 2));
  tailrace_context_t other = {.trace_id = {1}, .span_id = {2}};
  const tailrace_log_record_t record = {
      .size = sizeof record,
      .severity = 10,
      .priority = TAILRACE_PRIORITY_CRITICAL,
      .body = tailrace_value_string("everything", 10),
      .attributes = attributes,
      .attribute_count = 1,
      .event_name = TAILRACE_TEXT("shop.paid"),
      .severity_text = TAILRACE_TEXT("NOTICE"),
      .time = tailrace_time_unix_ns(1700000000000000001),
      .observed = tailrace_time_unix_ns(1700000000000000002),
      .context = &other,
      .scope = tailrace_scope_get(TAILRACE_TEXT("scope"), TAILRACE_TEXT(""), TAILRACE_TEXT(""), attributes, 1),
  };
  CHECK(tailrace_log_emit(&record));
  CHECK(tailrace_span_finish(&span));
  CHECK(stats().written[1] == 4 && stats().bad_input == 0);
  return 0;
}

static int dropped;
static void drop(void* user) { dropped += *(int*)user; }
static bool observe(void* user, const tailrace_observer_t* observer) {
  const tailrace_attribute_t of[] = {tailrace_attribute_of(TAILRACE_KEY("pool"), tailrace_value_string("a", 1))};
  return tailrace_observer_observe_int(observer, *(int*)user, NULL, 0) &&
         tailrace_observer_observe_double(observer, 0.5, of, 1);
}
static bool fails(void* user, const tailrace_observer_t* observer) {
  (void)user;
  (void)observer;
  return false;
}

int c_records_metrics(void) {
  CHECK(start() == 0);
  tailrace_instrument_options_t options = {.size = sizeof options, .kind = TAILRACE_COUNTER};
  options.unit = TAILRACE_TEXT("{payment}");
  options.description = TAILRACE_TEXT("payments taken");
  const tailrace_instrument_t* payments = tailrace_instrument_get(TAILRACE_TEXT("payments"), &options);
  CHECK(payments != NULL && payments == tailrace_instrument_get(TAILRACE_TEXT("payments"), &options));
  const tailrace_attribute_t card[] = {tailrace_attribute_of(TAILRACE_KEY("method"), tailrace_value_string("card", 4))};
  CHECK(tailrace_instrument_measure_int(payments, 1, NULL, 0));
  CHECK(tailrace_instrument_measure_int(payments, 2, card, 1));
  const tailrace_bound_t bound = tailrace_instrument_bind(payments, card, 1);
  for (int i = 0; i < 10; ++i) CHECK(tailrace_bound_measure_int(bound, 4));
  CHECK(tailrace_instrument_measure_int(payments, -1, NULL, 0)); /* not recorded */

  options = (tailrace_instrument_options_t){
      .size = sizeof options, .kind = TAILRACE_UP_DOWN_COUNTER, .number = TAILRACE_DOUBLES};
  const tailrace_instrument_t* level = tailrace_instrument_get(TAILRACE_TEXT("level"), &options);
  CHECK(tailrace_instrument_measure_double(level, 2.5, NULL, 0) && tailrace_instrument_measure_int(level, -1, NULL, 0));

  options = (tailrace_instrument_options_t){.size = sizeof options, .kind = TAILRACE_GAUGE};
  const tailrace_instrument_t* depth = tailrace_instrument_get(TAILRACE_TEXT("depth"), &options);
  CHECK(tailrace_instrument_measure_int(depth, 3, NULL, 0) && tailrace_instrument_measure_int(depth, -7, NULL, 0));

  static const double bounds[] = {1, 10};
  options = (tailrace_instrument_options_t){.size = sizeof options,
                                            .kind = TAILRACE_HISTOGRAM,
                                            .number = TAILRACE_DOUBLES,
                                            .bounds = bounds,
                                            .bound_count = 2};
  const tailrace_instrument_t* latency = tailrace_instrument_get(TAILRACE_TEXT("latency"), &options);
  const tailrace_bound_t of_latency = tailrace_instrument_bind(latency, NULL, 0);
  CHECK(tailrace_instrument_measure_double(latency, 0.5, NULL, 0));
  CHECK(tailrace_bound_measure_double(of_latency, 5) && tailrace_bound_measure_double(of_latency, 50));
  CHECK(tailrace_bound_measure_double(of_latency, 50) && tailrace_bound_measure_double(of_latency, NAN));

  options = (tailrace_instrument_options_t){.size = sizeof options,
                                            .kind = TAILRACE_HISTOGRAM,
                                            .histogram = TAILRACE_HISTOGRAM_EXPONENTIAL,
                                            .scale = 0,
                                            .scale_given = 1};
  const tailrace_instrument_t* sizes = tailrace_instrument_get(TAILRACE_TEXT("sizes"), &options);
  CHECK(tailrace_instrument_measure_int(sizes, 3, NULL, 0) && tailrace_instrument_measure_int(sizes, 100, NULL, 0));

  static int connections = 12;
  options = (tailrace_instrument_options_t){.size = sizeof options, .kind = TAILRACE_GAUGE, .number = TAILRACE_DOUBLES};
  const uint64_t observable =
      tailrace_observable_begin(TAILRACE_TEXT("connections"), &options, observe, drop, &connections);
  const uint64_t failing = tailrace_observable_begin(TAILRACE_TEXT("failing"), &options, fails, NULL, NULL);
  CHECK(observable != 0 && failing != 0);
  CHECK(tailrace_process_tick() == 2);
  tailrace_observable_end(observable);
  CHECK(dropped == 12);
  tailrace_observable_end(failing);

  const tailrace_stats_t s = stats();
  CHECK(s.metrics_invalid == 2 && s.callbacks_failed == 1 && s.metrics_unrecorded == 0 && s.bad_input == 0);
  return 0;
}

struct headers {
  char name[4][32];
  char value[4][128];
  int count;
};
static void set_header(void* carrier, const char* name, size_t name_length, const char* value, size_t length) {
  struct headers* h = carrier;
  if (h->count == 4 || name_length > 31 || length > 127) return;
  memcpy(h->name[h->count], name, name_length);
  memcpy(h->value[h->count], value, length);
  ++h->count;
}
static void get_header(const void* carrier, const char* name, size_t name_length, tailrace_carrier_visit_t visit,
                       void* to) {
  const struct headers* h = carrier;
  for (int i = 0; i < h->count; ++i) {
    if (strlen(h->name[i]) == name_length && memcmp(h->name[i], name, name_length) == 0)
      visit(to, h->value[i], strlen(h->value[i]));
  }
}

int c_propagates(void) {
  CHECK(start() == 0);
  struct headers in = {{"traceparent", "tracestate", "baggage"},
                       {"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "a=1", "user=ada,flag=on"},
                       3};
  tailrace_context_t context;
  tailrace_baggage_t baggage = {0};
  CHECK(tailrace_context_extract(&in, get_header, &context, &baggage));
  CHECK(context.remote == 1 && baggage.members == 2);
  const uint64_t carried = tailrace_baggage_enter(&baggage);
  CHECK(carried != 0);
  const tailrace_span_options_t options = {
      .size = sizeof options, .parent_mode = TAILRACE_PARENT_GIVEN, .parent = &context};
  tailrace_span_t span;
  CHECK(tailrace_span_begin(&span, TAILRACE_KEY("serve"), &options));
  struct headers out = {0};
  CHECK(tailrace_context_inject(&out, set_header, NULL, NULL));
  CHECK(out.count == 3);
  CHECK(strncmp(out.value[0], "00-4bf92f3577b34da6a3ce929d0e0e4736-", 36) == 0 &&
        strstr(out.value[0], "00f067aa0ba902b7") == NULL);
  CHECK(strcmp(out.name[1], "tracestate") == 0 && strcmp(out.value[1], "a=1") == 0);
  CHECK(strcmp(out.name[2], "baggage") == 0 && strcmp(out.value[2], "user=ada,flag=on") == 0);
  CHECK(tailrace_span_finish(&span));
  tailrace_baggage_leave(carried);

  CHECK(tailrace_context_set_trace_state(&context, "b=2", 3));
  struct headers given = {0};
  tailrace_baggage_t none = {0};
  CHECK(tailrace_context_inject(&given, set_header, &context, &none));
  CHECK(given.count == 2 && strcmp(given.value[0], in.value[0]) == 0 && strcmp(given.value[1], "b=2") == 0);
  CHECK(!tailrace_context_set_trace_state(&context, "no tracestate", 13));
  struct headers empty = {0};
  CHECK(!tailrace_context_extract(&empty, get_header, &context, NULL));
  CHECK(context.trace_id[0] == 0);
  CHECK(!tailrace_context_from_traceparent("nonsense", 8, &context));
  CHECK(stats().bad_input == 0);
  return 0;
}

int c_carries_baggage(void) {
  CHECK(start() == 0);
  tailrace_baggage_t baggage = {0}, current;
  CHECK(tailrace_baggage_put(&baggage, TAILRACE_TEXT("user"), TAILRACE_TEXT("Ada L"), TAILRACE_TEXT("p=1")));
  CHECK(tailrace_baggage_parse(&baggage, "flag=on", 7));
  CHECK(baggage.members == 2);
  char room[64];
  size_t length = 99;
  CHECK(tailrace_baggage_get(&baggage, TAILRACE_TEXT("user"), room, sizeof room, &length));
  CHECK(length == 5 && memcmp(room, "Ada L", 5) == 0);
  CHECK(!tailrace_baggage_get(&baggage, TAILRACE_TEXT("nobody"), room, sizeof room, &length) && length == 0);
  CHECK(!tailrace_baggage_put(&baggage, TAILRACE_TEXT("not a token"), TAILRACE_TEXT(""), TAILRACE_TEXT("")));
  CHECK(!tailrace_baggage_get_current(&current) && current.members == 0);
  const uint64_t entered = tailrace_baggage_enter(&baggage);
  CHECK(entered != 0 && tailrace_baggage_get_current(&current) && current.members == 2);
  tailrace_baggage_leave(entered);
  CHECK(!tailrace_baggage_get_current(&current));
  CHECK(tailrace_baggage_erase(&baggage, TAILRACE_TEXT("user")) && baggage.members == 1);
  CHECK(!tailrace_baggage_erase(&baggage, TAILRACE_TEXT("user")));
  CHECK(stats().bad_input == 0);
  return 0;
}

/* Each of these is refused, counted, and does nothing. */
static uint64_t refusals;
#define REFUSED(call)                                                                                                  \
  do {                                                                                                                 \
    if (call) return __LINE__;                                                                                         \
    if (stats().bad_input != ++refusals) return __LINE__;                                                              \
  } while (0)

int c_passes_wrong_arguments(void) {
  CHECK(start() == 0);
  tailrace_span_t span;
  const tailrace_name_t key = TAILRACE_KEY("key");
  const tailrace_name_t null_key = {NULL, 0, 0};
  const tailrace_name_t null_text = {NULL, 4, 0};
  const tailrace_name_t forged = {"key", 3, 0x7ffffff};
  const tailrace_name_t reserved = {"key", 3, 9};
  tailrace_context_t context;

  REFUSED(tailrace_config_init(NULL, sizeof(tailrace_config_t)));
  tailrace_config_t config;
  REFUSED(tailrace_config_init(&config, 8));
  tailrace_stats_t short_stats = {.size = 16};
  REFUSED(tailrace_process_stats(&short_stats));
  REFUSED(tailrace_process_stats(NULL));
  REFUSED(tailrace_thread_attach(NULL, 5));
  REFUSED(tailrace_name_intern(NULL, 5).id != 0);
  REFUSED(tailrace_name_intern("x", SIZE_MAX).id != 0);
  REFUSED(tailrace_scope_get((tailrace_text_t){NULL, 3}, TAILRACE_TEXT(""), TAILRACE_TEXT(""), NULL, 0) != 0);
  REFUSED(tailrace_scope_get(TAILRACE_TEXT("s"), TAILRACE_TEXT(""), TAILRACE_TEXT(""), NULL, 2) != 0);

  REFUSED(tailrace_span_begin(NULL, key, NULL));
  REFUSED(tailrace_span_begin_detached(NULL, key, NULL));
  REFUSED(tailrace_span_begin(&span, null_text, NULL));
  CHECK(tailrace_span_finish(&span)); /* one that does nothing */
  REFUSED(tailrace_span_begin(&span, forged, NULL));
  REFUSED(tailrace_span_begin(&span, reserved, NULL));
  tailrace_span_options_t options = {.size = 8};
  REFUSED(tailrace_span_begin(&span, key, &options));
  options.size = 100000;
  REFUSED(tailrace_span_begin(&span, key, &options));
  options.size = sizeof options;
  options.kind = 77;
  REFUSED(tailrace_span_begin(&span, key, &options));
  options.kind = 0;
  options.priority = 9;
  REFUSED(tailrace_span_begin(&span, key, &options));
  options.priority = 0;
  options.parent_mode = TAILRACE_PARENT_GIVEN;
  REFUSED(tailrace_span_begin(&span, key, &options)); /* and no parent */
  options.parent_mode = 5;
  REFUSED(tailrace_span_begin(&span, key, &options));
  options.parent_mode = 0;
  options.start.clock = 9;
  REFUSED(tailrace_span_begin(&span, key, &options));
  options.start.clock = 0;
  options.scope = 60000;
  REFUSED(tailrace_span_begin(&span, key, &options));
  options.scope = 0;
  options.link_count = 1;
  REFUSED(tailrace_span_begin(&span, key, &options));
  options.link_count = 0;
  options.trace_state.size = 3;
  REFUSED(tailrace_span_begin(&span, key, &options));
  /* From a newer caller: more than is known here has to be zero. */
  struct {
    tailrace_span_options_t options;
    uint64_t more;
  } newer = {.options = {.size = sizeof newer}};
  CHECK(tailrace_span_begin(&span, key, &newer.options) && tailrace_span_recording(&span));
  CHECK(tailrace_span_finish(&span));
  newer.more = 1;
  REFUSED(tailrace_span_begin(&span, key, &newer.options));

  memset(&span, 0xa5, sizeof span); /* memory that no begin filled */
  REFUSED(tailrace_span_set_int(&span, key, 1));
  REFUSED(tailrace_span_set_bool(&span, key, true));
  REFUSED(tailrace_span_set_double(&span, key, 1));
  REFUSED(tailrace_span_set_string(&span, key, "", 0));
  REFUSED(tailrace_span_set_attributes(&span, NULL, 0));
  REFUSED(tailrace_span_add_event(&span, key, NULL, 0, now));
  REFUSED(tailrace_span_add_exception(&span, TAILRACE_TEXT(""), TAILRACE_TEXT(""), TAILRACE_TEXT(""), NULL, 0));
  REFUSED(tailrace_span_set_status(&span, TAILRACE_STATUS_OK, NULL, 0));
  REFUSED(tailrace_span_update_name(&span, key));
  REFUSED(tailrace_span_recording(&span));
  REFUSED(tailrace_span_get_context(&span, &context));
  REFUSED(tailrace_span_finish(&span));
  REFUSED(tailrace_span_finish_at(&span, now));
  REFUSED(tailrace_span_finish(NULL));

  CHECK(tailrace_span_begin(&span, TAILRACE_KEY("the span"), NULL));
  REFUSED(tailrace_span_set_int(&span, null_key, 1));
  REFUSED(tailrace_span_set_int(&span, null_text, 1));
  REFUSED(tailrace_span_set_int(&span, forged, 1));
  REFUSED(tailrace_span_set_bool(&span, reserved, true));
  REFUSED(tailrace_span_set_double(&span, reserved, 1));
  REFUSED(tailrace_span_set_string(&span, reserved, "x", 1));
  REFUSED(tailrace_span_set_string(&span, key, NULL, 1));
  REFUSED(tailrace_span_set_string(&span, key, "x", SIZE_MAX));
  tailrace_value_t value = tailrace_value_int(1);
  REFUSED(tailrace_span_set_value(&span, key, NULL));
  value.type = 55;
  REFUSED(tailrace_span_set_value(&span, key, &value));
  value.type = TAILRACE_INT;
  value.reserved = 1; /* would be called, were it believed */
  REFUSED(tailrace_span_set_value(&span, key, &value));
  value.reserved = 0;
  value.id = 3;
  REFUSED(tailrace_span_set_value(&span, key, &value));
  value = tailrace_value_bool(true);
  value.as.boolean = 2;
  REFUSED(tailrace_span_set_value(&span, key, &value));
  value = tailrace_value_string(NULL, 3);
  REFUSED(tailrace_span_set_value(&span, key, &value));
  value = tailrace_value_array(NULL, 3);
  REFUSED(tailrace_span_set_value(&span, key, &value));
  value = tailrace_value_array(&value, SIZE_MAX);
  REFUSED(tailrace_span_set_value(&span, key, &value));
  const tailrace_attribute_t bad_key[] = {tailrace_attribute_of(null_key, tailrace_value_int(1))};
  value = tailrace_value_map(bad_key, 1);
  REFUSED(tailrace_span_set_value(&span, key, &value));
  const tailrace_value_t in_array[] = {tailrace_value_int(1), {.type = 12}};
  value = tailrace_value_array(in_array, 2);
  REFUSED(tailrace_span_set_value(&span, key, &value));
  value = tailrace_value_name(forged);
  REFUSED(tailrace_span_set_value(&span, key, &value));
  REFUSED(tailrace_span_set_attributes(&span, NULL, 1));
  REFUSED(tailrace_span_set_attributes(&span, bad_key, 1));
  REFUSED(tailrace_span_add_event(&span, forged, NULL, 0, now));
  REFUSED(tailrace_span_add_event(&span, key, bad_key, 1, now));
  REFUSED(tailrace_span_add_event(&span, key, NULL, 0, (tailrace_time_t){.clock = 4}));
  REFUSED(tailrace_span_add_link(&span, NULL, NULL, 0));
  REFUSED(tailrace_span_add_link(&span, &context, bad_key, 1));
  REFUSED(
      tailrace_span_add_exception(&span, (tailrace_text_t){NULL, 1}, TAILRACE_TEXT(""), TAILRACE_TEXT(""), NULL, 0));
  REFUSED(tailrace_span_set_status(&span, 3, NULL, 0));
  REFUSED(tailrace_span_set_status(&span, TAILRACE_STATUS_ERROR, NULL, 7));
  REFUSED(tailrace_span_update_name(&span, forged));
  REFUSED(tailrace_span_get_context(&span, NULL));
  REFUSED(tailrace_span_finish_at(&span, (tailrace_time_t){.clock = 9}));
  CHECK(tailrace_span_recording(&span));
  CHECK(tailrace_span_finish(&span));

  REFUSED(tailrace_span_record(forged, now, NULL, 0, NULL));
  REFUSED(tailrace_span_record(key, (tailrace_time_t){.clock = 4}, NULL, 0, NULL));
  REFUSED(tailrace_span_record(key, now, NULL, 3, NULL));
  REFUSED(tailrace_span_record(key, now, bad_key, 1, NULL));
  const tailrace_attribute_t bad_type[] = {tailrace_attribute_of(tailrace_name_intern("k", 1), in_array[1])};
  REFUSED(tailrace_span_record(tailrace_name_intern("n", 1), tailrace_cpu_time(), bad_type, 1, NULL));
  tailrace_finished_options_t finished = {.size = 4};
  REFUSED(tailrace_span_record(key, now, NULL, 0, &finished));
  finished.size = sizeof finished;
  finished.status = 3;
  REFUSED(tailrace_span_record(key, now, NULL, 0, &finished));
  finished.status = 0;
  finished.event_count = 1;
  REFUSED(tailrace_span_record(key, now, NULL, 0, &finished));

  REFUSED(tailrace_log_text(25, key, NULL, 0));
  REFUSED(tailrace_log_text(9, null_text, NULL, 0));
  REFUSED(tailrace_log_text(9, key, bad_key, 1));
  REFUSED(tailrace_log_template(9, key, NULL, 1));
  REFUSED(tailrace_log_template(9, key, in_array, 2));
  REFUSED(tailrace_log_emit(NULL));
  tailrace_log_record_t record = {.size = 12};
  REFUSED(tailrace_log_emit(&record));
  record.size = sizeof record;
  record.body.type = 99;
  REFUSED(tailrace_log_emit(&record));

  REFUSED(tailrace_context_current(NULL));
  REFUSED(tailrace_context_activate(NULL) != 0);
  REFUSED(tailrace_context_to_traceparent(NULL, NULL));
  REFUSED(tailrace_context_from_traceparent(NULL, 55, &context));
  REFUSED(tailrace_context_extract(NULL, NULL, &context, NULL));
  REFUSED(tailrace_context_inject(NULL, NULL, NULL, NULL));
  REFUSED(tailrace_context_get_trace_state(NULL, NULL, 0) != 0);
  REFUSED(tailrace_context_set_trace_state(NULL, NULL, 0));
  tailrace_baggage_t baggage = {.used = 10000};
  REFUSED(tailrace_baggage_parse(&baggage, "a=b", 3));
  REFUSED(tailrace_baggage_put(NULL, TAILRACE_TEXT("a"), TAILRACE_TEXT("b"), TAILRACE_TEXT("")));
  REFUSED(tailrace_baggage_erase(&baggage, TAILRACE_TEXT("a")));
  size_t length;
  REFUSED(tailrace_baggage_get(&baggage, TAILRACE_TEXT("a"), NULL, 0, &length));
  REFUSED(tailrace_baggage_enter(&baggage) != 0);
  REFUSED(tailrace_baggage_get_current(NULL));

  tailrace_instrument_options_t instrument = {.size = sizeof instrument};
  REFUSED(tailrace_instrument_get(TAILRACE_TEXT("kindless"), &instrument) != NULL);
  REFUSED(tailrace_instrument_get(TAILRACE_TEXT("optionless"), NULL) != NULL);
  instrument.kind = TAILRACE_COUNTER;
  const tailrace_instrument_t* counter = tailrace_instrument_get(TAILRACE_TEXT("counter"), &instrument);
  REFUSED(tailrace_instrument_measure_int(NULL, 1, NULL, 0));
  REFUSED(tailrace_instrument_measure_int(counter, 1, bad_key, 1));
  REFUSED(tailrace_instrument_measure_double(counter, 1.5, NULL, 0)); /* of integers */
  REFUSED(tailrace_instrument_bind(counter, bad_key, 1).instrument != NULL);
  REFUSED(tailrace_bound_measure_int((tailrace_bound_t){NULL, 0}, 1));
  REFUSED(tailrace_bound_measure_double((tailrace_bound_t){counter, 0}, 1));
  REFUSED(tailrace_observable_begin(TAILRACE_TEXT("o"), &instrument, NULL, NULL, NULL) != 0);
  REFUSED(tailrace_observer_observe_int(NULL, 1, NULL, 0));
  REFUSED(tailrace_observer_observe_double(NULL, 1, NULL, 0));
  tailrace_observable_end(123456789);
  tailrace_context_deactivate(123456789);
  tailrace_baggage_leave(123456789);
  return 0;
}

int c_flushes(void) {
  tailrace_flush_result_t result = {.size = sizeof result};
  CHECK(tailrace_process_flush(0, TAILRACE_PRIORITY_DEFAULT, &result) == TAILRACE_FLUSH_NOT_RECORDING);
  CHECK(start() == 0);
  CHECK(tailrace_log_text(TAILRACE_INFO, TAILRACE_KEY("nobody reads this"), NULL, 0));
  CHECK(tailrace_process_flush(0, TAILRACE_PRIORITY_DEFAULT, &result) == TAILRACE_FLUSH_NO_AGENT);
  CHECK(result.code == TAILRACE_FLUSH_NO_AGENT && result.sentence[0] != 0 && result.total.pending == 1);
  CHECK(result.signals[1].pending == 1 && result.signals[0].pending == 0);
  CHECK(tailrace_process_flush(0, TAILRACE_PRIORITY_CRITICAL, NULL) == TAILRACE_FLUSH_NO_AGENT);
  REFUSED(tailrace_process_flush(0, 9, NULL) != TAILRACE_FLUSH_NOT_RECORDING);
  result.size = 8;
  REFUSED(tailrace_process_flush(0, 0, &result) != TAILRACE_FLUSH_NOT_RECORDING);
  return 0;
}

int c_runs_before_init(void) {
  const tailrace_name_t early = tailrace_name_intern("early", 5);
  CHECK(early.id != 0);
  CHECK(tailrace_time_now().clock == TAILRACE_CLOCK_MONOTONIC);
  tailrace_span_t span;
  CHECK(tailrace_span_begin(&span, early, NULL) && !tailrace_span_recording(&span));
  CHECK(tailrace_span_set_int(&span, early, 1) && tailrace_span_finish(&span));
  CHECK(tailrace_span_record(early, tailrace_cpu_time(), NULL, 0, NULL));
  CHECK(tailrace_log_text(TAILRACE_INFO, early, NULL, 0));
  CHECK(stats().initialised == 0 && stats().before_init >= 3 && stats().bad_input == 0);
  CHECK(start() == 0);
  CHECK(tailrace_process_init(NULL, NULL) == TAILRACE_ALREADY_INITIALISED);
  CHECK(tailrace_span_begin(&span, early, NULL) && tailrace_span_recording(&span) && tailrace_span_finish(&span));
  CHECK(stats().initialised == 1 && stats().segment[0] != 0);
  return 0;
}

int c_configures(void) {
  tailrace_config_t config;
  CHECK(tailrace_config_init(&config, sizeof config));
  CHECK(config.sampler_ratio == 1.0 && config.attribute_count_limit == 128 && config.traces == 1 && config.lanes != 0);
  config.quiet = 1;
  config.service = TAILRACE_TEXT("configured");
  config.service_version = TAILRACE_TEXT("1.2.3");
  config.service_namespace = TAILRACE_TEXT("tests");
  const tailrace_attribute_t resource[] = {tailrace_attribute_of(TAILRACE_KEY("r"), tailrace_value_int(5))};
  config.resource = resource;
  config.resource_count = 1;
  config.span_attribute_count_limit = 1;
  config.min_severity = TAILRACE_WARN;
  CHECK(tailrace_process_init(&config, NULL) == TAILRACE_OK);
  tailrace_span_t span;
  CHECK(tailrace_span_begin(&span, TAILRACE_KEY("limited"), NULL));
  CHECK(tailrace_span_set_int(&span, TAILRACE_KEY("a"), 1) && tailrace_span_set_int(&span, TAILRACE_KEY("b"), 2));
  CHECK(tailrace_span_finish(&span));
  const tailrace_attribute_t two[] = {tailrace_attribute_of(tailrace_name_intern("a", 1), tailrace_value_int(1)),
                                      tailrace_attribute_of(tailrace_name_intern("b", 1), tailrace_value_int(2))};
  CHECK(tailrace_span_record(tailrace_name_intern("limited too", 11), tailrace_cpu_time(), two, 2, NULL));
  CHECK(tailrace_log_text(TAILRACE_INFO, TAILRACE_KEY("below"), NULL, 0));
  CHECK(tailrace_log_text(TAILRACE_WARN, TAILRACE_KEY("above"), NULL, 0));
  return 0;
}
