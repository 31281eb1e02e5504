/*
 * The api's verbs: push, find, and reading what was fetched.
 */
#include <stdlib.h>
#include <string.h>

#include "pipeline/mem.h"
#include "pipeline/text.h"
#include "queue_private.h"

#define PUSH_FIELDS 7

struct push_call {
	pl_push_cb cb;
	void *arg;
	size_t count;
};

static void on_push(void *arg, enum pl_err err, const redisReply *reply)
{
	struct push_call *call = arg;
	bool stored[PL_PUSH_MAX] = { false };
	const char *why;
	err = reply_error(err, reply, &why);
	if (err == PL_OK && !reply_is_array(reply, call->count)) {
		err = PL_EREDIS;
		why = "an answer of another form than ours";
	}
	for (size_t i = 0; err == PL_OK && i < call->count; i++)
		stored[i] = reply->element[i]->type == REDIS_REPLY_INTEGER &&
			    reply->element[i]->integer == 1;
	call->cb(call->arg, err, stored, why);
	free(call);
}

void pl_queue_push(struct pl_queue *queue, const struct pl_push *items, size_t count,
	uint64_t queue_max, pl_push_cb cb, void *arg)
{
	PL_ASSERT(count > 0 && count <= PL_PUSH_MAX);
	static const char priorities[] = "hdl";
	struct push_call *call = pl_alloc(sizeof *call);
	*call = (struct push_call) { cb, arg, count };
	struct args args;
	args_begin(&args, 1 + count * PUSH_FIELDS);
	args_number(&args, queue_max);
	for (size_t i = 0; i < count; i++) {
		args_text(&args, items[i].id);
		args_text(&args, stage_letter(items[i].stage));
		args_letter(&args, priorities[items[i].priority]);
		args_text(&args, items[i].lane);
		args_number(&args, items[i].delay_ms);
		args_text(&args, items[i].labels);
		args_bytes(&args, items[i].text, items[i].text_len);
	}
	args_eval(&args, queue, PUSH, on_push, call);
}

struct find_call {
	pl_find_cb cb;
	void *arg;
};

struct pl_found reply_found(redisReply *const *e)
{
	return (struct pl_found) {
		.text = e[0]->str,
		.text_len = e[0]->len,
		.held = e[1]->integer == 1,
		.reason = reply_is_text(e[2]) ? e[2]->str : "",
		.until_ms = (uint64_t)e[3]->integer,
		.ahead = e[4]->integer,
	};
}

static void on_find(void *arg, enum pl_err err, const redisReply *reply)
{
	struct find_call *call = arg;
	struct pl_found found;
	err = reply_error(err, reply, NULL);
	if (err == PL_OK && reply->type == REDIS_REPLY_NIL)
		err = PL_ENOTFOUND;
	else if (err == PL_OK && (!reply_is_array(reply, 5) || !reply_is_text(reply->element[0])))
		err = PL_EREDIS;
	if (err == PL_OK)
		found = reply_found(reply->element);
	call->cb(call->arg, err, err == PL_OK ? &found : NULL);
	free(call);
}

void pl_queue_find(struct pl_queue *queue, const char *id, pl_find_cb cb, void *arg)
{
	struct find_call *call = pl_alloc(sizeof *call);
	*call = (struct find_call) { cb, arg };
	struct args args;
	args_begin(&args, 3);
	args_text(&args, id);
	args_number(&args, queue->options.host_concurrency);
	args_number(&args, PL_COLD_MS);
	args_eval(&args, queue, FIND, on_find, call);
}

struct bytes_call {
	pl_bytes_cb cb;
	void *arg;
};

static void on_bytes(void *arg, enum pl_err err, const redisReply *reply)
{
	struct bytes_call *call = arg;
	err = reply_error(err, reply, NULL);
	if (err == PL_OK && reply->type == REDIS_REPLY_NIL)
		err = PL_ENOTFOUND;
	else if (err == PL_OK && !reply_is_text(reply))
		err = PL_EREDIS;
	if (err == PL_OK)
		call->cb(call->arg, PL_OK, reply->str, reply->len);
	else
		call->cb(call->arg, err, NULL, 0);
	free(call);
}

static void call_for_bytes(
	struct pl_queue *queue, int argc, const char *const *argv, pl_bytes_cb cb, void *arg)
{
	enum { ARGS_MAX = 4 };
	size_t len[ARGS_MAX];
	PL_ASSERT(argc <= ARGS_MAX);
	for (int i = 0; i < argc; i++)
		len[i] = strlen(argv[i]);
	struct bytes_call *call = pl_alloc(sizeof *call);
	*call = (struct bytes_call) { cb, arg };
	pl_redis_call(queue->commands, argc, argv, len, 0, on_bytes, call);
}

void pl_queue_chunk_get(
	struct pl_queue *queue, const char *token, unsigned number, pl_bytes_cb cb, void *arg)
{
	struct pl_buf key;
	pl_buf_init(&key, 256);
	if (pl_buf_format(&key, TAG "b:%s:%u", token, number) == PL_OK)
		call_for_bytes(queue, 2, (const char *const[]) { "GET", key.data }, cb, arg);
	pl_buf_fini(&key);
}

struct key_call {
	struct pl_queue *queue;
	pl_bytes_cb cb;
	void *arg;
};

#define DATA_KEY_SIZE 32
#define DATA_KEY      TAG "datakey"

/* What stands in Redis wins over what was just offered: SET NX, then GET. */
static void on_key_offered(void *arg, enum pl_err err, const redisReply *reply)
{
	struct key_call *call = arg;
	err = reply_error(err, reply, NULL);
	if (err == PL_OK)
		call_for_bytes(call->queue, 2, (const char *const[]) { "GET", DATA_KEY }, call->cb,
			call->arg);
	else
		call->cb(call->arg, err, NULL, 0);
	free(call);
}

void pl_queue_data_key(struct pl_queue *queue, pl_bytes_cb cb, void *arg)
{
	unsigned char key[DATA_KEY_SIZE];
	int got = uv_random(NULL, NULL, key, sizeof key, 0, NULL);
	PL_ASSERT(got == 0);
	struct key_call *call = pl_alloc(sizeof *call);
	*call = (struct key_call) { queue, cb, arg };
	const char *const argv[] = { "SET", DATA_KEY, (const char *)key, "NX" };
	const size_t len[] = { 3, sizeof DATA_KEY - 1, sizeof key, 2 };
	pl_redis_call(queue->commands, 4, argv, len, 0, on_key_offered, call);
}

struct memory_call {
	pl_memory_cb cb;
	void *arg;
};

static bool line_number(const char *info, const char *name, uint64_t *out)
{
	const char *at = strstr(info, name);
	if (at == NULL)
		return false;
	at += strlen(name);
	return pl_number_parse(at, strspn(at, "0123456789"), UINT64_MAX, out) == PL_OK;
}

static void on_memory(void *arg, enum pl_err err, const redisReply *reply)
{
	struct memory_call *call = arg;
	uint64_t used = 0, most = 0;
	err = reply_error(err, reply, NULL);
	if (err == PL_OK &&
		(!reply_is_text(reply) || !line_number(reply->str, "\nused_memory:", &used) ||
			!line_number(reply->str, "\nmaxmemory:", &most)))
		err = PL_EREDIS;
	call->cb(call->arg, err, used, most);
	free(call);
}

void pl_queue_memory(struct pl_queue *queue, pl_memory_cb cb, void *arg)
{
	struct memory_call *call = pl_alloc(sizeof *call);
	*call = (struct memory_call) { cb, arg };
	pl_redis_call(queue->commands, 2, (const char *const[]) { "INFO", "memory" },
		(const size_t[]) { 4, 6 }, 0, on_memory, call);
}
