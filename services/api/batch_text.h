/*
 * batch_text: {"items": [request…]} taken apart, each item as the text it came as. Pure.
 *
 * A tree of 16 MiB of JSON would take ten times as much memory; the items are read one by one.
 */
#ifndef API_BATCH_TEXT_H
#define API_BATCH_TEXT_H

#include "pipeline/request.h"

#define BATCH_ITEMS_MAX 1000
#define BATCH_BODY_MAX  (16 * 1024 * 1024)

struct batch_item {
	const char *text; /* borrowed from the body */
	size_t len;
};

/* items: room for BATCH_ITEMS_MAX. PL_EINVAL: faults tell, malformed or not. */
PL_MUST_CHECK enum pl_err batch_split(const char *json, size_t len, struct batch_item *items,
	size_t *count, struct pl_faults *faults);

#endif
