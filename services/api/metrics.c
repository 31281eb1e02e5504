#include "metrics.h"

#include "handlers.h"
#include "pipeline/clock.h"
#include "pipeline/lag.h"

#define ASK_MS 1000 /* Redis is asked at most so often, however many scrape */

static const char *const versions[] = { FETCHBACK_VERSION, NULL };
static const char *const queues[] = {
	[PL_STAGE_FETCH] = "requests",
	[PL_STAGE_DELIVER] = "responses",
	NULL,
};
static const char *const refusals[] = {
	[API_REFUSED_MALFORMED] = "malformed",
	[API_REFUSED_TOO_LARGE] = "too_large",
	[API_REFUSED_INVALID] = "invalid",
	[API_REFUSED_CONFLICT] = "conflict",
	[API_REFUSED_SHARE] = "share",
	[API_REFUSED_KEY] = "key",
	[API_REFUSED_RATE] = "rate",
	[API_REFUSED_FULL] = "full",
	[API_REFUSED_UNAVAILABLE] = "unavailable",
	[API_REFUSED_UNKNOWN] = "unknown",
	[API_REFUSED_HTTP] = "http",
	NULL,
};

/* us: from a disk that syncs at once to the deadline of a call. */
static const uint64_t store_bounds[] = { 250, 500, 1000, 2500, 5000, 10000, 25000, 50000, 100000,
	250000, 500000, 1000000, 2000000 };

#define COUNTER(of)   .name = of, .kind = PL_METRIC_COUNTER
#define GAUGE(of)     .name = of, .kind = PL_METRIC_GAUGE
#define HISTOGRAM(of) .name = of, .kind = PL_METRIC_HISTOGRAM
#define BOUNDS(of)    .bounds = of, .bounds_count = sizeof(of) / sizeof((of)[0])
#define OF_QUEUES     .scope = PL_METRIC_PIPELINE, .label = "queue", .values = queues
#define OF_PIPELINE   .scope = PL_METRIC_PIPELINE

static const struct pl_metric rows[API_METRICS] = {
	[API_BUILD] = { GAUGE("fetchback_build_info"),
		.help = "Always 1; the label tells which version runs.", .label = "version",
		.values = versions },
	[API_READY] = { GAUGE("fetchback_ready"),
		.help = "1 while this process is able to work, else 0." },
	[API_RECONNECTS] = { COUNTER("fetchback_redis_reconnects_total"),
		.help = "Times that the connection to Redis was lost and made anew." },
	[API_LAG] = { HISTOGRAM("fetchback_loop_lag_seconds"),
		.help = "How long the turns of the event loop took: an event may wait so long.",
		.scale = 1000000, BOUNDS(pl_lag_bounds) },
	[API_ACCEPTED] = { COUNTER("fetchback_accepted_total"),
		.help = "Requests accepted: on disk, and answered 202." },
	[API_DEDUPLICATED] = { COUNTER("fetchback_deduplicated_total"),
		.help = "Requests answered with an earlier one that has the same key." },
	[API_REFUSED] = { COUNTER("fetchback_refused_total"),
		.help = "Requests not accepted, by why.", .label = "reason", .values = refusals },
	[API_STORE_TIME] = { HISTOGRAM("fetchback_store_seconds"),
		.help = "How long a request that was accepted waited for Redis to store it.",
		.scale = 1000000, BOUNDS(store_bounds) },
	[API_TAILS] = { GAUGE("fetchback_open_tails"), .help = "Logs that clients follow now." },
	[API_DEPTH] = { GAUGE("fetchback_queue_depth"),
		.help = "Requests that could run now and wait for a worker or their host's turn.",
		OF_QUEUES },
	[API_DELAYED] = { GAUGE("fetchback_queue_delayed"),
		.help = "Requests that wait for their time: schedules and retries.", OF_QUEUES },
	[API_LEASED] = { GAUGE("fetchback_queue_leased"), .help = "Requests that workers hold.",
		OF_QUEUES },
	[API_OLDEST] = { GAUGE("fetchback_queue_oldest_age_seconds"),
		.help = "Time since the acceptance of the oldest request that is next for its "
			"host; 0 for none.",
		.scale = 1000, OF_QUEUES },
	[API_WORKERS] = { GAUGE("fetchback_queue_workers"), .help = "Workers that hold a lease.",
		OF_QUEUES },
	[API_PAUSED] = { GAUGE("fetchback_queue_paused"),
		.help = "1 while the whole queue is paused, else 0.", OF_QUEUES },
	[API_LIVE] = { GAUGE("fetchback_live_requests"),
		.help = "Requests that are accepted and not final.", OF_PIPELINE },
	[API_LIVE_MAX] = { GAUGE("fetchback_live_requests_max"),
		.help = "QUEUE_MAX: at so many live requests none is accepted.", OF_PIPELINE },
	[API_DEAD] = { GAUGE("fetchback_dead_letters"),
		.help = "Requests that failed and are kept.", OF_PIPELINE },
	[API_UNDELIVERED] = { GAUGE("fetchback_undelivered_bytes"),
		.help = "Fetched data that waits in Redis for its delivery.", OF_PIPELINE },
	[API_KEPT] = { GAUGE("fetchback_kept_bytes"),
		.help = "What finished requests use in Redis until retention takes them away.",
		OF_PIPELINE },
	[API_TRIMMED] = { COUNTER("fetchback_trimmed_total"),
		.help = "Finished requests that retention has taken away.", OF_PIPELINE },
};

void api_metrics_init(struct api_metrics *metrics, uint64_t queue_max)
{
	int failed = uv_mutex_init(&metrics->lock);
	PL_ASSERT(failed == 0);
	metrics->asked_ms = 0;
	metrics->counts = pl_metrics_new(rows, API_METRICS, "api", NULL);
	pl_metrics_set(metrics->counts, API_BUILD, 0, 1);
	pl_metrics_set(metrics->counts, API_LIVE_MAX, 0, queue_max);
}

void api_metrics_fini(struct api_metrics *metrics)
{
	pl_metrics_free(metrics->counts);
	uv_mutex_destroy(&metrics->lock);
}

/* ---- counting ---- */

void api_metrics_refused(struct api_metrics *metrics, enum api_refusal why)
{
	pl_metrics_add(metrics->counts, API_REFUSED, why, 1);
}

void api_metrics_http(struct api_metrics *metrics, int status)
{
	api_metrics_refused(metrics, status == 413 ? API_REFUSED_TOO_LARGE : API_REFUSED_HTTP);
}

void api_metrics_unread(
	struct api_metrics *metrics, enum pl_err err, const struct pl_faults *faults)
{
	if (faults->malformed)
		api_metrics_refused(metrics, API_REFUSED_MALFORMED);
	else if (err == PL_ELIMIT && faults->count == 0)
		api_metrics_refused(metrics, API_REFUSED_TOO_LARGE);
	else
		api_metrics_refused(metrics, API_REFUSED_INVALID);
}

static enum api_refusal refusal_of(enum pl_err err, enum pl_pushed word)
{
	if (err == PL_OK && word == PL_PUSHED_CONFLICT)
		return API_REFUSED_CONFLICT;
	if (err == PL_OK && word == PL_PUSHED_SHARE)
		return API_REFUSED_SHARE;
	if (err == PL_OK || err == PL_ELIMIT)
		return API_REFUSED_FULL;
	return err == PL_EREDIS || err == PL_ECLOSED ? API_REFUSED_UNAVAILABLE
						     : API_REFUSED_UNKNOWN;
}

void api_metrics_pushed(
	struct api_metrics *metrics, enum pl_err err, enum pl_pushed word, uint64_t took_us)
{
	if (err == PL_OK && word == PL_PUSHED) {
		pl_metrics_add(metrics->counts, API_ACCEPTED, 0, 1);
		pl_metrics_observe(metrics->counts, API_STORE_TIME, 0, took_us);
	} else if (err == PL_OK && word == PL_PUSHED_EARLIER) {
		pl_metrics_add(metrics->counts, API_DEDUPLICATED, 0, 1);
	} else {
		api_metrics_refused(metrics, refusal_of(err, word));
	}
}

/* ---- Redis' figures ---- */

static void show(struct pl_metrics *counts, const struct pl_queues *figures)
{
	for (size_t i = 0; i < PL_STAGES; i++) {
		const struct pl_queue_figures *queue = &figures->stage[i];
		pl_metrics_set(counts, API_DEPTH, i, queue->ready);
		pl_metrics_set(counts, API_DELAYED, i, queue->delayed);
		pl_metrics_set(counts, API_LEASED, i, queue->leased);
		pl_metrics_set(counts, API_OLDEST, i,
			queue->oldest_ms > 0 ? (uint64_t)queue->oldest_ms : 0);
		pl_metrics_set(counts, API_WORKERS, i, queue->workers);
		pl_metrics_set(counts, API_PAUSED, i, queue->paused);
	}
	pl_metrics_set(counts, API_LIVE, 0, figures->live);
	pl_metrics_set(counts, API_DEAD, 0, figures->dead);
	pl_metrics_set(counts, API_UNDELIVERED, 0, figures->undelivered_bytes);
	pl_metrics_set(counts, API_KEPT, 0, figures->kept_bytes);
	pl_metrics_set(counts, API_TRIMMED, 0, figures->trimmed);
}

/* What nobody knows is not shown: an old figure would look like a pipeline that stands still. */
static void hide(struct pl_metrics *counts)
{
	static const enum api_metric of_queues[] = { API_DEPTH, API_DELAYED, API_LEASED, API_OLDEST,
		API_WORKERS, API_PAUSED };
	static const enum api_metric of_pipeline[] = { API_LIVE, API_DEAD, API_UNDELIVERED,
		API_KEPT, API_TRIMMED };
	for (size_t i = 0; i < sizeof(of_queues) / sizeof(of_queues[0]); i++)
		for (size_t stage = 0; stage < PL_STAGES; stage++)
			pl_metrics_set(counts, of_queues[i], stage, PL_METRIC_UNKNOWN);
	for (size_t i = 0; i < sizeof(of_pipeline) / sizeof(of_pipeline[0]); i++)
		pl_metrics_set(counts, of_pipeline[i], 0, PL_METRIC_UNKNOWN);
}

/* Whoever comes while Redis is asked waits for that answer: a call's deadline at most. */
static void refresh(struct api *api)
{
	struct api_metrics *metrics = &api->metrics;
	uv_mutex_lock(&metrics->lock);
	if (metrics->asked_ms == 0 || pl_clock_mono_ms() - metrics->asked_ms >= ASK_MS) {
		struct pl_queues figures;
		if (store_queues(api->store, &figures) == PL_OK)
			show(metrics->counts, &figures);
		else
			hide(metrics->counts);
		metrics->asked_ms = pl_clock_mono_ms();
	}
	uv_mutex_unlock(&metrics->lock);
}

void metrics_tell(struct api *api, struct pl_http_call *call, const char *id)
{
	(void)id;
	bool is_ready = store_is_ready(api->store, NULL, 0) && !pl_http_call_stopping(call);
	refresh(api);
	pl_metrics_set(api->metrics.counts, API_READY, 0, is_ready);
	struct pl_buf *text = pl_http_call_scratch(call);
	enum pl_err err = pl_metrics_write(api->metrics.counts, text);
	PL_ASSERT(err == PL_OK); /* some 10 KiB */
	pl_http_call_answer(call, 200, PL_METRICS_TYPE, NULL, text->data, text->len);
}
