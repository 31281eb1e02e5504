#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "pipeline/hosts_file.h"

static struct pl_host_limit *limits;
static size_t count;

static void read_text(const char *text)
{
	const char *why = "";
	if (pl_hosts_file_parse(text, &limits, &count, &why) != PL_OK)
		fail_msg("%s", why);
}

static int forget(void **state)
{
	(void)state;
	free(limits);
	limits = NULL;
	count = 0;
	return 0;
}

static void is_refused(const char *text, const char *part)
{
	struct pl_host_limit *none = NULL;
	size_t zero = 0;
	const char *why = "";
	if (pl_hosts_file_parse(text, &none, &zero, &why) == PL_OK)
		fail_msg("\"%s\" was taken", text);
	assert_null(none);
	assert_int_equal(zero, 0);
	if (strstr(why, part) == NULL)
		fail_msg("%s is not in: %s", part, why);
}

static void is_limit(size_t which, const char *lane, const char *text)
{
	assert_in_range(which, 0, count - 1);
	assert_string_equal(limits[which].lane, lane);
	assert_string_equal(limits[which].text, text);
}

static void a_host_with_a_port_is_one_lane(void **state)
{
	(void)state;
	read_text("10.0.0.7:8080 rate=100 concurrency=4");
	assert_int_equal(count, 1);
	is_limit(0, "10.0.0.7:8080", "4 100.000000");
}

static void a_host_without_one_is_both(void **state)
{
	(void)state;
	read_text("API.Example rate=0.5\n");
	assert_int_equal(count, 2);
	is_limit(0, "api.example:80", "- 0.500000");
	is_limit(1, "api.example:443", "- 0.500000");
}

static void an_ipv6_host_is_bracketed(void **state)
{
	(void)state;
	read_text("[2001:db8::1]:8080 concurrency=1\n[2001:db8::2] concurrency=2");
	assert_int_equal(count, 3);
	is_limit(0, "[2001:db8::1]:8080", "1 -");
	is_limit(1, "[2001:db8::2]:80", "2 -");
	is_limit(2, "[2001:db8::2]:443", "2 -");
}

static void what_is_not_said_stays_as_it_is(void **state)
{
	(void)state;
	read_text("a.example:1\r\nb.example:2 # rate=9\n");
	is_limit(0, "a.example:1", "- -");
	is_limit(1, "b.example:2", "- -");
}

static void nothing_is_a_file_too(void **state)
{
	(void)state;
	read_text("");
	assert_int_equal(count, 0);
	read_text("# host limits\n\n   \t\n  # more\n");
	assert_int_equal(count, 0);
}

static void what_is_no_limit_is_refused_by_its_line(void **state)
{
	(void)state;
	static const char *const bad[] = { "concurrency=0", "concurrency=10001",
		"concurrency=", "concurrency=1.5", "concurrency=-1", "rate=0", "rate=-1",
		"rate=", "rate=x", "rate=1x", "rate=nan", "rate=inf", "rate=1000001", "Rate=1",
		"rate", "colour=1" };
	char text[256];
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		snprintf(text, sizeof text, "a.example rate=1\n\nb.example %s\n", bad[i]);
		is_refused(text, "line 3: ");
	}
}

static void what_is_no_host_is_refused(void **state)
{
	(void)state;
	static const char *const bad[] = { "http://a.example", "a.example/", "a.example/x",
		"a.example:99999", "a.example:0", "a.example:x", "user@a.example", "a?x", "a#x",
		"a\\b", "[::1", "::1", "a%2eb", "\x01", ":80" };
	char text[256];
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		snprintf(text, sizeof text, "%s rate=1\n", bad[i]);
		is_refused(text, "line 1: ");
	}
}

static void a_line_has_a_ceiling(void **state)
{
	(void)state;
	char text[1024];
	snprintf(text, sizeof text, "a.example rate=1\n#%600s", "x");
	is_refused(text, "line 2: ");
}

static void there_are_10000_limits_at_most(void **state)
{
	(void)state;
	struct pl_buf text;
	pl_buf_init(&text, 1024 * 1024);
	for (unsigned i = 0; i < PL_HOST_LIMITS_MAX / 2; i++)
		assert_int_equal(pl_buf_format(&text, "h%u rate=1\n", i), PL_OK);
	read_text(text.data);
	assert_int_equal(count, PL_HOST_LIMITS_MAX);
	assert_int_equal(pl_buf_text(&text, "one-more:1 rate=1\n"), PL_OK);
	is_refused(text.data, "10000");
	pl_buf_fini(&text);
}

static void a_file_is_read(void **state)
{
	(void)state;
	char path[] = "/tmp/test_hosts.XXXXXX";
	int fd = mkstemp(path);
	static const char line[] = "a.example:1 rate=2\n";
	const char *why = "";
	assert_true(fd >= 0);
	assert_int_equal(write(fd, line, sizeof line - 1), sizeof line - 1);
	close(fd);
	assert_int_equal(pl_hosts_file_read(path, &limits, &count, &why), PL_OK);
	is_limit(0, "a.example:1", "- 2.000000");
	unlink(path);
	assert_int_equal(pl_hosts_file_read(path, &limits, &count, &why), PL_ESYS);
	char wanted[96];
	snprintf(wanted, sizeof wanted, "can't read %s: No such file or directory", path);
	assert_string_equal(why, wanted);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(a_host_with_a_port_is_one_lane, forget),
		cmocka_unit_test_teardown(a_host_without_one_is_both, forget),
		cmocka_unit_test_teardown(an_ipv6_host_is_bracketed, forget),
		cmocka_unit_test_teardown(what_is_not_said_stays_as_it_is, forget),
		cmocka_unit_test_teardown(nothing_is_a_file_too, forget),
		cmocka_unit_test_teardown(what_is_no_limit_is_refused_by_its_line, forget),
		cmocka_unit_test_teardown(what_is_no_host_is_refused, forget),
		cmocka_unit_test_teardown(a_line_has_a_ceiling, forget),
		cmocka_unit_test_teardown(there_are_10000_limits_at_most, forget),
		cmocka_unit_test_teardown(a_file_is_read, forget),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
