/*
 * What people do to requests and queues: alter, hold, list, watch.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pipeline/clock.h"
#include "pipeline/mem.h"
#include "queue_private.h"

#define OLD_CHUNKS_MS \
	(72ull * 60 * 60 * 1000) /* data that a refetch replaces is kept as any data */
#define LIST_FIELDS 8
#define LIST_HEAD   3

const char *pl_alter_name(enum pl_alter verb)
{
	static const char *const names[] = { "cancel", "pause", "resume", "redeliver", "delete",
		"refetch", "look" };
	return names[verb];
}

struct alter_call {
	pl_alter_cb cb;
	void *arg;
};

static enum pl_err alter_answer(const char *word, enum pl_altered *answer)
{
	static const struct {
		const char *word;
		enum pl_altered answer;
	} words[] = {
		{ "OK", PL_ALTERED },
		{ "HELD", PL_ALTERED_HELD },
		{ "SAME", PL_ALTERED_SAME },
		{ "FINAL", PL_ALTERED_NOT },
		{ "BUSY", PL_ALTERED_NOT },
		{ "EXPIRED", PL_ALTERED_GONE },
		{ "FULL", PL_ALTERED_FULL },
	};
	for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
		if (strcmp(words[i].word, word) == 0) {
			*answer = words[i].answer;
			return PL_OK;
		}
	}
	return PL_ENOTFOUND;
}

static void on_altered(void *arg, enum pl_err err, const redisReply *reply)
{
	struct alter_call *call = arg;
	enum pl_altered answer = PL_ALTERED_NOT;
	err = reply_error(err, reply, NULL);
	if (err == PL_OK && (!reply_is_array(reply, 1) || !reply_is_text(reply->element[0])))
		err = PL_EREDIS;
	if (err == PL_OK)
		err = alter_answer(reply->element[0]->str, &answer);
	call->cb(call->arg, err, answer);
	free(call);
}

void pl_queue_alter(
	struct pl_queue *queue, const struct pl_alteration *alteration, pl_alter_cb cb, void *arg)
{
	static const char who[] = "ai"; /* the api, level info */
	bool refetches = alteration->verb == PL_ALTER_REFETCH;
	struct alter_call *call = pl_alloc(sizeof *call);
	*call = (struct alter_call) { cb, arg };
	struct args args;
	args_begin(&args, 5);
	if (!refetches)
		args_text(&args, pl_alter_name(alteration->verb));
	args_text(&args, alteration->id);
	args_text(&args, alteration->owner);
	args_text(&args, who);
	if (refetches) {
		args_number(&args, alteration->queue_max);
		args_number(&args, OLD_CHUNKS_MS);
	}
	args_eval(&args, queue, refetches ? REFETCH : ALTER, on_altered, call);
}

void pl_queue_hold(struct pl_queue *queue, enum pl_stage stage, bool hold, pl_done_cb cb, void *arg)
{
	struct args args;
	args_begin(&args, 2);
	args_text(&args, stage_letter(stage));
	args_text(&args, hold ? "pause" : "resume");
	args_eval_done(&args, queue, STAGE, cb, arg);
}

struct queues_call {
	pl_queues_cb cb;
	void *arg;
};

static void on_queues(void *arg, enum pl_err err, const redisReply *reply)
{
	enum { FIELDS = 6, TOTALS = 5 };
	struct queues_call *call = arg;
	struct pl_queues queues;
	err = reply_error(err, reply, NULL);
	if (err == PL_OK && !reply_is_array(reply, PL_STAGES * FIELDS + TOTALS))
		err = PL_EREDIS;
	if (err == PL_OK) {
		redisReply *const *e = reply->element;
		for (int i = 0; i < PL_STAGES; i++, e += FIELDS)
			queues.stage[i] = (struct pl_queue_figures) {
				.ready = (uint64_t)e[0]->integer,
				.delayed = (uint64_t)e[1]->integer,
				.leased = (uint64_t)e[2]->integer,
				.workers = (uint64_t)e[3]->integer,
				.paused = e[4]->integer == 1,
				.oldest_ms = e[5]->integer,
			};
		queues.live = (uint64_t)e[0]->integer;
		queues.dead = (uint64_t)e[1]->integer;
		queues.undelivered_bytes = (uint64_t)e[2]->integer;
		queues.kept_bytes = (uint64_t)e[3]->integer;
		queues.trimmed = (uint64_t)e[4]->integer;
	}
	call->cb(call->arg, err, err == PL_OK ? &queues : NULL);
	free(call);
}

void pl_queue_queues(struct pl_queue *queue, pl_queues_cb cb, void *arg)
{
	struct queues_call *call = pl_alloc(sizeof *call);
	*call = (struct queues_call) { cb, arg };
	struct args args;
	args_begin(&args, 0);
	args_eval(&args, queue, QUEUES, on_queues, call);
}

struct list_call {
	pl_list_cb cb;
	void *arg;
};

static struct pl_listed reply_listed(redisReply *const *e)
{
	struct pl_listed listed = {
		.id = e[0]->str,
		.place = { .slot = e[6]->integer, .position = e[7]->integer },
		.found = reply_found(e + 1),
	};
	if (e[0]->len < PL_UUID_SIZE)
		memcpy(listed.place.id, e[0]->str, e[0]->len);
	return listed;
}

static void on_list(void *arg, enum pl_err err, const redisReply *reply)
{
	struct list_call *call = arg;
	struct pl_listed items[PL_LIST_MAX];
	struct pl_list_place next = { .slot = -1, .position = -1 };
	size_t count = 0;
	err = reply_error(err, reply, NULL);
	if (err == PL_OK && !reply_is_array(reply, LIST_HEAD))
		err = PL_EREDIS;
	if (err == PL_OK) {
		redisReply *const *e = reply->element;
		next.slot = e[0]->integer;
		next.position = e[1]->integer;
		if (reply_is_text(e[2]) && e[2]->len < PL_UUID_SIZE)
			memcpy(next.id, e[2]->str, e[2]->len);
		for (size_t i = LIST_HEAD;
			i + LIST_FIELDS <= reply->elements && count < PL_LIST_MAX; i += LIST_FIELDS)
			items[count++] = reply_listed(e + i);
	}
	call->cb(call->arg, err, &next, items, count);
	free(call);
}

void pl_queue_list(struct pl_queue *queue, const char *index, const char *owner,
	const struct pl_list_place *place, pl_list_cb cb, void *arg)
{
	struct list_call *call = pl_alloc(sizeof *call);
	*call = (struct list_call) { cb, arg };
	char slot[24], position[24];
	snprintf(slot, sizeof slot, "%" PRId64, place->slot);
	snprintf(position, sizeof position, "%" PRId64, place->position);
	struct args args;
	args_begin(&args, 9);
	args_text(&args, index);
	args_text(&args, slot);
	args_text(&args, position);
	args_text(&args, place->id);
	args_number(&args, PL_LIST_MAX);
	args_number(&args, queue->options.host_concurrency);
	args_number(&args, queue->options.host_rate);
	args_number(&args, PL_COLD_MS);
	args_text(&args, owner);
	args_eval(&args, queue, LIST, on_list, call);
}

void pl_queue_watch(struct pl_queue *queue, const char *id, unsigned seconds)
{
	struct args args;
	args_begin(&args, 2);
	args_text(&args, id);
	args_number(&args, seconds);
	args_eval(&args, queue, WATCH, NULL, NULL);
}
