#include "event_reader.h"

#include <stdio.h>
#include <string.h>

void event_reader_init(struct event_reader *reader,
	void (*on_event)(void *arg, const struct event *event), void *arg)
{
	pl_buf_init(&reader->line, EVENT_LINE_MAX);
	pl_buf_init(&reader->name, EVENT_LINE_MAX);
	pl_buf_init(&reader->data, EVENT_LINE_MAX);
	reader->id[0] = '\0';
	reader->on_event = on_event;
	reader->arg = arg;
}

void event_reader_fini(struct event_reader *reader)
{
	pl_buf_fini(&reader->line);
	pl_buf_fini(&reader->name);
	pl_buf_fini(&reader->data);
}

static void forget_event(struct event_reader *reader)
{
	pl_buf_clear(&reader->name);
	pl_buf_clear(&reader->data);
	reader->id[0] = '\0';
}

void event_reader_reset(struct event_reader *reader)
{
	pl_buf_clear(&reader->line);
	forget_event(reader);
}

static void tell(struct event_reader *reader)
{
	const struct event event = {
		.name = reader->name.len > 0 ? reader->name.data : "",
		.id = reader->id,
		.data = reader->data.data,
	};

	if (reader->data.len > 0)
		reader->on_event(reader->arg, &event);
	forget_event(reader);
}

static bool take_field(struct event_reader *reader, const char *name, const char *value)
{
	if (strcmp(name, "id") == 0)
		return snprintf(reader->id, sizeof(reader->id), "%s", value) <
		       (int)sizeof(reader->id);
	if (strcmp(name, "event") == 0) {
		pl_buf_clear(&reader->name);
		return pl_buf_text(&reader->name, value) == PL_OK;
	}
	if (strcmp(name, "data") != 0)
		return true;
	if (reader->data.len > 0 && pl_buf_text(&reader->data, "\n") != PL_OK)
		return false;
	return pl_buf_text(&reader->data, value) == PL_OK;
}

/* "name: value", "name:value" or "name"; a comment begins with the colon. */
static bool take_line(struct event_reader *reader, char *line)
{
	char *value = line + strcspn(line, ":");

	if (*line == '\0') {
		tell(reader);
		return true;
	}
	if (*value == ':')
		*value++ = '\0';
	value += *value == ' ';
	return take_field(reader, line, value);
}

static bool end_line(struct event_reader *reader)
{
	struct pl_buf *line = &reader->line;
	bool is_taken;

	if (pl_buf_add(line, "", 0) != PL_OK) /* an empty line is text too */
		return false;
	if (line->len > 0 && line->data[line->len - 1] == '\r')
		line->data[--line->len] = '\0';
	is_taken = take_line(reader, line->data);
	pl_buf_clear(line);
	return is_taken;
}

bool event_reader_feed(struct event_reader *reader, const char *bytes, size_t len)
{
	while (len > 0) {
		const char *newline = memchr(bytes, '\n', len);
		size_t piece = newline != NULL ? (size_t)(newline - bytes) : len;

		if (pl_buf_add(&reader->line, bytes, piece) != PL_OK)
			return false;
		if (newline == NULL)
			return true;
		if (!end_line(reader))
			return false;
		bytes += piece + 1;
		len -= piece + 1;
	}
	return true;
}
