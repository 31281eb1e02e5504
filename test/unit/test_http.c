/*
 * The HTTP engine against a server that does as the test says, on one loop: answers of every
 * framing, everything that can break, and what a caller may do in between.
 */
#include "http_rig.h"

#define OK_HEAD "HTTP/1.1 200 OK\r\n"

/* What the server says, by path. */

static void say_hello(struct peer_conn *conn)
{
	peer_say(conn, OK_HEAD "Content-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello");
}

static void say_fields(struct peer_conn *conn)
{
	peer_say(conn, "HTTP/1.1 429 Slow down\r\n"
		       "content-type:application/json ; charset=utf-8\t\r\n"
		       "RETRY-AFTER:   120\r\n"
		       "ETag: \"abc\"\r\n"
		       "Last-Modified: Thu, 01 Jan 2026 00:00:00 GMT\r\n"
		       "Date: Thu, 01 Jan 2026 00:01:00 GMT\r\n"
		       "Accept-Ranges: bytes\r\n"
		       "Content-Range: bytes 0-1/2\r\n"
		       "X-Etag: no\r\n"
		       "Content-Length: 2\r\n\r\n{}");
}

static void say_chunks(struct peer_conn *conn)
{
	peer_say(conn, OK_HEAD "Transfer-Encoding: chunked\r\n\r\n"
			       "2;ext=1\r\nab\r\n3\r\ncde\r\n0\r\nEtag: late\r\n\r\n");
}

static void say_until_close(struct peer_conn *conn)
{
	peer_say(conn, OK_HEAD "\r\nall there is");
	peer_end(conn);
}

static void say_plainly_until_close(struct peer_conn *conn)
{
	peer_say(conn, OK_HEAD "Transfer-Encoding: identity\r\n\r\nall there is");
	peer_end(conn);
}

static void say_interim(struct peer_conn *conn)
{
	peer_say(conn, "HTTP/1.1 103 Early Hints\r\nETag: early\r\n\r\n" OK_HEAD
		       "Content-Length: 2\r\n\r\nok");
}

static void say_nothing_more(struct peer_conn *conn)
{
	peer_say(conn, "HTTP/1.1 204 No Content\r\n\r\n");
}

static void say_too_little(struct peer_conn *conn)
{
	peer_say(conn, OK_HEAD "Content-Length: 10\r\n\r\nhalf");
	peer_end(conn);
}

static void say_half_a_chunk(struct peer_conn *conn)
{
	peer_say(conn, OK_HEAD "Transfer-Encoding: chunked\r\n\r\n5\r\nab");
	peer_end(conn);
}

static void say_half_a_head(struct peer_conn *conn)
{
	peer_say(conn, OK_HEAD "Content-Le");
	peer_end(conn);
}

static void say_goodbye(struct peer_conn *conn)
{
	peer_end(conn);
}

static void reset_soon(struct peer_conn *conn)
{
	peer_reset(conn);
}

static void say_then_reset(struct peer_conn *conn)
{
	peer_say(conn, OK_HEAD "Content-Length: 10\r\n\r\nhalf");
	peer_later(conn, 20, peer_reset);
}

static void say_no_http(struct peer_conn *conn)
{
	peer_say(conn, "220 mail.example ESMTP\r\n");
	peer_end(conn);
}

static void say_old_http(struct peer_conn *conn)
{
	peer_say(conn, "<html>an HTTP/0.9 answer</html>");
	peer_end(conn);
}

static void say_odd_status(struct peer_conn *conn)
{
	peer_say(conn, "HTTP/1.1 999 Odd\r\nContent-Length: 2\r\n\r\nno");
}

static void say_long_heads(struct peer_conn *conn)
{
	char line[1024];
	memset(line, 'x', sizeof(line));
	memcpy(line, "X-Long: ", 8);
	memcpy(line + sizeof(line) - 3, "\r\n", 3);
	peer_say(conn, OK_HEAD);
	for (int i = 0; i < PL_HTTP_HEADERS_MAX / 1024 + 2; i++)
		peer_say(conn, line);
	peer_say(conn, "Content-Length: 0\r\n\r\n");
}

static void say_one_long_line(struct peer_conn *conn)
{
	char line[1024];
	memset(line, 'x', sizeof(line));
	peer_say(conn, OK_HEAD "X-Long: ");
	for (int i = 0; i < 400; i++)
		peer_say_bytes(conn, line, sizeof(line));
}

static void say_hints_for_ever(struct peer_conn *conn)
{
	for (int i = 0; i < 4000; i++)
		peer_say(conn, "HTTP/1.1 103 Early Hints\r\nLink: </>\r\n\r\n");
}

static void say_nothing(struct peer_conn *conn)
{
	(void)conn;
}

static void drip(struct peer_conn *conn)
{
	if (conn->said == 10)
		return;
	peer_say_bytes(conn, &"0123456789"[conn->said++], 1);
	peer_later(conn, 20, drip);
}

static void say_slowly(struct peer_conn *conn)
{
	conn->said = 0;
	peer_say(conn, OK_HEAD "Content-Length: 10\r\n\r\n");
	drip(conn);
}

static void say_half_then_wait(struct peer_conn *conn)
{
	peer_say(conn, OK_HEAD "Content-Length: 10\r\n\r\nhalf");
}

static void say_chunk_flood(struct peer_conn *conn)
{
	static char data[16 * 1024];
	peer_say(conn, OK_HEAD "Transfer-Encoding: chunked\r\n\r\n");
	for (int i = 0; i < 64; i++) {
		peer_say(conn, "4000\r\n");
		peer_say_bytes(conn, data, sizeof(data));
		peer_say(conn, "\r\n");
	}
}

static void say_packed(struct peer_conn *conn, const uint8_t *packed, size_t len)
{
	char head[256];
	snprintf(head, sizeof(head),
		OK_HEAD "Content-Encoding: gzip\r\nContent-Length: %zu\r\n\r\n", len);
	peer_say(conn, head);
	peer_say_bytes(conn, packed, len);
}

static void say_gzip(struct peer_conn *conn)
{
	static const uint8_t packed[] = { /* "packed and unpacked" */
		0x1f, 0x8b, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02, 0x03, 0x2b, 0x48, 0x4c, 0xce,
		0x4e, 0x4d, 0x51, 0x48, 0xcc, 0x4b, 0x51, 0x28, 0xcd, 0x2b, 0x00, 0x73, 0x00, 0xf8,
		0x0a, 0xa9, 0xfa, 0x13, 0x00, 0x00, 0x00
	};
	say_packed(conn, packed, sizeof(packed));
}

/* A gzip head, one letter, then "the last byte 258 times more" (13 bits of fixed Huffman code) for
 * ever: 10 MiB in 64 KiB. */
static void say_bomb(struct peer_conn *conn)
{
	static uint8_t packed[64 * 1024] = { 0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff };
	static const char start[] = "01010101010", again[] = "1100010100000";
	const char *bits = start;
	for (size_t at = 80; at < sizeof(packed) * 8; at++) {
		if (*bits == '\0')
			bits = again;
		packed[at / 8] = (uint8_t)(packed[at / 8] | (*bits++ - '0') << at % 8);
	}
	say_packed(conn, packed, sizeof(packed));
}

static void say_bad_gzip(struct peer_conn *conn)
{
	peer_say(conn, OK_HEAD "Content-Encoding: gzip\r\nContent-Length: 9\r\n\r\nnot gzip!");
}

static void say_big(struct peer_conn *conn)
{
	static char data[1024 * 1024];
	char head[128];
	memset(data, 'b', sizeof(data));
	snprintf(head, sizeof(head), OK_HEAD "Content-Length: %zu\r\n\r\n", sizeof(data));
	peer_say(conn, head);
	peer_say_bytes(conn, data, sizeof(data));
}

static void say_back(struct peer_conn *conn)
{
	char head[128];
	snprintf(head, sizeof(head), OK_HEAD "Content-Length: %zu\r\n\r\n", conn->request_len);
	peer_say(conn, head);
	peer_say_bytes(conn, conn->in, conn->request_len);
}

static void say_hello_and_close(struct peer_conn *conn)
{
	peer_say(conn, OK_HEAD "Connection: close\r\nContent-Length: 5\r\n\r\nhello");
	peer_end(conn);
}

static void serve_by_path(struct peer_conn *conn)
{
	static const struct {
		const char *path;
		void (*serve)(struct peer_conn *conn);
	} rows[] = {
		{ "/hello ", say_hello },
		{ "/fields ", say_fields },
		{ "/chunks ", say_chunks },
		{ "/until-close ", say_until_close },
		{ "/plainly ", say_plainly_until_close },
		{ "/interim ", say_interim },
		{ "/204 ", say_nothing_more },
		{ "/too-little ", say_too_little },
		{ "/half-a-chunk ", say_half_a_chunk },
		{ "/half-a-head ", say_half_a_head },
		{ "/goodbye ", say_goodbye },
		{ "/reset ", reset_soon },
		{ "/then-reset ", say_then_reset },
		{ "/no-http ", say_no_http },
		{ "/old-http ", say_old_http },
		{ "/odd-status ", say_odd_status },
		{ "/long-heads ", say_long_heads },
		{ "/long-line ", say_one_long_line },
		{ "/hints ", say_hints_for_ever },
		{ "/nothing ", say_nothing },
		{ "/slowly ", say_slowly },
		{ "/half ", say_half_then_wait },
		{ "/chunk-flood ", say_chunk_flood },
		{ "/gzip ", say_gzip },
		{ "/bomb ", say_bomb },
		{ "/bad-gzip ", say_bad_gzip },
		{ "/big ", say_big },
		{ "/back ", say_back },
		{ "/close ", say_hello_and_close },
	};
	const char *path = strchr(conn->in, '/');
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (strncmp(path, rows[i].path, strlen(rows[i].path)) != 0)
			continue;
		rows[i].serve(conn);
		return;
	}
	peer_say(conn, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
}

static int open_by_path(void **state)
{
	rig_open(state);
	struct rig *rig = *state;
	rig->server.serve = serve_by_path;
	return 0;
}

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

static void identity_leaves_bytes_as_they_came(void **state)
{
	for (int i = 0; i < 3; i++) {
		struct story story;
		story_init(&story, *state, "/gzip");
		story.options.identity = i == 1;
		story_tell(&story);
		story_is(&story, PL_FAULT_NONE, 200, NULL);
		assert_int_equal(story.body.data[0], i == 1 ? 0x1f : 'p');
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

static void expect_request(struct story *story, const char *head, const char *rest)
{
	char want[512];
	snprintf(want, sizeof(want), "%s /back HTTP/1.1\r\nHost: 127.0.0.1:%u\r\n%s",
		story->options.method, story->rig->server.port, head);
	story_tell(story);
	story_is(story, PL_FAULT_NONE, 200, NULL);
	assert_true(story->body.len > strlen(want));
	assert_memory_equal(story->body.data, want, strlen(want));
	assert_string_equal(story->body.data + strlen(want), rest);
	assert_true(story->answer.sent_whole);
	story_fini(story);
}

#define AGENT  "User-Agent: fetchback/test\r\nAccept: */*\r\n"
#define CODING "Accept-Encoding: deflate, gzip, br, zstd\r\n"

static void requests_carry_what_was_given_and_no_more(void **state)
{
	const struct pl_http_header headers[] = { { "X-One", "1" }, { "X-Empty", "" },
		{ "X-Blank", " \t" }, { "Expect", "100-continue" } };
	const struct pl_http_header own_agent[] = { { "user-agent", "mine" } };
	struct rig *rig = *state;
	struct story story;
	story_init(&story, rig, "/back");
	story.options.headers = headers;
	story.options.headers_count = 4;
	expect_request(&story, AGENT CODING, "X-One: 1\r\nX-Empty:\r\nX-Blank:\r\n\r\n");
	/* the same handle and connection, with nothing of the former left */
	story_init(&story, rig, "/back");
	story.options.identity = true;
	story.options.method = "POST";
	story.options.body = "{\"a\":1}";
	story.options.body_len = 7;
	expect_request(
		&story, AGENT, "Accept-Encoding: identity\r\nContent-Length: 7\r\n\r\n{\"a\":1}");
	story_init(&story, rig, "/back");
	expect_request(&story, AGENT CODING, "\r\n");
	story_init(&story, rig, "/back");
	story.options.headers = own_agent;
	story.options.headers_count = 1;
	expect_request(&story, "Accept: */*\r\n" CODING, "user-agent: mine\r\n\r\n");
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

/* Time. */

static void silence_and_length_have_limits(void **state)
{
	struct rig *rig = *state;
	static const struct {
		const char *path;
		uint64_t idle_ms, total_ms;
		enum pl_fault fault;
	} rows[] = {
		{ "/nothing", 60, 5000, PL_FAULT_TIMEOUT_IDLE },
		{ "/half", 60, 5000, PL_FAULT_TIMEOUT_IDLE },
		{ "/nothing", 5000, 60, PL_FAULT_TIMEOUT_TOTAL },
		{ "/half", 0, 60, PL_FAULT_TIMEOUT_TOTAL },
		{ "/slowly", 0, 60, PL_FAULT_TIMEOUT_TOTAL },
		{ "/slowly", 120, 5000, PL_FAULT_NONE }, /* 200 ms, but never silent for long */
		{ "/slowly", 0, 0, PL_FAULT_NONE },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct story story;
		story_init(&story, rig, rows[i].path);
		story.options.idle_ms = rows[i].idle_ms;
		story.options.total_ms = rows[i].total_ms;
		story_tell(&story);
		story_is(&story, rows[i].fault, story.answer.status, NULL);
		assert_true(story.answer.ms >= (rows[i].fault == PL_FAULT_NONE ? 150 : 59));
		assert_true(story.answer.ms < 1000);
		story_fini(&story);
	}
}

static void names_count_into_the_total(void **state)
{
	struct story story;
	story_init(&story, *state, "http://silent.test/");
	story.options.total_ms = 100;
	story_tell(&story);
	story_is(&story, PL_FAULT_TIMEOUT_TOTAL, 0, "");
	story_fini(&story);
}

static void a_full_listener_is_a_connect_timeout(void **state)
{
	struct story story;
	struct full_listener full;
	char url[64];
	full_listener_open(&full, "127.0.0.1", 0);
	snprintf(url, sizeof(url), "http://127.0.0.1:%u/", full.port);
	story_init(&story, *state, url);
	story.options.connect_ms = 150;
	story_tell(&story);
	story_is(&story, PL_FAULT_TIMEOUT_CONNECT, 0, "");
	assert_true(story.answer.ms >= 140);
	story_fini(&story);
	full_listener_close(&full);
}

/* The caller's hand. */

static void paused_bytes_are_offered_again(void **state)
{
	struct rig *rig = *state;
	static const char *const paths[] = { "/hello", "/chunks", "/gzip", "/big", "/until-close" };
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		struct story whole, paused;
		story_init(&whole, rig, paths[i]);
		story_tell(&whole);
		story_init(&paused, rig, paths[i]);
		paused.body_flow = PL_HTTP_PAUSE;
		paused.options.idle_ms = 30; /* a pause is no silence of the server's */
		story_tell_resumed(&paused, 150);
		assert_int_equal(paused.pauses, 1);
		story_is(&paused, PL_FAULT_NONE, 200, NULL);
		assert_int_equal(paused.body.len, whole.body.len);
		assert_int_equal(paused.answer.body_bytes, whole.body.len);
		assert_memory_equal(paused.body.data, whole.body.data, whole.body.len);
		assert_true(paused.answer.ms >= 140);
		story_fini(&whole);
		story_fini(&paused);
	}
}

static void a_pause_at_the_head_holds_the_body(void **state)
{
	struct story story;
	story_init(&story, *state, "/big");
	story.head_flow = PL_HTTP_PAUSE;
	story.options.idle_ms = 30;
	story_tell_resumed(&story, 150);
	story_is(&story, PL_FAULT_NONE, 200, NULL);
	assert_int_equal(story.heads, 1);
	assert_int_equal(story.body.len, 1024 * 1024);
	assert_true(story.answer.ms >= 140);
	story_fini(&story);
}

static void a_pause_does_not_stop_the_total(void **state)
{
	struct story story;
	story_init(&story, *state, "/big");
	story.body_flow = PL_HTTP_PAUSE;
	story.options.total_ms = 80;
	story_tell(&story);
	story_is(&story, PL_FAULT_TIMEOUT_TOTAL, 200, NULL);
	story_fini(&story);
}

static void bytes_kept_in_a_pause_count_too(void **state)
{
	struct story story;
	story_init(&story, *state, "/bomb");
	story.body_flow = PL_HTTP_PAUSE;
	story.options.body_max = 100000;
	story_tell_resumed(&story, 20);
	story_is(&story, PL_FAULT_TOO_LARGE, 200, NULL);
	assert_true(story.answer.body_bytes <= 100000);
	story_fini(&story);
}

static void stop_makes_a_whole_answer(void **state)
{
	struct rig *rig = *state;
	struct story story;
	story_init(&story, rig, "/big");
	story.body_flow = PL_HTTP_STOP;
	story_tell(&story);
	story_is(&story, PL_FAULT_NONE, 200, NULL);
	assert_int_equal(story.bodies, 1);
	assert_int_equal(story.answer.body_bytes, story.body.len);
	story_fini(&story);
	story_init(&story, rig, "/big");
	story.head_flow = PL_HTTP_STOP;
	story_tell(&story);
	story_is(&story, PL_FAULT_NONE, 200, "");
	assert_int_equal(story.bodies, 0);
	story_fini(&story);
	expect(rig, "/hello", PL_FAULT_NONE, 200, "hello");
}

static void cut_now(struct story *story)
{
	pl_http_cut(story->exchange, PL_FAULT_CANCELLED);
	pl_http_cut(story->exchange, PL_FAULT_EXPIRED); /* the first one counts */
	assert_int_equal(story->dones, 0);
}

/* Cuts after n turns of the loop, so in every step there is. */
static void a_cut_works_at_every_step(void **state)
{
	struct rig *rig = *state;
	static const struct {
		const char *host, *path;
	} rows[] = { { "a.test", "/big" }, { "silent.test", "/" }, { "127.0.0.1", "/nothing" },
		{ "127.0.0.1", "/half" } };
	for (size_t row = 0; row < 4; row++) {
		for (int turns = 0; turns < 14; turns++) {
			struct story story;
			char url[64];
			snprintf(url, sizeof(url), "http://%s:%u%s", rows[row].host,
				rig->server.port, rows[row].path);
			story_init(&story, rig, url);
			story_start(&story);
			for (int i = 0; i < turns && story.dones == 0; i++)
				uv_run(&rig->loop, UV_RUN_NOWAIT);
			if (story.dones == 0)
				cut_now(&story);
			story_wait(&story);
			if (story.answer.fault != PL_FAULT_NONE)
				assert_int_equal(story.answer.fault, PL_FAULT_CANCELLED);
			story_fini(&story);
		}
	}
	assert_int_equal(pl_http_in_flight(rig->http), 0);
	expect(rig, "/hello", PL_FAULT_NONE, 200, "hello");
}

static void a_cut_from_a_callback_is_the_last_word(void **state)
{
	struct story story;
	story_init(&story, *state, "/hello");
	story.on_body_too = cut_now;
	story_tell(&story);
	story_is(&story, PL_FAULT_CANCELLED, 200, NULL);
	assert_int_equal(story.bodies, 1);
	story_fini(&story);
}

struct chain {
	struct story next;
	unsigned left;
};

static struct chain chain;

static void start_next(struct story *story)
{
	(void)story;
	if (chain.left-- == 0)
		return;
	struct rig *rig = chain.next.rig;
	pl_buf_fini(&chain.next.body);
	story_init(&chain.next, rig, "/hello");
	chain.next.on_done_too = start_next;
	story_start(&chain.next);
}

static void exchanges_start_from_callbacks(void **state)
{
	struct rig *rig = *state;
	chain.left = 50;
	story_init(&chain.next, rig, "/hello");
	chain.next.on_done_too = start_next;
	story_start(&chain.next);
	while (rig->server.requests < 51 || chain.next.dones == 0)
		uv_run(&rig->loop, UV_RUN_ONCE);
	assert_int_equal(rig->server.connections, 1);
	assert_int_equal(pl_http_in_flight(rig->http), 0);
	story_fini(&chain.next);
}

static void start_inside_body(struct story *story)
{
	(void)story;
	if (chain.left-- > 0) {
		story_init(&chain.next, story->rig, "/hello");
		story_start(&chain.next);
	}
}

static void an_exchange_starts_from_inside_curl(void **state)
{
	struct story story;
	chain.left = 1;
	story_init(&story, *state, "/hello");
	story.on_body_too = start_inside_body;
	story_tell(&story);
	story_wait(&chain.next);
	story_is(&chain.next, PL_FAULT_NONE, 200, "hello");
	story_fini(&story);
	story_fini(&chain.next);
}

static void a_thousand_run_at_once(void **state)
{
	struct rig *rig = *state;
	const size_t many = 1000;
	static const char *const paths[] = { "/hello", "/chunks", "/gzip", "/close",
		"/too-little" };
	struct story *stories = pl_calloc(many, sizeof(*stories));
	for (size_t i = 0; i < many; i++) {
		char url[64];
		snprintf(url, sizeof(url), "http://%s:%u%s", i % 2 ? "a.test" : "127.0.0.1",
			rig->server.port, paths[i % 5]);
		story_init(&stories[i], rig, url);
		story_start(&stories[i]);
	}
	assert_int_equal(pl_http_in_flight(rig->http), many);
	for (size_t i = 0; i < many; i++) {
		story_wait(&stories[i]);
		story_is(&stories[i], i % 5 == 4 ? PL_FAULT_TRUNCATED : PL_FAULT_NONE, 200, NULL);
	}
	for (size_t i = 0; i < many; i++)
		story_fini(&stories[i]);
	assert_int_equal(pl_http_in_flight(rig->http), 0);
	free(stories);
}

static void closing_a_busy_engine_ends_everything(void **state)
{
	struct rig *rig = *state;
	static const char *const paths[] = { "/nothing", "/half", "/big", "/hello" };
	struct story stories[32];
	for (size_t i = 0; i < 32; i++) {
		char url[64];
		snprintf(url, sizeof(url), "http://%s:%u%s",
			i % 8 == 7 ? "silent.test" : "127.0.0.1", rig->server.port, paths[i % 4]);
		story_init(&stories[i], rig, url);
		stories[i].body_flow = i % 4 == 2 ? PL_HTTP_PAUSE : PL_HTTP_GO;
		if (i == 24)
			for (int turn = 0; turn < 12; turn++)
				uv_run(&rig->loop, UV_RUN_NOWAIT);
		story_start(&stories[i]);
	}
	rig_close_engine(rig);
	size_t cancelled = 0;
	for (size_t i = 0; i < 32; i++) {
		assert_int_equal(stories[i].dones, 1);
		cancelled += stories[i].answer.fault == PL_FAULT_CANCELLED;
		story_fini(&stories[i]);
	}
	assert_true(cancelled >= 24);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_by_path, rig_close)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(framings_are_read_to_their_end),
		TEST(identity_leaves_bytes_as_they_came),
		TEST(headers_that_matter_are_kept),
		TEST(one_answer_leaves_nothing_for_the_next),
		TEST(an_end_by_close_is_said),
		TEST(requests_carry_what_was_given_and_no_more),
		TEST(methods_are_sent_as_given),
		TEST(a_header_that_would_be_two_is_refused),
		TEST(connections_are_used_again),
		TEST(a_connection_that_died_at_rest_costs_nothing),
		TEST(an_answer_before_the_body_was_sent_is_told),
		TEST(a_large_body_is_sent_whole),
		TEST(every_break_has_its_fault),
		TEST(plain_text_on_a_tls_port_is_a_tls_fault),
		TEST(headers_have_a_ceiling),
		TEST(bodies_have_a_ceiling),
		TEST(silence_and_length_have_limits),
		TEST(names_count_into_the_total),
		TEST(a_full_listener_is_a_connect_timeout),
		TEST(paused_bytes_are_offered_again),
		TEST(a_pause_at_the_head_holds_the_body),
		TEST(a_pause_does_not_stop_the_total),
		TEST(bytes_kept_in_a_pause_count_too),
		TEST(stop_makes_a_whole_answer),
		TEST(a_cut_works_at_every_step),
		TEST(a_cut_from_a_callback_is_the_last_word),
		TEST(exchanges_start_from_callbacks),
		TEST(an_exchange_starts_from_inside_curl),
		TEST(a_thousand_run_at_once),
		TEST(closing_a_busy_engine_ends_everything),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
