/*
 * text: hex and base64, numbers written fast and read without surprises, and what was meant by a
 * word misspelt.
 */
#ifndef PIPELINE_TEXT_H
#define PIPELINE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pipeline/buf.h"

void pl_hex(const void *data, size_t len, char *out); /* 2 * len + 1 bytes, lower case */
/* RFC 4648 with padding; adds to out. */
PL_MUST_CHECK enum pl_err pl_base64_add(struct pl_buf *out, const void *data, size_t len);
/* Strict: alphabet, padding, no white space, no bits left over. Adds to out, which a failure leaves
 * as it was. */
PL_MUST_CHECK enum pl_err pl_base64_decode(const char *text, size_t len, struct pl_buf *out);
/* All of text must be digits (PL_EINVAL) and the number at most max (PL_ELIMIT). */
PL_MUST_CHECK enum pl_err pl_number_parse(
	const char *text, size_t len, uint64_t max, uint64_t *out);
#define PL_NUMBER_SIZE 21 /* 2^64 - 1 has 20 digits, and so has -2^63 with its sign; and a NUL */
/* In decimal, with a NUL that is not counted in the length they return. What is written for every
 * request is written with these: printf takes six times as long for a number. */
size_t pl_number_write(uint64_t number, char out[PL_NUMBER_SIZE]);
size_t pl_signed_write(int64_t number, char out[PL_NUMBER_SIZE]);
/* As memcmp, in time that depends on len alone. */
bool pl_equal_constant_time(const void *a, const void *b, size_t len);

#define PL_WORD_SIZE 64
/* How many letters must be changed, added or taken away to make one of the other; b has less than
 * PL_WORD_SIZE. */
size_t pl_edits_between(const char *a, size_t a_len, const char *b);

#endif
