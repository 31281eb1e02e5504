/*
 * Any bytes as what Redis keeps of a request. What decodes can be shown: each log line is JSON.
 * And what we write ourselves comes back as it was.
 */
#include <jansson.h>

#include "input.h"
#include "pipeline/record.h"
#include "record_json.h"

#define ID       "01a200d1-f1f6-7000-83ef-33001a77bf74"
#define TEXT_MAX (16 * 1024 * 1024)

static void shown(const struct pl_record *record)
{
	struct pl_buf out;
	pl_buf_init(&out, TEXT_MAX);
	for (size_t i = 0; i < record->events_count; i++) {
		pl_buf_clear(&out);
		PL_ASSERT(record_json_event(record, &record->events[i], &out) == PL_OK);
		PL_ASSERT(memchr(out.data, '\n', out.len) == NULL);
		json_t *line = json_loadb(out.data, out.len, JSON_REJECT_DUPLICATES, NULL);
		PL_ASSERT(json_is_object(line));
		json_decref(line);
	}
	char hex[RECORD_SHA256_SIZE];
	record_sha256(&record->data, hex);
	pl_buf_fini(&out);
}

/* Could we have written data like this? Else only reading it is tried. */
static bool is_ours(const struct pl_record *record)
{
	const struct pl_data *data = &record->data;
	for (size_t i = 0; i < record->events_count; i++)
		if (record->events[i].data != NULL && data->kind == PL_DATA_NONE)
			return false;
	return data->chunks > 0 || (data->kind <= PL_DATA_EMPTY) == (data->bytes == 0);
}

static void encode(const struct pl_record *record, struct pl_buf *out)
{
	PL_ASSERT(pl_record_head(&record->request, out) == PL_OK);
	for (size_t i = 0; i < record->events_count; i++)
		PL_ASSERT(pl_event_encode(&record->events[i], record->created_ms, out) == PL_OK);
}

static void there_and_back(const struct pl_record *record)
{
	struct pl_record *again;
	struct pl_buf once, twice;
	pl_buf_init(&once, TEXT_MAX);
	pl_buf_init(&twice, TEXT_MAX);
	encode(record, &once);
	PL_ASSERT(pl_record_decode(ID, once.data, once.len, &again) == PL_OK);
	PL_ASSERT(again->events_count == record->events_count);
	encode(again, &twice);
	PL_ASSERT(once.len == twice.len && memcmp(once.data, twice.data, once.len) == 0);
	pl_record_free(again);
	pl_buf_fini(&once);
	pl_buf_fini(&twice);
}

static void any_text(const char *text, size_t len)
{
	struct pl_record *record = NULL;
	enum pl_err err = pl_record_decode(ID, text, len, &record);
	PL_ASSERT((err == PL_OK) == (record != NULL));
	if (record == NULL)
		return;
	PL_ASSERT(record->events_count > 0);
	PL_ASSERT(record->last == &record->events[record->events_count - 1]);
	shown(record);
	if (is_ours(record))
		there_and_back(record);
	pl_record_free(record);
}

/* An attempt that ended with these texts of others: the line is whole, and all else as it was. */
static void our_event(const char *message, const char *content_type, const char *body, unsigned n)
{
	static const char head[] = "1\td\tf\ta:80\tb:80\t\t\thttp://a/\thttp://b/\t\n";
	struct pl_data data = { .kind = *body == '\0' ? PL_DATA_EMPTY : PL_DATA_TEXT,
		.bytes = strlen(body),
		.content_type = content_type,
		.inline_bytes = body,
		.token = "",
		.sha256 = "" };
	struct pl_event event = { .n = n + 1,
		.time_ms = pl_uuid_time_ms(ID) + n,
		.state = PL_STATE_FETCHED,
		.attempts = { n, 0 },
		.level = PL_LOG_INFO,
		.service = 'c',
		.name = "fetched",
		.stage = PL_STAGE_FETCH,
		.attempt = n,
		.status = 200,
		.message = message,
		.data = &data };
	struct pl_record *record;
	struct pl_buf text;
	pl_buf_init(&text, TEXT_MAX);
	PL_ASSERT(pl_buf_text(&text, head) == PL_OK);
	PL_ASSERT(pl_event_encode(&event, pl_uuid_time_ms(ID), &text) == PL_OK);
	PL_ASSERT(pl_record_decode(ID, text.data, text.len, &record) == PL_OK);
	PL_ASSERT(record->events_count == 1 && record->last->n == n + 1);
	PL_ASSERT(record->data.bytes == data.bytes && record->data.kind == data.kind);
	PL_ASSERT(data.bytes == 0 || memcmp(record->data.inline_bytes, body, data.bytes) == 0);
	PL_ASSERT(strlen(record->last->message) <= PL_EVENT_MESSAGE_MAX);
	shown(record);
	pl_record_free(record);
	pl_buf_fini(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = input_of(data, size);
	any_text(in.at, in.len);
	unsigned n = input_choice(&in, 250);
	char *message = input_text(&in), *type = input_text(&in), *body = input_text(&in);
	our_event(message, type, body, n);
	free(message);
	free(type);
	free(body);
	return 0;
}
