/*
 * The object: it meets Redis, joins its queue, renews its lease, drains and closes.
 *
 *   AWAY --Redis ready--> JOINING --register or beat ok--> SERVING --Redis lost--> AWAY
 *                            '-- stale: drop all, new name --^
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pipeline/addresses.h"
#include "pipeline/clock.h"
#include "pipeline/log.h"
#include "pipeline/mem.h"
#include "pipeline/text.h"
#include "worker_metrics.h"

#define AGAIN_MS       200             /* after Redis has refused a call */
#define BYTES_SHARE    4               /* undelivered data may fill a quarter of maxmemory */
#define CONNECTIONS(n) ((n) + (n) / 2) /* kept open: 1.5 x in flight, or curl churns */

bool worker_lease_holds(const struct pl_worker *worker)
{
	return pl_clock_boot_ms() < worker->lease_until_ms;
}

bool pl_worker_may_act(const struct pl_worker *worker)
{
	return worker_lease_holds(worker);
}

struct pl_http *pl_worker_http(struct pl_worker *worker)
{
	return worker->http;
}

struct pl_queue *pl_worker_queue(struct pl_worker *worker)
{
	return worker->queue;
}

uv_loop_t *pl_worker_loop(struct pl_worker *worker)
{
	return worker->loop;
}

/* ---- joining and the lease ---- */

static void join(struct pl_worker *worker);

static void name_anew(struct pl_worker *worker)
{
	unsigned char random[(PL_WORKER_NAME_SIZE - 1) / 2];
	int got = uv_random(NULL, NULL, random, sizeof random, 0, NULL);
	PL_ASSERT(got == 0);
	pl_hex(random, sizeof random, worker->name);
}

static void serve(struct pl_worker *worker)
{
	bool first = worker->phase != WORKER_SERVING;
	worker->phase = WORKER_SERVING;
	worker->more = true;
	worker->refused = false;
	if (first) {
		pl_log(PL_LOG_INFO, NULL, "serving", "worker %s", worker->name);
	}
	if (!worker->announced) {
		worker->announced = true;
		pl_service_ready(worker->run);
	}
	worker_listen(worker);
	worker_check_drained(worker);
}

void worker_lost_lease(struct pl_worker *worker)
{
	pl_log(PL_LOG_WARN, NULL, "lease_lost",
		"%zu requests held by worker %s are others' now; registering anew",
		worker->running.count + worker->settling.count, worker->name);
	worker_count(worker, WORKER_LEASES_LOST, 1);
	if (worker->listen_underway) /* for a list into which nobody writes any more */
		pl_queue_wake(worker->queue, worker->work->stage, worker->name, NULL, NULL);
	worker->name[0] = '\0';
	worker->leases++;
	worker->lease_until_ms = 0;
	worker->reserve_unknown = false;
	jobs_drop_all(worker);
	worker->phase = WORKER_JOINING;
	join(worker);
}

static void on_again(uv_timer_t *timer)
{
	struct pl_worker *worker = timer->data;
	worker->refused = false;
	if (worker->phase == WORKER_JOINING)
		join(worker);
	else
		worker_listen(worker);
}

/* So that many workers do not come back at once. */
static uint64_t jitter_ms(void)
{
	uint32_t random;
	if (uv_random(NULL, NULL, &random, sizeof random, 0, NULL) != 0)
		return 0;
	return random % AGAIN_MS;
}

void worker_refused(struct pl_worker *worker)
{
	worker->refused = true;
	if (!uv_is_active((uv_handle_t *)&worker->again))
		uv_timer_start(&worker->again, on_again, AGAIN_MS + jitter_ms(), 0);
}

struct lease_call { /* which name asked, and from when its lease counts */
	struct pl_worker *worker;
	unsigned leases;
	uint64_t until_ms;
};

static struct lease_call *lease_call(struct pl_worker *worker)
{
	struct lease_call *call = pl_alloc(sizeof *call);
	*call = (struct lease_call) { worker, worker->leases,
		pl_clock_boot_ms() + worker->lease_ms };
	return call;
}

/* Ends a call about the lease: until when it counts, or 0 when it was another name's. */
static uint64_t lease_call_end(struct lease_call *call)
{
	struct pl_worker *worker = call->worker;
	uint64_t until_ms = call->leases == worker->leases ? call->until_ms : 0;
	free(call);
	worker->beat_underway = false;
	return until_ms;
}

static void on_registered(void *arg, enum pl_err err, const char *why)
{
	struct pl_worker *worker = ((struct lease_call *)arg)->worker;
	uint64_t until_ms = lease_call_end(arg);
	if (worker->phase != WORKER_JOINING)
		return;
	if (err == PL_ECONFLICT) {
		pl_service_fail(worker->run, PL_EXIT_SETTING, "%s", why);
		return;
	}
	if (err != PL_OK) {
		worker->name[0] = '\0';
		worker_refused(worker);
		return;
	}
	if (strcmp(why, "new") == 0) {
		pl_log(PL_LOG_WARN, NULL, "redis_empty",
			"nothing stood in Redis: a new one, or one that was emptied");
		worker_hosts_tell(worker);
	}
	worker->lease_until_ms = until_ms;
	serve(worker);
}

static void on_beat(void *arg, enum pl_err err, unsigned reaped, unsigned requeued, bool more)
{
	struct pl_worker *worker = ((struct lease_call *)arg)->worker;
	uint64_t until_ms = lease_call_end(arg);
	if (worker->phase != WORKER_JOINING && worker->phase != WORKER_SERVING)
		return;
	if (until_ms == 0) { /* a new name waits for this answer to register */
		join(worker);
		return;
	}
	if (err == PL_OK || err == PL_ESTALE) {
		worker_count(worker, WORKER_REAPED, reaped);
		worker_count(worker, WORKER_REQUEUED, requeued);
		if (reaped > 0 || requeued > 0)
			pl_log(PL_LOG_WARN, NULL, "reaped",
				"dead workers: %u, requests back in their lanes: %u", reaped,
				requeued);
	}
	if (err == PL_ESTALE) {
		worker_lost_lease(worker);
	} else if (err != PL_OK) {
		worker_refused(worker);
	} else {
		worker->lease_until_ms = until_ms;
		serve(worker);
		worker_retain(worker);
		if (more)
			worker_beat_now(worker);
	}
}

void worker_beat_now(struct pl_worker *worker)
{
	if (worker->beat_underway || worker->name[0] == '\0')
		return;
	worker->beat_underway = true;
	pl_queue_beat(worker->queue, worker->work->stage, worker->name, worker->lease_ms, on_beat,
		lease_call(worker));
}

/* A name that Redis may still know asks with a beat whether it is; else a new one registers. */
static void join(struct pl_worker *worker)
{
	if (worker->name[0] != '\0') {
		worker_beat_now(worker);
		return;
	}
	if (worker->beat_underway)
		return;
	name_anew(worker);
	worker->beat_underway = true;
	pl_queue_register(worker->queue, worker->work->stage, worker->name, worker->lease_ms,
		on_registered, lease_call(worker));
}

static void on_beat_due(uv_timer_t *timer)
{
	struct pl_worker *worker = timer->data;
	if (worker->phase == WORKER_SERVING)
		worker_beat_now(worker);
}

/* ---- the bell and the control list ---- */

static void take_message(struct pl_worker *worker, const char *message)
{
	static const char *const cuts[] = { "cancel ", "pause ", "expire " };
	if (*message == '\0') {
		worker->more = true;
		return;
	}
	for (size_t i = 0; i < sizeof cuts / sizeof *cuts; i++)
		if (strncmp(message, cuts[i], strlen(cuts[i])) == 0)
			jobs_cut(worker, message + strlen(cuts[i]), *message == 'e');
}

static void on_message(void *arg, enum pl_err err, const char *message)
{
	struct pl_worker *worker = arg;
	worker->listen_underway = false;
	if (err == PL_OK && message != NULL && worker->phase != WORKER_CLOSED)
		take_message(worker, message); /* it was popped: nobody says it again */
	if (worker->phase != WORKER_SERVING)
		return;
	if (err != PL_OK) {
		worker_refused(worker); /* listens again after a moment */
		worker->more = true;    /* a bell may have been lost with the connection */
		return;
	}
	/* With a bell just taken, the reserve it leads to decides what to listen to next. */
	if (!worker->more || worker->draining || jobs_room(worker) == 0)
		worker_listen(worker);
}

static void on_woken(void *arg, enum pl_err err, const char *why)
{
	struct pl_worker *worker = arg;
	(void)why; /* what else Redis refuses is told */
	if (err == PL_OK || worker->phase != WORKER_SERVING)
		return;
	worker->listen_bells = PL_BELL_NONE; /* whatever the call under way hears: wake it again */
	worker_refused(worker);
}

/* The bell only when a reserve has found nothing more and there is room. */
static enum pl_bells bells_for(const struct pl_worker *worker)
{
	if (jobs_room(worker) == 0 || worker->more || worker->reserve_underway || worker->draining)
		return PL_BELL_NONE;
	return jobs_room_unproven(worker) > 0 ? PL_BELL_UNPROVEN : PL_BELL_WORK;
}

/* The control list always. */
void worker_listen(struct pl_worker *worker)
{
	if (worker->phase != WORKER_SERVING || worker->refused)
		return;
	enum pl_bells bells = bells_for(worker);
	if (worker->listen_underway) {
		if (bells > worker->listen_bells) {
			worker->listen_bells = bells; /* asked for once; the wake ends this call */
			pl_queue_wake(
				worker->queue, worker->work->stage, worker->name, on_woken, worker);
		}
		return;
	}
	worker->listen_underway = true;
	worker->listen_bells = bells;
	pl_queue_listen(
		worker->queue, worker->work->stage, worker->name, bells, on_message, worker);
}

/* ---- the loop turn ---- */

void worker_flush(struct pl_worker *worker)
{
	if (worker->phase != WORKER_SERVING || worker->refused)
		return;
	if (!worker_lease_holds(worker)) {
		worker_beat_now(worker);
		return;
	}
	jobs_settle(worker);
	jobs_reserve(worker);
}

static void on_before_poll(uv_prepare_t *handle)
{
	worker_flush(handle->data);
	worker_metrics_turn(handle->data);
}

static void on_after_poll(uv_check_t *handle)
{
	worker_flush(handle->data);
}

/* ---- meeting Redis ---- */

static enum pl_err make_policy(const struct pl_settings *settings, const struct pl_queue *queue,
	struct pl_netpolicy **out, const char **why)
{
	struct sockaddr_storage redis;
	const struct pl_addresses addresses = {
		.settings = settings,
		.public_url = pl_settings_text(settings, "PUBLIC_URL"),
		.redis = queue != NULL && pl_queue_address(queue, &redis) ? &redis : NULL,
	};
	return pl_addresses_policy(&addresses, out, why);
}

static enum pl_err make_http(struct pl_worker *worker, const char **why)
{
	const struct pl_settings *settings = pl_service_settings(worker->run);
	struct pl_netpolicy *policy;
	enum pl_err err = make_policy(settings, worker->queue, &policy, why);
	if (err != PL_OK)
		return err;
	pl_netpolicy_free(worker->policy);
	worker->policy = policy;
	const struct pl_http_engine_options options = {
		.policy = policy,
		.connections_max = CONNECTIONS((size_t)worker->prefetch),
		.ca_file = pl_settings_text(settings, "CA_FILE"),
		.dns_servers = pl_settings_text(settings, "DNS_SERVERS"),
		.user_agent = "Fetchback/" FETCHBACK_VERSION,
	};
	*why = "the HTTP engine did not start";
	return pl_http_new(worker->loop, &options, &worker->http);
}

static void on_redis_ready(void *arg, const struct pl_queue_redis *redis)
{
	struct pl_worker *worker = arg;
	const char *why;
	if (worker->phase == WORKER_CLOSED)
		return;
	worker->maxmemory = redis->maxmemory;
	worker->bytes_max = redis->maxmemory / BYTES_SHARE;
	if (worker->http == NULL && make_http(worker, &why) != PL_OK) {
		pl_service_fail(worker->run, PL_EXIT_SYSTEM, "%s", why);
		return;
	}
	worker_hosts_tell(worker);
	worker->phase = WORKER_JOINING;
	join(worker);
}

static void on_redis_lost(void *arg, const char *why)
{
	struct pl_worker *worker = arg;
	if (worker->phase == WORKER_CLOSED)
		return;
	pl_log(PL_LOG_WARN, NULL, "redis_lost", "%s", why);
	worker->phase = WORKER_AWAY;
}

/* ---- start ---- */

static void handle_opened(struct pl_worker *worker, void *handle)
{
	((uv_handle_t *)handle)->data = worker;
	worker->open_handles++;
}

static void open_handles(struct pl_worker *worker)
{
	uv_timer_t *timers[] = { &worker->beat, &worker->due, &worker->again, &worker->drain_end };
	for (size_t i = 0; i < sizeof timers / sizeof *timers; i++) {
		uv_timer_init(worker->loop, timers[i]);
		handle_opened(worker, timers[i]);
	}
	uv_prepare_init(worker->loop, &worker->before_poll);
	handle_opened(worker, &worker->before_poll);
	uv_check_init(worker->loop, &worker->after_poll);
	handle_opened(worker, &worker->after_poll);
	uv_prepare_start(&worker->before_poll, on_before_poll);
	uv_check_start(&worker->after_poll, on_after_poll);
	uv_timer_start(&worker->beat, on_beat_due, worker->lease_ms / 3, worker->lease_ms / 3);
}

static void read_settings(struct pl_worker *worker, const struct pl_settings *settings)
{
	worker->lease_ms = pl_settings_number(settings, "LEASE");
	worker->prefetch = (unsigned)pl_settings_number(settings, "PREFETCH");
	worker->body_max = (size_t)pl_settings_number(settings, "BODY_MEMORY");
	worker->time_scale = pl_settings_number(settings, "TIME_SCALE");
	worker->drain_ms = pl_settings_number(settings, "DRAIN_TIMEOUT");
	worker->timeout_ms = pl_settings_number(settings, worker->work->timeout);
	worker->schedule = *pl_settings_schedule(settings, worker->work->schedule);
	worker_retain_read(worker, settings);
}

static const char *text_or_none(const struct pl_settings *settings, const char *name)
{
	const char *text = pl_settings_text(settings, name);
	return text != NULL && *text != '\0' ? text : "none";
}

int pl_worker_start(struct pl_service_run *run, const struct pl_work *work, void **state)
{
	const struct pl_settings *settings = pl_service_settings(run);
	struct pl_worker *worker = pl_calloc(1, sizeof *worker);
	worker->run = run;
	worker->work = work;
	worker->loop = pl_service_loop(run);
	read_settings(worker, settings);
	*state = worker;
	open_handles(worker);

	const char *why = "";
	const struct pl_queue_options options = {
		.redis_url = pl_settings_text(settings, "REDIS_URL"),
		.host_concurrency = (unsigned)pl_settings_number(settings, "HOST_CONCURRENCY"),
		.host_rate = pl_settings_number(settings, "HOST_RATE"),
		.breaker_ms = PL_BREAKER_MS / worker->time_scale,
		.listens = true,
		.on_ready = on_redis_ready,
		.on_lost = on_redis_lost,
		.arg = worker,
	};
	enum pl_err err = make_policy(settings, NULL, &worker->policy, &why);
	if (err == PL_OK)
		err = worker_hosts_read(worker, &why);
	if (err == PL_OK)
		err = pl_queue_new(worker->loop, &options, &worker->queue, &why);
	if (err == PL_OK)
		err = worker_metrics_open(worker, settings, &why);
	if (err != PL_OK) {
		pl_service_fail(run, PL_EXIT_SETTING, "%s", why);
		return PL_EXIT_SETTING;
	}
	if (pl_netpolicy_opens(worker->policy))
		pl_log(PL_LOG_INFO, NULL, "addresses_opened", "ALLOW_NETWORKS %s, ALLOW_HOSTS %s",
			text_or_none(settings, "ALLOW_NETWORKS"),
			text_or_none(settings, "ALLOW_HOSTS"));
	worker->stage_state = work->open(worker, settings);
	return 0;
}

/* ---- drain and stop ---- */

static void on_left(void *arg, enum pl_err err, const char *why)
{
	struct pl_worker *worker = arg;
	(void)err; /* whether Redis heard it or the lease has to run out: we are done */
	(void)why;
	if (worker->phase != WORKER_CLOSED)
		pl_service_drained(worker->run);
}

void worker_check_drained(struct pl_worker *worker)
{
	if (!worker->draining || worker->left || worker->running.count > 0 ||
		worker->settling.count > 0 || worker->reserve_underway)
		return;
	worker->left = true;
	pl_queue_leave(worker->queue, worker->work->stage, worker->name, on_left, worker);
}

static void on_drain_end(uv_timer_t *timer)
{
	struct pl_worker *worker = timer->data;
	pl_log(PL_LOG_INFO, NULL, "drain_cut", "%zu exchanges were still running; they go back",
		worker->running.count);
	jobs_cut_all(worker);
}

void pl_worker_drain(void *state)
{
	struct pl_worker *worker = state;
	worker->draining = true;
	uv_timer_start(
		&worker->drain_end, on_drain_end, worker->drain_ms - worker->drain_ms / 4, 0);
	if (worker->phase == WORKER_SERVING)
		worker_check_drained(worker);
	else if (worker->running.count + worker->settling.count == 0)
		pl_service_drained(worker->run); /* Redis is away, and nothing is held */
}

static void worker_free(struct pl_worker *worker)
{
	PL_ASSERT(worker->running.count == 0);
	jobs_drop_all(worker);
	if (worker->stage_state != NULL)
		worker->work->close(worker->stage_state);
	free(worker->limits);
	pl_netpolicy_free(worker->policy);
	worker_metrics_close(worker);
	free(worker);
}

static void on_handle_closed(uv_handle_t *handle)
{
	struct pl_worker *worker = handle->data;
	if (--worker->open_handles == 0)
		worker_free(worker);
}

static void close_handles(struct pl_worker *worker)
{
	uv_handle_t *handles[] = { (uv_handle_t *)&worker->beat, (uv_handle_t *)&worker->due,
		(uv_handle_t *)&worker->again, (uv_handle_t *)&worker->drain_end,
		(uv_handle_t *)&worker->before_poll, (uv_handle_t *)&worker->after_poll };
	for (size_t i = 0; i < sizeof handles / sizeof *handles; i++)
		uv_close(handles[i], on_handle_closed);
}

static void on_queue_closed(void *arg)
{
	close_handles(arg);
}

static void on_http_closed(void *arg)
{
	struct pl_worker *worker = arg;
	worker->http = NULL;
	if (worker->queue != NULL)
		pl_queue_close(worker->queue, on_queue_closed, worker);
	else
		close_handles(worker);
}

void pl_worker_stop(void *state)
{
	struct pl_worker *worker = state;
	worker->phase = WORKER_CLOSED;
	jobs_cut_all(worker);
	if (worker->http != NULL)
		pl_http_close(worker->http, on_http_closed, worker);
	else
		on_http_closed(worker);
}
