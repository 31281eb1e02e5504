/*
 * The engine's life, and the four calls on an exchange. None of them does anything at once:
 * they leave a mark and wake the exchange, so that no callback ever runs inside them.
 */
#include <stdlib.h>

#include "http_private.h"
#include "pipeline/mem.h"

static struct pl_http *engine_new(uv_loop_t *loop, const struct pl_http_engine_options *options)
{
	struct pl_http *http = pl_calloc(1, sizeof(*http));
	http->loop = loop;
	http->policy = options->policy;
	http->pool_max = options->connections_max;
	http->ca_file = pl_strdup(options->ca_file);
	http->user_agent = pl_strdup(options->user_agent);
	TAILQ_INIT(&http->live);
	TAILQ_INIT(&http->woken);
	TAILQ_INIT(&http->pool);
	return http;
}

static void engine_free(struct pl_http *http)
{
	free(http->sockets);
	free(http->ca_file);
	free(http->user_agent);
	free(http);
	curl_global_cleanup();
}

enum pl_err pl_http_new(
	uv_loop_t *loop, const struct pl_http_engine_options *options, struct pl_http **out)
{
	PL_ASSERT(options->policy != NULL);
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		return PL_ESYS;
	struct pl_http *http = engine_new(loop, options);
	const struct pl_resolver_options names = { .servers = options->dns_servers };
	enum pl_err err = pl_resolver_new(loop, &names, &http->resolver);
	if (err != PL_OK) {
		engine_free(http);
		return err;
	}
	http->handles = 1; /* the resolver */
	http_loop_init(http, options->connections_max);
	*out = http;
	return PL_OK;
}

struct pl_http_exchange *pl_http_start(struct pl_http *http, const struct pl_http_options *options)
{
	PL_ASSERT(!http->torn_down);
	struct pl_http_exchange *x = TAILQ_FIRST(&http->pool);
	if (x != NULL) {
		TAILQ_REMOVE(&http->pool, x, link);
		http->pooled--;
	} else {
		x = http_exchange_new(http);
	}
	TAILQ_INSERT_TAIL(&http->live, x, link);
	http->in_flight++;
	http_exchange_begin(x, options);
	if (http->closing)
		x->cut = PL_FAULT_CANCELLED;
	http_loop_wake(x);
	return x;
}

void pl_http_resume(struct pl_http_exchange *x)
{
	if (x->step == HTTP_POOLED)
		return;
	x->resumed = true;
	http_loop_wake(x);
}

void pl_http_cut(struct pl_http_exchange *x, enum pl_fault fault)
{
	PL_ASSERT(fault != PL_FAULT_NONE);
	if (x->step == HTTP_POOLED || x->cut != PL_FAULT_NONE)
		return;
	x->cut = fault;
	http_loop_wake(x);
}

size_t pl_http_in_flight(const struct pl_http *http)
{
	return http->in_flight;
}

void http_leave(struct pl_http_exchange *x)
{
	x->step = HTTP_POOLED;
	http_loop_sleep(x);
	TAILQ_REMOVE(&x->http->live, x, link);
	if (--x->http->in_flight == 0 && x->http->closing)
		http_loop_turn(x->http);
}

void http_pool(struct pl_http_exchange *x)
{
	struct pl_http *http = x->http;
	if (http->pooled >= http->pool_max) {
		http_exchange_free(x);
		return;
	}
	TAILQ_INSERT_HEAD(&http->pool, x, link); /* the warmest first */
	http->pooled++;
}

void pl_http_close(struct pl_http *http, void (*closed)(void *arg), void *arg)
{
	PL_ASSERT(!http->closing);
	http->closing = true;
	http->closed = closed;
	http->closed_arg = arg;
	struct pl_http_exchange *x;
	TAILQ_FOREACH(x, &http->live, link)
	pl_http_cut(x, PL_FAULT_CANCELLED);
	http_loop_turn(http);
}

static void on_resolver_closed(void *arg)
{
	http_handle_gone(arg);
}

void http_tear_down(struct pl_http *http)
{
	http->torn_down = true;
	struct pl_http_exchange *x;
	while ((x = TAILQ_FIRST(&http->pool)) != NULL) {
		TAILQ_REMOVE(&http->pool, x, link);
		http_exchange_free(x);
	}
	pl_resolver_close(http->resolver, on_resolver_closed, http);
	http_loop_fini(http);
}

void http_handle_gone(struct pl_http *http)
{
	if (--http->handles > 0)
		return;
	void (*closed)(void *arg) = http->closed;
	void *arg = http->closed_arg;
	engine_free(http);
	closed(arg);
}
