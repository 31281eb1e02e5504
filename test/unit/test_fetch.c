/* What one fetch asks of the HTTP engine; how the engine keeps to it is test_http_caller.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "pipeline/http.h"
#include "pipeline/worker.h"

static struct pl_http_options asked;

static struct pl_http_exchange *start_noted(
	struct pl_http *http, const struct pl_http_options *options)
{
	(void)http;
	asked = *options;
	return NULL;
}

static struct pl_http *no_engine(const struct pl_worker *worker)
{
	(void)worker;
	return NULL;
}

static uint64_t timeout_of(const struct pl_job *job)
{
	(void)job;
	return 1234;
}

static uint64_t any_bytes(const struct pl_worker *worker)
{
	(void)worker;
	return UINT64_MAX;
}

#define pl_http_start        start_noted
#define pl_worker_http       no_engine
#define pl_job_timeout_ms    timeout_of
#define pl_worker_bodies_max any_bytes
#include "../../services/consumer/fetch.c"

/* 60 s of silence end a fetch long before FETCH_TIMEOUT does; no scenario waits that long. */
static void test_deadlines(void **state)
{
	(void)state;
	struct fetcher fetcher = { .data_max = 5678 };
	struct pl_record record = { .request.provider = "http://host.example/" };
	struct pl_job job = { .record = &record };

	fetch_begin(&fetcher, &job);
	assert_string_equal(asked.method, "GET");
	assert_string_equal(asked.url, record.request.provider);
	assert_int_equal(asked.connect_ms, 5 * 1000);
	assert_int_equal(asked.idle_ms, 60 * 1000);
	assert_int_equal(asked.total_ms, timeout_of(&job));
	assert_int_equal(asked.redirects_max, 5);
	assert_int_equal(asked.body_max, fetcher.data_max);
	fetch_free(job.own);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_deadlines),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
