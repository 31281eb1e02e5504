/*
 * text: hex and base64, and numbers read without surprises.
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
/* As memcmp, in time that depends on len alone. */
bool pl_equal_constant_time(const void *a, const void *b, size_t len);

#endif
