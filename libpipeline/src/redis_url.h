/*
 * redis_url: where a Redis is and who we are to it.
 *
 *   redis://[user:password@]host[:port][/db]   user and password percent-encoded, either may be
 *                                              empty
 *   rediss://…                                 the same over TLS
 *   unix:/path[?db=n]                          also unix:///path; the path is taken as it stands
 */
#ifndef PIPELINE_REDIS_URL_H
#define PIPELINE_REDIS_URL_H

#include <stdbool.h>
#include <stdint.h>

#include "pipeline/err.h"

#define PL_REDIS_URL_MAX 4096 /* bytes of a whole URL */
#define PL_REDIS_PORT    6379

struct pl_redis_url {
	bool tls;
	char *path;     /* of the unix socket; NULL: host and port */
	char *host;     /* a name or a literal address, an IPv6 one without its brackets */
	char *user;     /* NULL: Redis' default user */
	char *password; /* NULL: no AUTH */
	uint16_t port;
	unsigned db;
};

/* *why: what is wrong with it, static. */
PL_MUST_CHECK enum pl_err pl_redis_url_parse(
	const char *text, struct pl_redis_url *out, const char **why);
void pl_redis_url_fini(struct pl_redis_url *url);

#endif
