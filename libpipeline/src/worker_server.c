/*
 * The server of a worker's metrics. Its threads read atomics and nothing else of the worker.
 */
#include <stdio.h>
#include <string.h>

#include "pipeline/clock.h"
#include "pipeline/log.h"
#include "worker_metrics.h"

#define THREADS     2 /* one asks; the other, so that a client who dawdles hides nothing */
#define PER_ADDRESS 8
#define BODY_MAX    1024 /* no call takes one */
#define HEAD_MS     5000
#define BODY_MS     5000
#define IDLE_MS     1000 /* who asks comes every 15 s: kept connections would hold both threads */
#define STOP_MS     1000 /* of PL_SERVICE_STOP_MS */

static _Thread_local char complaint[256];

static void answer_problem(
	struct pl_http_call *call, int status, const char *headers, const char *detail)
{
	struct pl_buf *body = pl_http_call_scratch(call);
	enum pl_err err = pl_buf_format(body,
		"{\"type\":\"about:blank\",\"title\":\"%s\",\"status\":%d,\"detail\":\"%s\"}",
		pl_http_status_phrase(status), status, detail);
	PL_ASSERT(err == PL_OK); /* a few words */
	pl_http_call_answer(
		call, status, "application/problem+json", headers, body->data, body->len);
}

static void answer_status(struct pl_http_call *call, const char *json)
{
	pl_http_call_answer(call, 200, "application/json", NULL, json, strlen(json));
}

static bool is_ready(const struct worker_metrics *metrics)
{
	return pl_clock_boot_ms() <
	       atomic_load_explicit(&metrics->ready_until_ms, memory_order_relaxed);
}

static void tell_metrics(struct worker_metrics *metrics, struct pl_http_call *call)
{
	struct pl_buf *text = pl_http_call_scratch(call);
	pl_metrics_set(metrics->counts, WORKER_READY, 0, is_ready(metrics));
	enum pl_err err = pl_metrics_write(metrics->counts, text);
	PL_ASSERT(err == PL_OK); /* some 10 KiB, of a call's 16 MiB */
	pl_http_call_answer(call, 200, PL_METRICS_TYPE, NULL, text->data, text->len);
}

static void tell_alive(struct worker_metrics *metrics, struct pl_http_call *call)
{
	(void)metrics; /* that it answers is the answer */
	answer_status(call, "{\"status\":\"alive\"}");
}

static void tell_ready(struct worker_metrics *metrics, struct pl_http_call *call)
{
	if (is_ready(metrics))
		answer_status(call, "{\"status\":\"ready\"}");
	else
		answer_problem(call, 503, "Retry-After: 1\r\n",
			"This worker holds no lease: Redis is away, or it is shutting down.");
}

static const struct route {
	const char *path;
	void (*tell)(struct worker_metrics *metrics, struct pl_http_call *call);
} routes[] = {
	{ "/metrics", tell_metrics },
	{ "/healthz", tell_alive },
	{ "/readyz", tell_ready },
};

static const struct route *find_route(const char *path)
{
	for (size_t i = 0; i < sizeof routes / sizeof *routes; i++)
		if (strcmp(routes[i].path, path) == 0)
			return &routes[i];
	return NULL;
}

static void handle(void *arg, struct pl_http_call *call)
{
	const struct route *route = find_route(pl_http_call_path(call));
	const char *method = pl_http_call_method(call);
	if (route == NULL)
		answer_problem(call, 404, NULL, "There is nothing at this path.");
	else if (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0)
		answer_problem(
			call, 405, "Allow: GET, HEAD\r\n", "This path does not take this method.");
	else
		route->tell(arg, call);
}

enum pl_err worker_server_start(
	struct worker_metrics *metrics, const struct pl_settings *settings, const char **why)
{
	const struct pl_http_server_options options = {
		.bind = pl_settings_text(settings, "BIND"),
		.port = (unsigned)pl_settings_number(settings, "METRICS_PORT"),
		.threads = THREADS,
		.connections_per_address = PER_ADDRESS,
		.body_max = BODY_MAX,
		.head_ms = HEAD_MS,
		.body_ms = BODY_MS,
		.idle_ms = IDLE_MS,
		.handler = handle,
		.arg = metrics,
	};
	enum pl_err err = pl_http_server_start(&options, &metrics->server, why);
	if (err != PL_OK) {
		snprintf(complaint, sizeof complaint, "METRICS_PORT: %s", *why);
		*why = complaint;
		return err;
	}
	pl_log(PL_LOG_INFO, NULL, "metrics", "http://%s:%u/metrics", options.bind, options.port);
	return PL_OK;
}

bool worker_server_stop(struct worker_metrics *metrics)
{
	return pl_http_server_stop(metrics->server, STOP_MS);
}
