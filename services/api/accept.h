/*
 * accept: what a client sent becomes a stored request, or a problem that says why not.
 *
 *   text -> read -> (idempotency key) -> store -> 202 {"requestId"}            accepted
 *                                              -> 202 {…,"deduplicated":true}  an earlier one's key
 *                                              -> 422, 429, 503                struct problem
 */
#ifndef API_ACCEPT_H
#define API_ACCEPT_H

#include "api.h"
#include "json_writer.h"
#include "problem.h"

/* They are a quarter of a thread's stack, and too large for malloc to be quick: one is kept. */
struct pl_faults *accept_take_faults(struct api *api);
void accept_give_faults(struct api *api, struct pl_faults *faults);

/* Tells the log and the metrics what came of it. True: not accepted, and out is the problem;
 * it borrows from pushed and id. */
bool accept_refusal(struct api *api, const struct pl_request *request,
	const struct store_pushed *pushed, struct problem *out);
/* The members of an accepted request's answer: which one has the key, and how it stands. */
void accept_write(struct api *api, const struct store_pushed *pushed, struct json_writer *w);

#endif
