#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "hosts.h"

static void check(const struct hosts *hosts, bool expected, const char *const *names, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (hosts_are_ours(hosts, names[i]) != expected)
			fail_msg("\"%s\" is %s ours", names[i], expected ? "not" : "taken for");
}
#define CHECK(hosts, expected, names) \
	check(hosts, expected, names, sizeof(names) / sizeof(names[0]))

static void test_names_on_loopback(void **state)
{
	(void)state;
	const struct hosts hosts = { .bind = "127.0.0.1" };
	static const char *const ours[] = { "localhost", "LocalHost:3001",
		"localhost:", "127.0.0.1", "127.0.0.1:80", "127.9.9.9", "[::1]", "[::1]:3001" };
	static const char *const others[] = { "", ":", ":3001", "evil.test", "localhost.evil.test",
		"127.0.0.1.evil.test", "xlocalhost", "localhostx", "10.0.0.1", "0.0.0.0", "[::2]",
		"[::1", "::1]", "[]", "localhost:x", "localhost:80x", "localhost:80:80",
		"localhost/", "127.1", "[::1]x", "[localhost", "localhost ", "2130706433" };
	CHECK(&hosts, true, ours);
	CHECK(&hosts, false, others);
}

static void test_name_of_the_public_url(void **state)
{
	(void)state;
	const struct hosts hosts = { .bind = "127.0.0.1", .public_name = "api.example" };
	static const char *const ours[] = { "api.example", "API.example:443", "localhost" };
	static const char *const others[] = { "xapi.example", "api.example.evil.test", "example" };
	CHECK(&hosts, true, ours);
	CHECK(&hosts, false, others);
}

static void test_bound_addresses(void **state)
{
	(void)state;
	const struct hosts one = { .bind = "192.0.2.7" }, all = { .bind = "0.0.0.0" };
	static const char *const its_own[] = { "192.0.2.7", "192.0.2.7:3001" };
	static const char *const other[] = { "192.0.2.8" };
	static const char *const names[] = { "evil.test", "api" };
	CHECK(&one, true, its_own);
	CHECK(&one, false, other);
	CHECK(&all, true, its_own);
	CHECK(&all, true, other);
	CHECK(&all, false, names);
}

static void test_a_long_name(void **state)
{
	(void)state;
	char name[2 * HOST_NAME_SIZE];
	memset(name, 'a', sizeof(name));
	name[sizeof(name) - 1] = '\0';
	assert_false(hosts_are_ours(&(struct hosts) { .bind = "127.0.0.1" }, name));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names_on_loopback),
		cmocka_unit_test(test_name_of_the_public_url),
		cmocka_unit_test(test_bound_addresses),
		cmocka_unit_test(test_a_long_name),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
