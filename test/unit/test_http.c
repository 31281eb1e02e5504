/*
 * The HTTP engine against a server that does as the test says, on one loop: answers of every
 * framing, requests of every kind, and everything that can break.
 */
#include "http_sayings.h"

/* Answers. */

static void framings_are_read_to_their_end(void **state)
{
	struct rig *rig = *state;
	expect(rig, "/hello", PL_FAULT_NONE, 200, "hello");
	expect(rig, "/chunks", PL_FAULT_NONE, 200, "abcde");
	expect(rig, "/interim", PL_FAULT_NONE, 200, "ok");
	expect(rig, "/204", PL_FAULT_NONE, 204, "");
	expect(rig, "/odd-status", PL_FAULT_NONE, 999, "no");
	expect(rig, "/gzip", PL_FAULT_NONE, 200, "packed and unpacked");
	expect(rig, "/until-close", PL_FAULT_NONE, 200, "all there is");
	assert_int_equal(rig->server.connections, 1);
}

static void a_raw_answer_is_as_it_came(void **state)
{
	for (int i = 0; i < 3; i++) {
		struct story story;
		story_init(&story, *state, "/gzip");
		story.options.raw = i == 1;
		story.options.identity = i == 2; /* who codes it all the same has it undone */
		story_tell(&story);
		story_is(&story, PL_FAULT_NONE, 200, NULL);
		assert_int_equal(story.body.data[0], i == 1 ? 0x1f : 'p');
		assert_int_equal(story.body.len, i == 1 ? PACKED_LEN : 19);
		assert_true(story.answer.coded);
		story_fini(&story);
	}
}

/* Every length announced is kept; only the coding itself tells that something is missing. */
static void a_coded_body_is_whole_or_truncated(void **state)
{
	struct rig *rig = *state;
	expect(rig, "/c/twice", PL_FAULT_NONE, 200, "packed and unpackedpacked and unpacked");
	expect(rig, "/c/x-gzip", PL_FAULT_NONE, 200, "packed and unpacked");
	expect(rig, "/c/identity", PL_FAULT_NONE, 200, "plain");
	static const char *const broken[] = { "/c/half", "/c/no-trailer", "/c/no-last-byte",
		"/c/empty", "/c/once-and-a-half", "/c/behind", "/c/without-head" };
	for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++)
		expect(rig, broken[i], PL_FAULT_TRUNCATED, 200, NULL);
	expect(rig, "/gzip", PL_FAULT_NONE, 200, "packed and unpacked");
}

static void head_of(struct rig *rig, const char *path)
{
	struct story story;
	story_init(&story, rig, path);
	story.options.method = "HEAD";
	story_tell(&story);
	story_is(&story, PL_FAULT_NONE, 200, "");
	story_fini(&story);
}

static void what_does_not_count_is_not_undone(void **state)
{
	struct rig *rig = *state;
	expect(rig, "/c/404", PL_FAULT_NONE, 404, "no gzip");
	expect(rig, "/c/204", PL_FAULT_NONE, 204, "");
	expect(rig, "/c/part", PL_FAULT_NONE, 206, NULL);
	head_of(rig, "/gzip");
	head_of(rig, "/c/br");
}

static void codings_nobody_asked_for_are_refused(void **state)
{
	struct rig *rig = *state;
	static const char *const paths[] = { "/c/br", "/c/deflate", "/c/gzip-br", "/c/gzip-gzip" };
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		struct story story;
		story_init(&story, rig, paths[i]);
		story.options.identity = i % 2 == 1;
		story_tell(&story);
		story_is(&story, PL_FAULT_TRUNCATED, 200, "");
		assert_string_equal(story.answer.message,
			"the answer has a content coding that was not asked for");
		story_fini(&story);
	}
	expect(rig, "/gzip-transfer", PL_FAULT_RESET, 200, "");
}

static void codings_the_client_asks_for_are_the_clients(void **state)
{
	const struct pl_http_header headers[] = { { "accept-encoding", "br, gzip" } };
	static const struct {
		const char *path, *body;
	} rows[] = { { "/c/br", "squeezed" }, { "/c/deflate", "squeezed" },
		{ "/gzip", "packed and unpacked" } };
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct story story;
		story_init(&story, *state, rows[i].path);
		story.options.headers = headers;
		story.options.headers_count = 1;
		story_tell(&story);
		story_is(&story, PL_FAULT_NONE, 200, rows[i].body);
		assert_true(story.answer.coded);
		story_fini(&story);
	}
}

static void headers_that_matter_are_kept(void **state)
{
	struct story story;
	story_init(&story, *state, "/fields");
	story_tell(&story);
	story_is(&story, PL_FAULT_NONE, 429, "{}");
	assert_int_equal(story.heads, 1);
	assert_int_equal(story.head_status, 429);
	assert_string_equal(story.answer.content_type, "application/json ; charset=utf-8");
	assert_string_equal(story.answer.retry_after, "120");
	assert_string_equal(story.answer.etag, "\"abc\"");
	assert_string_equal(story.answer.last_modified, "Thu, 01 Jan 2026 00:00:00 GMT");
	assert_string_equal(story.answer.date, "Thu, 01 Jan 2026 00:01:00 GMT");
	assert_string_equal(story.answer.accept_ranges, "bytes");
	assert_string_equal(story.answer.content_range, "bytes 0-1/2");
	assert_int_equal(story.answer.content_length, 2);
	assert_true(story.answer.sent_whole);
	assert_false(story.answer.ended_by_close);
	story_fini(&story);
}

static void one_answer_leaves_nothing_for_the_next(void **state)
{
	struct story story;
	expect(*state, "/fields", PL_FAULT_NONE, 429, "{}");
	for (int i = 0; i < 2; i++) {
		story_init(&story, *state, i == 0 ? "/interim" : "/chunks");
		story_tell(&story);
		assert_string_equal(story.answer.retry_after, "");
		assert_string_equal(story.answer.etag, ""); /* neither early nor late */
		assert_int_equal(story.answer.content_length, i == 0 ? 2 : -1);
		story_fini(&story);
	}
}

static void an_end_by_close_is_said(void **state)
{
	static const struct {
		const char *path;
		bool by_close;
	} rows[] = { { "/until-close", true }, { "/plainly", true }, { "/chunks", false },
		{ "/204", false }, { "/hello", false } };
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct story story;
		story_init(&story, *state, rows[i].path);
		story_tell(&story);
		assert_int_equal(story.answer.ended_by_close, rows[i].by_close);
		story_fini(&story);
	}
}

/* Requests. */

static void expect_request(struct story *story, const char *rest)
{
	char want[512];
	snprintf(want, sizeof(want), "%s /back HTTP/1.1\r\nHost: 127.0.0.1:%u\r\nAccept: */*\r\n",
		story->options.method, story->rig->server.port);
	story_tell(story);
	story_is(story, PL_FAULT_NONE, 200, NULL);
	assert_true(story->body.len > strlen(want));
	assert_memory_equal(story->body.data, want, strlen(want));
	assert_string_equal(story->body.data + strlen(want), rest);
	assert_true(story->answer.sent_whole);
	story_fini(story);
}

#define AGENT  "User-Agent: fetchback/test\r\n"
#define CODING "Accept-Encoding: gzip\r\n"

static void requests_carry_what_was_given_and_no_more(void **state)
{
	const struct pl_http_header headers[] = { { "X-One", "1" }, { "X-Empty", "" },
		{ "X-Blank", " \t" }, { "Expect", "100-continue" } };
	const struct pl_http_header own_agent[] = { { "user-agent", "mine" } };
	const struct pl_http_header own_coding[] = { { "ACCEPT-encoding", "br" } };
	struct rig *rig = *state;
	struct story story;
	story_init(&story, rig, "/back");
	story.options.headers = headers;
	story.options.headers_count = 4;
	expect_request(&story, "X-One: 1\r\nX-Empty:\r\nX-Blank:\r\n" AGENT CODING "\r\n");
	/* the same handle and connection, with nothing of the former left */
	story_init(&story, rig, "/back");
	story.options.identity = true;
	story.options.method = "POST";
	story.options.body = "{\"a\":1}";
	story.options.body_len = 7;
	expect_request(
		&story, AGENT "Accept-Encoding: identity\r\nContent-Length: 7\r\n\r\n{\"a\":1}");
	story_init(&story, rig, "/back");
	expect_request(&story, AGENT CODING "\r\n");
	story_init(&story, rig, "/back");
	story.options.headers = own_coding;
	story.options.headers_count = 1;
	expect_request(&story, "ACCEPT-encoding: br\r\n" AGENT "\r\n");
	story_init(&story, rig, "/back");
	story.options.raw = true;
	expect_request(&story, AGENT "\r\n");
	story_init(&story, rig, "/back");
	story.options.headers = own_agent;
	story.options.headers_count = 1;
	expect_request(&story, "user-agent: mine\r\n" CODING "\r\n");
	assert_int_equal(rig->server.connections, 1);
}

static void methods_are_sent_as_given(void **state)
{
	static const struct {
		const char *method, *body, *line, *length;
	} rows[] = {
		{ "PUT", "x", "PUT /back ", "Content-Length: 1\r\n" },
		{ "GET", NULL, "GET /back ", NULL },
		{ "DELETE", NULL, "DELETE /back ", NULL },
		{ "POST", NULL, "POST /back ", "Content-Length: 0\r\n" },
		{ "HEAD", NULL, "HEAD /back ", NULL },
		{ "GET", "x", "GET /back ", "Content-Length: 1\r\n" },
		{ "PURGE", NULL, "PURGE /back ", NULL },
		{ "GET", NULL, "GET /back ", NULL },
	};
	struct rig *rig = *state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct story story;
		story_init(&story, rig, "/back");
		story.options.method = rows[i].method;
		story.options.body = rows[i].body;
		story.options.body_len = rows[i].body != NULL ? 1 : 0;
		story_tell(&story);
		story_is(&story, PL_FAULT_NONE, 200, NULL);
		assert_memory_equal(rig->server.last, rows[i].line, strlen(rows[i].line));
		if (rows[i].length != NULL)
			assert_non_null(strstr(rig->server.last, rows[i].length));
		else
			assert_null(strstr(rig->server.last, "Content-Length"));
		assert_null(strstr(rig->server.last, "Content-Type"));
		story_fini(&story);
	}
}

static void a_header_that_would_be_two_is_refused(void **state)
{
	const struct pl_http_header bad[] = { { "X-A", "1\r\nX-B: 2" }, { "X A", "1" },
		{ "", "" } };
	struct rig *rig = *state;
	for (size_t i = 0; i < 3; i++) {
		struct story story;
		story_init(&story, rig, "/hello");
		story.options.headers = &bad[i];
		story.options.headers_count = 1;
		story_tell(&story);
		story_is(&story, PL_FAULT_ADDRESS_BLOCKED, 0, "");
		story_fini(&story);
	}
	assert_int_equal(rig->server.requests, 0);
}

static void connections_are_used_again(void **state)
{
	struct rig *rig = *state;
	char named[128];
	for (int i = 0; i < 20; i++)
		expect(rig, "/hello", PL_FAULT_NONE, 200, "hello");
	assert_int_equal(rig->server.connections, 1);
	snprintf(named, sizeof(named), "http://a.test:%u/hello", rig->server.port);
	for (int i = 0; i < 20; i++)
		expect(rig, named, PL_FAULT_NONE, 200, "hello");
	assert_int_equal(rig->server.connections, 2);
	assert_int_equal(rig->dns.questions, 1);
	for (int i = 0; i < 5; i++)
		expect(rig, "/close", PL_FAULT_NONE, 200, "hello");
	assert_int_equal(rig->server.connections, 2 + 4);
}

static void serve_once(struct peer_conn *conn)
{
	if (conn->served == 1)
		say_hello(conn);
	else
		peer_close(conn);
}

static void serve_once_then_close(struct peer_conn *conn)
{
	say_hello(conn);
	peer_end(conn);
}

static void a_connection_that_died_at_rest_costs_nothing(void **state)
{
	struct rig *rig = *state;
	char named[64];
	snprintf(named, sizeof(named), "http://a.test:%u/hello", rig->server.port);
	rig->server.serve = serve_once; /* dies when it is used again */
	for (int i = 0; i < 6; i++)
		expect(rig, i % 2 ? named : "/hello", PL_FAULT_NONE, 200, "hello");
	assert_int_equal(rig->server.connections, 6);
	rig->server.serve = serve_once_then_close; /* dies before */
	for (int i = 0; i < 6; i++)
		expect(rig, i % 2 ? named : "/hello", PL_FAULT_NONE, 200, "hello");
}

static const char *early_answer;

static void serve_early(struct peer_conn *conn)
{
	peer_say(conn, early_answer);
	uv_read_stop((uv_stream_t *)&conn->tcp); /* and never reads the rest */
	if (strstr(early_answer, "close") != NULL)
		peer_end(conn);
	else
		peer_later(conn, 400, peer_close);
}

static void an_answer_before_the_body_was_sent_is_told(void **state)
{
	static const struct {
		const char *answer;
		int status;
	} rows[] = {
		{ OK_HEAD "Content-Length: 2\r\n\r\nok", 200 },
		{ OK_HEAD "Connection: close\r\nContent-Length: 2\r\n\r\nok", 200 },
		{ OK_HEAD "Connection: close\r\n\r\nok", 200 },
		{ "HTTP/1.1 413 No\r\nContent-Length: 2\r\n\r\nno", 413 },
		{ "HTTP/1.1 413 No\r\nConnection: close\r\nContent-Length: 2\r\n\r\nno", 413 },
	};
	struct rig *rig = *state;
	size_t len = 32 * 1024 * 1024; /* more than the sockets hold */
	char *body = pl_calloc(1, len);
	rig->server.serve = serve_early;
	rig->server.early = true;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct story story;
		early_answer = rows[i].answer;
		story_init(&story, rig, "/early");
		story.options.method = "POST";
		story.options.body = body;
		story.options.body_len = len;
		story.options.idle_ms = 200;
		story_tell(&story);
		assert_false(story.answer.sent_whole);
		if (story.answer.fault == PL_FAULT_NONE)
			assert_int_equal(story.answer.status, rows[i].status);
		print_message(
			"%zu %s %d\n", i, pl_fault_name(story.answer.fault), story.answer.status);
		story_fini(&story);
	}
	free(body);
}

static void a_large_body_is_sent_whole(void **state)
{
	struct rig *rig = *state;
	struct story story;
	size_t len = 3 * 1024 * 1024;
	char *body = pl_alloc(len);
	memset(body, 'z', len);
	story_init(&story, rig, "/back");
	story.options.method = "POST";
	story.options.body = body;
	story.options.body_len = len;
	story_tell(&story);
	story_is(&story, PL_FAULT_NONE, 200, NULL);
	assert_true(story.answer.sent_whole);
	assert_true(story.body.len > len);
	assert_memory_equal(story.body.data + story.body.len - len, body, len);
	story_fini(&story);
	free(body);
}

/* What breaks. */

static void every_break_has_its_fault(void **state)
{
	struct rig *rig = *state;
	expect(rig, "/too-little", PL_FAULT_TRUNCATED, 200, "half");
	expect(rig, "/half-a-chunk", PL_FAULT_TRUNCATED, 200, "ab");
	expect(rig, "/half-a-head", PL_FAULT_RESET, 0, "");
	expect(rig, "/goodbye", PL_FAULT_RESET, 0, "");
	expect(rig, "/reset", PL_FAULT_RESET, 0, "");
	expect(rig, "/then-reset", PL_FAULT_RESET, 200, "half");
	expect(rig, "/no-http", PL_FAULT_RESET, 0, "");
	expect(rig, "/old-http", PL_FAULT_RESET, 0, "");
	expect(rig, "/bad-gzip", PL_FAULT_TRUNCATED, 200, "");
	expect(rig, "http://none.test/", PL_FAULT_DNS, 0, "");
	expect(rig, "http://broken.test/", PL_FAULT_DNS, 0, "");
	expect(rig, "http://127.0.0.1:1/", PL_FAULT_CONNECT, 0, "");
	expect(rig, "not a url", PL_FAULT_ADDRESS_BLOCKED, 0, "");
	expect(rig, "ftp://127.0.0.1/", PL_FAULT_ADDRESS_BLOCKED, 0, "");
	expect(rig, "/hello", PL_FAULT_NONE, 200, "hello");
}

static void plain_text_on_a_tls_port_is_a_tls_fault(void **state)
{
	struct rig *rig = *state;
	char url[64];
	rig->server.early = true;
	snprintf(url, sizeof(url), "https://127.0.0.1:%u/", rig->server.port);
	struct story story;
	story_init(&story, rig, url);
	story.options.connect_ms = 300; /* the server waits for a blank line that never comes */
	story_tell(&story);
	story_is(&story, PL_FAULT_TIMEOUT_CONNECT, 0, "");
	story_fini(&story);
}

static void headers_have_a_ceiling(void **state)
{
	expect(*state, "/long-heads", PL_FAULT_TOO_LARGE, 0, "");
	expect(*state, "/long-line", PL_FAULT_TOO_LARGE, 0, "");
	expect(*state, "/hints", PL_FAULT_TOO_LARGE, 0, "");
	expect(*state, "/hello", PL_FAULT_NONE, 200, "hello"); /* each answer counts anew */
}

static void expect_too_large(struct rig *rig, const char *path, uint64_t max, bool head)
{
	struct story story;
	story_init(&story, rig, path);
	story.options.body_max = max;
	story_tell(&story);
	story_is(&story, PL_FAULT_TOO_LARGE, 200, NULL);
	assert_true(story.answer.body_bytes <= max);
	assert_int_equal(story.heads, head ? 1 : 0);
	story_fini(&story);
}

static void bodies_have_a_ceiling(void **state)
{
	struct rig *rig = *state;
	struct story story;
	expect_too_large(rig, "/hello", 4, false); /* announced: refused unread */
	expect_too_large(rig, "/chunks", 4, true);
	expect_too_large(rig, "/until-close", 11, true);
	expect_too_large(rig, "/chunk-flood", 100000, true);
	expect_too_large(rig, "/bomb", 1024 * 1024, true);
	expect_too_large(rig, "/gzip", 18, true);
	story_init(&story, rig, "/hello");
	story.options.body_max = 5;
	story_tell(&story);
	story_is(&story, PL_FAULT_NONE, 200, "hello");
	story_fini(&story);
	story_init(&story, rig, "/big");
	story.options.method = "HEAD"; /* announces what it does not send */
	story.options.body_max = 5;
	story_tell(&story);
	story_is(&story, PL_FAULT_NONE, 200, NULL);
	story_fini(&story);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		PATHS_TEST(framings_are_read_to_their_end),
		PATHS_TEST(a_raw_answer_is_as_it_came),
		PATHS_TEST(a_coded_body_is_whole_or_truncated),
		PATHS_TEST(what_does_not_count_is_not_undone),
		PATHS_TEST(codings_nobody_asked_for_are_refused),
		PATHS_TEST(codings_the_client_asks_for_are_the_clients),
		PATHS_TEST(headers_that_matter_are_kept),
		PATHS_TEST(one_answer_leaves_nothing_for_the_next),
		PATHS_TEST(an_end_by_close_is_said),
		PATHS_TEST(requests_carry_what_was_given_and_no_more),
		PATHS_TEST(methods_are_sent_as_given),
		PATHS_TEST(a_header_that_would_be_two_is_refused),
		PATHS_TEST(connections_are_used_again),
		PATHS_TEST(a_connection_that_died_at_rest_costs_nothing),
		PATHS_TEST(an_answer_before_the_body_was_sent_is_told),
		PATHS_TEST(a_large_body_is_sent_whole),
		PATHS_TEST(every_break_has_its_fault),
		PATHS_TEST(plain_text_on_a_tls_port_is_a_tls_fault),
		PATHS_TEST(headers_have_a_ceiling),
		PATHS_TEST(bodies_have_a_ceiling),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
