#include "api.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pipeline/addresses.h"
#include "pipeline/mem.h"
#include "pipeline/url.h"
#include "routes.h"

#define HEAD_MS  5000  /* for a head, which is a packet or two: meanwhile it holds a thread */
#define BODY_MS  30000 /* for a body of 1 MiB: 35 KB/s */
#define IDLE_MS  15000 /* a connection that waits holds a thread */
#define LOG_MS   10    /* a line waits so long for others */
#define HURRY_MS 1500  /* to stop without a drain; PL_SERVICE_STOP_MS is more */
#define STORE_MS 1000  /* for the store's thread to end; the loop waits */

/* ---- what is logged ---- */

void api_logged(struct api *api)
{
	if (!atomic_exchange(&api->log_waits, true))
		(void)uv_async_send(&api->logged);
}

/* The service writes what has gathered at the end of each turn of the loop. */
static void on_log_flush(uv_timer_t *timer)
{
	struct api *api = timer->data;
	atomic_store(&api->log_waits, false);
}

static void on_logged(uv_async_t *async)
{
	struct api *api = async->data;
	if (!uv_is_closing((uv_handle_t *)&api->log_flush))
		uv_timer_start(&api->log_flush, on_log_flush, LOG_MS, 0);
}

/* ---- addresses ---- */

static enum pl_err make_policy(
	struct api *api, unsigned port, const struct sockaddr_storage *redis, const char **why)
{
	const struct pl_settings *settings = pl_service_settings(api->run);
	const struct pl_addresses addresses = {
		.settings = settings,
		.public_url = pl_settings_text(settings, "PUBLIC_URL"),
		.api_port = port,
		.redis = redis != NULL && redis->ss_family != AF_UNSPEC ? redis : NULL,
	};
	struct pl_netpolicy **made = &api->policies[api->policies[0] != NULL];
	enum pl_err err = pl_addresses_policy(&addresses, made, why);
	if (err == PL_OK)
		atomic_store(&api->policy, *made);
	return err;
}

/* A handler may still judge by the first policy: it stays until the end. */
static void meet_redis(struct api *api)
{
	struct sockaddr_storage redis;
	const char *why;
	if (api->policies[1] != NULL || api->http == NULL || api->is_ending ||
		!store_redis(api->store, &redis))
		return;
	if (make_policy(api, pl_http_server_port(api->http), &redis, &why) != PL_OK)
		pl_service_fail(api->run, PL_EXIT_SYSTEM, "%s", why);
}

/* ---- readiness ---- */

/* A start that waits for its Redis says why, and says it again when it waits for something else. */
static void readiness_tell(struct api *api, bool is_ready, const char *why)
{
	if (is_ready && !api->is_ready)
		pl_log(PL_LOG_INFO, NULL, "accepting", "%s",
			why[0] != '\0' ? why : "Redis keeps every write");
	else if (!is_ready && (api->is_ready || strcmp(why, api->why) != 0))
		pl_log(PL_LOG_WARN, NULL, "not_accepting", "%s", why);
	api->is_ready = is_ready;
	snprintf(api->why, sizeof(api->why), "%s", why);
}

static void on_told(uv_async_t *async)
{
	struct api *api = async->data;
	char why[STORE_WHY_SIZE] = "";
	meet_redis(api);
	bool is_ready = store_is_ready(api->store, why, sizeof(why));
	readiness_tell(api, is_ready, why);
	if (is_ready && !api->was_ready) {
		api->was_ready = true;
		pl_service_ready(api->run);
	}
}

/* On the store's thread. */
static void on_store_changed(void *arg, bool ready, const char *why)
{
	struct api *api = arg;
	(void)ready; /* asked for anew on the loop: two changes may be told as one */
	(void)why;
	(void)uv_async_send(&api->told);
}

/* ---- start ---- */

static enum pl_err read_hosts(
	const struct pl_settings *settings, struct hosts *hosts, const char **why)
{
	const char *text = pl_settings_text(settings, "PUBLIC_URL");
	hosts->bind = pl_settings_text(settings, "BIND");
	if (text == NULL || text[0] == '\0')
		return PL_OK;
	struct pl_url *url;
	enum pl_err err = pl_url_parse(text, strlen(text), &url, why);
	if (err != PL_OK)
		return err;
	const char *host = pl_url_host(url);
	PL_ASSERT(strlen(host) < sizeof(hosts->public_name));
	memcpy(hosts->public_name, host, strlen(host) + 1);
	pl_url_free(url);
	return PL_OK;
}

static void on_http_refused(void *arg, int status)
{
	struct api *api = arg;
	api_metrics_http(&api->metrics, status);
}

static enum pl_err start_http(struct api *api, const struct pl_settings *settings, const char **why)
{
	const struct pl_http_server_options options = {
		.bind = pl_settings_text(settings, "BIND"),
		.port = (unsigned)pl_settings_number(settings, "PORT"),
		.threads = (unsigned)pl_settings_number(settings, "API_THREADS") + api->tails.max,
		.connections_per_address =
			(unsigned)pl_settings_number(settings, "CONNECTIONS_PER_ADDRESS"),
		.body_max = PL_REQUEST_BODY_MAX,
		.head_ms = HEAD_MS,
		.body_ms = BODY_MS,
		.idle_ms = IDLE_MS,
		.admit = routes_admit,
		.handler = routes_handle,
		.unknown_method = routes_refuse_method,
		.body_limit = routes_body_limit,
		.refused = on_http_refused,
		.arg = api,
	};
	return pl_http_server_start(&options, &api->http, why);
}

static enum pl_err start_lookups(
	struct api *api, const struct pl_settings *settings, const char **why)
{
	enum pl_err err = lookups_init(&api->lookups, pl_service_loop(api->run),
		pl_settings_text(settings, "DNS_SERVERS"));
	if (err == PL_OK)
		api->open_handles++;
	else
		*why = err == PL_EINVAL ? "these are no addresses of name servers"
					: "the resolver does not start";
	return err;
}

static void open_handles(struct api *api)
{
	uv_loop_t *loop = pl_service_loop(api->run);
	PL_ASSERT(uv_async_init(loop, &api->told, on_told) == 0);
	PL_ASSERT(uv_async_init(loop, &api->logged, on_logged) == 0);
	PL_ASSERT(uv_timer_init(loop, &api->log_flush) == 0);
	api->told.data = api->logged.data = api->log_flush.data = api->ending.data = api;
	api->open_handles = 3;
}

static int fail(struct api *api, const char *what, const char *why)
{
	pl_service_fail(api->run, PL_EXIT_SETTING, "%s%s", what, why);
	return PL_EXIT_SETTING;
}

const char *api_remark(const struct pl_settings *settings)
{
	return pl_settings_text(settings, "API_KEYS") == NULL
		       ? "open: without API_KEYS whoever reaches it may do everything"
		       : NULL;
}

int api_start(struct pl_service_run *run, void **state)
{
	const struct pl_settings *settings = pl_service_settings(run);
	struct api *api = pl_calloc(1, sizeof(*api));
	*state = api;
	api->run = run;
	api->drain_ms = pl_settings_number(settings, "DRAIN_TIMEOUT");
	tails_init(&api->tails, (unsigned)pl_settings_number(settings, "TAILS_MAX"));
	open_handles(api);
	api_metrics_init(&api->metrics, pl_settings_number(settings, "QUEUE_MAX"));

	const char *why = "";
	if (read_hosts(settings, &api->hosts, &why) != PL_OK)
		return fail(api, "PUBLIC_URL ", why);
	if (callers_init(&api->callers, settings, &why) != PL_OK)
		return fail(api, "API_KEYS ", why);
	if (make_policy(api, (unsigned)pl_settings_number(settings, "PORT"), NULL, &why) != PL_OK)
		return fail(api, "", why);
	if (store_new(settings, on_store_changed, api, api->metrics.counts, &api->store, &why) !=
		PL_OK)
		return fail(api, "REDIS_URL: ", why);
	if (start_lookups(api, settings, &why) != PL_OK)
		return fail(api, "DNS_SERVERS: ", why);
	if (start_http(api, settings, &why) != PL_OK)
		return fail(api, "", why);
	pl_log(PL_LOG_INFO, NULL, "listening", "http://%s:%u", pl_settings_text(settings, "BIND"),
		pl_http_server_port(api->http));
	return 0;
}

void api_reload(void *state)
{
	struct api *api = state;
	callers_reload(&api->callers);
}

/* ---- end ---- */

/* A thread that never came back, a handler's or the store's, still uses what it was given: api,
 * store and policy go with the process. */
static bool is_unused(const struct api *api)
{
	return (api->http == NULL || api->is_gone) && !api->is_store_left;
}

static void on_part_closed(void *arg)
{
	struct api *api = arg;
	if (--api->open_handles > 0 || !is_unused(api))
		return;
	lookups_fini(&api->lookups);
	free(api);
}

static void on_closed(uv_handle_t *handle)
{
	on_part_closed(handle->data);
}

static void release(struct api *api)
{
	if (is_unused(api))
		api->is_store_left = !store_free(api->store, STORE_MS);
	if (!is_unused(api)) {
		pl_service_leave(api->run);
	} else {
		pl_netpolicy_free(api->policies[0]);
		pl_netpolicy_free(api->policies[1]);
		callers_fini(&api->callers);
		api_metrics_fini(&api->metrics);
		tails_fini(&api->tails);
		free(atomic_exchange(&api->spare_faults, NULL));
	}
	uv_close((uv_handle_t *)&api->told, on_closed);
	uv_close((uv_handle_t *)&api->logged, on_closed);
	uv_close((uv_handle_t *)&api->log_flush, on_closed);
	if (api->lookups.is_open) /* no drain has closed them */
		lookups_close(&api->lookups, on_part_closed, api);
}

static void end_http(uv_work_t *work)
{
	struct api *api = work->data;
	api->is_gone = pl_http_server_stop(api->http, api->drain_ms);
}

static void on_http_ended(uv_work_t *work, int status)
{
	struct api *api = work->data;
	(void)status; /* nobody cancels it */
	api->has_ended = true;
	if (!api->is_gone)
		pl_log(PL_LOG_WARN, NULL, "drain_overdue", "an answer was still under way");
	if (api->is_stopped)
		release(api);
	else
		pl_service_drained(api->run);
}

static void begin_ending(struct api *api, uint64_t ms)
{
	api->is_ending = true;
	api->drain_ms = ms;
	pl_http_server_drain(api->http);
	store_tails_wake(api->store);                      /* they go on for ever otherwise */
	lookups_close(&api->lookups, on_part_closed, api); /* a name may take longer than a drain */
	PL_ASSERT(uv_queue_work(pl_service_loop(api->run), &api->ending, end_http, on_http_ended) ==
		  0);
}

void api_drain(void *state)
{
	struct api *api = state;
	begin_ending(api, api->drain_ms - api->drain_ms / 4); /* the rest is for what follows */
}

void api_stop(void *state)
{
	struct api *api = state;
	api->is_stopped = true;
	if (api->http == NULL || api->has_ended)
		release(api);
	else if (!api->is_ending)
		begin_ending(api, HURRY_MS);
}
