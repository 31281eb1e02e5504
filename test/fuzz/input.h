/*
 * input: one fuzz input, cut into the texts a target needs.
 *
 * Memory   every text is a copy of its own exact length, so that ASan sees a byte too far.
 */
#ifndef FUZZ_INPUT_H
#define FUZZ_INPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "pipeline/err.h"
#include "pipeline/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
	const char *at;
	size_t len; /* what is left */
};

static inline struct input input_of(const uint8_t *data, size_t size)
{
	return (struct input) { (const char *)data, size };
}

/* Up to the next NUL, which is dropped, or to the end; free() it. */
static inline char *input_text(struct input *in)
{
	const char *end = in->len > 0 ? memchr(in->at, '\0', in->len) : NULL;
	size_t len = end != NULL ? (size_t)(end - in->at) : in->len;
	char *text = pl_strndup(in->len > 0 ? in->at : "", len);
	size_t taken = end != NULL ? len + 1 : len;
	in->at += taken;
	in->len -= taken;
	return text;
}

/* One byte as a number below `below`; 0 when nothing is left. */
static inline unsigned input_choice(struct input *in, unsigned below)
{
	if (in->len == 0)
		return 0;
	unsigned byte = (unsigned char)*in->at++;
	in->len--;
	return byte % below;
}

#endif
