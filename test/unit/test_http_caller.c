/*
 * What a caller of the HTTP engine may do: set limits of time, pause, stop, cut, start and close at
 * any moment; each exchange still ends exactly once.
 */
#include "http_sayings.h"

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

static void pause_every_other_time(struct story *story)
{
	story->body_flow = story->bodies % 2 == 1 ? PL_HTTP_PAUSE : PL_HTTP_GO;
}

/* Some lie in the middle of what curl has handed over: nothing of it is lost, nothing comes twice.
 */
static void a_coded_body_may_be_paused_at_every_piece(void **state)
{
	struct story story;
	story_init(&story, *state, "/mixed-gzip");
	story.on_body_too = pause_every_other_time;
	story_tell_resumed(&story, 0);
	story_is(&story, PL_FAULT_NONE, 200, NULL);
	assert_true(story.pauses >= MIXED_LEN / (16 * 1024));
	assert_int_equal(story.body.len, MIXED_LEN);
	assert_memory_equal(story.body.data, mixed_text(), MIXED_LEN);
	story_fini(&story);
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

/* ---- the last word before a request goes out ---- */

static unsigned asked, may_times;

static bool may_some_times(void *arg)
{
	(void)arg;
	asked++;
	return asked <= may_times;
}

static bool cut_when_asked(void *arg)
{
	cut_now(arg);
	return true;
}

static void tell_guarded(
	struct story *story, struct rig *rig, const char *path, unsigned times, enum pl_fault fault)
{
	asked = 0;
	may_times = times;
	story_init(story, rig, path);
	story->options.method = "POST";
	story->options.body = "body";
	story->options.body_len = 4;
	story->options.redirects_max = 5;
	story->options.may_send = may_some_times;
	story_tell(story);
	assert_string_equal(pl_fault_name(story->answer.fault), pl_fault_name(fault));
}

static void nothing_is_sent_that_may_not_be(void **state)
{
	struct rig *rig = *state;
	struct story story;
	tell_guarded(&story, rig, "/hello", 0, PL_FAULT_CANCELLED);
	assert_int_equal(asked, 1);
	assert_false(story.answer.sent_whole);
	assert_int_equal(rig->server.requests, 0);
	assert_int_equal(rig->server.connections, 1); /* it was asked when that stood */
	story_fini(&story);
	tell_guarded(&story, rig, "/hello", 1, PL_FAULT_NONE);
	assert_true(story.answer.sent_whole);
	story_fini(&story);
	tell_guarded(&story, rig, "/hello", 0, PL_FAULT_CANCELLED); /* on a connection in use */
	story_fini(&story);
	assert_int_equal(rig->server.requests, 1);
	assert_int_equal(rig->server.connections, 2);
}

static void each_hop_is_asked_for(void **state)
{
	struct rig *rig = *state;
	struct story story;
	tell_guarded(&story, rig, "/see-other", 1, PL_FAULT_CANCELLED);
	assert_int_equal(asked, 2);
	assert_int_equal(rig->server.requests, 1);
	story_fini(&story);
}

/* The server closes what it has answered once, without a word: curl sends again on a new one. */
static void a_dead_connection_is_asked_for_again(void **state)
{
	struct rig *rig = *state;
	struct story story;
	expect(rig, "/once", PL_FAULT_NONE, 200, "once");
	tell_guarded(&story, rig, "/once", 1, PL_FAULT_CANCELLED);
	assert_int_equal(asked, 2);
	assert_int_equal(rig->server.connections, 2);
	story_fini(&story);
}

static void what_is_cut_at_the_last_moment_is_not_sent(void **state)
{
	struct rig *rig = *state;
	struct story story;
	story_init(&story, rig, "/hello");
	story.options.may_send = cut_when_asked;
	story_tell(&story);
	story_is(&story, PL_FAULT_CANCELLED, 0, "");
	story_fini(&story);
	expect(rig, "/204", PL_FAULT_NONE, 204, "");
	assert_int_equal(rig->server.requests, 1);
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		PATHS_TEST(silence_and_length_have_limits),
		PATHS_TEST(names_count_into_the_total),
		PATHS_TEST(a_full_listener_is_a_connect_timeout),
		PATHS_TEST(paused_bytes_are_offered_again),
		PATHS_TEST(a_coded_body_may_be_paused_at_every_piece),
		PATHS_TEST(a_pause_at_the_head_holds_the_body),
		PATHS_TEST(a_pause_does_not_stop_the_total),
		PATHS_TEST(bytes_kept_in_a_pause_count_too),
		PATHS_TEST(stop_makes_a_whole_answer),
		PATHS_TEST(a_cut_works_at_every_step),
		PATHS_TEST(a_cut_from_a_callback_is_the_last_word),
		PATHS_TEST(nothing_is_sent_that_may_not_be),
		PATHS_TEST(each_hop_is_asked_for),
		PATHS_TEST(a_dead_connection_is_asked_for_again),
		PATHS_TEST(what_is_cut_at_the_last_moment_is_not_sent),
		PATHS_TEST(exchanges_start_from_callbacks),
		PATHS_TEST(an_exchange_starts_from_inside_curl),
		PATHS_TEST(a_thousand_run_at_once),
		PATHS_TEST(closing_a_busy_engine_ends_everything),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
