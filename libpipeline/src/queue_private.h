/*
 * queue_private: what the files of `queue` share: the object, and the arguments of a script call.
 */
#ifndef PIPELINE_QUEUE_PRIVATE_H
#define PIPELINE_QUEUE_PRIVATE_H

#include "pipeline/queue.h"
#include "pipeline/redis.h"

#define TAG "{f0}:" /* hash tag of shard 0; every key starts with it */

enum verb {
	PUSH,
	REGISTER,
	RESERVE,
	RECOVER,
	SETTLE,
	BEAT,
	LEAVE,
	CHUNK,
	FIND,
	LIST,
	ALTER,
	REFETCH,
	STAGE,
	QUEUES,
	RETAIN,
	LIMITS,
	DOCTOR,
	DATAKEY,
	WAKE,
	WATCH,
	VERBS
};

struct pl_queue {
	uv_loop_t *loop;
	struct pl_queue_options options;
	struct pl_redis *commands;
	struct pl_redis *listener;   /* NULL: not asked for */
	struct pl_redis *subscriber; /* NULL: not asked for */
	bool ready;
	struct pl_queue_redis state;
	unsigned weighing; /* where reserve's draw of priorities goes on */
	unsigned closing;  /* connections that are not closed yet */
	void (*closed)(void *arg);
	void *closed_arg;
};

/* Arguments under construction. Texts are borrowed until the call has been made; numbers are
 * written into one block sized at birth. */
struct args {
	const char **text;
	size_t *len;
	size_t count, room;
	char *numbers;
	size_t written;
};

void args_begin(struct args *args, size_t room); /* room: arguments behind the tag */
void args_text(struct args *args, const char *text);
void args_bytes(struct args *args, const char *bytes, size_t len);
void args_number(struct args *args, uint64_t number);
void args_signed(struct args *args, int64_t number); /* a count that went wrong may be below 0 */
void args_letter(struct args *args, char letter);
/* Runs the script and frees the arguments. */
void args_eval(
	struct args *args, struct pl_queue *queue, enum verb verb, pl_redis_cb cb, void *arg);

/* The same for a script that answers no more than that it is done; cb may be NULL. */
void args_eval_done(
	struct args *args, struct pl_queue *queue, enum verb verb, pl_done_cb cb, void *arg);

const char *stage_letter(enum pl_stage stage);

/* What a reply means when it is no answer: PL_OK for one that is none of these. why is Redis' own
 * word, "" for none. */
enum pl_err reply_error(enum pl_err err, const redisReply *reply, const char **why);
/* A reply of another form than the script's is our bug or somebody else's server. */
bool reply_is_array(const redisReply *reply, size_t least);
bool reply_is_text(const redisReply *reply);
/* The five values by which find and list show a request. */
struct pl_found reply_found(redisReply *const *elements);

#endif
