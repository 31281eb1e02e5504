#include "routes.h"

#include <string.h>
#include <strings.h>

#include "accept.h"
#include "batch_text.h"
#include "handlers.h"
#include "pipeline/clock.h"
#include "problem.h"
#include "query.h"

#define ALLOW_SIZE 128
#define CHALLENGE  "WWW-Authenticate: Bearer realm=\"fetchback\""

enum access {      /* who may, where there are keys */
	BY_KEY,    /* whoever has one; whose requests those are, handlers look at */
	BY_LINK,   /* the same, or the holder of a signed link */
	BY_ADMIN,  /* who has one that is marked so */
	BY_ANYBODY /* who has none, too */
};

struct route {
	const char *method; /* GET answers HEAD too */
	const char *path;   /* "{id}" stands for one segment, a requestId */
	void (*handle)(struct api *api, struct pl_http_call *call, const char *id);
	size_t json_max; /* takes a JSON body of at most so many bytes; 0: takes none */
	enum access access;
	const char *const *query; /* its parameters; NULL: its handler looks at them, if anyone */
};

static const char *const no_query[] = { NULL };
static const char *const log_query[] = { "follow", NULL };

static const struct route routes[] = {
	{ "POST", "/", accept_one, PL_REQUEST_BODY_MAX, BY_KEY, NULL },
	{ "POST", "/requests", accept_one, PL_REQUEST_BODY_MAX, BY_KEY, NULL },
	{ "GET", "/requests", list_show, 0, BY_KEY, NULL },
	{ "POST", "/requests/batch", batch_accept, BATCH_BODY_MAX, BY_KEY, NULL },
	{ "POST", "/requests/cancel", bulk_cancel, 0, BY_KEY, NULL },
	{ "POST", "/requests/redeliver", bulk_redeliver, 0, BY_KEY, NULL },
	{ "POST", "/requests/refetch", bulk_refetch, 0, BY_KEY, NULL },
	{ "GET", "/requests/{id}", requests_show, 0, BY_KEY, no_query },
	{ "DELETE", "/requests/{id}", lifecycle_delete, 0, BY_KEY, NULL },
	{ "GET", "/requests/{id}/logs", requests_log, 0, BY_KEY, log_query },
	{ "GET", "/requests/{id}/data", data_send, 0, BY_LINK, NULL },
	{ "POST", "/requests/{id}/cancel", lifecycle_cancel, 0, BY_KEY, NULL },
	{ "POST", "/requests/{id}/pause", lifecycle_pause, 0, BY_KEY, NULL },
	{ "POST", "/requests/{id}/resume", lifecycle_resume, 0, BY_KEY, NULL },
	{ "POST", "/requests/{id}/redeliver", lifecycle_redeliver, 0, BY_KEY, NULL },
	{ "POST", "/requests/{id}/refetch", lifecycle_refetch, 0, BY_KEY, NULL },
	{ "POST", "/validate", validate_one, PL_REQUEST_BODY_MAX, BY_KEY, NULL },
	{ "GET", "/queues", queues_show, 0, BY_ADMIN, no_query },
	{ "POST", "/queues/requests/pause", queues_pause_requests, 0, BY_ADMIN, NULL },
	{ "POST", "/queues/requests/resume", queues_resume_requests, 0, BY_ADMIN, NULL },
	{ "POST", "/queues/responses/pause", queues_pause_responses, 0, BY_ADMIN, NULL },
	{ "POST", "/queues/responses/resume", queues_resume_responses, 0, BY_ADMIN, NULL },
	{ "GET", "/healthz", health_alive, 0, BY_ANYBODY, no_query },
	{ "GET", "/readyz", health_ready, 0, BY_ANYBODY, no_query },
	{ "GET", "/metrics", metrics_tell, 0, BY_ADMIN, no_query },
	{ "GET", "/openapi.json", openapi_show, 0, BY_ANYBODY, no_query },
};
#define ROUTES (sizeof(routes) / sizeof(routes[0]))

struct segment { /* of a path, without slashes */
	const char *text;
	size_t len;
};

static bool path_matches(const char *pattern, const char *path, struct segment *id)
{
	for (;;) {
		if (*pattern == '{') { /* "{id}" */
			*id = (struct segment) { path, strcspn(path, "/") };
			if (id->len == 0)
				return false;
			pattern += sizeof("{id}") - 1;
			path += id->len;
		}
		if (*pattern != *path)
			return false;
		if (*pattern == '\0')
			return true;
		pattern++;
		path++;
	}
}

static bool method_matches(const struct route *route, const char *method)
{
	return strcmp(route->method, method) == 0 ||
	       (strcmp(method, "HEAD") == 0 && strcmp(route->method, "GET") == 0);
}

/* The rows of a path: those that name it whole or, when there are none, those with an {id}. */
struct rows {
	bool with_id;
	struct segment id; /* text NULL: it has none */
	size_t count;
};

static bool is_row(const struct route *route, const char *path, bool with_id, struct segment *id)
{
	*id = (struct segment) { NULL, 0 };
	return path_matches(route->path, path, id) && (id->text != NULL) == with_id;
}

static struct rows find_rows(const char *path)
{
	struct rows rows = { .with_id = false };
	struct segment id;
	for (int with_id = 0; with_id <= 1 && rows.count == 0; with_id++) {
		rows.with_id = with_id == 1;
		for (size_t i = 0; i < ROUTES; i++) {
			if (!is_row(&routes[i], path, rows.with_id, &id))
				continue;
			rows.id = id;
			rows.count++;
		}
	}
	return rows;
}

/* NULL: none of the rows has that method. */
static const struct route *find_route(const char *method, const char *path, const struct rows *rows)
{
	struct segment id;
	for (size_t i = 0; rows->count > 0 && i < ROUTES; i++)
		if (is_row(&routes[i], path, rows->with_id, &id) &&
			method_matches(&routes[i], method))
			return &routes[i];
	return NULL;
}

size_t routes_body_limit(void *arg, const char *method, const char *path)
{
	(void)arg;
	const struct rows rows = find_rows(path);
	const struct route *route = find_route(method, path, &rows);
	return route != NULL && route->json_max > 0 ? route->json_max : PL_REQUEST_BODY_MAX;
}

static void refuse_method(struct pl_http_call *call, const char *path, const struct rows *rows)
{
	struct pl_buf allow;
	pl_buf_init(&allow, ALLOW_SIZE);
	enum pl_err err = PL_OK;
	for (size_t i = 0; i < ROUTES; i++) {
		struct segment id;
		if (!is_row(&routes[i], path, rows->with_id, &id))
			continue;
		bool is_get = strcmp(routes[i].method, "GET") == 0;
		if (err == PL_OK)
			err = pl_buf_format(&allow, "%s%s%s", allow.len == 0 ? "Allow: " : ", ",
				routes[i].method, is_get ? ", HEAD" : "");
	}
	if (err == PL_OK)
		err = pl_buf_text(&allow, "\r\n");
	PL_ASSERT(err == PL_OK);
	problem_answer(call, &(struct problem) {
				     .status = 405,
				     .detail = "This path does not take this method.",
				     .headers = allow.data,
			     });
	pl_buf_fini(&allow);
}

/* "application/json", whatever its case and parameters. */
static bool is_json(const char *content_type)
{
	static const char json[] = "application/json";
	if (content_type == NULL || strncasecmp(content_type, json, sizeof(json) - 1) != 0)
		return false;
	const char *rest = content_type + sizeof(json) - 1;
	rest += strspn(rest, " \t");
	return *rest == '\0' || *rest == ';';
}

/* ---- who may come in ---- */

struct visit { /* beside each call */
	struct caller caller;
	char headers[CALLERS_RATE_SIZE];
};
_Static_assert(sizeof(struct visit) <= PL_HTTP_CALL_OWN, "a call has room for it");

const struct caller *caller_of(const struct pl_http_call *call)
{
	const struct visit *visit = pl_http_call_own(call);
	return &visit->caller;
}

/* RFC 6750, 3: a call without a key is not told that its key is wrong. */
static void refuse_stranger(struct pl_http_call *call)
{
	bool has_key = pl_http_call_header(call, "Authorization") != NULL;
	problem_answer(
		call, &(struct problem) {
			      .status = 401,
			      .detail = has_key ? "This is no key of this api."
						: "This needs a key: Authorization: Bearer …",
			      .headers = has_key ? CHALLENGE ", error=\"invalid_token\"\r\n"
						 : CHALLENGE "\r\n",
		      });
}

static void refuse_rate(struct pl_http_call *call)
{
	problem_answer(call, &(struct problem) {
				     .status = 429,
				     .detail = "This name has made as many calls as it may in a "
					       "second.",
				     .headers = "Retry-After: 1\r\n",
			     });
}

/* False: refused. */
static bool identify(
	struct api *api, struct pl_http_call *call, enum access access, struct caller *caller)
{
	if (access == BY_ANYBODY)
		return true;
	if (access == BY_LINK && data_has_signature(call)) {
		caller->kind = CALLER_LINK; /* its handler looks at the signature */
		return true;
	}
	if (!callers_identify(&api->callers, pl_http_call_header(call, "Authorization"), caller)) {
		api_metrics_refused(&api->metrics, API_REFUSED_KEY);
		refuse_stranger(call);
		return false;
	}
	if (access != BY_ADMIN || caller->kind == CALLER_ADMIN)
		return true;
	problem_say(call, 403, "Only a key that is marked admin may ask for this.");
	return false;
}

static bool count(struct api *api, struct pl_http_call *call, struct visit *visit)
{
	bool is_left =
		callers_count(&api->callers, &visit->caller, pl_clock_mono_us(), visit->headers);
	pl_http_call_add_headers(call, visit->headers);
	if (!is_left) {
		api_metrics_refused(&api->metrics, API_REFUSED_RATE);
		refuse_rate(call);
	}
	return is_left;
}

static bool is_host_ours(struct api *api, struct pl_http_call *call)
{
	if (hosts_are_ours(&api->hosts, pl_http_call_header(call, "Host")))
		return true;
	problem_say(call, 403,
		"The Host header must be localhost, a bound address or the host of PUBLIC_URL.");
	return false;
}

/* A browser says Origin: scheme, host and port, or "null". */
static bool is_origin_ours(const struct hosts *hosts, const char *origin)
{
	static const char *const schemes[] = { "http://", "https://" };
	for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
		size_t len = strlen(schemes[i]);
		if (strncmp(origin, schemes[i], len) == 0)
			return hosts_are_ours(hosts, origin + len);
	}
	return false;
}

static bool is_header_of_our_page(const struct hosts *hosts, const char *name, const char *value)
{
	if (strcasecmp(name, "Origin") == 0)
		return is_origin_ours(hosts, value);
	if (strcasecmp(name, "Sec-Fetch-Site") == 0)
		return strcmp(value, "same-origin") == 0 || strcmp(value, "none") == 0;
	return true;
}

/* Any page may have its visitor's browser post here under our right name, a form or a fetch in mode
 * no-cors. It can't read the answer, so what only reads needs no guard; and it can't keep the
 * browser from saying whose page it is. Who is no browser says neither. */
static bool is_page_ours(struct api *api, struct pl_http_call *call)
{
	const char *method = pl_http_call_method(call), *name, *value;
	if (strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0)
		return true;
	for (size_t i = 0; pl_http_call_header_at(call, i, &name, &value); i++) {
		if (is_header_of_our_page(&api->hosts, name, value))
			continue;
		problem_say(call, 403,
			"A web page of another site may not do this: Origin and Sec-Fetch-Site say "
			"whose it is.");
		return false;
	}
	return true;
}

bool routes_admit(void *arg, struct pl_http_call *call)
{
	struct api *api = arg;
	struct visit *visit = pl_http_call_own(call);
	const char *path = pl_http_call_path(call);
	if (api->callers.path == NULL)
		return is_host_ours(api, call) && is_page_ours(api, call);
	const struct rows rows = find_rows(path);
	const struct route *route = find_route(pl_http_call_method(call), path, &rows);
	if (route == NULL)
		return true; /* that there is none is no secret */
	return identify(api, call, route->access, &visit->caller) && count(api, call, visit);
}

/* ---- to the handler ---- */

static bool is_query_known(struct api *api, struct pl_http_call *call, const char *const *known)
{
	struct pl_faults *faults = accept_take_faults(api);
	query_check(pl_http_call_query(call), known, faults);
	bool is_known = faults->count == 0;
	if (!is_known)
		problem_query(call, faults);
	accept_give_faults(api, faults);
	return is_known;
}

/* False: answered. */
static bool is_path_known(struct pl_http_call *call, const struct rows *rows)
{
	const struct segment *id = &rows->id;
	if (rows->count == 0)
		problem_say(call, 404, "There is nothing at this path.");
	else if (id->text != NULL && !pl_uuid_valid(id->text, id->len))
		problem_say(call, 404, "There is no request with this id.");
	else
		return true;
	return false;
}

void routes_refuse_method(void *arg, struct pl_http_call *call)
{
	(void)arg;
	const char *path = pl_http_call_path(call);
	const struct rows rows = find_rows(path);
	if (is_path_known(call, &rows))
		refuse_method(call, path, &rows);
}

void routes_handle(void *arg, struct pl_http_call *call)
{
	struct api *api = arg;
	const char *path = pl_http_call_path(call);
	const struct rows rows = find_rows(path);
	const struct segment segment = rows.id;
	const struct route *route = find_route(pl_http_call_method(call), path, &rows);
	if (!is_path_known(call, &rows))
		return;
	if (route == NULL) {
		refuse_method(call, path, &rows);
		return;
	}
	if (route->json_max > 0 && !is_json(pl_http_call_header(call, "Content-Type"))) {
		problem_say(call, 415, "The body must be sent as application/json.");
		return;
	}
	if (route->query != NULL && !is_query_known(api, call, route->query))
		return;
	char id[PL_UUID_SIZE];
	if (segment.text != NULL) {
		memcpy(id, segment.text, PL_UUID_SIZE - 1);
		id[PL_UUID_SIZE - 1] = '\0';
	}
	route->handle(api, call, segment.text != NULL ? id : NULL);
}
