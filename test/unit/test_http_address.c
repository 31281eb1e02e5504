/*
 * Which addresses the engine dials: the policy before every connection, names that change their
 * addresses between two exchanges, several addresses, and nothing of the environment.
 */
#include "http_rig.h"

static void say_ok(struct peer_conn *conn)
{
	const char *close = strstr(conn->in, "/close") != NULL ? "Connection: close\r\n" : "";
	char reply[128];
	snprintf(reply, sizeof(reply), "HTTP/1.1 200 OK\r\n%sContent-Length: 2\r\n\r\nok", close);
	peer_say(conn, reply);
	if (close[0] != '\0')
		peer_end(conn);
}

static struct rig *rig_allowing(
	const char *networks, const char *hosts, const struct sockaddr_storage *never)
{
	const struct pl_netpolicy_options allowed = {
		.allow_networks = networks,
		.allow_hosts = hosts,
		.never = never,
		.never_count = never != NULL ? 1 : 0,
	};
	struct rig *rig = rig_new(&allowed, NULL);
	rig->server.serve = say_ok;
	return rig;
}

static int open_shut(void **state)
{
	*state = rig_allowing(NULL, NULL, NULL);
	return 0;
}

static int open_loopback(void **state)
{
	*state = rig_allowing("127.0.0.0/8", NULL, NULL);
	return 0;
}

static int open_hosts(void **state)
{
	*state = rig_allowing(NULL, "a.test", NULL);
	return 0;
}

static void expect_at(struct rig *rig, const char *host, const char *path, enum pl_fault fault)
{
	char url[256];
	snprintf(url, sizeof(url), "http://%s:%u%s", host, rig->server.port, path);
	expect(rig, url, fault, fault == PL_FAULT_NONE ? 200 : 0,
		fault == PL_FAULT_NONE ? "ok" : "");
}

static void private_addresses_are_not_dialled_in_any_spelling(void **state)
{
	static const char *const hosts[] = {
		"127.0.0.1",
		"127.1",
		"0x7f.1",
		"2130706433",
		"017700000001",
		"0177.0.0.1",
		"127.0.0.1.",
		"[::1]",
		"[::ffff:127.0.0.1]",
		"[::ffff:7f00:1]",
		"[::]",
		"0.0.0.0",
		"localhost",
		"LOCALHOST",
		"localhost.",
		"a.test",
		"A.test.",
		"10.0.0.1",
		"169.254.169.254",
		"private.test",
		"mixed.test",
		"both.test",
	};
	struct rig *rig = *state;
	for (size_t i = 0; i < sizeof(hosts) / sizeof(hosts[0]); i++)
		expect_at(rig, hosts[i], "/", PL_FAULT_ADDRESS_BLOCKED);
	assert_int_equal(rig->server.connections, 0);
}

static void a_refusal_tells_nothing(void **state)
{
	static const char *const hosts[] = { "127.0.0.1", "10.0.0.1", "a.test", "mixed.test" };
	for (size_t i = 0; i < 4; i++) {
		struct story story;
		char url[64];
		snprintf(url, sizeof(url), "http://%s/", hosts[i]);
		story_init(&story, *state, url);
		story_tell(&story);
		assert_string_equal(story.answer.message, "the address is not allowed");
		story_fini(&story);
	}
}

static void one_forbidden_answer_forbids_the_name(void **state)
{
	struct rig *rig = *state;
	expect_at(rig, "a.test", "/", PL_FAULT_NONE);
	expect_at(rig, "mixed.test", "/", PL_FAULT_ADDRESS_BLOCKED);
	expect_at(rig, "both.test", "/", PL_FAULT_ADDRESS_BLOCKED); /* ::1 is not allowed here */
	assert_int_equal(rig->server.connections, 1);
}

static void a_name_may_be_allowed_alone(void **state)
{
	struct rig *rig = *state;
	expect_at(rig, "a.test", "/", PL_FAULT_NONE);
	expect_at(rig, "a.test.", "/", PL_FAULT_NONE);
	expect_at(rig, "b.test", "/", PL_FAULT_ADDRESS_BLOCKED);
	expect_at(rig, "127.0.0.1", "/", PL_FAULT_ADDRESS_BLOCKED);
	expect_at(rig, "a.test", "/", PL_FAULT_NONE);
}

static void the_next_address_is_tried(void **state)
{
	struct rig *rig = *state;
	for (int i = 0; i < 5; i++) /* nobody listens at the first */
		expect_at(rig, "fallback.test", "/close", PL_FAULT_NONE);
}

/* Both attempts use the same descriptor number, one after the other. */
static void try_after_silence(struct rig *rig, uint64_t connect_ms, bool refuses_later)
{
	struct full_listener silent;
	struct story story;
	char url[64];
	full_listener_open(&silent, "127.0.0.9", rig->server.port);
	snprintf(url, sizeof(url), "http://fallback.test:%u/", rig->server.port);
	story_init(&story, rig, url);
	story.options.connect_ms = connect_ms;
	story_start(&story);
	for (int turn = 0; refuses_later && turn < 20; turn++)
		uv_run(&rig->loop, UV_RUN_NOWAIT);
	if (refuses_later) /* the kernel's second SYN, a second later, is answered by a reset */
		full_listener_close(&silent);
	story_wait(&story);
	story_is(&story, PL_FAULT_NONE, 200, "ok");
	assert_true(story.answer.ms >= 100 && story.answer.ms < 1900);
	story_fini(&story);
	if (!refuses_later)
		full_listener_close(&silent);
}

static void a_silent_address_gives_way_to_the_next(void **state)
{
	try_after_silence(*state, 400, false);
}

static void a_late_refusal_gives_way_to_the_next(void **state)
{
	try_after_silence(*state, 4000, true);
}

static struct peer_dns_name changing[] = {
	{ .name = "x.test", .addresses = "127.0.0.1", .ttl = 0 },
	{ .name = NULL },
};

static void on_tick(uv_timer_t *timer)
{
	*(bool *)timer->data = true;
}

/* The shortest life of an answer is a second. */
static void let_answers_expire(struct rig *rig)
{
	bool over = false;
	uv_timer_t timer;
	uv_timer_init(&rig->loop, &timer);
	timer.data = &over;
	uv_timer_start(&timer, on_tick, 1050, 0);
	while (!over)
		uv_run(&rig->loop, UV_RUN_ONCE);
	uv_close((uv_handle_t *)&timer, NULL);
	uv_run(&rig->loop, UV_RUN_NOWAIT);
}

static void change(struct rig *rig, const char *addresses)
{
	changing[0].addresses = addresses;
	rig->dns.names = changing;
	let_answers_expire(rig);
}

static void a_name_that_turns_private_is_blocked(void **state)
{
	struct rig *rig = *state;
	change(rig, "127.0.0.1");
	expect_at(rig, "x.test", "/", PL_FAULT_NONE);
	change(rig, "10.1.2.3");
	/* though a good connection to that name rests in the pool */
	expect_at(rig, "x.test", "/", PL_FAULT_ADDRESS_BLOCKED);
	change(rig, "127.0.0.1 10.1.2.3");
	expect_at(rig, "x.test", "/", PL_FAULT_ADDRESS_BLOCKED);
	change(rig, "127.0.0.1");
	expect_at(rig, "x.test", "/", PL_FAULT_NONE);
}

static void an_old_address_is_not_dialled_again(void **state)
{
	struct rig *rig = *state;
	change(rig, "127.0.0.1");
	expect_at(rig, "x.test", "/close", PL_FAULT_NONE);
	change(rig, "127.0.0.9"); /* nobody listens there */
	expect_at(rig, "x.test", "/close", PL_FAULT_CONNECT);
	change(rig, "127.0.0.1");
	expect_at(rig, "x.test", "/close", PL_FAULT_NONE);
}

static void one_address_and_port_never(void **state)
{
	struct sockaddr_storage never = { 0 };
	struct sockaddr_in *at = (struct sockaddr_in *)&never;
	struct rig *open = rig_allowing("127.0.0.0/8", NULL, NULL);
	uv_ip4_addr("127.0.0.1", (int)open->server.port, at);
	struct rig *rig = rig_allowing("127.0.0.0/8", NULL, &never);
	char url[64];
	snprintf(url, sizeof(url), "http://127.0.0.1:%u/", open->server.port);
	expect(rig, url, PL_FAULT_ADDRESS_BLOCKED, 0, "");
	snprintf(url, sizeof(url), "http://a.test:%u/", open->server.port);
	expect(rig, url, PL_FAULT_ADDRESS_BLOCKED, 0, "");
	expect(rig, "/", PL_FAULT_NONE, 200, "ok");
	*state = open;
	assert_int_equal(rig_close(state), 0);
	*state = rig;
	assert_int_equal(rig_close(state), 0);
}

static void proxies_of_the_environment_do_not_count(void **state)
{
	setenv("http_proxy", "http://127.0.0.1:1", 1);
	setenv("ALL_PROXY", "http://127.0.0.1:1", 1);
	*state = rig_allowing("127.0.0.0/8", NULL, NULL);
	expect_at(*state, "127.0.0.1", "/", PL_FAULT_NONE);
	expect_at(*state, "a.test", "/", PL_FAULT_NONE);
	assert_int_equal(rig_close(state), 0);
	unsetenv("http_proxy");
	unsetenv("ALL_PROXY");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			private_addresses_are_not_dialled_in_any_spelling, open_shut, rig_close),
		cmocka_unit_test_setup_teardown(a_refusal_tells_nothing, open_shut, rig_close),
		cmocka_unit_test_setup_teardown(
			one_forbidden_answer_forbids_the_name, open_loopback, rig_close),
		cmocka_unit_test_setup_teardown(a_name_may_be_allowed_alone, open_hosts, rig_close),
		cmocka_unit_test_setup_teardown(
			the_next_address_is_tried, open_loopback, rig_close),
		cmocka_unit_test_setup_teardown(
			a_silent_address_gives_way_to_the_next, open_loopback, rig_close),
		cmocka_unit_test_setup_teardown(
			a_late_refusal_gives_way_to_the_next, open_loopback, rig_close),
		cmocka_unit_test_setup_teardown(
			a_name_that_turns_private_is_blocked, open_loopback, rig_close),
		cmocka_unit_test_setup_teardown(
			an_old_address_is_not_dialled_again, open_loopback, rig_close),
		cmocka_unit_test(one_address_and_port_never),
		cmocka_unit_test(proxies_of_the_environment_do_not_count),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
