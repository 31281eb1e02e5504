/*
 * metrics: what the api counts, and the figures of the whole pipeline that it asks Redis for.
 *
 * A new metric is a row in metrics.c and its number here; pl_metrics_add(api->metrics.counts, …)
 * from any thread.
 */
#ifndef API_METRICS_H
#define API_METRICS_H

#include <uv.h>

#include "pipeline/metrics.h"
#include "pipeline/queue.h"

enum api_metric { /* the rows */
	API_BUILD,
	API_READY,
	API_RECONNECTS,
	API_LAG, /* of the store's loop */
	API_ACCEPTED,
	API_DEDUPLICATED,
	API_REFUSED, /* its series: enum api_refusal */
	API_STORE_TIME,
	API_TAILS,
	API_DEPTH, /* from here on Redis' figures; series of a queue: enum pl_stage */
	API_DELAYED,
	API_LEASED,
	API_OLDEST,
	API_WORKERS,
	API_PAUSED,
	API_LIVE,
	API_LIVE_MAX,
	API_DEAD,
	API_UNDELIVERED,
	API_KEPT,
	API_TRIMMED,
	API_METRICS
};

enum api_refusal {
	API_REFUSED_MALFORMED,   /* 400 */
	API_REFUSED_TOO_LARGE,   /* 413 */
	API_REFUSED_INVALID,     /* 422 */
	API_REFUSED_CONFLICT,    /* 422: a key that stands for something else */
	API_REFUSED_SHARE,       /* 429 */
	API_REFUSED_KEY,         /* 401: no key, or nobody's; any call */
	API_REFUSED_RATE,        /* 429: more calls than API_RATE; any call */
	API_REFUSED_FULL,        /* 503: the backlog, or Redis */
	API_REFUSED_UNAVAILABLE, /* 503: nothing was stored */
	API_REFUSED_UNKNOWN,     /* 503: it may have been stored */
	API_REFUSED_HTTP,        /* by the HTTP server: framing, time, connections */
};

struct api_metrics {
	struct pl_metrics *counts;
	uv_mutex_t lock;
	uint64_t asked_ms; /* when Redis was asked; under the lock */
};

void api_metrics_init(struct api_metrics *metrics, uint64_t queue_max);
void api_metrics_fini(struct api_metrics *metrics);

void api_metrics_refused(struct api_metrics *metrics, enum api_refusal why);
/* The HTTP server answered so by itself: no handler saw it. */
void api_metrics_http(struct api_metrics *metrics, int status);
/* A body that pl_request_parse refused. */
void api_metrics_unread(
	struct api_metrics *metrics, enum pl_err err, const struct pl_faults *faults);
/* What came of a store_push, accepted or not. */
void api_metrics_pushed(
	struct api_metrics *metrics, enum pl_err err, enum pl_pushed word, uint64_t took_us);

#endif
