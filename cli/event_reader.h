/*
 * event_reader: server-sent events out of bytes as they come, in pieces of any size.
 *
 * An event without its empty line never came: what is begun when the stream ends is dropped.
 */
#ifndef CLI_EVENT_READER_H
#define CLI_EVENT_READER_H

#include <stdbool.h>
#include <stddef.h>

#include "pipeline/buf.h"

#define EVENT_LINE_MAX (64u * 1024) /* an event of the log has some 2 KiB */
#define EVENT_ID_SIZE  24

struct event {            /* borrowed for the call */
	const char *name; /* "" where none was given */
	const char *id;   /* "" where none was given */
	const char *data;
};

struct event_reader {
	struct pl_buf line, name, data;
	char id[EVENT_ID_SIZE];
	void (*on_event)(void *arg, const struct event *event);
	void *arg;
};

void event_reader_init(struct event_reader *reader,
	void (*on_event)(void *arg, const struct event *event), void *arg);
void event_reader_fini(struct event_reader *reader);
/* A new stream begins. */
void event_reader_reset(struct event_reader *reader);
/* False: a line is longer than any of ours. */
bool event_reader_feed(struct event_reader *reader, const char *bytes, size_t len);

#endif
