/*
 * tails: logs that are followed while they grow: GET /requests/{id}/logs?follow=1.
 *
 *   find -> tell what is new -> wait for news, a heartbeat's time at most -> find …   until the end
 *
 * Threads  each tail holds the server's thread of its connection; there are TAILS_MAX more of them
 *          than API_THREADS, so tails take none from others. A reader that does not read holds that
 *          thread, and nothing else, until the server's deadline for a write.
 */
#ifndef API_TAILS_H
#define API_TAILS_H

#include <stdatomic.h>

/* Proxies cut what is silent for a minute or even half of one; and who has left is noticed. */
#define TAILS_HEARTBEAT_MS 15000

struct tails {
	unsigned max;
	atomic_uint open;
};

#endif
