#include "routes.h"

#include <string.h>
#include <strings.h>

#include "handlers.h"
#include "problem.h"

#define ALLOW_SIZE 128

struct route {
	const char *method; /* GET answers HEAD too */
	const char *path;   /* "{id}" stands for one segment, a requestId */
	void (*handle)(struct api *api, struct pl_http_call *call, const char *id);
	size_t json_max; /* takes a JSON body of at most so many bytes; 0: takes none */
};

static const struct route routes[] = {
	{ "POST", "/", requests_accept, PL_REQUEST_BODY_MAX },
	{ "POST", "/requests", requests_accept, PL_REQUEST_BODY_MAX },
	{ "GET", "/requests/{id}", requests_show, 0 },
	{ "GET", "/requests/{id}/logs", requests_log, 0 },
	{ "GET", "/requests/{id}/data", data_send, 0 },
	{ "GET", "/healthz", health_alive, 0 },
	{ "GET", "/readyz", health_ready, 0 },
	{ "GET", "/metrics", metrics_tell, 0 },
};
#define ROUTES (sizeof(routes) / sizeof(routes[0]))

struct segment { /* of a path, without slashes */
	const char *text;
	size_t len;
};

static bool path_matches(const char *pattern, const char *path, struct segment *id)
{
	static const char placeholder[] = "{id}";
	for (;;) {
		if (strncmp(pattern, placeholder, sizeof(placeholder) - 1) == 0) {
			*id = (struct segment) { path, strcspn(path, "/") };
			if (id->len == 0)
				return false;
			pattern += sizeof(placeholder) - 1;
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

/* NULL: no such path, or none with that method; *path_known tells which. */
static const struct route *find_route(
	const char *method, const char *path, struct segment *id, bool *path_known)
{
	*path_known = false;
	for (size_t i = 0; i < ROUTES; i++) {
		if (!path_matches(routes[i].path, path, id))
			continue;
		*path_known = true;
		if (method_matches(&routes[i], method))
			return &routes[i];
	}
	return NULL;
}

size_t routes_body_limit(void *arg, const char *method, const char *path)
{
	(void)arg;
	struct segment id;
	bool path_known;
	const struct route *route = find_route(method, path, &id, &path_known);
	return route != NULL && route->json_max > 0 ? route->json_max : PL_REQUEST_BODY_MAX;
}

static void refuse_method(struct pl_http_call *call, const char *path)
{
	struct pl_buf allow;
	pl_buf_init(&allow, ALLOW_SIZE);
	enum pl_err err = PL_OK;
	for (size_t i = 0; i < ROUTES; i++) {
		struct segment id;
		if (!path_matches(routes[i].path, path, &id))
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

void routes_handle(void *arg, struct pl_http_call *call)
{
	struct api *api = arg;
	const char *path = pl_http_call_path(call);
	struct segment segment = { NULL, 0 };
	bool path_known;
	if (!hosts_are_ours(&api->hosts, pl_http_call_header(call, "Host"))) {
		problem_say(call, 403,
			"The Host header must be localhost, a bound address or the host of "
			"PUBLIC_URL.");
		return;
	}
	const struct route *route =
		find_route(pl_http_call_method(call), path, &segment, &path_known);
	if (!path_known) {
		problem_say(call, 404, "There is nothing at this path.");
		return;
	}
	if (segment.text != NULL && !pl_uuid_valid(segment.text, segment.len)) {
		problem_say(call, 404, "There is no request with this id.");
		return;
	}
	if (route == NULL) {
		refuse_method(call, path);
		return;
	}
	if (route->json_max > 0 && !is_json(pl_http_call_header(call, "Content-Type"))) {
		problem_say(call, 415, "The body must be sent as application/json.");
		return;
	}
	char id[PL_UUID_SIZE];
	if (segment.text != NULL) {
		memcpy(id, segment.text, PL_UUID_SIZE - 1);
		id[PL_UUID_SIZE - 1] = '\0';
	}
	route->handle(api, call, segment.text != NULL ? id : NULL);
}
