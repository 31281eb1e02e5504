/*
 * problem: every error of the api as RFC 9457 says it, application/problem+json.
 *
 *   {"type":"about:blank","title":"Unprocessable Content","status":422,"detail":"…",
 *    "errors":[{"pointer":"/callbackUrl","detail":"…"}],"requestId":"…"}
 *
 * type is about:blank: the title then is the status' own phrase, and detail tells this case.
 */
#ifndef API_PROBLEM_H
#define API_PROBLEM_H

#include "pipeline/http_server.h"
#include "pipeline/request.h"

#define PROBLEM_RETRY_SOON  "Retry-After: 1\r\n" /* Redis heals, or not: a second or two */
#define PROBLEM_RETRY_LATER "Retry-After: 5\r\n" /* a backlog takes its time */

struct problem {
	int status;
	const char *detail;
	const char *headers;            /* whole lines, or NULL */
	const char *request_id;         /* minted, and may have been stored; or NULL */
	const struct pl_faults *faults; /* or NULL */
};

PL_MUST_CHECK enum pl_err problem_write(const struct problem *problem, struct pl_buf *out);
void problem_answer(struct pl_http_call *call, const struct problem *problem);
/* Status and detail alone. */
void problem_say(struct pl_http_call *call, int status, const char *detail);
/* A body that pl_request_parse, or what reads like it, has refused. */
void problem_input(struct pl_http_call *call, enum pl_err err, const struct pl_faults *faults);
/* 422: the parameters behind the '?'. */
void problem_query(struct pl_http_call *call, const struct pl_faults *faults);
/* 503. */
void problem_no_redis(struct pl_http_call *call);
/* 503 to who wanted something changed: nothing was, or nobody knows, as store.h tells by err. */
void problem_no_change(struct pl_http_call *call, enum pl_err err);

#endif
