/*
 * store, inside: one handler's call as the loop sees it, and what the store's files share.
 *
 * A file embeds struct store_wait as the first member of its own call, so begin finds the rest.
 */
#ifndef API_STORE_PRIVATE_H
#define API_STORE_PRIVATE_H

#include <uv.h>

#include "pipeline/lag.h"
#include "store.h"

struct store_wait { /* lives on its handler's stack */
	struct store_wait *prev, *next;
	struct store *store;
	void (*begin)(struct store_wait *wait); /* on the loop */
	uv_sem_t done;
	enum pl_err err;
	char why[STORE_WHY_SIZE];
};

struct store_change; /* store_control.c */

struct store_tails { /* store_tails.c */
	uv_mutex_t lock;
	struct store_tail *first;
};

struct store {
	uv_thread_t thread;
	uv_loop_t loop;
	uv_async_t wake;
	uv_prepare_t turn; /* for lag alone */
	struct pl_lag lag;
	struct pl_metrics *counts;
	struct pl_queue *queue;
	bool relaxed;
	uint64_t queue_max, time_scale, dedupe_window_ms;
	uint64_t keep_data_ms, keep_dead_ms; /* RETENTION_DATA, RETENTION_DEAD, scaled */

	/* The loop's own. */
	struct store_wait *pushes; /* gathered, not sent */
	unsigned pushes_underway;
	uint64_t memory_checked_ms;
	bool memory_full;
	bool closing;
	struct store_change *changes; /* some request of theirs may be held by a worker */
	uv_timer_t patience;          /* runs while one of them waits for a worker */

	/* Between the threads. */
	struct store_tails tails;
	uv_mutex_t lock;
	struct store_wait *calls;
	bool is_woken; /* to take them */
	bool is_full;  /* PUSHES_UNDERWAY_MAX are out: pushes gather, and wake nobody */
	bool stop;
	bool has_ended; /* the thread: nothing of it uses this any more */
	uv_cond_t ended;
	bool ready;
	bool has_met; /* Redis, at this place */
	struct sockaddr_storage redis;
	char why[STORE_WHY_SIZE];
	void (*changed)(void *arg, bool ready, const char *why);
	void *changed_arg;
};

/* Hands the call to the loop and sleeps until it is finished; its err. */
PL_MUST_CHECK enum pl_err store_call(struct store *store, struct store_wait *wait);
/* On the loop, once: the handler goes on, and wait is not the loop's any more. */
void store_finish(struct store_wait *wait, enum pl_err err, const char *why);

/* On the loop: what the queue has found, for its handler to keep. A record may be a MiB: it is
 * decoded by who asked for it, and nobody else waits meanwhile. */
struct pl_found store_keep(const struct pl_found *found);
/* Decodes and frees what was kept, and says why it waits. */
PL_MUST_CHECK enum pl_err store_read(
	const struct store *store, const char *id, struct pl_found *kept, struct store_found *out);

/* store_control.c, all on the loop: a worker has let go of a request (id ""; of any); nothing more
 * is waited for. */
void store_control_init(struct store *store);
void store_let_go(struct store *store, const char *id);
void store_control_end(struct store *store);

/* store_find; watch_s > 0: news of the request come for so long from before it is read. */
PL_MUST_CHECK enum pl_err store_find_watched(
	struct store *store, const char *id, unsigned watch_s, struct store_found *out);

/* store_tails.c; on the loop: a watched request has grown (id "": any may have). */
void store_tails_init(struct store_tails *tails);
void store_tails_news(struct store_tails *tails, const char *id);
void store_tails_fini(struct store_tails *tails);

#endif
