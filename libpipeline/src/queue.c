/*
 * The object: its connections, what Redis says of itself at each connect, and the scripts.
 */
#include "pipeline/queue.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "pipeline/mem.h"
#include "pipeline/text.h"
#include "queue_private.h"
#include "script_link.h"
#include "scripts.h"

#define CONFIG_VALUES 6
#define TAIL          TAG "tail"
#define ACK           TAG "ack"

static struct pl_script scripts[VERBS];

static void scripts_link(void)
{
	static const char *const sources[VERBS] = {
		[PUSH] = pl_lua_push,
		[REGISTER] = pl_lua_register,
		[RESERVE] = pl_lua_reserve,
		[RECOVER] = pl_lua_recover,
		[SETTLE] = pl_lua_settle,
		[BEAT] = pl_lua_beat,
		[LEAVE] = pl_lua_leave,
		[FIND] = pl_lua_find,
		[LIST] = pl_lua_list,
		[ALTER] = pl_lua_alter,
		[REFETCH] = pl_lua_refetch,
		[STAGE] = pl_lua_stage,
		[QUEUES] = pl_lua_queues,
		[RETAIN] = pl_lua_retain,
		[LIMITS] = pl_lua_limits,
		[DOCTOR] = pl_lua_doctor,
		[CHUNK] = pl_lua_chunk,
		[DATAKEY] = pl_lua_datakey,
		[WAKE] = pl_lua_wake,
		[WATCH] = pl_lua_watch,
	};
	for (int verb = 0; verb < VERBS; verb++)
		pl_script_init(
			&scripts[verb], script_link(pl_lua_lib, sources[verb])); /* for good */
}

void args_begin(struct args *args, size_t room)
{
	*args = (struct args) { .room = room + 1 };
	args->text = pl_alloc(args->room * sizeof *args->text);
	args->len = pl_alloc(args->room * sizeof *args->len);
	args->numbers = pl_alloc(args->room * PL_NUMBER_SIZE);
	args_text(args, TAG);
}

void args_bytes(struct args *args, const char *bytes, size_t len)
{
	PL_ASSERT(args->count < args->room);
	args->text[args->count] = bytes;
	args->len[args->count++] = len;
}

void args_text(struct args *args, const char *text)
{
	args_bytes(args, text, strlen(text));
}

void args_number(struct args *args, uint64_t number)
{
	char *at = args->numbers + args->written;
	size_t len = pl_number_write(number, at);
	args->written += len;
	args_bytes(args, at, len);
}

void args_signed(struct args *args, int64_t number)
{
	char *at = args->numbers + args->written;
	size_t len = pl_signed_write(number, at);
	args->written += len;
	args_bytes(args, at, len);
}

void args_letter(struct args *args, char letter)
{
	char *at = args->numbers + args->written++;
	*at = letter;
	args_bytes(args, at, 1);
}

void args_eval(struct args *args, struct pl_queue *queue, enum verb verb, pl_redis_cb cb, void *arg)
{
	pl_redis_eval(queue->commands, &scripts[verb], 1, (int)args->count, args->text, args->len,
		0, cb, arg);
	free(args->text);
	free(args->len);
	free(args->numbers);
}

struct done_call {
	pl_done_cb cb;
	void *arg;
};

static void on_done(void *arg, enum pl_err err, const redisReply *reply)
{
	struct done_call *call = arg;
	const char *why;
	err = reply_error(err, reply, &why);
	if (call->cb != NULL)
		call->cb(call->arg, err, why);
	free(call);
}

void args_eval_done(
	struct args *args, struct pl_queue *queue, enum verb verb, pl_done_cb cb, void *arg)
{
	struct done_call *call = pl_alloc(sizeof *call);
	*call = (struct done_call) { cb, arg };
	args_eval(args, queue, verb, on_done, call);
}

const char *stage_letter(enum pl_stage stage)
{
	return stage == PL_STAGE_FETCH ? "f" : "d";
}

enum pl_err reply_error(enum pl_err err, const redisReply *reply, const char **why)
{
	const char *word = err != PL_OK ? pl_err_name(err) : "";
	if (err == PL_OK && reply->type == REDIS_REPLY_ERROR) {
		word = reply->str;
		err = strncmp(word, "OOM", 3) == 0 ? PL_ELIMIT : PL_EREDIS;
	}
	if (why != NULL)
		*why = word;
	return err;
}

bool reply_is_array(const redisReply *reply, size_t least)
{
	return reply->type == REDIS_REPLY_ARRAY && reply->elements >= least;
}

bool reply_is_text(const redisReply *reply)
{
	return reply->type == REDIS_REPLY_STRING || reply->type == REDIS_REPLY_STATUS;
}

/* The value of "name:" in INFO's lines; "" when it is not there. */
static void info_value(const char *info, const char *name, char *out, size_t size)
{
	size_t len = strlen(name);
	*out = '\0';
	for (const char *at = info; at != NULL && *at != '\0';) {
		size_t line = strcspn(at, "\r\n");
		if (line > len && strncmp(at, name, len) == 0 && at[len] == ':') {
			snprintf(out, size, "%.*s", (int)(line - len - 1), at + len + 1);
			return;
		}
		at += line;
		at += strspn(at, "\r\n");
	}
}

static bool config_is(const redisReply *reply, const char *name, const char *value)
{
	for (size_t i = 0; i + 1 < reply->elements; i += 2)
		if (reply_is_text(reply->element[i]) && reply_is_text(reply->element[i + 1]) &&
			strcasecmp(reply->element[i]->str, name) == 0)
			return strcmp(reply->element[i + 1]->str, value) == 0;
	return false;
}

/* Why this Redis may lose what it has acknowledged; "" when it may not. */
static const char *undurable(enum pl_err err, const redisReply *config)
{
	if (err != PL_OK || config->type != REDIS_REPLY_ARRAY || config->elements < CONFIG_VALUES)
		return "Redis does not show its configuration, so it counts as not durable";
	if (!config_is(config, "appendonly", "yes"))
		return "Redis keeps no append-only file (appendonly yes)";
	if (!config_is(config, "appendfsync", "always"))
		return "Redis does not sync each write to disk (appendfsync always)";
	if (!config_is(config, "maxmemory-policy", "noeviction"))
		return "Redis may evict what is queued (maxmemory-policy noeviction)";
	return "";
}

static void on_config(void *arg, enum pl_err err, const redisReply *reply)
{
	struct pl_queue *queue = arg;
	if (err != PL_OK)
		return; /* the connection was lost again; on_ready comes anew */
	struct pl_queue_redis *state = &queue->state;
	if (state->why[0] == '\0')
		snprintf(state->why, sizeof state->why, "%s", undurable(err, reply));
	state->durable = state->why[0] == '\0';
	queue->ready = true;
	queue->options.on_ready(queue->options.arg, state);
}

static void on_commands_ready(void *arg, const char *run_id, const char *info)
{
	struct pl_queue *queue = arg;
	char text[64];
	queue->state = (struct pl_queue_redis) { 0 };
	snprintf(queue->state.run_id, sizeof queue->state.run_id, "%s", run_id);
	info_value(info, "maxmemory", text, sizeof text);
	if (pl_number_parse(text, strlen(text), UINT64_MAX, &queue->state.maxmemory) != PL_OK)
		queue->state.maxmemory = 0;
	info_value(info, "role", text, sizeof text);
	if (strcmp(text, "master") != 0)
		snprintf(queue->state.why, sizeof queue->state.why,
			"Redis is not a master (role %s)", text);
	static const char *const config[] = { "CONFIG", "GET", "appendonly", "appendfsync",
		"maxmemory-policy" };
	static const size_t lengths[] = { 6, 3, 10, 11, 16 };
	pl_redis_call(queue->commands, 5, config, lengths, 0, on_config, queue);
}

static void on_commands_lost(void *arg, const char *why)
{
	struct pl_queue *queue = arg;
	queue->ready = false;
	queue->options.on_lost(queue->options.arg, why);
}

/* ---- news ---- */

static void on_subscribed(void *arg, enum pl_err err, const redisReply *reply)
{
	struct pl_queue *queue = arg;
	if (err == PL_OK && reply->type != REDIS_REPLY_ERROR)
		queue->options.on_news(queue->options.arg, PL_NEWS_MISSED, "");
}

static void on_subscriber_ready(void *arg, const char *run_id, const char *info)
{
	struct pl_queue *queue = arg;
	(void)run_id, (void)info; /* the commands connection keeps them */
	pl_redis_call(queue->subscriber, 3, (const char *const[]) { "SUBSCRIBE", TAIL, ACK }, NULL,
		0, on_subscribed, queue);
}

static void on_push(void *arg, const redisReply *message)
{
	struct pl_queue *queue = arg;
	if (!reply_is_array(message, 3) || !reply_is_text(message->element[0]) ||
		strcmp(message->element[0]->str, "message") != 0)
		return;
	bool tail = strcmp(message->element[1]->str, TAIL) == 0;
	queue->options.on_news(
		queue->options.arg, tail ? PL_NEWS_GREW : PL_NEWS_LET_GO, message->element[2]->str);
}

enum pl_err pl_queue_new(uv_loop_t *loop, const struct pl_queue_options *options,
	struct pl_queue **out, const char **why)
{
	static uv_once_t once = UV_ONCE_INIT;
	uv_once(&once, scripts_link);
	struct pl_queue *queue = pl_calloc(1, sizeof *queue);
	queue->loop = loop;
	queue->options = *options;
	struct pl_redis_options redis = {
		.url = options->redis_url,
		.on_ready = on_commands_ready,
		.on_lost = on_commands_lost,
		.arg = queue,
	};
	enum pl_err err = pl_redis_new(loop, &redis, &queue->commands, why);
	redis.on_ready = NULL;
	redis.on_lost = NULL;
	if (err == PL_OK && options->listens)
		err = pl_redis_new(loop, &redis, &queue->listener, why);
	redis.on_ready = on_subscriber_ready;
	redis.on_push = on_push;
	if (err == PL_OK && options->on_news != NULL)
		err = pl_redis_new(loop, &redis, &queue->subscriber, why);
	if (err != PL_OK) {
		PL_ASSERT(queue->commands == NULL); /* one URL: the first refuses if any does */
		free(queue);
		return err;
	}
	*out = queue;
	return PL_OK;
}

bool pl_queue_is_ready(const struct pl_queue *queue)
{
	return queue->ready;
}

uint64_t pl_queue_reconnects(const struct pl_queue *queue)
{
	return pl_redis_reconnects(queue->commands);
}

bool pl_queue_address(const struct pl_queue *queue, struct sockaddr_storage *out)
{
	return pl_redis_address(queue->commands, out);
}

static void on_closed(void *arg)
{
	struct pl_queue *queue = arg;
	if (--queue->closing > 0)
		return;
	void (*closed)(void *) = queue->closed;
	void *closed_arg = queue->closed_arg;
	free(queue);
	closed(closed_arg);
}

void pl_queue_close(struct pl_queue *queue, void (*closed)(void *arg), void *arg)
{
	queue->ready = false;
	queue->closed = closed;
	queue->closed_arg = arg;
	struct pl_redis *connections[] = { queue->listener, queue->subscriber, queue->commands };
	for (size_t i = 0; i < sizeof connections / sizeof *connections; i++)
		queue->closing += connections[i] != NULL;
	for (size_t i = 0; i < sizeof connections / sizeof *connections; i++)
		if (connections[i] != NULL)
			pl_redis_close(connections[i], on_closed, queue);
}
