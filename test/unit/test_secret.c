#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "pipeline/secret.h"

/* The test vector of Standard Webhooks' own libraries. */
#define SECRET    "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
#define ID        "msg_p5jXN8AQM9LWM0D4loKWxJek"
#define TIMESTAMP "1614265330"
#define BODY      "{\"test\": 2432232314}"
#define SIGNATURE "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="

#define OTHER "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX" /* bytes 0 to 23 */

static struct pl_secrets secrets_of(const char *text)
{
	struct pl_secrets secrets;
	const char *why = "";
	if (pl_secrets_parse(text, strlen(text), &secrets, &why) != PL_OK)
		fail_msg("%s: %s", text, why);
	return secrets;
}

static bool is_refused(const char *text)
{
	struct pl_secrets secrets = { .count = 77 };
	const char *why = NULL;
	if (pl_secrets_parse(text, strlen(text), &secrets, &why) == PL_OK)
		return false;
	assert_int_equal(secrets.count, 77);
	assert_non_null(why);
	assert_null(strstr(why, "MfKQ")); /* it may end in a log */
	return true;
}

static void signed_as(const char *secret, struct pl_buf *out)
{
	struct pl_secrets secrets = secrets_of(secret);
	pl_buf_init(out, PL_SIGNATURE_MAX);
	assert_int_equal(pl_secrets_sign(&secrets, ID, TIMESTAMP, BODY, strlen(BODY), out), PL_OK);
}

static void the_official_vector_is_signed(void **state)
{
	(void)state;
	struct pl_buf signature;
	signed_as(SECRET, &signature);
	assert_string_equal(signature.data, SIGNATURE);
	pl_buf_fini(&signature);
}

static void each_secret_signs_in_its_order(void **state)
{
	(void)state;
	struct pl_buf both, other;
	signed_as(OTHER, &other);
	signed_as(SECRET ", " OTHER, &both);
	assert_int_equal(strncmp(both.data, SIGNATURE " v1,", strlen(SIGNATURE " v1,")), 0);
	assert_string_equal(both.data + strlen(SIGNATURE " "), other.data);
	pl_buf_fini(&both);
	pl_buf_fini(&other);
}

static bool verifies(const char *secret, const char *id, const char *timestamp, const char *body,
	const char *header)
{
	struct pl_secrets secrets = secrets_of(secret);
	return pl_secrets_verify(&secrets, id, timestamp, body, strlen(body), header);
}

static void what_is_signed_verifies_and_nothing_else_does(void **state)
{
	(void)state;
	assert_true(verifies(SECRET, ID, TIMESTAMP, BODY, SIGNATURE));
	assert_false(verifies(OTHER, ID, TIMESTAMP, BODY, SIGNATURE));
	assert_false(verifies(SECRET, ID "x", TIMESTAMP, BODY, SIGNATURE));
	assert_false(verifies(SECRET, ID, "1614265331", BODY, SIGNATURE));
	assert_false(verifies(SECRET, ID, TIMESTAMP, BODY " ", SIGNATURE));
	assert_false(verifies(SECRET, ID, TIMESTAMP, "", SIGNATURE));
}

static void one_good_signature_and_one_secret_are_enough(void **state)
{
	(void)state;
	assert_true(verifies(SECRET, ID, TIMESTAMP, BODY, "v1a,xyz v2,abc  " SIGNATURE " v1,"));
	assert_true(verifies(OTHER "," SECRET, ID, TIMESTAMP, BODY, SIGNATURE));
}

static void what_is_no_signature_verifies_nothing(void **state)
{
	(void)state;
	static const char *const bad[] = { "", " ", "v1,", "v1", SIGNATURE "x",
		"g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
		"v2,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
		"V1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
		"v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE",
		"v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OA=" };
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		if (verifies(SECRET, ID, TIMESTAMP, BODY, bad[i]))
			fail_msg("\"%s\" was taken", bad[i]);
}

static void what_is_no_secret_is_refused(void **state)
{
	(void)state;
	static const char *const bad[] = { "", " ", ",", "whsec_",
		"MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "WHSEC_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
		SECRET ",", "," SECRET, SECRET " ", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS",
		"whsec_MfKQ 9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS*",
		"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLa8=" /* 23 bytes */ };
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		if (!is_refused(bad[i]))
			fail_msg("\"%s\" was taken", bad[i]);
}

/* Of so many bytes, all 0. */
static void write_secret(size_t bytes, char out[256])
{
	size_t digits = (bytes * 8 + 5) / 6, padded = (bytes + 2) / 3 * 4, at;
	at = (size_t)snprintf(out, 256, "whsec_");
	for (size_t i = 0; i < padded; i++)
		out[at++] = i < digits ? 'A' : '=';
	out[at] = '\0';
}

static void a_secret_has_24_to_64_bytes(void **state)
{
	(void)state;
	char text[256];
	for (size_t bytes = 20; bytes < 70; bytes++) {
		write_secret(bytes, text);
		if (is_refused(text) == (bytes >= 24 && bytes <= 64))
			fail_msg("%zu bytes", bytes);
	}
	write_secret(64, text);
	assert_int_equal(secrets_of(text).list[0].len, 64);
}

static void there_are_8_secrets_at_most(void **state)
{
	(void)state;
#define FOUR OTHER "," OTHER "," OTHER "," OTHER
	struct pl_buf signature;
	signed_as(FOUR "," FOUR, &signature); /* PL_SIGNATURE_MAX covers them */
	assert_int_equal(signature.len, 8 * 47 + 7);
	pl_buf_fini(&signature);
	assert_true(is_refused(FOUR "," FOUR "," OTHER));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_official_vector_is_signed),
		cmocka_unit_test(each_secret_signs_in_its_order),
		cmocka_unit_test(what_is_signed_verifies_and_nothing_else_does),
		cmocka_unit_test(one_good_signature_and_one_secret_are_enough),
		cmocka_unit_test(what_is_no_signature_verifies_nothing),
		cmocka_unit_test(what_is_no_secret_is_refused),
		cmocka_unit_test(a_secret_has_24_to_64_bytes),
		cmocka_unit_test(there_are_8_secrets_at_most),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
