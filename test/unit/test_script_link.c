/* A verb gets what it uses of lib, once, before it is used. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "script_link.h"
#include "scripts.h"

static const char lib[] = "-- lib\n"
			  "local ONE, TWO = 1, 2\n"
			  "local memo = {}\n"
			  "-- tells one\n"
			  "local function base(id) return call(id) end\n"
			  "local function other() return memo.x end\n"
			  "local function user(id)\n"
			  "\treturn base(id) + TWO -- not other\n"
			  "end\n"
			  "local function seldom(id) -- rarely\n"
			  "\tmemo.x = other() + base(id)\n"
			  "end\n"
			  "local function unused() return user(1) end\n";

static char *text;

static void link_verb(const char *verb)
{
	free(text);
	text = script_link(lib, verb);
}

static int teardown(void **state)
{
	(void)state;
	free(text);
	text = NULL;
	return 0;
}

static const char *place(const char *part)
{
	const char *at = strstr(text, part);
	if (at == NULL)
		fail_msg("%s is not in:\n%s", part, text);
	assert_null(strstr(at + 1, part)); /* once */
	return at;
}

static void assert_lacks(const char *part)
{
	if (strstr(text, part) != NULL)
		fail_msg("%s is in:\n%s", part, text);
}

static void test_only_what_is_used_and_what_that_uses(void **state)
{
	(void)state;
	link_verb("#!lua flags=x\nreturn user(ARGV[1]) -- unused\n");
	assert_ptr_equal(strstr(text, "#!lua flags=x\nlocal T, call"), text);
	assert_true(place("local ONE, TWO") < place("local function base"));
	assert_true(place("local function base") < place("local function user"));
	assert_true(place("local function user") < place("return user(ARGV[1])"));
	assert_lacks("local memo");
	assert_lacks("function other");
	assert_lacks("function unused");
	assert_non_null(strstr(place("return user(ARGV[1])"), "end)()")); /* closed behind it */
}

static void test_what_only_a_rare_one_uses_stands_inside_it(void **state)
{
	(void)state;
	link_verb("#!lua\nif base(1) then seldom(2) end\n");
	const char *rare = place("local function seldom");
	assert_true(place("local function base") < rare);
	assert_true(place("local function other") > rare);
	assert_true(place("local function other") < place("memo.x = other()"));
	assert_true(place("local memo") < rare); /* state is one for all */
}

static void test_a_rare_one_of_the_verb(void **state)
{
	(void)state;
	link_verb("#!lua\nlocal function now_and_then() -- rarely\n\treturn user(3)\nend\nreturn "
		  "base(1)\n");
	const char *rare = place("local function now_and_then");
	assert_true(place("local function base") < rare);
	assert_true(place("local function user") > rare);
	assert_true(place("local function user") < place("return user(3)"));
	link_verb("#!lua\nlocal function now_and_then() -- rarely\n\treturn user(3)\nend\nreturn "
		  "user(1)\n");
	assert_true(place("local function user") < place("local function now_and_then"));
}

/* Anything else at the margin would go with the part before it. */
static void test_lib_is_written_as_it_must_be(void **state)
{
	(void)state;
	static const char *const begins[] = { "local ", "--", "\t", "end", "}", "\n" };
	for (const char *at = pl_lua_lib; *at != '\0'; at = strchr(at, '\n') + 1) {
		bool is_known = false;
		for (size_t i = 0; i < sizeof begins / sizeof *begins; i++)
			is_known = is_known || strncmp(at, begins[i], strlen(begins[i])) == 0;
		if (!is_known)
			fail_msg("lib.lua: %.*s", (int)strcspn(at, "\n"), at);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_only_what_is_used_and_what_that_uses, teardown),
		cmocka_unit_test_teardown(
			test_what_only_a_rare_one_uses_stands_inside_it, teardown),
		cmocka_unit_test_teardown(test_a_rare_one_of_the_verb, teardown),
		cmocka_unit_test(test_lib_is_written_as_it_must_be),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
