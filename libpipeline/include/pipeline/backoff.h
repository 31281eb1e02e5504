/*
 * backoff: when to try again. Pure: attempt -> delay.
 */
#ifndef PIPELINE_BACKOFF_H
#define PIPELINE_BACKOFF_H

#include <stddef.h>
#include <stdint.h>

#include "pipeline/err.h"

#define PL_SCHEDULE_MAX       100                   /* entries, as many as retries may be */
#define PL_RETRY_AFTER_MAX_MS (10 * 60 * 60 * 1000) /* a hint beyond 10 h is cut to it */
#define PL_HOST_HOLD_MAX_MS   (5 * 60 * 1000)       /* a whole host is held 5 min at most */

struct pl_schedule {
	uint64_t delay_ms[PL_SCHEDULE_MAX];
	size_t count;
};

/* "5s, 30s, 2m": at least one entry. */
PL_MUST_CHECK enum pl_err pl_schedule_parse(const char *text, size_t len, struct pl_schedule *out);

/* The wait before attempt `failed + 1` (failed counts from 1); beyond the end the last entry
 * repeats. Jitter is only added: up to max(10 %, 50 ms), chosen by random in [0, 2^32).
 * An empty schedule gives 0. */
uint64_t pl_backoff_ms(const struct pl_schedule *schedule, unsigned failed, uint32_t random);

/* Retry-After (RFC 9110 10.2.3): seconds or an HTTP date, seen at now_ms; a past date is 0. */
PL_MUST_CHECK enum pl_err pl_retry_after_parse(
	const char *value, size_t len, uint64_t now_ms, uint64_t *delay_ms);

#endif
