#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "event_stream.h"

#define ID       "0190a3c4-0000-7000-8000-000000000001"
#define TEXT_MAX (64 * 1024)

/* A record whose events have these numbers, 0 at the end. */
struct story {
	struct pl_record record;
	struct pl_event events[8];
};

static const struct pl_record *story_of(struct story *story, const unsigned *numbers)
{
	*story = (struct story) { .record.events = story->events };
	memcpy(story->record.request.id, ID, sizeof(ID));
	for (; *numbers != 0; numbers++)
		story->events[story->record.events_count++] = (struct pl_event) {
			.n = *numbers,
			.time_ms = 1000,
			.name = "retry",
			.service = 'c',
			.stage = -1,
			.level = PL_LOG_WARN,
			.message = "a \"word\"\nand more",
		};
	story->record.last = &story->events[story->record.events_count - 1];
	return &story->record;
}

static size_t event_text(unsigned n, char *out, size_t size)
{
	return (size_t)snprintf(out, size,
		"id: %u\ndata: {\"n\":%u,\"time\":\"1970-01-01T00:00:01.000Z\",\"level\":\"warn\","
		"\"service\":\"consumer\",\"requestId\":\"" ID "\",\"event\":\"retry\","
		"\"reason\":\"a \\\"word\\\"\\nand more\"}\n\n",
		n, n);
}

/* expected: numbers of events; a negative one and the next are the first and last of a gap. */
static void assert_told(const unsigned *numbers, unsigned seen, const int *expected)
{
	struct story story;
	struct pl_buf text;
	char wanted[TEXT_MAX];
	size_t len = 0;
	pl_buf_init(&text, TEXT_MAX);
	assert_int_equal(event_stream_add(story_of(&story, numbers), &seen, &text), PL_OK);
	unsigned last = seen;
	wanted[0] = '\0';
	for (; *expected != 0; expected++) {
		if (*expected < 0) {
			len += (size_t)snprintf(wanted + len, sizeof(wanted) - len,
				"event: gap\nid: %d\ndata: {\"from\":%d,\"to\":%d}\n\n",
				expected[1], -expected[0], expected[1]);
			expected++;
			continue;
		}
		last = (unsigned)*expected;
		len += event_text(last, wanted + len, sizeof(wanted) - len);
	}
	assert_string_equal(text.len > 0 ? text.data : "", wanted);
	assert_int_equal(seen, last);
	pl_buf_fini(&text);
}

static void test_all_from_the_first(void **state)
{
	(void)state;
	assert_told((unsigned[]) { 1, 2, 3, 0 }, 0, (int[]) { 1, 2, 3, 0 });
}

static void test_only_what_was_not_seen(void **state)
{
	(void)state;
	assert_told((unsigned[]) { 1, 2, 3, 0 }, 2, (int[]) { 3, 0 });
	assert_told((unsigned[]) { 1, 2, 3, 0 }, 3, (int[]) { 0 });
	assert_told((unsigned[]) { 1, 2, 3, 0 }, 900, (int[]) { 0 });
}

static void test_gaps(void **state)
{
	(void)state;
	static const unsigned trimmed[] = { 1, 2, 71, 72, 80, 0 };
	assert_told(trimmed, 0, (int[]) { 1, 2, -3, 70, 71, 72, -73, 79, 80, 0 });
	assert_told(trimmed, 2, (int[]) { -3, 70, 71, 72, -73, 79, 80, 0 });
	assert_told(trimmed, 50, (int[]) { -51, 70, 71, 72, -73, 79, 80, 0 }); /* seen in part */
	assert_told(trimmed, 70, (int[]) { 71, 72, -73, 79, 80, 0 });
	assert_told(trimmed, 79, (int[]) { 80, 0 });
}

static void test_a_record_that_grows_is_told_once(void **state)
{
	(void)state;
	struct story story;
	struct pl_buf once, twice;
	unsigned seen = 0;
	pl_buf_init(&once, TEXT_MAX);
	pl_buf_init(&twice, TEXT_MAX);
	assert_int_equal(
		event_stream_add(story_of(&story, (unsigned[]) { 1, 2, 0 }), &seen, &twice), PL_OK);
	assert_int_equal(
		event_stream_add(story_of(&story, (unsigned[]) { 1, 2, 3, 0 }), &seen, &twice),
		PL_OK);
	seen = 0;
	assert_int_equal(
		event_stream_add(story_of(&story, (unsigned[]) { 1, 2, 3, 0 }), &seen, &once),
		PL_OK);
	assert_string_equal(once.data, twice.data);
	pl_buf_fini(&once);
	pl_buf_fini(&twice);
}

static void test_the_end(void **state)
{
	(void)state;
	struct pl_buf text;
	pl_buf_init(&text, TEXT_MAX);
	assert_int_equal(event_stream_end(PL_STATE_CANCELLED, &text), PL_OK);
	assert_string_equal(text.data, "event: end\ndata: {\"state\":\"cancelled\"}\n\n");
	pl_buf_fini(&text);
}

static void test_where_to_go_on(void **state)
{
	(void)state;
	unsigned seen = 7;
	assert_int_equal(event_stream_resume(NULL, &seen), PL_OK);
	assert_int_equal(seen, 0);
	assert_int_equal(event_stream_resume("12", &seen), PL_OK);
	assert_int_equal(seen, 12);
	static const char *const wrong[] = { "", "x", "-1", "1 ", "1.5", "4294967296" };
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		if (event_stream_resume(wrong[i], &seen) != PL_EINVAL)
			fail_msg("\"%s\" is taken for a number", wrong[i]);
	assert_int_equal(seen, 12);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_from_the_first),
		cmocka_unit_test(test_only_what_was_not_seen),
		cmocka_unit_test(test_gaps),
		cmocka_unit_test(test_a_record_that_grows_is_told_once),
		cmocka_unit_test(test_the_end),
		cmocka_unit_test(test_where_to_go_on),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
