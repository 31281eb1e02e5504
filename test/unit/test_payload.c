#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "responder/payload.h"

static const char ID[] = "01a200d1-f1f6-7000-83ef-33001a77bf74";

static void check(
	enum pl_data_kind kind, const char *bytes, size_t len, const char *meta, const char *want)
{
	struct pl_record record = { .data = { .kind = kind, .bytes = len } };
	memcpy(record.request.id, ID, sizeof ID);
	record.request.meta = meta;
	struct pl_buf out;
	pl_buf_init(&out, PAYLOAD_MAX);
	assert_int_equal(payload_compose(&record, bytes, &out), PL_OK);
	assert_string_equal(out.data, want);
	assert_int_equal(payload_length(&record, bytes), out.len);
	pl_buf_fini(&out);
}

#define HEAD "{\"requestId\":\"01a200d1-f1f6-7000-83ef-33001a77bf74\","

static void test_each_kind(void **state)
{
	(void)state;
	check(PL_DATA_EMPTY, NULL, 0, NULL, HEAD "\"data\":null}");
	check(PL_DATA_JSON, " {\"a\" : 1.0} ", 13, NULL, HEAD "\"data\": {\"a\" : 1.0} }");
	check(PL_DATA_TEXT, "a\"b\nc", 5, NULL, HEAD "\"data\":\"a\\\"b\\nc\"}");
	check(PL_DATA_BINARY, "\xff\x00\x01", 3, NULL, HEAD "\"dataBase64\":\"/wAB\"}");
	check(PL_DATA_JSON, "1", 1, "{\"k\":[1]}", HEAD "\"data\":1,\"meta\":{\"k\":[1]}}");
}

static void test_length_of_what_grows(void **state)
{
	(void)state;
	check(PL_DATA_TEXT, "\x01\x7f\\", 3, NULL, HEAD "\"data\":\"\\u0001\\u007f\\\\\"}");
	check(PL_DATA_TEXT, "\u2028\u00e4\U0001f600", 9, "1",
		HEAD "\"data\":\"\\u2028\u00e4\U0001f600\",\"meta\":1}");
	check(PL_DATA_BINARY, "\xff", 1, NULL, HEAD "\"dataBase64\":\"/w==\"}");
	check(PL_DATA_BINARY, "\xff\x00", 2, NULL, HEAD "\"dataBase64\":\"/wA=\"}");
	check(PL_DATA_BINARY, "\xff\x00\x01\x02", 4, NULL, HEAD "\"dataBase64\":\"/wABAg==\"}");
}

static void test_a_failure_callback_is_its_data(void **state)
{
	(void)state;
	struct pl_record record = { .data = { .kind = PL_DATA_JSON, .bytes = 8 } };
	record.request.parent = ID;
	struct pl_buf out;
	pl_buf_init(&out, PAYLOAD_MAX);
	assert_int_equal(payload_compose(&record, "{\"a\": 1}", &out), PL_OK);
	assert_string_equal(out.data, "{\"a\": 1}");
	assert_int_equal(payload_length(&record, out.data), out.len);
	pl_buf_fini(&out);
}

/* The signature was computed with: printf '%s' <id>.1800000000 | openssl dgst -sha256 -mac HMAC
 * -macopt hexkey:0000…00 */
static void test_data_url(void **state)
{
	(void)state;
	static const unsigned char key[32] = { 0 };
	struct pl_buf out;
	pl_buf_init(&out, 4096);
	assert_int_equal(payload_data_url("http://h:1/", ID, 1800000000, key, &out), PL_OK);
	assert_string_equal(out.data,
		"http://h:1/requests/01a200d1-f1f6-7000-83ef-33001a77bf74/data"
		"?expires=1800000000&signature="
		"aa039825a10e98c2d12c5c244fc6aeb6d3c838a6a4fe44468263199b2aba899e");
	pl_buf_fini(&out);
}

static void test_large_data_travels_as_url(void **state)
{
	(void)state;
	struct pl_record record = {
		.data = { .kind = PL_DATA_TEXT, .bytes = 5000000, .sha256 = "ab" }
	};
	memcpy(record.request.id, ID, sizeof ID);
	struct pl_buf out;
	pl_buf_init(&out, PAYLOAD_MAX);
	assert_int_equal(payload_compose_url(&record, "http://h/x?a=1", &out), PL_OK);
	assert_string_equal(out.data,
		HEAD "\"dataUrl\":\"http://h/x?a=1\",\"bytes\":5000000,\"sha256\":\"ab\"}");
	pl_buf_fini(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_kind),
		cmocka_unit_test(test_length_of_what_grows),
		cmocka_unit_test(test_a_failure_callback_is_its_data),
		cmocka_unit_test(test_data_url),
		cmocka_unit_test(test_large_data_travels_as_url),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
