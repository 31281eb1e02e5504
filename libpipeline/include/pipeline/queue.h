/*
 * queue: requests waiting in Redis until a stage takes them.
 *
 *   push --> queued --reserve--> fetching --settle(done)--> fetched
 *              ^                   |  |
 *              '-- retry, back, ---'  '--settle(fail)--> failed
 *                  reaped
 *
 *   fetched --reserve--> delivering --settle(done)--> delivered
 *      ^                   |  |
 *      '-- retry, back, ---'  '--settle(fail)--> failed
 *          reaped
 *
 * The only part that knows Redis' keys; each verb is one Lua script (libpipeline/lua).
 * Loop     one pl_queue per uv loop; nothing here blocks. A completion comes exactly once, never
 *          before the call that started it has returned.
 * Memory   what a call is given is copied; what a completion is given is borrowed for its time.
 * Failure  PL_EREDIS leaves everything where it was, asking again is safe; after PL_EUNKNOWN it
 *          may have happened, and asking again is safe all the same: push is idempotent by id, and
 *          settle answers "stale" for what is settled, even if the worker has been given it anew.
 *          PL_ELIMIT: Redis is at its memory limit.
 */
#ifndef PIPELINE_QUEUE_H
#define PIPELINE_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "pipeline/err.h"
#include "pipeline/record.h"

#define PL_QUEUE_LAYOUT     "1" /* of keys and scripts, kept in Redis and compared */
#define PL_RESERVE_MAX      128 /* requests one call brings: bounds the script's time */
#define PL_SETTLE_MAX       128
#define PL_PUSH_MAX         256
#define PL_LISTEN_S         3 /* how long a blocking call waits at most */
#define PL_CHUNK_MAX        (256 * 1024)
#define PL_CHUNK_TTL_MS     (2 * 60 * 60 * 1000) /* uncommitted: twice the longest timeout */
#define PL_BREAKER_MS       30000
#define PL_COLD_MS          30000 /* no success for so long: a host starts slowly again */
#define PL_WORKER_NAME_SIZE 33

struct pl_queue;

struct pl_queue_redis { /* the Redis behind it: what INFO and CONFIG say at each connect */
	char run_id[64];
	uint64_t maxmemory; /* bytes; 0: none set */
	bool durable;       /* append-only file with `always`, noeviction, a master */
	char why[160];      /* why not, a sentence; "" when it is */
};

enum pl_news {
	PL_NEWS_GREW,   /* a watched request's record has grown */
	PL_NEWS_LET_GO, /* a worker has let go of a request it was told to */
	PL_NEWS_MISSED, /* the connection is new: anything may have happened before; id is "" */
};

struct pl_queue_options {
	const char *redis_url;
	unsigned host_concurrency;
	uint64_t host_rate;  /* requests a second to one host; 0: any */
	uint64_t breaker_ms; /* PL_BREAKER_MS / TIME_SCALE */
	bool listens;        /* a second connection, for pl_queue_listen */
	/* Not NULL: a further connection hears what happens to requests that are watched. */
	void (*on_news)(void *arg, enum pl_news news, const char *id);
	/* Each time commands can be sent again, and each time they can't. */
	void (*on_ready)(void *arg, const struct pl_queue_redis *redis);
	void (*on_lost)(void *arg, const char *why);
	void *arg;
};

PL_MUST_CHECK enum pl_err pl_queue_new(uv_loop_t *loop, const struct pl_queue_options *options,
	struct pl_queue **out, const char **why);
bool pl_queue_is_ready(const struct pl_queue *queue);
uint64_t pl_queue_reconnects(const struct pl_queue *queue);
/* Where Redis is, for the address policy; false for a unix socket. */
bool pl_queue_address(const struct pl_queue *queue, struct sockaddr_storage *out);
/* Pending calls complete first (PL_EUNKNOWN). */
void pl_queue_close(struct pl_queue *queue, void (*closed)(void *arg), void *arg);

/* why: Redis' word on a failure, "" for none. */
typedef void (*pl_done_cb)(void *arg, enum pl_err err, const char *why);

/* --- the api's verbs --- */

enum pl_key_kind { /* what a key that stands already means */
	PL_KEY_NONE = 0,
	PL_KEY_IDEMPOTENCY = 'i', /* Idempotency-Key: the earlier id */
	PL_KEY_DROP = 'd',        /* dedupeKey: the earlier id */
	PL_KEY_JOIN = 'j',        /* own id, one fetch for all */
	PL_KEY_LATEST = 'l',      /* own id, held until the current one is final */
};
struct pl_push {
	const char *id;
	enum pl_stage stage; /* where it starts */
	enum pl_priority priority;
	const char *lane;
	uint64_t delay_ms;  /* 0: at once */
	uint64_t lasts_ms;  /* from acceptance to when it expires; 0: it never does */
	const char *labels; /* with tabs between, "" for none */
	const char *owner;  /* "" without keys */
	enum pl_key_kind key_kind;
	const char *key, *key_hash; /* without tabs; the hash is of what must be the same */
	uint64_t key_window_ms;
	const char *text; /* head line and first event */
	size_t text_len;
};
enum pl_pushed {
	PL_PUSHED,          /* on disk, now or before */
	PL_PUSHED_FULL,     /* the backlog is full */
	PL_PUSHED_SHARE,    /* the owner's share of it is used up, and others wait */
	PL_PUSHED_EARLIER,  /* the key stands: id says for which request */
	PL_PUSHED_CONFLICT, /* the key stands for other content */
};
struct pl_push_answer {
	enum pl_pushed word;
	const char *id; /* of PL_PUSHED_EARLIER; else NULL */
};
/* answers: one each, borrowed. why: Redis' word on a failure. */
typedef void (*pl_push_cb)(
	void *arg, enum pl_err err, const struct pl_push_answer *answers, const char *why);
/* share: most of the backlog that one owner may have while others wait. */
void pl_queue_push(struct pl_queue *queue, const struct pl_push *items, size_t count,
	uint64_t queue_max, uint64_t share, pl_push_cb cb, void *arg);

struct pl_found {
	const char *text; /* the record, undecoded */
	size_t text_len;
	bool held;          /* a worker has it */
	const char *reason; /* docs/API.md's word for why it waits, "" when it does not */
	uint64_t until_ms;  /* Unix time; 0: not known */
	int64_t ahead;      /* -1: not given */
};
/* found is NULL unless err is PL_OK; PL_ENOTFOUND when there is no such request. */
typedef void (*pl_find_cb)(void *arg, enum pl_err err, const struct pl_found *found);
void pl_queue_find(struct pl_queue *queue, const char *id, pl_find_cb cb, void *arg);

/* Keeps news of this request coming for seconds; call again before they have passed. */
void pl_queue_watch(struct pl_queue *queue, const char *id, unsigned seconds);

enum pl_alter {
	PL_ALTER_CANCEL,
	PL_ALTER_PAUSE,
	PL_ALTER_RESUME,
	PL_ALTER_REDELIVER,
	PL_ALTER_DELETE,
	PL_ALTER_REFETCH,
	PL_ALTER_LOOK /* changes nothing: does a worker that was told still hold it? */
};
const char *pl_alter_name(enum pl_alter verb); /* "cancel", … */
enum pl_altered {
	PL_ALTERED,      /* changed */
	PL_ALTERED_HELD, /* changed; a worker holds it and was told: PL_NEWS_LET_GO follows */
	PL_ALTERED_SAME, /* it was so already */
	PL_ALTERED_NOT,  /* its state forbids it */
	PL_ALTERED_GONE, /* redeliver: the data has gone */
	PL_ALTERED_FULL, /* refetch: the backlog is full */
};
/* owner: "" may touch every request, else only its own; another's is PL_ENOTFOUND. */
typedef void (*pl_alter_cb)(void *arg, enum pl_err err, enum pl_altered answer);
struct pl_alteration {
	enum pl_alter verb;
	const char *id, *owner;
	uint64_t queue_max; /* of a refetch */
};
void pl_queue_alter(
	struct pl_queue *queue, const struct pl_alteration *alteration, pl_alter_cb cb, void *arg);

/* Holds a whole stage or lets it go on. */
void pl_queue_hold(
	struct pl_queue *queue, enum pl_stage stage, bool hold, pl_done_cb cb, void *arg);

struct pl_queue_figures {
	uint64_t ready, delayed, leased, workers;
	bool paused;
	int64_t oldest_ms; /* age of the oldest that is first in its lane; -1: none */
};
struct pl_queues {
	struct pl_queue_figures stage[PL_STAGES];
	uint64_t live, dead, undelivered_bytes;
	uint64_t kept_bytes; /* of finished requests */
	uint64_t trimmed;    /* finished requests that retention took away, ever */
};
typedef void (*pl_queues_cb)(void *arg, enum pl_err err, const struct pl_queues *queues);
void pl_queue_queues(struct pl_queue *queue, pl_queues_cb cb, void *arg);

#define PL_SLOT_MS 10000 /* of an index: ids of so long a time lie in one list */
/* Where a listing goes on. Begin with { -1, -1, "" }; slot -1 afterwards: the end. */
struct pl_list_place {
	int64_t slot, position;
	char id[PL_UUID_SIZE];
};
#define PL_LIST_MAX 50 /* requests one call reads: bounds the script's time */
struct pl_listed {
	const char *id;
	struct pl_list_place place; /* a listing can go on with it */
	struct pl_found found;
};
/* One step back through an index, newest first: "i" of all, "x" of the failed, "n:<label>". owner:
 * "" sees all, else only its own. About half a MiB at most, or one longer record. */
typedef void (*pl_list_cb)(void *arg, enum pl_err err, const struct pl_list_place *next,
	const struct pl_listed *items, size_t count);
void pl_queue_list(struct pl_queue *queue, const char *index, const char *owner,
	const struct pl_list_place *place, pl_list_cb cb, void *arg);

/* bytes is NULL unless err is PL_OK; PL_ENOTFOUND when it is gone. */
typedef void (*pl_bytes_cb)(void *arg, enum pl_err err, const char *bytes, size_t len);
void pl_queue_chunk_get(
	struct pl_queue *queue, const char *token, unsigned number, pl_bytes_cb cb, void *arg);
/* The key that signs dataUrl: made once per Redis, 32 bytes. */
void pl_queue_data_key(struct pl_queue *queue, pl_bytes_cb cb, void *arg);
/* used and maxmemory, for the gate in front of push. */
typedef void (*pl_memory_cb)(void *arg, enum pl_err err, uint64_t used, uint64_t maxmemory);
void pl_queue_memory(struct pl_queue *queue, pl_memory_cb cb, void *arg);

/* --- a worker's verbs; name: PL_WORKER_NAME_SIZE - 1 characters, one incarnation --- */

/* PL_ECONFLICT: Redis holds another version's keys. why is "new" where nothing stood before. */
void pl_queue_register(struct pl_queue *queue, enum pl_stage stage, const char *name,
	uint64_t lease_ms, pl_done_cb cb, void *arg);

/* PL_ESTALE: the lease is gone. more: there is more to reap, beat again soon. */
typedef void (*pl_beat_cb)(
	void *arg, enum pl_err err, unsigned reaped, unsigned requeued, bool more);
void pl_queue_beat(struct pl_queue *queue, enum pl_stage stage, const char *name, uint64_t lease_ms,
	pl_beat_cb cb, void *arg);

struct pl_reserved {
	const char *id;
	const char *text; /* NULL: deleted meanwhile */
	size_t text_len;
	bool unproven; /* its host is new or cold, and had no success since it last failed */
};
enum pl_reserve_note {
	PL_RESERVE_SERVED,
	PL_RESERVE_MORE, /* more is held than one answer has room for: recover */
	PL_RESERVE_PAUSED,
	PL_RESERVE_FULL,
};
/* next_due_ms: from now, -1 for none. */
typedef void (*pl_reserve_cb)(void *arg, enum pl_err err, enum pl_reserve_note note,
	int64_t next_due_ms, const struct pl_reserved *items, size_t count);
/* serial: another one for each reserve and recover of a name; a settle gives it back. want <=
 * PL_RESERVE_MAX, unproven of them at most of unproven hosts. bytes_max: most undelivered bytes in
 * Redis, 0 for no limit. */
void pl_queue_reserve(struct pl_queue *queue, enum pl_stage stage, const char *name,
	uint64_t serial, unsigned want, unsigned unproven, uint64_t bytes_max, pl_reserve_cb cb,
	void *arg);

struct pl_known {
	const char *id;
	uint64_t serial; /* by which it came */
};
/* After a reserve of unknown outcome: what this worker holds beyond what it knows. */
void pl_queue_recover(struct pl_queue *queue, enum pl_stage stage, const char *name,
	uint64_t serial, const struct pl_known *known, size_t count, pl_reserve_cb cb, void *arg);

enum pl_settle_verdict {
	PL_SETTLE_DONE = 'D',
	PL_SETTLE_RETRY = 'R',
	PL_SETTLE_FAIL = 'F',
	PL_SETTLE_BACK = 'B',   /* to its lane's head; no attempt */
	PL_SETTLE_LET_GO = 'X', /* what others wrote stands */
};
enum pl_outcome { /* what the host showed */
	PL_OUTCOME_NONE = '-',
	PL_OUTCOME_SUCCESS = 's',
	PL_OUTCOME_ANSWER = 'a',  /* it lives, but did not serve */
	PL_OUTCOME_FAILURE = 'b', /* counts for the breaker */
};
struct pl_host_limit { /* of one named host, for both stages */
	char lane[PL_LANE_MAX];
	char text[32]; /* "concurrency rate", "-" for the default */
};
#define PL_HOST_LIMITS_MAX 10000
/* What the operator's file says, all of it anew. */
void pl_queue_limits(struct pl_queue *queue, const struct pl_host_limit *limits, size_t count,
	pl_done_cb cb, void *arg);

struct pl_retention { /* ceilings for what is finished; counted from the final state */
	uint64_t data_ms, record_ms, dead_ms;
	uint64_t bytes_max; /* 0: any */
};
#define PL_RETAIN_MAX 100 /* requests one call touches: bounds the script's time */
/* more: call again. */
typedef void (*pl_retain_cb)(void *arg, enum pl_err err, bool more);
void pl_queue_retain(
	struct pl_queue *queue, const struct pl_retention *retention, pl_retain_cb cb, void *arg);

struct pl_failure { /* a failure callback, stored together with the failure it tells about */
	const char *id;
	enum pl_priority priority;
	const char *lane;
	const char *text; /* of its record: it starts in deliver, with its data */
	size_t text_len;
};
#define PL_TOKEN_SIZE 33 /* of the name of a body's chunks, with the NUL, at most */

struct pl_settle {
	const char *id;
	uint64_t serial; /* of the reserve or recover that brought it */
	enum pl_settle_verdict verdict;
	enum pl_outcome outcome;
	uint64_t hold_ms;         /* hold the host for so long; 0: no */
	uint64_t delay_ms;        /* of a retry, or of what goes back */
	const char *deliver_lane; /* of a fetch that is done; else "" */
	uint64_t data_bytes;      /* committed by this fetch, or delivered by this delivery */
	/* Stored by this fetch: committed when it is done, left to go on from with a text when it
	 * goes back, else taken away. token: "" for none. */
	const char *token;
	unsigned chunks;
	const char *owner;
	uint64_t kept_bytes; /* what the record and its chunks use once this is written */
	const struct pl_failure *failure; /* with PL_SETTLE_FAIL; NULL: none */
	const char *text;                 /* the event line, data block first; "" for none */
	size_t text_len;
};
/* settled[i]: false is stale: settled before, or somebody else's now. has_work: there is something to
 * reserve now: what has gone back, or what has waited for a slot. */
typedef void (*pl_settle_cb)(void *arg, enum pl_err err, const bool *settled, bool has_work);
void pl_queue_settle(struct pl_queue *queue, enum pl_stage stage, const char *name,
	const struct pl_settle *items, size_t count, pl_settle_cb cb, void *arg);

enum pl_bells { /* one is in the other: */
	PL_BELL_NONE,
	PL_BELL_WORK,     /* there may be work */
	PL_BELL_UNPROVEN, /* that, or work for who has room for unproven hosts */
};
/* Waits for these bells or a control message, PL_LISTEN_S at most. message is NULL when the time
 * passed; "" for a bell; else "cancel <id>", "pause <id>", "expire <id>" or "wake". */
typedef void (*pl_listen_cb)(void *arg, enum pl_err err, const char *message);
void pl_queue_listen(struct pl_queue *queue, enum pl_stage stage, const char *name,
	enum pl_bells bells, pl_listen_cb cb, void *arg);
/* Ends the worker's own listen early, with "wake". */
void pl_queue_wake(
	struct pl_queue *queue, enum pl_stage stage, const char *name, pl_done_cb cb, void *arg);
/* Goes: the name is forgotten if it holds nothing, and the bell is passed on. */
void pl_queue_leave(
	struct pl_queue *queue, enum pl_stage stage, const char *name, pl_done_cb cb, void *arg);

struct pl_chunk {
	const char *token;
	unsigned number;
	const char *bytes;
	size_t len;
	uint64_t bodies_max; /* most bytes of bodies in Redis, this one included; 0: any */
};
/* PL_ELIMIT: there is no room for it. */
void pl_queue_chunk_put(struct pl_queue *queue, const char *name, const struct pl_chunk *chunk,
	pl_done_cb cb, void *arg);

#endif
