/*
 * http_rig: an engine, a server and a name server on one loop, and one exchange's story told by
 * its callbacks. No test sleeps; one that makes no progress is ended by the guard.
 */
#ifndef HTTP_RIG_H
#define HTTP_RIG_H

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "peer_dns.h"
#include "peer_http.h"
#include "pipeline/buf.h"
#include "pipeline/http.h"
#include "pipeline/mem.h"

#define RIG_GUARD_MS 30000
#define RIG_BODY_MAX (4 * 1024 * 1024)

static const struct peer_dns_name rig_names[] = {
	{ .name = "a.test", .addresses = "127.0.0.1", .ttl = 60 },
	{ .name = "b.test", .addresses = "127.0.0.1", .ttl = 60 },
	{ .name = "both.test", .addresses = "127.0.0.1 ::1", .ttl = 60 },
	{ .name = "mixed.test", .addresses = "127.0.0.1 10.1.2.3", .ttl = 60 },
	{ .name = "private.test", .addresses = "10.1.2.3", .ttl = 60 },
	{ .name = "fallback.test", .addresses = "127.0.0.9 127.0.0.1", .ttl = 60 },
	{ .name = "silent.test", .rcode = PEER_DNS_SILENT },
	{ .name = "broken.test", .rcode = 2 },
	{ .name = NULL },
};

struct rig {
	uv_loop_t loop;
	uv_timer_t guard;
	struct peer_dns dns;
	struct peer_http server;
	struct pl_netpolicy *policy;
	struct pl_http *http;
	char base[64];
	bool closed;
};

struct story {
	struct rig *rig;
	struct pl_http_exchange *exchange;
	struct pl_http_options options;
	char url[512];
	bool started; /* pl_http_start has returned */
	unsigned heads, bodies, dones;
	int head_status;
	struct pl_http_answer answer;
	struct pl_buf body;
	enum pl_http_flow head_flow, body_flow; /* the first answers to on_head, on_body */
	unsigned pauses;
	uv_timer_t *resumer; /* started by a pause */
	uint64_t resume_after_ms;
	void (*on_body_too)(struct story *story);
	void (*on_done_too)(struct story *story);
};

static inline void rig_on_guard(uv_timer_t *guard)
{
	(void)guard;
	fprintf(stderr, "nothing happened in time\n");
	abort(); /* what the exchanges point to is on the stack of the test */
}

static inline void rig_no_answer(struct peer_conn *conn)
{
	(void)conn;
}

static inline struct rig *rig_new(const struct pl_netpolicy_options *allowed, const char *ca_file)
{
	struct rig *rig = pl_calloc(1, sizeof(*rig));
	const char *why = NULL;
	signal(SIGPIPE, SIG_IGN); /* the server writes to exchanges that were cut */
	uv_loop_init(&rig->loop);
	uv_timer_init(&rig->loop, &rig->guard);
	uv_timer_start(&rig->guard, rig_on_guard, RIG_GUARD_MS, 0);
	peer_dns_open(&rig->dns, &rig->loop, rig_names);
	peer_http_open(&rig->server, &rig->loop, rig_no_answer);
	rig->server.arg = rig;
	snprintf(rig->base, sizeof(rig->base), "http://127.0.0.1:%u", rig->server.port);
	assert_int_equal(pl_netpolicy_new(allowed, &rig->policy, &why), PL_OK);
	const struct pl_http_engine_options options = {
		.policy = rig->policy,
		.connections_max = 64,
		.ca_file = ca_file,
		.dns_servers = rig->dns.where,
		.user_agent = "fetchback/test",
	};
	assert_int_equal(pl_http_new(&rig->loop, &options, &rig->http), PL_OK);
	return rig;
}

static inline int rig_open(void **state)
{
	const struct pl_netpolicy_options allowed = { .allow_networks = "127.0.0.0/8, ::1" };
	*state = rig_new(&allowed, NULL);
	return 0;
}

static inline void rig_on_closed(void *arg)
{
	struct rig *rig = arg;
	rig->closed = true;
	rig->http = NULL;
}

static inline void rig_close_engine(struct rig *rig)
{
	pl_http_close(rig->http, rig_on_closed, rig);
	assert_false(rig->closed);
	while (!rig->closed)
		uv_run(&rig->loop, UV_RUN_ONCE);
}

static inline int rig_close(void **state)
{
	struct rig *rig = *state;
	if (rig->http != NULL)
		rig_close_engine(rig);
	peer_dns_close(&rig->dns);
	uv_close((uv_handle_t *)&rig->server.tcp, NULL);
	uv_close((uv_handle_t *)&rig->guard, NULL);
	uv_run(&rig->loop, UV_RUN_DEFAULT);
	pl_netpolicy_free(rig->policy);
	int busy = uv_loop_close(&rig->loop); /* a handle left open shows here */
	free(rig);
	return busy;
}

static inline void story_on_resume(uv_timer_t *timer)
{
	struct story *story = timer->data;
	unsigned bodies = story->bodies;
	pl_http_resume(story->exchange);
	pl_http_resume(story->exchange);
	assert_int_equal(story->bodies, bodies); /* nothing is called inside */
}

static inline void story_paused(struct story *story)
{
	story->pauses++;
	if (story->resumer != NULL)
		uv_timer_start(story->resumer, story_on_resume, story->resume_after_ms, 0);
}

static inline enum pl_http_flow story_on_head(void *arg, const struct pl_http_answer *so_far)
{
	struct story *story = arg;
	assert_true(story->started);
	assert_int_equal(story->bodies + story->dones, 0);
	story->heads++;
	story->head_status = so_far->status;
	if (story->head_flow == PL_HTTP_PAUSE)
		story_paused(story);
	return story->head_flow;
}

static inline enum pl_http_flow story_on_body(void *arg, const char *data, size_t len)
{
	struct story *story = arg;
	assert_int_equal(story->heads, 1);
	assert_int_equal(story->dones, 0);
	story->bodies++;
	if (story->on_body_too != NULL)
		story->on_body_too(story);
	enum pl_http_flow flow = story->body_flow;
	if (flow == PL_HTTP_PAUSE) {
		story_paused(story);
		story->body_flow = PL_HTTP_GO;
		return flow;
	}
	assert_int_equal(pl_buf_add(&story->body, data, len), PL_OK);
	return flow;
}

static inline void story_on_done(void *arg, const struct pl_http_answer *answer)
{
	struct story *story = arg;
	assert_true(story->started);
	story->dones++;
	story->answer = *answer;
	assert_true((answer->fault == PL_FAULT_NONE) == (answer->message[0] == '\0'));
	if (story->on_done_too != NULL)
		story->on_done_too(story);
}

/* path starts with '/' for the rig's server, else it is a whole URL. */
static inline void story_init(struct story *story, struct rig *rig, const char *path)
{
	*story = (struct story) { .rig = rig };
	pl_buf_init(&story->body, RIG_BODY_MAX);
	int len = snprintf(
		story->url, sizeof(story->url), "%s%s", path[0] == '/' ? rig->base : "", path);
	assert_in_range(len, 1, sizeof(story->url) - 1);
	story->options = (struct pl_http_options) {
		.method = "GET",
		.connect_ms = 2000,
		.idle_ms = 5000,
		.total_ms = 20000,
		.redirects_max = 0,
		.body_max = RIG_BODY_MAX,
		.on_head = story_on_head,
		.on_body = story_on_body,
		.on_done = story_on_done,
	};
}

static inline void story_start(struct story *story)
{
	story->options.url = story->url;
	story->options.arg = story;
	story->exchange = pl_http_start(story->rig->http, &story->options);
	story->started = true;
}

static inline void story_wait(struct story *story)
{
	while (story->dones == 0)
		uv_run(&story->rig->loop, UV_RUN_ONCE);
	assert_int_equal(story->dones, 1);
}

static inline void story_tell(struct story *story)
{
	story_start(story);
	story_wait(story);
}

/* A pause in it ends after that time. */
static inline void story_tell_resumed(struct story *story, uint64_t after_ms)
{
	uv_timer_t timer;
	uv_timer_init(&story->rig->loop, &timer);
	timer.data = story;
	story->resumer = &timer;
	story->resume_after_ms = after_ms;
	story_tell(story);
	uv_close((uv_handle_t *)&timer, NULL);
	uv_run(&story->rig->loop, UV_RUN_NOWAIT);
}

static inline void story_fini(struct story *story)
{
	assert_int_equal(story->dones, 1);
	pl_buf_fini(&story->body);
}

static inline void story_is(
	const struct story *story, enum pl_fault fault, int status, const char *body)
{
	assert_string_equal(pl_fault_name(story->answer.fault), pl_fault_name(fault));
	assert_int_equal(story->answer.status, status);
	if (body == NULL)
		return;
	assert_string_equal(story->body.len > 0 ? story->body.data : "", body);
	assert_int_equal(story->answer.body_bytes, strlen(body));
}

/* Nobody accepts, and the queue of waiting connections is full: a connect stays unanswered. */
struct full_listener {
	int listener, fill[8];
	unsigned port;
};

static inline void full_listener_open(struct full_listener *full, const char *ip, unsigned port)
{
	struct sockaddr_in at;
	socklen_t size = sizeof(at);
	uv_ip4_addr(ip, (int)port, &at);
	full->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(full->listener, (struct sockaddr *)&at, size), 0);
	assert_int_equal(listen(full->listener, 0), 0);
	assert_int_equal(getsockname(full->listener, (struct sockaddr *)&at, &size), 0);
	full->port = ntohs(at.sin_port);
	for (size_t i = 0; i < 8; i++) {
		full->fill[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		(void)!connect(full->fill[i], (struct sockaddr *)&at, size);
	}
}

static inline void full_listener_close(struct full_listener *full)
{
	for (size_t i = 0; i < 8; i++)
		close(full->fill[i]);
	close(full->listener);
}

/* The whole of a simple exchange. */
static inline void expect(
	struct rig *rig, const char *path, enum pl_fault fault, int status, const char *body)
{
	struct story story;
	story_init(&story, rig, path);
	story_tell(&story);
	story_is(&story, fault, status, body);
	story_fini(&story);
}

#define RIG_TEST(name) cmocka_unit_test_setup_teardown(name, rig_open, rig_close)

#endif
