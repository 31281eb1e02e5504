/*
 * request, between its own files, and for the tests: what is judged, and by which rules.
 */
#ifndef REQUEST_PRIVATE_H
#define REQUEST_PRIVATE_H

#include "pipeline/request.h"

struct pl_request_rules {
	const struct pl_netpolicy *policy; /* NULL: addresses were judged at accept */
	uint64_t now_ms;                   /* 0: so were times, and names of headers */
};

/* pl_request_parse, with the rules made explicit. */
PL_MUST_CHECK enum pl_err pl_request_read(const char *json, size_t len, const char *pointer,
	const struct pl_request_rules *rules, struct pl_request **out, struct pl_faults *faults);

/* Every option unset. */
void pl_request_blank(struct pl_request *request);

#endif
