/*
 * event_stream: a request's log as server-sent events (text/event-stream). Pure.
 *
 *   id: 3                                       an event of the log; its number
 *   data: {"n":3,"time":"…","event":"retry",…}
 *
 *   event: gap                                  events that were trimmed before they could be told
 *   id: 70
 *   data: {"from":21,"to":70}
 *
 *   event: end                                  a final state: nothing follows
 *   data: {"state":"delivered"}
 *
 * A reader that comes back with the last id it saw misses nothing and sees nothing twice: a gap has
 * the id of the last event it stands for, the end has none.
 */
#ifndef API_EVENT_STREAM_H
#define API_EVENT_STREAM_H

#include "pipeline/buf.h"
#include "pipeline/record.h"

#define EVENT_STREAM_TYPE "text/event-stream"
#define EVENT_STREAM_BEAT ":\n\n" /* a comment: tells both sides that the other lives */

/* last_event_id: the header as sent, or NULL. PL_EINVAL when it is no number of an event. */
PL_MUST_CHECK enum pl_err event_stream_resume(const char *last_event_id, unsigned *seen);
/* What a reader that has seen the events up to *seen has not; moves *seen on. */
PL_MUST_CHECK enum pl_err event_stream_add(
	const struct pl_record *record, unsigned *seen, struct pl_buf *out);
PL_MUST_CHECK enum pl_err event_stream_end(enum pl_state state, struct pl_buf *out);

#endif
