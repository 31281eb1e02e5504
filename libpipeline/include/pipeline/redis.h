/*
 * redis: a connection on a uv loop that heals itself.
 *
 *   new --> connecting --> AUTH, SELECT, INFO --> ready
 *               ^                  | refused        | lost
 *               '-- waiting, jittered, <= 500 ms <--'
 *
 * hiredis only reads the answers (redisReader); the stream, the deadlines and the ceilings are
 * ours (docs/RATIONALE.md). redis://[user:password@]host[:port][/db], rediss://… (TLS, always
 * verified), unix:/path[?db=n].
 * Loop     one loop; a completion comes exactly once, never before the starting call returned.
 * Failure  not ready, the output ceiling reached, or lost before a byte of it left: PL_EREDIS.
 *          A refusal by Redis: PL_OK with an error reply. Connection lost or deadline passed
 *          with the call sent: PL_EUNKNOWN. Made after pl_redis_close: PL_ECLOSED.
 *          After a deadline the connection is closed and made anew: replies can't be told apart.
 *          So it is after READONLY: behind the same name another Redis may be master by now.
 * Signals  SIGPIPE is ignored from the first pl_redis_new on, unless the process handles it.
 */
#ifndef PIPELINE_REDIS_H
#define PIPELINE_REDIS_H

#include <hiredis/hiredis.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "pipeline/err.h"

#define PL_REDIS_OUTPUT_MAX  (64u * 1024 * 1024) /* bytes of unanswered calls; above: PL_EREDIS */
#define PL_REDIS_REPLY_MAX   (64u * 1024 * 1024) /* bytes of one answer; above: it is lost */
#define PL_REDIS_RETRY_MS    500                 /* longest wait between two tries to connect */
#define PL_REDIS_DEADLINE_MS 2000                /* of an ordinary call */

struct pl_redis;

/* reply: borrowed for the call, NULL unless err is PL_OK. It may be of type REDIS_REPLY_ERROR. */
typedef void (*pl_redis_cb)(void *arg, enum pl_err err, const redisReply *reply);

struct pl_redis_options {
	const char *url;
	/* Called each time the connection is up and greeted (AUTH, SELECT, INFO done); run_id is
	 * Redis' own name for this run of it, and info the whole INFO text, both borrowed. */
	void (*on_ready)(void *arg, const char *run_id, const char *info);
	void (*on_lost)(void *arg, const char *why); /* once per loss, after pending calls have
							ended; for a first try that fails too */
	/* Makes it a connection for pub/sub: (p)message and acknowledgements of (P)(UN)SUBSCRIBE
	 * come here. A call of these completes with the last channel's acknowledgement; name the
	 * channels of an UNSUBSCRIBE. A PING every PL_REDIS_DEADLINE_MS finds a Redis that is gone.
	 */
	void (*on_push)(void *arg, const redisReply *message);
	void *arg;
};

/* *why: a sentence about a URL that is wrong (static). Connecting starts on the next loop turn. */
PL_MUST_CHECK enum pl_err pl_redis_new(uv_loop_t *loop, const struct pl_redis_options *options,
	struct pl_redis **out, const char **why);
bool pl_redis_is_ready(const struct pl_redis *redis);

/* One command; arguments are copied, argv_len NULL means that they end with a NUL. deadline_ms 0:
 * PL_REDIS_DEADLINE_MS. Calls made in one loop turn leave in one write. cb may be NULL. */
void pl_redis_call(struct pl_redis *redis, int argc, const char *const *argv,
	const size_t *argv_len, uint64_t deadline_ms, pl_redis_cb cb, void *arg);

/* A Lua script, run by its SHA-1 and loaded where Redis does not know it (NOSCRIPT): the call is
 * then made once more, so the caller sees one completion. */
struct pl_script {
	const char *source; /* NUL-terminated, static */
	char sha1[41];      /* filled by pl_script_init */
};
void pl_script_init(struct pl_script *script, const char *source);
/* argv: keys first, then arguments. script must outlive the call. */
void pl_redis_eval(struct pl_redis *redis, const struct pl_script *script, int keys, int argc,
	const char *const *argv, const size_t *argv_len, uint64_t deadline_ms, pl_redis_cb cb,
	void *arg);

/* Where Redis is, for netpolicy's never list; false for a unix socket or before it was resolved. */
bool pl_redis_address(const struct pl_redis *redis, struct sockaddr_storage *out);
/* A URL is local when it is a unix socket or a loopback literal / "localhost" (TIME_SCALE). */
bool pl_redis_url_is_local(const char *url);
uint64_t pl_redis_reconnects(const struct pl_redis *redis);
/* Pending calls end (PL_EUNKNOWN, or PL_EREDIS when never sent), then closed is called. It waits
 * for a look-up of Redis' name that is under way. */
void pl_redis_close(struct pl_redis *redis, void (*closed)(void *arg), void *arg);

#endif
