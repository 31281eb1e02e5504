/*
 * worker_private: what the files of `worker` share.
 *
 *   worker.c         the object: connect, join, beat, drain, close
 *   worker_jobs.c    reserve, begin, verdict -> event line, settle
 *   worker_failure.c failure callbacks
 *   worker_hosts.c   HOSTS_FILE
 *   worker_retain.c  what is old goes
 *   worker_memory.c  the lines for body memory
 *   worker_metrics.c what is counted; worker_server.c tells it
 */
#ifndef PIPELINE_WORKER_PRIVATE_H
#define PIPELINE_WORKER_PRIVATE_H

#include "pipeline/worker.h"

enum worker_phase {
	WORKER_AWAY,    /* Redis is not there */
	WORKER_JOINING, /* register or beat under way: may we go on? */
	WORKER_SERVING,
	WORKER_CLOSED,
};

#define WORKER_EARLY_MAX 64 /* words that may overtake their jobs at a time */

struct job_list {
	struct pl_job *first;
	size_t count;
};

struct pl_worker {
	struct pl_service_run *run;
	const struct pl_work *work;
	void *stage_state;
	struct pl_netpolicy *policy;
	struct pl_queue *queue;
	struct pl_http *http; /* NULL until Redis was met: its address is part of the policy */
	uv_loop_t *loop;
	enum worker_phase phase;

	char name[PL_WORKER_NAME_SIZE]; /* "" while not registered */
	uint64_t lease_ms;
	uint64_t lease_until_ms; /* boot clock, taken before the lease was asked for */
	bool beat_underway;
	unsigned leases; /* lost: an answer to a call made under an earlier name says nothing now */

	struct job_list running; /* begun, not settled */
	struct job_list
		settling; /* verdict known, waits for Redis; the first `sent` are under way */
	size_t sent;
	size_t unproven; /* of both: jobs whose host is unproven */
	bool reserve_underway;
	uint64_t serial;       /* of the reserve or recover under way, or the last one */
	unsigned asked_leases; /* worker->leases when it was asked */
	size_t wanted;         /* by the reserve under way */
	uint64_t reserved_ms;  /* when the last reserve was asked for */
	bool reserve_unknown;  /* its answer was lost: recover before reserving again */
	char early[WORKER_EARLY_MAX][PL_UUID_SIZE]; /* to be cut, and not here yet */
	size_t early_count;
	uint64_t full_until_ms; /* mono: Redis has refused bodies */
	bool more;              /* a reserve may bring something */
	bool refused;           /* Redis refused a call: wait for `again` */
	uint64_t bytes_max; /* bytes of bodies in Redis at which a fetch worker stops reserving */

	struct pl_host_limit *limits; /* of HOSTS_FILE; NULL: none given */
	size_t limits_count;
	uint64_t maxmemory; /* of Redis; 0: none set */
	struct pl_retention retention;
	bool retain_underway;

	bool listen_underway;
	enum pl_bells listen_bells; /* to which the listen under way hears */
	bool announced;             /* ready was told */
	bool draining, left;
	unsigned prefetch;
	uint64_t time_scale;
	uint64_t drain_ms;
	uint64_t timeout_ms;
	struct pl_schedule schedule;

	size_t body_bytes, body_max; /* of both shares */
	struct memory_share {
		size_t taken;
		struct pl_memory_wait *line;
	} memory[2];            /* of proven and of unproven hosts */
	uint64_t memory_places; /* given out in both lines so far */
	bool granting;          /* who is granted memory may give it back at once */

	struct worker_metrics *metrics;

	uv_timer_t beat, due, again, drain_end;
	uv_prepare_t before_poll;
	uv_check_t after_poll;
	unsigned open_handles;
};

struct pl_failure_text { /* a failure callback on its way to settle */
	char id[PL_UUID_SIZE];
	char lane[PL_LANE_MAX];
	struct pl_buf text;
	struct pl_failure push; /* borrows from the others */
};
/* Composes the failure callback of a job that failed so; false when nobody wants to be told. */
bool failure_compose(
	const struct pl_job *job, const struct pl_event *failed, struct pl_failure_text *out);
void failure_free(struct pl_failure_text *failure);

bool worker_lease_holds(const struct pl_worker *worker);
/* The lease is gone: everything held is somebody else's now. */
void worker_lost_lease(struct pl_worker *worker);
/* Settles what has gathered, reserves for the free room. Once a loop turn. */
void worker_flush(struct pl_worker *worker);
void worker_listen(struct pl_worker *worker);
/* Try again in a moment. */
void worker_refused(struct pl_worker *worker);
void worker_beat_now(struct pl_worker *worker);
void worker_check_drained(struct pl_worker *worker);

PL_MUST_CHECK enum pl_err worker_hosts_read(struct pl_worker *worker, const char **why);
void worker_hosts_tell(struct pl_worker *worker);

void worker_retain_read(struct pl_worker *worker, const struct pl_settings *settings);
void worker_retain(struct pl_worker *worker);

/* How many more jobs it would take, and how many of unproven hosts: of these half of PREFETCH at
 * most, so that hosts that hang leave room for the others. */
size_t jobs_room(const struct pl_worker *worker);
size_t jobs_room_unproven(const struct pl_worker *worker);
void jobs_drop_all(struct pl_worker *worker);
void jobs_cut_all(struct pl_worker *worker);
void jobs_cut(struct pl_worker *worker, const char *id, bool is_expired);
void jobs_recover(struct pl_worker *worker);
void jobs_settle(struct pl_worker *worker);
void jobs_reserve(struct pl_worker *worker);

#endif
