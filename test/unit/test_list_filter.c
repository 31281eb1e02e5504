/* What a query selects, and where a listing goes on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "api/list_filter.h"

#define ID     "0190a3c4-0000-7000-8000-000000000001"
#define DAY    "2026-11-22T00:00:00Z"
#define DAY_MS 1795305600000ull

static struct pl_faults faults;
static struct list_filter filter;

static void read_query(const char *query)
{
	pl_faults_init(&faults);
	if (list_filter_read(query, LIST_LIMIT, "", &filter, &faults) != PL_OK)
		fail_msg("%s: %s %s", query, faults.list[0].pointer, faults.list[0].detail);
}

static void test_nothing_given(void **state)
{
	(void)state;
	static const char *const queries[] = { "", "&", "&&" };
	for (size_t i = 0; i < 3; i++) {
		read_query(queries[i]);
		assert_false(filter.has_state);
		assert_int_equal(filter.limit, LIST_LIMIT);
		assert_string_equal(filter.host, "");
		assert_string_equal(filter.label, "");
		assert_int_equal(filter.since_ms + filter.until_ms, 0);
		assert_int_equal(filter.place.slot, -1);
	}
}

static void test_everything_given(void **state)
{
	(void)state;
	read_query("state=failed&host=API.Example%3A81&label=a%20b&since=" DAY
		   "&until=2026-11-22T01:00:00%2B01:00&limit=1000&cursor=n7.5." ID);
	assert_true(filter.has_state && filter.state == PL_STATE_FAILED);
	assert_string_equal(filter.host, "api.example:81");
	assert_string_equal(filter.label, "a b");
	assert_int_equal(filter.since_ms, DAY_MS);
	assert_int_equal(filter.until_ms, DAY_MS);
	assert_int_equal(filter.limit, 1000);
	assert_int_equal(filter.place.slot, 7);
	assert_int_equal(filter.place.position, 5);
	assert_string_equal(filter.place.id, ID);
}

static void test_faults_are_named(void **state)
{
	(void)state;
	static const char *const table[][2] = {
		{ "state=", "state" },
		{ "state=Failed", "state" },
		{ "host=", "host" },
		{ "label=", "label" },
		{ "since=2026", "since" },
		{ "until=", "until" },
		{ "limit=0", "limit" },
		{ "limit=1001", "limit" },
		{ "limit=+5", "limit" },
		{ "limit=1&limit=1", "limit" },
		{ "label=%00", "label" },
		{ "label=%4", "label" },
		{ "cursor=", "cursor" },
		{ "cursor=i", "cursor" },
		{ "cursor=i1", "cursor" },
		{ "cursor=x1.", "cursor" },
		{ "cursor=i1.2", "cursor" },
		{ "cursor=i1.2.x", "cursor" },
		{ "cursor=i-1.", "cursor" },
		{ "cursor=i1.2." ID "x", "cursor" },
		{ "cursor=i9999999999999999.", "cursor" },
		{ "colour=red", "" },
		{ "State=failed", "" },
		{ "stat=failed", "" },
		{ "states=failed", "" },
	};
	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		pl_faults_init(&faults);
		if (list_filter_read(table[i][0], LIST_LIMIT, "", &filter, &faults) == PL_OK)
			fail_msg("%s was taken", table[i][0]);
		assert_int_equal(faults.count, 1);
		assert_string_equal(faults.list[0].pointer, table[i][1]);
	}
}

static void test_a_cursor_there_and_back(void **state)
{
	(void)state;
	static const struct pl_list_place places[] = {
		{ 0, 0, ID },
		{ 999999999, 999999999, ID },
		{ 17, -1, "" },
	};
	for (size_t i = 0; i < 3; i++) {
		char cursor[LIST_CURSOR_SIZE], query[LIST_CURSOR_SIZE + 32];
		read_query("state=failed");
		list_filter_cursor(&filter, &places[i], cursor);
		snprintf(query, sizeof query, "state=failed&cursor=%s", cursor);
		read_query(query);
		assert_int_equal(filter.place.slot, places[i].slot);
		assert_int_equal(filter.place.position, places[i].position);
		assert_string_equal(filter.place.id, places[i].id);
	}
}

static bool admits(const char *query, const char *owner)
{
	struct pl_event event = { .state = PL_STATE_DELIVERED };
	struct pl_record record = {
		.request = { .fetch_lane = "api.example:443",
			.deliver_lane = "[::1]:81",
			.owner = "shop" },
		.created_ms = DAY_MS,
		.events = &event,
		.events_count = 1,
		.last = &event,
	};
	const struct store_found found = { .record = &record, .state = PL_STATE_DELIVERED };
	read_query(query);
	filter.owner = owner;
	return list_filter_admits(&filter, &found);
}

static void test_what_is_admitted(void **state)
{
	(void)state;
	static const char *const fit[] = { "", "state=delivered", "host=api.example",
		"host=api.example:443", "host=[::1]", "host=[::1]:81", ("since=" DAY),
		"until=2026-11-22T00:00:00.001Z" };
	static const char *const unfit[] = { "state=failed", "host=api", "host=pi.example",
		"host=api.example:44", "host=[", "host=[:", ("until=" DAY),
		"since=2026-11-22T00:00:00.001Z" };
	for (size_t i = 0; i < sizeof fit / sizeof *fit; i++)
		if (!admits(fit[i], ""))
			fail_msg("%s", fit[i]);
	for (size_t i = 0; i < sizeof unfit / sizeof *unfit; i++)
		if (admits(unfit[i], ""))
			fail_msg("%s", unfit[i]);
	assert_true(admits("", "shop"));
	assert_false(admits("", "sho"));
}

static void test_where_a_listing_ends(void **state)
{
	(void)state;
	int64_t slot = (int64_t)(DAY_MS / PL_SLOT_MS);
	read_query("since=" DAY);
	assert_false(list_filter_is_past(&filter, &(struct pl_list_place) { .slot = slot }));
	assert_true(list_filter_is_past(&filter, &(struct pl_list_place) { .slot = slot - 100 }));
	assert_true(list_filter_is_past(&filter, &(struct pl_list_place) { .slot = -1 }));
	read_query("");
	assert_false(list_filter_is_past(&filter, &(struct pl_list_place) { .slot = 0 }));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nothing_given),
		cmocka_unit_test(test_everything_given),
		cmocka_unit_test(test_faults_are_named),
		cmocka_unit_test(test_a_cursor_there_and_back),
		cmocka_unit_test(test_what_is_admitted),
		cmocka_unit_test(test_where_a_listing_ends),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
