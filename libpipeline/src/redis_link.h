/*
 * redis_link: one try to reach Redis and the bytes that follow. It is never used twice.
 *
 *   resolving -> dialling, address by address -> TLS handshake -> open -> ended
 *
 * Loop     events come from the loop, and from pl_redis_link_new for a failure known at once.
 * Memory   url, context and events are borrowed until `closed`, after which the link is gone.
 * Failure  `ended` comes at most once, with a reason that stays readable until `closed`; the
 *          owner then closes the link.
 */
#ifndef PIPELINE_REDIS_LINK_H
#define PIPELINE_REDIS_LINK_H

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include <uv.h>

#include "redis_url.h"

#define PL_REDIS_CONNECT_MS 2000 /* shared by all addresses; as much again for a TLS handshake */
#define PL_REDIS_ADDRESSES  8    /* tried of one name */

struct pl_redis_link;

struct pl_redis_link_events {
	void (*opened)(void *arg);
	void (*received)(void *arg, const char *data, size_t len);
	void (*writable)(void *arg); /* after a write that was not taken whole */
	void (*ended)(void *arg, const char *why);
	void (*closed)(void *arg);
};

struct pl_redis_link *pl_redis_link_new(uv_loop_t *loop, const struct pl_redis_url *url,
	SSL_CTX *context, const struct pl_redis_link_events *events, void *arg);
/* Starts; `ended` may come before it returns. */
void pl_redis_link_dial(struct pl_redis_link *link);
/* Bytes taken, counted from the first buffer on; fewer than offered (0 too): wait for `writable`.
 * Negative: a uv error, the link is of no use any more. */
ssize_t pl_redis_link_write(struct pl_redis_link *link, const uv_buf_t *bufs, unsigned count);
/* False for a unix socket. */
bool pl_redis_link_peer(const struct pl_redis_link *link, struct sockaddr_storage *out);
/* No event but `closed` comes after this. */
void pl_redis_link_close(struct pl_redis_link *link);

#endif
