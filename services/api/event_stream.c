#include "event_stream.h"

#include <limits.h>
#include <string.h>

#include "pipeline/text.h"
#include "record_json.h"

enum pl_err event_stream_resume(const char *last_event_id, unsigned *seen)
{
	uint64_t number = 0;
	if (last_event_id != NULL &&
		pl_number_parse(last_event_id, strlen(last_event_id), UINT_MAX, &number) != PL_OK)
		return PL_EINVAL;
	*seen = (unsigned)number;
	return PL_OK;
}

static enum pl_err add_gap(unsigned from, unsigned to, struct pl_buf *out)
{
	return pl_buf_format(
		out, "event: gap\nid: %u\ndata: {\"from\":%u,\"to\":%u}\n\n", to, from, to);
}

static enum pl_err add_event(
	const struct pl_record *record, const struct pl_event *event, struct pl_buf *out)
{
	enum pl_err err = pl_buf_format(out, "id: %u\ndata: ", event->n);
	if (err == PL_OK)
		err = record_json_event(record, event, out); /* one line: JSON escapes breaks */
	if (err == PL_OK)
		err = pl_buf_text(out, "\n\n");
	return err;
}

enum pl_err event_stream_add(const struct pl_record *record, unsigned *seen, struct pl_buf *out)
{
	enum pl_err err = PL_OK;
	for (size_t i = 0; err == PL_OK && i < record->events_count; i++) {
		const struct pl_event *event = &record->events[i];
		if (event->n <= *seen)
			continue;
		if (event->n > *seen + 1)
			err = add_gap(*seen + 1, event->n - 1, out);
		if (err == PL_OK)
			err = add_event(record, event, out);
		if (err == PL_OK)
			*seen = event->n;
	}
	return err;
}

enum pl_err event_stream_end(enum pl_state state, struct pl_buf *out)
{
	return pl_buf_format(out, "event: end\ndata: {\"state\":\"%s\"}\n\n", pl_state_name(state));
}
