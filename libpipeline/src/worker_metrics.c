/*
 * The table of what a worker counts, and the counting.
 */
#include "worker_metrics.h"

#include <stdlib.h>

#include "pipeline/clock.h"
#include "pipeline/mem.h"

#define FAULTS_MAX 31 /* error codes there may ever be */

static const char *const versions[] = { FETCHBACK_VERSION, NULL };
static const char *const verdicts[] = {
	[PL_VERDICT_DONE] = "done",
	[PL_VERDICT_RETRY] = "retry",
	[PL_VERDICT_FAIL] = "fail",
	NULL,
};
/* The names of enum pl_fault from its second on, filled in before the table is used. */
static const char *faults[FAULTS_MAX + 1];

/* ms: from an answer next door to the longest timeout there is. */
static const uint64_t attempt_bounds[] = { 1, 2, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000,
	10000, 30000, 60000, 300000, 600000, 3600000 };
/* ms: from a pipeline at rest to the end of the longest schedule. */
static const uint64_t end_to_end_bounds[] = { 1, 2, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000,
	10000, 30000, 60000, 300000, 1800000, 3600000, 14400000, 86400000, 345600000 };

#define BOUNDS(of) .bounds = of, .bounds_count = sizeof of / sizeof *of

static const struct pl_metric rows[WORKER_METRICS] = {
	[WORKER_BUILD] = { .name = "fetchback_build_info",
		.help = "Always 1; the label tells which version runs.",
		.kind = PL_METRIC_GAUGE,
		.label = "version",
		.values = versions },
	[WORKER_READY] = { .name = "fetchback_ready",
		.help = "1 while this process is able to work, else 0.",
		.kind = PL_METRIC_GAUGE },
	[WORKER_RECONNECTS] = { .name = "fetchback_redis_reconnects_total",
		.help = "Times that the connection to Redis was lost and made anew.",
		.kind = PL_METRIC_COUNTER },
	[WORKER_LAG] = { .name = "fetchback_loop_lag_seconds",
		.help = "How long the turns of the event loop took: an event may wait so long.",
		.kind = PL_METRIC_HISTOGRAM,
		.scale = 1000000,
		BOUNDS(pl_lag_bounds) },
	[WORKER_ATTEMPTS] = { .name = "fetchback_attempts_total",
		.help = "Attempts made, by what they came to.",
		.kind = PL_METRIC_COUNTER,
		.scope = PL_METRIC_STAGE,
		.label = "verdict",
		.values = verdicts },
	[WORKER_ATTEMPT_TIME] = { .name = "fetchback_attempt_seconds",
		.help = "How long attempts took, whatever they came to.",
		.kind = PL_METRIC_HISTOGRAM,
		.scope = PL_METRIC_STAGE,
		.scale = 1000,
		BOUNDS(attempt_bounds) },
	[WORKER_FAULTS] = { .name = "fetchback_faults_total",
		.help = "What went wrong with attempts, by error code.",
		.kind = PL_METRIC_COUNTER,
		.scope = PL_METRIC_STAGE,
		.label = "code",
		.values = faults },
	[WORKER_FAILED] = { .name = "fetchback_failed_total",
		.help = "Requests that became dead letters in this stage.",
		.kind = PL_METRIC_COUNTER,
		.scope = PL_METRIC_STAGE },
	[WORKER_GIVEN_BACK] = { .name = "fetchback_given_back_total",
		.help = "Requests put back into their lane without an attempt.",
		.kind = PL_METRIC_COUNTER,
		.scope = PL_METRIC_STAGE },
	[WORKER_STALE] = { .name = "fetchback_stale_settles_total",
		.help = "Verdicts that came too late: the request was settled, or another's.",
		.kind = PL_METRIC_COUNTER,
		.scope = PL_METRIC_STAGE },
	[WORKER_REAPED] = { .name = "fetchback_reaped_workers_total",
		.help = "Workers this one found dead.",
		.kind = PL_METRIC_COUNTER,
		.scope = PL_METRIC_STAGE },
	[WORKER_REQUEUED] = { .name = "fetchback_requeued_total",
		.help = "Requests this worker put back because theirs was dead.",
		.kind = PL_METRIC_COUNTER,
		.scope = PL_METRIC_STAGE },
	[WORKER_LEASES_LOST] = { .name = "fetchback_leases_lost_total",
		.help = "Times that this worker was taken for dead.",
		.kind = PL_METRIC_COUNTER,
		.scope = PL_METRIC_STAGE },
	[WORKER_IN_FLIGHT] = { .name = "fetchback_in_flight",
		.help = "Requests this worker is working on.",
		.kind = PL_METRIC_GAUGE,
		.scope = PL_METRIC_STAGE },
	[WORKER_IN_FLIGHT_MAX] = { .name = "fetchback_in_flight_max",
		.help = "PREFETCH: how many it takes.",
		.kind = PL_METRIC_GAUGE,
		.scope = PL_METRIC_STAGE },
	[WORKER_SETTLING] = { .name = "fetchback_settling",
		.help = "Verdicts that Redis has not confirmed yet.",
		.kind = PL_METRIC_GAUGE,
		.scope = PL_METRIC_STAGE },
	[WORKER_BODY_MEMORY] = { .name = "fetchback_body_memory_bytes",
		.help = "Memory taken for bodies.",
		.kind = PL_METRIC_GAUGE,
		.scope = PL_METRIC_STAGE },
	[WORKER_BODY_MEMORY_MAX] = { .name = "fetchback_body_memory_max_bytes",
		.help = "BODY_MEMORY: how much may be taken.",
		.kind = PL_METRIC_GAUGE,
		.scope = PL_METRIC_STAGE },
	[WORKER_END_TO_END] = { .name = "fetchback_end_to_end_seconds",
		.help = "From acceptance to delivery, waiting and retries included.",
		.kind = PL_METRIC_HISTOGRAM,
		.scope = PL_METRIC_PIPELINE,
		.scale = 1000,
		BOUNDS(end_to_end_bounds) },
};

/* ---- counting ---- */

void worker_count(struct pl_worker *worker, enum worker_metric row, uint64_t n)
{
	pl_metrics_add(worker->metrics->counts, row, 0, n);
}

static enum pl_verdict_kind kind_of(enum pl_settle_verdict verdict)
{
	switch (verdict) {
	case PL_SETTLE_DONE:
		return PL_VERDICT_DONE;
	case PL_SETTLE_RETRY:
		return PL_VERDICT_RETRY;
	default:
		return PL_VERDICT_FAIL;
	}
}

void worker_count_event(
	struct pl_worker *worker, enum pl_settle_verdict verdict, const struct pl_event *event)
{
	struct pl_metrics *counts = worker->metrics->counts;
	if (verdict == PL_SETTLE_FAIL)
		worker_count(worker, WORKER_FAILED, 1);
	if (event->fault != PL_FAULT_NONE)
		pl_metrics_add(counts, WORKER_FAULTS, event->fault - 1u, 1);
	if (event->attempt == 0)
		return; /* it ended without one */
	pl_metrics_add(counts, WORKER_ATTEMPTS, kind_of(verdict), 1);
	pl_metrics_observe(counts, WORKER_ATTEMPT_TIME, 0, event->ms);
}

void worker_count_settled(const struct pl_job *job, enum pl_settle_verdict verdict)
{
	if (job->worker->work->stage != PL_STAGE_DELIVER || verdict != PL_SETTLE_DONE)
		return;
	uint64_t now_ms = pl_clock_wall_ms(), created_ms = job->record->created_ms;
	pl_metrics_observe(job->worker->metrics->counts, WORKER_END_TO_END, 0,
		now_ms > created_ms ? now_ms - created_ms : 0);
}

/* ---- what stands ---- */

static uint64_t ready_until_ms(const struct pl_worker *worker)
{
	return worker->phase == WORKER_SERVING && !worker->draining ? worker->lease_until_ms : 0;
}

void worker_metrics_turn(struct pl_worker *worker)
{
	struct worker_metrics *metrics = worker->metrics;
	if (metrics == NULL || metrics->server == NULL)
		return;
	atomic_store_explicit(
		&metrics->ready_until_ms, ready_until_ms(worker), memory_order_relaxed);
	pl_metrics_set(metrics->counts, WORKER_IN_FLIGHT, 0, worker->running.count);
	pl_metrics_set(metrics->counts, WORKER_SETTLING, 0, worker->settling.count);
	pl_metrics_set(metrics->counts, WORKER_BODY_MEMORY, 0, worker->body_bytes);
	if (worker->phase != WORKER_CLOSED) /* then the queue may be gone */
		pl_metrics_set(
			metrics->counts, WORKER_RECONNECTS, 0, pl_queue_reconnects(worker->queue));
	pl_lag_turn(&metrics->lag);
}

/* ---- open and close ---- */

static void name_faults(void)
{
	for (unsigned i = 0; *pl_fault_name((enum pl_fault)(i + 1)) != '\0'; i++) {
		PL_ASSERT(i < FAULTS_MAX);
		faults[i] = pl_fault_name((enum pl_fault)(i + 1));
	}
}

enum pl_err worker_metrics_open(
	struct pl_worker *worker, const struct pl_settings *settings, const char **why)
{
	const struct pl_work *work = worker->work;
	struct worker_metrics *metrics = pl_calloc(1, sizeof *metrics);
	worker->metrics = metrics;
	name_faults();
	metrics->counts = pl_metrics_new(rows,
		work->stage == PL_STAGE_DELIVER ? WORKER_METRICS : WORKER_END_TO_END,
		pl_service_letter_name(work->letter), pl_stage_name(work->stage));
	pl_metrics_set(metrics->counts, WORKER_BUILD, 0, 1);
	pl_metrics_set(metrics->counts, WORKER_IN_FLIGHT_MAX, 0, worker->prefetch);
	pl_metrics_set(metrics->counts, WORKER_BODY_MEMORY_MAX, 0, worker->body_max);
	if (pl_settings_number(settings, "METRICS_PORT") == 0)
		return PL_OK;
	pl_lag_init(&metrics->lag, worker->loop, metrics->counts, WORKER_LAG);
	return worker_server_start(metrics, settings, why);
}

void worker_metrics_close(struct pl_worker *worker)
{
	struct worker_metrics *metrics = worker->metrics;
	if (metrics == NULL || (metrics->server != NULL && !worker_server_stop(metrics)))
		return; /* what a handler still reads goes with the process */
	pl_metrics_free(metrics->counts);
	free(metrics);
}
