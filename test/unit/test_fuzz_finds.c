/* What fuzzing has found, kept: each of these broke something once (test/fuzz). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "pipeline/hosts_file.h"
#include "pipeline/record.h"

static enum pl_err decode(const char *text)
{
	struct pl_record *record = NULL;
	enum pl_err err = pl_record_decode(
		"01a200d1-f1f6-7000-83ef-33001a77bf74", text, strlen(text), &record);
	pl_record_free(record);
	return err;
}

#define HEAD    "1\td\tf\ta:80\tb:80\t\t\thttp://a/\thttp://b/\t\n"
#define FETCHED "1\t0\tf\t1\t0\t0\tci\tfetched\tf\t1\t3\t200\t\t\t\t"

/* Whoever asked for its hash read bytes that were not there. */
static void test_empty_data_has_no_bytes(void **state)
{
	(void)state;
	assert_int_equal(decode(HEAD FETCHED "e\t0\n"), PL_OK);
	assert_int_equal(decode(HEAD FETCHED "e\t1\n"), PL_EINVAL);
	assert_int_equal(decode(HEAD FETCHED "e\t0\t\t1\tx\n"), PL_EINVAL);
	assert_int_equal(decode(HEAD "=1\na\n" FETCHED "e\t1\n"), PL_EINVAL);
}

/* It became data of no kind that an event had committed all the same. */
static void test_data_is_of_a_known_kind(void **state)
{
	(void)state;
	assert_int_equal(decode(HEAD "=1\na\n" FETCHED "t\t1\n"), PL_OK);
	assert_int_equal(decode(HEAD "=1\na\n" FETCHED "z\t1\n"), PL_EINVAL);
	assert_int_equal(decode(HEAD "=0\n\n" FETCHED "z\n"), PL_EINVAL);
}

/* The text of the first limit; NULL when the file is refused. */
static const char *limit_of(const char *file)
{
	static char text[32];
	struct pl_host_limit *limits = NULL;
	size_t count = 0;
	const char *why;
	if (pl_hosts_file_parse(file, &limits, &count, &why) != PL_OK)
		return NULL;
	memcpy(text, limits[0].text, sizeof text);
	free(limits);
	return text;
}

/* They were cut to their first seven digits: no request at all to that host. */
static void test_zeros_in_front_of_a_concurrency(void **state)
{
	(void)state;
	assert_string_equal(limit_of("a.example concurrency=00000004"), "4 -");
	assert_null(limit_of("a.example concurrency=00000000"));
}

static void test_a_rate_is_not_rounded_to_nothing(void **state)
{
	(void)state;
	assert_string_equal(limit_of("a.example rate=1e-6"), "- 0.000001");
	assert_null(limit_of("a.example rate=1e-7"));
}

/* Its port was read as part of the path, so that the limit went to another one. */
static void test_a_host_is_no_url(void **state)
{
	(void)state;
	assert_non_null(limit_of("a.example:81 rate=1"));
	assert_null(limit_of("a.example/ rate=1"));
	assert_null(limit_of("a.example?b rate=1"));
	assert_null(limit_of("a.example#b rate=1"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_empty_data_has_no_bytes),
		cmocka_unit_test(test_data_is_of_a_known_kind),
		cmocka_unit_test(test_zeros_in_front_of_a_concurrency),
		cmocka_unit_test(test_a_rate_is_not_rounded_to_nothing),
		cmocka_unit_test(test_a_host_is_no_url),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
