/* A batch taken apart: each item is the text it came as. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "api/batch_text.h"

static struct pl_faults faults;
static struct batch_item items[BATCH_ITEMS_MAX];
static size_t count;

/* With exactly one NUL behind it, as a body has: the sanitizer sees what reads further. */
static enum pl_err split(const char *json)
{
	char *exact = strdup(json);
	pl_faults_init(&faults);
	count = 0;
	enum pl_err err = batch_split(exact, strlen(exact), items, &count, &faults);
	for (size_t i = 0; i < count && i < BATCH_ITEMS_MAX && err == PL_OK; i++)
		items[i].text = json + (items[i].text - exact);
	free(exact);
	return err;
}

static void test_items_as_they_came(void **state)
{
	(void)state;
	static const char *const table[] = { "{ \"a\" : [1, {\"b\": \"]}\\\"\"}] }", "7", "-1.5e3",
		"\"a\\\\\"", "null", "[]", "{}", "[[\"[\"]]", "\"\\u0022\"", "true" };
	static const size_t all = sizeof table / sizeof *table;
	char json[1024] = " {\t\"items\"\r\n: [ ";
	for (size_t i = 0; i < all; i++) {
		strncat(json, table[i], 100);
		strncat(json, i + 1 < all ? " ,\n" : "\t] } ", 8);
	}
	assert_int_equal(split(json), PL_OK);
	assert_int_equal(count, all);
	for (size_t i = 0; i < all; i++) {
		assert_int_equal(items[i].len, strlen(table[i]));
		assert_memory_equal(items[i].text, table[i], items[i].len);
	}
	assert_int_equal(split("{\"items\":[]}"), PL_OK);
	assert_int_equal(count, 0);
}

static void test_what_is_no_json(void **state)
{
	(void)state;
	static const char *const table[] = { "", " ", "{", "{\"items\":[", "{\"items\":[1,]}",
		"{\"items\":[1]", "{\"items\":[1]}}", "{\"items\" [1]}", "{items:[]}",
		"{\"items\":[\"\n\"]}", "{\"items\":[\"\xff\"]}", "\xef\xbb\xbf{\"items\":[]}" };
	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		assert_int_equal(split(table[i]), PL_EINVAL);
		assert_true(faults.malformed);
		assert_int_equal(faults.count, 1);
	}
}

static void test_what_is_no_batch(void **state)
{
	(void)state;
	static const char *const table[][2] = {
		{ "[]", "" },
		{ "7", "" },
		{ "{}", "/items" },
		{ "{\"items\":7}", "/items" },
		{ "{\"items\":{\"a\":[]}}", "/items" },
		{ "{\"items\":[],\"items\":[1]}", "/items" },
		{ "{\"items\":[],\"Items\":{\"a\":\"}\"}}", "/Items" },
	};
	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		assert_int_equal(split(table[i][0]), PL_EINVAL);
		assert_false(faults.malformed);
		assert_int_equal(faults.count, 1);
		assert_string_equal(faults.list[0].pointer, table[i][1]);
	}
	assert_int_equal(split("{\"\\u0069tems\":[]}"), PL_EINVAL);
	assert_int_equal(faults.count, 2); /* an unknown name, and the one that is required */
}

static void fill(char *json, size_t items_count)
{
	char *at = json;
	at = stpcpy(at, "{\"items\":[");
	for (size_t i = 0; i < items_count; i++)
		at = stpcpy(at, i > 0 ? ",1" : "1");
	at = stpcpy(at, "]}");
}

static void test_a_thousand_at_most(void **state)
{
	(void)state;
	char *json = malloc(2 * BATCH_ITEMS_MAX + 64);
	fill(json, BATCH_ITEMS_MAX);
	assert_int_equal(split(json), PL_OK);
	assert_int_equal(count, BATCH_ITEMS_MAX);
	fill(json, BATCH_ITEMS_MAX + 1);
	assert_int_equal(split(json), PL_EINVAL);
	assert_string_equal(faults.list[0].pointer, "/items");
	free(json);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_items_as_they_came),
		cmocka_unit_test(test_what_is_no_json),
		cmocka_unit_test(test_what_is_no_batch),
		cmocka_unit_test(test_a_thousand_at_most),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
