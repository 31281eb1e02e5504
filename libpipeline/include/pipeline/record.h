/*
 * record: a request and everything that has happened to it: one Redis string.
 *
 *   head line        1 <tab> priority <tab> starts in <tab> fetch lane <tab> deliver lane
 *                    <tab> owner <tab> parent <tab> provider <tab> callback
 *                    <tab> options JSON, "" if none \n
 *   data block       =<length>\n<bytes>\n   in front of the event line that commits it
 *   event line ...   n <tab> ms since acceptance <tab> state <tab> attempts <tab> ... \n
 *
 * The last line alone is the state: every event line repeats event number, state, paused, both
 * attempt counts and the refetch number. docs/PIPELINE.md has each field.
 * Memory   a decoded record owns a copy of the text; everything in it is borrowed from that copy
 *          until pl_record_free.
 */
#ifndef PIPELINE_RECORD_H
#define PIPELINE_RECORD_H

#include "pipeline/fault.h"
#include "pipeline/log.h"
#include "pipeline/request.h"

#define PL_RECORD_VERSION    1
#define PL_EVENT_LINE_MAX    1024 /* an event line, its newline included */
#define PL_EVENT_MESSAGE_MAX 160
#define PL_EVENTS_KEPT       200 /* first 20 and last 180 */
#define PL_EVENTS_FIRST      20
#define PL_ATTEMPTS_KEPT     64
#define PL_DATA_INLINE_MAX   (16 * 1024) /* larger data goes in chunks of its own keys */

/* What a fetch that was cut had stored by then: a later one may go on from there. */
struct pl_partial {
	uint64_t bytes; /* 0: nothing to go on from */
	unsigned chunks;
	const char *token;
	const char *validator; /* for If-Range: a strong ETag or a date */
	const char *content_type;
};

enum pl_state {
	PL_STATE_SCHEDULED,
	PL_STATE_QUEUED,
	PL_STATE_FETCHING, /* queued and held by a worker: derived, never written */
	PL_STATE_FETCHED,
	PL_STATE_DELIVERING, /* fetched and held: derived */
	PL_STATE_DELIVERED,
	PL_STATE_FAILED,
	PL_STATE_CANCELLED,
};
const char *pl_state_name(enum pl_state state);
bool pl_state_parse(const char *name, enum pl_state *out);
bool pl_state_is_final(enum pl_state state);

enum pl_data_kind {       /* how the bytes travel in the callback: docs/API.md */
	PL_DATA_NONE = 0, /* nothing fetched yet, or gone */
	PL_DATA_EMPTY,
	PL_DATA_JSON,
	PL_DATA_TEXT,
	PL_DATA_BINARY,
};

struct pl_data {
	enum pl_data_kind kind;
	uint64_t bytes;
	int status;               /* what the provider answered */
	const char *content_type; /* "" when it said none */
	const char *inline_bytes; /* when chunks == 0 */
	unsigned chunks;          /* in keys b:<token>:<0..chunks-1> otherwise */
	const char *token;        /* of the fetch that wrote the chunks; "" when inline */
	const char *sha256;       /* hex; "" when inline: compute it from the bytes */
};

struct pl_event {
	unsigned n;       /* from 1 */
	uint64_t time_ms; /* Unix time */
	enum pl_state state;
	bool paused;
	unsigned attempts[PL_STAGES]; /* made so far in this round (since the last refetch) */
	unsigned refetch;
	enum pl_log_level level;
	char service; /* 'a'pi, 'c'onsumer, 'r'esponder, 'q'ueue (a script, on its own account) */
	const char
		*name; /* "accepted", "fetched", "retry", "failed", "delivered", "cancelled", … */
	int stage;     /* enum pl_stage, -1: none */
	unsigned attempt; /* 0: the event is no attempt */
	uint64_t ms;      /* how long the attempt took */
	int status;       /* HTTP status, 0: none */
	enum pl_fault fault;
	const char *message;              /* "" for none */
	uint64_t until_ms;                /* Unix time: waits until then; 0: does not */
	const struct pl_data *data;       /* what it committed; NULL: nothing, or replaced since */
	const struct pl_partial *partial; /* of a fetch that was cut; only to encode */
};
const char *pl_service_letter_name(char letter); /* "api", "consumer", … */

struct pl_record {
	struct pl_request request;
	uint64_t created_ms;
	struct pl_event *events; /* what is kept, in order; at least one */
	size_t events_count;
	const struct pl_event *last;
	struct pl_data data;       /* what the last "fetched" committed */
	struct pl_partial partial; /* borrowed from the event that told of the cut */
	size_t stored_bytes;       /* length of the text it was decoded from */
	char *text;                /* the copy */
};

/* The head line for a new request. */
PL_MUST_CHECK enum pl_err pl_record_head(const struct pl_request *request, struct pl_buf *out);
/* One event line (data block first if event->data is inline). created_ms: from the id. */
PL_MUST_CHECK enum pl_err pl_event_encode(
	const struct pl_event *event, uint64_t created_ms, struct pl_buf *out);
PL_MUST_CHECK enum pl_err pl_record_decode(
	const char *id, const char *text, size_t len, struct pl_record **out);
/* When it expires, Unix time, 0: never. A round that people began anew, after the request had
 * ended, has its whole expiresAfter again. */
uint64_t pl_record_expires_ms(const struct pl_record *record, uint64_t time_scale);
void pl_record_free(struct pl_record *record);

#endif
