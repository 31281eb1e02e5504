#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "pipeline/backoff.h"

#define NOW_MS 784111700000ull /* 77 s before the date of RFC 9110's examples */

static struct pl_schedule schedule_of(const char *text)
{
	struct pl_schedule schedule;
	if (pl_schedule_parse(text, strlen(text), &schedule) != PL_OK)
		fail_msg("%s was refused", text);
	return schedule;
}

static void schedules_are_read(void **state)
{
	(void)state;
	struct pl_schedule schedule = schedule_of("5s, 30s,\t2m ,1");
	assert_int_equal(schedule.count, 4);
	assert_int_equal(schedule.delay_ms[0], 5000);
	assert_int_equal(schedule.delay_ms[1], 30000);
	assert_int_equal(schedule.delay_ms[2], 120000);
	assert_int_equal(schedule.delay_ms[3], 1000);
	assert_int_equal(schedule_of("0s").count, 1);
}

static void what_is_no_schedule_is_refused(void **state)
{
	(void)state;
	static const char *const bad[] = { "", " ", ",", "5s,", ",5s", "5s,,5s", "5s 6s", "5s;6s",
		"x" };
	struct pl_schedule schedule = { .count = 77 };
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		if (pl_schedule_parse(bad[i], strlen(bad[i]), &schedule) != PL_EINVAL)
			fail_msg("%s was taken", bad[i]);
	assert_int_equal(schedule.count, 77);
}

static void a_schedule_has_a_ceiling(void **state)
{
	(void)state;
	char text[2 * (PL_SCHEDULE_MAX + 1)];
	for (size_t i = 0; i < sizeof text; i += 2)
		memcpy(text + i, "1,", 2);
	struct pl_schedule schedule;
	assert_int_equal(pl_schedule_parse(text, 2 * PL_SCHEDULE_MAX - 1, &schedule), PL_OK);
	assert_int_equal(schedule.count, PL_SCHEDULE_MAX);
	assert_int_equal(pl_schedule_parse(text, sizeof text - 1, &schedule), PL_ELIMIT);
}

static void each_failure_waits_longer_and_the_last_entry_repeats(void **state)
{
	(void)state;
	struct pl_schedule schedule = schedule_of("5s,30s,2m");
	assert_int_equal(pl_backoff_ms(&schedule, 1, 0), 5000);
	assert_int_equal(pl_backoff_ms(&schedule, 2, 0), 30000);
	assert_int_equal(pl_backoff_ms(&schedule, 3, 0), 120000);
	assert_int_equal(pl_backoff_ms(&schedule, 4, 0), 120000);
	assert_int_equal(pl_backoff_ms(&schedule, UINT32_MAX, 0), 120000);
	struct pl_schedule empty = { .count = 0 };
	assert_int_equal(pl_backoff_ms(&empty, 1, UINT32_MAX), 0);
}

static void jitter_is_only_added(void **state)
{
	(void)state;
	struct pl_schedule schedule = schedule_of("30s,100ms,0s,36500d");
	assert_int_equal(pl_backoff_ms(&schedule, 1, UINT32_MAX), 32999);
	assert_int_equal(pl_backoff_ms(&schedule, 1, 1u << 31), 31500);
	assert_int_equal(pl_backoff_ms(&schedule, 2, UINT32_MAX), 149);
	assert_int_equal(pl_backoff_ms(&schedule, 3, 1u << 31), 25);
	uint64_t longest = schedule.delay_ms[3];
	assert_true(pl_backoff_ms(&schedule, 4, 1u << 31) == longest + longest / 20);
}

static uint64_t retry_after(const char *value)
{
	uint64_t ms = 0;
	if (pl_retry_after_parse(value, strlen(value), NOW_MS, &ms) != PL_OK)
		fail_msg("%s was refused", value);
	return ms;
}

static void retry_after_is_read(void **state)
{
	(void)state;
	assert_int_equal(retry_after("0"), 0);
	assert_int_equal(retry_after(" 120\t"), 120000);
	assert_int_equal(retry_after("Sun, 06 Nov 1994 08:49:37 GMT"), 77000);
	assert_int_equal(retry_after("Sunday, 06-Nov-94 08:49:37 GMT"), 77000);
	assert_int_equal(retry_after("Sun Nov  6 08:49:37 1994"), 77000);
	assert_int_equal(retry_after("Sun, 06 Nov 1994 08:48:20 GMT"), 0);
	assert_int_equal(retry_after("Sun, 06 Nov 1993 08:49:37 GMT"), 0);
	assert_int_equal(retry_after("Thu, 01 Jan 1970 00:00:00 GMT"), 0);
}

static void a_hint_beyond_ten_hours_is_cut(void **state)
{
	(void)state;
	assert_int_equal(retry_after("35999"), 35999000);
	assert_int_equal(retry_after("36001"), PL_RETRY_AFTER_MAX_MS);
	assert_int_equal(retry_after("99999999999999999999999999"), PL_RETRY_AFTER_MAX_MS);
	assert_int_equal(retry_after("Sun, 06 Nov 2094 08:49:37 GMT"), PL_RETRY_AFTER_MAX_MS);
}

static void what_is_no_hint_is_refused(void **state)
{
	(void)state;
	static const char *const bad[] = { "", " ", "-1", "+1", "1.5", "soon", "1 2", "5s",
		"1994-11-06", "06 Nov 1994 08:49:37 GMT", "Sun",
		"Sun, 06 Nov 1994 08:49:37 GMT; and a tail, longer than any date" };
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		uint64_t ms = 77;
		if (pl_retry_after_parse(bad[i], strlen(bad[i]), NOW_MS, &ms) != PL_EINVAL)
			fail_msg("%s was taken", bad[i]);
		assert_int_equal(ms, 77);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(schedules_are_read),
		cmocka_unit_test(what_is_no_schedule_is_refused),
		cmocka_unit_test(a_schedule_has_a_ceiling),
		cmocka_unit_test(each_failure_waits_longer_and_the_last_entry_repeats),
		cmocka_unit_test(jitter_is_only_added),
		cmocka_unit_test(retry_after_is_read),
		cmocka_unit_test(a_hint_beyond_ten_hours_is_cut),
		cmocka_unit_test(what_is_no_hint_is_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
