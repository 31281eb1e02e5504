/* The two verdict tables, as docs/PIPELINE.md prints them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "consumer/verdict.h"
#include "responder/verdict.h"

struct row {
	int status;
	enum pl_fault fault;
	enum pl_verdict_kind kind;
	enum pl_outcome outcome;
};

static struct pl_http_answer answer(const struct row *row)
{
	return (struct pl_http_answer) {
		.status = row->status, .fault = row->fault, .sent_whole = true
	};
}

static void check(struct pl_verdict (*judge)(const struct pl_http_answer *, uint64_t),
	const struct row *rows, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct pl_http_answer one = answer(&rows[i]);
		struct pl_verdict verdict = judge(&one, 0);
		if (verdict.kind != rows[i].kind || verdict.outcome != rows[i].outcome)
			fail_msg("status %d, fault %s: kind %d, outcome %c", rows[i].status,
				pl_fault_name(rows[i].fault), (int)verdict.kind,
				(char)verdict.outcome);
		assert_int_equal(verdict.status, rows[i].status);
	}
}

#define DONE  PL_VERDICT_DONE, PL_OUTCOME_SUCCESS
#define RETRY PL_VERDICT_RETRY, PL_OUTCOME_ANSWER
#define BREAK PL_VERDICT_RETRY, PL_OUTCOME_FAILURE
#define FAIL  PL_VERDICT_FAIL, PL_OUTCOME_ANSWER
#define NEVER PL_VERDICT_FAIL, PL_OUTCOME_NONE

static void test_fetch(void **state)
{
	(void)state;
	static const struct row rows[] = {
		{ 200, 0, DONE },
		{ 204, 0, DONE },
		{ 299, 0, DONE },
		{ 199, 0, FAIL },
		{ 304, 0, FAIL },
		{ 400, 0, FAIL },
		{ 401, 0, FAIL },
		{ 404, 0, FAIL },
		{ 410, 0, FAIL },
		{ 999, 0, FAIL },
		{ 600, 0, FAIL },
		{ 408, 0, RETRY },
		{ 425, 0, RETRY },
		{ 429, 0, RETRY },
		{ 500, 0, RETRY },
		{ 501, 0, RETRY },
		{ 599, 0, RETRY },
		{ 502, 0, BREAK },
		{ 503, 0, BREAK },
		{ 504, 0, BREAK },
		{ 0, PL_FAULT_DNS, BREAK },
		{ 0, PL_FAULT_CONNECT, BREAK },
		{ 0, PL_FAULT_TLS, BREAK },
		{ 0, PL_FAULT_TIMEOUT_CONNECT, BREAK },
		{ 200, PL_FAULT_TIMEOUT_IDLE, BREAK },
		{ 200, PL_FAULT_TIMEOUT_TOTAL, BREAK },
		{ 200, PL_FAULT_RESET, RETRY },
		{ 200, PL_FAULT_TRUNCATED, RETRY },
		{ 200, PL_FAULT_TOO_LARGE, FAIL },
		{ 302, PL_FAULT_REDIRECT, FAIL },
		{ 0, PL_FAULT_ADDRESS_BLOCKED, NEVER },
	};
	check(fetch_verdict, rows, sizeof rows / sizeof *rows);
}

static void test_deliver(void **state)
{
	(void)state;
	static const struct row rows[] = {
		{ 200, 0, DONE },
		{ 202, 0, DONE },
		{ 299, 0, DONE },
		{ 301, 0, RETRY },
		{ 302, 0, RETRY },
		{ 307, 0, RETRY },
		{ 400, 0, RETRY },
		{ 404, 0, RETRY },
		{ 429, 0, RETRY },
		{ 500, 0, RETRY },
		{ 999, 0, RETRY },
		{ 410, 0, FAIL },
		{ 502, 0, BREAK },
		{ 503, 0, BREAK },
		{ 504, 0, BREAK },
		{ 0, PL_FAULT_DNS, BREAK },
		{ 0, PL_FAULT_TIMEOUT_TOTAL, BREAK },
		{ 200, PL_FAULT_RESET, RETRY },
		{ 200, PL_FAULT_TRUNCATED, RETRY },
		{ 0, PL_FAULT_ADDRESS_BLOCKED, NEVER },
	};
	check(deliver_verdict, rows, sizeof rows / sizeof *rows);
}

static void test_a_post_cut_short_is_no_success(void **state)
{
	(void)state;
	struct pl_http_answer early = { .status = 200, .sent_whole = false };
	assert_int_equal(deliver_verdict(&early, 0).kind, PL_VERDICT_RETRY);
}

static void test_retry_after_counts_on_429_and_503_only(void **state)
{
	(void)state;
	static const struct {
		int status;
		const char *value;
		uint64_t want_ms;
	} rows[] = {
		{ 429, "7", 7000 },
		{ 503, "7", 7000 },
		{ 500, "7", 0 },
		{ 503, "soon", 0 },
		{ 503, "", 0 },
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct pl_http_answer one = { .status = rows[i].status, .sent_whole = true };
		memcpy(one.retry_after, rows[i].value, strlen(rows[i].value) + 1);
		assert_int_equal(fetch_verdict(&one, 0).retry_after_ms, rows[i].want_ms);
		assert_int_equal(deliver_verdict(&one, 0).retry_after_ms, rows[i].want_ms);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fetch),
		cmocka_unit_test(test_deliver),
		cmocka_unit_test(test_a_post_cut_short_is_no_success),
		cmocka_unit_test(test_retry_after_counts_on_429_and_503_only),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
