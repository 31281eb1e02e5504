/*
 * A job's way: reserved -> begun -> verdict -> event line -> settled.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "pipeline/backoff.h"
#include "pipeline/clock.h"
#include "pipeline/log.h"
#include "pipeline/mem.h"
#include "worker_metrics.h"

#define FULL_WAIT_MS     250  /* undelivered data fills its share of Redis: look again so often */
#define RESERVE_AGAIN_MS 250  /* since the last reserve: one after a settle, whatever is known */
#define REFUSED_WAIT_MS  1000 /* Redis has no room for bodies: begin nothing for so long */
#define BODIES_SHARES    2    /* of bytes_max: what was begun below it has room to end */
#define TEXT_MAX         (PL_DATA_INLINE_MAX + PL_EVENT_LINE_MAX + 32)

struct pl_job_outcome {
	enum pl_settle_verdict verdict;
	enum pl_outcome outcome;
	uint64_t hold_ms, delay_ms, data_bytes;
	char token[PL_TOKEN_SIZE];
	unsigned chunks;
	struct pl_buf text;
	struct pl_failure_text *failure; /* NULL: nobody is told */
};

static void list_add(struct job_list *list, struct pl_job *job)
{
	DL_APPEND(list->first, job);
	list->count++;
}

static void list_remove(struct job_list *list, struct pl_job *job)
{
	DL_DELETE(list->first, job);
	list->count--;
}

static void job_free(struct pl_job *job)
{
	if (job->outcome != NULL) {
		pl_buf_fini(&job->outcome->text);
		failure_free(job->outcome->failure);
		free(job->outcome);
	}
	if (job->unproven)
		job->worker->unproven--;
	pl_record_free(job->record);
	free(job);
}

static const struct pl_stage_options *stage_options(const struct pl_job *job)
{
	return &job->record->request.stage[job->worker->work->stage];
}

uint64_t pl_job_timeout_ms(const struct pl_job *job)
{
	uint64_t own = stage_options(job)->timeout_ms;
	return own > 0 ? own : job->worker->timeout_ms;
}

static const struct pl_schedule *schedule_of(const struct pl_job *job)
{
	const struct pl_schedule *own = stage_options(job)->schedule;
	return own != NULL ? own : &job->worker->schedule;
}

static unsigned retries_of(const struct pl_job *job)
{
	int own = stage_options(job)->retries;
	return own >= 0 ? (unsigned)own : (unsigned)schedule_of(job)->count;
}

/* Rounded up: a retry is never early. */
static uint64_t scaled(const struct pl_worker *worker, uint64_t ms)
{
	return (ms + worker->time_scale - 1) / worker->time_scale;
}

static uint64_t retry_delay_ms(const struct pl_job *job, const struct pl_verdict *verdict)
{
	uint32_t random;
	if (uv_random(NULL, NULL, &random, sizeof random, 0, NULL) != 0)
		random = 0; /* no jitter, then */
	uint64_t delay = pl_backoff_ms(schedule_of(job), job->attempt, random);
	uint64_t hint = verdict->retry_after_ms < PL_RETRY_AFTER_MAX_MS ? verdict->retry_after_ms
									: PL_RETRY_AFTER_MAX_MS;
	return scaled(job->worker, hint > delay ? hint : delay);
}

static void tell(const struct pl_job *job, const struct pl_event *event)
{
	const struct pl_log_about about = {
		.request_id = job->id,
		.stage = pl_stage_name(job->worker->work->stage),
		.attempt = event->attempt,
	};
	if (!pl_log_wants(event->level))
		return;
	if (event->fault == PL_FAULT_NONE)
		pl_log(event->level, &about, event->name, "%d in %" PRIu64 " ms%s%s", event->status,
			event->ms, *event->message != '\0' ? "; " : "", event->message);
	else
		pl_log(event->level, &about, event->name, "%s: %s, after %" PRIu64 " ms",
			pl_fault_name(event->fault), event->message, event->ms);
}

static enum pl_state state_after(const struct pl_work *work, enum pl_settle_verdict verdict)
{
	switch (verdict) {
	case PL_SETTLE_DONE:
		return work->stage == PL_STAGE_FETCH ? PL_STATE_FETCHED : PL_STATE_DELIVERED;
	case PL_SETTLE_FAIL:
		return PL_STATE_FAILED;
	default:
		return work->stage == PL_STAGE_FETCH ? PL_STATE_QUEUED : PL_STATE_FETCHED;
	}
}

/* The event of a verdict that counts as an attempt (or ends the request without one). */
static void write_event(
	struct pl_job *job, const struct pl_verdict *verdict, struct pl_job_outcome *outcome)
{
	const struct pl_work *work = job->worker->work;
	const struct pl_event *last = job->record->last;
	uint64_t now = pl_clock_wall_ms();
	bool counts = !verdict->no_attempt && verdict->kind != PL_VERDICT_BACK;
	struct pl_event event = {
		.n = last->n + 1,
		.time_ms = now,
		.state = state_after(work, outcome->verdict),
		.attempts = { last->attempts[0], last->attempts[1] },
		.refetch = last->refetch,
		.level = PL_LOG_INFO,
		.service = work->letter,
		.name = work->done,
		.stage = (int)work->stage,
		.attempt = counts ? job->attempt : 0,
		.ms = pl_clock_mono_ms() - job->started_mono_ms,
		.status = verdict->status,
		.fault = verdict->fault,
		.message = verdict->message,
		.data = verdict->data,
		.partial = verdict->partial,
	};
	if (counts)
		event.attempts[work->stage] = job->attempt;
	if (outcome->verdict == PL_SETTLE_BACK) {
		event.name = "cut";
	} else if (outcome->verdict == PL_SETTLE_RETRY) {
		event.name = "retry";
		event.level = PL_LOG_WARN;
		event.until_ms = now + outcome->delay_ms;
	} else if (outcome->verdict == PL_SETTLE_FAIL) {
		event.name = "failed";
		event.level = PL_LOG_ERROR;
	}
	enum pl_err err = pl_event_encode(&event, job->record->created_ms, &outcome->text);
	PL_ASSERT(err == PL_OK); /* TEXT_MAX covers the longest */
	if (outcome->verdict == PL_SETTLE_FAIL &&
		job->record->request.failure_callback_url != NULL) {
		outcome->failure = pl_calloc(1, sizeof *outcome->failure);
		if (!failure_compose(job, &event, outcome->failure)) {
			free(outcome->failure);
			outcome->failure = NULL;
		}
	}
	tell(job, &event);
	worker_count_event(job->worker, outcome->verdict, &event);
}

static void decide(
	struct pl_job *job, const struct pl_verdict *verdict, struct pl_job_outcome *outcome)
{
	struct pl_worker *worker = job->worker;
	outcome->outcome = verdict->outcome;
	if (verdict->retry_after_ms > 0) {
		uint64_t hold = verdict->retry_after_ms;
		outcome->hold_ms =
			scaled(worker, hold < PL_HOST_HOLD_MAX_MS ? hold : PL_HOST_HOLD_MAX_MS);
	}
	switch (verdict->kind) {
	case PL_VERDICT_BACK:
		outcome->verdict = PL_SETTLE_BACK;
		outcome->outcome = PL_OUTCOME_NONE;
		outcome->delay_ms = scaled(worker, verdict->wait_ms);
		worker_count(worker, WORKER_GIVEN_BACK, 1);
		if (verdict->partial != NULL)
			write_event(job, verdict, outcome);
		return;
	case PL_VERDICT_DONE:
		outcome->verdict = PL_SETTLE_DONE;
		break;
	case PL_VERDICT_FAIL:
		outcome->verdict = PL_SETTLE_FAIL;
		break;
	case PL_VERDICT_RETRY:
		outcome->verdict =
			job->attempt > retries_of(job) ? PL_SETTLE_FAIL : PL_SETTLE_RETRY;
		break;
	}
	if (outcome->verdict == PL_SETTLE_RETRY) {
		outcome->delay_ms = retry_delay_ms(job, verdict);
		uint64_t end = pl_record_expires_ms(job->record, job->worker->time_scale),
			 now = pl_clock_wall_ms();
		if (end > now && now + outcome->delay_ms > end)
			outcome->delay_ms = end - now; /* then it is told that it has expired */
	}
	const struct pl_data *data = verdict->data != NULL ? verdict->data : &job->record->data;
	outcome->data_bytes = data->bytes;
	write_event(job, verdict, outcome);
}

static const struct pl_verdict expired = {
	.kind = PL_VERDICT_FAIL,
	.outcome = PL_OUTCOME_NONE,
	.fault = PL_FAULT_EXPIRED,
	.message = "its time had passed (expiresAfter)",
	.no_attempt = true,
};

/* What was done before the cut came is done; whatever else it was, it is no attempt. */
static const struct pl_verdict *verdict_after_cut(
	const struct pl_job *job, const struct pl_verdict *verdict)
{
	static const struct pl_verdict back = { .kind = PL_VERDICT_BACK };
	if (!job->is_cut || verdict->kind == PL_VERDICT_DONE)
		return verdict;
	if (job->is_expired)
		return &expired;
	return verdict->kind == PL_VERDICT_BACK ? verdict : &back;
}

void pl_job_settle(struct pl_job *job, const struct pl_verdict *verdict)
{
	struct pl_worker *worker = job->worker;
	PL_ASSERT(job->outcome == NULL);
	list_remove(&worker->running, job);
	if (job->dropped || worker->phase == WORKER_CLOSED) {
		job_free(job);
		return;
	}
	job->outcome = pl_calloc(1, sizeof *job->outcome);
	pl_buf_init(&job->outcome->text, TEXT_MAX);
	decide(job, verdict_after_cut(job, verdict), job->outcome);
	if (verdict->chunks > 0) {
		job->outcome->chunks = verdict->chunks;
		memcpy(job->outcome->token, verdict->token, strlen(verdict->token) + 1);
	}
	list_add(&worker->settling, job);
}

/* ---- settle ---- */

static void on_settled(void *arg, enum pl_err err, const bool *settled, bool has_work)
{
	struct pl_worker *worker = arg;
	size_t sent = worker->sent;
	worker->sent = 0;
	if (err != PL_OK) {
		if (err == PL_EREDIS)
			worker_refused(worker);
		/* dropped ones are forgotten, the others are asked for again */
		struct pl_job *job, *next;
		DL_FOREACH_SAFE(worker->settling.first, job, next)
		{
			if (job->dropped) {
				list_remove(&worker->settling, job);
				job_free(job);
			}
		}
		return;
	}
	/* Without work that is known of, the bell tells. A worker that had no room does not hear it; and
	 * another one may know of work and be full by now. */
	bool was_full = jobs_room(worker) == 0 || jobs_room_unproven(worker) == 0;
	if (has_work || was_full || pl_clock_mono_ms() - worker->reserved_ms >= RESERVE_AGAIN_MS)
		worker->more = true;
	for (size_t i = 0; i < sent; i++) {
		struct pl_job *job = worker->settling.first;
		const struct pl_log_about about = { .request_id = job->id };
		if (settled[i]) {
			worker_count_settled(job, job->outcome->verdict);
		} else {
			worker_count(worker, WORKER_STALE, 1);
			pl_log(PL_LOG_DEBUG, &about, "stale",
				"settled before, or another worker's now");
		}
		list_remove(&worker->settling, job);
		job_free(job);
	}
	worker_check_drained(worker);
}

/* What the record and its chunks will use once this verdict is written. */
static uint64_t kept_bytes(const struct pl_job *job)
{
	if (job->record == NULL)
		return 0;
	const struct pl_data *data = &job->record->data;
	return job->record->stored_bytes + job->outcome->text.len +
	       (data->chunks > 0 ? data->bytes : 0);
}

void jobs_settle(struct pl_worker *worker)
{
	struct pl_settle items[PL_SETTLE_MAX];
	size_t count = 0;
	if (worker->sent > 0 || worker->settling.count == 0)
		return;
	struct pl_job *job;
	DL_FOREACH(worker->settling.first, job)
	{
		const struct pl_job_outcome *outcome = job->outcome;
		bool handed_on =
			outcome->verdict == PL_SETTLE_DONE && worker->work->stage == PL_STAGE_FETCH;
		items[count++] = (struct pl_settle) {
			.id = job->id,
			.serial = job->serial,
			.verdict = outcome->verdict,
			.outcome = outcome->outcome,
			.hold_ms = outcome->hold_ms,
			.delay_ms = outcome->delay_ms,
			.deliver_lane = handed_on ? job->record->request.deliver_lane : "",
			.data_bytes = outcome->data_bytes,
			.token = outcome->token,
			.chunks = outcome->chunks,
			.owner = job->record != NULL ? job->record->request.owner : "",
			.kept_bytes = kept_bytes(job),
			.failure = outcome->failure != NULL ? &outcome->failure->push : NULL,
			.text = outcome->text.len > 0 ? outcome->text.data : "",
			.text_len = outcome->text.len,
		};
		if (count == PL_SETTLE_MAX)
			break;
	}
	worker->sent = count;
	pl_queue_settle(
		worker->queue, worker->work->stage, worker->name, items, count, on_settled, worker);
}

/* ---- reserve ---- */

/* Settles without an event: what others wrote stands, or nobody can read what stands there. */
static void let_go(struct pl_job *job, enum pl_settle_verdict verdict)
{
	list_remove(&job->worker->running, job);
	job->outcome = pl_calloc(1, sizeof *job->outcome);
	pl_buf_init(&job->outcome->text, TEXT_MAX);
	job->outcome->verdict = verdict;
	job->outcome->outcome = PL_OUTCOME_NONE;
	list_add(&job->worker->settling, job);
}

static bool has_expired(const struct pl_job *job)
{
	uint64_t end = pl_record_expires_ms(job->record, job->worker->time_scale);
	return end > 0 && job->started_ms >= end;
}

/* The one fetch for all has failed. */
static bool has_join_failed(const struct pl_job *job)
{
	return strcmp(job->record->last->name, "join_failed") == 0;
}

static bool is_for_us(const struct pl_job *job)
{
	enum pl_state state = job->record->last->state;
	if (job->record->last->paused && !has_expired(job) && !has_join_failed(job))
		return false;
	return job->worker->work->stage == PL_STAGE_DELIVER
		       ? state == PL_STATE_FETCHED
		       : state == PL_STATE_QUEUED || state == PL_STATE_SCHEDULED;
}

static bool was_cut_early(const struct pl_job *job)
{
	for (size_t i = 0; i < job->worker->early_count; i++)
		if (strcmp(job->worker->early[i], job->id) == 0)
			return true;
	return false;
}

/* What ends a job before it has begun; none of it is an attempt. */
static bool is_over(const struct pl_job *job, struct pl_verdict *out)
{
	const struct pl_event *last = job->record->last;
	*out = (struct pl_verdict) {
		.kind = PL_VERDICT_FAIL, .outcome = PL_OUTCOME_NONE, .no_attempt = true
	};
	if (!worker_lease_holds(job->worker) || job->worker->draining || was_cut_early(job)) {
		out->kind = PL_VERDICT_BACK;
		return true;
	}
	if (has_expired(job)) {
		*out = expired;
		return true;
	}
	if (has_join_failed(job)) {
		out->fault = last->fault;
		out->message = last->message;
		return true;
	}
	return false;
}

static void begin(struct pl_worker *worker, const struct pl_reserved *item)
{
	struct pl_job *job = pl_calloc(1, sizeof *job);
	job->worker = worker;
	job->serial = worker->serial;
	job->unproven = item->unproven;
	worker->unproven += item->unproven;
	job->started_ms = pl_clock_wall_ms();
	job->started_mono_ms = pl_clock_mono_ms();
	memcpy(job->id, item->id, strnlen(item->id, PL_UUID_SIZE - 1));
	list_add(&worker->running, job);
	enum pl_err err = PL_ENOTFOUND;
	if (item->text != NULL)
		err = pl_record_decode(job->id, item->text, item->text_len, &job->record);
	const struct pl_log_about about = { .request_id = job->id };
	if (err == PL_EINVAL)
		pl_log(PL_LOG_ERROR, &about, "unreadable", "the record is not of our form");
	if (err != PL_OK || !is_for_us(job)) {
		let_go(job, err == PL_EINVAL ? PL_SETTLE_FAIL : PL_SETTLE_LET_GO);
		return;
	}
	job->attempt = job->record->last->attempts[worker->work->stage] + 1;
	struct pl_verdict verdict;
	if (is_over(job, &verdict))
		pl_job_settle(job, &verdict);
	else
		worker->work->begin(worker->stage_state, job);
}

static void on_due(uv_timer_t *timer)
{
	struct pl_worker *worker = timer->data;
	worker->more = true;
}

static void on_reserved(void *arg, enum pl_err err, enum pl_reserve_note note, int64_t next_due_ms,
	const struct pl_reserved *items, size_t count)
{
	struct pl_worker *worker = arg;
	worker->reserve_underway = false;
	if (worker->phase == WORKER_CLOSED)
		return;
	if (worker->asked_leases != worker->leases) { /* it was asked under an earlier name */
		worker->more = true;
		worker_check_drained(worker);
		return;
	}
	if (err == PL_ESTALE) {
		worker_lost_lease(worker);
		return;
	}
	if (err == PL_EUNKNOWN) {
		worker->reserve_unknown = true;
		return;
	}
	if (err != PL_OK) {
		worker->more = true;
		worker_refused(worker);
		return;
	}
	uint64_t wait = next_due_ms >= 0 ? (uint64_t)next_due_ms : 0;
	if (note == PL_RESERVE_FULL && (next_due_ms < 0 || wait > FULL_WAIT_MS))
		wait = FULL_WAIT_MS;
	if (next_due_ms >= 0 || note == PL_RESERVE_FULL)
		uv_timer_start(&worker->due, on_due, wait + 1, 0);
	else
		uv_timer_stop(&worker->due);
	if (note == PL_RESERVE_MORE)
		worker->reserve_unknown = true;
	if (count >= worker->wanted)
		worker->more = true;
	for (size_t i = 0; i < count; i++)
		begin(worker, &items[i]);
	if (!worker->reserve_unknown)
		worker->early_count = 0;
	worker_listen(worker);
	worker_check_drained(worker);
}

static void on_recovered(void *arg, enum pl_err err, enum pl_reserve_note note, int64_t next_due_ms,
	const struct pl_reserved *items, size_t count)
{
	struct pl_worker *worker = arg;
	if (err == PL_OK && worker->asked_leases == worker->leases) {
		worker->reserve_unknown = false;
		worker->more = true;
	}
	on_reserved(worker, err, note, next_due_ms, items, count);
}

/* One call for requests at a time; the serial of what it brings is its own. */
static void ask(struct pl_worker *worker)
{
	worker->reserve_underway = true;
	worker->reserved_ms = pl_clock_mono_ms();
	worker->serial++;
	worker->asked_leases = worker->leases;
}

void jobs_recover(struct pl_worker *worker)
{
	size_t room = worker->running.count + worker->settling.count, count = 0;
	struct pl_known *known = pl_alloc((room + 1) * sizeof *known);
	struct pl_job *job;
	DL_FOREACH(worker->running.first, job)
	known[count++] = (struct pl_known) { job->id, job->serial };
	DL_FOREACH(worker->settling.first, job)
	known[count++] = (struct pl_known) { job->id, job->serial };
	ask(worker);
	pl_queue_recover(worker->queue, worker->work->stage, worker->name, worker->serial, known,
		count, on_recovered, worker);
	free(known);
}

size_t jobs_room(const struct pl_worker *worker)
{
	size_t busy = worker->running.count + worker->settling.count;
	return busy < worker->prefetch ? worker->prefetch - busy : 0;
}

size_t jobs_room_unproven(const struct pl_worker *worker)
{
	size_t most = worker->prefetch - worker->prefetch / 2; /* one at least */
	return worker->unproven < most ? most - worker->unproven : 0;
}

void jobs_reserve(struct pl_worker *worker)
{
	size_t room = jobs_room(worker), unproven = jobs_room_unproven(worker);
	if (worker->reserve_underway || worker->draining || room == 0 ||
		pl_clock_mono_ms() < worker->full_until_ms)
		return;
	if (worker->reserve_unknown) {
		jobs_recover(worker);
		return;
	}
	if (!worker->more)
		return;
	unsigned want = room < PL_RESERVE_MAX ? (unsigned)room : PL_RESERVE_MAX;
	ask(worker);
	worker->wanted = want;
	worker->more = false;
	pl_queue_reserve(worker->queue, worker->work->stage, worker->name, worker->serial, want,
		unproven < want ? (unsigned)unproven : want,
		worker->work->stage == PL_STAGE_FETCH ? worker->bytes_max : 0, on_reserved, worker);
}

/* Of a dropped job it is nobody's: whatever the worker is called by now, its settle won't come. */
void pl_job_chunk_put(struct pl_job *job, struct pl_chunk chunk, pl_done_cb cb, void *arg)
{
	struct pl_worker *worker = job->worker;
	chunk.bodies_max = BODIES_SHARES * worker->bytes_max;
	pl_queue_chunk_put(worker->queue, job->dropped ? "" : worker->name, &chunk, cb, arg);
}

uint64_t pl_worker_bodies_max(const struct pl_worker *worker)
{
	return worker->bytes_max > 0 ? BODIES_SHARES * worker->bytes_max : UINT64_MAX;
}

void pl_worker_redis_full(struct pl_worker *worker)
{
	worker->full_until_ms = pl_clock_mono_ms() + REFUSED_WAIT_MS;
	worker->more = true;
	uv_timer_start(&worker->due, on_due, REFUSED_WAIT_MS, 0);
}

/* ---- cutting ---- */

static void cut(struct pl_job *job)
{
	if (job->is_cut)
		return;
	job->is_cut = true;
	job->worker->work->cut(job);
}

void jobs_cut_all(struct pl_worker *worker)
{
	struct pl_job *job, *next;
	DL_FOREACH_SAFE(worker->running.first, job, next)
	cut(job);
}

void jobs_cut(struct pl_worker *worker, const char *id, bool is_expired)
{
	struct pl_job *job;
	DL_FOREACH(worker->running.first, job)
	{
		if (strcmp(job->id, id) == 0) {
			job->is_expired = job->is_expired || is_expired;
			cut(job);
			return;
		}
	}
	/* The word may come before the job: they travel over two connections. */
	bool may_come = worker->reserve_underway || worker->reserve_unknown;
	if (may_come && worker->early_count < WORKER_EARLY_MAX)
		memcpy(worker->early[worker->early_count++], id, strnlen(id, PL_UUID_SIZE - 1) + 1);
}

void jobs_drop_all(struct pl_worker *worker)
{
	struct pl_job *job, *next;
	size_t place = 0;
	DL_FOREACH_SAFE(worker->settling.first, job, next)
	{
		job->dropped = true;
		if (place++ >= worker->sent) { /* those under way go when their answer comes */
			list_remove(&worker->settling, job);
			job_free(job);
		}
	}
	DL_FOREACH(worker->running.first, job)
	job->dropped = true;
	jobs_cut_all(worker);
}
