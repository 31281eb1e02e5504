/* Server-sent events as `fetchback logs -f` reads them, in pieces of any size. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "../../cli/event_reader.c"

struct heard { /* each event as "name|id|data;" */
	char text[1024];
	size_t len;
};

static void on_event(void *arg, const struct event *event)
{
	struct heard *heard = arg;
	heard->len += (size_t)snprintf(heard->text + heard->len, sizeof heard->text - heard->len,
		"%s|%s|%s;", event->name, event->id, event->data);
	assert_true(heard->len < sizeof heard->text);
}

static bool feed_by(struct event_reader *reader, const char *bytes, size_t len, size_t piece)
{
	for (size_t at = 0; at < len; at += piece)
		if (!event_reader_feed(reader, bytes + at, len - at < piece ? len - at : piece))
			return false;
	return true;
}

static void test_what_is_told(void **state)
{
	(void)state;
	static const struct {
		const char *stream, *events;
	} rows[] = {
		{ "", "" },
		{ "data: a\n\n", "||a;" },
		{ "id: 7\ndata: {\"n\":7}\n\n", "|7|{\"n\":7};" },
		{ "event: end\ndata: {}\n\n", "end||{};" },
		{ "data: a\n\ndata: b\n\n", "||a;||b;" },
		/* What one event said is not the next one's. */
		{ "event: gap\nid: 1\ndata: a\n\ndata: b\n\n", "gap|1|a;||b;" },
		{ "event: gap\nid: 1\n\ndata: b\n\n", "||b;" },
		{ "event: one\nevent: two\nid: 1\nid: 2\ndata: a\n\n", "two|2|a;" },
		/* One blank behind the colon is not the value's. */
		{ "data:a\n\n", "||a;" },
		{ "data:  a\n\n", "|| a;" },
		{ "data: a: b\n\n", "||a: b;" },
		{ "data: a\ndata: b\n\n", "||a\nb;" },
		{ "data: a\r\n\r\n", "||a;" },
		{ "data: a\rb\n\n", "||a\rb;" },
		/* Comments, fields of others, fields without a value. */
		{ ":\n\n: data: x\n:data: y\n\ndata: a\n\n", "||a;" },
		{ "retry: 5\nDATA: x\ndat: y\ndatax: z\ndata: a\n\n", "||a;" },
		{ "id\nevent\ndata: a\n\n", "||a;" },
		{ "data\n\n\n\n", "" },
		/* Without its empty line it never came. */
		{ "data: a\n", "" },
		{ "data: a", "" },
	};
	static const size_t pieces[] = { SIZE_MAX, 1, 2, 3, 7 };

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		for (size_t k = 0; k < sizeof pieces / sizeof *pieces; k++) {
			struct heard heard = { .text = "" };
			struct event_reader reader;
			event_reader_init(&reader, on_event, &heard);
			const char *stream = rows[i].stream;
			assert_true(feed_by(&reader, stream, strlen(stream), pieces[k]));
			if (strcmp(heard.text, rows[i].events) != 0)
				fail_msg("row %zu by %zu: %s", i, pieces[k], heard.text);
			event_reader_fini(&reader);
		}
}

/* Wherever the stream breaks off: what had begun is forgotten, the next one starts afresh. */
static void test_a_new_stream_begins_anew(void **state)
{
	(void)state;
	static const char stream[] = "event: gap\nid: 3\ndata: old\ndata: more\n";

	for (size_t cut = 0; cut < sizeof stream; cut++) {
		struct heard heard = { .text = "" };
		struct event_reader reader;
		event_reader_init(&reader, on_event, &heard);
		assert_true(event_reader_feed(&reader, stream, cut));
		event_reader_reset(&reader);
		assert_true(feed_by(&reader, "data: new\n\n", 11, 1));
		assert_string_equal(heard.text, "||new;");
		event_reader_fini(&reader);
	}
}

static bool takes(const char *before, size_t count, const char *behind)
{
	struct heard heard = { .text = "" };
	struct event_reader reader;
	char some[100];
	bool taken;

	event_reader_init(&reader, on_event, &heard);
	memset(some, 'x', sizeof some);
	taken = event_reader_feed(&reader, before, strlen(before));
	for (; taken && count > 0; count -= count < sizeof some ? count : sizeof some)
		taken = event_reader_feed(&reader, some, count < sizeof some ? count : sizeof some);
	taken = taken && event_reader_feed(&reader, behind, strlen(behind));
	event_reader_fini(&reader);
	return taken;
}

static void test_ceilings(void **state)
{
	(void)state;
	assert_true(takes(":", EVENT_LINE_MAX - 1, ""));
	assert_false(takes(":", EVENT_LINE_MAX, ""));
	assert_true(takes("id: ", EVENT_ID_SIZE - 1, "\n"));
	assert_false(takes("id: ", EVENT_ID_SIZE, "\n"));

	/* Many short lines are one long event. */
	struct heard heard = { .text = "" };
	struct event_reader reader;
	unsigned lines = 0;
	event_reader_init(&reader, on_event, &heard);
	while (event_reader_feed(&reader, "data: 789abcdef012345\n", 22))
		assert_true(++lines <= EVENT_LINE_MAX / 16);
	assert_int_equal(lines, EVENT_LINE_MAX / 16);
	event_reader_reset(&reader);
	assert_true(event_reader_feed(&reader, "data: a\n\n", 9));
	assert_string_equal(heard.text, "||a;");
	event_reader_fini(&reader);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_is_told),
		cmocka_unit_test(test_a_new_stream_begins_anew),
		cmocka_unit_test(test_ceilings),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
