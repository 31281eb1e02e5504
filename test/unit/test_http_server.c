/*
 * http_server over raw sockets: what a client can send to mislead or to hold up a server, and what
 * it must see. Every wait is a read or write with a deadline of the socket's own.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "pipeline/clock.h"
#include "pipeline/http_server.h"
#include "pipeline/mem.h"

#define WAIT_S     20 /* a read that takes longer is a failure; the machine may be slow */
#define STOP_MS    20000
#define HEADS      8 /* a head has an eighth of the time of a body */
#define BODY_MAX   (64 * 1024)
#define LARGER     100
#define ANSWER_MAX (1024 * 1024)

/* ---- a server that notes what reaches its handler ---- */

struct fixture {
	struct pl_http_server *server;
	unsigned port;
	atomic_uint calls;
	atomic_uint evil;  /* calls whose path only a smuggled request carries */
	atomic_int policy; /* of the last call's thread */
	pthread_mutex_t lock;
	pthread_cond_t turn;
	bool entered, may_go; /* the gate of /gate */
};

static void wait_at_gate(struct fixture *f)
{
	pthread_mutex_lock(&f->lock);
	f->entered = true;
	pthread_cond_broadcast(&f->turn);
	while (!f->may_go)
		pthread_cond_wait(&f->turn, &f->lock);
	pthread_mutex_unlock(&f->lock);
}

static void stream(struct pl_http_call *call)
{
	pl_http_call_begin(call, 200, "text/plain", NULL, 10);
	(void)pl_http_call_write(call, "01234", 5);
	(void)pl_http_call_write(call, "56789", 5);
}

static void flood(struct pl_http_call *call)
{
	size_t len = 32 * 1024 * 1024;
	char *data = pl_calloc(1, len);
	pl_http_call_answer(call, 200, "application/octet-stream", NULL, data, len);
	free(data);
}

/* Echoes "METHOD path?query body". */
static void handle(void *arg, struct pl_http_call *call)
{
	struct fixture *f = arg;
	const char *path = pl_http_call_path(call);
	atomic_fetch_add(&f->calls, 1);
	atomic_store(&f->policy, sched_getscheduler(0));
	if (strcmp(path, "/evil") == 0)
		atomic_fetch_add(&f->evil, 1);
	if (strcmp(path, "/gate") == 0)
		wait_at_gate(f);
	if (strcmp(path, "/stream") == 0) {
		stream(call);
		return;
	}
	if (strcmp(path, "/flood") == 0) {
		flood(call);
		return;
	}
	if (strcmp(path, "/silent") == 0)
		return;
	if (strcmp(path, "/stopping") == 0) {
		const char *word = pl_http_call_stopping(call) ? "yes" : "no";
		pl_http_call_answer(call, 200, NULL, NULL, word, strlen(word));
		return;
	}
	if (strcmp(path, "/refused") == 0) {
		pl_http_call_answer(call, 400, NULL, NULL, NULL, 0);
		return;
	}
	size_t len;
	const char *body = pl_http_call_body(call, &len);
	struct pl_buf *out = pl_http_call_scratch(call);
	if (pl_buf_format(out, "%s %s?%s %.*s", pl_http_call_method(call), path,
		    pl_http_call_query(call), (int)len, body) != PL_OK)
		abort(); /* cmocka's asserts belong to the test's own thread */
	pl_http_call_answer(call, 200, "text/plain", "X-Mine: yes\r\n", out->data, out->len);
}

static size_t limit_of(void *arg, const char *method, const char *path)
{
	(void)arg;
	(void)method;
	if (strcmp(path, "/large") == 0)
		return BODY_MAX + LARGER;
	return strcmp(path, "/small") == 0 ? 10 : BODY_MAX;
}

static struct fixture *start(
	unsigned threads, unsigned per_address, uint64_t body_ms, uint64_t idle_ms)
{
	struct fixture *f = pl_calloc(1, sizeof(*f));
	pthread_mutex_init(&f->lock, NULL);
	pthread_cond_init(&f->turn, NULL);
	struct pl_http_server_options options = {
		.bind = "127.0.0.1",
		.threads = threads,
		.connections_per_address = per_address,
		.body_max = BODY_MAX,
		.head_ms = body_ms / HEADS,
		.body_ms = body_ms,
		.idle_ms = idle_ms,
		.handler = handle,
		.body_limit = limit_of,
		.arg = f,
	};
	const char *why = NULL;
	if (pl_http_server_start(&options, &f->server, &why) != PL_OK)
		fail_msg("no server: %s", why);
	f->port = pl_http_server_port(f->server);
	assert_int_not_equal(f->port, 0);
	return f;
}

static void finish(struct fixture *f)
{
	if (f->server != NULL)
		assert_true(pl_http_server_stop(f->server, STOP_MS));
	pthread_cond_destroy(&f->turn);
	pthread_mutex_destroy(&f->lock);
	free(f);
}

static int setup(void **state)
{
	*state = start(8, 0, 10000, 10000);
	return 0;
}

static int teardown(void **state)
{
	finish(*state);
	return 0;
}

/* ---- a client of raw bytes ---- */

static int dial_from(const char *from, unsigned port)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(fd >= 0);
	struct timeval wait = { .tv_sec = WAIT_S };
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait)), 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait)), 0);
	struct sockaddr_in address = { .sin_family = AF_INET };
	assert_int_equal(inet_pton(AF_INET, from, &address.sin_addr), 1);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(inet_pton(AF_INET, "127.0.0.1", &address.sin_addr), 1);
	address.sin_port = htons((uint16_t)port);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

static int dial(const struct fixture *f)
{
	return dial_from("127.0.0.1", f->port);
}

/* What can't be sent because the server has closed is no failure of the test. */
static void put_bytes(int fd, const char *data, size_t len)
{
	while (len > 0) {
		ssize_t n = send(fd, data, len, MSG_NOSIGNAL);
		if (n < 0 && (errno == EPIPE || errno == ECONNRESET))
			return;
		assert_true(n > 0);
		data += n;
		len -= (size_t)n;
	}
}

static void put(int fd, const char *text)
{
	put_bytes(fd, text, strlen(text));
}

/* One byte at most per read, so that nothing of the next answer is taken. False: closed. */
static bool get_byte(int fd, char *c)
{
	ssize_t n = recv(fd, c, 1, 0);
	if (n < 0 && errno != ECONNRESET)
		fail_msg("nothing came within %d s", WAIT_S);
	return n == 1;
}

struct answer {
	int status; /* 0: closed without one */
	char head[4096];
	char body[8192];
	size_t body_len;
};

static const char *header(const struct answer *answer, const char *line)
{
	return strstr(answer->head, line);
}

static struct answer get(int fd, bool has_body)
{
	struct answer a = { 0 };
	size_t len = 0;
	char c;
	while (len < 4 || memcmp(a.head + len - 4, "\r\n\r\n", 4) != 0) {
		if (!get_byte(fd, &c)) {
			if (len > 0)
				fail_msg("closed inside a head: %s", a.head);
			return a;
		}
		assert_true(len + 1 < sizeof(a.head));
		a.head[len++] = c;
	}
	assert_int_equal(sscanf(a.head, "HTTP/1.1 %d ", &a.status), 1);
	const char *length = header(&a, "\r\nContent-Length: ");
	size_t expected =
		length != NULL && has_body
			? (size_t)strtoul(length + strlen("\r\nContent-Length: "), NULL, 10)
			: 0;
	assert_true(expected < sizeof(a.body));
	while (a.body_len < expected && get_byte(fd, &c))
		a.body[a.body_len++] = c;
	assert_int_equal(a.body_len, expected);
	return a;
}

static bool is_closed(int fd)
{
	char c;
	return !get_byte(fd, &c);
}

static struct answer ask(struct fixture *f, const char *request)
{
	int fd = dial(f);
	put(fd, request);
	struct answer a = get(fd, true);
	close(fd);
	return a;
}

/* ---- plain use ---- */

static void test_answers_what_was_asked(void **state)
{
	struct answer a = ask(
		*state, "POST /a/b?x=1&y HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello");
	assert_int_equal(a.status, 200);
	assert_string_equal(a.body, "POST /a/b?x=1&y hello");
	assert_non_null(header(&a, "\r\nContent-Type: text/plain\r\n"));
	assert_non_null(header(&a, "\r\nX-Mine: yes\r\n"));
	assert_non_null(header(&a, "\r\nDate: "));
	assert_null(header(&a, "Connection:"));
}

static void test_path_is_as_sent(void **state)
{
	struct answer a = ask(*state, "GET /a%2fb/../c HTTP/1.1\r\nHost: h\r\n\r\n");
	assert_string_equal(a.body, "GET /a%2fb/../c? ");
}

static void test_head_has_no_body(void **state)
{
	struct fixture *f = *state;
	int fd = dial(f);
	put(fd, "HEAD /a HTTP/1.1\r\nHost: h\r\n\r\nGET /b HTTP/1.1\r\nHost: h\r\n\r\n");
	struct answer a = get(fd, false);
	assert_int_equal(a.status, 200);
	assert_non_null(header(&a, "\r\nContent-Length: 9\r\n"));
	assert_string_equal(get(fd, true).body, "GET /b? ");
	close(fd);
}

static void test_chunks_are_joined(void **state)
{
	struct answer a =
		ask(*state, "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
			    "3\r\nabc\r\n1\r\nd\r\n0\r\n\r\n");
	assert_string_equal(a.body, "POST /? abcd");
}

static void test_expectation_is_met(void **state)
{
	struct fixture *f = *state;
	int fd = dial(f);
	put(fd, "POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
	assert_int_equal(get(fd, false).status, 100);
	put(fd, "ok");
	assert_string_equal(get(fd, true).body, "POST /? ok");
	close(fd);
	assert_int_equal(
		ask(f, "POST / HTTP/1.1\r\nHost: h\r\nExpect: tea\r\nContent-Length: 2\r\n\r\nok")
			.status,
		417);
}

static int announce_large(struct fixture *f, size_t len, int *status)
{
	char head[128];
	int fd = dial(f);
	snprintf(head, sizeof(head),
		"POST /large HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: "
		"%zu\r\n\r\n",
		len);
	put(fd, head);
	*status = get(fd, false).status;
	return fd;
}

/* A client that leaves gives its place back as soon as the server sees it. */
static void await_place(struct fixture *f)
{
	int status = 503;
	for (int i = 0; i < 10000 && status == 503; i++)
		close(announce_large(f, BODY_MAX + 1, &status));
	assert_int_equal(status, 100);
}

static void test_large_bodies_have_few_places(void **state)
{
	struct fixture *f = *state;
	int fds[PL_HTTP_LARGE_BODIES_MAX], status;
	for (size_t i = 0; i < PL_HTTP_LARGE_BODIES_MAX; i++) {
		fds[i] = announce_large(f, BODY_MAX + LARGER, &status);
		assert_int_equal(status, 100);
	}
	int one_more = announce_large(f, BODY_MAX + 1, &status);
	assert_int_equal(status, 503);
	close(one_more);
	int small = announce_large(f, BODY_MAX, &status);
	assert_int_equal(status, 100); /* what others may have, this may */
	close(small);

	char *body = pl_calloc(1, BODY_MAX + LARGER);
	memset(body, ' ', BODY_MAX + LARGER);
	put_bytes(fds[0], body, BODY_MAX + LARGER);
	assert_int_equal(get(fds[0], false).status, 200);
	free(body);
	for (size_t i = 0; i < PL_HTTP_LARGE_BODIES_MAX; i++)
		close(fds[i]);
	await_place(f);
}

static void test_pipelined_requests_are_answered_in_order(void **state)
{
	struct fixture *f = *state;
	int fd = dial(f);
	struct pl_buf all;
	pl_buf_init(&all, 64 * 1024);
	for (int i = 0; i < 50; i++)
		assert_int_equal(
			pl_buf_format(&all,
				"POST /%d HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\n%02d", i,
				i),
			PL_OK);
	put_bytes(fd, all.data, all.len);
	for (int i = 0; i < 50; i++) {
		char expected[64];
		snprintf(expected, sizeof(expected), "POST /%d? %02d", i, i);
		assert_string_equal(get(fd, true).body, expected);
	}
	pl_buf_fini(&all);
	close(fd);
}

static void test_connection_is_closed_when_asked(void **state)
{
	struct fixture *f = *state;
	static const char *const asking[] = {
		"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: h\r\nConnection: k\r\n\r\n",
		"GET / HTTP/1.0\r\nHost: h\r\n\r\n",
	};
	for (size_t i = 0; i < sizeof(asking) / sizeof(asking[0]); i++) {
		int fd = dial(f);
		put(fd, asking[i]);
		struct answer a = get(fd, true);
		assert_int_equal(a.status, 200);
		assert_non_null(header(&a, "\r\nConnection: close\r\n"));
		assert_true(is_closed(fd));
		close(fd);
	}
	int fd = dial(f);
	put(fd, "GET / HTTP/1.0\r\nHost: h\r\nConnection: keep-alive\r\n\r\n");
	struct answer a = get(fd, true);
	assert_non_null(header(&a, "\r\nConnection: keep-alive\r\n"));
	put(fd, "GET /again HTTP/1.0\r\nHost: h\r\n\r\n");
	assert_string_equal(get(fd, true).body, "GET /again? ");
	close(fd);
}

static void test_a_400_ends_its_connection(void **state)
{
	struct fixture *f = *state;
	int fd = dial(f);
	put(fd, "GET /refused HTTP/1.1\r\nHost: h\r\n\r\nGET /evil HTTP/1.1\r\nHost: h\r\n\r\n");
	struct answer a = get(fd, true);
	assert_int_equal(a.status, 400);
	assert_non_null(header(&a, "\r\nConnection: close\r\n"));
	assert_true(is_closed(fd));
	close(fd);
	assert_int_equal(atomic_load(&f->evil), 0);
}

static void test_streamed_answer_keeps_the_connection(void **state)
{
	struct fixture *f = *state;
	int fd = dial(f);
	put(fd, "GET /stream HTTP/1.1\r\nHost: h\r\n\r\n");
	assert_string_equal(get(fd, true).body, "0123456789");
	put(fd, "HEAD /stream HTTP/1.1\r\nHost: h\r\n\r\n");
	struct answer head = get(fd, false);
	assert_non_null(header(&head, "\r\nContent-Length: 10\r\n"));
	put(fd, "GET /next HTTP/1.1\r\nHost: h\r\n\r\n");
	assert_string_equal(get(fd, true).body, "GET /next? ");
	close(fd);
}

static void test_a_thread_does_not_interrupt_who_wakes_it(void **state)
{
	struct fixture *f = *state;
	assert_int_equal(ask(f, "GET / HTTP/1.1\r\nHost: h\r\n\r\n").status, 200);
	assert_int_equal(atomic_load(&f->policy), SCHED_BATCH);
	assert_int_equal(sched_getscheduler(0), SCHED_OTHER); /* ours stays as it was */
}

static void test_forgotten_answer_is_a_500(void **state)
{
	assert_int_equal(ask(*state, "GET /silent HTTP/1.1\r\nHost: h\r\n\r\n").status, 500);
}

static void test_method_unknown_is_a_501(void **state)
{
	struct fixture *f = *state;
	assert_int_equal(ask(f, "BREW / HTTP/1.1\r\nHost: h\r\n\r\n").status, 501);
	assert_int_equal(ask(f, "BREW / HTTP/3\r\nHost: h\r\n\r\n").status, 400);
	assert_int_equal(ask(f, "PUT / HTTP/1.1\r\nHost: h\r\nbroken\r\n\r\n").status, 400);
	assert_int_equal(atomic_load(&f->calls), 0);
}

/* On a connection that has served one; and what says no more than that gets no answer. */
static void test_target_of_another_server_is_a_400(void **state)
{
	struct fixture *f = *state;
	static const char *const second[] = { "GET http://localhost/x HTTP/1.1\r\nHost: h\r\n\r\n",
		"GET * HTTP/1.1\r\nHost: h\r\n\r\n" };
	for (size_t i = 0; i < sizeof(second) / sizeof(second[0]); i++) {
		int fd = dial(f);
		put(fd, "GET /first HTTP/1.1\r\nHost: h\r\n\r\n");
		assert_int_equal(get(fd, true).status, 200);
		put(fd, second[i]);
		struct answer a = get(fd, true);
		assert_int_equal(a.status, 400);
		assert_non_null(strstr(a.body, "must be a path"));
		assert_true(is_closed(fd));
		close(fd);
	}
	int fd = dial(f);
	put(fd, "GET /first HTTP/1.1\r\nHost: h\r\n\r\n");
	assert_int_equal(get(fd, true).status, 200);
	shutdown(fd, SHUT_WR);
	assert_true(is_closed(fd));
	close(fd);
}

static void test_body_at_and_above_its_limit(void **state)
{
	struct fixture *f = *state;
	assert_int_equal(
		ask(f, "POST /small HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\n0123456789")
			.status,
		200);
	int fd = dial(f);
	put(fd, "POST /small HTTP/1.1\r\nHost: h\r\nContent-Length: 11\r\n\r\n0123456789A");
	struct answer a = get(fd, true);
	assert_int_equal(a.status, 413);
	assert_non_null(header(&a, "\r\nContent-Type: application/problem+json\r\n"));
	assert_true(is_closed(fd));
	close(fd);
	assert_int_equal(
		ask(f, "POST /small HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
		       "a\r\n0123456789\r\n0\r\n\r\n")
			.status,
		200);
	assert_int_equal(
		ask(f, "POST /small HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
		       "b\r\n0123456789A\r\n0\r\n\r\n")
			.status,
		413);
	/* refused by its announcement alone: nothing of it is sent */
	assert_int_equal(ask(f, "POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\n"
				"Content-Length: 99999999\r\n\r\n")
				 .status,
		413);
}

/* ---- hostile framing ---- */

#define SMUGGLED  "GET /evil HTTP/1.1\r\nHost: h\r\n\r\n"
#define HEADERS8  "A: 1\r\nA: 2\r\nA: 3\r\nA: 4\r\nA: 5\r\nA: 6\r\nA: 7\r\nA: 8\r\n"
#define HEADERS64 HEADERS8 HEADERS8 HEADERS8 HEADERS8 HEADERS8 HEADERS8 HEADERS8 HEADERS8

static const char *const hostile[] = {
	/* two lengths */
	"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\nContent-Length: 31\r\n\r\n" SMUGGLED,
	"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 31\r\nContent-Length: 0\r\n\r\n" SMUGGLED,
	"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\nContent-Length: 0\r\n\r\n" SMUGGLED,
	"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0, 31\r\n\r\n" SMUGGLED,
	"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0,0\r\n\r\n" SMUGGLED,
	/* lengths that are no plain number */
	"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0abc\r\n\r\n" SMUGGLED,
	"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: +0\r\n\r\n" SMUGGLED,
	"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: -0\r\n\r\n" SMUGGLED,
	"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: -1\r\n\r\n" SMUGGLED,
	"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0x1f\r\n\r\n" SMUGGLED,
	"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0 31\r\n\r\n" SMUGGLED,
	"POST / HTTP/1.1\r\nHost: h\r\nContent-Length:\r\n\r\n" SMUGGLED,
	"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 18446744073709551616\r\n\r\n" SMUGGLED,
	"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 000000000\r\n\r\n" SMUGGLED,
	/* length and coding, other codings */
	"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"
	"0\r\n\r\n" SMUGGLED,
	"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n"
	"0\r\n\r\n" SMUGGLED,
	"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: identity\r\nContent-Length: "
	"0\r\n\r\n" SMUGGLED,
	"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: identity\r\n\r\n" SMUGGLED,
	"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n" SMUGGLED,
	"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked, "
	"identity\r\n\r\n0\r\n\r\n" SMUGGLED,
	"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" SMUGGLED,
	"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n" SMUGGLED,
	"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding:\r\n\r\n" SMUGGLED,
	"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: "
	"chunked\r\n\r\n"
	"0\r\n\r\n" SMUGGLED,
	"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: "
	"identity\r\n\r\n"
	"0\r\n\r\n" SMUGGLED,
	"POST / HTTP/1.0\r\nHost: h\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n"
	"0\r\n\r\n" SMUGGLED,
	/* what civetweb does not see */
	"POST / HTTP/1.1\r\nHost: h\r\n" HEADERS64 "Content-Length: 31\r\n\r\n" SMUGGLED,
	"POST / HTTP/1.1\r\nHost: h\r\n : x\r\nContent-Length: 31\r\n\r\n" SMUGGLED,
	"POST / HTTP/1.1\r\nHost: h\r\n: x\r\nContent-Length: 31\r\n\r\n" SMUGGLED,
	"POST / HTTP/1.1\r\nHost: h\r\n\xc3\xa4: x\r\nContent-Length: 31\r\n\r\n" SMUGGLED,
	"POST / HTTP/1.1\r\nHost: h\r\nA: b\r\n folded: c\r\nContent-Length: 31\r\n\r\n" SMUGGLED,
	"POST / HTTP/1.1\r\nHost: h\r\n\rContent-Length: 31\r\n\r\n" SMUGGLED,
	"POST / HTTP/1.1\r\n Host: h\r\nContent-Length: 0\r\n\r\n" SMUGGLED,
	"POST / HTTP/1.1\r\n\nHost: h\r\nContent-Length: 0\r\n\r\n" SMUGGLED,
	/* names and colons */
	"POST / HTTP/1.1\r\nHost: h\r\nContent-Length : 31\r\n\r\n" SMUGGLED,
	"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n" SMUGGLED,
	"POST / HTTP/1.1\r\nHost: h\r\nContent(Length: 31\r\n\r\n" SMUGGLED,
	"POST / HTTP/1.1\r\nHost: h\r\nno colon here\r\n\r\n" SMUGGLED,
	/* line ends */
	"POST / HTTP/1.1\nHost: h\nContent-Length: 0\n\n" SMUGGLED,
	"POST / HTTP/1.1\r\nHost: h\nContent-Length: 0\r\n\r\n" SMUGGLED,
	"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\n\n" SMUGGLED,
	"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\n\r\n" SMUGGLED,
	"POST / HTTP/1.1\r\nHost: h\rContent-Length: 31\r\n\r\n" SMUGGLED,
	/* request lines, versions, targets */
	"POST  / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n" SMUGGLED,
	"POST /  HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n" SMUGGLED,
	"POST /?a  HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n" SMUGGLED,
	"POST / HTTP/1.1 \r\nHost: h\r\nContent-Length: 0\r\n\r\n" SMUGGLED,
	"POST / HTTP/1.2\r\nHost: h\r\nContent-Length: 0\r\n\r\n" SMUGGLED,
	"POST / HTTP/2.0\r\nHost: h\r\nContent-Length: 0\r\n\r\n" SMUGGLED,
	"POST / HTTP/0.9\r\nHost: h\r\nContent-Length: 0\r\n\r\n" SMUGGLED,
	"POST / http/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n" SMUGGLED,
	"POST /\r\nHost: h\r\n\r\n" SMUGGLED,
	"post / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n" SMUGGLED,
	"TRACE / HTTP/1.1\r\nHost: h\r\n\r\n" SMUGGLED,
	"\x01POST / HTTP/1.1\r\nHost: h\r\n\r\n" SMUGGLED,
	/* hosts */
	"POST / HTTP/1.1\r\nContent-Length: 0\r\n\r\n" SMUGGLED,
	"POST / HTTP/1.1\r\nHost: h\r\nHost: h\r\nContent-Length: 0\r\n\r\n" SMUGGLED,
	"POST / HTTP/1.1\r\nHost: h\r\nhOST: i\r\nContent-Length: 0\r\n\r\n" SMUGGLED,
	"POST / HTTP/1.0\r\nContent-Length: 0\r\n\r\n" SMUGGLED,
	/* chunks */
	"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n" SMUGGLED,
	"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n" SMUGGLED,
	"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0x0\r\n\r\n" SMUGGLED,
	"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n 0\r\n\r\n" SMUGGLED,
	"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0;x=\n\r\n\r\n" SMUGGLED,
	"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: "
	"chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n" SMUGGLED,
	"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: "
	"chunked\r\n\r\nffffffffffffffff\r\n" SMUGGLED,
	"POST http://h/ HTTP/1.1\r\nHost: h\r\nContent-Length: 31\r\n\r\n" SMUGGLED,
	"GET http://h HTTP/1.1\r\nHost: h\r\n\r\n" SMUGGLED,
	"GET https://h:443/ HTTP/1.1\r\nHost: h\r\n\r\n" SMUGGLED,
	"POST * HTTP/1.1\r\nHost: h\r\nContent-Length: 31\r\n\r\n" SMUGGLED,
	"OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n" SMUGGLED,
};

static void test_hostile_framing_is_refused_and_closed(void **state)
{
	struct fixture *f = *state;
	for (size_t i = 0; i < sizeof(hostile) / sizeof(hostile[0]); i++) {
		unsigned calls = atomic_load(&f->calls);
		int fd = dial(f);
		put(fd, hostile[i]);
		shutdown(fd, SHUT_WR);
		struct answer a = get(fd, true);
		if (a.status != 400 && a.status != 501 && a.status != 505)
			fail_msg("%zu answered %d: %s", i, a.status, hostile[i]);
		assert_non_null(header(&a, "\r\nContent-Type: application/problem+json\r\n"));
		assert_non_null(header(&a, "\r\nConnection: close\r\n"));
		assert_true(is_closed(fd));
		close(fd);
		if (atomic_load(&f->calls) != calls)
			fail_msg("%zu reached the handler: %s", i, hostile[i]);
	}
	assert_int_equal(atomic_load(&f->evil), 0);
}

/* Forms that need no answer of 400, as long as nothing smuggled is carried out. */
static const char *const dubious[] = {
	"\r\nPOST / HTTP/1.1\r\nHost: h\r\nContent-Length: 31\r\n\r\n" SMUGGLED,
	"\r\n\r\nPOST / HTTP/1.1\r\nHost: h\r\nContent-Length: 31\r\n\r\n" SMUGGLED,
	"\n\nPOST / HTTP/1.1\r\nHost: h\r\nContent-Length: 31\r\n\r\n" SMUGGLED,
	/* 48 is the length of this head, which civetweb takes for the body */
	"\r\n\r\nPOST / HTTP/1.1\r\nHost: h\r\nContent-Length: 48\r\n\r\n" SMUGGLED,
	"\n\nPOST / HTTP/1.1\r\nHost: h\r\nContent-Length: 48\r\n\r\n" SMUGGLED,
	"\n\nGET /  HTTP/1.1\r\nHost: h\r\nContent-Length: 48\r\n\r\n" SMUGGLED,
	"\r\n\r\nPOST / HTTP/1.1\r\nHost: h\r\n\r\n" SMUGGLED,
	"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nTrailer: "
	"x\r\n\r\n" SMUGGLED,
	"GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 31\r\n\r\n" SMUGGLED,
	"POST / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: upgrade\r\n"
	"Content-Length: 31\r\n\r\n" SMUGGLED,
};

static void test_dubious_framing_smuggles_nothing(void **state)
{
	struct fixture *f = *state;
	for (size_t i = 0; i < sizeof(dubious) / sizeof(dubious[0]); i++) {
		int fd = dial(f);
		put(fd, dubious[i]);
		shutdown(fd, SHUT_WR);
		char c;
		while (get_byte(fd, &c))
			;
		close(fd);
		if (atomic_load(&f->evil) != 0)
			fail_msg("%zu was smuggled: %s", i, dubious[i]);
	}
	/* the probe works */
	assert_int_equal(ask(f, SMUGGLED).status, 200);
	assert_int_equal(atomic_load(&f->evil), 1);
}

static void test_head_too_long(void **state)
{
	struct fixture *f = *state;
	char request[40 * 1024];
	int len = snprintf(
		request, sizeof(request), "GET / HTTP/1.1\r\nHost: h\r\nA: %030000d\r\n\r\n", 1);
	int fd = dial(f);
	put_bytes(fd, request, (size_t)len);
	assert_int_equal(get(fd, true).status, 400);
	assert_true(is_closed(fd));
	close(fd);
}

/* ---- clients that are slow ---- */

/* Until there is an answer; a server that never gives one fails the test, it does not hang it. */
static void *drip(void *arg)
{
	enum { PAUSE_MS = 20 };
	int fd = *(int *)arg;
	struct timeval pause = { .tv_usec = PAUSE_MS * 1000 };
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &pause, sizeof(pause));
	char c;
	/* the pause between two bytes is a read that finds nothing */
	for (int i = 0; i < WAIT_S * 1000 / PAUSE_MS && recv(fd, &c, 1, MSG_PEEK) < 0; i++)
		(void)send(fd, "x", 1, MSG_NOSIGNAL);
	return NULL;
}

static void test_what_drips_meets_its_deadline(void **state)
{
	(void)state;
	enum { DEADLINE_MS = 800, HEAD_MS = DEADLINE_MS / HEADS, CLOCKS_MS = 10 };
	struct fixture *f = start(2, 0, DEADLINE_MS, 10000);
	static const struct {
		const char *begins;
		uint64_t deadline_ms;
		int status;
	} requests[] = {
		{ "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 60000\r\n\r\n", DEADLINE_MS, 408 },
		{ "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nea60\r\n",
			DEADLINE_MS, 408 },
		{ "POST / HTTP/1.1\r\nHost: h\r\nA: ", HEAD_MS, 400 },
		{ "P", HEAD_MS, 400 },
	};
	for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
		int fd = dial(f);
		put(fd, requests[i].begins);
		pthread_t thread;
		uint64_t before = pl_clock_mono_ms();
		assert_int_equal(pthread_create(&thread, NULL, drip, &fd), 0);
		pthread_join(thread, NULL); /* ends when there is an answer */
		uint64_t took = pl_clock_mono_ms() - before;
		assert_true(took >= requests[i].deadline_ms - CLOCKS_MS);
		assert_true(requests[i].deadline_ms == DEADLINE_MS || took < DEADLINE_MS);
		assert_int_equal(get(fd, true).status, requests[i].status);
		assert_true(is_closed(fd));
		close(fd);
	}
	assert_int_equal(atomic_load(&f->calls), 0);
	finish(f);
}

/* A kept connection has its idle time for the next head, whole. */
static void test_the_next_head_that_drips_meets_its_deadline(void **state)
{
	(void)state;
	enum { IDLE_MS = 200, BODY_MS = 8000, CLOCKS_MS = 10 };
	struct fixture *f = start(2, 0, BODY_MS, IDLE_MS);
	int fd = dial(f);
	put(fd, "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
	assert_int_equal(get(fd, true).status, 200);
	put(fd, "GET / HTTP/1.1\r\nA: ");
	pthread_t thread;
	uint64_t before = pl_clock_mono_ms();
	assert_int_equal(pthread_create(&thread, NULL, drip, &fd), 0);
	pthread_join(thread, NULL);
	uint64_t took = pl_clock_mono_ms() - before;
	assert_true(took >= IDLE_MS - CLOCKS_MS && took < BODY_MS / HEADS);
	assert_int_equal(get(fd, true).status, 400);
	assert_true(is_closed(fd));
	close(fd);
	finish(f);
}

/* Four times as many silent ones as there are threads, from addresses of their own. */
static void test_silent_connections_do_not_keep_others_waiting(void **state)
{
	(void)state;
	enum { THREADS = 4, SILENT = 4 * THREADS, BODY_MS = 20000, HEAD_MS = BODY_MS / HEADS };
	struct fixture *f = start(THREADS, 0, BODY_MS, 10000);
	int silent[SILENT];
	for (int i = 0; i < SILENT; i++) {
		silent[i] = dial(f);
		if (i % 2 == 0)
			put(silent[i], "GET / HTTP/1.1\r\nA: ");
	}
	uint64_t before = pl_clock_mono_ms();
	assert_int_equal(ask(f, "GET / HTTP/1.1\r\nHost: h\r\n\r\n").status, 200);
	assert_true(pl_clock_mono_ms() - before < BODY_MS);
	for (int i = 0; i < SILENT; i++)
		close(silent[i]);
	finish(f);
}

static void test_reader_that_stalls_is_cut(void **state)
{
	(void)state;
	struct fixture *f = start(1, 0, 300, 10000);
	int fd = dial(f);
	put(fd, "GET /flood HTTP/1.1\r\nHost: h\r\n\r\n");
	/* the only thread is free again for this one */
	assert_int_equal(ask(f, "GET / HTTP/1.1\r\nHost: h\r\n\r\n").status, 200);
	close(fd);
	finish(f);
}

static void test_idle_connection_is_closed(void **state)
{
	(void)state;
	struct fixture *f = start(1, 0, 10000, 200);
	int fd = dial(f);
	put(fd, "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
	assert_int_equal(get(fd, true).status, 200);
	assert_true(is_closed(fd));
	close(fd);
	finish(f);
}

/* ---- many clients ---- */

static void test_one_address_can_not_take_every_thread(void **state)
{
	(void)state;
	struct fixture *f = start(8, 4, 20000, 20000);
	enum { SILENT = 24 };
	int silent[SILENT];
	for (int i = 0; i < SILENT; i++)
		silent[i] = dial_from("127.0.0.2", f->port);
	int fd = dial_from("127.0.0.3", f->port);
	put(fd, "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
	assert_int_equal(get(fd, true).status, 200);
	close(fd);
	for (int i = 0; i < SILENT; i++)
		close(silent[i]);
	finish(f);
}

static void test_known_connections_keep_their_place(void **state)
{
	(void)state;
	struct fixture *f = start(8, 2, 20000, 20000);
	int known[2];
	for (int i = 0; i < 2; i++) {
		known[i] = dial(f);
		put(known[i], "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
		assert_int_equal(get(known[i], true).status, 200);
	}
	int third = dial(f);
	put(third, "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
	struct answer a = get(third, true);
	assert_true(a.status == 503 || a.status == 0); /* refused, or cut before it had sent */
	assert_true(is_closed(third));
	close(third);
	for (int i = 0; i < 2; i++) {
		put(known[i], "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
		assert_int_equal(get(known[i], true).status, 200);
		close(known[i]);
	}
	/* a place that was left is free */
	for (int tries = 0; tries < 1000; tries++) {
		int fd = dial(f);
		put(fd, "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
		int status = get(fd, true).status;
		close(fd);
		if (status == 200) {
			finish(f);
			return;
		}
	}
	fail_msg("no place was given back");
}

struct client {
	pthread_t thread;
	unsigned port;
	int good;
};

static void *hammer(void *arg)
{
	struct client *c = arg;
	int fd = dial_from("127.0.0.1", c->port);
	for (int i = 0; i < 20; i++) {
		put(fd, "POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nbody");
		struct answer a = get(fd, true);
		c->good += a.status == 200 && strcmp(a.body, "POST /x? body") == 0;
	}
	close(fd);
	return NULL;
}

static void test_a_hundred_clients(void **state)
{
	(void)state;
	enum { CLIENTS = 100 };
	struct fixture *f = start(CLIENTS, CLIENTS, 20000, 20000);
	struct client clients[CLIENTS];
	for (int i = 0; i < CLIENTS; i++) {
		clients[i] = (struct client) { .port = f->port };
		assert_int_equal(pthread_create(&clients[i].thread, NULL, hammer, &clients[i]), 0);
	}
	for (int i = 0; i < CLIENTS; i++) {
		pthread_join(clients[i].thread, NULL);
		assert_int_equal(clients[i].good, 20);
	}
	assert_int_equal(atomic_load(&f->calls), CLIENTS * 20);
	finish(f);
}

/* ---- start and stop ---- */

static void test_faults_at_start_are_named(void **state)
{
	struct fixture *f = *state;
	struct pl_http_server_options options = { .bind = "127.0.0.1",
		.port = f->port,
		.threads = 1,
		.head_ms = 1000,
		.handler = handle };
	struct pl_http_server *server = NULL;
	const char *why = NULL;
	char expected[64];
	snprintf(expected, sizeof(expected), "port %u is taken by another program", f->port);
	assert_int_equal(pl_http_server_start(&options, &server, &why), PL_ESYS);
	assert_string_equal(why, expected);
	options.bind = "192.0.2.1";
	assert_int_equal(pl_http_server_start(&options, &server, &why), PL_ESYS);
	assert_string_equal(why, "192.0.2.1 is no address of this machine");
	options.bind = "::1";
	assert_int_equal(pl_http_server_start(&options, &server, &why), PL_EINVAL);
	assert_null(server);
}

static void *stop_it(void *arg)
{
	struct fixture *f = arg;
	bool stopped = pl_http_server_stop(f->server, STOP_MS);
	return stopped ? f : NULL;
}

static void wait_entered(struct fixture *f)
{
	pthread_mutex_lock(&f->lock);
	while (!f->entered)
		pthread_cond_wait(&f->turn, &f->lock);
	pthread_mutex_unlock(&f->lock);
}

static void open_gate(struct fixture *f)
{
	pthread_mutex_lock(&f->lock);
	f->may_go = true;
	pthread_cond_broadcast(&f->turn);
	pthread_mutex_unlock(&f->lock);
}

static void test_stop_waits_for_a_handler(void **state)
{
	(void)state;
	struct fixture *f = start(4, 0, 20000, 20000);
	int idle = dial(f);
	put(idle, "GET /stopping HTTP/1.1\r\nHost: h\r\n\r\n");
	assert_string_equal(get(idle, true).body, "no");
	int busy = dial(f);
	put(busy, "GET /gate HTTP/1.1\r\nHost: h\r\n\r\n");
	wait_entered(f);

	pl_http_server_drain(f->server);
	assert_int_equal(ask(f, "GET / HTTP/1.1\r\nHost: h\r\n\r\n").status, 503);
	put(idle, "GET /stopping HTTP/1.1\r\nHost: h\r\n\r\n");
	struct answer last = get(idle, true);
	assert_string_equal(last.body, "yes");
	assert_non_null(header(&last, "\r\nConnection: close\r\n"));
	close(idle);

	assert_false(pl_http_server_stop(f->server, 50)); /* the handler still runs */
	pthread_t stopper;
	assert_int_equal(pthread_create(&stopper, NULL, stop_it, f), 0);
	open_gate(f);
	assert_int_equal(get(busy, true).status, 200);
	close(busy);
	void *stopped;
	pthread_join(stopper, &stopped);
	assert_ptr_equal(stopped, f);
	f->server = NULL;
	finish(f);
}

static void test_stop_does_not_wait_for_idle_connections(void **state)
{
	(void)state;
	struct fixture *f = start(4, 0, 20000, 20000);
	int silent = dial(f);
	int idle = dial(f);
	put(idle, "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
	assert_int_equal(get(idle, true).status, 200);
	uint64_t before = pl_clock_mono_ms();
	assert_true(pl_http_server_stop(f->server, STOP_MS));
	assert_true(pl_clock_mono_ms() - before < 1500); /* civetweb's own poll is 2 s */
	f->server = NULL;
	assert_true(is_closed(idle));
	assert_true(is_closed(silent));
	close(idle);
	close(silent);
	finish(f);
}

/* ---- words ---- */

static void check_query(
	const char *query, const char *name, enum pl_err expected, const char *value)
{
	struct pl_buf out;
	pl_buf_init(&out, 8);
	assert_int_equal(pl_http_query_get(query, name, &out), expected);
	assert_string_equal(out.data != NULL ? out.data : "", value);
	pl_buf_fini(&out);
}

static void test_query(void **state)
{
	(void)state;
	check_query("a=1&b=2", "b", PL_OK, "2");
	check_query("a=1&b=2", "c", PL_ENOTFOUND, "");
	check_query("ab=1", "a", PL_ENOTFOUND, "");
	check_query("", "a", PL_ENOTFOUND, "");
	check_query("a", "a", PL_OK, "");
	check_query("a=%41+b%2B", "a", PL_OK, "A b+");
	check_query("&&a=x=y&a=2", "a", PL_OK, "x=y");
	check_query("a=x%4", "a", PL_EINVAL, "");
	check_query("a=x%zz", "a", PL_EINVAL, "");
	check_query("a=x%00", "a", PL_EINVAL, "");
	check_query("a=123456789", "a", PL_ELIMIT, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_answers_what_was_asked, setup, teardown),
		cmocka_unit_test_setup_teardown(test_path_is_as_sent, setup, teardown),
		cmocka_unit_test_setup_teardown(test_head_has_no_body, setup, teardown),
		cmocka_unit_test_setup_teardown(test_chunks_are_joined, setup, teardown),
		cmocka_unit_test_setup_teardown(test_expectation_is_met, setup, teardown),
		cmocka_unit_test_setup_teardown(test_large_bodies_have_few_places, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_pipelined_requests_are_answered_in_order, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_connection_is_closed_when_asked, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_400_ends_its_connection, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_streamed_answer_keeps_the_connection, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_a_thread_does_not_interrupt_who_wakes_it, setup, teardown),
		cmocka_unit_test_setup_teardown(test_forgotten_answer_is_a_500, setup, teardown),
		cmocka_unit_test_setup_teardown(test_method_unknown_is_a_501, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_target_of_another_server_is_a_400, setup, teardown),
		cmocka_unit_test_setup_teardown(test_body_at_and_above_its_limit, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_hostile_framing_is_refused_and_closed, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_dubious_framing_smuggles_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(test_head_too_long, setup, teardown),
		cmocka_unit_test(test_what_drips_meets_its_deadline),
		cmocka_unit_test(test_the_next_head_that_drips_meets_its_deadline),
		cmocka_unit_test(test_silent_connections_do_not_keep_others_waiting),
		cmocka_unit_test(test_reader_that_stalls_is_cut),
		cmocka_unit_test(test_idle_connection_is_closed),
		cmocka_unit_test(test_one_address_can_not_take_every_thread),
		cmocka_unit_test(test_known_connections_keep_their_place),
		cmocka_unit_test(test_a_hundred_clients),
		cmocka_unit_test_setup_teardown(test_faults_at_start_are_named, setup, teardown),
		cmocka_unit_test(test_stop_waits_for_a_handler),
		cmocka_unit_test(test_stop_does_not_wait_for_idle_connections),
		cmocka_unit_test(test_query),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
