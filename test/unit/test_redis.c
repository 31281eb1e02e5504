/* The connection against a Redis of the test's own: a unix socket or loopback, the same loop. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

#include "pipeline/mem.h"
#include "pipeline/redis.h"
#include "redis_url.h"

static void urls_say_where_and_who(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		struct pl_redis_url url;
	} cases[] = {
		{ "redis://localhost", { .host = (char *)"localhost", .port = 6379 } },
		{ "redis://localhost/", { .host = (char *)"localhost", .port = 6379 } },
		{ "REDIS://h:1/7", { .host = (char *)"h", .port = 1, .db = 7 } },
		{ "redis://:secret@10.0.0.1:65535", { .host = (char *)"10.0.0.1",
							    .password = (char *)"secret",
							    .port = 65535 } },
		{ "redis://me:a%40b%2Fc%3ad@h", { .host = (char *)"h",
							.user = (char *)"me",
							.password = (char *)"a@b/c:d",
							.port = 6379 } },
		{ "redis://u%20v:p@q@h", { .host = (char *)"h",
						 .user = (char *)"u v",
						 .password = (char *)"p@q",
						 .port = 6379 } },
		{ "redis://[::1]:7/0", { .host = (char *)"::1", .port = 7 } },
		{ "rediss://[2001:db8::1]",
			{ .tls = true, .host = (char *)"2001:db8::1", .port = 6379 } },
		{ "rediss://cache.example:6380/1",
			{ .tls = true, .host = (char *)"cache.example", .port = 6380, .db = 1 } },
		{ "unix:/run/redis.sock", { .path = (char *)"/run/redis.sock", .port = 6379 } },
		{ "unix:///run/a%20b?db=15",
			{ .path = (char *)"/run/a%20b", .port = 6379, .db = 15 } },
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct pl_redis_url url;
		const char *why = cases[i].text, *texts[2][4];
		assert_int_equal(pl_redis_url_parse(cases[i].text, &url, &why), PL_OK);
		const struct pl_redis_url *both[] = { &cases[i].url, &url };
		for (int j = 0; j < 2; j++) {
			texts[j][0] = both[j]->path;
			texts[j][1] = both[j]->host;
			texts[j][2] = both[j]->user;
			texts[j][3] = both[j]->password;
		}
		for (int j = 0; j < 4; j++)
			assert_string_equal(texts[0][j] ? texts[0][j] : "(none)",
				texts[1][j] ? texts[1][j] : "(none)");
		assert_int_equal(url.tls, cases[i].url.tls);
		assert_int_equal(url.port, cases[i].url.port);
		assert_int_equal(url.db, cases[i].url.db);
		pl_redis_url_fini(&url);
	}
}

static void wrong_urls_are_refused_with_a_reason(void **state)
{
	(void)state;
	static const char *const wrong[] = { "", "redis", "redis:", "redis://", "http://h",
		"redis://h:", "redis://h:0", "redis://h:65536", "redis://h:1x", "redis://h/x",
		"redis://h/-1", "redis://h/1/2", "redis://h/6379000", "redis://me@h",
		"redis://me:@h", "redis://me:%4@h", "redis://me:%zz@h", "redis://%00:p@h",
		"redis://me:%00@h", "redis://[::1", "redis://[::1]x", "redis://[h]", "redis://[]",
		"redis://::1", "redis://a b", "redis://a\n", "redis://h?db=1",
		"unix:", "unix:run/redis.sock", "unix://host/path", "unix:/",
		"unix:/a?db=", "unix:/a?db=x", "unix:/a?x=1",
		"unix:/"
		"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
		"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" };
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		struct pl_redis_url url = { .port = 1 };
		const char *why = NULL;
		if (pl_redis_url_parse(wrong[i], &url, &why) != PL_EINVAL)
			fail_msg("taken for a Redis URL: %s", wrong[i]);
		assert_non_null(why);
		assert_int_equal(url.port, 1);
	}
}

static void urls_are_local_or_not(void **state)
{
	(void)state;
	assert_true(pl_redis_url_is_local("unix:/run/redis.sock"));
	assert_true(pl_redis_url_is_local("redis://localhost:1/2"));
	assert_true(pl_redis_url_is_local("redis://LocalHost"));
	assert_true(pl_redis_url_is_local("rediss://:p@127.9.9.9"));
	assert_true(pl_redis_url_is_local("redis://[::1]"));
	assert_false(pl_redis_url_is_local("redis://128.0.0.1"));
	assert_false(pl_redis_url_is_local("redis://localhost.example"));
	assert_false(pl_redis_url_is_local("redis://[2001:db8::1]"));
	assert_false(pl_redis_url_is_local("redis://127.0.0.1.example"));
	assert_false(pl_redis_url_is_local("unix:"));
}

#define RUN_ID    "0123456789abcdef0123456789abcdef01234567"
#define INFO_TEXT "# Server\r\nredis_version:7.0.15\r\nrun_id:" RUN_ID "\r\nloading:0\r\n"
#define HEARD_MAX 64

struct world;

struct wire { /* one connection that was accepted */
	union {
		uv_stream_t any;
		uv_pipe_t pipe;
		uv_tcp_t tcp;
	} stream;
	redisReader *reader;
	struct world *world;
	struct wire *next;
	char in[64 * 1024];
};

struct world {
	uv_loop_t loop;
	uv_timer_t guard; /* only a test that is about to fail ever waits for it */
	bool late;

	bool tcp;
	union {
		uv_stream_t any;
		uv_pipe_t pipe;
		uv_tcp_t tcp;
	} listener;
	bool listening;
	char folder[32];
	char url[96];
	const char *info; /* the answer to INFO, already spelled; NULL: INFO_TEXT */
	const char *auth; /* the answer to AUTH; NULL: +OK */
	bool deaf;        /* reads nothing */
	bool hangs_up;    /* on whoever connects */
	struct wire *wires;
	struct wire *wire; /* the newest that still stands */
	unsigned accepted;
	uint64_t accepted_at[8];
	unsigned reads;
	char *heard[HEARD_MAX]; /* commands, words joined by blanks */
	unsigned heard_count;

	struct pl_redis *redis;
	unsigned readies, losses, pushes;
	char run_id[64], why[256], pushed[256];
	bool closed;
	bool closes_when_ready, closes_when_lost;
	bool pending_when_lost;
	struct outcome *watched;
};

struct outcome {
	unsigned times;
	enum pl_err err;
	char text[64];
	bool starting; /* the starting call has not returned */
	bool early;
	struct world *world; /* to be closed from within the completion */
};

static void on_guard(uv_timer_t *timer)
{
	((struct world *)timer->data)->late = true;
}

#define RUN_UNTIL(world, condition)                                  \
	do {                                                         \
		uv_timer_start(&(world)->guard, on_guard, 20000, 0); \
		while (!(condition)) {                               \
			if ((world)->late)                           \
				fail_msg("in vain: %s", #condition); \
			uv_run(&(world)->loop, UV_RUN_ONCE);         \
		}                                                    \
		uv_timer_stop(&(world)->guard);                      \
	} while (0)

static void on_said(uv_write_t *write, int status)
{
	(void)status; /* nobody there: the test will notice */
	free(write->data);
	free(write);
}

static void say_bytes(struct world *world, const char *data, size_t len)
{
	uv_write_t *write = pl_alloc(sizeof *write);
	char *copy = pl_strndup(data, len);
	write->data = copy;
	uv_buf_t buf = uv_buf_init(copy, (unsigned)len);
	assert_non_null(world->wire);
	assert_int_equal(uv_write(write, &world->wire->stream.any, &buf, 1, on_said), 0);
}

static void say(struct world *world, const char *text)
{
	say_bytes(world, text, strlen(text));
}

static void on_wire_closed(uv_handle_t *handle)
{
	struct wire *wire = handle->data;
	struct wire **at = &wire->world->wires;
	while (*at != wire)
		at = &(*at)->next;
	*at = wire->next;
	redisReaderFree(wire->reader);
	free(wire);
}

static void hang_up(struct wire *wire)
{
	if (wire->world->wire == wire)
		wire->world->wire = NULL;
	if (!uv_is_closing((uv_handle_t *)&wire->stream.any))
		uv_close((uv_handle_t *)&wire->stream.any, on_wire_closed);
}

static void note_heard(struct world *world, const redisReply *command)
{
	char line[512] = "";
	size_t len = 0;
	for (size_t i = 0; i < command->elements; i++) {
		int more = snprintf(line + len, sizeof line - len, "%s%.40s", i > 0 ? " " : "",
			command->element[i]->str);
		len += (size_t)more;
		assert_true(len < sizeof line);
	}
	assert_true(world->heard_count < HEARD_MAX);
	world->heard[world->heard_count++] = pl_strdup(line);
}

/* Bytes that tell where they belong: 251 is prime, so no block repeats in step with a buffer. */
static unsigned char pattern(size_t at)
{
	return (unsigned char)(at % 251);
}

static void check_pattern(const redisReply *data)
{
	for (size_t i = 0; i < data->len; i++) {
		if ((unsigned char)data->str[i] != pattern(i))
			fail_msg("byte %zu of %zu is another", i, data->len);
	}
}

static void hear(struct world *world, const redisReply *command)
{
	assert_int_equal(command->type, REDIS_REPLY_ARRAY);
	const char *verb = command->element[0]->str;
	note_heard(world, command);
	if (strcmp(verb, "INFO") == 0) {
		char info[256];
		snprintf(info, sizeof info, "$%zu\r\n%s\r\n", strlen(INFO_TEXT), INFO_TEXT);
		say(world, world->info != NULL ? world->info : info);
	} else if (strcmp(verb, "AUTH") == 0) {
		say(world, world->auth != NULL ? world->auth : "+OK\r\n");
	} else if (strcmp(verb, "SELECT") == 0) {
		say(world, "+OK\r\n");
	} else if (strcmp(verb, "SET") == 0 && strcmp(command->element[1]->str, "big") == 0) {
		check_pattern(command->element[2]);
	}
}

static void on_wire_alloc(uv_handle_t *handle, size_t hint, uv_buf_t *buf)
{
	(void)hint;
	struct wire *wire = handle->data;
	*buf = uv_buf_init(wire->in, sizeof wire->in);
}

static void on_wire_read(uv_stream_t *stream, ssize_t got, const uv_buf_t *buf)
{
	struct wire *wire = stream->data;
	struct world *world = wire->world;
	if (got == 0)
		return;
	if (got < 0) {
		hang_up(wire);
		return;
	}
	world->reads++;
	assert_int_equal(redisReaderFeed(wire->reader, buf->base, (size_t)got), REDIS_OK);
	void *command;
	while (world->wire == wire) {
		assert_int_equal(redisReaderGetReply(wire->reader, &command), REDIS_OK);
		if (command == NULL)
			return;
		hear(world, command);
		freeReplyObject(command);
	}
}

static void on_connection(uv_stream_t *listener, int status)
{
	assert_int_equal(status, 0);
	struct world *world = listener->data;
	struct wire *wire = pl_calloc(1, sizeof *wire);
	wire->world = world;
	wire->reader = redisReaderCreate();
	wire->next = world->wires;
	world->wires = world->wire = wire;
	if (world->tcp)
		uv_tcp_init(&world->loop, &wire->stream.tcp);
	else
		uv_pipe_init(&world->loop, &wire->stream.pipe, 0);
	wire->stream.any.data = wire;
	assert_int_equal(uv_accept(listener, &wire->stream.any), 0);
	if (world->accepted < sizeof world->accepted_at / sizeof *world->accepted_at)
		world->accepted_at[world->accepted] = uv_hrtime() / 1000000;
	world->accepted++;
	if (world->hangs_up)
		hang_up(wire);
	else if (!world->deaf)
		uv_read_start(&wire->stream.any, on_wire_alloc, on_wire_read);
}

static void listen_on(struct world *world)
{
	if (world->tcp) {
		struct sockaddr_in any = { .sin_family = AF_INET,
			.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
		uv_tcp_init(&world->loop, &world->listener.tcp);
		assert_int_equal(
			uv_tcp_bind(&world->listener.tcp, (const struct sockaddr *)&any, 0), 0);
		int len = sizeof any;
		uv_tcp_getsockname(&world->listener.tcp, (struct sockaddr *)&any, &len);
		snprintf(
			world->url, sizeof world->url, "redis://127.0.0.1:%u", ntohs(any.sin_port));
	} else {
		uv_pipe_init(&world->loop, &world->listener.pipe, 0);
		assert_int_equal(uv_pipe_bind(&world->listener.pipe, world->url + 5), 0);
	}
	world->listener.any.data = world;
	assert_int_equal(uv_listen(&world->listener.any, 16, on_connection), 0);
	world->listening = true;
}

static void on_closed(void *arg)
{
	struct world *world = arg;
	world->closed = true;
	world->redis = NULL;
}

static void on_ready(void *arg, const char *run_id, const char *info)
{
	struct world *world = arg;
	world->readies++;
	snprintf(world->run_id, sizeof world->run_id, "%s", run_id);
	assert_string_equal(info, INFO_TEXT);
	assert_true(pl_redis_is_ready(world->redis));
	if (world->closes_when_ready)
		pl_redis_close(world->redis, on_closed, world);
}

static void on_lost(void *arg, const char *why)
{
	struct world *world = arg;
	world->losses++;
	snprintf(world->why, sizeof world->why, "%s", why);
	assert_false(pl_redis_is_ready(world->redis));
	if (world->watched != NULL && world->watched->times == 0)
		world->pending_when_lost = true;
	if (world->closes_when_lost)
		pl_redis_close(world->redis, on_closed, world);
}

static void on_push(void *arg, const redisReply *message)
{
	struct world *world = arg;
	world->pushes++;
	snprintf(world->pushed, sizeof world->pushed, "%s %s", message->element[0]->str,
		message->element[1]->str);
}

static void on_outcome(void *arg, enum pl_err err, const redisReply *reply)
{
	struct outcome *outcome = arg;
	outcome->times++;
	outcome->err = err;
	outcome->early |= outcome->starting;
	assert_int_equal(reply != NULL, err == PL_OK);
	if (reply != NULL && reply->type == REDIS_REPLY_INTEGER)
		snprintf(outcome->text, sizeof outcome->text, "%lld", reply->integer);
	else if (reply != NULL && reply->type == REDIS_REPLY_ARRAY)
		snprintf(outcome->text, sizeof outcome->text, "%zu", reply->elements);
	else if (reply != NULL && reply->str != NULL)
		snprintf(outcome->text, sizeof outcome->text, "%s", reply->str);
	if (outcome->world != NULL)
		pl_redis_close(outcome->world->redis, on_closed, outcome->world);
}

static void begin_with(struct world *world, const char *url, bool pushes)
{
	struct pl_redis_options options = { .url = url,
		.on_ready = on_ready,
		.on_lost = on_lost,
		.on_push = pushes ? on_push : NULL,
		.arg = world };
	const char *why;
	assert_int_equal(pl_redis_new(&world->loop, &options, &world->redis, &why), PL_OK);
	assert_false(pl_redis_is_ready(world->redis));
}

static void begin(struct world *world)
{
	listen_on(world);
	begin_with(world, world->url, false);
	RUN_UNTIL(world, world->readies == 1);
}

/* Ends the calls whose outcomes live in the test itself. */
static void end(struct world *world)
{
	pl_redis_close(world->redis, on_closed, world);
	RUN_UNTIL(world, world->closed);
}

static void call_for(
	struct world *world, struct outcome *outcome, const char *text, uint64_t deadline_ms)
{
	char *copy = pl_strdup(text), *rest = copy, *word;
	const char *argv[8];
	int argc = 0;
	while ((word = strsep(&rest, " ")) != NULL) {
		assert_true(argc < 8);
		argv[argc++] = word;
	}
	outcome->starting = true;
	pl_redis_call(world->redis, argc, argv, NULL, deadline_ms, on_outcome, outcome);
	outcome->starting = false;
	free(copy);
}

static void call(struct world *world, struct outcome *outcome, const char *text)
{
	call_for(world, outcome, text, 0);
}

static unsigned heard(const struct world *world, const char *line)
{
	unsigned count = 0;
	for (unsigned i = 0; i < world->heard_count; i++)
		count += strcmp(world->heard[i], line) == 0;
	return count;
}

static int set_up(void **state)
{
	struct world *world = pl_calloc(1, sizeof *world);
	uv_loop_init(&world->loop);
	uv_timer_init(&world->loop, &world->guard);
	world->guard.data = world;
	strncpy(world->folder, "/tmp/redis-XXXXXX", sizeof world->folder - 1);
	assert_non_null(mkdtemp(world->folder));
	snprintf(world->url, sizeof world->url, "unix:%s/s", world->folder);
	*state = world;
	return 0;
}

static void close_listener(struct world *world)
{
	if (world->listening)
		uv_close((uv_handle_t *)&world->listener.any, NULL);
	world->listening = false;
}

/* Nothing may keep the loop alive once the connection is closed. */
static int tear_down(void **state)
{
	struct world *world = *state;
	if (world->redis != NULL)
		end(world);
	for (struct wire *wire = world->wires; wire != NULL; wire = wire->next)
		hang_up(wire);
	close_listener(world);
	uv_close((uv_handle_t *)&world->guard, NULL);
	uv_run(&world->loop, UV_RUN_DEFAULT);
	int left = uv_loop_close(&world->loop);
	for (unsigned i = 0; i < world->heard_count; i++)
		free(world->heard[i]);
	unlink(world->url + strlen("unix:"));
	rmdir(world->folder);
	free(world);
	return left;
}

static void a_connection_greets_before_it_is_ready(void **state)
{
	struct world *world = *state;
	char url[128];
	listen_on(world);
	snprintf(url, sizeof url, "%s?db=3", world->url);
	begin_with(world, url, false);
	RUN_UNTIL(world, world->readies == 1);
	assert_string_equal(world->run_id, RUN_ID);
	assert_int_equal(world->heard_count, 2);
	assert_string_equal(world->heard[0], "SELECT 3");
	assert_string_equal(world->heard[1], "INFO");
	assert_int_equal(world->reads, 1);
	assert_int_equal(world->losses, 0);
	assert_int_equal(pl_redis_reconnects(world->redis), 0);
	struct sockaddr_storage address;
	assert_false(pl_redis_address(world->redis, &address));
}

static void credentials_go_first_and_the_peer_is_known(void **state)
{
	struct world *world = *state;
	char url[160];
	struct sockaddr_storage address;
	world->tcp = true;
	listen_on(world);
	snprintf(url, sizeof url, "redis://me:p%%20w@%s/1", world->url + strlen("redis://"));
	begin_with(world, url, false);
	assert_false(pl_redis_address(world->redis, &address));
	RUN_UNTIL(world, world->readies == 1);
	assert_string_equal(world->heard[0], "AUTH me p w");
	assert_string_equal(world->heard[1], "SELECT 1");
	assert_string_equal(world->heard[2], "INFO");
	assert_true(pl_redis_address(world->redis, &address));
	assert_int_equal(address.ss_family, AF_INET);
	assert_int_equal(((struct sockaddr_in *)&address)->sin_addr.s_addr, htonl(INADDR_LOOPBACK));
	assert_int_equal(ntohs(((struct sockaddr_in *)&address)->sin_port),
		strtol(strrchr(world->url, ':') + 1, NULL, 10));
}

static void a_name_is_resolved(void **state)
{
	struct world *world = *state;
	char url[64];
	world->tcp = true;
	listen_on(world);
	snprintf(url, sizeof url, "redis://localhost%s", strrchr(world->url, ':'));
	begin_with(world, url, false);
	RUN_UNTIL(world, world->readies == 1);
	assert_int_equal(world->losses, 0);
}

/* A name of two addresses, of which only the second listens; all others the system resolves. */
#define TWO_NAME "two.test"

struct lookup {
	uv_timer_t timer;
	uv_getaddrinfo_t *request;
	uv_getaddrinfo_cb cb;
	char port[8];
};

static void on_lookup_over(uv_handle_t *timer)
{
	free(timer->data);
}

static void on_looked_up(uv_timer_t *timer)
{
	static const char *const literals[] = { "127.0.0.2", "127.0.0.1" };
	struct lookup *lookup = timer->data;
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST };
	struct addrinfo *all = NULL, **at = &all;
	for (size_t i = 0; i < 2; i++, at = &(*at)->ai_next)
		assert_int_equal(getaddrinfo(literals[i], lookup->port, &hints, at), 0);
	lookup->cb(lookup->request, 0, all);
	uv_close((uv_handle_t *)timer, on_lookup_over);
}

int uv_getaddrinfo(uv_loop_t *loop, uv_getaddrinfo_t *request, uv_getaddrinfo_cb cb,
	const char *name, const char *port, const struct addrinfo *hints)
{
	if (cb == NULL || strcmp(name, TWO_NAME) != 0) {
		int (*real)(uv_loop_t *, uv_getaddrinfo_t *, uv_getaddrinfo_cb, const char *,
			const char *, const struct addrinfo *);
		*(void **)&real = dlsym(RTLD_NEXT, "uv_getaddrinfo");
		return real(loop, request, cb, name, port, hints);
	}
	struct lookup *lookup = pl_calloc(1, sizeof *lookup);
	lookup->request = request;
	lookup->cb = cb;
	snprintf(lookup->port, sizeof lookup->port, "%s", port);
	uv_timer_init(loop, &lookup->timer);
	lookup->timer.data = lookup;
	return uv_timer_start(&lookup->timer, on_looked_up, 0, 0);
}

static void all_addresses_of_a_name_are_tried(void **state)
{
	struct world *world = *state;
	char url[64];
	struct sockaddr_storage address;
	world->tcp = true;
	listen_on(world);
	snprintf(url, sizeof url, "redis://%s%s", TWO_NAME, strrchr(world->url, ':'));
	begin_with(world, url, false);
	RUN_UNTIL(world, world->readies == 1);
	assert_int_equal(world->losses, 0);
	assert_true(pl_redis_address(world->redis, &address));
	assert_int_equal(((struct sockaddr_in *)&address)->sin_addr.s_addr, htonl(INADDR_LOOPBACK));
}

static void refused_credentials_are_told_once_in_redis_words(void **state)
{
	struct world *world = *state;
	char url[160];
	world->tcp = true;
	world->auth = "-WRONGPASS invalid username-password pair\r\n";
	listen_on(world);
	snprintf(url, sizeof url, "redis://:p@%s", world->url + strlen("redis://"));
	begin_with(world, url, false);
	RUN_UNTIL(world, world->accepted == 3);
	assert_int_equal(world->losses, 1);
	assert_string_equal(world->why, "WRONGPASS invalid username-password pair");
	world->auth = NULL;
	RUN_UNTIL(world, world->readies == 1);
	assert_int_equal(world->losses, 1);
}

static void a_redis_that_loads_is_waited_for(void **state)
{
	struct world *world = *state;
	world->info = "-LOADING Redis is loading the dataset in memory\r\n";
	listen_on(world);
	begin_with(world, world->url, false);
	RUN_UNTIL(world, world->losses == 1);
	world->info = "$20\r\n# Server\r\nloading:1\r\n\r\n";
	RUN_UNTIL(world, world->accepted == 3);
	assert_int_equal(world->readies, 0);
	world->info = NULL;
	RUN_UNTIL(world, world->readies == 1);
	assert_int_equal(world->losses, 1);
}

static void nobody_there_is_refused_on_the_next_turn(void **state)
{
	struct world *world = *state;
	struct outcome outcome = { 0 };
	begin_with(world, world->url, false);
	call(world, &outcome, "PING");
	assert_int_equal(outcome.times, 0);
	uv_run(&world->loop, UV_RUN_NOWAIT);
	assert_int_equal(outcome.times, 1);
	assert_int_equal(outcome.err, PL_EREDIS);
	RUN_UNTIL(world, world->losses == 1);
	listen_on(world);
	RUN_UNTIL(world, world->readies == 1);
	assert_int_equal(world->losses, 1);
}

static void calls_of_one_turn_leave_in_one_write(void **state)
{
	struct world *world = *state;
	struct outcome outcomes[3] = { 0 };
	begin(world);
	unsigned before = world->reads;
	call(world, &outcomes[0], "SET a 1");
	call(world, &outcomes[1], "GET a");
	call(world, &outcomes[2], "GET none");
	RUN_UNTIL(world, heard(world, "GET none") == 1);
	assert_int_equal(world->reads, before + 1);
	say(world, "+OK\r\n$1\r\n1\r\n$-1\r\n");
	RUN_UNTIL(world, outcomes[2].times == 1);
	assert_string_equal(outcomes[0].text, "OK");
	assert_string_equal(outcomes[1].text, "1");
	assert_string_equal(outcomes[2].text, "");
	for (int i = 0; i < 3; i++) {
		assert_int_equal(outcomes[i].times, 1);
		assert_int_equal(outcomes[i].err, PL_OK);
		assert_false(outcomes[i].early);
	}
}

/* Another part may gather its work in a prepare callback, the last thing before the loop sleeps. */
static void ask_late(uv_prepare_t *prepare)
{
	call(((struct outcome *)prepare->data)->world, prepare->data, "PING");
	uv_prepare_stop(prepare);
}

static void a_call_made_just_before_the_loop_sleeps_leaves_at_once(void **state)
{
	struct world *world = *state;
	struct outcome outcome = { .world = world };
	uv_prepare_t prepare;
	begin(world);
	uv_prepare_init(&world->loop, &prepare);
	prepare.data = &outcome;
	uv_prepare_start(&prepare, ask_late);
	uint64_t before = uv_hrtime();
	RUN_UNTIL(world, heard(world, "PING") == 1);
	assert_true(uv_hrtime() - before < 1000000000); /* not with the deadline's timer, 2 s */
	outcome.world = NULL;
	uv_close((uv_handle_t *)&prepare, NULL);
	end(world);
}

static void bytes_and_lengths_pass_unchanged(void **state)
{
	struct world *world = *state;
	struct outcome outcome = { 0 };
	begin(world);
	const char *argv[] = { "ECHO", "a\r\nb\0c" };
	pl_redis_call(world->redis, 2, argv, (size_t[]) { 4, 6 }, 0, on_outcome, &outcome);
	RUN_UNTIL(world, heard(world, "ECHO a\r\nb") == 1);
	const char *empty[] = { "ECHO", "" };
	pl_redis_call(world->redis, 2, empty, NULL, 0, NULL, NULL);
	RUN_UNTIL(world, heard(world, "ECHO ") == 1);
	end(world);
}

static void answers_may_come_in_pieces(void **state)
{
	struct world *world = *state;
	struct outcome first = { 0 }, second = { 0 };
	begin(world);
	call(world, &first, "LRANGE l 0 -1");
	call(world, &second, "INCR n");
	RUN_UNTIL(world, heard(world, "INCR n") == 1);
	const char *answer = "*3\r\n$5\r\nhe\r\nl\r\n*1\r\n:-7\r\n$-1\r\n:42\r\n";
	for (const char *at = answer; *at != '\0'; at++) {
		assert_int_equal(second.times, 0);
		say_bytes(world, at, 1);
		for (int turns = 0; turns < 3; turns++)
			uv_run(&world->loop, UV_RUN_NOWAIT);
	}
	RUN_UNTIL(world, second.times == 1);
	assert_string_equal(first.text, "3");
	assert_string_equal(second.text, "42");
	assert_int_equal(first.times, 1);
}

static void refusals_of_redis_are_answers(void **state)
{
	struct world *world = *state;
	struct outcome outcome = { 0 };
	begin(world);
	call(world, &outcome, "SET a 1");
	RUN_UNTIL(world, heard(world, "SET a 1") == 1);
	say(world, "-OOM command not allowed when used memory > 'maxmemory'.\r\n");
	RUN_UNTIL(world, outcome.times == 1);
	assert_int_equal(outcome.err, PL_OK);
	assert_memory_equal(outcome.text, "OOM ", 4);
	assert_true(pl_redis_is_ready(world->redis));
}

static void a_replica_is_left_after_its_refusal(void **state)
{
	struct world *world = *state;
	struct outcome write = { 0 }, read = { 0 }, pending = { 0 };
	begin(world);
	call_for(world, &write, "SET a 1", 60000);
	call_for(world, &read, "GET a", 60000);
	call_for(world, &pending, "GET b", 60000);
	RUN_UNTIL(world, heard(world, "GET b") == 1);
	say(world, "-READONLY You can't write against a read only replica.\r\n$1\r\n0\r\n");
	RUN_UNTIL(world, world->losses == 1);
	assert_memory_equal(write.text, "READONLY ", 9);
	assert_string_equal(read.text, "0");
	assert_int_equal(pending.err, PL_EUNKNOWN);
	RUN_UNTIL(world, world->readies == 2);
	assert_int_equal(pl_redis_reconnects(world->redis), 1);
}

static void a_lost_call_is_unknown_before_the_loss_is_told(void **state)
{
	struct world *world = *state;
	struct outcome sent = { 0 }, after = { 0 };
	world->watched = &sent;
	begin(world);
	call(world, &sent, "INCR n");
	RUN_UNTIL(world, heard(world, "INCR n") == 1);
	hang_up(world->wire);
	RUN_UNTIL(world, world->losses == 1);
	assert_int_equal(sent.times, 1);
	assert_int_equal(sent.err, PL_EUNKNOWN);
	assert_false(world->pending_when_lost);
	call(world, &after, "INCR n");
	RUN_UNTIL(world, world->readies == 2);
	assert_int_equal(after.err, PL_EREDIS);
	assert_int_equal(sent.times + after.times, 2);
	assert_int_equal(heard(world, "INCR n"), 1);
	assert_int_equal(world->losses, 1);
}

static void a_deadline_ends_all_and_the_connection(void **state)
{
	struct world *world = *state;
	struct outcome late = { 0 }, beside = { 0 };
	begin(world);
	call_for(world, &beside, "BLPOP l 3", 60000);
	call_for(world, &late, "INCR n", 20);
	uint64_t before = uv_hrtime();
	RUN_UNTIL(world, late.times == 1);
	assert_true(uv_hrtime() - before >= 19000000);
	assert_int_equal(late.err, PL_EUNKNOWN);
	assert_int_equal(beside.err, PL_EUNKNOWN);
	assert_int_equal(world->losses, 1);
	RUN_UNTIL(world, world->readies == 2);
}

static void an_answer_in_time_leaves_the_longer_deadline(void **state)
{
	struct world *world = *state;
	struct outcome quick = { 0 }, slow = { 0 };
	begin(world);
	call_for(world, &quick, "GET a", 30);
	call_for(world, &slow, "BLPOP l 3", 200);
	RUN_UNTIL(world, heard(world, "BLPOP l 3") == 1);
	say(world, "$1\r\n1\r\n");
	uint64_t before = uv_hrtime();
	RUN_UNTIL(world, slow.times == 1);
	assert_true(uv_hrtime() - before >= 150000000);
	assert_string_equal(quick.text, "1");
	assert_int_equal(slow.err, PL_EUNKNOWN);
}

/* Timers run before sockets are read: a process that was stopped must not blame Redis. */
static void an_answer_that_lies_unread_is_in_time(void **state)
{
	struct world *world = *state;
	struct outcome outcome = { 0 };
	begin(world);
	call_for(world, &outcome, "GET a", 30);
	RUN_UNTIL(world, heard(world, "GET a") == 1);
	say(world, "$1\r\n1\r\n");
	uint64_t asleep = uv_hrtime();
	while (uv_hrtime() - asleep < 50000000)
		; /* the loop stands still, as under SIGSTOP */
	RUN_UNTIL(world, outcome.times == 1);
	assert_int_equal(outcome.err, PL_OK);
	assert_int_equal(world->losses, 0);
}

static void an_unknown_script_is_sent_whole_once(void **state)
{
	struct world *world = *state;
	struct outcome outcome = { 0 }, behind = { 0 };
	struct pl_script script;
	const char *argv[] = { "{f0}", "x", "" };
	begin(world);
	pl_script_init(&script, "return ARGV[1]");
	assert_string_equal(script.sha1, "098e0f0d1448c0a81dafe820f66d460eb09263da");
	pl_redis_eval(world->redis, &script, 1, 3, argv, NULL, 0, on_outcome, &outcome);
	call(world, &behind, "PING");
	RUN_UNTIL(world, heard(world, "PING") == 1);
	assert_int_equal(
		heard(world, "EVALSHA 098e0f0d1448c0a81dafe820f66d460eb09263da 1 {f0} x "), 1);
	say(world, "-NOSCRIPT No matching script. Please use EVAL.\r\n+PONG\r\n");
	RUN_UNTIL(world, heard(world, "EVAL return ARGV[1] 1 {f0} x ") == 1);
	assert_int_equal(outcome.times, 0);
	assert_string_equal(behind.text, "PONG");
	say(world, "-NOSCRIPT twice\r\n");
	RUN_UNTIL(world, outcome.times == 1);
	assert_string_equal(outcome.text, "NOSCRIPT twice");
	assert_true(pl_redis_is_ready(world->redis));
}

static void an_unasked_answer_ends_the_connection(void **state)
{
	struct world *world = *state;
	begin(world);
	say(world, "+OK\r\n");
	RUN_UNTIL(world, world->losses == 1);
	RUN_UNTIL(world, world->readies == 2);
	say(world, "HTTP/1.1 400 Bad Request\r\n");
	RUN_UNTIL(world, world->losses == 2);
	RUN_UNTIL(world, world->readies == 3);
}

static char *big_data(size_t len)
{
	char *data = pl_alloc(len);
	for (size_t i = 0; i < len; i++)
		data[i] = (char)pattern(i);
	return data;
}

static void big_call(struct world *world, struct outcome *outcome, const char *data, size_t len)
{
	const char *argv[] = { "SET", "big", data };
	pl_redis_call(world->redis, 3, argv, (size_t[]) { 3, 3, len }, 0, on_outcome, outcome);
}

static void output_has_a_ceiling_and_what_never_left_is_safe(void **state)
{
	struct world *world = *state;
	struct outcome outcomes[8] = { 0 };
	const size_t len = PL_REDIS_OUTPUT_MAX / 4;
	char *data = big_data(len);
	begin(world);
	uv_read_stop(&world->wire->stream.any);
	for (int i = 0; i < 3; i++)
		big_call(world, &outcomes[i], data, len);
	big_call(world, &outcomes[3], data, len);
	call(world, &outcomes[4], "GET a");
	assert_int_equal(outcomes[3].times, 0);
	RUN_UNTIL(world, outcomes[3].times == 1);
	assert_int_equal(outcomes[3].err, PL_EREDIS);
	assert_int_equal(outcomes[4].times, 0);
	hang_up(world->wire);
	RUN_UNTIL(world, world->losses == 1);
	assert_int_equal(outcomes[0].err, PL_EUNKNOWN); /* some of it left */
	assert_int_equal(outcomes[2].err, PL_EREDIS);
	assert_int_equal(outcomes[4].err, PL_EREDIS);
	for (int i = 0; i < 5; i++)
		assert_int_equal(outcomes[i].times, 1);
	RUN_UNTIL(world, world->readies == 2);
	big_call(world, &outcomes[5], data, len); /* the room is free again */
	uv_run(&world->loop, UV_RUN_NOWAIT);
	assert_int_equal(outcomes[5].times, 0);
	end(world);
	assert_int_equal(outcomes[5].times, 1);
	free(data);
}

static void a_reader_that_lags_gets_it_all(void **state)
{
	struct world *world = *state;
	struct outcome before = { 0 }, outcome = { 0 }, behind = { 0 };
	const size_t len = 3 * 1024 * 1024 + 7; /* more than a socket holds, in many blocks */
	char *data = big_data(len);
	begin(world);
	uv_read_stop(&world->wire->stream.any);
	call(world, &before, "INCR n");
	big_call(world, &outcome, data, len);
	call(world, &behind, "PING");
	for (int turns = 0; turns < 3; turns++)
		uv_run(&world->loop, UV_RUN_NOWAIT);
	uv_read_start(&world->wire->stream.any, on_wire_alloc, on_wire_read);
	RUN_UNTIL(world, heard(world, "PING") == 1);
	say(world, ":1\r\n+OK\r\n+PONG\r\n");
	RUN_UNTIL(world, behind.times == 1);
	assert_string_equal(before.text, "1");
	assert_string_equal(outcome.text, "OK");
	assert_string_equal(behind.text, "PONG");
	free(data);
}

static void answered_calls_make_room(void **state)
{
	struct world *world = *state;
	const size_t len = PL_REDIS_OUTPUT_MAX / 3;
	char *data = big_data(len);
	begin(world);
	for (int i = 0; i < 4; i++) {
		struct outcome outcome = { 0 };
		unsigned before = world->heard_count;
		big_call(world, &outcome, data, len);
		RUN_UNTIL(world, world->heard_count > before || outcome.times > 0);
		say(world, "+OK\r\n");
		RUN_UNTIL(world, outcome.times == 1);
		assert_string_equal(outcome.text, "OK");
	}
	free(data);
}

static void an_answer_to_half_a_call_ends_the_connection(void **state)
{
	struct world *world = *state;
	struct outcome outcome = { 0 };
	const size_t len = PL_REDIS_OUTPUT_MAX / 4;
	char *data = big_data(len);
	begin(world);
	uv_read_stop(&world->wire->stream.any);
	big_call(world, &outcome, data, len);
	uv_run(&world->loop, UV_RUN_NOWAIT);
	say(world, "+OK\r\n");
	RUN_UNTIL(world, world->losses == 1);
	assert_int_equal(outcome.err, PL_EUNKNOWN);
	free(data);
}

static void long_answers_come_whole(void **state)
{
	struct world *world = *state;
	struct outcome outcome = { 0 };
	const size_t len = 1024 * 1024;
	char *answer = pl_alloc(len + 32);
	begin(world);
	call(world, &outcome, "STRLEN x");
	RUN_UNTIL(world, heard(world, "STRLEN x") == 1);
	int head = snprintf(answer, 32, "*2\r\n$%zu\r\n", len);
	memset(answer + head, 'x', len);
	memcpy(answer + head + len, "\r\n:1\r\n", 6);
	say_bytes(world, answer, (size_t)head + len + 6);
	RUN_UNTIL(world, outcome.times == 1);
	assert_string_equal(outcome.text, "2");
	free(answer);
}

static void waits_grow_between_tries(void **state)
{
	struct world *world = *state;
	static const uint64_t least_ms[] = { 25, 50, 100, 200 }; /* half of 50, 100, 200, 400 */
	world->hangs_up = true;
	listen_on(world);
	begin_with(world, world->url, false);
	RUN_UNTIL(world, world->accepted == 5);
	for (int i = 0; i < 4; i++) {
		uint64_t gap = world->accepted_at[i + 1] - world->accepted_at[i];
		assert_in_range(gap + 2, least_ms[i], UINT32_MAX); /* clocks of whole ms */
	}
	assert_int_equal(world->losses, 1);
	world->hangs_up = false;
	uint64_t before = uv_hrtime();
	RUN_UNTIL(world, world->readies == 1);
	assert_true(uv_hrtime() - before < 2000000000);
}

static void pushes_are_no_answers_and_each_channel_acknowledges(void **state)
{
	struct world *world = *state;
	struct outcome subscribed = { 0 }, pinged = { 0 };
	listen_on(world);
	begin_with(world, world->url, true);
	RUN_UNTIL(world, world->readies == 1);
	call(world, &subscribed, "SUBSCRIBE a b");
	call(world, &pinged, "PING");
	RUN_UNTIL(world, heard(world, "PING") == 1);
	say(world, "*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n"
		   "*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$2\r\nhi\r\n");
	RUN_UNTIL(world, world->pushes == 2);
	assert_string_equal(world->pushed, "message a");
	assert_int_equal(subscribed.times, 0);
	say(world, "*3\r\n$9\r\nsubscribe\r\n$1\r\nb\r\n:2\r\n*2\r\n$4\r\npong\r\n$0\r\n\r\n");
	RUN_UNTIL(world, pinged.times == 1);
	assert_string_equal(world->pushed, "subscribe b");
	assert_int_equal(subscribed.times, 1);
	assert_string_equal(pinged.text, "2");
	assert_int_equal(world->losses, 0);
}

static void a_refused_subscription_ends_at_its_refusal(void **state)
{
	struct world *world = *state;
	struct outcome subscribed = { 0 };
	listen_on(world);
	begin_with(world, world->url, true);
	RUN_UNTIL(world, world->readies == 1);
	call(world, &subscribed, "SUBSCRIBE a b");
	RUN_UNTIL(world, heard(world, "SUBSCRIBE a b") == 1);
	say(world, "-NOPERM no\r\n");
	RUN_UNTIL(world, subscribed.times == 1);
	assert_string_equal(subscribed.text, "NOPERM no");
}

static void closing_ends_what_is_pending(void **state)
{
	struct world *world = *state;
	struct outcome sent = { 0 }, unsent = { 0 }, after = { 0 };
	begin(world);
	call(world, &sent, "INCR n");
	RUN_UNTIL(world, heard(world, "INCR n") == 1);
	call(world, &unsent, "INCR n");
	pl_redis_close(world->redis, on_closed, world);
	assert_int_equal(sent.times + unsent.times, 0);
	assert_false(pl_redis_is_ready(world->redis));
	call(world, &after, "INCR n");
	RUN_UNTIL(world, world->closed);
	assert_int_equal(sent.err, PL_EUNKNOWN);
	assert_int_equal(unsent.err, PL_EREDIS);
	assert_int_equal(after.err, PL_ECLOSED);
	assert_int_equal(sent.times + unsent.times + after.times, 3);
	assert_int_equal(world->losses, 0);
}

static void it_can_be_closed_before_it_ever_ran(void **state)
{
	struct world *world = *state;
	begin_with(world, world->url, false);
	end(world);
	assert_int_equal(world->losses, 0);
}

static void it_can_be_closed_while_resolving(void **state)
{
	struct world *world = *state;
	begin_with(world, "redis://localhost:1", false);
	uv_run(&world->loop, UV_RUN_NOWAIT);
	end(world);
	assert_int_equal(world->losses, 0);
}

static void it_can_be_closed_while_greeting(void **state)
{
	struct world *world = *state;
	world->deaf = true;
	listen_on(world);
	begin_with(world, world->url, false);
	RUN_UNTIL(world, world->accepted == 1);
	end(world);
	assert_int_equal(world->losses, 0);
}

static void it_can_be_closed_from_its_own_callbacks(void **state)
{
	struct world *world = *state;
	struct outcome first = { .world = world }, second = { 0 };
	begin(world);
	call(world, &first, "PING");
	call(world, &second, "PING");
	RUN_UNTIL(world, heard(world, "PING") == 2);
	say(world, "+PONG\r\n+PONG\r\n");
	RUN_UNTIL(world, world->closed);
	assert_string_equal(first.text, "PONG");
	assert_int_equal(second.err, PL_EUNKNOWN);
	assert_int_equal(first.times + second.times, 2);
}

static void it_can_be_closed_when_ready(void **state)
{
	struct world *world = *state;
	world->closes_when_ready = true;
	listen_on(world);
	begin_with(world, world->url, false);
	RUN_UNTIL(world, world->closed);
	assert_int_equal(world->readies, 1);
}

static void it_can_be_closed_when_lost(void **state)
{
	struct world *world = *state;
	struct outcome pending = { 0 };
	world->closes_when_lost = true;
	begin(world);
	call(world, &pending, "PING");
	RUN_UNTIL(world, heard(world, "PING") == 1);
	hang_up(world->wire);
	RUN_UNTIL(world, world->closed);
	assert_int_equal(pending.times, 1);
	assert_int_equal(world->losses, 1);
}

static void it_can_be_closed_amid_the_calls_of_a_loss(void **state)
{
	struct world *world = *state;
	struct outcome first = { .world = world }, second = { 0 };
	begin(world);
	call(world, &first, "PING");
	call(world, &second, "PING");
	RUN_UNTIL(world, heard(world, "PING") == 2);
	hang_up(world->wire);
	RUN_UNTIL(world, world->closed);
	assert_int_equal(first.err, PL_EUNKNOWN);
	assert_int_equal(second.err, PL_EUNKNOWN);
	assert_int_equal(world->losses, 0);
}

#define WITH_WORLD(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(urls_say_where_and_who),
		cmocka_unit_test(wrong_urls_are_refused_with_a_reason),
		cmocka_unit_test(urls_are_local_or_not),
		WITH_WORLD(a_connection_greets_before_it_is_ready),
		WITH_WORLD(credentials_go_first_and_the_peer_is_known),
		WITH_WORLD(a_name_is_resolved),
		WITH_WORLD(all_addresses_of_a_name_are_tried),
		WITH_WORLD(refused_credentials_are_told_once_in_redis_words),
		WITH_WORLD(a_redis_that_loads_is_waited_for),
		WITH_WORLD(nobody_there_is_refused_on_the_next_turn),
		WITH_WORLD(calls_of_one_turn_leave_in_one_write),
		WITH_WORLD(a_call_made_just_before_the_loop_sleeps_leaves_at_once),
		WITH_WORLD(bytes_and_lengths_pass_unchanged),
		WITH_WORLD(answers_may_come_in_pieces),
		WITH_WORLD(refusals_of_redis_are_answers),
		WITH_WORLD(a_replica_is_left_after_its_refusal),
		WITH_WORLD(a_lost_call_is_unknown_before_the_loss_is_told),
		WITH_WORLD(a_deadline_ends_all_and_the_connection),
		WITH_WORLD(an_answer_in_time_leaves_the_longer_deadline),
		WITH_WORLD(an_answer_that_lies_unread_is_in_time),
		WITH_WORLD(an_unknown_script_is_sent_whole_once),
		WITH_WORLD(an_unasked_answer_ends_the_connection),
		WITH_WORLD(output_has_a_ceiling_and_what_never_left_is_safe),
		WITH_WORLD(a_reader_that_lags_gets_it_all),
		WITH_WORLD(answered_calls_make_room),
		WITH_WORLD(an_answer_to_half_a_call_ends_the_connection),
		WITH_WORLD(long_answers_come_whole),
		WITH_WORLD(waits_grow_between_tries),
		WITH_WORLD(pushes_are_no_answers_and_each_channel_acknowledges),
		WITH_WORLD(a_refused_subscription_ends_at_its_refusal),
		WITH_WORLD(closing_ends_what_is_pending),
		WITH_WORLD(it_can_be_closed_before_it_ever_ran),
		WITH_WORLD(it_can_be_closed_while_resolving),
		WITH_WORLD(it_can_be_closed_while_greeting),
		WITH_WORLD(it_can_be_closed_from_its_own_callbacks),
		WITH_WORLD(it_can_be_closed_when_ready),
		WITH_WORLD(it_can_be_closed_when_lost),
		WITH_WORLD(it_can_be_closed_amid_the_calls_of_a_loss),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
