/* When a fetch that was cut may go on, and which answers do go on (RFC 9110). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "consumer/resume.h"

#define DATE "Wed, 21 Oct 2015 07:28:00 GMT"

static struct pl_http_answer answer(const char *etag, const char *modified, const char *date)
{
	struct pl_http_answer one = { .status = 200, .content_length = -1 };
	memcpy(one.etag, etag, strlen(etag) + 1);
	memcpy(one.last_modified, modified, strlen(modified) + 1);
	memcpy(one.date, date, strlen(date) + 1);
	return one;
}

static void test_validator(void **state)
{
	(void)state;
	static const struct {
		const char *etag, *modified, *date, *want; /* NULL: none */
	} rows[] = {
		{ "\"a\"", "", "", "\"a\"" },
		{ "\"\"", "", "", "\"\"" },
		{ "W/\"a\"", "", "", NULL },
		{ "", "", "", NULL },
		{ "", DATE, "", NULL },
		{ "", DATE, "Wed, 21 Oct 2015 07:28:59 GMT", NULL },
		{ "", DATE, "Wed, 21 Oct 2015 07:29:00 GMT", DATE },
		{ "W/\"a\"", DATE, "Wed, 21 Oct 2015 07:29:00 GMT", DATE },
		{ "\"a\"", DATE, "Wed, 21 Oct 2015 07:29:00 GMT", "\"a\"" },
		{ "", "yesterday", "Wed, 21 Oct 2015 07:29:00 GMT", NULL },
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		char got[RESUME_VALIDATOR_SIZE] = "";
		struct pl_http_answer one = answer(rows[i].etag, rows[i].modified, rows[i].date);
		if (resume_validator(&one, got) != (rows[i].want != NULL))
			fail_msg("row %zu", i);
		if (rows[i].want != NULL)
			assert_string_equal(got, rows[i].want);
	}
}

static void test_no_validator_where_ranges_make_no_sense(void **state)
{
	(void)state;
	char out[RESUME_VALIDATOR_SIZE];
	struct pl_http_answer coded = answer("\"a\"", "", ""), none = coded, cut = coded;
	coded.coded = true;
	assert_false(resume_validator(&coded, out));
	memcpy(none.accept_ranges, "None", 5);
	assert_false(resume_validator(&none, out));
	memset(cut.etag + 1, 'a', sizeof cut.etag - 2); /* as long as is kept: there may be more */
	cut.etag[sizeof cut.etag - 1] = '\0';
	assert_false(resume_validator(&cut, out));
}

static bool is_rest(int status, const char *range, int64_t length)
{
	struct pl_http_answer one = { .status = status, .content_length = length };
	memcpy(one.content_range, range, strlen(range) + 1);
	return resume_is_rest(&one, 100, "\"a\"");
}

static void test_the_rest_begins_where_it_was_cut_and_goes_to_the_end(void **state)
{
	(void)state;
	assert_true(is_rest(206, "bytes 100-199/200", 100));
	assert_true(is_rest(206, "bytes 100-199/200", -1));
	assert_true(is_rest(206, "Bytes 100-100/101", 1));
	assert_false(is_rest(200, "bytes 100-199/200", 100));
	static const char *const other[] = {
		"",
		"bytes",
		"bytes ",
		"bytes 99-199/200",
		"bytes 101-199/200",
		"bytes 1000-1999/2000",
		"bytes 100-198/200", /* less than was asked for */
		"bytes 100-200/200", /* more than there is */
		"bytes 100-199/*",
		"bytes */200",
		"bytes 100-99/100",
		"bytes 100-/200",
		"bytes -199/200",
		"bytes 100-199",
		"bytes 100-199/200 ",
		"bytes +100-199/200",
		"bytes 100-18446744073709551615/0", /* one more is 0 */
		"lines 100-199/200",
	};
	for (size_t i = 0; i < sizeof other / sizeof *other; i++)
		if (is_rest(206, other[i], -1))
			fail_msg("%s", other[i]);
	assert_false(is_rest(206, "bytes 100-199/200", 99));
	assert_false(is_rest(206, "bytes 100-199/200", 101));
}

static bool is_of_the_same(const char *etag, const char *modified, const char *validator)
{
	struct pl_http_answer one = answer(etag, modified, "");
	one.status = 206;
	memcpy(one.content_range, "bytes 100-199/200", 18);
	return resume_is_rest(&one, 100, validator);
}

static void test_the_rest_is_of_the_same_bytes(void **state)
{
	(void)state;
	assert_true(is_of_the_same("\"a\"", "", "\"a\""));
	assert_true(is_of_the_same("", "", "\"a\""));
	assert_true(is_of_the_same("", DATE, DATE));
	assert_true(is_of_the_same("\"a\"", "", DATE));
	assert_false(is_of_the_same("\"b\"", "", "\"a\""));
	assert_false(is_of_the_same("W/\"a\"", "", "\"a\""));
	assert_false(is_of_the_same("", "Wed, 21 Oct 2015 07:28:01 GMT", DATE));
	struct pl_http_answer coded = { .status = 206, .content_length = -1, .coded = true };
	memcpy(coded.content_range, "bytes 100-199/200", 18);
	assert_false(resume_is_rest(&coded, 100, "\"a\""));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_validator),
		cmocka_unit_test(test_no_validator_where_ranges_make_no_sense),
		cmocka_unit_test(test_the_rest_begins_where_it_was_cut_and_goes_to_the_end),
		cmocka_unit_test(test_the_rest_is_of_the_same_bytes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
