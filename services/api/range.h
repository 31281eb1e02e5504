/*
 * range: which part of the data a client asks for (RFC 9110 13.1, 14.2). Pure.
 *
 * One range of bytes; several, another unit and what is malformed are asks for the whole, as the
 * RFC allows. Tags are strong and there is no Last-Modified, so no date ever matches.
 */
#ifndef API_RANGE_H
#define API_RANGE_H

#include <stdbool.h>
#include <stdint.h>

enum range_verdict {
	RANGE_WHOLE,     /* 200 */
	RANGE_PART,      /* 206 */
	RANGE_OUTSIDE,   /* 416 */
	RANGE_UNCHANGED, /* 304 */
	RANGE_OTHER,     /* 412 */
};

struct range_ask { /* headers as sent, each or NULL */
	const char *range, *if_range, *if_match, *if_none_match;
};

struct range_part {
	uint64_t from, length; /* length > 0, unless the whole is empty */
};

/* etag: with its quotes. part: what to send for 200 and 206. */
enum range_verdict range_judge(
	const struct range_ask *ask, const char *etag, uint64_t length, struct range_part *part);

#endif
