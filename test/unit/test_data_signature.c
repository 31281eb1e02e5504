#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "data_signature.h"

/* printf '0190a3c4-0000-7000-8000-000000000001.2000000000' |
 *   openssl dgst -sha256 -mac HMAC -macopt hexkey:000102…1f */
#define ID      "0190a3c4-0000-7000-8000-000000000001"
#define EXPIRES "2000000000"
#define GOOD    "004cbc780fd7aadfe760c83abb4ef03a08207cc8058bb42d6731256dca2ed743"
#define BEFORE  1999999999999ull
#define AFTER   2000000000000ull

static const unsigned char key[SIGNATURE_KEY_BYTES] = { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12,
	13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31 };

static void test_good_until_it_expires(void **state)
{
	(void)state;
	assert_int_equal(data_signature_check(key, ID, EXPIRES, GOOD, BEFORE), SIGNATURE_GOOD);
	assert_int_equal(data_signature_check(key, ID, EXPIRES, GOOD, AFTER), SIGNATURE_EXPIRED);
}

static void test_anything_else_is_wrong(void **state)
{
	(void)state;
	char forged[] = GOOD;
	forged[63] = forged[63] == '0' ? '1' : '0';
	assert_int_equal(data_signature_check(key, ID, EXPIRES, forged, BEFORE), SIGNATURE_WRONG);
	assert_int_equal(data_signature_check(key, ID, EXPIRES, forged, AFTER), SIGNATURE_WRONG);
	assert_int_equal(data_signature_check(key, ID, EXPIRES, "", BEFORE), SIGNATURE_WRONG);
	assert_int_equal(data_signature_check(key, ID, EXPIRES, GOOD "0", BEFORE), SIGNATURE_WRONG);
	static const char *const dates[] = { "2000000001", "02000000000", " 2000000000",
		"+2000000000", "", "x", "99999999999999999999", "-1" };
	for (size_t i = 0; i < sizeof(dates) / sizeof(dates[0]); i++)
		assert_int_equal(
			data_signature_check(key, ID, dates[i], GOOD, BEFORE), SIGNATURE_WRONG);
	unsigned char other_key[SIGNATURE_KEY_BYTES];
	memcpy(other_key, key, sizeof(key));
	other_key[31] ^= 1;
	assert_int_equal(
		data_signature_check(other_key, ID, EXPIRES, GOOD, BEFORE), SIGNATURE_WRONG);
	assert_int_equal(data_signature_check(key, "0190a3c4-0000-7000-8000-000000000002", EXPIRES,
				 GOOD, BEFORE),
		SIGNATURE_WRONG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good_until_it_expires),
		cmocka_unit_test(test_anything_else_is_wrong),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
