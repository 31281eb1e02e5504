#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "api.h"
#include "callers.h"

#define PASSWORD "5e884898da28047151d0e56f8dc6292773603d0d6aabbdd62a11ef721d1542d8"
#define OPERATOR "06e55b633481f7bb072957eabcf110c972e86691c3cfedabe088024bffe42f23"

#define SECOND_US 1000000u
#define NOW_US    (7ull * SECOND_US)

static char path[64];
static struct callers callers;

static void write_keys(const char *text)
{
	FILE *file = fopen(path, "w");
	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
}

static void init(const char *api_keys, const char *rate)
{
	static const struct pl_setting *const tables[] = { pl_settings_shared, pl_settings_keys,
		api_settings, NULL };
	char *argv[] = { "--api-keys", (char *)api_keys, "--api-rate", (char *)rate };
	struct pl_settings *settings;
	char *errors = NULL;
	const char *why = "";
	char *given[] = { "api", argv[0], argv[1], argv[2], argv[3], NULL };
	if (pl_settings_read(tables, 5, given, &settings, &errors) != PL_OK)
		fail_msg("%s", errors);
	if (callers_init(&callers, settings, &why) != PL_OK)
		fail_msg("%s", why);
	callers.path = api_keys[0] != '\0' ? path : NULL; /* settings' own goes with them */
	pl_settings_free(settings);
}

static int setup(void **state)
{
	(void)state;
	snprintf(path, sizeof path, "/tmp/test_callers.XXXXXX");
	int fd = mkstemp(path);
	assert_true(fd >= 0);
	close(fd);
	write_keys("alice:" PASSWORD "\nop:" OPERATOR ":admin\n");
	pl_log_init("api", PL_LOG_ERROR, true, STDERR_FILENO);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	callers_fini(&callers);
	return unlink(path);
}

static bool knows(const char *authorization, struct caller *out)
{
	*out = (struct caller) { .kind = CALLER_ANYBODY };
	return callers_identify(&callers, authorization, out);
}

static void a_bearer_key_tells_who_asks(void **state)
{
	(void)state;
	struct caller caller;
	init(path, "0");
	assert_true(knows("Bearer password", &caller));
	assert_int_equal(caller.kind, CALLER_OWNER);
	assert_string_equal(caller.name, "alice");
	assert_true(knows("bEARER   operator", &caller));
	assert_int_equal(caller.kind, CALLER_ADMIN);
	assert_string_equal(caller.name, "op");
}

static void everything_else_is_nobody(void **state)
{
	(void)state;
	static const char *const bad[] = { NULL, "", "Bearer", "Bearer ", "Bearer  ", "password",
		"Bearerpassword", "Basic password", "Bearer Password", "Bearer password ",
		"Bearer " PASSWORD, "Bearer password, Bearer operator" };
	struct caller caller;
	init(path, "0");
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		if (knows(bad[i], &caller))
			fail_msg("\"%s\" was taken", bad[i]);
}

static void each_sees_what_is_theirs(void **state)
{
	(void)state;
	const struct caller anybody = { .kind = CALLER_ANYBODY };
	const struct caller alice = { .kind = CALLER_OWNER, .name = "alice" };
	const struct caller admin = { .kind = CALLER_ADMIN, .name = "op" };
	const struct caller link = { .kind = CALLER_LINK };
	assert_true(caller_may_see(&alice, "alice"));
	assert_false(caller_may_see(&alice, "alic"));
	assert_false(caller_may_see(&alice, "Alice"));
	assert_false(caller_may_see(&alice, "")); /* sent while the api was open */
	assert_false(caller_may_see(&alice, NULL));
	assert_true(caller_may_see(&admin, "alice"));
	assert_true(caller_may_see(&admin, ""));
	assert_true(caller_may_see(&anybody, "alice")); /* keys were taken away again */
	assert_true(caller_may_see(&link, "alice"));    /* its signature is the right */
	assert_string_equal(caller_scope(&alice), "alice");
	assert_string_equal(caller_scope(&admin), "");
	assert_string_equal(caller_scope(&anybody), "");
	init("", "0");
}

static void keys_are_read_anew(void **state)
{
	(void)state;
	struct caller caller;
	init(path, "0");
	write_keys("bob:" PASSWORD ":admin\n");
	callers_reload(&callers);
	assert_true(knows("Bearer password", &caller));
	assert_string_equal(caller.name, "bob");
	assert_int_equal(caller.kind, CALLER_ADMIN);
	assert_false(knows("Bearer operator", &caller));
}

static void a_wrong_file_leaves_the_old_keys(void **state)
{
	(void)state;
	struct caller caller;
	init(path, "0");
	write_keys("bob:nonsense\n");
	callers_reload(&callers);
	assert_true(knows("Bearer password", &caller));
	assert_string_equal(caller.name, "alice");
}

static bool call_at(uint64_t now_us, const char *name, const char *left)
{
	struct caller caller = { .kind = CALLER_OWNER };
	char headers[CALLERS_RATE_SIZE], expected[CALLERS_RATE_SIZE] = "";
	snprintf(caller.name, sizeof caller.name, "%s", name);
	bool may = callers_count(&callers, &caller, now_us, headers);
	if (left != NULL)
		snprintf(expected, sizeof expected,
			"RateLimit-Policy: \"calls\";q=3;w=1\r\nRateLimit: \"calls\";r=%s;t=1\r\n",
			left);
	assert_string_equal(headers, expected);
	return may;
}

static void so_many_calls_a_second(void **state)
{
	(void)state;
	init(path, "3");
	assert_true(call_at(NOW_US, "alice", "2"));
	assert_true(call_at(NOW_US, "alice", "1"));
	assert_true(call_at(NOW_US + 1, "alice", "0"));
	assert_false(call_at(NOW_US + 333331, "alice", "0"));
	assert_true(call_at(NOW_US + 333332, "alice", "0"));
	assert_false(call_at(NOW_US + 333333, "alice", "0"));
	assert_true(call_at(NOW_US + 100ull * SECOND_US, "alice", "2")); /* never more than 3 */
}

static void each_name_has_its_own(void **state)
{
	(void)state;
	init(path, "3");
	for (int i = 2; i >= 0; i--) {
		const char *const left[] = { "0", "1", "2" };
		assert_true(call_at(NOW_US, "alice", left[i]));
	}
	assert_false(call_at(NOW_US, "alice", "0"));
	assert_true(call_at(NOW_US, "bob", "2"));
	callers_reload(&callers);
	assert_true(call_at(NOW_US, "alice", "2"));
}

static void a_clock_that_stands_brings_nothing(void **state)
{
	(void)state;
	init(path, "3");
	assert_true(call_at(NOW_US, "alice", "2"));
	assert_true(call_at(NOW_US - 5, "alice", "0")); /* another thread was faster */
	assert_true(call_at(NOW_US, "alice", "0"));
	assert_false(call_at(NOW_US, "alice", "0"));
}

static void without_a_rate_or_a_name_nothing_is_counted(void **state)
{
	(void)state;
	init(path, "0");
	assert_true(call_at(NOW_US, "alice", NULL));
	callers_fini(&callers);
	init(path, "3");
	for (int i = 0; i < 10; i++)
		assert_true(call_at(NOW_US, "", NULL));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_bearer_key_tells_who_asks, setup, teardown),
		cmocka_unit_test_setup_teardown(everything_else_is_nobody, setup, teardown),
		cmocka_unit_test_setup_teardown(each_sees_what_is_theirs, setup, teardown),
		cmocka_unit_test_setup_teardown(keys_are_read_anew, setup, teardown),
		cmocka_unit_test_setup_teardown(a_wrong_file_leaves_the_old_keys, setup, teardown),
		cmocka_unit_test_setup_teardown(so_many_calls_a_second, setup, teardown),
		cmocka_unit_test_setup_teardown(each_name_has_its_own, setup, teardown),
		cmocka_unit_test_setup_teardown(
			a_clock_that_stands_brings_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(
			without_a_rate_or_a_name_nothing_is_counted, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
