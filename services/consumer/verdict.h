/*
 * verdict: what one answer of a provider means. Pure.
 */
#ifndef CONSUMER_VERDICT_H
#define CONSUMER_VERDICT_H

#include "pipeline/verdict.h"

/* answer -> done, retry or fail, and what its host has shown. message and data are the caller's. */
struct pl_verdict fetch_verdict(const struct pl_http_answer *answer, uint64_t now_ms);

#endif
