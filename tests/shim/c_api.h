/* SPDX-License-Identifier: Apache-2.0 */
/* What the C API's test does in C: each function runs in a process of its own and returns 0, or the line that is not
 * as it should be. What must then stand in the segment is for c_api_test.cpp to say. */
#ifndef TESTS_SHIM_C_API_H
#define TESTS_SHIM_C_API_H

#ifdef __cplusplus
extern "C" {
#endif

int c_records_spans(void);
int c_records_all_types(void);
int c_records_contexts(void);
int c_records_finished_spans(void);
int c_records_logs(void);
int c_records_metrics(void);
int c_propagates(void);
int c_carries_baggage(void);
int c_passes_wrong_arguments(void);
int c_flushes(void);
int c_runs_before_init(void);
int c_configures(void);
int c_disabled(void); /* c_api_disabled.c */

#ifdef __cplusplus
}
#endif

#endif
