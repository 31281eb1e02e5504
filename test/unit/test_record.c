#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "pipeline/record.h"

static const char ID[] = "01a200d1-f1f6-7000-83ef-33001a77bf74";

static const struct pl_request REQUEST = {
	.id = "01a200d1-f1f6-7000-83ef-33001a77bf74",
	.provider = "http://a.example/x",
	.callback_url = "http://b.example/y",
	.fetch_lane = "a.example:80",
	.deliver_lane = "b.example:80",
	.priority = PL_PRIORITY_LOW,
	.stage = { { .retries = -1 }, { .retries = -1 } },
};

static struct pl_event event(unsigned n, enum pl_state state, const char *name)
{
	return (struct pl_event) {
		.n = n,
		.time_ms = pl_uuid_time_ms(ID) + 10 * n,
		.state = state,
		.level = PL_LOG_INFO,
		.service = 'a',
		.name = name,
		.stage = -1,
		.message = "",
	};
}

static void write_event(struct pl_buf *text, const struct pl_event *one)
{
	assert_int_equal(pl_event_encode(one, pl_uuid_time_ms(ID), text), PL_OK);
}

static struct pl_record *decoded(const struct pl_buf *text)
{
	struct pl_record *record;
	assert_int_equal(pl_record_decode(ID, text->data, text->len, &record), PL_OK);
	return record;
}

static void begin(struct pl_buf *text)
{
	pl_buf_init(text, 1024 * 1024);
	assert_int_equal(pl_record_head(&REQUEST, text), PL_OK);
	struct pl_event accepted = event(1, PL_STATE_QUEUED, "accepted");
	write_event(text, &accepted);
}

static void test_head_comes_back(void **state)
{
	(void)state;
	struct pl_buf text;
	begin(&text);
	struct pl_record *record = decoded(&text);
	assert_string_equal(record->request.provider, "http://a.example/x");
	assert_string_equal(record->request.callback_url, "http://b.example/y");
	assert_string_equal(record->request.fetch_lane, "a.example:80");
	assert_string_equal(record->request.deliver_lane, "b.example:80");
	assert_int_equal(record->request.priority, PL_PRIORITY_LOW);
	assert_int_equal(record->request.stage[PL_STAGE_FETCH].retries, -1);
	assert_null(record->request.parent);
	assert_int_equal(record->events_count, 1);
	assert_int_equal(record->last->time_ms, pl_uuid_time_ms(ID) + 10);
	assert_int_equal(record->data.kind, PL_DATA_NONE);
	pl_record_free(record);
	pl_buf_fini(&text);
}

static void test_event_comes_back(void **state)
{
	(void)state;
	struct pl_buf text;
	begin(&text);
	struct pl_event retry = event(2, PL_STATE_QUEUED, "retry");
	retry.paused = true;
	retry.attempts[PL_STAGE_FETCH] = 3;
	retry.attempts[PL_STAGE_DELIVER] = 1;
	retry.refetch = 7;
	retry.level = PL_LOG_WARN;
	retry.service = 'c';
	retry.stage = PL_STAGE_FETCH;
	retry.attempt = 3;
	retry.ms = 1234;
	retry.status = 503;
	retry.fault = PL_FAULT_HTTP_STATUS;
	retry.message = "the provider\tanswered\n503";
	retry.until_ms = retry.time_ms + 5000;
	write_event(&text, &retry);
	struct pl_record *record = decoded(&text);
	const struct pl_event *last = record->last;
	assert_int_equal(last->n, 2);
	assert_true(last->paused);
	assert_int_equal(last->attempts[PL_STAGE_FETCH], 3);
	assert_int_equal(last->attempts[PL_STAGE_DELIVER], 1);
	assert_int_equal(last->refetch, 7);
	assert_int_equal(last->level, PL_LOG_WARN);
	assert_int_equal(last->service, 'c');
	assert_string_equal(last->name, "retry");
	assert_int_equal(last->stage, PL_STAGE_FETCH);
	assert_int_equal(last->ms, 1234);
	assert_int_equal(last->status, 503);
	assert_int_equal(last->fault, PL_FAULT_HTTP_STATUS);
	assert_string_equal(last->message, "the provider answered 503"); /* forges no line */
	assert_int_equal(last->until_ms, retry.until_ms);
	pl_record_free(record);
	pl_buf_fini(&text);
}

static void write_fetched(struct pl_buf *text, unsigned n, const struct pl_data *data)
{
	struct pl_event fetched = event(n, PL_STATE_FETCHED, "fetched");
	fetched.stage = PL_STAGE_FETCH;
	fetched.attempt = 1;
	fetched.status = data->status;
	fetched.data = data;
	write_event(text, &fetched);
}

/* Data may hold anything: newlines, tabs, what looks like a block or a line. */
static void test_inline_data_comes_back(void **state)
{
	(void)state;
	static const char bytes[] = "=5\n1\t2\tq\n\0\n";
	const struct pl_data data = { .kind = PL_DATA_BINARY,
		.bytes = sizeof bytes,
		.status = 201,
		.content_type = "image/\tpng",
		.inline_bytes = bytes };
	struct pl_buf text;
	begin(&text);
	write_fetched(&text, 2, &data);
	struct pl_event delivered = event(3, PL_STATE_DELIVERED, "delivered");
	write_event(&text, &delivered);
	struct pl_record *record = decoded(&text);
	assert_int_equal(record->last->state, PL_STATE_DELIVERED);
	assert_int_equal(record->data.kind, PL_DATA_BINARY);
	assert_int_equal(record->data.bytes, sizeof bytes);
	assert_int_equal(record->data.status, 201);
	assert_string_equal(record->data.content_type, "image/ png");
	assert_memory_equal(record->data.inline_bytes, bytes, sizeof bytes);
	assert_ptr_equal(record->events[1].data, &record->data);
	pl_record_free(record);
	pl_buf_fini(&text);
}

static void test_a_second_fetch_replaces_the_first(void **state)
{
	(void)state;
	const struct pl_data first = {
		.kind = PL_DATA_TEXT, .bytes = 3, .content_type = "", .inline_bytes = "one"
	};
	const struct pl_data second = { .kind = PL_DATA_JSON,
		.bytes = 300000,
		.content_type = "application/json",
		.chunks = 2,
		.token = "0123456789abcdef",
		.sha256 = "aa" };
	struct pl_buf text;
	begin(&text);
	write_fetched(&text, 2, &first);
	write_fetched(&text, 3, &second);
	struct pl_record *record = decoded(&text);
	assert_int_equal(record->data.chunks, 2);
	assert_string_equal(record->data.token, "0123456789abcdef");
	assert_string_equal(record->data.sha256, "aa");
	assert_null(record->events[1].data);
	assert_ptr_equal(record->events[2].data, &record->data);
	pl_record_free(record);
	pl_buf_fini(&text);
}

static void test_empty_data_needs_no_block(void **state)
{
	(void)state;
	const struct pl_data none = { .kind = PL_DATA_EMPTY, .status = 204, .content_type = "" };
	struct pl_buf text;
	begin(&text);
	write_fetched(&text, 2, &none);
	struct pl_record *record = decoded(&text);
	assert_int_equal(record->data.kind, PL_DATA_EMPTY);
	assert_int_equal(record->data.bytes, 0);
	pl_record_free(record);
	pl_buf_fini(&text);
}

/* Cut anywhere, a record is refused or shorter, never misread beyond its end. */
static void test_every_cut_is_survived(void **state)
{
	(void)state;
	const struct pl_data data = { .kind = PL_DATA_TEXT,
		.bytes = 10,
		.content_type = "text/plain",
		.inline_bytes = "0123456789" };
	struct pl_buf text;
	begin(&text);
	write_fetched(&text, 2, &data);
	for (size_t len = 0; len < text.len; len++) {
		struct pl_record *record = NULL;
		char *exact =
			malloc(len > 0 ? len : 1); /* so that a sanitizer sees a step too far */
		memcpy(exact, text.data, len);
		if (pl_record_decode(ID, exact, len, &record) == PL_OK) {
			assert_int_equal(record->events_count, 1);
			pl_record_free(record);
		}
		free(exact);
	}
	pl_buf_fini(&text);
}

static void test_nonsense_is_refused(void **state)
{
	(void)state;
	static const char *const texts[] = {
		"",
		"\n",
		"2\td\tf\ta:1\tb:1\t\t\thttp://a\thttp://b\t\n1\t0\tq\t0\t0\t0\tai\taccepted\n",
		"1\td\tf\ta:1\tb:1\t\t\thttp://a\thttp://b\t\n",
		"1\td\tf\ta:1\tb:1\t\t\thttp://a\n1\t0\tq\t0\t0\t0\tai\taccepted\n",
		"1\td\tf\ta:1\tb:1\t\t\thttp://a\thttp://b\t\n1\t0\t?\t0\t0\t0\tai\taccepted\n",
		"1\td\tf\ta:1\tb:1\t\t\thttp://a\thttp://b\t\n-1\t0\tq\t0\t0\t0\tai\taccepted\n",
		"1\td\tf\ta:1\tb:1\t\t\thttp://a\thttp://b\t\n=9\na\n1\t0\tq\t0\t0\t0\tai\tx\n",
	};
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		struct pl_record *record;
		assert_int_equal(
			pl_record_decode(ID, texts[i], strlen(texts[i]), &record), PL_EINVAL);
	}
}

/* Compaction comes now and then; what is kept is the same before and after. */
static void test_a_long_log_has_its_first_and_last_events(void **state)
{
	(void)state;
	struct pl_buf text;
	begin(&text);
	for (unsigned n = 2; n <= PL_EVENTS_KEPT + 30; n++) {
		struct pl_event retry = event(n, PL_STATE_QUEUED, "retry");
		write_event(&text, &retry);
	}
	struct pl_record *record = decoded(&text);
	assert_int_equal(record->events_count, PL_EVENTS_KEPT);
	assert_int_equal(record->events[PL_EVENTS_FIRST - 1].n, PL_EVENTS_FIRST);
	assert_int_equal(record->events[PL_EVENTS_FIRST].n, PL_EVENTS_FIRST + 31);
	assert_int_equal(record->last->n, PL_EVENTS_KEPT + 30);
	assert_ptr_equal(record->last, record->events + PL_EVENTS_KEPT - 1);
	pl_record_free(record);
	pl_buf_fini(&text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_head_comes_back),
		cmocka_unit_test(test_event_comes_back),
		cmocka_unit_test(test_inline_data_comes_back),
		cmocka_unit_test(test_a_second_fetch_replaces_the_first),
		cmocka_unit_test(test_empty_data_needs_no_block),
		cmocka_unit_test(test_a_long_log_has_its_first_and_last_events),
		cmocka_unit_test(test_every_cut_is_survived),
		cmocka_unit_test(test_nonsense_is_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
