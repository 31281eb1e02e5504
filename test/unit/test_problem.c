#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <jansson.h>
#include <string.h>

#include "problem.h"

#define ANSWER_MAX (1024 * 1024)

static char *write_text(const struct problem *problem, struct pl_buf *out)
{
	pl_buf_init(out, ANSWER_MAX);
	assert_int_equal(problem_write(problem, out), PL_OK);
	return out->data;
}

static void test_bare_problem(void **state)
{
	(void)state;
	struct pl_buf out;
	assert_string_equal(
		write_text(&(struct problem) { .status = 404, .detail = "There is \"nothing\"." },
			&out),
		"{\"type\":\"about:blank\",\"title\":\"Not Found\",\"status\":404,"
		"\"detail\":\"There is \\\"nothing\\\".\"}");
	pl_buf_fini(&out);
}

static void test_unknown_outcome_carries_the_id(void **state)
{
	(void)state;
	struct pl_buf out;
	assert_non_null(strstr(
		write_text(&(struct problem) { .status = 503, .detail = "d", .request_id = "0190" },
			&out),
		",\"requestId\":\"0190\"}"));
	pl_buf_fini(&out);
}

static void test_every_fault_is_named(void **state)
{
	(void)state;
	static struct pl_faults faults;
	pl_faults_init(&faults);
	pl_faults_add(&faults, "/provider", "has no host");
	pl_faults_add(&faults, "/a\"\n\xff", "line\r\nbreak");
	struct pl_buf out;
	write_text(&(struct problem) { .status = 422, .detail = "d", .faults = &faults }, &out);
	assert_null(strpbrk(out.data, "\r\n"));
	json_t *json = json_loads(out.data, 0, NULL);
	assert_non_null(json);
	json_t *errors = json_object_get(json, "errors");
	assert_int_equal(json_array_size(errors), 2);
	json_t *first = json_array_get(errors, 0);
	assert_string_equal(json_string_value(json_object_get(first, "pointer")), "/provider");
	assert_string_equal(json_string_value(json_object_get(first, "detail")), "has no host");
	assert_null(json_object_get(json, "errorsNotShown"));
	json_decref(json);
	pl_buf_fini(&out);
}

static void test_dropped_faults_are_counted(void **state)
{
	(void)state;
	static struct pl_faults faults;
	pl_faults_init(&faults);
	for (int i = 0; i < PL_FAULTS_MAX + 3; i++)
		pl_faults_add(&faults, "/x", "fault %d", i);
	struct pl_buf out;
	write_text(&(struct problem) { .status = 422, .detail = "d", .faults = &faults }, &out);
	json_t *json = json_loads(out.data, 0, NULL);
	assert_int_equal(json_array_size(json_object_get(json, "errors")), PL_FAULTS_MAX);
	assert_int_equal(json_integer_value(json_object_get(json, "errorsNotShown")), 3);
	json_decref(json);
	pl_buf_fini(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bare_problem),
		cmocka_unit_test(test_unknown_outcome_carries_the_id),
		cmocka_unit_test(test_every_fault_is_named),
		cmocka_unit_test(test_dropped_faults_are_counted),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
