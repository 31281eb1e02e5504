#include "private_redis.h"

#include <hiredis/hiredis.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pipeline/service.h"
#include "programs.h"
#include "redis_conf.h"

#define DELAY_MS 1000  /* everything waits for Redis, so it is tried sooner than others */
#define STOP_MS  10000 /* it writes and syncs what is left */
#define PROBE_MS 100

/* Blocking, but on a unix socket: the answer is there or refused at once, save while it loads. */
static bool probe(const void *arg)
{
	const struct private_redis *redis = arg;
	struct timeval patience = { .tv_usec = PROBE_MS * 1000 };
	redisContext *wire = redisConnectUnixWithTimeout(redis->folder.socket, patience);
	redisReply *reply = NULL;
	bool works = false;

	if (wire != NULL && wire->err == 0 && redisSetTimeout(wire, patience) == REDIS_OK)
		reply = redisCommand(wire, "PING");
	if (reply != NULL) {
		works = reply->type == REDIS_REPLY_STATUS; /* -LOADING is an error */
		freeReplyObject(reply);
	}
	if (wire != NULL)
		redisFree(wire);
	return works;
}

static int folder_prepare(struct folder *folder, const char *data_dir)
{
	char *usual = data_dir == NULL ? folder_default_path() : NULL;
	int code;

	if (data_dir == NULL && usual == NULL) {
		fputs("fetchback up: DATA_DIR, XDG_DATA_HOME and HOME are all unset\n", stderr);
		return PL_EXIT_SETTING;
	}
	code = folder_open(folder, data_dir != NULL ? data_dir : usual);
	free(usual);
	if (code == 0)
		code = folder_write(folder, "redis.conf", redis_conf, strlen(redis_conf));
	return code;
}

/* Flags add to redis.conf what differs from one folder to the next. */
static void spec_fill(struct private_redis *redis, uint64_t memory_max_bytes)
{
	static const char *const no_env[] = { NULL };
	const char *const argv[] = { redis->program, "redis.conf", "--port", "0", "--unixsocket",
		redis->folder.socket, "--unixsocketperm", "700", "--maxmemory", redis->memory,
		NULL };

	snprintf(redis->url, sizeof(redis->url), "unix:%s", redis->folder.socket);
	snprintf(redis->memory, sizeof(redis->memory), "%" PRIu64, memory_max_bytes);
	memcpy(redis->argv, argv, sizeof(argv));
	redis->spec = (struct child_spec) { .name = "redis",
		.argv = redis->argv,
		.env = no_env,
		.folder = redis->folder.path,
		.probe = probe,
		.probe_arg = redis,
		.delay_max_ms = DELAY_MS,
		.stop_max_ms = STOP_MS };
}

int private_redis_open(struct private_redis *redis, const char *data_dir, uint64_t memory_max_bytes)
{
	int code;

	redis->program = programs_in_path("redis-server");
	if (redis->program == NULL) {
		fputs("fetchback up: there is no redis-server in PATH; install it (Debian: "
		      "redis-server), or give REDIS_URL\n",
			stderr);
		return PL_EXIT_SYSTEM;
	}
	code = folder_prepare(&redis->folder, data_dir);
	if (code == 0)
		spec_fill(redis, memory_max_bytes);
	return code;
}

void private_redis_close(struct private_redis *redis)
{
	if (redis->program == NULL)
		return;
	free(redis->program);
	folder_close(&redis->folder);
}
