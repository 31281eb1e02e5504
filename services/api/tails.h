/*
 * tails: logs that are followed while they grow: GET /requests/{id}/logs?follow=1.
 *
 *   find -> tell what is new -> wait for news, a heartbeat's time at most -> find …   until the end
 *
 * Threads  each tail holds the server's thread of its connection; there are TAILS_MAX more of them
 *          than API_THREADS, so tails take none from others. A reader that does not read holds that
 *          thread, and nothing else, until the server's deadline for a write.
 * Bounds   TAILS_MAX; half of it for one name of API_KEYS, so that nobody follows at others' cost.
 */
#ifndef API_TAILS_H
#define API_TAILS_H

#include <uv.h>

/* Proxies cut what is silent for a minute or even half of one; and who has left is noticed. */
#define TAILS_HEARTBEAT_MS 15000

struct tail;
struct tails {
	unsigned max;
	uv_mutex_t lock; /* of what follows */
	unsigned open;
	struct tail *first;
};

void tails_init(struct tails *tails, unsigned max);
/* None may be open. */
void tails_fini(struct tails *tails);

#endif
