/*
 * The api's calls over HTTP, in one process, in front of a store of our own: what it is asked is
 * noted, what it answers is set by the test. The real store needs a Redis; scenarios have it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <civetweb.h>
#include <dlfcn.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "pipeline/mem.h"
#include "pipeline/queue.h"
#include "routes.h"

#define ID          "0190a3c4-0000-7000-8000-000000000001"
#define WAIT_S      20
#define STOP_MS     20000
#define ANSWER_MAX  (4 * 1024 * 1024)
#define REQUEST_MAX (8 * 1024)
#define GOOD_BODY   "{\"provider\":\"http://p.example/\",\"callbackUrl\":\"http://c.example/\"}"
#define CHUNKS      3

/* ---- the store ---- */

static struct { /* set before a call, read after it: the answer lies between */
	enum pl_err err;
	const char *why;
	bool is_ready;
	unsigned pushes;
	char id[PL_UUID_SIZE];
	char provider[256];
	struct pl_data data;
	unsigned chunks_there;
	enum pl_alter verb;
	struct store_altered altered;
	enum pl_err unread; /* what is found is not, for this reason */
	size_t listed;      /* records on the one page of a listing */
	size_t unasked;     /* of many to be changed, those at the end that nobody asked for */
	bool held[PL_STAGES];
	char index[64];
	unsigned looks, looks_until_end; /* of a tail; the state is final at the last of them */
	unsigned gone_at;                /* the look that finds nothing; 0: none */
	bool has_news;
	uint64_t longest_wait_ms;
} world;

/* A socket lies between the test and the server's threads; a lock is what shows their order. */
static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;

static void take_turn(void)
{
	pthread_mutex_lock(&turn);
	pthread_mutex_unlock(&turn);
}

enum pl_err store_new(const struct pl_settings *settings,
	void (*changed)(void *arg, bool ready, const char *why), void *arg,
	struct pl_metrics *counts, struct store **out, const char **why)
{
	(void)settings;
	(void)changed;
	(void)arg;
	(void)counts;
	(void)out;
	*why = "there is none";
	return PL_EINVAL;
}

bool store_free(struct store *store, uint64_t wait_ms)
{
	(void)store;
	(void)wait_ms;
	return true;
}

bool store_redis(struct store *unused, struct sockaddr_storage *out)
{
	(void)unused;
	(void)out;
	return false;
}

bool store_is_ready(struct store *store, char *why, size_t size)
{
	(void)store;
	pthread_mutex_lock(&turn);
	(void)snprintf(why, size, "%s", world.why);
	bool is_ready = world.is_ready;
	pthread_mutex_unlock(&turn);
	return is_ready;
}

void store_push(struct store *store, const struct store_pushing *pushing)
{
	const struct pl_request *request = pushing->request;
	struct store_pushed *out = pushing->out;
	(void)store;
	pthread_mutex_lock(&turn);
	world.pushes++;
	memcpy(world.id, request->id, sizeof(world.id));
	(void)snprintf(world.provider, sizeof(world.provider), "%s", request->provider);
	*out = (struct store_pushed) { .word = PL_PUSHED };
	memcpy(out->id, request->id, sizeof(out->id));
	(void)snprintf(out->why, sizeof(out->why), "%s", world.why);
	out->err = world.err;
	pthread_mutex_unlock(&turn);
}

void store_push_all(struct store *store, const struct store_pushing *pushing, size_t count)
{
	for (size_t i = 0; i < count; i++)
		store_push(store, &pushing[i]);
}

/* What was asked is noted; the answer is the world's. */
void store_alter_all(struct store *store, enum pl_alter verb, const char *const *ids, size_t count,
	const char *owner, struct store_altered *out)
{
	(void)store, (void)owner;
	pthread_mutex_lock(&turn);
	world.verb = verb;
	for (size_t i = 0; i < count; i++) {
		memcpy(world.id, ids[i], sizeof(world.id));
		out[i] = world.altered;
		out[i].err = i + world.unasked >= count ? PL_EREDIS : world.err;
	}
	pthread_mutex_unlock(&turn);
}

void store_alter(struct store *store, enum pl_alter verb, const char *id, const char *owner,
	struct store_altered *out)
{
	store_alter_all(store, verb, &id, 1, owner, out);
}

enum pl_err store_hold(struct store *store, enum pl_stage stage, bool hold)
{
	(void)store;
	pthread_mutex_lock(&turn);
	world.held[stage] = hold;
	enum pl_err err = world.err;
	pthread_mutex_unlock(&turn);
	return err;
}

enum pl_err store_list(struct store *store, const char *index, const char *owner,
	const struct pl_list_place *place, struct store_listed *out)
{
	(void)store, (void)place, (void)owner;
	pthread_mutex_lock(&turn);
	enum pl_err err = world.err;
	(void)snprintf(world.index, sizeof(world.index), "%s", index);
	size_t listed = world.listed;
	pthread_mutex_unlock(&turn);
	for (out->count = 0; err == PL_OK && out->count < listed; out->count++) {
		out->places[out->count] = (struct pl_list_place) { .slot = 1 };
		err = store_find(store, ID, &out->items[out->count]);
	}
	out->next = (struct pl_list_place) { .slot = -1, .position = -1 };
	return err;
}

enum pl_err store_find(struct store *store, const char *id, struct store_found *out)
{
	(void)store;
	pthread_mutex_lock(&turn);
	enum pl_err err = world.unread != PL_OK ? world.unread : world.err;
	struct pl_data data = world.data;
	pthread_mutex_unlock(&turn);
	if (err != PL_OK)
		return err;
	struct pl_record *record = pl_calloc(1, sizeof(*record));
	struct pl_event *event = pl_calloc(1, sizeof(*event));
	*event = (struct pl_event) { .n = 1,
		.name = "accepted",
		.service = 'a',
		.stage = -1,
		.level = PL_LOG_INFO,
		.message = "" };
	memcpy(record->request.id, id, PL_UUID_SIZE);
	record->request.provider = "http://p.example/";
	record->request.callback_url = "http://c.example/";
	record->events = event;
	record->last = event;
	record->events_count = 1;
	record->data = data;
	*out = (struct store_found) {
		.record = record, .state = PL_STATE_FETCHED, .waiting.ahead = -1
	};
	return PL_OK;
}

void store_found_fini(struct store_found *found)
{
	free(found->record->events);
	free(found->record);
}

enum pl_err store_chunk(
	struct store *store, const struct pl_record *record, unsigned k, struct pl_buf *out)
{
	(void)store;
	(void)record;
	pthread_mutex_lock(&turn);
	bool is_there = k < world.chunks_there;
	pthread_mutex_unlock(&turn);
	char *at = is_there ? pl_buf_reserve(out, PL_CHUNK_MAX) : NULL;
	if (at == NULL)
		return PL_ENOTFOUND;
	memset(at, 'a' + (int)k, PL_CHUNK_MAX);
	pl_buf_wrote(out, PL_CHUNK_MAX);
	return PL_OK;
}

enum pl_err store_data_key(struct store *store, unsigned char key[32])
{
	(void)store;
	for (unsigned char i = 0; i < 32; i++)
		key[i] = i;
	pthread_mutex_lock(&turn);
	enum pl_err err = world.err;
	pthread_mutex_unlock(&turn);
	return err;
}

void store_tail_open(struct store *store, const char *id, struct store_tail *tail)
{
	(void)store;
	tail->id = id;
}

void store_tail_close(struct store *store, struct store_tail *tail)
{
	(void)store;
	(void)tail;
}

enum pl_err store_tail_find(struct store *store, struct store_tail *tail, struct store_found *out)
{
	pthread_mutex_lock(&turn);
	bool is_last = ++world.looks >= world.looks_until_end;
	bool is_gone = world.looks == world.gone_at;
	pthread_mutex_unlock(&turn);
	if (is_gone)
		return PL_ENOTFOUND;
	enum pl_err err = store_find(store, tail->id, out);
	if (err == PL_OK && is_last)
		out->state = PL_STATE_DELIVERED;
	return err;
}

bool store_tail_wait(struct store *store, struct store_tail *tail, uint64_t ms)
{
	(void)store;
	(void)tail;
	pthread_mutex_lock(&turn);
	if (ms > world.longest_wait_ms)
		world.longest_wait_ms = ms;
	bool has_news = world.has_news;
	pthread_mutex_unlock(&turn);
	return has_news;
}

void store_tails_wake(struct store *store)
{
	(void)store;
}

enum pl_err store_queues(struct store *store, struct pl_queues *out)
{
	(void)store;
	pthread_mutex_lock(&turn);
	enum pl_err err = world.err;
	pthread_mutex_unlock(&turn);
	if (err == PL_OK)
		*out = (struct pl_queues) { .live = 7 };
	return err;
}

/* ---- one api for all tests ---- */

static struct api api;
static uv_loop_t loop;
static unsigned port; /* of the server that is asked */

static void on_logged(uv_async_t *async)
{
	(void)async;
}

/* A server that calls the api; the caller stops it. */
static struct pl_http_server *serve(void)
{
	const struct pl_http_server_options options = {
		.bind = "127.0.0.1",
		.threads = 4,
		.body_max = PL_REQUEST_BODY_MAX,
		.head_ms = 20000,
		.body_ms = 20000,
		.idle_ms = 20000,
		.admit = routes_admit,
		.handler = routes_handle,
		.unknown_method = routes_refuse_method,
		.body_limit = routes_body_limit,
		.arg = &api,
	};
	const char *why = "";
	struct pl_http_server *server;
	if (pl_http_server_start(&options, &server, &why) != PL_OK)
		fail_msg("%s", why);
	return server;
}

static int setup(void **state)
{
	(void)state;
	const char *why = "";
	api.hosts.bind = "127.0.0.1";
	api_metrics_init(&api.metrics, 1000);
	tails_init(&api.tails, 1);
	assert_int_equal(uv_loop_init(&loop), 0);
	assert_int_equal(uv_async_init(&loop, &api.logged, on_logged), 0);
	struct pl_netpolicy *policy;
	assert_int_equal(
		pl_netpolicy_new(&(struct pl_netpolicy_options) { 0 }, &policy, &why), PL_OK);
	api.policy = policy;
	api.http = serve();
	port = pl_http_server_port(api.http);
	pl_log_init("api", PL_LOG_ERROR, true, STDERR_FILENO);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	assert_true(pl_http_server_stop(api.http, STOP_MS));
	pl_netpolicy_free(api.policy);
	free(atomic_exchange(&api.spare_faults, NULL));
	tails_fini(&api.tails);
	uv_close((uv_handle_t *)&api.logged, NULL);
	uv_run(&loop, UV_RUN_DEFAULT);
	return uv_loop_close(&loop);
}

static int begin(void **state)
{
	(void)state;
	memset(&world, 0, sizeof(world));
	world.why = "";
	world.is_ready = true;
	world.looks_until_end = 1;
	api.tails.max = 1;
	return 0;
}

/* ---- a client ---- */

struct answer {
	int status;
	size_t len; /* of the body */
	char *body;
	char text[ANSWER_MAX];
};
static struct answer answer;

/* Sends it all, reads until the server closes: each request says so. */
static void exchange(const char *request, size_t len)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct timeval wait = { .tv_sec = WAIT_S };
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait)), 0);
	struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_addr = { htonl(INADDR_LOOPBACK) },
		.sin_port = htons((uint16_t)port),
	};
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	take_turn();
	for (size_t sent = 0; sent < len;) {
		ssize_t n = send(fd, request + sent, len - sent, MSG_NOSIGNAL);
		if (n <= 0)
			break; /* refused before its end */
		sent += (size_t)n;
	}
	size_t got = 0;
	ssize_t n;
	while ((n = recv(fd, answer.text + got, sizeof(answer.text) - 1 - got, 0)) > 0)
		got += (size_t)n;
	take_turn();
	assert_true(n == 0 || got > 0);
	answer.text[got] = '\0';
	close(fd);
	assert_int_equal(sscanf(answer.text, "HTTP/1.1 %d ", &answer.status), 1);
	answer.body = strstr(answer.text, "\r\n\r\n");
	assert_non_null(answer.body);
	*answer.body = '\0'; /* what stands in front is the head */
	answer.body += 4;
	answer.len = got - (size_t)(answer.body - answer.text);
}

static int call(const char *method, const char *path, const char *headers, const char *body)
{
	char request[REQUEST_MAX];
	int len = snprintf(request, sizeof(request),
		"%s %s HTTP/1.1\r\n%s%sConnection: close\r\nContent-Length: %zu\r\n\r\n%s", method,
		path, strstr(headers, "Host:") == NULL ? "Host: localhost\r\n" : "", headers,
		strlen(body), body);
	assert_true(len > 0 && (size_t)len < sizeof(request));
	exchange(request, (size_t)len);
	return answer.status;
}

#define JSON "Content-Type: application/json\r\n"

static int post(const char *body)
{
	return call("POST", "/", JSON, body);
}

static int get(const char *path)
{
	return call("GET", path, "", "");
}

static bool head_has(const char *line)
{
	return strstr(answer.text, line) != NULL;
}

static void assert_problem(const char *part)
{
	char status[32];
	snprintf(status, sizeof(status), "\"status\":%d,", answer.status);
	assert_true(head_has("\r\nContent-Type: application/problem+json"));
	if (strstr(answer.body, status) == NULL || strstr(answer.body, part) == NULL)
		fail_msg("%s is not in %s", part, answer.body);
}

/* ---- accept ---- */

static void test_accepted(void **state)
{
	(void)state;
	static const char *const paths[] = { "/", "/requests" };
	for (size_t i = 0; i < 2; i++) {
		assert_int_equal(call("POST", paths[i], JSON, GOOD_BODY), 202);
		assert_int_equal(world.pushes, i + 1);
		assert_string_equal(world.provider, "http://p.example/");
		assert_true(pl_uuid_valid(world.id, strlen(world.id)));
		char expected[128];
		snprintf(expected, sizeof(expected), "{\"requestId\":\"%s\"}", world.id);
		assert_string_equal(answer.body, expected);
		snprintf(expected, sizeof(expected), "\r\nLocation: /requests/%s", world.id);
		assert_true(head_has(expected));
		assert_true(head_has("\r\nContent-Type: application/json"));
	}
}

static void test_faulty_input(void **state)
{
	(void)state;
	assert_int_equal(post("{\"provider\":"), 400);
	assert_problem("not valid JSON");
	assert_int_equal(post(""), 400);
	assert_int_equal(post("{\"provider\":\"ftp://x\",\"colour\":1}"), 422);
	assert_problem("\"pointer\":\"/provider\"");
	assert_problem("\"pointer\":\"/colour\"");
	assert_problem("\"pointer\":\"/callbackUrl\"");
	assert_int_equal(
		post("{\"provider\":\"http://127.0.0.1/\",\"callbackUrl\":\"http://c.example/\"}"),
		422);
	assert_problem("address_blocked");
	assert_int_equal(world.pushes, 0);
}

static void test_content_type(void **state)
{
	(void)state;
	static const char *const taken[] = { "application/json; charset=utf-8", "Application/JSON",
		"application/json ;x" };
	static const char *const refused[] = { "text/plain", "application/jsonx", "json", "",
		"application/json, text/plain" };
	char line[128];
	for (size_t i = 0; i < sizeof(taken) / sizeof(taken[0]); i++) {
		snprintf(line, sizeof(line), "Content-Type: %s\r\n", taken[i]);
		assert_int_equal(call("POST", "/", line, GOOD_BODY), 202);
	}
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		snprintf(line, sizeof(line), "Content-Type: %s\r\n", refused[i]);
		assert_int_equal(call("POST", "/", line, GOOD_BODY), 415);
	}
	assert_int_equal(call("POST", "/", "", GOOD_BODY), 415);
	assert_problem("application/json");
}

static void test_body_of_a_mebibyte(void **state)
{
	(void)state;
	for (size_t extra = 0; extra < 2; extra++) {
		struct pl_buf request;
		size_t len = PL_REQUEST_BODY_MAX + extra;
		pl_buf_init(&request, 2 * PL_REQUEST_BODY_MAX);
		assert_int_equal(pl_buf_format(&request,
					 "POST / HTTP/1.1\r\nHost: localhost\r\n" JSON
					 "Connection: close\r\nContent-Length: %zu\r\n\r\n%s%*s",
					 len, GOOD_BODY, (int)(len - strlen(GOOD_BODY)), ""),
			PL_OK);
		exchange(request.data, request.len);
		assert_int_equal(answer.status, extra == 0 ? 202 : 413);
		pl_buf_fini(&request);
	}
	assert_problem("larger");
	assert_int_equal(world.pushes, 1);
}

static void test_store_that_refuses(void **state)
{
	(void)state;
	world.why = "Redis is \"away\"";
	static const struct {
		enum pl_err err;
		bool known;
	} refusals[] = { { PL_EREDIS, true }, { PL_ELIMIT, true }, { PL_ECLOSED, true },
		{ PL_EUNKNOWN, false }, { PL_ETIMEOUT, false } };
	for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
		world.err = refusals[i].err;
		assert_int_equal(post(GOOD_BODY), 503);
		assert_problem("Redis is \\\"away\\\"");
		assert_true(head_has("\r\nRetry-After: "));
		assert_int_equal(strstr(answer.body, world.id) == NULL, refusals[i].known);
	}
}

/* ---- where a call goes ---- */

static void test_unknown_places(void **state)
{
	(void)state;
	static const char *const paths[] = { "/nothing", "/requests/", "//", "/healthz/",
		"/REQUESTS", "/requests/" ID "/", "/requests/" ID "/logs/",
		"/requests/" ID "/nothing", "/requests/" ID "x",
		"/requests/%30190a3c4-0000-7000-8000-000000000001",
		"/requests/0190A3C4-0000-7000-8000-000000000001", "/requests/x",
		"/requests//logs" };
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		if (get(paths[i]) != 404)
			fail_msg("%s answered %d", paths[i], answer.status);
		assert_problem("There is n");
	}
}

static void test_other_methods(void **state)
{
	(void)state;
	static const struct {
		const char *method, *path, *allow;
	} calls[] = {
		{ "GET", "/", "\r\nAllow: POST" },
		{ "PUT", "/requests", "\r\nAllow: POST, GET, HEAD" },
		{ "POST", "/healthz", "\r\nAllow: GET, HEAD" },
		{ "PUT", "/requests/" ID, "\r\nAllow: GET, HEAD, DELETE" },
		{ "GET", "/requests/batch", "\r\nAllow: POST" },
		{ "DELETE", "/requests/cancel", "\r\nAllow: POST" },
		{ "GET", "/requests/" ID "/cancel", "\r\nAllow: POST" },
		{ "OPTIONS", "/requests/" ID "/data", "\r\nAllow: GET, HEAD" },
		{ "TRACE", "/requests/" ID "/data?x=1", "\r\nAllow: GET, HEAD" },
		{ "BREW", "/", "\r\nAllow: POST" },
	};
	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		assert_int_equal(call(calls[i].method, calls[i].path, "", ""), 405);
		assert_true(head_has(calls[i].allow));
		assert_problem("method");
		assert_false(head_has("Access-Control"));
	}
}

/* ---- what people do to requests ---- */

static const struct {
	const char *method, *path;
	enum pl_alter verb;
} changes[] = {
	{ "POST", "/requests/" ID "/cancel", PL_ALTER_CANCEL },
	{ "POST", "/requests/" ID "/pause", PL_ALTER_PAUSE },
	{ "POST", "/requests/" ID "/resume", PL_ALTER_RESUME },
	{ "POST", "/requests/" ID "/redeliver", PL_ALTER_REDELIVER },
	{ "POST", "/requests/" ID "/refetch", PL_ALTER_REFETCH },
	{ "DELETE", "/requests/" ID, PL_ALTER_DELETE },
};
#define CHANGES (sizeof(changes) / sizeof(changes[0]))

static int change(size_t i, enum pl_altered answered, bool still_held)
{
	world.altered = (struct store_altered) { .answer = answered, .still_held = still_held };
	int status = call(changes[i].method, changes[i].path, "", "");
	assert_int_equal(world.verb, changes[i].verb);
	assert_string_equal(world.id, ID);
	return status;
}

static void test_changes_answer_the_record(void **state)
{
	(void)state;
	for (size_t i = 0; i < CHANGES; i++) {
		bool deletes = changes[i].verb == PL_ALTER_DELETE;
		assert_int_equal(change(i, PL_ALTERED, false), deletes ? 204 : 200);
		assert_int_equal(change(i, PL_ALTERED_SAME, false), deletes ? 204 : 200);
		assert_int_equal(change(i, PL_ALTERED_HELD, false), deletes ? 204 : 200);
		if (!deletes)
			assert_non_null(strstr(answer.body, "\"requestId\":\"" ID "\""));
		assert_null(strstr(answer.body, "cancelling"));
	}
}

static void test_changes_that_a_worker_has_not_heard(void **state)
{
	(void)state;
	for (size_t i = 0; i < CHANGES; i++) {
		assert_int_equal(change(i, PL_ALTERED_HELD, true), 202);
		bool cancels =
			changes[i].verb == PL_ALTER_CANCEL || changes[i].verb == PL_ALTER_DELETE;
		assert_int_equal(strstr(answer.body, "\"cancelling\":true") != NULL, cancels);
	}
}

static void test_changes_that_are_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < CHANGES; i++) {
		assert_int_equal(change(i, PL_ALTERED_NOT, false), 409);
		assert_problem("The request is fetched: ");
		assert_int_equal(change(i, PL_ALTERED_GONE, false), 409);
		assert_int_equal(change(i, PL_ALTERED_FULL, false), 503);
		assert_true(head_has("\r\nRetry-After: "));
		world.err = PL_ENOTFOUND;
		assert_int_equal(change(i, PL_ALTERED, false), 404);
		world.err = PL_EREDIS;
		assert_int_equal(change(i, PL_ALTERED, false), 503);
		assert_problem("nothing was changed");
		world.err = PL_OK;
	}
}

static void test_changes_that_may_stand_say_so(void **state)
{
	(void)state;
	for (size_t i = 0; i < CHANGES; i++) {
		world.err = PL_EUNKNOWN;
		assert_int_equal(change(i, PL_ALTERED, false), 503);
		assert_problem("may have been done");
		world.err = PL_OK;
		world.unread = PL_EREDIS;
		bool deletes = changes[i].verb == PL_ALTER_DELETE;
		assert_int_equal(change(i, PL_ALTERED, false), deletes ? 204 : 503);
		if (!deletes)
			assert_problem("This was done, but Redis");
		world.unread = PL_OK;
	}
	world.err = PL_EUNKNOWN;
	assert_int_equal(call("POST", "/queues/requests/pause", "", ""), 503);
	assert_problem("may have been done");
}

static void test_many_changes_that_were_cut(void **state)
{
	(void)state;
	static const char *const said[] = { "", "may have been done", "nothing was changed" };
	world.listed = 2;
	world.altered = (struct store_altered) { .answer = PL_ALTERED };
	assert_int_equal(call("POST", "/requests/cancel", "", ""), 200);
	assert_string_equal(answer.body, "{\"matched\":2,\"changed\":2,\"refused\":0}");
	for (world.unasked = 1; world.unasked <= 2; world.unasked++) {
		assert_int_equal(call("POST", "/requests/cancel", "", ""), 503);
		assert_problem(said[world.unasked]);
	}
}

static void test_queues_are_held(void **state)
{
	(void)state;
	assert_int_equal(call("POST", "/queues/requests/pause", "", ""), 200);
	assert_true(world.held[PL_STAGE_FETCH] && !world.held[PL_STAGE_DELIVER]);
	assert_int_equal(call("POST", "/queues/responses/pause", "", ""), 200);
	assert_int_equal(call("POST", "/queues/requests/resume", "", ""), 200);
	assert_true(!world.held[PL_STAGE_FETCH] && world.held[PL_STAGE_DELIVER]);
	assert_int_equal(call("POST", "/queues/others/pause", "", ""), 404);
}

static void test_a_listing_asks_the_index_that_fits(void **state)
{
	(void)state;
	assert_int_equal(get("/requests"), 200);
	assert_string_equal(answer.body, "{\"requests\":[]}");
	assert_string_equal(world.index, "i");
	assert_int_equal(get("/requests?state=failed"), 200);
	assert_string_equal(world.index, "x");
	assert_int_equal(get("/requests?state=failed&label=a%20b"), 200);
	assert_string_equal(world.index, "n:a b");
	assert_int_equal(call("POST", "/requests/cancel?label=a", "", ""), 200);
	assert_string_equal(answer.body, "{\"matched\":0,\"changed\":0,\"refused\":0}");
	assert_string_equal(world.index, "n:a");
}

static void test_a_faulty_query_is_refused_by_name(void **state)
{
	(void)state;
	assert_int_equal(get("/requests?state=lost&host=&label=&since=today&until=&limit=0&cursor="
			     "x&lable=a&state=queued"),
		422);
	static const char *const names[] = { "state", "host", "label", "since", "until", "limit",
		"cursor" };
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		char pointer[64];
		snprintf(pointer, sizeof(pointer), "{\"pointer\":\"%s\",", names[i]);
		assert_problem(pointer);
	}
	assert_problem("\\\"lable\\\" is not known");
	assert_problem("is given twice");
	assert_int_equal(call("POST", "/requests/cancel?limit=1001", "", ""), 422);
}

static void test_foreign_host(void **state)
{
	(void)state;
	assert_int_equal(call("GET", "/healthz", "Host: evil.test\r\n", ""), 403);
	assert_problem("Host");
	assert_int_equal(call("POST", "/", "Host: evil.test:3001\r\n" JSON, GOOD_BODY), 403);
	assert_int_equal(world.pushes, 0);
	assert_int_equal(call("GET", "/healthz", "Host: 127.0.0.1:1\r\n", ""), 200);
}

static void test_web_pages_of_other_sites(void **state)
{
	(void)state;
	static const char *const others[] = { "Origin: http://evil.test\r\n",
		"Origin: http://evil.test:3001\r\n", "Origin: null\r\n", "Origin:\r\n",
		"Origin: localhost\r\n", "Origin: app://localhost\r\n",
		"Origin: http://localhost.evil.test\r\n", "Origin: http://localhost@evil.test\r\n",
		"Origin: http://localhost http://evil.test\r\n",
		"Origin: http://localhost\r\nOrigin: http://evil.test\r\n",
		"Sec-Fetch-Site: cross-site\r\n", "sec-fetch-site: same-site\r\n",
		"Origin: http://localhost\r\nSec-Fetch-Site: cross-site\r\n" };
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		if (call("POST", "/queues/requests/pause", others[i], "") != 403)
			fail_msg("%d for %s", answer.status, others[i]);
		assert_problem("Origin");
		assert_int_equal(call("DELETE", "/requests/" ID, others[i], ""), 403);
		assert_int_equal(get("/requests/" ID), 200); /* and the server goes on */
	}
	assert_int_equal(call("POST", "/", "Origin: http://evil.test\r\n" JSON, GOOD_BODY), 403);
	assert_int_equal(world.pushes, 0);
	assert_false(world.held[PL_STAGE_FETCH]);
	assert_string_equal(world.id, ""); /* nothing was altered */
}

static void test_web_pages_of_ours_and_whoever_only_reads(void **state)
{
	(void)state;
	static const char *const ours[] = { "Origin: http://localhost:3001\r\n",
		"Origin: https://127.0.0.1\r\n", "Origin: http://[::1]:8080\r\n",
		"Origin: http://localhost\r\nSec-Fetch-Site: same-origin\r\n",
		"Sec-Fetch-Site: none\r\n" };
	for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++) {
		if (call("POST", "/queues/requests/pause", ours[i], "") != 200)
			fail_msg("%d for %s", answer.status, ours[i]);
		assert_true(world.held[PL_STAGE_FETCH]);
		world.held[PL_STAGE_FETCH] = false;
	}
	static const char page[] = "Origin: http://evil.test\r\nSec-Fetch-Site: cross-site\r\n";
	assert_int_equal(call("GET", "/healthz", page, ""), 200);
	assert_int_equal(call("HEAD", "/requests/" ID, page, ""), 200);
}

/* ---- what is stored ---- */

static void test_record(void **state)
{
	(void)state;
	assert_int_equal(get("/requests/" ID), 200);
	assert_true(head_has("\r\nContent-Type: application/json"));
	assert_non_null(strstr(answer.body, "{\"requestId\":\"" ID "\",\"state\":\"fetched\","));
	size_t len = answer.len;
	char expected[64];
	snprintf(expected, sizeof(expected), "\r\nContent-Length: %zu", len);
	assert_int_equal(call("HEAD", "/requests/" ID, "", ""), 200);
	assert_true(head_has(expected));
	assert_int_equal(answer.len, 0);
}

static void test_record_that_is_not_to_be_had(void **state)
{
	(void)state;
	static const char *const paths[] = { "/requests/" ID, "/requests/" ID "/logs",
		"/requests/" ID "/data" };
	for (size_t i = 0; i < 3; i++) {
		world.err = PL_ENOTFOUND;
		assert_int_equal(get(paths[i]), 404);
		world.err = PL_EREDIS;
		assert_int_equal(get(paths[i]), 503);
		assert_true(head_has("\r\nRetry-After: "));
		assert_problem("Redis");
	}
}

static void test_log(void **state)
{
	(void)state;
	assert_int_equal(get("/requests/" ID "/logs"), 200);
	assert_true(head_has("\r\nContent-Type: application/x-ndjson"));
	assert_int_equal(answer.body[answer.len - 1], '\n');
}

/* ---- tails ---- */

#define FOLLOW  "/requests/" ID "/logs?follow=1"
#define EVENT_1 "id: 1\ndata: {\"n\":1,"
#define END     "event: end\ndata: {\"state\":\"delivered\"}\n\n"

static void test_tail_from_its_first_event_to_its_end(void **state)
{
	(void)state;
	world.looks_until_end = 3;
	world.has_news = true;
	assert_int_equal(get(FOLLOW), 200);
	assert_true(head_has("\r\nContent-Type: text/event-stream"));
	assert_true(head_has("\r\nCache-Control: no-store"));
	assert_false(head_has("Content-Length"));
	assert_memory_equal(answer.body, EVENT_1, sizeof(EVENT_1) - 1);
	const char *end = strstr(answer.body, "}\n\n");
	assert_non_null(end);
	assert_string_equal(end + 3, END);
	assert_int_equal(world.looks, 3);
}

static void test_tail_beats_when_there_is_no_news(void **state)
{
	(void)state;
	world.looks_until_end = 3;
	assert_int_equal(call("GET", FOLLOW, "Last-Event-ID: 1\r\n", ""), 200);
	assert_string_equal(answer.body, ":\n\n:\n\n" END);
	assert_in_range(world.longest_wait_ms, 10000, 15000); /* 15 s, less what has passed */
}

static void test_tails_have_a_ceiling(void **state)
{
	(void)state;
	api.tails.max = 0;
	assert_int_equal(get(FOLLOW), 503);
	assert_true(head_has("\r\nRetry-After: "));
	assert_problem("TAILS_MAX");
	api.tails.max = 1;
	for (int i = 0; i < 3; i++) {
		assert_int_equal(get(FOLLOW), 200);
		world.err = PL_ENOTFOUND;
		assert_int_equal(get(FOLLOW), 404);
		world.err = PL_OK;
	}
	assert_int_equal(pl_metrics_get(api.metrics.counts, API_TAILS, 0), 0);
}

static void test_tail_of_one_that_is_deleted_meanwhile(void **state)
{
	(void)state;
	world.has_news = true;
	world.looks_until_end = 1000000;
	world.gone_at = 2;
	assert_int_equal(get(FOLLOW), 200);
	assert_null(strstr(answer.body, "event: end"));
	assert_int_equal(world.looks, 2);
}

static void test_tail_that_is_asked_for_wrongly(void **state)
{
	(void)state;
	static const char *const queries[] = { "", "=", "=0", "=11", "=true", "=%3" };
	char path[128];
	for (size_t i = 0; i < sizeof(queries) / sizeof(queries[0]); i++) {
		snprintf(path, sizeof(path), "/requests/" ID "/logs?follow%s", queries[i]);
		assert_int_equal(get(path), 422);
		assert_problem("\"pointer\":\"follow\"");
	}
	assert_int_equal(call("GET", FOLLOW, "Last-Event-ID: x\r\n", ""), 422);
	assert_problem("\"pointer\":\"Last-Event-ID\"");
	assert_int_equal(call("HEAD", FOLLOW, "", ""), 200);
	assert_int_equal(answer.len, 0);
	assert_int_equal(world.looks, 0);
}

/* ---- data ---- */

static void test_data_in_the_record(void **state)
{
	(void)state;
	world.data = (struct pl_data) { .kind = PL_DATA_TEXT,
		.bytes = 5,
		.content_type = "text/html",
		.inline_bytes = "a\0b\r\n" };
	assert_int_equal(get("/requests/" ID "/data"), 200);
	assert_int_equal(answer.len, 5);
	assert_memory_equal(answer.body, "a\0b\r\n", 5);
	assert_true(head_has("\r\nContent-Type: text/html"));
	assert_true(head_has("\r\nX-Content-Type-Options: nosniff"));
	assert_true(head_has("\r\nContent-Security-Policy: sandbox"));
	world.data.content_type = "";
	assert_int_equal(get("/requests/" ID "/data"), 200);
	assert_true(head_has("\r\nContent-Type: application/octet-stream"));
	world.data.content_type = "text/html\r\nSet-Cookie: a=b";
	assert_int_equal(get("/requests/" ID "/data"), 200);
	assert_false(head_has("Set-Cookie"));
}

static void test_no_data(void **state)
{
	(void)state;
	assert_int_equal(get("/requests/" ID "/data"), 404);
	assert_problem("no data");
	world.data = (struct pl_data) { .kind = PL_DATA_EMPTY, .content_type = "" };
	assert_int_equal(get("/requests/" ID "/data"), 200);
	assert_int_equal(answer.len, 0);
}

static void test_data_in_chunks(void **state)
{
	(void)state;
	world.data = (struct pl_data) { .kind = PL_DATA_TEXT,
		.bytes = CHUNKS * PL_CHUNK_MAX,
		.content_type = "text/plain",
		.chunks = CHUNKS,
		.sha256 = "ab" };
	world.chunks_there = CHUNKS;
	assert_int_equal(get("/requests/" ID "/data"), 200);
	assert_int_equal(answer.len, CHUNKS * PL_CHUNK_MAX);
	for (size_t i = 0; i < answer.len; i++)
		if (answer.body[i] != 'a' + (int)(i / PL_CHUNK_MAX))
			fail_msg("byte %zu is %c", i, answer.body[i]);
	world.chunks_there = CHUNKS - 1; /* the length tells the client */
	assert_int_equal(get("/requests/" ID "/data"), 200);
	assert_int_equal(answer.len, (CHUNKS - 1) * PL_CHUNK_MAX);
	world.chunks_there = 0;
	assert_int_equal(get("/requests/" ID "/data"), 404);
	assert_problem("gone");
	world.chunks_there = CHUNKS;
	assert_int_equal(call("HEAD", "/requests/" ID "/data", "", ""), 200);
	assert_true(head_has("\r\nContent-Length: 786432"));
	assert_int_equal(answer.len, 0);
}

/* Asks for bytes from-to of the chunks above. */
static void assert_part(size_t from, size_t to)
{
	char line[128];
	snprintf(line, sizeof(line), "Range: bytes=%zu-%zu\r\n", from, to);
	assert_int_equal(call("GET", "/requests/" ID "/data", line, ""), 206);
	snprintf(line, sizeof(line), "\r\nContent-Range: bytes %zu-%zu/786432\r\n", from, to);
	assert_true(head_has(line));
	assert_int_equal(answer.len, to - from + 1);
	for (size_t i = 0; i < answer.len; i++)
		if (answer.body[i] != 'a' + (int)((from + i) / PL_CHUNK_MAX))
			fail_msg("byte %zu is %c", from + i, answer.body[i]);
}

static void test_parts_of_chunks(void **state)
{
	(void)state;
	world.data = (struct pl_data) { .kind = PL_DATA_TEXT,
		.bytes = CHUNKS * PL_CHUNK_MAX,
		.content_type = "text/plain",
		.chunks = CHUNKS,
		.sha256 = "ab" };
	world.chunks_there = CHUNKS;
	assert_part(0, CHUNKS * PL_CHUNK_MAX - 1);
	assert_part(PL_CHUNK_MAX - 1, PL_CHUNK_MAX);
	assert_part(PL_CHUNK_MAX, 2 * PL_CHUNK_MAX - 1);
	assert_part(CHUNKS * PL_CHUNK_MAX - 1, CHUNKS * PL_CHUNK_MAX - 1);
	assert_part(PL_CHUNK_MAX / 2, 2 * PL_CHUNK_MAX + 7);
	world.chunks_there = 1;
	assert_part(5, 9); /* what lies behind is not asked for */
	assert_int_equal(
		call("GET", "/requests/" ID "/data", "Range: bytes=300000-300001\r\n", ""), 404);
}

static void test_parts_of_data_in_the_record(void **state)
{
	(void)state;
	world.data = (struct pl_data) {
		.kind = PL_DATA_TEXT, .bytes = 5, .content_type = "", .inline_bytes = "01234"
	};
	static const char path[] = "/requests/" ID "/data";
	assert_int_equal(call("GET", path, "Range: bytes=-2\r\n", ""), 206);
	assert_string_equal(answer.body, "34");
	assert_true(head_has("\r\nContent-Range: bytes 3-4/5\r\n"));
	assert_true(head_has("\r\nX-Content-Type-Options: nosniff"));
	assert_int_equal(call("GET", path, "Range: bytes=5-\r\n", ""), 416);
	assert_true(head_has("\r\nContent-Range: bytes */5\r\n"));
	assert_problem("ends before");
	assert_int_equal(call("HEAD", path, "Range: bytes=1-2\r\n", ""), 200);
	assert_true(head_has("\r\nContent-Length: 5\r\n"));
	assert_true(head_has("\r\nAccept-Ranges: bytes\r\n"));

	/* printf 01234 | sha256sum */
#define ETAG "\"c565fe03ca9b6242e01dfddefe9bba3d98b270e19cd02fd85ceaf75e2b25bf12\""
	assert_true(head_has("\r\nETag: " ETAG "\r\n"));
	assert_int_equal(call("GET", path, "Range: bytes=1-2\r\nIf-Range: " ETAG "\r\n", ""), 206);
	assert_int_equal(call("GET", path, "Range: bytes=1-2\r\nIf-Range: \"other\"\r\n", ""), 200);
	assert_string_equal(answer.body, "01234");
	assert_int_equal(call("GET", path, "If-None-Match: " ETAG "\r\n", ""), 304);
	assert_false(head_has("Content-Length"));
	assert_int_equal(call("GET", path, "If-Match: \"other\"\r\n", ""), 412);
}

static void test_signed_data(void **state)
{
	(void)state;
	/* of test_data_signature */
	static const char mac[] =
		"004cbc780fd7aadfe760c83abb4ef03a08207cc8058bb42d6731256dca2ed743";
	char path[256];
	world.data = (struct pl_data) {
		.kind = PL_DATA_TEXT, .bytes = 1, .content_type = "", .inline_bytes = "x"
	};
	snprintf(path, sizeof(path), "/requests/" ID "/data?expires=2000000000&signature=%s", mac);
	assert_int_equal(get(path), 200);
	snprintf(path, sizeof(path), "/requests/" ID "/data?signature=%s&expires=2000000001", mac);
	assert_int_equal(get(path), 403);
	assert_problem("signature");
	assert_int_equal(get("/requests/" ID "/data?expires=2000000000"), 403);
	assert_int_equal(get("/requests/" ID "/data?signature=%zz"), 403);
	assert_int_equal(get("/requests/" ID "/data?unrelated=1"), 200);
	world.err = PL_EREDIS;
	assert_int_equal(get(path), 503);
}

/* ---- health ---- */

static void test_health(void **state)
{
	(void)state;
	world.is_ready = false;
	world.why = "Redis can forget: appendfsync is everysec";
	assert_int_equal(get("/healthz"), 200);
	assert_int_equal(get("/readyz"), 503);
	assert_problem("appendfsync is everysec");
	assert_true(head_has("\r\nRetry-After: "));
	world.is_ready = true;
	assert_int_equal(get("/readyz"), 200);
	assert_non_null(strstr(answer.body, "appendfsync is everysec")); /* relaxed says so */
	world.why = "";
	assert_int_equal(get("/readyz"), 200);
	assert_string_equal(answer.body, "{\"status\":\"ready\"}");
}

static void test_metrics(void **state)
{
	(void)state;
	world.is_ready = true;
	assert_int_equal(get("/metrics"), 200);
	assert_true(head_has("\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n"));
	assert_non_null(strstr(answer.body, "\nfetchback_ready{service=\"api\"} 1\n"));
	assert_non_null(strstr(answer.body, "\nfetchback_live_requests 7\n"));
	assert_non_null(strstr(answer.body, "\nfetchback_live_requests_max 1000\n"));
}

/* ---- while the server starts ---- */

/* civetweb serves already when it is asked for its ports, and the start waits for what it says. */
static void (*on_ports)(unsigned port);

int mg_get_server_ports(const struct mg_context *context, int size, struct mg_server_port *ports)
{
	int (*real)(const struct mg_context *, int, struct mg_server_port *);
	*(void **)&real = dlsym(RTLD_NEXT, "mg_get_server_ports");
	int count = real(context, size, ports);
	if (on_ports != NULL && count > 0)
		on_ports((unsigned)ports[0].port);
	return count;
}

static void call_early(unsigned early_port)
{
	unsigned usual_port = port;
	port = early_port;
	assert_int_equal(get("/healthz"), 200);
	assert_int_equal(get("/readyz"), 200);
	assert_int_equal(get("/metrics"), 200);
	world.looks_until_end = 2;
	world.has_news = true;
	assert_int_equal(get("/requests/" ID "/logs?follow=1"), 200);
	assert_non_null(strstr(answer.body, "event: end"));
	port = usual_port;
}

static void test_calls_before_the_start_has_returned(void **state)
{
	(void)state;
	struct pl_http_server *usual = api.http;
	api.http = NULL;
	on_ports = call_early;
	struct pl_http_server *server = serve();
	on_ports = NULL;
	assert_true(pl_http_server_stop(server, STOP_MS));
	assert_int_equal(world.looks, 2); /* it was called */
	api.http = usual;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_accepted, begin),
		cmocka_unit_test_setup(test_faulty_input, begin),
		cmocka_unit_test_setup(test_content_type, begin),
		cmocka_unit_test_setup(test_body_of_a_mebibyte, begin),
		cmocka_unit_test_setup(test_store_that_refuses, begin),
		cmocka_unit_test_setup(test_unknown_places, begin),
		cmocka_unit_test_setup(test_other_methods, begin),
		cmocka_unit_test_setup(test_changes_answer_the_record, begin),
		cmocka_unit_test_setup(test_changes_that_a_worker_has_not_heard, begin),
		cmocka_unit_test_setup(test_changes_that_are_refused, begin),
		cmocka_unit_test_setup(test_changes_that_may_stand_say_so, begin),
		cmocka_unit_test_setup(test_many_changes_that_were_cut, begin),
		cmocka_unit_test_setup(test_queues_are_held, begin),
		cmocka_unit_test_setup(test_a_listing_asks_the_index_that_fits, begin),
		cmocka_unit_test_setup(test_a_faulty_query_is_refused_by_name, begin),
		cmocka_unit_test_setup(test_foreign_host, begin),
		cmocka_unit_test_setup(test_web_pages_of_other_sites, begin),
		cmocka_unit_test_setup(test_web_pages_of_ours_and_whoever_only_reads, begin),
		cmocka_unit_test_setup(test_record, begin),
		cmocka_unit_test_setup(test_record_that_is_not_to_be_had, begin),
		cmocka_unit_test_setup(test_log, begin),
		cmocka_unit_test_setup(test_tail_from_its_first_event_to_its_end, begin),
		cmocka_unit_test_setup(test_tail_beats_when_there_is_no_news, begin),
		cmocka_unit_test_setup(test_tails_have_a_ceiling, begin),
		cmocka_unit_test_setup(test_tail_of_one_that_is_deleted_meanwhile, begin),
		cmocka_unit_test_setup(test_tail_that_is_asked_for_wrongly, begin),
		cmocka_unit_test_setup(test_data_in_the_record, begin),
		cmocka_unit_test_setup(test_no_data, begin),
		cmocka_unit_test_setup(test_data_in_chunks, begin),
		cmocka_unit_test_setup(test_parts_of_chunks, begin),
		cmocka_unit_test_setup(test_parts_of_data_in_the_record, begin),
		cmocka_unit_test_setup(test_signed_data, begin),
		cmocka_unit_test_setup(test_health, begin),
		cmocka_unit_test_setup(test_metrics, begin),
		cmocka_unit_test_setup(test_calls_before_the_start_has_returned, begin),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
