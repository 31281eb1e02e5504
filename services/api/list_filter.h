/*
 * list_filter: which requests a listing means, and where it goes on. Pure.
 *
 *   ?state=failed&host=api.example&label=nightly&since=2026-…&until=2026-…&limit=100&cursor=…
 *
 * One index is walked, newest first; what it does not select is read and passed over.
 */
#ifndef API_LIST_FILTER_H
#define API_LIST_FILTER_H

#include "store.h"

#define LIST_LIMIT          100
#define LIST_LIMIT_MAX      1000
#define LIST_EXAMINED       2000 /* records read for one page; it may be short for that */
#define LIST_EXAMINED_BYTES (2 * 1024 * 1024) /* of them, about: 2000 plain ones have 1.4 MiB */
#define LIST_INDEX_SIZE     (PL_LABEL_SIZE_MAX + sizeof("n:"))
#define LIST_CURSOR_SIZE \
	(PL_UUID_SIZE + 48) /* a letter, two numbers of 20 digits, an id, what is between */

struct list_filter {
	bool has_state;
	enum pl_state state;
	char host[PL_LANE_MAX]; /* lower case, with or without its port; "": any */
	char label[PL_LABEL_SIZE_MAX + 1];
	uint64_t since_ms, until_ms; /* Unix time of acceptance; 0: any */
	size_t limit;
	const char *owner;          /* "": any */
	struct pl_list_place place; /* where it begins */
};

/* Names every fault; PL_EINVAL then. limit: the default. */
PL_MUST_CHECK enum pl_err list_filter_read(const char *query, size_t limit, const char *owner,
	struct list_filter *out, struct pl_faults *faults);
void list_filter_index(const struct list_filter *filter, char out[LIST_INDEX_SIZE]);
bool list_filter_admits(const struct list_filter *filter, const struct store_found *found);
/* Is everything from this place on older than what is meant? */
bool list_filter_is_past(const struct list_filter *filter, const struct pl_list_place *place);
void list_filter_cursor(const struct list_filter *filter, const struct pl_list_place *place,
	char out[LIST_CURSOR_SIZE]);

/* Walks a filter's requests: false when there is none any more on this page; *found is the
 * caller's then (store_found_fini). */
struct list_walk {
	struct store *store;
	const struct list_filter *filter;
	struct store_listed *step;   /* the walk's own */
	char (*again)[PL_UUID_SIZE]; /* seen ids that may stand twice; NULL: none */
	size_t again_count;
	size_t at; /* in step */
	size_t examined, bytes;
	struct pl_list_place place; /* of what comes next; slot -1: the end */
	enum pl_err err;
};
void list_walk_begin(struct store *store, const struct list_filter *filter, struct list_walk *walk);
bool list_walk_next(struct list_walk *walk, struct store_found *found);
void list_walk_end(struct list_walk *walk);

#endif
