/*
 * worker: keeps up to PREFETCH requests in flight: reserve, hand to the stage, settle once.
 *
 *   Redis --reserve--> begin(job) -- one HTTP exchange --> pl_job_settle(job, verdict)
 *     ^                                                                     |
 *     '------------------------------- settle ------------------------------'
 *
 * The consumer and the responder are this machine with a different `struct pl_work`.
 * Lease    the worker's, not the request's: renewed every third of LEASE. A worker whose lease is
 *          gone drops what it holds (cut, then settle ignored) and registers under a new name.
 * Loop     everything on the service's loop; verdicts gather and are settled once a loop turn.
 * Redis    while it is away jobs run on and their verdicts are kept; none is begun.
 */
#ifndef PIPELINE_WORKER_H
#define PIPELINE_WORKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pipeline/http.h"
#include "pipeline/queue.h"
#include "pipeline/record.h"
#include "pipeline/service.h"
#include "pipeline/verdict.h"

struct pl_worker;

struct pl_memory_wait { /* a job's place in the line for body memory */
	struct pl_memory_wait *prev, *next;
	void (*granted)(struct pl_memory_wait *wait);
	size_t bytes;
	uint64_t place;
	bool unproven, waits;
};

struct pl_job {
	struct pl_worker *worker;
	char id[PL_UUID_SIZE];
	struct pl_record *record; /* as reserved; lives as long as the job */
	unsigned attempt;         /* this one, from 1, counted in this round */
	uint64_t started_ms;      /* Unix time */
	uint64_t started_mono_ms;
	void *own;     /* the stage's */
	bool is_cut;   /* cut was called: whatever comes, it is no attempt */
	bool unproven; /* as its host was when it was reserved: its body memory is of that share */
	/* The worker's own. */
	struct pl_job *prev, *next;
	uint64_t serial;                /* of the reserve or recover that brought it */
	struct pl_job_outcome *outcome; /* NULL while it runs */
	bool dropped;                   /* the lease is gone: free, don't settle */
	bool is_expired;                /* cut because its time is over */
};

struct pl_work { /* what makes a worker a consumer or a responder */
	enum pl_stage stage;
	char letter;          /* in event lines */
	const char *done;     /* name of the event of success: "fetched" */
	const char *schedule; /* name of the setting */
	const char *timeout;  /* name of the setting */
	/* The stage's state, made before the first job and freed after the last. */
	void *(*open)(struct pl_worker *worker, const struct pl_settings *settings);
	void (*close)(void *state);
	void (*reload)(void *state); /* SIGHUP; may be NULL */
	/* Starts the job; pl_job_settle follows, once, on a later loop turn or at once. */
	void (*begin)(void *state, struct pl_job *job);
	/* End it soon: pl_job_settle must follow; its verdict is taken as PL_VERDICT_BACK unless
	 * the exchange was done by then. */
	void (*cut)(struct pl_job *job);
};

/* start, drain and stop of a struct pl_service whose whole work is `work`. */
int pl_worker_start(struct pl_service_run *run, const struct pl_work *work, void **state);
void pl_worker_drain(void *worker);
void pl_worker_stop(void *worker);
void pl_worker_reload(void *worker); /* SIGHUP: HOSTS_FILE, and what the stage reads */

/* Does the lease still hold? Ask before the outside world is touched on behalf of a job that has
 * waited: if not, settle with PL_VERDICT_BACK. */
bool pl_worker_may_act(const struct pl_worker *worker);
struct pl_http *pl_worker_http(struct pl_worker *worker);
struct pl_queue *pl_worker_queue(struct pl_worker *worker);
uv_loop_t *pl_worker_loop(struct pl_worker *worker);
/* The timeout in force for this job's exchange. */
uint64_t pl_job_timeout_ms(const struct pl_job *job);

/* Stores one piece of the job's body; PL_ELIMIT when bodies have filled their share of Redis. */
void pl_job_chunk_put(struct pl_job *job, struct pl_chunk chunk, pl_done_cb cb, void *arg);
/* That share, which no single body may pass; UINT64_MAX where Redis has no ceiling. */
uint64_t pl_worker_bodies_max(const struct pl_worker *worker);

/* Redis has refused a body for want of memory: no further job is begun for a moment. */
void pl_worker_redis_full(struct pl_worker *worker);

/* Ends the job: the stage must not touch it any more. */
void pl_job_settle(struct pl_job *job, const struct pl_verdict *verdict);

/* Body memory (BODY_MEMORY, all jobs together; those of unproven hosts have half of it). take:
 * false when it would pass the ceiling; then wait, in order: granted comes once the bytes have been
 * taken for you. One request larger than its ceiling is granted when nothing else is taken.
 * unproven: the job's, the same in all calls for it. */
bool pl_worker_memory_take(struct pl_worker *worker, bool unproven, size_t bytes);
void pl_worker_memory_wait(struct pl_worker *worker, struct pl_memory_wait *wait, bool unproven,
	size_t bytes, void (*granted)(struct pl_memory_wait *wait));
void pl_worker_memory_unwait(struct pl_worker *worker, struct pl_memory_wait *wait);
void pl_worker_memory_give(struct pl_worker *worker, bool unproven, size_t bytes);

#endif
