/*
 * lookup: names to addresses for handlers, by one resolver, as the workers have it.
 *
 *   handler -- lookups_run, sleeps --> the loop: resolver --> the handler goes on
 *
 * Threads  lookups_run from any. It blocks for PL_RESOLVER_TIMEOUT_MS and a turn of the loop; once
 *          lookups_close was called not at all.
 * Bounds   a handler waits for what it asked for, so there are as many as the server has threads.
 */
#ifndef API_LOOKUP_H
#define API_LOOKUP_H

#include <stdbool.h>

#include "pipeline/resolver.h"

struct lookup {
	const char *host; /* borrowed */
	unsigned port;
	enum pl_err err; /* as of pl_resolver_cb; PL_ECLOSED: the service is stopping */
	struct sockaddr_storage addresses[PL_RESOLVER_ANSWERS_MAX];
	size_t count;        /* set before: a literal, not asked for */
	struct lookup *next; /* from here on lookup.c's */
	uv_sem_t *done;
};

struct lookups {
	struct pl_resolver *resolver; /* the loop's own */
	uv_async_t asked;             /* sent under the lock, while is_open */
	bool has_lock;
	uv_mutex_t lock;
	bool is_open;           /* under the lock */
	struct lookup *waiting; /* asked for, not begun; under the lock */
	void (*closed)(void *arg);
	void *closed_arg;
};

/* servers: as of pl_resolver_options. lookups: all zero. On a failure nothing is to be closed. */
PL_MUST_CHECK enum pl_err lookups_init(
	struct lookups *lookups, uv_loop_t *loop, const char *servers);
/* All are asked for at once. */
void lookups_run(struct lookups *lookups, struct lookup *wanted, size_t count);
/* On the loop. What is under way ends with PL_ECLOSED, and so does what handlers still ask for. */
void lookups_close(struct lookups *lookups, void (*closed)(void *arg), void *arg);
/* After closed, when no handler can ask any more; fine on what was never begun. */
void lookups_fini(struct lookups *lookups);

#endif
