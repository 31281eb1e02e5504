#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <limits.h>
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

static struct pl_event widest_event(const struct pl_data *data)
{
	struct pl_event widest = event(UINT32_MAX, PL_STATE_QUEUED, "retry");
	widest.time_ms = widest.until_ms = UINT64_MAX;
	widest.paused = true;
	widest.attempts[PL_STAGE_FETCH] = UINT32_MAX;
	widest.attempts[PL_STAGE_DELIVER] = UINT32_MAX;
	widest.refetch = UINT32_MAX;
	widest.stage = PL_STAGE_DELIVER;
	widest.attempt = UINT32_MAX;
	widest.ms = UINT64_MAX;
	widest.status = INT_MIN;
	widest.fault = PL_FAULT_HTTP_STATUS;
	widest.message = "why";
	widest.data = data;
	return widest;
}

/* Older processes and the scripts read these lines: they stay as they are to the byte. */
static void test_lines_are_spelled_as_ever(void **state)
{
	(void)state;
	static const struct pl_data data = {
		.kind = PL_DATA_TEXT, .bytes = 2, .content_type = "a/b", .inline_bytes = "\t\n"
	};
	static const struct pl_partial partial = { .bytes = UINT64_MAX,
		.content_type = "a/b",
		.chunks = UINT32_MAX,
		.token = "0f",
		.validator = "\"e\"" };
	struct pl_request whole = REQUEST;
	whole.owner = "me";
	whole.parent = "1-2";
	struct pl_event plain = event(2, PL_STATE_QUEUED, "accepted");
	struct pl_event cut = event(3, PL_STATE_QUEUED, "paused");
	cut.partial = &partial;
	struct pl_event widest = widest_event(&data);
	struct pl_buf text;
	pl_buf_init(&text, 4096);
	assert_int_equal(pl_record_head(&REQUEST, &text), PL_OK);
	assert_int_equal(pl_record_head(&whole, &text), PL_OK);
	write_event(&text, &plain);
	write_event(&text, &cut);
	assert_int_equal(pl_event_encode(&widest, 0, &text), PL_OK);
	assert_string_equal(text.data,
		"1\tl\tf\ta.example:80\tb.example:80\t\t\thttp://a.example/x\t"
		"http://b.example/y\t{\"priority\":\"low\"}\n"
		"1\tl\tf\ta.example:80\tb.example:80\tme\t1-2\thttp://a.example/x\t"
		"http://b.example/y\t{\"priority\":\"low\"}\n"
		"2\t20\tq\t0\t0\t0\tai\taccepted\t-\t0\t0\t0\n"
		"3\t30\tq\t0\t0\t0\tai\tpaused\t-\t0\t0\t0\t\t\t\t-\t18446744073709551615\ta/b\t"
		"4294967295\t0f\t\"e\"\n"
		"=2\n\t\n\n"
		"4294967295\t18446744073709551615\tqp\t4294967295\t4294967295\t4294967295\tai\t"
		"retry\td\t4294967295\t18446744073709551615\t-2147483648\thttp_status\twhy\t"
		"18446744073709551615\tt\t2\ta/b\n");
	pl_buf_fini(&text);
}

/* A buffer that is too small by however many bytes is left as it was; one that just fits will do. */
static void test_what_does_not_fit_leaves_no_trace(void **state)
{
	(void)state;
	static const struct pl_data data = { .kind = PL_DATA_TEXT,
		.bytes = 10,
		.content_type = "text/plain",
		.inline_bytes = "0123456789" };
	struct pl_event widest = widest_event(&data);
	struct pl_buf head, line;
	pl_buf_init(&head, 4096);
	pl_buf_init(&line, 4096);
	assert_int_equal(pl_record_head(&REQUEST, &head), PL_OK);
	assert_int_equal(pl_event_encode(&widest, 0, &line), PL_OK);
	for (size_t max = 1; max <= head.len || max <= line.len; max++) {
		struct pl_buf tight;
		pl_buf_init(&tight, max);
		assert_int_equal(pl_buf_add(&tight, "x", 1), PL_OK);
		assert_int_equal(
			pl_record_head(&REQUEST, &tight), max > head.len ? PL_OK : PL_ELIMIT);
		tight.len = 1;
		assert_int_equal(
			pl_event_encode(&widest, 0, &tight), max > line.len ? PL_OK : PL_ELIMIT);
		assert_int_equal(tight.len, max > line.len ? 1 + line.len : 1);
		pl_buf_fini(&tight);
	}
	pl_buf_fini(&head);
	pl_buf_fini(&line);
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
		cmocka_unit_test(test_lines_are_spelled_as_ever),
		cmocka_unit_test(test_what_does_not_fit_leaves_no_trace),
		cmocka_unit_test(test_inline_data_comes_back),
		cmocka_unit_test(test_a_second_fetch_replaces_the_first),
		cmocka_unit_test(test_empty_data_needs_no_block),
		cmocka_unit_test(test_a_long_log_has_its_first_and_last_events),
		cmocka_unit_test(test_every_cut_is_survived),
		cmocka_unit_test(test_nonsense_is_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
