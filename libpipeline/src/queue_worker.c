/*
 * A worker's verbs.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pipeline/mem.h"
#include "queue_private.h"

#define SETTLE_HEAD    6
#define SETTLE_FIELDS  9
#define FAILURE_FIELDS 5
#define MORE_SIZE      (128 + PL_TOKEN_SIZE) /* three numbers, the token, and tabs */
#define DRAWS          10                    /* of priorities, 6:3:1, before they begin anew */

struct register_call {
	pl_done_cb cb;
	void *arg;
};

static void on_registered(void *arg, enum pl_err err, const redisReply *reply)
{
	struct register_call *call = arg;
	const char *why;
	err = reply_error(err, reply, &why);
	const char *word = err == PL_OK && reply_is_text(reply) ? reply->str : "";
	if (err == PL_OK && strcmp(word, "NEW") == 0) {
		why = "new";
	} else if (err == PL_OK && strcmp(word, "OK") != 0) {
		err = PL_ECONFLICT;
		why = "Redis holds the keys of another version of Fetchback";
	}
	call->cb(call->arg, err, why);
	free(call);
}

void pl_queue_register(struct pl_queue *queue, enum pl_stage stage, const char *name,
	uint64_t lease_ms, pl_done_cb cb, void *arg)
{
	struct args args;
	args_begin(&args, 5);
	args_text(&args, stage_letter(stage));
	args_text(&args, name);
	args_number(&args, lease_ms);
	args_text(&args, queue->state.run_id);
	args_text(&args, PL_QUEUE_LAYOUT);
	struct register_call *call = pl_alloc(sizeof *call);
	*call = (struct register_call) { cb, arg };
	args_eval(&args, queue, REGISTER, on_registered, call);
}

void pl_queue_leave(
	struct pl_queue *queue, enum pl_stage stage, const char *name, pl_done_cb cb, void *arg)
{
	struct args args;
	args_begin(&args, 2);
	args_text(&args, stage_letter(stage));
	args_text(&args, name);
	args_eval_done(&args, queue, LEAVE, cb, arg);
}

struct beat_call {
	pl_beat_cb cb;
	void *arg;
};

static void on_beat(void *arg, enum pl_err err, const redisReply *reply)
{
	struct beat_call *call = arg;
	unsigned reaped = 0, requeued = 0;
	bool more = false;
	err = reply_error(err, reply, NULL);
	if (err == PL_OK && (!reply_is_array(reply, 4) || !reply_is_text(reply->element[0])))
		err = PL_EREDIS;
	if (err == PL_OK) {
		reaped = (unsigned)reply->element[1]->integer;
		requeued = (unsigned)reply->element[2]->integer;
		more = reply->element[3]->integer == 1;
		if (strcmp(reply->element[0]->str, "OK") != 0)
			err = PL_ESTALE;
	}
	call->cb(call->arg, err, reaped, requeued, more);
	free(call);
}

void pl_queue_beat(struct pl_queue *queue, enum pl_stage stage, const char *name, uint64_t lease_ms,
	pl_beat_cb cb, void *arg)
{
	struct beat_call *call = pl_alloc(sizeof *call);
	*call = (struct beat_call) { cb, arg };
	struct args args;
	args_begin(&args, 4);
	args_text(&args, stage_letter(stage));
	args_text(&args, name);
	args_number(&args, lease_ms);
	args_text(&args, queue->state.run_id);
	args_eval(&args, queue, BEAT, on_beat, call);
}

struct reserve_call {
	struct pl_queue *queue;
	pl_reserve_cb cb;
	void *arg;
};

static struct reserve_call *reserve_call(struct pl_queue *queue, pl_reserve_cb cb, void *arg)
{
	struct reserve_call *call = pl_alloc(sizeof *call);
	*call = (struct reserve_call) { queue, cb, arg };
	return call;
}

static enum pl_err reserve_note(const char *word, enum pl_reserve_note *note)
{
	static const struct {
		const char *word;
		enum pl_reserve_note note;
	} notes[] = {
		{ "OK", PL_RESERVE_SERVED },
		{ "PAUSED", PL_RESERVE_PAUSED },
		{ "FULL", PL_RESERVE_FULL },
		{ "MORE", PL_RESERVE_MORE },
	};
	for (size_t i = 0; i < sizeof notes / sizeof *notes; i++) {
		if (strcmp(notes[i].word, word) == 0) {
			*note = notes[i].note;
			return PL_OK;
		}
	}
	return PL_ESTALE;
}

static void on_reserve(void *arg, enum pl_err err, const redisReply *reply)
{
	struct reserve_call *call = arg;
	struct pl_reserved items[PL_RESERVE_MAX];
	enum pl_reserve_note note = PL_RESERVE_SERVED;
	int64_t next_due_ms = -1;
	size_t count = 0;
	err = reply_error(err, reply, NULL);
	if (err == PL_OK && (!reply_is_array(reply, 2) || !reply_is_text(reply->element[0])))
		err = PL_EREDIS;
	if (err == PL_OK)
		err = reserve_note(reply->element[0]->str, &note);
	if (err == PL_OK) {
		next_due_ms = reply->element[1]->integer;
		for (size_t i = 2; i + 2 < reply->elements && count < PL_RESERVE_MAX; i += 3) {
			const redisReply *text = reply->element[i + 1];
			items[count++] = (struct pl_reserved) { reply->element[i]->str,
				reply_is_text(text) ? text->str : NULL, text->len,
				reply->element[i + 2]->integer == 1 };
		}
	}
	call->queue->weighing = (call->queue->weighing + (unsigned)count) % DRAWS;
	call->cb(call->arg, err, note, next_due_ms, items, count);
	free(call);
}

void pl_queue_reserve(struct pl_queue *queue, enum pl_stage stage, const char *name,
	uint64_t serial, unsigned want, unsigned unproven, uint64_t bytes_max, pl_reserve_cb cb,
	void *arg)
{
	PL_ASSERT(want > 0 && want <= PL_RESERVE_MAX);
	struct args args;
	args_begin(&args, 10);
	args_text(&args, stage_letter(stage));
	args_text(&args, name);
	args_number(&args, serial);
	args_number(&args, want);
	args_number(&args, queue->weighing);
	args_number(&args, queue->options.host_concurrency);
	args_number(&args, queue->options.host_rate);
	args_number(&args, PL_COLD_MS);
	args_number(&args, bytes_max);
	args_number(&args, unproven);
	args_eval(&args, queue, RESERVE, on_reserve, reserve_call(queue, cb, arg));
}

void pl_queue_recover(struct pl_queue *queue, enum pl_stage stage, const char *name,
	uint64_t serial, const struct pl_known *known, size_t count, pl_reserve_cb cb, void *arg)
{
	struct args args;
	args_begin(&args, 4 + 2 * count);
	args_text(&args, stage_letter(stage));
	args_text(&args, name);
	args_number(&args, serial);
	args_number(&args, PL_COLD_MS);
	for (size_t i = 0; i < count; i++) {
		args_text(&args, known[i].id);
		args_number(&args, known[i].serial);
	}
	args_eval(&args, queue, RECOVER, on_reserve, reserve_call(queue, cb, arg));
}

struct settle_call {
	pl_settle_cb cb;
	void *arg;
	size_t count;
};

static void on_settle(void *arg, enum pl_err err, const redisReply *reply)
{
	struct settle_call *call = arg;
	bool settled[PL_SETTLE_MAX] = { false }, has_work = false;
	err = reply_error(err, reply, NULL);
	if (err == PL_OK && !reply_is_array(reply, call->count + 1))
		err = PL_EREDIS;
	for (size_t i = 0; err == PL_OK && i < call->count; i++)
		settled[i] = reply->element[i]->integer == 1;
	if (err == PL_OK)
		has_work = reply->element[call->count]->integer == 1;
	call->cb(call->arg, err, settled, has_work);
	free(call);
}

static void args_failure(struct args *args, const struct pl_settle *item)
{
	static const char priorities[] = "hdl";
	args_text(args, item->id);
	args_text(args, item->failure->id);
	args_letter(args, priorities[item->failure->priority]);
	args_text(args, item->failure->lane);
	args_bytes(args, item->failure->text, item->failure->text_len);
}

struct settle_words { /* of one item, borrowed by the arguments */
	char kind[3], more[MORE_SIZE];
};

static void args_settle(struct args *args, const struct pl_settle *item, struct settle_words *words)
{
	words->kind[0] = (char)item->verdict;
	words->kind[1] = (char)item->outcome;
	words->kind[2] = '\0';
	words->more[0] = '\0';
	if (item->hold_ms > 0 || item->delay_ms > 0 || item->chunks > 0)
		snprintf(words->more, sizeof words->more, "%" PRIu64 "\t%" PRIu64 "\t%s\t%u",
			item->hold_ms, item->delay_ms, item->token, item->chunks);
	args_text(args, item->id);
	args_number(args, item->serial);
	args_text(args, words->kind);
	args_text(args, item->deliver_lane);
	args_number(args, item->data_bytes);
	args_number(args, item->kept_bytes);
	args_text(args, item->owner);
	args_bytes(args, item->text, item->text_len);
	args_text(args, words->more);
}

void pl_queue_settle(struct pl_queue *queue, enum pl_stage stage, const char *name,
	const struct pl_settle *items, size_t count, pl_settle_cb cb, void *arg)
{
	PL_ASSERT(count > 0 && count <= PL_SETTLE_MAX);
	struct settle_call *call = pl_alloc(sizeof *call);
	*call = (struct settle_call) { cb, arg, count };
	size_t failures = 0;
	for (size_t i = 0; i < count; i++)
		failures += items[i].failure != NULL;
	struct args args;
	args_begin(&args, SETTLE_HEAD + failures * FAILURE_FIELDS + count * SETTLE_FIELDS);
	args_text(&args, stage_letter(stage));
	args_text(&args, name);
	args_number(&args, queue->options.host_concurrency);
	args_number(&args, PL_COLD_MS);
	args_number(&args, queue->options.breaker_ms);
	args_number(&args, failures);
	for (size_t i = 0; i < count; i++)
		if (items[i].failure != NULL)
			args_failure(&args, &items[i]);
	struct settle_words *words = pl_alloc(count * sizeof *words);
	for (size_t i = 0; i < count; i++)
		args_settle(&args, &items[i], &words[i]);
	args_eval(&args, queue, SETTLE, on_settle, call);
	free(words);
}

void pl_queue_limits(struct pl_queue *queue, const struct pl_host_limit *limits, size_t count,
	pl_done_cb cb, void *arg)
{
	PL_ASSERT(count <= PL_HOST_LIMITS_MAX);
	struct args args;
	args_begin(&args, 2 * count);
	for (size_t i = 0; i < count; i++) {
		args_text(&args, limits[i].lane);
		args_text(&args, limits[i].text);
	}
	args_eval_done(&args, queue, LIMITS, cb, arg);
}

struct retain_call {
	pl_retain_cb cb;
	void *arg;
};

static void on_retained(void *arg, enum pl_err err, const redisReply *reply)
{
	struct retain_call *call = arg;
	err = reply_error(err, reply, NULL);
	if (err == PL_OK && !reply_is_array(reply, 2))
		err = PL_EREDIS;
	call->cb(call->arg, err, err == PL_OK && reply->element[1]->integer == 1);
	free(call);
}

void pl_queue_retain(
	struct pl_queue *queue, const struct pl_retention *retention, pl_retain_cb cb, void *arg)
{
	struct retain_call *call = pl_alloc(sizeof *call);
	*call = (struct retain_call) { cb, arg };
	struct args args;
	args_begin(&args, 5);
	args_number(&args, retention->data_ms);
	args_number(&args, retention->record_ms);
	args_number(&args, retention->dead_ms);
	args_number(&args, retention->bytes_max);
	args_number(&args, PL_RETAIN_MAX);
	args_eval(&args, queue, RETAIN, on_retained, call);
}

struct listen_call {
	pl_listen_cb cb;
	void *arg;
};

static void on_listen(void *arg, enum pl_err err, const redisReply *reply)
{
	struct listen_call *call = arg;
	const char *message = NULL;
	err = reply_error(err, reply, NULL);
	if (err == PL_OK && reply_is_array(reply, 2) && reply_is_text(reply->element[1])) {
		size_t key = reply->element[0]->len;
		bool rang = key > 5 && strcmp(reply->element[0]->str + key - 5, ":bell") == 0;
		message = rang ? "" : reply->element[1]->str;
	}
	call->cb(call->arg, err, message);
	free(call);
}

void pl_queue_listen(struct pl_queue *queue, enum pl_stage stage, const char *name,
	enum pl_bells bells, pl_listen_cb cb, void *arg)
{
	char control[sizeof TAG + 4 + PL_WORKER_NAME_SIZE], bell[sizeof TAG + 8],
		unproven[sizeof TAG + 10], seconds[4];
	snprintf(control, sizeof control, TAG "ctl:%s", name);
	snprintf(bell, sizeof bell, TAG "%s:bell", stage_letter(stage));
	snprintf(unproven, sizeof unproven, TAG "%s:u:bell", stage_letter(stage));
	snprintf(seconds, sizeof seconds, "%d", PL_LISTEN_S);
	const char *argv[5] = { "BLPOP", control };
	int argc = 2;
	if (bells >= PL_BELL_WORK)
		argv[argc++] = bell;
	if (bells >= PL_BELL_UNPROVEN)
		argv[argc++] = unproven;
	argv[argc++] = seconds;
	size_t len[5];
	for (int i = 0; i < argc; i++)
		len[i] = strlen(argv[i]);
	struct listen_call *call = pl_alloc(sizeof *call);
	*call = (struct listen_call) { cb, arg };
	pl_redis_call(queue->listener, argc, argv, len, (PL_LISTEN_S + 1) * 1000, on_listen, call);
}

void pl_queue_wake(
	struct pl_queue *queue, enum pl_stage stage, const char *name, pl_done_cb cb, void *arg)
{
	struct args args;
	args_begin(&args, 2);
	args_text(&args, stage_letter(stage));
	args_text(&args, name);
	args_eval_done(&args, queue, WAKE, cb, arg);
}

void pl_queue_chunk_put(struct pl_queue *queue, const char *name, const struct pl_chunk *chunk,
	pl_done_cb cb, void *arg)
{
	PL_ASSERT(chunk->len <= PL_CHUNK_MAX);
	struct args args;
	args_begin(&args, 6);
	args_text(&args, name);
	args_text(&args, chunk->token);
	args_number(&args, chunk->number);
	args_number(&args, PL_CHUNK_TTL_MS);
	args_number(&args, chunk->bodies_max);
	args_bytes(&args, chunk->bytes, chunk->len);
	args_eval_done(&args, queue, CHUNK, cb, arg);
}
