#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "range.h"

#define TAG    "\"aa\""
#define LENGTH 1000

static enum range_verdict judge(
	const char *range, const char *if_range, uint64_t length, struct range_part *part)
{
	const struct range_ask ask = { .range = range, .if_range = if_range };
	return range_judge(&ask, TAG, length, part);
}

static void test_one_range(void **state)
{
	(void)state;
	static const struct {
		const char *range;
		uint64_t from, length;
	} parts[] = {
		{ "bytes=0-0", 0, 1 },
		{ "bytes=0-999", 0, 1000 },
		{ "bytes=0-", 0, 1000 },
		{ "bytes=999-", 999, 1 },
		{ "bytes=10-19", 10, 10 },
		{ "bytes=990-5000", 990, 10 },
		{ "bytes=0-99999999999999999999999", 0, 1000 },
		{ "bytes=-1", 999, 1 },
		{ "bytes=-1000", 0, 1000 },
		{ "bytes=-1001", 0, 1000 },
		{ "bytes=-99999999999999999999999", 0, 1000 },
		{ "Bytes=00-01", 0, 2 },
		{ "bytes= 5-6", 5, 2 },
	};
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		struct range_part part;
		if (judge(parts[i].range, NULL, LENGTH, &part) != RANGE_PART ||
			part.from != parts[i].from || part.length != parts[i].length)
			fail_msg("%s: %ju, %ju bytes", parts[i].range, (uintmax_t)part.from,
				(uintmax_t)part.length);
	}
}

static void test_what_is_no_single_range_is_the_whole(void **state)
{
	(void)state;
	static const char *const ranges[] = { "", "bytes", "bytes=", "bytes=-", "bytes=5",
		"bytes=a-", "bytes=1-a", "bytes=--1", "bytes=+1-", "bytes=-1-", "bytes=1-2-3",
		"bytes=9-5", "bytes=0-1,5-6", "bytes=0-1,", "bytes=-1,-2", "bytes =0-1",
		"bytes:0-1", "items=0-1", "bytes=0-1 ", "bytes=0 -1", "0-1", "bytes=1-2x" };
	for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++) {
		struct range_part part;
		if (judge(ranges[i], NULL, LENGTH, &part) != RANGE_WHOLE || part.from != 0 ||
			part.length != LENGTH)
			fail_msg("%s is taken for a range", ranges[i]);
	}
}

static void test_beyond_the_end(void **state)
{
	(void)state;
	static const char *const ranges[] = { "bytes=1000-", "bytes=1000-1000", "bytes=-0",
		"bytes=18446744073709551615-", "bytes=99999999999999999999999-" };
	struct range_part part;
	for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++)
		if (judge(ranges[i], NULL, LENGTH, &part) != RANGE_OUTSIDE)
			fail_msg("%s lies inside", ranges[i]);
	assert_int_equal(judge("bytes=0-", NULL, 0, &part), RANGE_OUTSIDE);
	assert_int_equal(judge("bytes=-5", NULL, 0, &part), RANGE_WHOLE);
	assert_int_equal(part.length, 0);
}

static void test_if_range(void **state)
{
	(void)state;
	struct range_part part;
	assert_int_equal(judge("bytes=1-2", TAG, LENGTH, &part), RANGE_PART);
	static const char *const others[] = { "", "\"ab\"", "aa", "W/" TAG, TAG ", \"ab\"", "*",
		"Sun, 06 Nov 1994 08:49:37 GMT" };
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		if (judge("bytes=1-2", others[i], LENGTH, &part) != RANGE_WHOLE)
			fail_msg("%s is taken for the tag", others[i]);
		/* the range is not looked at then */
		assert_int_equal(judge("bytes=1000-", others[i], LENGTH, &part), RANGE_WHOLE);
	}
	assert_int_equal(judge(NULL, TAG, LENGTH, &part), RANGE_WHOLE);
}

static void test_preconditions(void **state)
{
	(void)state;
	static const struct {
		const char *match, *none_match;
		enum range_verdict verdict;
	} asks[] = {
		{ NULL, NULL, RANGE_PART },
		{ TAG, NULL, RANGE_PART },
		{ "*", NULL, RANGE_PART },
		{ "\"x\", " TAG, NULL, RANGE_PART },
		{ "W/" TAG, NULL, RANGE_OTHER },
		{ "W/" TAG ", " TAG, NULL, RANGE_PART },
		{ "\"x\"", NULL, RANGE_OTHER },
		{ "", NULL, RANGE_OTHER },
		{ NULL, TAG, RANGE_UNCHANGED },
		{ NULL, "W/" TAG, RANGE_UNCHANGED },
		{ NULL, "\"x\",W/" TAG, RANGE_UNCHANGED },
		{ NULL, "*", RANGE_UNCHANGED },
		{ NULL, "\"x\"", RANGE_PART },
		{ NULL, "", RANGE_PART },
		{ "\"x\"", TAG, RANGE_OTHER },
		{ TAG, TAG, RANGE_UNCHANGED },
	};
	for (size_t i = 0; i < sizeof(asks) / sizeof(asks[0]); i++) {
		const struct range_ask ask = { .range = "bytes=0-1",
			.if_match = asks[i].match,
			.if_none_match = asks[i].none_match };
		struct range_part part;
		if (range_judge(&ask, TAG, LENGTH, &part) != asks[i].verdict)
			fail_msg("case %zu", i);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_range),
		cmocka_unit_test(test_what_is_no_single_range_is_the_whole),
		cmocka_unit_test(test_beyond_the_end),
		cmocka_unit_test(test_if_range),
		cmocka_unit_test(test_preconditions),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
