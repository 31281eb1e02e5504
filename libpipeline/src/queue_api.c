/*
 * The api's verbs: push, find, and reading what was fetched.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "pipeline/mem.h"
#include "pipeline/text.h"
#include "queue_private.h"

#define PUSH_HEAD   2
#define PUSH_FIELDS 10

#define CHUNK_KEY_REST 32 /* of a chunk's key, beside its token: tag, letters, number */

struct push_call {
	pl_push_cb cb;
	void *arg;
	size_t count;
};

static struct pl_push_answer push_answer(const redisReply *reply)
{
	static const enum pl_pushed words[] = { PL_PUSHED_FULL, PL_PUSHED, PL_PUSHED_SHARE,
		PL_PUSHED_CONFLICT };
	if (reply_is_text(reply))
		return (struct pl_push_answer) { PL_PUSHED_EARLIER, reply->str };
	if (reply->type == REDIS_REPLY_INTEGER && reply->integer >= 0 &&
		reply->integer < (long long)(sizeof words / sizeof *words))
		return (struct pl_push_answer) { words[reply->integer], NULL };
	return (struct pl_push_answer) { PL_PUSHED_FULL, NULL };
}

static void on_push(void *arg, enum pl_err err, const redisReply *reply)
{
	struct push_call *call = arg;
	struct pl_push_answer answers[PL_PUSH_MAX];
	const char *why;
	err = reply_error(err, reply, &why);
	if (err == PL_OK && !reply_is_array(reply, call->count)) {
		err = PL_EREDIS;
		why = "an answer of another form than ours";
	}
	for (size_t i = 0; err == PL_OK && i < call->count; i++)
		answers[i] = push_answer(reply->element[i]);
	call->cb(call->arg, err, answers, why);
	free(call);
}

#define KEY_TEXT_MAX (PL_KEY_MAX + 128)

static void args_key(struct args *args, struct pl_buf *keys, const struct pl_push *item)
{
	if (item->key_kind == PL_KEY_NONE) {
		args_text(args, "");
		return;
	}
	size_t before = keys->len;
	enum pl_err err = pl_buf_format(keys, "%c\t%s\t%s\t%" PRIu64, (char)item->key_kind,
		item->key, item->key_hash, item->key_window_ms);
	PL_ASSERT(err == PL_OK); /* its room was reserved */
	args_bytes(args, keys->data + before, keys->len - before);
}

void pl_queue_push(struct pl_queue *queue, const struct pl_push *items, size_t count,
	uint64_t queue_max, uint64_t share, pl_push_cb cb, void *arg)
{
	PL_ASSERT(count > 0 && count <= PL_PUSH_MAX);
	static const char priorities[] = "hdl";
	struct push_call *call = pl_alloc(sizeof *call);
	*call = (struct push_call) { .cb = cb, .arg = arg, .count = count };
	struct pl_buf keys;
	pl_buf_init(&keys, count * KEY_TEXT_MAX);
	size_t keyed = 0;
	for (size_t i = 0; i < count; i++)
		keyed += items[i].key_kind != PL_KEY_NONE;
	if (keyed > 0 && pl_buf_reserve(&keys, keyed * KEY_TEXT_MAX) == NULL)
		PL_ASSERT(false); /* its ceiling is count times as much */
	struct args args;
	args_begin(&args, PUSH_HEAD + count * PUSH_FIELDS);
	args_number(&args, queue_max);
	args_number(&args, share);
	for (size_t i = 0; i < count; i++) {
		args_text(&args, items[i].id);
		args_text(&args, stage_letter(items[i].stage));
		args_letter(&args, priorities[items[i].priority]);
		args_text(&args, items[i].lane);
		args_number(&args, items[i].delay_ms);
		args_number(&args, items[i].lasts_ms);
		args_text(&args, items[i].labels);
		args_text(&args, items[i].owner);
		args_key(&args, &keys, &items[i]);
		args_bytes(&args, items[i].text, items[i].text_len);
	}
	args_eval(&args, queue, PUSH, on_push, call);
	pl_buf_fini(&keys);
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
	args_begin(&args, 4);
	args_text(&args, id);
	args_number(&args, queue->options.host_concurrency);
	args_number(&args, queue->options.host_rate);
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

static struct bytes_call *bytes_call(pl_bytes_cb cb, void *arg)
{
	struct bytes_call *call = pl_alloc(sizeof *call);
	*call = (struct bytes_call) { cb, arg };
	return call;
}

void pl_queue_chunk_get(
	struct pl_queue *queue, const char *token, unsigned number, pl_bytes_cb cb, void *arg)
{
	struct pl_buf key;
	pl_buf_init(&key, strlen(token) + CHUNK_KEY_REST);
	enum pl_err err = pl_buf_format(&key, TAG "b:%s:%u", token, number);
	PL_ASSERT(err == PL_OK);
	pl_redis_call(queue->commands, 2, (const char *const[]) { "GET", key.data }, NULL, 0,
		on_bytes, bytes_call(cb, arg));
	pl_buf_fini(&key);
}

#define DATA_KEY_SIZE 32

void pl_queue_data_key(struct pl_queue *queue, pl_bytes_cb cb, void *arg)
{
	unsigned char key[DATA_KEY_SIZE];
	int got = uv_random(NULL, NULL, key, sizeof key, 0, NULL);
	PL_ASSERT(got == 0);
	struct args args;
	args_begin(&args, 1);
	args_bytes(&args, (const char *)key, sizeof key);
	args_eval(&args, queue, DATAKEY, on_bytes, bytes_call(cb, arg));
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
