#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "pipeline/clock.h"

static void the_clocks_agree_with_the_system(void **state)
{
	(void)state;
	uint64_t before = (uint64_t)time(NULL);
	uint64_t wall = pl_clock_wall_ms() / 1000;
	assert_true(wall >= before && wall <= before + 2);
	uint64_t ms = pl_clock_mono_ms(), us = pl_clock_mono_us();
	assert_true(us / 1000 >= ms && us / 1000 < ms + 1000);
	assert_true(pl_clock_boot_ms() >= ms);
}

static uint64_t parsed(const char *text)
{
	uint64_t ms = 0;
	if (pl_time_parse(text, strlen(text), &ms) != PL_OK)
		fail_msg("%s was refused", text);
	return ms;
}

static void a_time_is_formatted_as_the_system_would(void **state)
{
	(void)state;
	/* every 13 days and some, so that all months, leap years and hours come by, until 9999 */
	for (uint64_t ms = 0; ms <= 253402300799999; ms += 1123456789012 / 1000) {
		char ours[PL_TIME_SIZE], theirs[64];
		time_t seconds = (time_t)(ms / 1000);
		struct tm tm;
		gmtime_r(&seconds, &tm);
		size_t len = strftime(theirs, sizeof theirs, "%Y-%m-%dT%H:%M:%S", &tm);
		snprintf(theirs + len, sizeof theirs - len, ".%03uZ", (unsigned)(ms % 1000));
		pl_time_format(ms, ours);
		assert_string_equal(ours, theirs);
		assert_true(parsed(ours) == ms);
	}
}

static void the_ends_of_time_are_kept(void **state)
{
	(void)state;
	char text[PL_TIME_SIZE];
	pl_time_format(0, text);
	assert_string_equal(text, "1970-01-01T00:00:00.000Z");
	pl_time_format(951782399999, text);
	assert_string_equal(text, "2000-02-28T23:59:59.999Z");
	pl_time_format(951782400000, text);
	assert_string_equal(text, "2000-02-29T00:00:00.000Z");
	pl_time_format(4107542400000, text);
	assert_string_equal(text, "2100-03-01T00:00:00.000Z");
	pl_time_format(UINT64_MAX, text);
	assert_string_equal(text, "9999-12-31T23:59:59.999Z");
}

static void a_time_may_have_any_offset_and_fraction(void **state)
{
	(void)state;
	assert_true(parsed("2026-12-01T08:00:00Z") == 1796112000000);
	assert_true(parsed("2026-12-01t08:00:00z") == 1796112000000);
	assert_true(parsed("2026-12-01T08:00:00.5Z") == 1796112000500);
	assert_true(parsed("2026-12-01T08:00:00.1239999999999999999999Z") == 1796112000123);
	assert_true(parsed("2026-12-01T09:30:00+01:30") == 1796112000000);
	assert_true(parsed("2026-11-30T22:00:00-10:00") == 1796112000000);
	assert_true(parsed("2026-12-01T08:00:00-00:00") == 1796112000000);
	assert_true(parsed("1970-01-01T00:00:00+00:00") == 0);
	assert_true(parsed("1969-12-31T23:00:00-01:00") == 0);
	assert_true(parsed("2016-12-31T23:59:60Z") == 1483228800000);
	assert_true(parsed("2017-01-01T00:59:60+01:00") == 1483228800000);
}

static void what_is_no_time_is_refused(void **state)
{
	(void)state;
	static const char *const bad[] = { "", "2026", "2026-12-01", "2026-12-01T08:00:00",
		"2026-12-01 08:00:00Z", "2026-12-01T08:00Z", "2026-12-01T08:00:00.Z",
		"2026-12-01T08:00:00,5Z", "2026-12-01T08:00:00Z ", " 2026-12-01T08:00:00Z",
		"2026-12-01T08:00:00ZZ", "2026-12-01T24:00:00Z", "2026-12-01T08:60:00Z",
		"2026-12-01T08:00:61Z", "2026-12-01T08:00:60Z", "2026-13-01T08:00:00Z",
		"2026-00-01T08:00:00Z", "2026-01-00T08:00:00Z", "2026-01-32T08:00:00Z",
		"2026-04-31T08:00:00Z", "2026-02-29T08:00:00Z", "2100-02-29T08:00:00Z",
		"2026-12-01T08:00:00+24:00", "2026-12-01T08:00:00+01:60",
		"2026-12-01T08:00:00+0100", "2026-12-01T08:00:00+01", "2026-12-01T08:00:00GMT",
		"26-12-01T08:00:00Z", "1969-12-31T23:59:59Z", "1970-01-01T00:00:00+00:01",
		"0000-01-01T00:00:00Z", "9999-12-31T23:59:59-00:01", "+026-12-01T08:00:00Z",
		"2026-12-01T-8:00:00Z" };
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		uint64_t ms = 77;
		if (pl_time_parse(bad[i], strlen(bad[i]), &ms) != PL_EINVAL)
			fail_msg("%s was taken", bad[i]);
		assert_true(ms == 77);
	}
	/* the length counts, not a terminator */
	uint64_t ms;
	assert_int_equal(pl_time_parse("2026-12-01T08:00:00Z", 19, &ms), PL_EINVAL);
}

static void durations_are_read(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		uint64_t ms;
	} good[] = { { "0", 0 }, { "0s", 0 }, { "250ms", 250 }, { "10s", 10000 }, { "10", 10000 },
		{ "1h30m", 5400000 }, { "2d", 172800000 }, { "1d2h3m4s5ms", 93784005 },
		{ "0.5", 500 }, { "1.5h", 5400000 }, { "0.25s", 250 }, { "0.0001", 1 },
		{ "90m", 5400000 }, { "0.333333333333333333", 334 },
		{ "36500d", PL_DURATION_MAX_MS }, { "007s", 7000 } };
	for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
		uint64_t ms = UINT64_MAX;
		if (pl_duration_parse(good[i].text, strlen(good[i].text), &ms) != PL_OK)
			fail_msg("%s was refused", good[i].text);
		assert_true(ms == good[i].ms);
	}
}

static void what_is_no_duration_is_refused(void **state)
{
	(void)state;
	static const char *const bad[] = { "", "s", "-1s", "+1s", " 1s", "1s ", "1 s", "1x", "1S",
		"1min", "1hour", "1.", ".5", "1.s", "1h30", "30m1h", "1s1s", "1ms1s", "1e3", "1,5",
		"1h,", "ms", "0x10", "1.5.5", "\xd9\xa1s" };
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		uint64_t ms = 77;
		if (pl_duration_parse(bad[i], strlen(bad[i]), &ms) != PL_EINVAL)
			fail_msg("%s was taken", bad[i]);
		assert_true(ms == 77);
	}
	static const char *const long_ones[] = { "36501d", "36500d1ms",
		"99999999999999999999999999", "876001h", "18446744073709551616ms" };
	for (size_t i = 0; i < sizeof long_ones / sizeof *long_ones; i++) {
		uint64_t ms = 77;
		assert_int_equal(
			pl_duration_parse(long_ones[i], strlen(long_ones[i]), &ms), PL_ELIMIT);
		assert_true(ms == 77);
	}
}

static void durations_are_written_so_that_they_read_back(void **state)
{
	(void)state;
	char text[32];
	pl_duration_format(0, text, sizeof text);
	assert_string_equal(text, "0s");
	pl_duration_format(93784005, text, sizeof text);
	assert_string_equal(text, "1d2h3m4s5ms");
	pl_duration_format(5400000, text, sizeof text);
	assert_string_equal(text, "1h30m");
	for (uint64_t ms = 1; ms <= PL_DURATION_MAX_MS; ms = ms * 7 / 3 + 1) {
		uint64_t back = 0;
		pl_duration_format(ms, text, sizeof text);
		assert_int_equal(pl_duration_parse(text, strlen(text), &back), PL_OK);
		assert_true(back == ms);
	}
	pl_duration_format(UINT64_MAX, text, sizeof text);
	assert_string_equal(text, "213503982334d14h25m51s615ms");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_clocks_agree_with_the_system),
		cmocka_unit_test(a_time_is_formatted_as_the_system_would),
		cmocka_unit_test(the_ends_of_time_are_kept),
		cmocka_unit_test(a_time_may_have_any_offset_and_fraction),
		cmocka_unit_test(what_is_no_time_is_refused),
		cmocka_unit_test(durations_are_read),
		cmocka_unit_test(what_is_no_duration_is_refused),
		cmocka_unit_test(durations_are_written_so_that_they_read_back),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
