/*
 * filters: which requests a command means: --state failed --host api.example --since 2h …
 */
#ifndef CLI_FILTERS_H
#define CLI_FILTERS_H

#include "arguments.h"
#include "pipeline/buf.h"

#define FILTERS_PATH_MAX 8192 /* bytes of a path with its query */
#define FILTERS_PAGE     1000 /* the most the api takes at once */

struct filters { /* NULL: not given */
	const char *state, *host, *label, *since, *until;
};
/* Rows of a command's table of flags. */
#define FILTERS_FLAGS(filters)                                    \
	{ .name = "--state", .value = &(filters).state },         \
		{ .name = "--host", .value = &(filters).host },   \
		{ .name = "--label", .value = &(filters).label }, \
		{ .name = "--since", .value = &(filters).since }, \
	{                                                         \
		.name = "--until", .value = &(filters).until      \
	}
#define FILTERS_HELP                                                                              \
	"  --state STATE   scheduled, queued, fetching, fetched, delivering, delivered, failed\n" \
	"                  or cancelled\n"                                                        \
	"  --host HOST     of the provider or the callback, with or without its port\n"           \
	"  --label LABEL   one of its labels\n"                                                   \
	"  --since TIME, --until TIME\n"                                                          \
	"                  accepted since, before this time: 2026-12-01T08:00:00Z, or 2h for\n"   \
	"                  two hours ago\n"

/* True if both times are times; otherwise it has said what is wrong. */
bool filters_check(const char *command, const struct filters *filters);
bool filters_any(const struct filters *filters);
/* path?state=…&limit=…&cursor=… in *out; limit 0, cursor "": not given. False: has said what is
 * wrong. */
bool filters_path(const struct filters *filters, const char *path, size_t limit, const char *cursor,
	struct pl_buf *out);

#endif
