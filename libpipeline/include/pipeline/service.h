/*
 * service: the skeleton of every process: settings, loop, signals, readiness, drain, exit codes.
 *
 *   main -> read settings (exit 100 naming every mistake) -> loop -> start -> READY -> … -> SIGTERM
 *        -> drain (at most DRAIN_TIMEOUT) -> stop -> exit 0
 *
 * Ready    pl_service_ready writes "READY\n" once to the descriptor named by the environment's
 *          READY_FD, if any (s6's notification idea), and closes it.
 * Signals  SIGTERM and SIGINT drain, a second one stops at once; SIGHUP reloads.
 * Exit     0 after a drain, 100 for a wrong setting, 111 when the system fails.
 * Threads  everything here is called on the loop's thread.
 * Flags    --help, --version; --print-settings prints the rows of docs/SETTINGS.md; --check
 *          reads the settings, prints them as NAME=value, tells every mistake and leaves.
 */
#ifndef PIPELINE_SERVICE_H
#define PIPELINE_SERVICE_H

#include <uv.h>

#include "pipeline/settings.h"

#define PL_EXIT_SETTING 100
#define PL_EXIT_SYSTEM  111

#define PL_READY_FD_NAME "READY_FD"
#define PL_READY_TEXT    "READY\n"

#define PL_SERVICE_STOP_MS 3000 /* from stop until the loop is empty; then all is left as it is */

struct pl_service_run; /* one run of one service */

struct pl_service {
	const char *name;                         /* "consumer" */
	const char *purpose;                      /* one sentence for --help */
	const struct pl_setting *const *settings; /* NULL-terminated list of tables */
	/* Begins the work; returns PL_EXIT_* or 0. state is handed to the others. One that fails
	 * has said why (pl_service_fail does) and may set a half-built state: stop gets it. */
	int (*start)(struct pl_service_run *run, void **state);
	/* SIGTERM or SIGINT: take no more, finish what runs, then call pl_service_drained. */
	void (*drain)(void *state);
	/* Drained or DRAIN_TIMEOUT passed: close every handle, free the state; the loop ends. */
	void (*stop)(void *state);
	/* SIGHUP: read files named by settings anew. May be NULL. */
	void (*reload)(void *state);
	/* What the first line of the log says of these settings; NULL: nothing. May be NULL. */
	const char *(*remark)(const struct pl_settings *settings);
};

int pl_service_main(const struct pl_service *service, int argc, char **argv);

uv_loop_t *pl_service_loop(struct pl_service_run *run);
const struct pl_settings *pl_service_settings(struct pl_service_run *run);
void pl_service_ready(struct pl_service_run *run);
/* stop follows on a later loop turn, so both may be called from anywhere in the service. */
void pl_service_drained(struct pl_service_run *run);
/* For stop: a thread goes on, and nobody waits for it any more; what it uses stays. The process
 * then ends right behind its last line. exit's own clean-up would wait for uv's threads, of which
 * one may be asking for a name, and take libraries from under the feet of others. */
void pl_service_leave(struct pl_service_run *run);
/* A service that can't start or go on: says why, ends with PL_EXIT_SYSTEM or PL_EXIT_SETTING. */
void pl_service_fail(struct pl_service_run *run, int exit_code, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

#endif
