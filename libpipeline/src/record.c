/*
 * The text is split in place: tabs and newlines of the copy become NULs, and every
 * pointer of the decoded record points into it.
 */
#include "pipeline/record.h"

#include <stdlib.h>
#include <string.h>

#include "pipeline/mem.h"
#include "pipeline/text.h"

#define EVENTS_MAX \
	(3 * PL_EVENTS_KEPT) /* compaction lags: two stages' retries between two of its turns */
#define EVENT_FIELDS 21

static const struct {
	const char *name;
	char letter; /* 0: derived, never stored */
} states[] = {
	[PL_STATE_SCHEDULED] = { "scheduled", 's' },
	[PL_STATE_QUEUED] = { "queued", 'q' },
	[PL_STATE_FETCHING] = { "fetching", 0 },
	[PL_STATE_FETCHED] = { "fetched", 'f' },
	[PL_STATE_DELIVERING] = { "delivering", 0 },
	[PL_STATE_DELIVERED] = { "delivered", 'd' },
	[PL_STATE_FAILED] = { "failed", 'x' },
	[PL_STATE_CANCELLED] = { "cancelled", 'c' },
};
#define STATES (sizeof states / sizeof *states)

static const char level_letters[] = "diwe";
static const char kind_letters[] = "-ejtb";
static const char priority_letters[] = "hdl";
static const char stage_letters[] = "fd";

const char *pl_state_name(enum pl_state state)
{
	return states[state].name;
}

bool pl_state_parse(const char *name, enum pl_state *out)
{
	for (size_t i = 0; i < STATES; i++) {
		if (strcmp(states[i].name, name) == 0) {
			*out = (enum pl_state)i;
			return true;
		}
	}
	return false;
}

bool pl_state_is_final(enum pl_state state)
{
	return state == PL_STATE_DELIVERED || state == PL_STATE_FAILED ||
	       state == PL_STATE_CANCELLED;
}

const char *pl_service_letter_name(char letter)
{
	switch (letter) {
	case 'a':
		return "api";
	case 'c':
		return "consumer";
	case 'r':
		return "responder";
	default:
		return "queue";
	}
}

static int letter_index(const char *letters, char letter)
{
	const char *at = letter != '\0' ? strchr(letters, letter) : NULL;
	return at != NULL ? (int)(at - letters) : -1;
}

/* ---- encoding: each field comes with the tab before it ---- */

static enum pl_err add_text(struct pl_buf *out, const char *text)
{
	size_t len = strlen(text);
	char *at = pl_buf_reserve(out, len + 1);
	if (at == NULL)
		return PL_ELIMIT;
	*at = '\t';
	memcpy(at + 1, text, len);
	pl_buf_wrote(out, len + 1);
	return PL_OK;
}

static enum pl_err add_letter(struct pl_buf *out, char letter)
{
	return pl_buf_add(out, (const char[]) { '\t', letter }, 2);
}

#define NUMBER_MAX PL_NUMBER_SIZE /* a tab and 20 digits */

/* Needs room for NUMBER_MAX and a NUL, which what comes next may write over. */
static char *put_number(char *at, uint64_t number)
{
	*at++ = '\t';
	return at + pl_number_write(number, at);
}

static enum pl_err add_number(struct pl_buf *out, uint64_t number)
{
	char text[NUMBER_MAX + 1];
	return pl_buf_add(out, text, (size_t)(put_number(text, number) - text));
}

enum pl_err pl_record_head(const struct pl_request *request, struct pl_buf *out)
{
	size_t before = out->len;
	const char *const texts[] = { request->fetch_lane, request->deliver_lane, request->owner,
		request->parent, request->provider, request->callback_url };
	char number[PL_NUMBER_SIZE];
	enum pl_err err = pl_buf_add(out, number, pl_number_write(PL_RECORD_VERSION, number));
	if (err == PL_OK)
		err = add_letter(out, priority_letters[request->priority]);
	if (err == PL_OK)
		err = add_letter(out, stage_letters[request->starts_in]);
	for (size_t i = 0; err == PL_OK && i < sizeof texts / sizeof *texts; i++)
		err = add_text(out, texts[i] != NULL ? texts[i] : "");
	if (err == PL_OK)
		err = pl_buf_add(out, "\t", 1);
	if (err == PL_OK)
		err = pl_request_options_encode(request, out);
	if (err == PL_OK)
		err = pl_buf_add(out, "\n", 1);
	if (err != PL_OK)
		out->len = before;
	return err;
}

/* Text of others in a line of ours: what would end a field or the line becomes a space. */
static enum pl_err add_field(struct pl_buf *out, const char *text, size_t max)
{
	size_t len = text != NULL ? strnlen(text, max) : 0;
	while (text != NULL && len > 0 && text[len] != '\0' &&
		((unsigned char)text[len] & 0xc0) == 0x80)
		len--; /* cut at a character, not inside one */
	char *at = pl_buf_reserve(out, len + 1);
	if (at == NULL)
		return PL_ELIMIT;
	*at++ = '\t';
	for (size_t i = 0; i < len; i++)
		at[i] = (unsigned char)text[i] < 0x20 || text[i] == 0x7f ? ' ' : text[i];
	pl_buf_wrote(out, len + 1);
	return PL_OK;
}

static enum pl_err add_data_fields(struct pl_buf *out, const struct pl_data *data)
{
	enum pl_err err = add_letter(out, kind_letters[data->kind]);
	if (err == PL_OK)
		err = add_number(out, data->bytes);
	if (err == PL_OK)
		err = add_field(out, data->content_type, 255);
	if (err == PL_OK && data->chunks > 0)
		err = pl_buf_format(out, "\t%u\t%s\t%s", data->chunks, data->token, data->sha256);
	return err;
}

/* In the fields of data, with the kind that is none: scripts pass it over. */
static enum pl_err add_partial_fields(struct pl_buf *out, const struct pl_partial *partial)
{
	enum pl_err err = add_letter(out, kind_letters[PL_DATA_NONE]);
	if (err == PL_OK)
		err = add_number(out, partial->bytes);
	if (err == PL_OK)
		err = add_field(out, partial->content_type, 255);
	if (err == PL_OK)
		err = pl_buf_format(out, "\t%u\t%s", partial->chunks, partial->token);
	return err == PL_OK ? add_field(out, partial->validator, 255) : err;
}

static enum pl_err add_block(struct pl_buf *out, const struct pl_data *data)
{
	if (data == NULL || data->chunks > 0 || data->bytes == 0)
		return PL_OK;
	char head[1 + PL_NUMBER_SIZE] = "=";
	size_t len = 1 + pl_number_write(data->bytes, head + 1);
	head[len++] = '\n';
	enum pl_err err = pl_buf_add(out, head, len);
	if (err == PL_OK)
		err = pl_buf_add(out, data->inline_bytes, (size_t)data->bytes);
	return err == PL_OK ? pl_buf_add(out, "\n", 1) : err;
}

static void trim_tabs(struct pl_buf *out)
{
	while (out->data[out->len - 1] == '\t')
		out->len--;
}

/* Which event it is and where the request stands then: all that comes before its name. */
static enum pl_err add_standing(struct pl_buf *out, const struct pl_event *event, uint64_t since)
{
	char text[5 * NUMBER_MAX + sizeof "\tqp\tci"], *at = text;
	at += pl_number_write(event->n, at);
	at = put_number(at, since);
	*at++ = '\t';
	*at++ = states[event->state].letter;
	if (event->paused)
		*at++ = 'p';
	at = put_number(at, event->attempts[PL_STAGE_FETCH]);
	at = put_number(at, event->attempts[PL_STAGE_DELIVER]);
	at = put_number(at, event->refetch);
	*at++ = '\t';
	*at++ = event->service;
	*at++ = level_letters[event->level];
	return pl_buf_add(out, text, (size_t)(at - text));
}

static enum pl_err add_attempt(struct pl_buf *out, const struct pl_event *event)
{
	char text[3 * NUMBER_MAX + sizeof "\tf"], *at = text;
	*at++ = '\t';
	*at++ = event->stage >= 0 ? stage_letters[event->stage] : '-';
	at = put_number(at, event->attempt);
	at = put_number(at, event->ms);
	*at++ = '\t';
	at += pl_signed_write(event->status, at);
	return pl_buf_add(out, text, (size_t)(at - text));
}

enum pl_err pl_event_encode(const struct pl_event *event, uint64_t created_ms, struct pl_buf *out)
{
	uint64_t since = event->time_ms > created_ms ? event->time_ms - created_ms : 0;
	size_t before = out->len;
	enum pl_err err = add_block(out, event->data);
	if (err == PL_OK)
		err = add_standing(out, event, since);
	if (err == PL_OK)
		err = add_text(out, event->name);
	if (err == PL_OK)
		err = add_attempt(out, event);
	if (err == PL_OK)
		err = add_text(out, pl_fault_name(event->fault));
	if (err == PL_OK)
		err = add_field(out, event->message, PL_EVENT_MESSAGE_MAX);
	if (err == PL_OK)
		err = event->until_ms > created_ms ? add_number(out, event->until_ms - created_ms)
						   : pl_buf_add(out, "\t", 1);
	if (err == PL_OK && event->data != NULL)
		err = add_data_fields(out, event->data);
	else if (err == PL_OK && event->partial != NULL)
		err = add_partial_fields(out, event->partial);
	if (err == PL_OK) {
		trim_tabs(out);
		err = pl_buf_add(out, "\n", 1);
	}
	if (err != PL_OK)
		out->len = before;
	return err;
}

/* Splits [at, end) at tabs into at most max fields; missing ones are "". end must be writable. */
static size_t split(char *at, char *end, const char **fields, size_t max)
{
	size_t count = 0;
	*end = '\0';
	while (count < max) {
		fields[count++] = at;
		char *tab = count < max ? memchr(at, '\t', (size_t)(end - at)) : NULL;
		if (tab == NULL)
			break;
		*tab = '\0';
		at = tab + 1;
	}
	for (size_t i = count; i < max; i++)
		fields[i] = "";
	return count;
}

static bool number(const char *text, uint64_t max, uint64_t *out)
{
	if (*text == '\0') {
		*out = 0;
		return true;
	}
	return pl_number_parse(text, strlen(text), max, out) == PL_OK;
}

static bool counter(const char *text, unsigned *out)
{
	uint64_t wide;
	if (!number(text, UINT32_MAX, &wide))
		return false;
	*out = (unsigned)wide;
	return true;
}

static bool copy_lane(char lane[PL_LANE_MAX], const char *text)
{
	size_t len = strlen(text);
	if (len >= PL_LANE_MAX)
		return false;
	memcpy(lane, text, len + 1);
	return true;
}

static enum pl_err decode_head(struct pl_record *record, char *at, char *end)
{
	enum {
		VERSION,
		PRIORITY,
		STARTS,
		FETCH_LANE,
		DELIVER_LANE,
		OWNER,
		PARENT,
		PROVIDER,
		CALLBACK,
		OPTIONS,
		COUNT
	};
	const char *f[COUNT];
	size_t count = split(at, end, f, COUNT);
	struct pl_request *request = &record->request;
	int priority = letter_index(priority_letters, f[PRIORITY][0]);
	int starts = letter_index(stage_letters, f[STARTS][0]);
	uint64_t version;
	if (count != COUNT || !number(f[VERSION], UINT32_MAX, &version) ||
		version != PL_RECORD_VERSION || priority < 0 || starts < 0 ||
		!copy_lane(request->fetch_lane, f[FETCH_LANE]) ||
		!copy_lane(request->deliver_lane, f[DELIVER_LANE]))
		return PL_EINVAL;
	request->owner = f[OWNER];
	request->parent = f[PARENT][0] != '\0' ? f[PARENT] : NULL;
	request->provider = f[PROVIDER];
	request->callback_url = f[CALLBACK];
	enum pl_err err = pl_request_options_decode(request, f[OPTIONS], strlen(f[OPTIONS]));
	request->priority =
		(enum pl_priority)priority; /* the head's letters are what the lanes saw */
	request->starts_in = (enum pl_stage)starts;
	return err;
}

static bool decode_data(struct pl_data *data, const char *const f[6], int status)
{
	int kind = letter_index(kind_letters, f[0][0]);
	*data = (struct pl_data) {
		.status = status, .content_type = f[2], .token = f[4], .sha256 = f[5]
	};
	if (kind <= 0 || !number(f[1], UINT64_MAX, &data->bytes) || !counter(f[3], &data->chunks))
		return false;
	data->kind = (enum pl_data_kind)kind;
	return data->kind != PL_DATA_EMPTY || (data->bytes == 0 && data->chunks == 0);
}

struct block { /* a data block that waits for the event line that commits it */
	const char *bytes;
	uint64_t len;
};

static bool commit_data(struct pl_record *record, struct pl_event *event, const char *const f[6],
	struct block *block)
{
	struct pl_data data;
	if (!decode_data(&data, f, event->status))
		return false;
	if (data.chunks == 0 && data.kind != PL_DATA_EMPTY) {
		if (block->bytes == NULL || block->len != data.bytes)
			return false;
		data.inline_bytes = block->bytes;
	}
	*block = (struct block) { 0 };
	for (size_t i = 0; i < record->events_count; i++)
		record->events[i].data = NULL; /* replaced by this fetch */
	record->data = data;
	event->data = &record->data;
	return true;
}

static bool decode_partial(struct pl_partial *partial, const char *const f[6])
{
	*partial = (struct pl_partial) { .content_type = f[2], .token = f[4], .validator = f[5] };
	return number(f[1], UINT64_MAX, &partial->bytes) && counter(f[3], &partial->chunks);
}

static enum pl_err decode_event(
	struct pl_record *record, struct pl_event *event, char *at, char *end, struct block *block)
{
	enum {
		N,
		SINCE,
		STATE,
		FETCHES,
		DELIVERIES,
		REFETCH,
		WHO,
		NAME,
		STAGE,
		ATTEMPT,
		MS,
		STATUS,
		FAULT,
		MESSAGE,
		UNTIL,
		DATA
	};
	const char *f[EVENT_FIELDS];
	uint64_t since, until, status;
	size_t count = split(at, end, f, EVENT_FIELDS);
	int state = -1;
	for (size_t i = 0; i < STATES; i++)
		if (states[i].letter != 0 && states[i].letter == f[STATE][0])
			state = (int)i;
	int level = f[WHO][0] != '\0' ? letter_index(level_letters, f[WHO][1]) : -1;
	if (count < NAME + 1 || state < 0 || level < 0 ||
		!number(f[SINCE], UINT64_MAX / 2, &since) ||
		!number(f[MS], UINT64_MAX, &event->ms) || !number(f[STATUS], 999, &status) ||
		!number(f[UNTIL], UINT64_MAX / 2, &until) || !counter(f[N], &event->n) ||
		!counter(f[FETCHES], &event->attempts[PL_STAGE_FETCH]) ||
		!counter(f[DELIVERIES], &event->attempts[PL_STAGE_DELIVER]) ||
		!counter(f[REFETCH], &event->refetch) || !counter(f[ATTEMPT], &event->attempt))
		return PL_EINVAL;
	event->time_ms = record->created_ms + since;
	event->state = (enum pl_state)state;
	event->paused = f[STATE][1] == 'p';
	event->service = f[WHO][0];
	event->level = (enum pl_log_level)level;
	event->name = f[NAME];
	event->stage = letter_index(stage_letters, f[STAGE][0]);
	event->status = (int)status;
	event->fault = pl_fault_parse(f[FAULT]);
	event->message = f[MESSAGE];
	event->until_ms = until > 0 ? record->created_ms + until : 0;
	bool is_first = event == record->events;
	if (event->attempt > 0 || (!is_first && event->refetch != event[-1].refetch))
		record->partial = (struct pl_partial) { 0 }; /* a later fetch began anew */
	if (!is_first && event->refetch != event[-1].refetch &&
		record->request.starts_in == PL_STAGE_FETCH)
		record->data =
			(struct pl_data) { .kind = PL_DATA_NONE }; /* given up by the refetch */
	if (f[DATA][0] == '-' && !decode_partial(&record->partial, f + DATA))
		return PL_EINVAL;
	if (f[DATA][0] != '\0' && f[DATA][0] != '-' && !commit_data(record, event, f + DATA, block))
		return PL_EINVAL;
	return PL_OK;
}

/* A block's end, or NULL when the text is cut. */
static char *decode_block(char *at, char *end, struct block *block)
{
	char *newline = memchr(at, '\n', (size_t)(end - at));
	uint64_t len;
	if (newline == NULL ||
		pl_number_parse(at + 1, (size_t)(newline - at - 1), UINT32_MAX, &len) != PL_OK ||
		len >= (size_t)(end - newline - 1) || newline[1 + len] != '\n')
		return NULL;
	*block = (struct block) { newline + 1, len };
	return newline + 1 + len + 1;
}

static struct pl_event *next_event(struct pl_record *record, size_t *room)
{
	if (record->events_count >= EVENTS_MAX)
		return NULL;
	if (record->events_count == *room) {
		*room = *room == 0 ? 8 : *room * 2;
		record->events = pl_realloc(record->events, *room * sizeof *record->events);
	}
	struct pl_event *event = &record->events[record->events_count];
	*event = (struct pl_event) { 0 };
	return event;
}

/* What compaction has not come to yet is not kept any more, either: two readers see the same. */
static void keep_first_and_last(struct pl_record *record)
{
	const size_t last = PL_EVENTS_KEPT - PL_EVENTS_FIRST;
	if (record->events_count > PL_EVENTS_KEPT) {
		memmove(record->events + PL_EVENTS_FIRST,
			record->events + record->events_count - last,
			last * sizeof *record->events);
		record->events_count = PL_EVENTS_KEPT;
	}
	record->last = &record->events[record->events_count - 1];
}

static enum pl_err decode_lines(struct pl_record *record, char *at, char *end)
{
	struct block block = { 0 };
	size_t room = 0;
	while (at < end) {
		if (*at == '=') {
			at = decode_block(at, end, &block);
			if (at == NULL)
				return PL_EINVAL;
			continue;
		}
		char *newline = memchr(at, '\n', (size_t)(end - at));
		struct pl_event *event = newline != NULL ? next_event(record, &room) : NULL;
		if (event == NULL)
			return PL_EINVAL;
		enum pl_err err = decode_event(record, event, at, newline, &block);
		if (err != PL_OK)
			return err;
		record->events_count++;
		at = newline + 1;
	}
	if (record->events_count == 0)
		return PL_EINVAL;
	keep_first_and_last(record);
	return PL_OK;
}

enum pl_err pl_record_decode(const char *id, const char *text, size_t len, struct pl_record **out)
{
	if (!pl_uuid_valid(id, strlen(id)))
		return PL_EINVAL;
	struct pl_record *record = pl_calloc(1, sizeof *record);
	record->text = pl_strndup(text, len);
	record->stored_bytes = len;
	record->created_ms = pl_uuid_time_ms(id);
	memcpy(record->request.id, id, PL_UUID_SIZE);

	enum pl_err err = PL_EINVAL;
	char *end = record->text + len;
	char *newline = memchr(record->text, '\n', len);
	if (newline != NULL)
		err = decode_head(record, record->text, newline);
	if (err == PL_OK)
		err = decode_lines(record, newline + 1, end);
	if (err != PL_OK) {
		pl_record_free(record);
		return err;
	}
	*out = record;
	return PL_OK;
}

static uint64_t round_began_ms(const struct pl_record *record)
{
	for (size_t i = record->events_count; i-- > 1;) {
		const struct pl_event *event = &record->events[i];
		if (pl_state_is_final(event[-1].state) && !pl_state_is_final(event->state))
			return event->time_ms;
	}
	return record->created_ms;
}

uint64_t pl_record_expires_ms(const struct pl_record *record, uint64_t time_scale)
{
	uint64_t after = record->request.expires_after_ms;
	return after > 0 ? round_began_ms(record) + (after + time_scale - 1) / time_scale : 0;
}

void pl_record_free(struct pl_record *record)
{
	if (record == NULL)
		return;
	pl_request_clear(&record->request);
	free(record->events);
	free(record->text);
	free(record);
}
