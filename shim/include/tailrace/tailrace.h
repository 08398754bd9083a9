/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tailrace for C11 and for every language that can call C: spans and logs out of the hot path.
 *
 *   #include <tailrace/tailrace.h>
 *
 *   int main(void) {
 *     tailrace_config_t config;
 *     tailrace_config_init(&config, sizeof config);
 *     config.service = TAILRACE_TEXT("checkout");
 *     tailrace_process_init(&config, NULL);
 *     tailrace_span_t span;
 *     tailrace_span_begin(&span, TAILRACE_KEY("pay"), NULL);      // parent: the current span of this thread
 *     tailrace_span_set_int(&span, TAILRACE_KEY("amount"), 42);
 *     tailrace_log_text(TAILRACE_INFO, TAILRACE_KEY("paid"), NULL, 0);   // carries the span's ids
 *     tailrace_span_finish(&span);
 *   }
 *
 * Rules that hold for every call:
 * - It returns without waiting (but tailrace_process_flush()), allocating or throwing, with or without an agent, before
 *   tailrace_process_init(), while the process ends, in a forked child. What cannot be recorded is counted:
 *   tailrace_process_stats().
 * - What a pointer leads to is copied before the call returns; nothing is kept, nothing has to be freed. Texts are
 *   UTF-8, a pointer and a length in bytes; no NUL is needed. A null pointer with length 0 is an empty text.
 * - `bool`: false means that the arguments are wrong (a null pointer, a tag, size or handle that cannot be): nothing
 *   was done, and stats.bad_input counts it. True does not promise that anything was recorded.
 * - Any thread, unless a function says otherwise; from several at once, unless they share a handle. In a signal
 *   handler only tailrace_span_add_event() and the logs, with interned names and scalar values, and
 *   tailrace_bound_measure_int() of a counter of integers.
 * - A struct that may grow begins with `size`: sizeof of that struct as the caller knows it. Everything else in it may
 *   be zero, which always means the default. Reserved members are zero.
 *
 * Functions of this header are the library's public C interface: they stay. Everything else that the library exports
 * under tailrace_ belongs to the inlined half of <tailrace/tailrace.hpp> and is nobody else's business.
 * -DTAILRACE_DISABLED makes every call a function that does nothing.
 */
#ifndef TAILRACE_TAILRACE_H
#define TAILRACE_TAILRACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(TAILRACE_DISABLED)
#define TAILRACE_FUNCTION static inline
#define TAILRACE_OTHERWISE(body)                                                                                       \
  { body }
#if defined(__GNUC__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-parameter"
#pragma GCC diagnostic ignored "-Wunused-function"
#endif
#else
#define TAILRACE_FUNCTION extern __attribute__((visibility("default")))
#define TAILRACE_OTHERWISE(body) ;
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Texts, names, times ------------------------------------------------------------------------------------- */

typedef struct tailrace_text_t {
  const char* data;
  size_t size; /* bytes */
} tailrace_text_t;

/* A name of a span, an event, a template; the key of an attribute. Either a text (id 0), found by its content at each
 * call, or a handle of tailrace_name_intern(), which is faster. By value, in two registers. */
typedef struct tailrace_name_t {
  const char* text;
  uint32_t length;
  uint32_t id; /* 0, or what tailrace_name_intern() gave for this text */
} tailrace_name_t;

/* A moment. Zero is the moment of the call. */
typedef struct tailrace_time_t {
  uint64_t value;
  uint32_t clock; /* tailrace_clock_t */
  uint32_t reserved;
} tailrace_time_t;

typedef enum tailrace_clock_t {
  TAILRACE_CLOCK_NOW = 0,
  TAILRACE_CLOCK_CPU = 1,       /* ticks of tailrace_cpu_time() */
  TAILRACE_CLOCK_MONOTONIC = 2, /* nanoseconds of CLOCK_MONOTONIC */
  TAILRACE_CLOCK_UNIX = 3       /* nanoseconds since 1970 */
} tailrace_clock_t;

typedef uint32_t tailrace_scope_t; /* of tailrace_scope_get(); 0: the service's own, without a name */

/* Ids and flags of a span, of this process or another. A value: copy it, keep it, send it. All zero: none. */
typedef struct tailrace_context_t {
  uint8_t trace_id[16];
  uint8_t span_id[8];
  uint8_t sampled;
  uint8_t random; /* W3C: the low 56 bits of the trace id are random */
  uint8_t remote; /* it came from another process */
  uint8_t reserved;
  uint32_t trace_state; /* a handle of the library; 0: none */
} tailrace_context_t;

/* ---- Values and attributes ----------------------------------------------------------------------------------- */

typedef enum tailrace_type_t {
  TAILRACE_EMPTY = 0,
  TAILRACE_BOOL = 1,
  TAILRACE_INT = 2,
  TAILRACE_DOUBLE = 3,
  TAILRACE_STRING = 4,
  TAILRACE_BYTES = 5,
  TAILRACE_ARRAY = 6, /* of values of any type */
  TAILRACE_MAP = 7,
  TAILRACE_UINT = 8, /* what no int64 can hold is recorded as a decimal string */
  TAILRACE_NAME = 9  /* a string, by its interned name */
} tailrace_type_t;

/* One value of any type of OTLP. tailrace_value_*() make them. */
typedef struct tailrace_value_t {
  uint32_t type; /* tailrace_type_t */
  uint32_t id;   /* NAME: of the interned name; else 0 */
  uint64_t size; /* STRING, BYTES, NAME: bytes; ARRAY, MAP: elements; else unused */
  union {
    uint64_t boolean; /* 0 or 1 */
    int64_t integer;
    uint64_t natural; /* UINT */
    double real;
    const char* string;
    const void* bytes;
    const struct tailrace_value_t* array;
    const struct tailrace_attribute_t* map;
  } as;
  uint64_t reserved; /* 0 */
} tailrace_value_t;

/* An attribute without a key is none. Of two with one key the last one counts. */
typedef struct tailrace_attribute_t {
  tailrace_name_t key;
  tailrace_value_t value;
} tailrace_attribute_t;

/* ---- The process --------------------------------------------------------------------------------------------- */

typedef enum tailrace_code_t {
  TAILRACE_OK = 0,
  TAILRACE_ALREADY_INITIALISED = 1,
  TAILRACE_INVALID = 2,      /* the configuration; nothing is recorded */
  TAILRACE_IS_DISABLED = 3,  /* by OTEL_SDK_DISABLED or `disabled`; nothing is recorded */
  TAILRACE_NO_DIRECTORY = 4, /* none that exists and may be trusted */
  TAILRACE_NO_SEGMENT = 5    /* no space, a limit, a kernel that lacks something */
} tailrace_code_t;

typedef enum tailrace_sampler_t {
  TAILRACE_PARENT_BASED_ALWAYS_ON = 0,
  TAILRACE_PARENT_BASED_ALWAYS_OFF = 1,
  TAILRACE_PARENT_BASED_RATIO = 2,
  TAILRACE_ALWAYS_ON = 3,
  TAILRACE_ALWAYS_OFF = 4,
  TAILRACE_RATIO = 5
} tailrace_sampler_t;

#define TAILRACE_NO_LIMIT UINT32_C(0xffffffff)
#define TAILRACE_AS_GENERAL UINT32_C(0xfffffffe) /* of a limit: as the attribute limit without a signal */

/* Which headers are written by inject and read by extract. */
#define TAILRACE_PROPAGATE_TRACE_CONTEXT 1
#define TAILRACE_PROPAGATE_BAGGAGE 2

/* Filled with the defaults by tailrace_config_init(). OTEL_* and TAILRACE_* variables win over it. */
typedef struct tailrace_config_t {
  uint32_t size;
  uint8_t sampler;      /* tailrace_sampler_t */
  uint8_t min_severity; /* logs below it are not written */
  uint8_t disabled;
  uint8_t traces;
  uint8_t logs;
  uint8_t metrics;
  uint8_t exponential_histograms; /* of histograms that do not say which kind they are */
  uint8_t quiet;                  /* nothing on standard error */
  uint8_t propagators;            /* TAILRACE_PROPAGATE_* bits */
  uint8_t reserved[3];
  double sampler_ratio;
  tailrace_text_t service; /* default: unknown_service:<executable> */
  tailrace_text_t service_version;
  tailrace_text_t service_namespace;
  tailrace_text_t directory;            /* of the segments; default: /run/tailrace, /dev/shm/tailrace, … */
  const tailrace_attribute_t* resource; /* further attributes of the resource */
  size_t resource_count;
  uint32_t attribute_count_limit;
  uint32_t attribute_value_length_limit; /* characters, or bytes of a bytes value */
  uint32_t span_attribute_count_limit;
  uint32_t span_attribute_value_length_limit;
  uint32_t log_attribute_count_limit;
  uint32_t log_attribute_value_length_limit;
  uint32_t span_event_count_limit;
  uint32_t span_link_count_limit;
  uint32_t event_attribute_count_limit;
  uint32_t link_attribute_count_limit;
  uint32_t depth_limit;         /* spans open inside each other on one thread; at most 128 */
  uint32_t lanes;               /* threads with a lane of their own */
  uint32_t ring_bytes;          /* of each lane; a power of two */
  uint32_t observe_interval_ms; /* a thread of its own runs observables so often; 0: call tailrace_process_tick() */
} tailrace_config_t;

typedef struct tailrace_outcome_t {
  uint32_t code; /* tailrace_code_t */
  char sentence[500];
} tailrace_outcome_t;

/* Sets size and every default. `size`: sizeof(tailrace_config_t). */
TAILRACE_FUNCTION bool tailrace_config_init(tailrace_config_t* config, size_t size)
    TAILRACE_OTHERWISE(memset(config, 0, size); return true;)

    /* Once, by whoever comes first. Null config: the defaults and the environment. Null outcome: not wanted; a failure
     * is said once on standard error, too, and the process goes on without telemetry. Returns the outcome's code. */
    TAILRACE_FUNCTION uint32_t tailrace_process_init(const tailrace_config_t* config, tailrace_outcome_t* outcome)
        TAILRACE_OTHERWISE(if (outcome != NULL) {
          memset(outcome, 0, sizeof *outcome);
          outcome->code = TAILRACE_IS_DISABLED;
        } return TAILRACE_IS_DISABLED;)

    /* Indices: 0 spans, 1 logs, 2 other; priorities from critical to background. */
    typedef struct tailrace_stats_t {
  uint32_t size;
  uint32_t mode; /* tailrace_code_t of init */
  uint64_t written[3];
  uint64_t dropped[3][4];
  uint64_t unlaned_dropped[3][4]; /* had no lane; not in `dropped` */
  uint64_t not_sampled;
  uint64_t refused;            /* spans past the depth limit */
  uint64_t cut;                /* values shortened, items left out by a limit */
  uint64_t before_init;        /* calls */
  uint64_t unrecorded;         /* calls in a process that has no segment */
  uint64_t bad_input;          /* calls of this header with wrong arguments */
  uint64_t series;             /* of metrics: attribute sets of all instruments */
  uint64_t metrics_unrecorded; /* calls that found no series: name in use otherwise, no room */
  uint64_t metrics_invalid;    /* NaN, infinite, negative where that cannot be: not recorded */
  uint64_t metrics_clamped;    /* beyond a histogram's range: in its last bucket */
  uint64_t callbacks_failed;   /* of observables: returned false, or threw */
  uint32_t lanes_in_use;
  uint32_t lanes_used;
  uint32_t initialised;
  uint32_t reserved;
  char why[248];
  char segment[32]; /* file name */
} tailrace_stats_t;

/* stats->size is set by the caller. */
TAILRACE_FUNCTION bool tailrace_process_stats(tailrace_stats_t* stats)
    TAILRACE_OTHERWISE(const uint32_t size = stats->size; memset(stats, 0, size); stats->size = size; return true;)

    /* Takes a lane for this thread now rather than at its first record, and names it in telemetry if the name is not
     * empty. False also if there is no lane to be had. */
    TAILRACE_FUNCTION bool tailrace_thread_attach(const char* name, size_t length) TAILRACE_OTHERWISE(return false;)

    /* Interns a text for the life of the process and of its children: once for each name, outside the hot path; before
     * init, too. The handle's text is the library's own copy. Where the table of strings is full the handle is the
     * plain text, id 0, and leads to the caller's bytes. */
    TAILRACE_FUNCTION tailrace_name_t tailrace_name_intern(const char* text, size_t length)
        TAILRACE_OTHERWISE(tailrace_name_t name; name.text = text; name.length = (uint32_t)length; name.id = 0;
                           return name;)

    /* The instrumentation scope of this content: who makes the records. Two with the same content are the same. 0 where
     * the arguments are wrong or the table is full. */
    TAILRACE_FUNCTION tailrace_scope_t
    tailrace_scope_get(tailrace_text_t name, tailrace_text_t version, tailrace_text_t schema_url,
                       const tailrace_attribute_t* attributes, size_t count) TAILRACE_OTHERWISE(return 0;)

    /* Now, by the fastest clock that is right here. */
    TAILRACE_FUNCTION tailrace_time_t tailrace_time_now(void)
        TAILRACE_OTHERWISE(tailrace_time_t time; memset(&time, 0, sizeof time); return time;)

    /* ---- Contexts ------------------------------------------------------------------------------------------------ */

    /* The context of the innermost span that is open on this thread, or activated; else all zero, and false. */
    TAILRACE_FUNCTION bool tailrace_context_current(tailrace_context_t* out)
        TAILRACE_OTHERWISE(memset(out, 0, sizeof *out); return false;)

    /* Makes a context current on this thread until it is deactivated, in the order of a stack. Returns what to pass to
     * tailrace_context_deactivate() on the same thread; 0: past the depth limit, nothing was made current. */
    TAILRACE_FUNCTION uint64_t tailrace_context_activate(const tailrace_context_t* context)
        TAILRACE_OTHERWISE(return 0;) TAILRACE_FUNCTION void tailrace_context_deactivate(uint64_t activation)
            TAILRACE_OTHERWISE((void)0;)

    /* ---- Spans --------------------------------------------------------------------------------------------------- */

    /* A span's handle: the caller's memory, made by a begin. Its content is the library's. It may be moved in memory;
     * one copy of it is used. One thread at a time uses it. It needs no freeing, but a span that is never finished
     * stays open. All zero is a span that does nothing. */
    typedef struct tailrace_span_t {
  uint64_t state[5];
  uint64_t ids[4];
  uint64_t tag;
} tailrace_span_t;
#ifdef __cplusplus
static_assert(sizeof(tailrace_span_t) == 80, "the handle's size is part of the interface");
#else
_Static_assert(sizeof(tailrace_span_t) == 80, "the handle's size is part of the interface");
#endif

typedef enum tailrace_kind_t {
  TAILRACE_KIND_DEFAULT = 0, /* internal */
  TAILRACE_KIND_INTERNAL = 1,
  TAILRACE_KIND_SERVER = 2,
  TAILRACE_KIND_CLIENT = 3,
  TAILRACE_KIND_PRODUCER = 4,
  TAILRACE_KIND_CONSUMER = 5,
  TAILRACE_KIND_UNSPECIFIED = 6
} tailrace_kind_t;

typedef enum tailrace_priority_t {
  TAILRACE_PRIORITY_DEFAULT = 0, /* normal; of a log: by its severity */
  TAILRACE_PRIORITY_CRITICAL = 1,
  TAILRACE_PRIORITY_NORMAL = 2,
  TAILRACE_PRIORITY_LOW = 3,
  TAILRACE_PRIORITY_BACKGROUND = 4
} tailrace_priority_t;

typedef enum tailrace_parent_t {
  TAILRACE_PARENT_CURRENT = 0,
  TAILRACE_PARENT_GIVEN = 1, /* `parent`; one that is all zero starts a new trace */
  TAILRACE_PARENT_NONE = 2
} tailrace_parent_t;

typedef enum tailrace_status_t {
  TAILRACE_STATUS_UNSET = 0,
  TAILRACE_STATUS_OK = 1, /* final */
  TAILRACE_STATUS_ERROR = 2
} tailrace_status_t;

typedef struct tailrace_link_t {
  tailrace_context_t context;
  const tailrace_attribute_t* attributes;
  size_t attribute_count;
} tailrace_link_t;

typedef struct tailrace_event_t {
  tailrace_name_t name;
  tailrace_time_t time;
  const tailrace_attribute_t* attributes;
  size_t attribute_count;
} tailrace_event_t;

typedef struct tailrace_span_options_t {
  uint32_t size;
  uint8_t kind;        /* tailrace_kind_t */
  uint8_t priority;    /* tailrace_priority_t */
  uint8_t parent_mode; /* tailrace_parent_t */
  uint8_t reserved;
  const tailrace_context_t* parent;
  tailrace_time_t start;
  const tailrace_link_t* links;
  size_t link_count;
  tailrace_text_t trace_state; /* W3C; default: the parent's */
  tailrace_scope_t scope;
  uint32_t reserved_end;
} tailrace_span_options_t;

/* Starts a span that is current on this thread until it is finished; finish it on the same thread, inner spans first.
 * Null options: all defaults. Where false is returned the handle is one that does nothing. */
TAILRACE_FUNCTION bool tailrace_span_begin(tailrace_span_t* span, tailrace_name_t name,
                                           const tailrace_span_options_t* options)
    TAILRACE_OTHERWISE(memset(span, 0, sizeof *span); return true;)

    /* Starts a span that is never current and may be used and finished on any thread, one after another. */
    TAILRACE_FUNCTION bool tailrace_span_begin_detached(tailrace_span_t* span, tailrace_name_t name,
                                                        const tailrace_span_options_t* options)
        TAILRACE_OTHERWISE(memset(span, 0, sizeof *span); return true;)

    /* True while what is set will be kept. Compute expensive values only then. */
    TAILRACE_FUNCTION bool tailrace_span_recording(const tailrace_span_t* span) TAILRACE_OTHERWISE(return false;)

    /* All zero for a span that is finished or does nothing; else what a child or a request that it sends needs. */
    TAILRACE_FUNCTION bool tailrace_span_get_context(const tailrace_span_t* span, tailrace_context_t* out)
        TAILRACE_OTHERWISE(memset(out, 0, sizeof *out); return true;)

    /* Attributes. Of a finished span: nothing happens. */
    TAILRACE_FUNCTION bool tailrace_span_set_bool(tailrace_span_t* span, tailrace_name_t key, bool value)
        TAILRACE_OTHERWISE(return true;) TAILRACE_FUNCTION
    bool tailrace_span_set_int(tailrace_span_t* span, tailrace_name_t key, int64_t value)
        TAILRACE_OTHERWISE(return true;) TAILRACE_FUNCTION
    bool tailrace_span_set_double(tailrace_span_t* span, tailrace_name_t key, double value)
        TAILRACE_OTHERWISE(return true;) TAILRACE_FUNCTION
    bool tailrace_span_set_string(tailrace_span_t* span, tailrace_name_t key, const char* text, size_t length)
        TAILRACE_OTHERWISE(return true;) TAILRACE_FUNCTION
    bool tailrace_span_set_value(tailrace_span_t* span, tailrace_name_t key, const tailrace_value_t* value)
        TAILRACE_OTHERWISE(return true;) TAILRACE_FUNCTION
    bool tailrace_span_set_attributes(tailrace_span_t* span, const tailrace_attribute_t* attributes, size_t count)
        TAILRACE_OTHERWISE(return true;)

            TAILRACE_FUNCTION
    bool tailrace_span_add_event(tailrace_span_t* span, tailrace_name_t name, const tailrace_attribute_t* attributes,
                                 size_t count, tailrace_time_t time) TAILRACE_OTHERWISE(return true;) TAILRACE_FUNCTION
    bool tailrace_span_add_link(tailrace_span_t* span, const tailrace_context_t* context,
                                const tailrace_attribute_t* attributes, size_t count) TAILRACE_OTHERWISE(return true;)
    /* The event that the conventions ask for, with further attributes. A text that is empty is left out. The status
     * stays yours to set. */
    TAILRACE_FUNCTION
    bool tailrace_span_add_exception(tailrace_span_t* span, tailrace_text_t type, tailrace_text_t message,
                                     tailrace_text_t stacktrace, const tailrace_attribute_t* attributes, size_t count)
        TAILRACE_OTHERWISE(return true;)
    /* A message belongs to TAILRACE_STATUS_ERROR alone. */
    TAILRACE_FUNCTION
    bool tailrace_span_set_status(tailrace_span_t* span, uint32_t status, const char* message, size_t length)
        TAILRACE_OTHERWISE(return true;) TAILRACE_FUNCTION
    bool tailrace_span_update_name(tailrace_span_t* span, tailrace_name_t name) TAILRACE_OTHERWISE(return true;)

    /* Ends it now, or says when it ended. A second end does nothing. */
    TAILRACE_FUNCTION bool tailrace_span_finish(tailrace_span_t* span)
        TAILRACE_OTHERWISE(return true;) TAILRACE_FUNCTION
    bool tailrace_span_finish_at(tailrace_span_t* span, tailrace_time_t end) TAILRACE_OTHERWISE(return true;)

        typedef struct tailrace_finished_options_t {
  uint32_t size;
  uint8_t kind;        /* tailrace_kind_t */
  uint8_t priority;    /* tailrace_priority_t */
  uint8_t parent_mode; /* tailrace_parent_t */
  uint8_t status;      /* tailrace_status_t */
  tailrace_scope_t scope;
  uint32_t reserved;
  tailrace_time_t end; /* default: now */
  const tailrace_context_t* parent;
  const tailrace_event_t* events;
  size_t event_count;
  const tailrace_link_t* links;
  size_t link_count;
  tailrace_text_t status_message;
  tailrace_text_t trace_state;
  tailrace_context_t* context; /* receives the span's ids, unless null */
} tailrace_finished_options_t;

/* One call for a span that is over, with all that belongs to it: as cheap as a span can be. `start` was read before
 * the work: tailrace_cpu_time(), tailrace_time_now() or a clock of the system. Null options: all defaults; hot code
 * keeps its options in a constant rather than filling them at each call.
 *
 * Its price: it was never current, so nothing could be its child; and a process that dies before this call leaves
 * nothing of it behind, where a span that was begun would be found. The cheap case has names that are interned or
 * known to the thread, scalar and short string attributes, no events, links, message, tracestate or parent of its own;
 * every other one is recorded by way of a detached span. */
TAILRACE_FUNCTION bool tailrace_span_record(tailrace_name_t name, tailrace_time_t start,
                                            const tailrace_attribute_t* attributes, size_t count,
                                            const tailrace_finished_options_t* options)
    TAILRACE_OTHERWISE(if (options != NULL && options->context != NULL) {
      memset(options->context, 0, sizeof *options->context);
    } return true;)

    /* ---- Logs ---------------------------------------------------------------------------------------------------- */

    /* OTLP's severity numbers, 1 to 24; those between are legal too. */
    typedef enum tailrace_severity_t {
      TAILRACE_TRACE = 1,
      TAILRACE_DEBUG = 5,
      TAILRACE_INFO = 9,
      TAILRACE_WARN = 13,
      TAILRACE_ERROR = 17,
      TAILRACE_FATAL = 21
    } tailrace_severity_t;

/* A body as it is, and attributes. Every log carries the ids of the current span. */
TAILRACE_FUNCTION bool tailrace_log_text(uint32_t severity, tailrace_name_t body,
                                         const tailrace_attribute_t* attributes, size_t count)
    TAILRACE_OTHERWISE(return true;)

    /* A template in fmt's syntax ("paid {} for {}") and its arguments: the agent formats them. */
    TAILRACE_FUNCTION
    bool tailrace_log_template(uint32_t severity, tailrace_name_t text, const tailrace_value_t* arguments, size_t count)
        TAILRACE_OTHERWISE(return true;)

            typedef struct tailrace_log_record_t {
  uint32_t size;
  uint8_t severity; /* tailrace_severity_t; 0: not said */
  uint8_t priority; /* tailrace_priority_t */
  uint8_t reserved[2];
  tailrace_value_t body;
  const tailrace_attribute_t* attributes;
  size_t attribute_count;
  tailrace_text_t event_name;
  tailrace_text_t severity_text;
  tailrace_time_t time;
  tailrace_time_t observed;          /* by CLOCK_UNIX alone */
  const tailrace_context_t* context; /* default: the current one */
  tailrace_scope_t scope;
  uint32_t reserved_end;
} tailrace_log_record_t;

TAILRACE_FUNCTION bool tailrace_log_emit(const tailrace_log_record_t* record) TAILRACE_OTHERWISE(return true;)

    /* ---- Propagation: contexts and baggage across processes -------------------------------------------------------
     */

    /* A carrier is whatever holds a request's headers, read and written by two functions of its owner. They are called
     * before the call that takes them returns, on its thread. Names are passed in small letters; header names have no
     * case, so `get` compares without regard to it. `get` calls `visit(to, …)` for each value of the header, in order;
     * `set` replaces the header. */
    typedef void (*tailrace_carrier_visit_t)(void* to, const char* value, size_t length);
typedef void (*tailrace_carrier_get_t)(const void* carrier, const char* name, size_t name_length,
                                       tailrace_carrier_visit_t visit, void* to);
typedef void (*tailrace_carrier_set_t)(void* carrier, const char* name, size_t name_length, const char* value,
                                       size_t length);

/* Keys and values that an application sends along with a request: the text of one header. A value of 8 KB: the
 * caller's memory, all zero is empty. Never recorded unless the application does. Its content is the library's. */
typedef struct tailrace_baggage_t {
  uint32_t used; /* bytes of text */
  uint32_t members;
  char text[8192];
} tailrace_baggage_t;

/* The context that came in, remote, to be used as a parent or a link. False: none did, or it was not valid, and *out
 * is all zero; wrong arguments, too. Baggage, unless null, receives what came in; it is left alone where none did. */
TAILRACE_FUNCTION bool tailrace_context_extract(const void* carrier, tailrace_carrier_get_t get,
                                                tailrace_context_t* out, tailrace_baggage_t* baggage)
    TAILRACE_OTHERWISE(memset(out, 0, sizeof *out); return false;)

    /* Null context: the current one. Null baggage: the current one. What there is not is not written. */
    TAILRACE_FUNCTION bool tailrace_context_inject(void* carrier, tailrace_carrier_set_t set,
                                                   const tailrace_context_t* context, const tailrace_baggage_t* baggage)
        TAILRACE_OTHERWISE(return true;)

    /* The W3C traceparent: 55 characters and a NUL, for a carrier of your own. */
    TAILRACE_FUNCTION bool tailrace_context_to_traceparent(const tailrace_context_t* context, char out[56])
        TAILRACE_OTHERWISE(memset(out, 0, 56); return true;)
    /* False: the text is none, and *out is all zero. */
    TAILRACE_FUNCTION bool tailrace_context_from_traceparent(const char* text, size_t length, tailrace_context_t* out)
        TAILRACE_OTHERWISE(memset(out, 0, sizeof *out); return false;)
    /* The text of a context's tracestate, as much as fits in `room`: its length. 512 bytes always do. */
    TAILRACE_FUNCTION size_t tailrace_context_get_trace_state(const tailrace_context_t* context, char* out, size_t room)
        TAILRACE_OTHERWISE(return 0;)
    /* Replaces it. False also where the text is no tracestate: then the context has none. */
    TAILRACE_FUNCTION
    bool tailrace_context_set_trace_state(tailrace_context_t* context, const char* text, size_t length)
        TAILRACE_OTHERWISE(return true;)

    /* Adds one header's members. False also where something was left out. */
    TAILRACE_FUNCTION bool tailrace_baggage_parse(tailrace_baggage_t* baggage, const char* header, size_t length)
        TAILRACE_OTHERWISE(return true;)
    /* `value` is any text, `properties` stands as in a header: "p1;p2=v". False also where the key is no token, the
     * properties are none or there is no room: nothing has changed then. */
    TAILRACE_FUNCTION bool tailrace_baggage_put(tailrace_baggage_t* baggage, tailrace_text_t key, tailrace_text_t value,
                                                tailrace_text_t properties) TAILRACE_OTHERWISE(return true;)
    /* False also where it was not there. */
    TAILRACE_FUNCTION bool tailrace_baggage_erase(tailrace_baggage_t* baggage, tailrace_text_t key)
        TAILRACE_OTHERWISE(return true;)
    /* The decoded value in `room` (what fits of it), its length in *length. False also where there is none. */
    TAILRACE_FUNCTION bool tailrace_baggage_get(const tailrace_baggage_t* baggage, tailrace_text_t key, char* room,
                                                size_t size, size_t* length)
        TAILRACE_OTHERWISE(if (length != NULL) * length = 0; return false;)

    /* Makes a copy of a baggage current on this thread: inject sends it. Returns what to pass to
     * tailrace_baggage_leave() on the same thread, inner ones first; 0: it was not made current. */
    TAILRACE_FUNCTION uint64_t tailrace_baggage_enter(const tailrace_baggage_t* baggage)
        TAILRACE_OTHERWISE(return 0;) TAILRACE_FUNCTION void tailrace_baggage_leave(uint64_t activation)
            TAILRACE_OTHERWISE((void)0;)
    /* A copy of this thread's. False also where there is none: then it is empty. */
    TAILRACE_FUNCTION bool tailrace_baggage_get_current(tailrace_baggage_t* out)
        TAILRACE_OTHERWISE(out->used = out->members = 0; return false;)

    /* ---- Metrics ---------------------------------------------------------------------------------------------------
     */

    typedef struct tailrace_instrument_t tailrace_instrument_t; /* the library's, for the life of the process */

typedef enum tailrace_instrument_kind_t {
  TAILRACE_COUNTER = 1,
  TAILRACE_UP_DOWN_COUNTER = 2,
  TAILRACE_GAUGE = 3,
  TAILRACE_HISTOGRAM = 4
} tailrace_instrument_kind_t;

typedef enum tailrace_number_t { TAILRACE_INTEGERS = 0, TAILRACE_DOUBLES = 1 } tailrace_number_t;

typedef enum tailrace_histogram_t {
  TAILRACE_HISTOGRAM_STANDARD = 0, /* explicit if bounds are given, else as the configuration says */
  TAILRACE_HISTOGRAM_EXPLICIT = 1,
  TAILRACE_HISTOGRAM_EXPONENTIAL = 2
} tailrace_histogram_t;

typedef struct tailrace_instrument_options_t {
  uint32_t size;
  uint8_t kind;        /* tailrace_instrument_kind_t; the one member that must not be 0 */
  uint8_t number;      /* tailrace_number_t */
  uint8_t histogram;   /* tailrace_histogram_t */
  uint8_t negatives;   /* exponential: as many buckets again for negative values, else these are invalid */
  int8_t scale;        /* exponential: 2^scale buckets for each doubling; -8 to 8 */
  uint8_t scale_given; /* 0: scale 3 */
  uint8_t reserved[2];
  uint32_t cardinality_limit; /* attribute sets, default 2000; the rest is summed under otel.metric.overflow */
  tailrace_text_t unit;       /* UCUM */
  tailrace_text_t description;
  const double* bounds; /* explicit: ascending; null: OpenTelemetry's */
  size_t bound_count;
  double smallest; /* exponential: of the range; 0: 1 for integers, 2^-30 for doubles */
  double greatest; /* 0: 2^63 for integers, 2^34 for doubles */
  tailrace_scope_t scope;
  uint32_t reserved_end;
} tailrace_instrument_options_t;

/* The instrument of that name, scope, kind, type and unit; the same for all who ask. Another kind, type or unit under
 * a name that is taken is said on standard error; what is measured with that instrument is only counted. Costs a
 * look-up: keep the handle. Before init, too. Null only where the arguments are wrong; measuring with null is wrong,
 * too. */
TAILRACE_FUNCTION const tailrace_instrument_t* tailrace_instrument_get(tailrace_text_t name,
                                                                       const tailrace_instrument_options_t* options)
    TAILRACE_OTHERWISE(return NULL;)

    /* A measurement: added by counters, set by gauges, recorded by histograms. The int form is for both types, the
     * double form is wrong for an instrument of integers. */
    TAILRACE_FUNCTION bool tailrace_instrument_measure_int(const tailrace_instrument_t* instrument, int64_t value,
                                                           const tailrace_attribute_t* attributes, size_t count)
        TAILRACE_OTHERWISE(return true;) TAILRACE_FUNCTION
    bool tailrace_instrument_measure_double(const tailrace_instrument_t* instrument, double value,
                                            const tailrace_attribute_t* attributes, size_t count)
        TAILRACE_OTHERWISE(return true;)

    /* One attribute set of an instrument, looked up once: the fastest form. By value, for the life of the process. */
    typedef struct tailrace_bound_t {
  const tailrace_instrument_t* instrument;
  uint64_t cell;
} tailrace_bound_t;

TAILRACE_FUNCTION tailrace_bound_t tailrace_instrument_bind(const tailrace_instrument_t* instrument,
                                                            const tailrace_attribute_t* attributes, size_t count)
    TAILRACE_OTHERWISE(tailrace_bound_t bound; memset(&bound, 0, sizeof bound); return bound;)
    /* On a bound counter of integers also in a signal handler. */
    TAILRACE_FUNCTION bool tailrace_bound_measure_int(tailrace_bound_t bound, int64_t value)
        TAILRACE_OTHERWISE(return true;) TAILRACE_FUNCTION
    bool tailrace_bound_measure_double(tailrace_bound_t bound, double value) TAILRACE_OTHERWISE(return true;)

    /* Observables: `callback` runs at each tick and says values by tailrace_observer_observe_*(); a counter's is the
     * total so far. Sets that a tick does not observe have no value until one does. It returns whether it succeeded; it
     * runs on the thread that ticks, never twice at once. `drop`, unless null, is called once with `user` when the
     * callback will never run again, at once where it is refused. Returns what to pass to tailrace_observable_end(), or
     * 0. */
    typedef struct tailrace_observer_t tailrace_observer_t;
typedef bool (*tailrace_observe_t)(void* user, const tailrace_observer_t* observer);
typedef void (*tailrace_drop_t)(void* user);
TAILRACE_FUNCTION uint64_t tailrace_observable_begin(tailrace_text_t name, const tailrace_instrument_options_t* options,
                                                     tailrace_observe_t callback, tailrace_drop_t drop, void* user)
    TAILRACE_OTHERWISE(if (drop != NULL) drop(user); return 0;)
    /* Afterwards the callback does not run any more: waits until it has returned, unless called by a callback. */
    TAILRACE_FUNCTION void tailrace_observable_end(uint64_t observable) TAILRACE_OTHERWISE((void)0;) TAILRACE_FUNCTION
    bool tailrace_observer_observe_int(const tailrace_observer_t* observer, int64_t value,
                                       const tailrace_attribute_t* attributes, size_t count)
        TAILRACE_OTHERWISE(return true;) TAILRACE_FUNCTION
    bool tailrace_observer_observe_double(const tailrace_observer_t* observer, double value,
                                          const tailrace_attribute_t* attributes, size_t count)
        TAILRACE_OTHERWISE(return true;)
    /* Runs the callbacks of all observables; how many ran. Nothing, while another thread does. */
    TAILRACE_FUNCTION uint32_t tailrace_process_tick(void) TAILRACE_OTHERWISE(return 0;)

    /* ---- flush: the only call that waits ---------------------------------------------------------------------------
     */

    typedef enum tailrace_flush_code_t {
      TAILRACE_FLUSH_DONE = 0,      /* everything recorded before is delivered, rejected, or dropped with a cause */
      TAILRACE_FLUSH_TIMED_OUT = 1, /* the deadline passed before */
      TAILRACE_FLUSH_NO_AGENT = 2,  /* nobody drains this process: what it recorded stays in its lanes */
      TAILRACE_FLUSH_REJECTED = 3,  /* the agent does not read this process, and says why in its journal */
      TAILRACE_FLUSH_NOT_RECORDING = 4
    } tailrace_flush_code_t;

/* Indices of `dropped`: 0 lane full, 1 no lane, 2 refused by the destination, 3 expired, 4 unusable, 5 lost,
 * 6 policy. */
typedef struct tailrace_flush_counts_t {
  uint64_t delivered;
  uint64_t rejected; /* by the destination, in an answer that took the rest */
  uint64_t dropped[7];
  uint64_t pending; /* now, whenever recorded */
} tailrace_flush_counts_t;

typedef struct tailrace_flush_result_t {
  uint32_t size;
  uint32_t code; /* tailrace_flush_code_t */
  uint32_t timed_out;
  uint32_t reserved;
  tailrace_flush_counts_t total;
  tailrace_flush_counts_t signals[3]; /* traces, logs, metrics (data points) */
  char sentence[240];
} tailrace_flush_result_t;

/* Waits until all that any thread recorded before has an answer, never longer than deadline_ms. With
 * TAILRACE_PRIORITY_CRITICAL critical records alone are asked for and waited for, every other priority means
 * everything. result->size is set by the caller; null: not wanted. The counts are those since the last flush of the
 * same kind. Returns the code; TAILRACE_FLUSH_NOT_RECORDING also for wrong arguments. Not in signal handlers. */
TAILRACE_FUNCTION uint32_t tailrace_process_flush(uint64_t deadline_ms, uint32_t priority,
                                                  tailrace_flush_result_t* result)
    TAILRACE_OTHERWISE(if (result != NULL) {
      const uint32_t size = result->size;
      memset(result, 0, size);
      result->size = size;
      result->code = TAILRACE_FLUSH_NOT_RECORDING;
    } return TAILRACE_FLUSH_NOT_RECORDING;)

    /* ---- Conveniences: nothing here is a symbol of the library --------------------------------------------------- */

    static inline tailrace_text_t tailrace_text_of(const char* data, size_t size) {
  tailrace_text_t text;
  text.data = data;
  text.size = size;
  return text;
}
static inline tailrace_name_t tailrace_name_of(const char* data, size_t length) {
  tailrace_name_t name;
  name.text = data;
  name.length = (uint32_t)length;
  name.id = 0;
  return name;
}
/* Of a string literal. */
#define TAILRACE_TEXT(literal) tailrace_text_of("" literal, sizeof(literal) - 1)
#define TAILRACE_KEY(literal) tailrace_name_of("" literal, sizeof(literal) - 1)

static inline tailrace_time_t tailrace_time_of(uint64_t value, tailrace_clock_t clock) {
  tailrace_time_t time;
  time.value = value;
  time.clock = (uint32_t)clock;
  time.reserved = 0;
  return time;
}
static inline tailrace_time_t tailrace_time_unix_ns(uint64_t ns) { return tailrace_time_of(ns, TAILRACE_CLOCK_UNIX); }
static inline tailrace_time_t tailrace_time_monotonic_ns(uint64_t ns) {
  return tailrace_time_of(ns, TAILRACE_CLOCK_MONOTONIC);
}
/* The CPU's own counter, without a call. Where that is no clock (tailrace_time_now() knows), the library takes the
 * moment of the call that it is passed to instead. */
static inline tailrace_time_t tailrace_cpu_time(void) {
#if defined(TAILRACE_DISABLED)
  return tailrace_time_of(0, TAILRACE_CLOCK_NOW);
#elif defined(__x86_64__)
  return tailrace_time_of(__builtin_ia32_rdtsc(), TAILRACE_CLOCK_CPU);
#elif defined(__aarch64__)
  uint64_t value;
  __asm__ volatile("mrs %0, cntvct_el0" : "=r"(value));
  return tailrace_time_of(value, TAILRACE_CLOCK_CPU);
#else
  return tailrace_time_now();
#endif
}

static inline tailrace_value_t tailrace_value_empty(void) {
  tailrace_value_t value; /* member by member, so that it needs no memory where it is inlined */
  value.type = TAILRACE_EMPTY;
  value.id = 0;
  value.size = 0;
  value.as.natural = 0;
  value.reserved = 0;
  return value;
}
static inline tailrace_value_t tailrace_value_bool(bool boolean) {
  tailrace_value_t value = tailrace_value_empty();
  value.type = TAILRACE_BOOL;
  value.as.boolean = boolean ? 1 : 0;
  return value;
}
static inline tailrace_value_t tailrace_value_int(int64_t integer) {
  tailrace_value_t value = tailrace_value_empty();
  value.type = TAILRACE_INT;
  value.as.integer = integer;
  return value;
}
static inline tailrace_value_t tailrace_value_uint(uint64_t natural) {
  tailrace_value_t value = tailrace_value_empty();
  value.type = TAILRACE_UINT;
  value.as.natural = natural;
  return value;
}
static inline tailrace_value_t tailrace_value_double(double real) {
  tailrace_value_t value = tailrace_value_empty();
  value.type = TAILRACE_DOUBLE;
  value.as.real = real;
  return value;
}
static inline tailrace_value_t tailrace_value_string(const char* data, size_t size) {
  tailrace_value_t value = tailrace_value_empty();
  value.type = TAILRACE_STRING;
  value.size = size;
  value.as.string = data;
  return value;
}
static inline tailrace_value_t tailrace_value_bytes(const void* data, size_t size) {
  tailrace_value_t value = tailrace_value_empty();
  value.type = TAILRACE_BYTES;
  value.size = size;
  value.as.bytes = data;
  return value;
}
static inline tailrace_value_t tailrace_value_array(const tailrace_value_t* values, size_t count) {
  tailrace_value_t value = tailrace_value_empty();
  value.type = TAILRACE_ARRAY;
  value.size = count;
  value.as.array = values;
  return value;
}
static inline tailrace_value_t tailrace_value_map(const tailrace_attribute_t* members, size_t count) {
  tailrace_value_t value = tailrace_value_empty();
  value.type = TAILRACE_MAP;
  value.size = count;
  value.as.map = members;
  return value;
}
/* An interned text as a value: eight bytes in the record, whatever its length. */
static inline tailrace_value_t tailrace_value_name(tailrace_name_t name) {
  tailrace_value_t value = tailrace_value_string(name.text, name.length);
  if (name.id != 0) value.type = TAILRACE_NAME;
  value.id = name.id;
  return value;
}
static inline tailrace_attribute_t tailrace_attribute_of(tailrace_name_t key, tailrace_value_t value) {
  tailrace_attribute_t attribute;
  attribute.key = key;
  attribute.value = value;
  return attribute;
}

#ifdef __cplusplus
}
#endif
#if defined(TAILRACE_DISABLED) && defined(__GNUC__)
#pragma GCC diagnostic pop
#endif
#undef TAILRACE_FUNCTION
#undef TAILRACE_OTHERWISE

#endif /* TAILRACE_TAILRACE_H */
