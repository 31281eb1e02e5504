/*
 * resolver: names to addresses on the uv loop (c-ares), bounded, cached, all answers kept.
 *
 * Loop     one per loop; a completion never comes before pl_resolver_find has returned.
 * Bounds   PL_RESOLVER_CACHE_MAX names, PL_RESOLVER_UNDERWAY_MAX lookups; same-name lookups share
 *          one.
 * Time     positive answers are kept PL_RESOLVER_TTL_MAX_MS at most, failures
 *          PL_RESOLVER_NEGATIVE_MS.
 *
 * /etc/hosts and /etc/resolv.conf count as everywhere else. ARES_AI_NOSORT: sorting would connect a
 * UDP socket to each answer, before the policy has judged it.
 */
#ifndef PIPELINE_RESOLVER_H
#define PIPELINE_RESOLVER_H

#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <uv.h>

#include "pipeline/err.h"

#define PL_RESOLVER_CACHE_MAX    4096
#define PL_RESOLVER_UNDERWAY_MAX 256 /* further lookups wait their turn, in order */
#define PL_RESOLVER_TTL_MAX_MS   60000
#define PL_RESOLVER_NEGATIVE_MS  1000
#define PL_RESOLVER_TIMEOUT_MS   5000
#define PL_RESOLVER_ANSWERS_MAX  16

struct pl_resolver;
struct pl_resolver_lookup; /* one caller's wait */

/* addresses: borrowed for the call. err is PL_OK (count >= 1), PL_ENOTFOUND, PL_ETIMEOUT,
 * PL_ELIMIT (more answers than can be judged) or PL_ESYS. */
typedef void (*pl_resolver_cb)(
	void *arg, enum pl_err err, const struct sockaddr_storage *addresses, size_t count);

struct pl_resolver_options {
	const char *servers; /* "127.0.0.1:5353", comma list; NULL: the system's */
};
PL_MUST_CHECK enum pl_err pl_resolver_new(
	uv_loop_t *loop, const struct pl_resolver_options *options, struct pl_resolver **out);
struct pl_resolver_lookup *pl_resolver_find(struct pl_resolver *resolver, const char *host,
	uint16_t port, pl_resolver_cb cb, void *arg);
/* The callback will not come. */
void pl_resolver_cancel(struct pl_resolver_lookup *lookup);
/* Pending lookups end with PL_ECLOSED first; closed is called when memory is free. */
void pl_resolver_close(struct pl_resolver *resolver, void (*closed)(void *arg), void *arg);

#endif
