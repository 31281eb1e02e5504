/*
 * verdict: what an attempt came to, and what it has shown of its host. Pure.
 *
 *   answer --+-- is_done ---> DONE    success
 *            +-- is_final --> FAIL    an answer, or a failure that counts for the breaker
 *            '-- else ------> RETRY   the same
 *
 * What both stages judge alike is here; which answers are done and which end a request at once is
 * each service's own (services/<service>/verdict.c).
 */
#ifndef PIPELINE_VERDICT_H
#define PIPELINE_VERDICT_H

#include <stdbool.h>
#include <stdint.h>

#include "pipeline/fault.h"
#include "pipeline/http.h"
#include "pipeline/queue.h"
#include "pipeline/record.h"

enum pl_verdict_kind {
	PL_VERDICT_DONE,
	PL_VERDICT_RETRY, /* becomes a failure when the retries are used up */
	PL_VERDICT_FAIL,
	PL_VERDICT_BACK, /* no attempt: to the head of its lane */
};

struct pl_verdict {
	enum pl_verdict_kind kind;
	enum pl_outcome outcome;
	int status; /* HTTP, 0: none */
	enum pl_fault fault;
	const char *message;              /* "" for none; copied */
	uint64_t retry_after_ms;          /* the host's hint, 0: none */
	const struct pl_data *data;       /* of a fetch that is done; copied */
	const struct pl_partial *partial; /* with PL_VERDICT_BACK of a fetch that was cut; copied */
	const char *token; /* of the chunks it has stored, whatever becomes of them; copied */
	unsigned chunks;
	uint64_t wait_ms; /* with PL_VERDICT_BACK: not again before; TIME_SCALE divides it */
	bool no_attempt;  /* it ended without one: expired, its leader failed */
};

/* A whole answer with a status of 200 to 299. */
bool pl_verdict_is_success(const struct pl_http_answer *answer);

/*
 * is_done needs a whole answer with a success; one that is not done all the same was cut short. A
 * blocked address is final whatever the service says. message, data and partial are the caller's.
 * now_ms: of the wall clock, for a Retry-After that is a date (RFC 9110 10.2.3).
 */
struct pl_verdict pl_verdict_of(
	const struct pl_http_answer *answer, bool is_done, bool is_final, uint64_t now_ms);

#endif
