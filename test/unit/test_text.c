#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "pipeline/text.h"

static void hex_is_lower_case(void **state)
{
	(void)state;
	char out[9];
	pl_hex("\x00\x7f\xab\xff", 4, out);
	assert_string_equal(out, "007fabff");
	pl_hex("", 0, out);
	assert_string_equal(out, "");
}

/* RFC 4648 section 10, and the two digits that are no letters. */
static const struct {
	const char *plain, *coded;
} base64_pairs[] = {
	{ "", "" },
	{ "f", "Zg==" },
	{ "fo", "Zm8=" },
	{ "foo", "Zm9v" },
	{ "foob", "Zm9vYg==" },
	{ "fooba", "Zm9vYmE=" },
	{ "foobar", "Zm9vYmFy" },
	{ "\xfb\xff\xbf", "+/+/" },
};

static void base64_codes_the_vectors_of_its_standard(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof base64_pairs / sizeof *base64_pairs; i++) {
		const char *plain = base64_pairs[i].plain, *coded = base64_pairs[i].coded;
		struct pl_buf out;
		pl_buf_init(&out, 64);
		assert_int_equal(pl_buf_text(&out, ">"), PL_OK);
		assert_int_equal(pl_base64_add(&out, plain, strlen(plain)), PL_OK);
		assert_string_equal(out.data + 1, coded);
		pl_buf_clear(&out);
		assert_int_equal(pl_buf_text(&out, ">"), PL_OK);
		assert_int_equal(pl_base64_decode(coded, strlen(coded), &out), PL_OK);
		assert_int_equal(out.len, 1 + strlen(plain));
		assert_memory_equal(out.data + 1, plain, strlen(plain));
		pl_buf_fini(&out);
	}
}

static void base64_brings_every_byte_back(void **state)
{
	(void)state;
	unsigned char bytes[256];
	for (size_t i = 0; i < sizeof bytes; i++)
		bytes[i] = (unsigned char)(i * 167 + 13);
	for (size_t len = 0; len <= sizeof bytes; len++) {
		struct pl_buf coded, plain;
		pl_buf_init(&coded, 1024);
		pl_buf_init(&plain, 1024);
		assert_int_equal(pl_base64_add(&coded, bytes, len), PL_OK);
		assert_int_equal(pl_base64_decode(coded.data, coded.len, &plain), PL_OK);
		assert_int_equal(plain.len, len);
		assert_memory_equal(plain.data, bytes, len);
		pl_buf_fini(&coded);
		pl_buf_fini(&plain);
	}
}

static void base64_refuses_what_is_not_strict(void **state)
{
	(void)state;
	static const char *const bad[] = { "Z", "Zg", "Zg=", "Zg===", "====", "=",
		"Z===", "Zg==Zg==", "Zm9v!m9v", "Zm9v\n", "Zm 9", "Zm-_",
		"Zh==", "Zm9=", "Z=g=", "\xc3\xa9==" };
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		struct pl_buf out;
		pl_buf_init(&out, 64);
		assert_int_equal(pl_buf_text(&out, "kept"), PL_OK);
		assert_int_equal(pl_base64_decode(bad[i], strlen(bad[i]), &out), PL_EINVAL);
		assert_int_equal(out.len, 4);
		assert_string_equal(out.data, "kept");
		pl_buf_fini(&out);
	}
}

static void base64_respects_the_ceiling(void **state)
{
	(void)state;
	struct pl_buf out;
	pl_buf_init(&out, 7);
	assert_int_equal(pl_base64_add(&out, "foobar", 6), PL_ELIMIT);
	assert_int_equal(pl_base64_add(&out, "f", 1), PL_OK);
	assert_int_equal(pl_base64_decode("Zm9vYg==", 8, &out), PL_ELIMIT);
	assert_int_equal(pl_base64_decode("Zm9v", 4, &out), PL_OK);
	assert_string_equal(out.data, "Zg==foo");
	pl_buf_fini(&out);
}

static void numbers_are_digits_within_their_range(void **state)
{
	(void)state;
	uint64_t n = 77;
	assert_int_equal(pl_number_parse("0", 1, 0, &n), PL_OK);
	assert_int_equal(n, 0);
	assert_int_equal(pl_number_parse("007x", 3, 7, &n), PL_OK);
	assert_int_equal(n, 7);
	assert_int_equal(pl_number_parse("18446744073709551615", 20, UINT64_MAX, &n), PL_OK);
	assert_true(n == UINT64_MAX);
	n = 77;
	assert_int_equal(pl_number_parse("18446744073709551616", 20, UINT64_MAX, &n), PL_ELIMIT);
	assert_int_equal(pl_number_parse("99999999999999999999999", 23, UINT64_MAX, &n), PL_ELIMIT);
	assert_int_equal(pl_number_parse("8", 1, 7, &n), PL_ELIMIT);
	static const char *const bad[] = { "", "-1", "+1", " 1", "1 ", "1.0", "0x1", "1e3",
		"\xd9\xa1" };
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		assert_int_equal(pl_number_parse(bad[i], strlen(bad[i]), 9, &n), PL_EINVAL);
	assert_int_equal(pl_number_parse("1\0", 2, 9, &n), PL_EINVAL);
	assert_int_equal(n, 77);
}

static void written(uint64_t number, const char *want)
{
	char out[PL_NUMBER_SIZE];
	memset(out, 'x', sizeof out);
	assert_int_equal(pl_number_write(number, out), strlen(want));
	assert_string_equal(out, want);
}

static void signed_written(int64_t number, const char *want)
{
	char out[PL_NUMBER_SIZE];
	memset(out, 'x', sizeof out);
	assert_int_equal(pl_signed_write(number, out), strlen(want));
	assert_string_equal(out, want);
}

static void numbers_are_written_as_printf_would(void **state)
{
	(void)state;
	written(0, "0");
	written(UINT64_MAX, "18446744073709551615");
	signed_written(0, "0");
	signed_written(-1, "-1");
	signed_written(-10, "-10");
	signed_written(INT64_MAX, "9223372036854775807");
	signed_written(INT64_MIN, "-9223372036854775808");
	uint64_t power = 1;
	for (int digits = 1; digits <= 20; digits++, power *= 10) {
		for (uint64_t number = power - 1; number <= power + 1; number++) {
			char want[PL_NUMBER_SIZE];
			snprintf(want, sizeof want, "%" PRIu64, number);
			written(number, want);
		}
	}
}

static void equality_sees_each_byte(void **state)
{
	(void)state;
	assert_true(pl_equal_constant_time("", "", 0));
	assert_true(pl_equal_constant_time("abcd", "abcd", 4));
	assert_true(pl_equal_constant_time("abcX", "abcY", 3));
	assert_false(pl_equal_constant_time("abcd", "abce", 4));
	assert_false(pl_equal_constant_time("Abcd", "abcd", 4));
}

static void edits_are_counted(void **state)
{
	(void)state;
	assert_int_equal(pl_edits_between("status", 6, "status"), 0);
	assert_int_equal(pl_edits_between("staus", 5, "status"), 1);
	assert_int_equal(pl_edits_between("lsit", 4, "list"), 2);
	assert_int_equal(pl_edits_between("", 0, "up"), 2);
	assert_int_equal(pl_edits_between("kitten", 6, "sitting"), 3);
	assert_int_equal(pl_edits_between("listing", 4, "list"), 0); /* as long as it is told */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hex_is_lower_case),
		cmocka_unit_test(base64_codes_the_vectors_of_its_standard),
		cmocka_unit_test(base64_brings_every_byte_back),
		cmocka_unit_test(base64_refuses_what_is_not_strict),
		cmocka_unit_test(base64_respects_the_ceiling),
		cmocka_unit_test(numbers_are_digits_within_their_range),
		cmocka_unit_test(numbers_are_written_as_printf_would),
		cmocka_unit_test(equality_sees_each_byte),
		cmocka_unit_test(edits_are_counted),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
