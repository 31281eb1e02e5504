#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "pipeline/buf.h"
#include "pipeline/keys.h"

/* SHA-256 of "password", "another" and "operator". */
#define PASSWORD "5e884898da28047151d0e56f8dc6292773603d0d6aabbdd62a11ef721d1542d8"
#define ANOTHER  "ae448ac86c4e8e4dec645729708ef41873ae79c6dff84eff73360989487f08e5"
#define OPERATOR "06e55b633481f7bb072957eabcf110c972e86691c3cfedabe088024bffe42f23"
#define SECRET_A "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX"
#define SECRET_B "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

static struct pl_keys *keys_of(const char *text)
{
	struct pl_keys *keys = NULL;
	const char *why = "";
	if (pl_keys_parse(text, &keys, &why) != PL_OK)
		fail_msg("%s", why);
	return keys;
}

static void is_refused(const char *text, const char *part)
{
	struct pl_keys *keys = (struct pl_keys *)&keys;
	const char *why = "";
	if (pl_keys_parse(text, &keys, &why) == PL_OK)
		fail_msg("\"%s\" was taken", text);
	assert_ptr_equal(keys, &keys);
	if (strstr(why, part) == NULL)
		fail_msg("%s is not in: %s", part, why);
}

static const char *whose(const struct pl_keys *keys, const char *key)
{
	struct pl_key found = { "nobody", false };
	bool is_known = pl_keys_find(keys, key, strlen(key), &found);
	assert_int_equal(is_known, strcmp(found.name, "nobody") != 0);
	return found.name;
}

static bool is_admin(const struct pl_keys *keys, const char *key)
{
	struct pl_key found = { "nobody", false };
	assert_true(pl_keys_find(keys, key, strlen(key), &found));
	return found.is_admin;
}

static void a_key_is_found_by_its_hash(void **state)
{
	(void)state;
	struct pl_keys *keys = keys_of("# who may\n\nalice:" PASSWORD "\r\nbob-2.x_Y:" ANOTHER);
	assert_string_equal(whose(keys, "password"), "alice");
	assert_string_equal(whose(keys, "another"), "bob-2.x_Y");
	static const char *const others[] = { "", "Password", "password ", "passwor", PASSWORD };
	for (size_t i = 0; i < sizeof others / sizeof *others; i++)
		assert_string_equal(whose(keys, others[i]), "nobody");
	pl_keys_free(keys);
}

static void one_name_has_two_live_keys(void **state)
{
	(void)state;
	struct pl_keys *keys = keys_of("alice:" PASSWORD "\nalice:" ANOTHER "\n");
	assert_string_equal(whose(keys, "password"), "alice");
	assert_string_equal(whose(keys, "another"), "alice");
	pl_keys_free(keys);
}

static void the_mark_is_the_lines_own(void **state)
{
	(void)state;
	struct pl_keys *keys = keys_of(
		"op:" OPERATOR ":admin\nop:" PASSWORD "\nboth:" ANOTHER ":" SECRET_A ":admin\n");
	assert_true(is_admin(keys, "operator"));
	assert_false(is_admin(keys, "password"));
	assert_true(is_admin(keys, "another"));
	assert_non_null(pl_keys_secrets(keys, "both"));
	pl_keys_free(keys);
}

static void secrets_of_all_lines_of_a_name_count(void **state)
{
	(void)state;
	struct pl_keys *keys = keys_of("alice:" PASSWORD ":" SECRET_A "\nbob:" ANOTHER
				       "\nalice:" OPERATOR ":" SECRET_B "\n");
	const struct pl_secrets *secrets = pl_keys_secrets(keys, "alice");
	assert_non_null(secrets);
	assert_int_equal(secrets->count, 2);
	assert_int_equal(secrets->list[0].bytes[1], 1); /* of SECRET_A */
	assert_int_equal(secrets->list[1].bytes[0], 0x31);
	assert_null(pl_keys_secrets(keys, "bob"));
	assert_null(pl_keys_secrets(keys, ""));
	pl_keys_free(keys);
}

static void what_is_no_line_is_refused_by_its_number(void **state)
{
	(void)state;
	static const char good[] = "alice:" PASSWORD "\n";
	static const char *const bad[] = { "alice", "alice:", ":" PASSWORD, " alice:" PASSWORD,
		"al ice:" PASSWORD, "ali\xc3\xa9:" PASSWORD, "alice:" PASSWORD "0",
		"alice:5e884898", "alice:password", "alice:" PASSWORD ":",
		"alice:" PASSWORD ":Admin",
		"alice:" PASSWORD ":admin:", "alice:" PASSWORD ":whsec_x",
		"alice:5E884898DA28047151D0E56F8DC6292773603D0D6AABBDD62A11EF721D1542D8" };
	char text[512];
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		snprintf(text, sizeof text, "%s# x\n%s\n%s", good, bad[i], good);
		is_refused(text, "line 3: ");
	}
}

static void a_fault_shows_no_secret(void **state)
{
	(void)state;
	struct pl_keys *keys;
	const char *why = "";
	assert_int_equal(
		pl_keys_parse("alice:" PASSWORD ":" SECRET_B "=\n", &keys, &why), PL_EINVAL);
	assert_null(strstr(why, "MfKQ"));
	assert_null(strstr(why, "5e88"));
}

static void a_file_without_keys_is_refused(void **state)
{
	(void)state;
	is_refused("", "nobody");
	is_refused("# none\n\n", "nobody");
}

static void names_and_secrets_have_ceilings(void **state)
{
	(void)state;
	char text[1024];
	for (int len = 63; len <= 65; len++) {
		struct pl_keys *keys;
		const char *why;
		snprintf(text, sizeof text, "%.*s%0*d:%s", len - 1, "n", len - 1, 0, PASSWORD);
		assert_int_equal(pl_keys_parse(text, &keys, &why), len <= 64 ? PL_OK : PL_EINVAL);
		if (len <= 64)
			pl_keys_free(keys);
	}
#define FIVE SECRET_A "," SECRET_A "," SECRET_A "," SECRET_A "," SECRET_A
	is_refused("alice:" PASSWORD ":" FIVE "\nalice:" ANOTHER ":" FIVE "\n", "line 2: ");
}

static void there_are_10000_keys_at_most(void **state)
{
	(void)state;
	struct pl_buf text;
	pl_buf_init(&text, 2 * 1024 * 1024);
	for (unsigned i = 0; i < PL_KEYS_MAX; i++)
		assert_int_equal(pl_buf_format(&text, "n%u:%060x%04x\n", i, 0, i), PL_OK);
	pl_keys_free(keys_of(text.data));
	assert_int_equal(pl_buf_text(&text, "alice:" PASSWORD), PL_OK);
	is_refused(text.data, "line 10001: ");
	pl_buf_fini(&text);
}

static void a_file_is_read(void **state)
{
	(void)state;
	char path[] = "/tmp/test_keys.XXXXXX";
	int fd = mkstemp(path);
	static const char line[] = "alice:" PASSWORD "\n";
	struct pl_keys *keys;
	const char *why = "";
	assert_true(fd >= 0);
	assert_int_equal(write(fd, line, sizeof line - 1), sizeof line - 1);
	close(fd);
	assert_int_equal(pl_keys_read(path, &keys, &why), PL_OK);
	assert_string_equal(whose(keys, "password"), "alice");
	pl_keys_free(keys);
	unlink(path);
	assert_int_equal(pl_keys_read(path, &keys, &why), PL_ESYS);
	char wanted[96];
	snprintf(wanted, sizeof wanted, "can't read %s: No such file or directory", path);
	assert_string_equal(why, wanted);
	assert_int_equal(pl_keys_read("/", &keys, &why), PL_ESYS);
	pl_keys_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_key_is_found_by_its_hash),
		cmocka_unit_test(one_name_has_two_live_keys),
		cmocka_unit_test(the_mark_is_the_lines_own),
		cmocka_unit_test(secrets_of_all_lines_of_a_name_count),
		cmocka_unit_test(what_is_no_line_is_refused_by_its_number),
		cmocka_unit_test(a_fault_shows_no_secret),
		cmocka_unit_test(a_file_without_keys_is_refused),
		cmocka_unit_test(names_and_secrets_have_ceilings),
		cmocka_unit_test(there_are_10000_keys_at_most),
		cmocka_unit_test(a_file_is_read),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
