/*
 * request, between its own files: one table of fields reads what clients send and what records
 * keep, so that the two can't drift apart.
 */
#ifndef REQUEST_PRIVATE_H
#define REQUEST_PRIVATE_H

#include "pipeline/request.h"

struct pl_request_rules {
	const struct pl_netpolicy *policy; /* NULL: addresses were judged at accept */
	uint64_t now_ms;                   /* 0: so were times */
	bool every_field; /* also those that are parsed but not offered to clients yet */
};

/* Reads all of a client's object. Faults are named; the result is PL_OK only without any. */
PL_MUST_CHECK enum pl_err pl_request_read(json_t *object, const char *pointer,
	const struct pl_request_rules *rules, struct pl_request **out, struct pl_faults *faults);

/* Reads the members of object into request, which must be blank (pl_request_blank) but for its
 * URLs. What request then borrows is owned by request->options. On failure: pl_request_clear. */
PL_MUST_CHECK enum pl_err pl_request_read_members(json_t *object, const char *pointer,
	const struct pl_request_rules *rules, struct pl_request *request, struct pl_faults *faults);

/* Every option unset. */
void pl_request_blank(struct pl_request *request);
/* Frees what the options own and blanks them. */
void pl_request_clear(struct pl_request *request);

#endif
