/*
 * rate: so many calls a second, from any thread, and that many at once.
 */
#ifndef API_RATE_H
#define API_RATE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct rate {
	_Atomic uint64_t free_us; /* when all that was taken will have been earned again */
};

/* May one more be taken now? per_second > 0. now_us: monotonic. */
bool rate_take(struct rate *rate, unsigned per_second, uint64_t now_us);
/* How many could be taken at once now. */
unsigned rate_left(const struct rate *rate, unsigned per_second, uint64_t now_us);

#endif
