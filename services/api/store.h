/*
 * store: Redis for the handler threads.
 *
 * One thread of its own runs a uv loop with the connections; handlers hand it their calls, it sends
 * what has gathered (group commit) and wakes each caller with its answer.
 * Threads  every call here blocks the calling handler thread, for its deadline at most.
 * Failure  PL_EREDIS: nothing happened (503). PL_EUNKNOWN: it may have (503 with the id).
 */
#ifndef API_STORE_H
#define API_STORE_H

#include "pipeline/metrics.h"
#include "pipeline/queue.h"
#include "pipeline/record.h"
#include "pipeline/settings.h"

struct store;

struct store_waiting {
	const char *reason; /* SPEC 2.2's word; NULL: not waiting */
	uint64_t until_ms;  /* Unix time; 0: unknown */
	int64_t ahead;      /* -1: not given */
};

struct store_found {
	struct pl_record *record;
	enum pl_state state; /* with fetching and delivering derived */
	struct store_waiting waiting;
	uint64_t data_expires_ms; /* Unix time; 0: not while the request lives */
};

/* *why: a sentence (static). Starts the thread; connecting goes on behind. ready is called on the
 * store's thread whenever the answer of store_is_ready changes. counts: metrics.h's rows, of which
 * the store keeps those on its own connection and loop. */
PL_MUST_CHECK enum pl_err store_new(const struct pl_settings *settings,
	void (*changed)(void *arg, bool ready, const char *why), void *arg,
	struct pl_metrics *counts, struct store **out, const char **why);
/* Ends pending calls with PL_ECLOSED, joins the thread. No call may be under way in a handler. */
void store_free(struct store *store);

/* Able to accept? If not, why: a sentence, copied to out. With DURABILITY=relaxed over a Redis that
 * is not durable it is ready, and why says so all the same. */
bool store_is_ready(struct store *store, char *why, size_t size);

struct store_pushed {
	enum pl_pushed word;
	char id[PL_UUID_SIZE]; /* the request's own, or the one that has its key */
	char why[200];         /* a sentence on a failure, else "" */
};
/* Stores and enqueues. request->id is set by the caller (pl_uuid_new). idempotency_key (or NULL)
 * and body, for its hash, come from the call; a dedupeKey from the request. PL_OK: out->word says
 * what came of it; PL_PUSHED is on disk. PL_ELIMIT: Redis is above its share of memory. */
PL_MUST_CHECK enum pl_err store_push(struct store *store, const struct pl_request *request,
	const char *idempotency_key, const char *body, size_t body_len, struct store_pushed *out);

PL_MUST_CHECK enum pl_err store_find(struct store *store, const char *id, struct store_found *out);
void store_found_fini(struct store_found *found);

/* Reads chunk k of chunked data into out. PL_ENOTFOUND when it is gone. */
PL_MUST_CHECK enum pl_err store_chunk(
	struct store *store, const struct pl_record *record, unsigned k, struct pl_buf *out);

/* How the queues stand. */
PL_MUST_CHECK enum pl_err store_queues(struct store *store, struct pl_queues *out);

/* The 32-byte key that signs dataUrl, made once per Redis. */
PL_MUST_CHECK enum pl_err store_data_key(struct store *store, unsigned char key[32]);

#endif
