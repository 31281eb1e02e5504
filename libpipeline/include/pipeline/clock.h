/*
 * clock: what time it is, in the unit and on the clock that the caller means.
 */
#ifndef PIPELINE_CLOCK_H
#define PIPELINE_CLOCK_H

#include <stddef.h>
#include <stdint.h>

#include "pipeline/err.h"

#define PL_TIME_SIZE 25 /* "2026-12-01T08:00:00.000Z" and its NUL */

uint64_t pl_clock_wall_ms(void); /* Unix time: for people and records */
uint64_t pl_clock_mono_ms(void); /* for intervals inside one process */
uint64_t pl_clock_mono_us(void);
uint64_t pl_clock_boot_ms(void); /* CLOCK_BOOTTIME, counts suspend: for leases */

/* RFC 3339, UTC, milliseconds. */
void pl_time_format(uint64_t unix_ms, char out[PL_TIME_SIZE]);
/* RFC 3339 with any offset and fraction; nothing before 1970. */
PL_MUST_CHECK enum pl_err pl_time_parse(const char *text, size_t len, uint64_t *unix_ms);

/* "250ms", "10s", "1h30m", "2d", or a bare (possibly fractional) number of seconds. */
PL_MUST_CHECK enum pl_err pl_duration_parse(const char *text, size_t len, uint64_t *ms);
/* The shortest such text that parses back to ms; size 32 always suffices. */
void pl_duration_format(uint64_t ms, char *out, size_t size);

#endif
