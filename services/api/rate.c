#include "rate.h"

#define SECOND_US 1000000

bool rate_take(struct rate *rate, unsigned per_second, uint64_t now_us)
{
	uint64_t free_us = atomic_load(&rate->free_us), from_us;
	do {
		from_us = free_us > now_us ? free_us : now_us;
		if (from_us - now_us > SECOND_US - SECOND_US / per_second)
			return false;
	} while (!atomic_compare_exchange_weak(
		&rate->free_us, &free_us, from_us + SECOND_US / per_second));
	return true;
}

unsigned rate_left(const struct rate *rate, unsigned per_second, uint64_t now_us)
{
	uint64_t free_us = atomic_load(&rate->free_us);
	uint64_t taken_us = free_us > now_us ? free_us - now_us : 0;
	return taken_us >= SECOND_US
		       ? 0
		       : (unsigned)((SECOND_US - taken_us) / (SECOND_US / per_second));
}
