/*
 * list: what a listing and the calls that take its filters share.
 */
#ifndef API_LIST_H
#define API_LIST_H

#include "api.h"
#include "json_writer.h"
#include "list_filter.h"

/* The call's query; false: answered already. limit: the default. */
bool list_read_filter(
	struct api *api, struct pl_http_call *call, size_t limit, struct list_filter *filter);
/* "cursor", unless the walk has come to its end. */
void list_write_cursor(struct json_writer *w, const struct list_walk *walk);

#endif
