/*
 * redis_call: one call on its way to Redis and back, with its bytes, in a single allocation.
 *
 * The bytes stay until the answer is there: an EVALSHA that Redis does not know is sent again
 * as EVAL with the same arguments.
 */
#ifndef PIPELINE_REDIS_CALL_H
#define PIPELINE_REDIS_CALL_H

#include "pipeline/redis.h"

struct pl_redis_call {
	struct pl_redis_call *next;
	pl_redis_cb cb; /* NULL: nobody asks */
	void *arg;
	uint64_t deadline;              /* loop time, ms */
	const struct pl_script *script; /* NULL, or sent by its SHA-1 */
	size_t script_args;             /* where in bytes what follows the SHA-1 begins */
	size_t script_argc;             /* and how many strings that is */
	unsigned answers;               /* still to come; (UN)SUBSCRIBE has one a channel */
	enum pl_err err;                /* of a call that ended without an answer */
	size_t written;
	size_t len;
	char bytes[];
};

struct pl_redis_calls { /* in the order of sending */
	struct pl_redis_call *first;
	struct pl_redis_call *last;
};

/* A call of no bytes, to carry word that nothing was sent. */
struct pl_redis_call *pl_redis_call_new_empty(enum pl_err err);
/* argv_len NULL: the strings end with a NUL. */
struct pl_redis_call *pl_redis_call_new(
	size_t argc, const char *const *argv, const size_t *argv_len);
struct pl_redis_call *pl_redis_call_new_evalsha(const struct pl_script *script, unsigned keys,
	size_t argc, const char *const *argv, const size_t *argv_len);
/* The same with the source in place of the SHA-1; takes over cb, arg and deadline. */
struct pl_redis_call *pl_redis_call_new_eval(const struct pl_redis_call *evalsha);

void pl_redis_calls_add(struct pl_redis_calls *calls, struct pl_redis_call *call);
struct pl_redis_call *pl_redis_calls_take(struct pl_redis_calls *calls); /* NULL: none */

#endif
