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

#define STORE_WHY_SIZE 200 /* a sentence of store_is_ready */

struct store;

struct store_waiting {
	const char *reason; /* docs/API.md's word; NULL: not waiting */
	uint64_t until_ms;  /* Unix time; 0: unknown */
	int64_t ahead;      /* -1: not given */
};

struct store_found {
	struct pl_record *record;
	enum pl_state state; /* with fetching and delivering derived */
	struct store_waiting waiting;
	uint64_t data_expires_ms; /* Unix time; 0: not while the request lives */
	bool cancelling;          /* cancelled, and its worker has not let go yet: lifecycle.c's */
};

/* *why: a sentence (static). Starts the thread; connecting goes on behind. changed is called on the
 * store's thread whenever the answer of store_is_ready changes. counts: metrics.h's rows, of which
 * the store keeps those on its own connection and loop. */
PL_MUST_CHECK enum pl_err store_new(const struct pl_settings *settings,
	void (*changed)(void *arg, bool ready, const char *why), void *arg,
	struct pl_metrics *counts, struct store **out, const char **why);
/* Ends pending calls with PL_ECLOSED, joins the thread. No call may be under way in a handler. The
 * thread may be waiting for a name that nobody tells: false, it has not ended within wait_ms, and
 * store and counts go with the process; changed is not called any more. */
PL_MUST_CHECK bool store_free(struct store *store, uint64_t wait_ms);

/* Able to accept? If not, why: a sentence, copied to out. With DURABILITY=relaxed over a Redis that
 * is not durable it is ready, and why says so all the same. */
bool store_is_ready(struct store *store, char *why, size_t size);

/* Whether Redis was met, and where it is then: AF_UNSPEC for a unix socket. */
bool store_redis(struct store *store, struct sockaddr_storage *out);

struct store_pushed {
	enum pl_err err; /* PL_OK: word says what came of it. PL_ELIMIT: Redis is above its share */
	enum pl_pushed word;      /* PL_PUSHED: it is on disk */
	char id[PL_UUID_SIZE];    /* the request's own, or the one that has its key */
	char why[STORE_WHY_SIZE]; /* a sentence on a failure, else "" */
};
struct store_pushing {
	const struct pl_request *request; /* with an id (pl_uuid_new); its dedupeKey counts */
	const char *idempotency_key;      /* or NULL */
	const char *body;                 /* as it came, for the key's hash */
	size_t body_len;
	struct store_pushed *out;
};
/* Stores and enqueues. */
void store_push(struct store *store, const struct store_pushing *pushing);
/* The same for many, in order; each stands for itself. Copies all texts: bound what they hold. */
void store_push_all(struct store *store, const struct store_pushing *pushing, size_t count);

PL_MUST_CHECK enum pl_err store_find(struct store *store, const char *id, struct store_found *out);
void store_found_fini(struct store_found *found);

/* Reads chunk k of chunked data into out. PL_ENOTFOUND when it is gone. */
PL_MUST_CHECK enum pl_err store_chunk(
	struct store *store, const struct pl_record *record, unsigned k, struct pl_buf *out);

/* The 32-byte key that signs dataUrl, made once per Redis. */
PL_MUST_CHECK enum pl_err store_data_key(struct store *store, unsigned char key[32]);

/* --- store_control.c: what people do to requests and queues --- */

#define STORE_LET_GO_MS 1000 /* how long a change waits for the worker that holds the request */

struct store_altered {
	enum pl_err err; /* PL_ENOTFOUND: no such request, or another owner's */
	enum pl_altered answer;
	bool still_held; /* changed, and the worker that was told has not let go in time */
};
/* What people do to one request. A cancel, a delete and the pause of a fetch wait for the worker
 * that holds it, STORE_LET_GO_MS at most. */
void store_alter(struct store *store, enum pl_alter verb, const char *id, const char *owner,
	struct store_altered *out);
/* The same to many at once; the wait is one for all. */
void store_alter_all(struct store *store, enum pl_alter verb, const char *const *ids, size_t count,
	const char *owner, struct store_altered *out);

/* Holds a whole stage or lets it go on. */
PL_MUST_CHECK enum pl_err store_hold(struct store *store, enum pl_stage stage, bool hold);
/* How the queues stand. */
PL_MUST_CHECK enum pl_err store_queues(struct store *store, struct pl_queues *out);

/* One step back through an index of pl_queue_list, newest first: count <= PL_LIST_MAX. Those
 * that can't be read are left out. owner: "" sees all, else only its own. */
struct store_listed {
	struct pl_list_place next;
	struct store_found items[PL_LIST_MAX];    /* store_found_fini each */
	struct pl_list_place places[PL_LIST_MAX]; /* where they stand: a listing can go on there */
	size_t count;
	size_t bytes; /* of the records that were read */
};
PL_MUST_CHECK enum pl_err store_list(struct store *store, const char *index, const char *owner,
	const struct pl_list_place *place, struct store_listed *out);

/* --- store_tails.c: following a request while its record grows --- */

struct store_tail { /* one who follows; its handler's */
	struct store_tail *prev, *next;
	const char *id;
	bool has_news;
	uv_cond_t news;
};
/* id is borrowed until close. */
void store_tail_open(struct store *store, const char *id, struct store_tail *tail);
/* As store_find; what is appended from then on wakes store_tail_wait. Ask anew every 15 s, news or
 * not: Redis is told to forget who does not. */
PL_MUST_CHECK enum pl_err store_tail_find(
	struct store *store, struct store_tail *tail, struct store_found *out);
/* Sleeps until there may be something new, ms at most. */
bool store_tail_wait(struct store *store, struct store_tail *tail, uint64_t ms);
void store_tail_close(struct store *store, struct store_tail *tail);
/* Wakes all who wait. */
void store_tails_wake(struct store *store);

#endif
