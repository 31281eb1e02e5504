/*
 * The resolver against a name server on the same loop. Time is the loop's; nothing sleeps, and a
 * run that makes no progress ends by the guard's timer.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "peer_dns.h"
#include "pipeline/mem.h"
#include "pipeline/resolver.h"

#define GUARD_MS 20000

static const struct peer_dns_name names[] = {
	{ .name = "one.test", .addresses = "192.0.2.1", .ttl = 60 },
	{ .name = "two.test", .addresses = "192.0.2.1 192.0.2.2 2001:db8::1", .ttl = 60 },
	{ .name = "many.test",
		.addresses =
			"192.0.2.1 192.0.2.2 192.0.2.3 192.0.2.4 192.0.2.5 "
			"192.0.2.6 192.0.2.7 192.0.2.8 192.0.2.9 192.0.2.10 192.0.2.11 192.0.2.12 "
			"192.0.2.13 192.0.2.14 192.0.2.15 192.0.2.16 192.0.2.17",
		.ttl = 60 },
	{ .name = "zero.test", .addresses = "192.0.2.1", .ttl = 0 },
	{ .name = "empty.test", .addresses = "" },
	{ .name = "broken.test", .rcode = 2 },
	{ .name = "silent.test", .rcode = PEER_DNS_SILENT },
	{ .name = NULL },
};

struct rig {
	uv_loop_t loop;
	uv_timer_t guard;
	struct peer_dns dns;
	struct pl_resolver *resolver;
	bool closed;
};

struct result {
	struct rig *rig;
	unsigned calls;
	enum pl_err err;
	size_t count;
	struct sockaddr_storage addresses[PL_RESOLVER_ANSWERS_MAX];
	unsigned *order;
	unsigned at; /* when it came, in order */
};

static void on_guard(uv_timer_t *guard)
{
	(void)guard;
	fail_msg("nothing happened in time");
}

static int rig_open(void **state)
{
	struct rig *rig = pl_calloc(1, sizeof(*rig));
	uv_loop_init(&rig->loop);
	uv_timer_init(&rig->loop, &rig->guard);
	uv_timer_start(&rig->guard, on_guard, GUARD_MS, 0);
	peer_dns_open(&rig->dns, &rig->loop, names);
	const struct pl_resolver_options options = { .servers = rig->dns.where };
	*state = rig;
	return pl_resolver_new(&rig->loop, &options, &rig->resolver) != PL_OK;
}

static void on_closed(void *arg)
{
	struct rig *rig = arg;
	rig->closed = true;
	rig->resolver = NULL;
}

static void close_resolver(struct rig *rig)
{
	pl_resolver_close(rig->resolver, on_closed, rig);
	while (!rig->closed)
		uv_run(&rig->loop, UV_RUN_ONCE);
}

static int rig_close(void **state)
{
	struct rig *rig = *state;
	if (rig->resolver != NULL)
		close_resolver(rig);
	peer_dns_close(&rig->dns);
	uv_close((uv_handle_t *)&rig->guard, NULL);
	uv_run(&rig->loop, UV_RUN_DEFAULT);
	int busy = uv_loop_close(&rig->loop); /* a handle left open shows here */
	free(rig);
	return busy;
}

static void on_found(
	void *arg, enum pl_err err, const struct sockaddr_storage *addresses, size_t count)
{
	struct result *result = arg;
	result->calls++;
	result->err = err;
	result->count = count;
	if (result->order != NULL)
		result->at = ++*result->order;
	memcpy(result->addresses, addresses, count * sizeof(*addresses));
}

static void wait_for(struct rig *rig, struct result *result)
{
	while (result->calls == 0)
		uv_run(&rig->loop, UV_RUN_ONCE);
}

static struct result find(struct rig *rig, const char *host)
{
	struct result result = { .rig = rig };
	pl_resolver_find(rig->resolver, host, 443, on_found, &result);
	assert_int_equal(result.calls, 0); /* never before find has returned */
	wait_for(rig, &result);
	return result;
}

static void answers_come_whole_with_the_port(void **state)
{
	struct result result = find(*state, "two.test");
	assert_int_equal(result.err, PL_OK);
	assert_int_equal(result.count, 3);
	size_t v6 = 0;
	for (size_t i = 0; i < result.count; i++) {
		v6 += result.addresses[i].ss_family == AF_INET6;
		/* the port sits at the same place in both families */
		assert_int_equal(
			((struct sockaddr_in *)&result.addresses[i])->sin_port, htons(443));
	}
	assert_int_equal(v6, 1);
}

static void answers_are_kept(void **state)
{
	struct rig *rig = *state;
	for (int i = 0; i < 3; i++)
		assert_int_equal(find(rig, i == 1 ? "ONE.test" : "one.test").err, PL_OK);
	assert_int_equal(rig->dns.questions, 1);
	assert_int_equal(find(rig, "zero.test").err, PL_OK);
	assert_int_equal(find(rig, "zero.test").err, PL_OK);
	assert_int_equal(rig->dns.questions, 2); /* also what lives 0 s, for a second */
}

static void on_tick(uv_timer_t *timer)
{
	*(bool *)timer->data = true;
}

static void free_handle(uv_handle_t *handle)
{
	free(handle);
}

static void pass_time(struct rig *rig, uint64_t ms)
{
	bool over = false;
	uv_timer_t *timer = pl_alloc(sizeof(*timer));
	uv_timer_init(&rig->loop, timer);
	timer->data = &over;
	uv_timer_start(timer, on_tick, ms, 0);
	while (!over)
		uv_run(&rig->loop, UV_RUN_ONCE);
	uv_close((uv_handle_t *)timer, free_handle);
	uv_run(&rig->loop, UV_RUN_NOWAIT);
}

static void failures_are_kept_for_a_moment(void **state)
{
	struct rig *rig = *state;
	assert_int_equal(find(rig, "none.test").err, PL_ENOTFOUND);
	unsigned asked = rig->dns.questions;
	assert_int_equal(find(rig, "none.test").err, PL_ENOTFOUND);
	assert_int_equal(rig->dns.questions, asked);
	pass_time(rig, PL_RESOLVER_NEGATIVE_MS + 50);
	assert_int_equal(find(rig, "none.test").err, PL_ENOTFOUND);
	assert_true(rig->dns.questions > asked);
}

static void lookups_of_one_name_share_a_question(void **state)
{
	struct rig *rig = *state;
	struct result results[20] = { 0 };
	for (size_t i = 0; i < 20; i++)
		pl_resolver_find(
			rig->resolver, "one.test", (uint16_t)(i + 1), on_found, &results[i]);
	for (size_t i = 0; i < 20; i++) {
		wait_for(rig, &results[i]);
		assert_int_equal(((struct sockaddr_in *)&results[i].addresses[0])->sin_port,
			htons((uint16_t)(i + 1)));
	}
	assert_int_equal(rig->dns.questions, 1);
}

static void every_kind_of_failure_has_its_name(void **state)
{
	assert_int_equal(find(*state, "none.test").err, PL_ENOTFOUND);
	assert_int_equal(find(*state, "empty.test").err, PL_ENOTFOUND);
	assert_int_equal(find(*state, "many.test").err, PL_ELIMIT);
	assert_int_equal(find(*state, "broken.test").err, PL_ESYS);
	uint64_t before = uv_hrtime();
	assert_int_equal(find(*state, "silent.test").err, PL_ETIMEOUT);
	assert_true((uv_hrtime() - before) / 1000000 <= PL_RESOLVER_TIMEOUT_MS + 500);
}

static void hosts_file_counts(void **state)
{
	struct rig *rig = *state;
	struct result result = find(rig, "localhost");
	assert_int_equal(result.err, PL_OK);
	assert_true(result.count >= 1);
	assert_int_equal(rig->dns.questions, 0);
}

static void a_full_table_makes_others_wait_in_order(void **state)
{
	struct rig *rig = *state;
	const size_t total = PL_RESOLVER_UNDERWAY_MAX + 40;
	struct result *results = pl_calloc(total, sizeof(*results));
	unsigned order = 0;
	for (size_t i = 0; i < total; i++) {
		char host[32];
		snprintf(host, sizeof(host), "n%zu.none.test", i);
		results[i].order = &order;
		pl_resolver_find(rig->resolver, host, 1, on_found, &results[i]);
	}
	uv_run(&rig->loop, UV_RUN_NOWAIT);
	for (size_t i = 0; i < total; i++) {
		wait_for(rig, &results[i]);
		assert_int_equal(results[i].err, PL_ENOTFOUND);
	}
	/* the last in line cannot be answered before a place was free */
	assert_true(results[total - 1].at > 40);
	free(results);
}

static void the_number_of_names_kept_is_bounded(void **state)
{
	struct rig *rig = *state;
	assert_int_equal(find(rig, "one.test").err, PL_OK);
	unsigned before = rig->dns.questions;
	for (size_t i = 0; i < PL_RESOLVER_CACHE_MAX + 1; i++) {
		char host[32];
		snprintf(host, sizeof(host), "192.0.2.1.n%zu.test", i);
		find(rig, host);
	}
	unsigned asked = rig->dns.questions;
	assert_true(asked > before + PL_RESOLVER_CACHE_MAX);
	assert_int_equal(find(rig, "one.test").err, PL_OK); /* pushed out: asked anew */
	assert_true(rig->dns.questions > asked);
}

static void a_cancelled_lookup_stays_silent(void **state)
{
	struct rig *rig = *state;
	struct result gone = { 0 }, kept = { 0 }, ready = { 0 };
	struct pl_resolver_lookup *lookup =
		pl_resolver_find(rig->resolver, "one.test", 1, on_found, &gone);
	pl_resolver_find(rig->resolver, "one.test", 1, on_found, &kept);
	pl_resolver_cancel(lookup);
	wait_for(rig, &kept);
	lookup = pl_resolver_find(rig->resolver, "one.test", 1, on_found, &ready); /* known */
	pl_resolver_cancel(lookup);
	assert_int_equal(find(rig, "two.test").err, PL_OK);
	assert_int_equal(gone.calls + ready.calls, 0);
}

static void closing_ends_what_waits(void **state)
{
	struct rig *rig = *state;
	struct result waiting = { 0 }, known = { 0 };
	find(rig, "one.test");
	pl_resolver_find(rig->resolver, "silent.test", 1, on_found, &waiting);
	pl_resolver_find(rig->resolver, "one.test", 1, on_found, &known);
	close_resolver(rig);
	assert_int_equal(waiting.calls, 1);
	assert_int_equal(waiting.err, PL_ECLOSED);
	assert_int_equal(known.calls, 1);
}

static void on_found_close(
	void *arg, enum pl_err err, const struct sockaddr_storage *addresses, size_t count)
{
	struct result *result = arg;
	on_found(arg, err, addresses, count);
	pl_resolver_close(result->rig->resolver, on_closed, result->rig);
}

static void closing_from_a_callback_is_fine(void **state)
{
	struct rig *rig = *state;
	struct result first = { .rig = rig }, second = { 0 }, third = { 0 };
	pl_resolver_find(rig->resolver, "one.test", 1, on_found_close, &first);
	pl_resolver_find(rig->resolver, "one.test", 1, on_found, &second);
	pl_resolver_find(rig->resolver, "silent.test", 1, on_found, &third);
	while (!rig->closed)
		uv_run(&rig->loop, UV_RUN_ONCE);
	assert_int_equal(first.calls, 1);
	assert_int_equal(second.calls, 1);
	assert_int_equal(third.err, PL_ECLOSED);
}

static void servers_that_do_not_parse_are_refused(void **state)
{
	struct rig *rig = *state;
	struct pl_resolver *none = NULL;
	const struct pl_resolver_options options = { .servers = "not a server" };
	assert_int_equal(pl_resolver_new(&rig->loop, &options, &none), PL_EINVAL);
	assert_null(none);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, rig_open, rig_close)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(answers_come_whole_with_the_port),
		TEST(answers_are_kept),
		TEST(failures_are_kept_for_a_moment),
		TEST(lookups_of_one_name_share_a_question),
		TEST(every_kind_of_failure_has_its_name),
		TEST(hosts_file_counts),
		TEST(a_full_table_makes_others_wait_in_order),
		TEST(the_number_of_names_kept_is_bounded),
		TEST(a_cancelled_lookup_stays_silent),
		TEST(closing_ends_what_waits),
		TEST(closing_from_a_callback_is_fine),
		TEST(servers_that_do_not_parse_are_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
