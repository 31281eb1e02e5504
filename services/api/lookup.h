/*
 * lookup: names to addresses for one handler, as the workers will resolve them.
 *
 * Threads  the calling thread runs a loop of its own for it and blocks, PL_RESOLVER_TIMEOUT_MS and
 *          a little at most.
 */
#ifndef API_LOOKUP_H
#define API_LOOKUP_H

#include "pipeline/resolver.h"

struct lookup {
	const char *host;
	unsigned port;
	enum pl_err err;
	struct sockaddr_storage addresses[PL_RESOLVER_ANSWERS_MAX];
	size_t count; /* set before: a literal, not asked for */
	struct lookup_run *run;
};

/* servers: as of pl_resolver_options. All are asked at once. */
void lookup_all(const char *servers, struct lookup *lookups, size_t count);

#endif
