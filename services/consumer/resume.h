/*
 * resume: may a fetch that was cut go on where it was, and did the provider do so? Pure.
 */
#ifndef CONSUMER_RESUME_H
#define CONSUMER_RESUME_H

#include <stdbool.h>
#include <stdint.h>

#include "pipeline/http.h"

#define RESUME_VALIDATOR_SIZE 256

/* Writes what If-Range may say later: a strong ETag, or a date that is old enough (RFC 9110
 * 13.1.5). False: the answer has none, or ranges make no sense of it. */
bool resume_validator(const struct pl_http_answer *answer, char out[RESUME_VALIDATOR_SIZE]);

/* Is this 206 all the rest, from this byte to the end, of what the validator stands for? A server
 * may send less than it was asked for, and one that does not know If-Range sends the rest of what
 * it has now (RFC 9110 15.3.7). */
bool resume_is_rest(const struct pl_http_answer *answer, uint64_t from, const char *validator);

#endif
