/*
 * Handlers on threads of their own, the resolver and its name server on the test's loop. Nothing
 * sleeps; a run that makes no progress ends by the guard's timer.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>

#include <cmocka.h>

#include "api/lookup.h"
#include "peer_dns.h"
#include "pipeline/clock.h"
#include "pipeline/mem.h"

#define GUARD_MS 20000
#define HANDLERS 16
#define ROUNDS   20
#define NAMES    3

static const struct peer_dns_name names[] = {
	{ .name = "one.test", .addresses = "192.0.2.1", .ttl = 60 },
	{ .name = "two.test", .addresses = "192.0.2.1 2001:db8::1", .ttl = 60 },
	{ .name = "silent.test", .rcode = PEER_DNS_SILENT },
	{ .name = NULL },
};

struct rig {
	uv_loop_t loop;
	uv_timer_t guard;
	struct peer_dns dns;
	struct lookups lookups;
	bool closed;
	uv_async_t returned; /* a handler has */
};

struct handler {
	uv_thread_t thread;
	struct rig *rig;
	const char *hosts[NAMES];
	unsigned rounds;
	size_t literals; /* of the first so many: not asked for */
	struct lookup wanted[NAMES];
	uint64_t ms;
	atomic_bool has_returned;
};

static void on_guard(uv_timer_t *guard)
{
	(void)guard;
	fail_msg("nothing happened in time");
}

static void on_returned(uv_async_t *async)
{
	(void)async; /* the loop turns */
}

static int rig_open(void **state)
{
	struct rig *rig = pl_calloc(1, sizeof(*rig));
	uv_loop_init(&rig->loop);
	uv_timer_init(&rig->loop, &rig->guard);
	uv_timer_start(&rig->guard, on_guard, GUARD_MS, 0);
	uv_async_init(&rig->loop, &rig->returned, on_returned);
	peer_dns_open(&rig->dns, &rig->loop, names);
	*state = rig;
	return lookups_init(&rig->lookups, &rig->loop, rig->dns.where) != PL_OK;
}

static void on_closed(void *arg)
{
	struct rig *rig = arg;
	rig->closed = true;
}

static void close_lookups(struct rig *rig)
{
	lookups_close(&rig->lookups, on_closed, rig);
	while (!rig->closed)
		uv_run(&rig->loop, UV_RUN_ONCE);
}

static int rig_close(void **state)
{
	struct rig *rig = *state;
	if (!rig->closed)
		close_lookups(rig);
	lookups_fini(&rig->lookups);
	peer_dns_close(&rig->dns);
	uv_close((uv_handle_t *)&rig->guard, NULL);
	uv_close((uv_handle_t *)&rig->returned, NULL);
	uv_run(&rig->loop, UV_RUN_DEFAULT);
	int left = uv_loop_close(&rig->loop);
	free(rig);
	return left;
}

static void handle(void *arg)
{
	struct handler *handler = arg;
	uint64_t began_ms = pl_clock_mono_ms();
	for (unsigned round = 0; round < handler->rounds; round++) {
		for (size_t i = 0; i < NAMES; i++)
			handler->wanted[i] = (struct lookup) {
				.host = handler->hosts[i],
				.port = 80,
				.count = i < handler->literals ? 1 : 0,
			};
		lookups_run(&handler->rig->lookups, handler->wanted, NAMES);
	}
	handler->ms = pl_clock_mono_ms() - began_ms;
	atomic_store(&handler->has_returned, true);
	uv_async_send(&handler->rig->returned);
}

static void begin(struct handler *handler)
{
	assert_int_equal(uv_thread_create(&handler->thread, handle, handler), 0);
}

static void end(struct handler *handler)
{
	while (!atomic_load(&handler->has_returned))
		uv_run(&handler->rig->loop, UV_RUN_ONCE);
	uv_thread_join(&handler->thread);
}

static bool is_underway(struct rig *rig)
{
	uv_mutex_lock(&rig->lookups.lock);
	bool is_waiting = rig->lookups.waiting != NULL;
	uv_mutex_unlock(&rig->lookups.lock);
	return is_waiting || rig->dns.questions > 0;
}

static void each_gets_its_own(void **state)
{
	struct handler *handlers = pl_calloc(HANDLERS, sizeof(*handlers));
	for (size_t i = 0; i < HANDLERS; i++) {
		handlers[i].rig = *state;
		handlers[i].rounds = ROUNDS;
		handlers[i].hosts[0] = "one.test";
		handlers[i].hosts[1] = i % 2 == 0 ? "two.test" : "nobody.test";
		handlers[i].hosts[2] = "one.test";
		begin(&handlers[i]);
	}
	for (size_t i = 0; i < HANDLERS; i++) {
		end(&handlers[i]);
		assert_int_equal(handlers[i].wanted[0].err, PL_OK);
		assert_int_equal(handlers[i].wanted[0].count, 1);
		assert_int_equal(handlers[i].wanted[1].err, i % 2 == 0 ? PL_OK : PL_ENOTFOUND);
		assert_int_equal(handlers[i].wanted[1].count, i % 2 == 0 ? 2 : 0);
		assert_int_equal(handlers[i].wanted[2].count, 1);
	}
	free(handlers);
}

static void what_is_a_literal_is_not_asked_for(void **state)
{
	struct rig *rig = *state;
	struct handler handler = { .rig = rig,
		.rounds = 1,
		.hosts = { "silent.test", "silent.test", "silent.test" },
		.literals = NAMES };
	begin(&handler);
	end(&handler);
	assert_int_equal(handler.wanted[0].err, PL_OK);
	assert_int_equal(handler.wanted[0].count, 1);
	assert_int_equal(rig->dns.questions, 0);
}

static void silence_has_an_end(void **state)
{
	struct handler handler = {
		.rig = *state, .rounds = 1, .hosts = { "one.test", "silent.test", "one.test" }
	};
	begin(&handler);
	end(&handler);
	assert_int_equal(handler.wanted[0].err, PL_OK);
	assert_int_equal(handler.wanted[1].err, PL_ETIMEOUT);
	assert_in_range(handler.ms, 1000, PL_RESOLVER_TIMEOUT_MS + 1000);
}

/* At the latest it comes before the guard's, and long before the resolver's own end. */
static void a_close_ends_what_is_underway(void **state)
{
	struct rig *rig = *state;
	struct handler handler = {
		.rig = rig, .rounds = 1, .hosts = { "silent.test", "silent.test", "silent.test" }
	};
	begin(&handler);
	while (!is_underway(rig))
		uv_run(&rig->loop, UV_RUN_NOWAIT);
	close_lookups(rig);
	end(&handler);
	assert_int_equal(handler.wanted[0].err, PL_ECLOSED);
	assert_int_equal(handler.wanted[2].err, PL_ECLOSED);
	assert_int_equal(handler.wanted[2].count, 0);
}

static void who_asks_after_the_close_is_told_at_once(void **state)
{
	struct rig *rig = *state;
	struct handler handler = { .rig = rig,
		.rounds = ROUNDS,
		.hosts = { "10.0.0.1", "one.test", "two.test" },
		.literals = 1 };
	close_lookups(rig);
	begin(&handler);
	end(&handler);
	assert_int_equal(handler.wanted[0].err, PL_OK);
	assert_int_equal(handler.wanted[0].count, 1);
	assert_int_equal(handler.wanted[1].err, PL_ECLOSED);
	assert_int_equal(handler.wanted[2].err, PL_ECLOSED);
}

static void what_is_no_server_is_told(void **state)
{
	struct rig *rig = *state;
	struct lookups lookups = { 0 };
	assert_int_equal(lookups_init(&lookups, &rig->loop, "no server"), PL_EINVAL);
	lookups_fini(&lookups);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(each_gets_its_own, rig_open, rig_close),
		cmocka_unit_test_setup_teardown(
			what_is_a_literal_is_not_asked_for, rig_open, rig_close),
		cmocka_unit_test_setup_teardown(silence_has_an_end, rig_open, rig_close),
		cmocka_unit_test_setup_teardown(a_close_ends_what_is_underway, rig_open, rig_close),
		cmocka_unit_test_setup_teardown(
			who_asks_after_the_close_is_told_at_once, rig_open, rig_close),
		cmocka_unit_test_setup_teardown(what_is_no_server_is_told, rig_open, rig_close),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
