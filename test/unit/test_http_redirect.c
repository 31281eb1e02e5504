/*
 * Redirects, which the engine follows by itself: what is followed, with which words, and how a
 * chain ends.
 */
#include "http_rig.h"
#include "pipeline/url.h"

#define TOO_LONG ((size_t)PL_URL_MAX + 1)

/* "/go/<status>/<location>" redirects there; all else is told back. */
static void serve(struct peer_conn *conn)
{
	static const char head[] =
		"HTTP/1.1 %u Go\r\nLocation: %s\r\nContent-Length: 4\r\n\r\ngone";
	char reply[2048], line[1024];
	char *path = strchr(conn->in, '/');
	char *end = strchr(path, ' ');
	if (strncmp(path, "/go/", 4) == 0) {
		unsigned status = (unsigned)strtoul(path + 4, NULL, 10);
		const char *to = strchr(path + 4, '/') + 1;
		snprintf(line, sizeof(line), "%.*s", (int)(end - to), to);
		snprintf(reply, sizeof(reply), head, status, line);
		peer_say(conn, reply);
		return;
	}
	snprintf(reply, sizeof(reply), "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n",
		conn->request_len);
	peer_say(conn, reply);
	peer_say_bytes(conn, conn->in, conn->request_len);
}

static int open_redirects(void **state)
{
	rig_open(state);
	struct rig *rig = *state;
	rig->server.serve = serve;
	return 0;
}

static void follow(struct story *story, struct rig *rig, const char *method, const char *body,
	const char *path)
{
	static const struct pl_http_header headers[] = {
		{ "Authorization", "Bearer secret" },
		{ "X-Key", "secret" },
		{ "Content-Type", "text/secret" },
		{ "User-Agent", "secret/1" },
	};
	story_init(story, rig, path);
	story->options.method = method;
	story->options.body = body;
	story->options.body_len = body != NULL ? strlen(body) : 0;
	story->options.headers = headers;
	story->options.headers_count = sizeof(headers) / sizeof(headers[0]);
	story->options.redirects_max = 5;
	story_tell(story);
}

struct row {
	unsigned status;
	const char *method, *body;
	const char *then; /* the second request's method, NULL: a redirect fault */
	bool with_body;
};

static const struct row same_origin[] = {
	{ 301, "GET", NULL, "GET", false },
	{ 302, "GET", NULL, "GET", false },
	{ 303, "GET", NULL, "GET", false },
	{ 307, "GET", NULL, "GET", false },
	{ 308, "GET", NULL, "GET", false },
	{ 301, "HEAD", NULL, "HEAD", false },
	{ 303, "HEAD", NULL, "HEAD", false },
	{ 301, "POST", "secret", NULL, false },
	{ 302, "POST", "secret", NULL, false },
	{ 302, "PUT", "secret", NULL, false },
	{ 302, "DELETE", NULL, NULL, false },
	{ 303, "POST", "secret", "GET", false },
	{ 303, "PUT", "secret", "GET", false },
	{ 307, "POST", "secret", "POST", true },
	{ 308, "PUT", "secret", "PUT", true },
	{ 307, "DELETE", NULL, "DELETE", false },
};

static const struct row other_origin[] = {
	{ 301, "GET", NULL, "GET", false },
	{ 303, "POST", "secret", "GET", false },
	{ 307, "GET", NULL, "GET", false },
	{ 307, "DELETE", NULL, "DELETE", false },
	{ 307, "POST", "secret", NULL, false },
	{ 308, "PUT", "secret", NULL, false },
	{ 302, "POST", "secret", NULL, false },
};

static void try_row(struct rig *rig, const struct row *row, bool same)
{
	struct story story;
	char path[256], want[64];
	const char *last = rig->server.last;
	snprintf(path, sizeof(path), same ? "/go/%u//next" : "/go/%u/http://b.test:%u/next",
		row->status, rig->server.port);
	unsigned before = rig->server.requests;
	follow(&story, rig, row->method, row->body, path);
	if (row->then == NULL) {
		story_is(&story, PL_FAULT_REDIRECT, (int)row->status, "");
		assert_int_equal(story.heads, 0);
		assert_int_equal(rig->server.requests, before + 1);
	} else {
		story_is(&story, PL_FAULT_NONE, 200, NULL);
		assert_int_equal(story.heads, 1);
		assert_int_equal(story.answer.redirects, 1);
		snprintf(want, sizeof(want), "%s /next HTTP/1.1\r\n", row->then);
		assert_memory_equal(last, want, strlen(want));
		assert_int_equal(strstr(last, "\r\n\r\nsecret") != NULL, row->with_body);
		assert_int_equal(strstr(last, "text/secret") != NULL,
			same && (row->with_body || row->body == NULL));
		assert_int_equal(strstr(last, "Bearer secret") != NULL, same);
		assert_int_equal(strstr(last, "X-Key: secret") != NULL, same);
		assert_int_equal(strstr(last, "User-Agent: secret/1") != NULL, same);
		assert_int_equal(strstr(last, "User-Agent: fetchback/test") != NULL, !same);
	}
	story_fini(&story);
}

static void methods_and_words_per_status(void **state)
{
	for (size_t i = 0; i < sizeof(same_origin) / sizeof(same_origin[0]); i++)
		try_row(*state, &same_origin[i], true);
}

static void another_origin_gets_no_words_of_the_client(void **state)
{
	for (size_t i = 0; i < sizeof(other_origin) / sizeof(other_origin[0]); i++)
		try_row(*state, &other_origin[i], false);
}

static void words_once_dropped_stay_dropped(void **state)
{
	struct rig *rig = *state;
	struct story story;
	char path[512];
	snprintf(path, sizeof(path), "/go/302/http://b.test:%u/go/302/http://127.0.0.1:%u/next",
		rig->server.port, rig->server.port);
	follow(&story, rig, "GET", NULL, path);
	story_is(&story, PL_FAULT_NONE, 200, NULL);
	assert_int_equal(story.answer.redirects, 2);
	assert_null(strstr(rig->server.last, "secret"));
	story_fini(&story);
}

static void a_chain_has_an_end(void **state)
{
	struct rig *rig = *state;
	struct story story;
	follow(&story, rig, "GET", NULL, "/go/302//go/302//go/302//go/302//go/302//five-are-fine");
	story_is(&story, PL_FAULT_NONE, 200, NULL);
	assert_int_equal(story.answer.redirects, 5);
	story_fini(&story);
	follow(&story, rig, "GET", NULL,
		"/go/302//go/302//go/302//go/302//go/302//go/302//six-are-not");
	story_is(&story, PL_FAULT_REDIRECT, 302, "");
	assert_int_equal(story.answer.redirects, 5);
	story_fini(&story);
	/* the same connection all the way: redirect bodies are read to their end */
	assert_int_equal(rig->server.connections, 1);
}

static void with_none_allowed_a_redirect_is_the_answer(void **state)
{
	struct story story;
	story_init(&story, *state, "/go/302//next");
	story_tell(&story);
	story_is(&story, PL_FAULT_NONE, 302, "gone");
	assert_int_equal(story.heads, 1);
	assert_int_equal(story.answer.redirects, 0);
	story_fini(&story);
}

static void targets_that_cannot_be_followed(void **state)
{
	static const char *const targets[] = {
		"",
		"ftp://127.0.0.1/",
		"file:///etc/passwd",
		"http://user:pass@127.0.0.1/",
		"http://",
	};
	struct rig *rig = *state;
	for (size_t i = 0; i < sizeof(targets) / sizeof(targets[0]); i++) {
		struct story story;
		char path[256];
		snprintf(path, sizeof(path), "/go/302/%s", targets[i]);
		follow(&story, rig, "GET", NULL, path);
		story_is(&story, PL_FAULT_REDIRECT, 302, "");
		story_fini(&story);
	}
}

static void say_no_location(struct peer_conn *conn)
{
	peer_say(conn, "HTTP/1.1 301 Go\r\nContent-Length: 0\r\n\r\n");
}

static void say_long_location(struct peer_conn *conn)
{
	char *line = pl_alloc(TOO_LONG);
	memset(line, 'x', TOO_LONG);
	peer_say(conn, "HTTP/1.1 301 Go\r\nLocation: /");
	peer_say_bytes(conn, line, TOO_LONG);
	peer_say(conn, "\r\nContent-Length: 0\r\n\r\n");
	free(line);
}

static void a_redirect_needs_a_location(void **state)
{
	struct rig *rig = *state;
	struct story story;
	rig->server.serve = say_no_location;
	follow(&story, rig, "GET", NULL, "/");
	story_is(&story, PL_FAULT_REDIRECT, 301, "");
	story_fini(&story);
	rig->server.serve = say_long_location;
	follow(&story, rig, "GET", NULL, "/");
	story_is(&story, PL_FAULT_REDIRECT, 301, "");
	story_fini(&story);
}

static void blocked_targets_are_not_dialled(void **state)
{
	static const char *const targets[] = { "http://10.0.0.1/", "http://169.254.169.254/latest",
		"http://[::ffff:10.0.0.1]/", "http://private.test/", "http://mixed.test/" };
	struct rig *rig = *state;
	for (size_t i = 0; i < sizeof(targets) / sizeof(targets[0]); i++) {
		struct story story;
		char path[256];
		snprintf(path, sizeof(path), "/go/302/%s", targets[i]);
		follow(&story, rig, "GET", NULL, path);
		story_is(&story, PL_FAULT_ADDRESS_BLOCKED, 0, "");
		assert_string_equal(story.answer.message, "the address is not allowed");
		story_fini(&story);
	}
}

static void say_redirect_with_flood(struct peer_conn *conn)
{
	static char data[64 * 1024];
	if (strstr(conn->in, "/next") != NULL) {
		serve(conn);
		return;
	}
	peer_say(conn, "HTTP/1.1 302 Go\r\nLocation: /next\r\nContent-Length: 10000000\r\n\r\n");
	for (int i = 0; i < 20; i++)
		peer_say_bytes(conn, data, sizeof(data));
}

static void a_redirect_body_is_not_read_far(void **state)
{
	struct rig *rig = *state;
	struct story story;
	rig->server.serve = say_redirect_with_flood;
	for (unsigned i = 1; i <= 2; i++) {
		follow(&story, rig, "GET", NULL, "/");
		story_is(&story, PL_FAULT_NONE, 200, NULL);
		assert_int_equal(rig->server.connections, i + 1);
		story_fini(&story);
	}
	rig->server.serve = serve; /* a small one is read to its end again */
	follow(&story, rig, "GET", NULL, "/go/302//next");
	assert_int_equal(rig->server.connections, 3);
	story_fini(&story);
}

static void say_the_redirect(struct peer_conn *conn)
{
	peer_say(conn, "HTTP/1.1 302 Go\r\nLocation: /again\r\nContent-Length: 0\r\n\r\n");
}

static void say_redirect_slowly(struct peer_conn *conn)
{
	peer_later(conn, 60, say_the_redirect);
}

static void hops_share_the_total(void **state)
{
	struct rig *rig = *state;
	struct story story;
	rig->server.serve = say_redirect_slowly;
	story_init(&story, rig, "/");
	story.options.redirects_max = 5;
	story.options.total_ms = 100;
	story_tell(&story);
	story_is(&story, PL_FAULT_TIMEOUT_TOTAL, 0, "");
	assert_int_equal(story.answer.redirects, 1);
	story_fini(&story);
}

static void nothing_of_a_hop_stays_for_the_answer(void **state)
{
	struct rig *rig = *state;
	struct story story;
	char path[256];
	snprintf(path, sizeof(path), "/go/302/http://127.0.0.1:1/");
	follow(&story, rig, "GET", NULL, path);
	story_is(&story, PL_FAULT_CONNECT, 0, "");
	assert_int_equal(story.answer.redirects, 1);
	assert_int_equal(story.answer.content_length, -1);
	story_fini(&story);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_redirects, rig_close)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(methods_and_words_per_status),
		TEST(another_origin_gets_no_words_of_the_client),
		TEST(words_once_dropped_stay_dropped),
		TEST(a_chain_has_an_end),
		TEST(with_none_allowed_a_redirect_is_the_answer),
		TEST(targets_that_cannot_be_followed),
		TEST(a_redirect_needs_a_location),
		TEST(blocked_targets_are_not_dialled),
		TEST(a_redirect_body_is_not_read_far),
		TEST(hops_share_the_total),
		TEST(nothing_of_a_hop_stays_for_the_answer),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
