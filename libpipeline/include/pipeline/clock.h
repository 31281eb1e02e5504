/*
 * clock: what time it is, in the unit and on the clock that the caller means.
 */
#ifndef PIPELINE_CLOCK_H
#define PIPELINE_CLOCK_H

#include <stddef.h>
#include <stdint.h>

#include "pipeline/err.h"

#define PL_TIME_SIZE 25 /* "2026-12-01T08:00:00.000Z" and its NUL */
#define PL_DURATION_MAX_MS \
	(100ull * 365 * 24 * 60 * 60 * 1000) /* sums with a time never overflow */

uint64_t pl_clock_wall_ms(void); /* Unix time: for people and records */
uint64_t pl_clock_mono_ms(void); /* for intervals inside one process */
uint64_t pl_clock_mono_us(void);
uint64_t pl_clock_boot_ms(void); /* CLOCK_BOOTTIME, counts suspend: for leases */

/* RFC 3339, UTC, milliseconds; what lies beyond the year 9999 is shown as its last moment. */
void pl_time_format(uint64_t unix_ms, char out[PL_TIME_SIZE]);
/* RFC 3339 with any offset and fraction (cut to the millisecond); PL_EINVAL before 1970. A leap
 * second is the second after it. */
PL_MUST_CHECK enum pl_err pl_time_parse(const char *text, size_t len, uint64_t *unix_ms);

/* "250ms", "10s", "1h30m", "2d", "1.5h", or a bare (possibly fractional) number of seconds. Each
 * of d h m s ms at most once, in this order; parts of a millisecond are rounded up. PL_EINVAL for
 * anything else, PL_ELIMIT above PL_DURATION_MAX_MS. */
PL_MUST_CHECK enum pl_err pl_duration_parse(const char *text, size_t len, uint64_t *ms);
/* The same for people, "1h30m", "0s": parses back to ms; size 32 always suffices. */
void pl_duration_format(uint64_t ms, char *out, size_t size);

#endif
