/*
 * worker_metrics: what a worker counts, and the small server that tells it where METRICS_PORT is
 * set: GET /metrics, /healthz (the process is up), /readyz (it serves, and its lease holds).
 *
 *   the loop --counts as it goes, what stands once a turn--> atomics <--reads-- server's threads
 *
 * Without METRICS_PORT there is no server and no thread: the counts are kept for nobody, which
 * costs a few ns a request.
 */
#ifndef PIPELINE_WORKER_METRICS_H
#define PIPELINE_WORKER_METRICS_H

#include <stdatomic.h>

#include "pipeline/http_server.h"
#include "pipeline/lag.h"
#include "worker_private.h"

enum worker_metric { /* the rows */
	WORKER_BUILD,
	WORKER_READY,
	WORKER_RECONNECTS,
	WORKER_LAG,
	WORKER_ATTEMPTS, /* its series: enum pl_verdict_kind up to PL_VERDICT_FAIL */
	WORKER_ATTEMPT_TIME,
	WORKER_FAULTS,
	WORKER_FAILED,
	WORKER_GIVEN_BACK,
	WORKER_STALE,
	WORKER_REAPED,
	WORKER_REQUEUED,
	WORKER_LEASES_LOST,
	WORKER_IN_FLIGHT,
	WORKER_IN_FLIGHT_MAX,
	WORKER_SETTLING,
	WORKER_BODY_MEMORY,
	WORKER_BODY_MEMORY_MAX,
	WORKER_END_TO_END, /* the last: only the responder has it */
	WORKER_METRICS
};

struct worker_metrics {
	struct pl_metrics *counts;
	struct pl_lag lag;
	struct pl_http_server *server; /* NULL: METRICS_PORT is 0 */
	/* Boot clock: until then the worker is able to work. 0: it is not, or it is ending. */
	_Atomic uint64_t ready_until_ms;
};

/* *why: a sentence. After a failure, too, worker_metrics_close may be called. */
PL_MUST_CHECK enum pl_err worker_metrics_open(
	struct pl_worker *worker, const struct pl_settings *settings, const char **why);
void worker_metrics_close(struct pl_worker *worker);
/* The last thing of each turn of the loop: what stands is shown. */
void worker_metrics_turn(struct pl_worker *worker);

void worker_count(struct pl_worker *worker, enum worker_metric row, uint64_t n);
/* An event that a job came to: an attempt, or an end without one. */
void worker_count_event(
	struct pl_worker *worker, enum pl_settle_verdict verdict, const struct pl_event *event);
/* Redis has confirmed it. */
void worker_count_settled(const struct pl_job *job, enum pl_settle_verdict verdict);

/* worker_server.c */
PL_MUST_CHECK enum pl_err worker_server_start(
	struct worker_metrics *metrics, const struct pl_settings *settings, const char **why);
/* False: a handler still runs; what it uses must stay. */
bool worker_server_stop(struct worker_metrics *metrics);

#endif
