/*
 * verdict: what one answer of a callback means. Pure.
 */
#ifndef RESPONDER_VERDICT_H
#define RESPONDER_VERDICT_H

#include "pipeline/verdict.h"

/* answer -> done, retry or fail, and what its host has shown. message is the caller's. */
struct pl_verdict deliver_verdict(const struct pl_http_answer *answer, uint64_t now_ms);

#endif
