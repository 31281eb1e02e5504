/*
 * redis_probe: a worker's three Redis connections and nothing else, for scenarios about healing.
 *
 *   redis_probe URL PERIOD_MS     0: asks only at a SIGUSR1
 *
 *   commands   runs a script, one at a time
 *   bell       BLPOP, again and again, as an idle worker waits
 *   tail       SUBSCRIBE, as the api follows logs
 *
 * Each event is a line: {"at": monotonic ms, "link": "commands", "event": "answered", "text": "…"}
 */
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <uv.h>

#include "pipeline/redis.h"

#define BELL_S           3
#define BELL_DEADLINE_MS 4000
#define LINKS            3

enum which { COMMANDS, BELL, TAIL };

static struct link {
	const char *name;
	struct pl_redis *redis;
} links[LINKS] = { { .name = "commands" }, { .name = "bell" }, { .name = "tail" } };

static uv_loop_t loop;
static uv_timer_t period;
static uv_signal_t term, usr1;
static struct pl_script count;
static bool asking, leaving;

static void tell(const struct link *link, const char *event, const char *text)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	printf("{\"at\": %lld, \"link\": \"%s\", \"event\": \"%s\", \"text\": \"",
		(long long)now.tv_sec * 1000 + now.tv_nsec / 1000000, link->name, event);
	for (; *text != '\0'; text++)
		putchar(*text == '"' || *text == '\\' || (unsigned char)*text < ' ' ? '?' : *text);
	puts("\"}");
}

static void tell_end(const struct link *link, enum pl_err err, const redisReply *reply)
{
	char text[200] = "";
	if (err != PL_OK) {
		tell(link, "failed", pl_err_name(err));
	} else if (reply->type == REDIS_REPLY_ERROR) {
		tell(link, "refused", reply->str);
	} else {
		if (reply->type == REDIS_REPLY_INTEGER)
			snprintf(text, sizeof text, "%lld", reply->integer);
		tell(link, "answered", text);
	}
}

static void on_counted(void *arg, enum pl_err err, const redisReply *reply)
{
	asking = false;
	tell_end(arg, err, reply);
}

static void ask(void)
{
	if (asking || leaving)
		return;
	asking = true;
	const char *argv[] = { "{f0}:count", "1" };
	pl_redis_eval(
		links[COMMANDS].redis, &count, 1, 2, argv, NULL, 0, on_counted, &links[COMMANDS]);
}

static void listen_for_bell(void);

static void on_bell(void *arg, enum pl_err err, const redisReply *reply)
{
	tell_end(arg, err, reply);
	if (err == PL_OK && !leaving)
		listen_for_bell();
}

static void listen_for_bell(void)
{
	char seconds[8];
	snprintf(seconds, sizeof seconds, "%d", BELL_S);
	pl_redis_call(links[BELL].redis, 3, (const char *[]) { "BLPOP", "{f0}:bell", seconds },
		NULL, BELL_DEADLINE_MS, on_bell, &links[BELL]);
}

static void on_ready(void *arg, const char *run_id, const char *info)
{
	(void)info; /* the run is enough to tell one Redis from the next */
	struct link *link = arg;
	tell(link, "ready", run_id);
	if (link == &links[BELL])
		listen_for_bell();
	if (link == &links[TAIL])
		pl_redis_call(link->redis, 2, (const char *[]) { "SUBSCRIBE", "news" }, NULL, 0,
			NULL, NULL);
}

static void on_lost(void *arg, const char *why)
{
	tell(arg, "lost", why);
}

static void on_push(void *arg, const redisReply *message)
{
	tell(arg, "heard", message->element[0]->str);
}

static void on_period(uv_timer_t *timer)
{
	(void)timer; /* there is one */
	ask();
}

static void leave(void)
{
	if (leaving)
		return;
	leaving = true;
	for (int i = 0; i < LINKS; i++)
		pl_redis_close(links[i].redis, NULL, NULL);
	uv_close((uv_handle_t *)&period, NULL);
	uv_close((uv_handle_t *)&term, NULL);
	uv_close((uv_handle_t *)&usr1, NULL);
}

static void on_term(uv_signal_t *handle, int number)
{
	(void)handle; /* one signal, one meaning */
	(void)number;
	leave();
}

static void on_usr1(uv_signal_t *handle, int number)
{
	(void)handle;
	(void)number;
	ask();
}

int main(int argc, char **argv)
{
	if (argc != 3) {
		fprintf(stderr, "usage: redis_probe URL PERIOD_MS\n");
		return 100;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	uv_loop_init(&loop);
	pl_script_init(&count, "return redis.call('INCRBY', KEYS[1], ARGV[1])");
	for (int i = 0; i < LINKS; i++) {
		struct pl_redis_options options = { .url = argv[1],
			.on_ready = on_ready,
			.on_lost = on_lost,
			.on_push = i == TAIL ? on_push : NULL,
			.arg = &links[i] };
		const char *why;
		if (pl_redis_new(&loop, &options, &links[i].redis, &why) != PL_OK) {
			fprintf(stderr, "%s\n", why);
			return 100;
		}
	}
	uint64_t period_ms = strtoull(argv[2], NULL, 10);
	uv_timer_init(&loop, &period);
	if (period_ms > 0)
		uv_timer_start(&period, on_period, period_ms, period_ms);
	uv_signal_init(&loop, &term);
	uv_signal_start(&term, on_term, SIGTERM);
	uv_signal_init(&loop, &usr1);
	uv_signal_start(&usr1, on_usr1, SIGUSR1);
	uv_run(&loop, UV_RUN_DEFAULT);
	return uv_loop_close(&loop) == 0 ? 0 : 1; /* anything left open is a leak */
}
