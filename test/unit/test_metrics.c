#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "pipeline/lag.h"
#include "pipeline/metrics.h"

#define THREADS 4
#define ROUNDS  10000

enum { SENT, ENDED, DEPTH, AGE, TOOK, ROWS };
enum { ENDED_WELL, ENDED_BADLY };

static const char *const endings[] = { "done", "fail", NULL };
static const uint64_t bounds[] = { 5, 1000, 2500 };

static const struct pl_metric rows[ROWS] = {
	[SENT] = { .name = "t_sent_total", .help = "What was sent." },
	[ENDED] = { .name = "t_ended_total",
		.help = "How it ended.",
		.scope = PL_METRIC_STAGE,
		.label = "verdict",
		.values = endings },
	[DEPTH] = { .name = "t_depth",
		.help = "What waits.",
		.kind = PL_METRIC_GAUGE,
		.scope = PL_METRIC_PIPELINE },
	[AGE] = { .name = "t_age_seconds",
		.help = "How long.",
		.kind = PL_METRIC_GAUGE,
		.scope = PL_METRIC_PIPELINE,
		.scale = 1000 },
	[TOOK] = { .name = "t_took_seconds",
		.help = "How long it took.",
		.kind = PL_METRIC_HISTOGRAM,
		.scope = PL_METRIC_STAGE,
		.scale = 1000,
		.label = "verdict",
		.values = endings,
		.bounds = bounds,
		.bounds_count = 3 },
};

static struct pl_metrics *some(size_t count)
{
	return pl_metrics_new(rows, count, "api", "fetch");
}

static void assert_written(const struct pl_metrics *metrics, const char *wanted)
{
	struct pl_buf out;
	pl_buf_init(&out, PL_METRICS_TEXT_MAX);
	assert_int_equal(pl_metrics_write(metrics, &out), PL_OK);
	assert_string_equal(out.data, wanted);
	pl_buf_fini(&out);
}

static void assert_tells(const struct pl_metrics *metrics, const char *line)
{
	struct pl_buf out;
	pl_buf_init(&out, PL_METRICS_TEXT_MAX);
	assert_int_equal(pl_metrics_write(metrics, &out), PL_OK);
	if (strstr(out.data, line) == NULL)
		fail_msg("no \"%s\" in:\n%s", line, out.data);
	pl_buf_fini(&out);
}

static void counters_are_written_with_their_labels(void **state)
{
	(void)state;
	struct pl_metrics *metrics = some(DEPTH);
	pl_metrics_add(metrics, SENT, 0, 3);
	pl_metrics_add(metrics, ENDED, ENDED_BADLY, 1);
	pl_metrics_add(metrics, ENDED, ENDED_BADLY, 1);
	assert_written(metrics, "# HELP t_sent_total What was sent.\n"
				"# TYPE t_sent_total counter\n"
				"t_sent_total{service=\"api\"} 3\n"
				"# HELP t_ended_total How it ended.\n"
				"# TYPE t_ended_total counter\n"
				"t_ended_total{stage=\"fetch\",verdict=\"done\"} 0\n"
				"t_ended_total{stage=\"fetch\",verdict=\"fail\"} 2\n");
	pl_metrics_free(metrics);
}

static void gauges_go_up_and_down_and_may_be_unknown(void **state)
{
	(void)state;
	struct pl_metrics *metrics = some(TOOK);
	pl_metrics_add(metrics, DEPTH, 0, 5);
	pl_metrics_sub(metrics, DEPTH, 0, 2);
	assert_tells(metrics, "# TYPE t_depth gauge\nt_depth 3\n");
	pl_metrics_set(metrics, DEPTH, 0, 0);
	assert_tells(metrics, "\nt_depth 0\n");
	pl_metrics_set(metrics, DEPTH, 0, PL_METRIC_UNKNOWN);
	assert_tells(metrics, "# TYPE t_depth gauge\n# HELP t_age_seconds");
	pl_metrics_free(metrics);
}

static void a_scale_shows_base_units_exactly(void **state)
{
	(void)state;
	static const struct {
		uint64_t ms;
		const char *line;
	} ages[] = {
		{ 0, "\nt_age_seconds 0\n" },
		{ 1, "\nt_age_seconds 0.001\n" },
		{ 50, "\nt_age_seconds 0.05\n" },
		{ 1000, "\nt_age_seconds 1\n" },
		{ 10010, "\nt_age_seconds 10.01\n" },
		{ 90071992547409930, "\nt_age_seconds 90071992547409.93\n" },
	};
	struct pl_metrics *metrics = some(TOOK);
	for (size_t i = 0; i < sizeof ages / sizeof *ages; i++) {
		pl_metrics_set(metrics, AGE, 0, ages[i].ms);
		assert_tells(metrics, ages[i].line);
	}
	pl_metrics_free(metrics);
}

/* A bucket holds what is at most its bound; each counts those before it too. */
static void histograms_add_up(void **state)
{
	(void)state;
	struct pl_metrics *metrics = some(ROWS);
	static const uint64_t took[] = { 0, 5, 6, 1000, 1001, 2500, 2501, 60000 };
	for (size_t i = 0; i < sizeof took / sizeof *took; i++)
		pl_metrics_observe(metrics, TOOK, ENDED_BADLY, took[i]);
	assert_tells(metrics,
		"# TYPE t_took_seconds histogram\n"
		"t_took_seconds_bucket{stage=\"fetch\",verdict=\"done\",le=\"0.005\"} 0\n");
	assert_tells(metrics,
		"t_took_seconds_bucket{stage=\"fetch\",verdict=\"fail\",le=\"0.005\"} 2\n"
		"t_took_seconds_bucket{stage=\"fetch\",verdict=\"fail\",le=\"1\"} 4\n"
		"t_took_seconds_bucket{stage=\"fetch\",verdict=\"fail\",le=\"2.5\"} 6\n"
		"t_took_seconds_bucket{stage=\"fetch\",verdict=\"fail\",le=\"+Inf\"} 8\n"
		"t_took_seconds_sum{stage=\"fetch\",verdict=\"fail\"} 67.013\n"
		"t_took_seconds_count{stage=\"fetch\",verdict=\"fail\"} 8\n");
	assert_int_equal(pl_metrics_get(metrics, TOOK, ENDED_BADLY), 8);
	assert_int_equal(pl_metrics_get(metrics, TOOK, ENDED_WELL), 0);
	pl_metrics_free(metrics);
}

static void what_does_not_fit_is_told(void **state)
{
	(void)state;
	struct pl_metrics *metrics = some(ROWS);
	struct pl_buf out;
	pl_buf_init(&out, 100);
	assert_int_equal(pl_metrics_write(metrics, &out), PL_ELIMIT);
	pl_buf_fini(&out);
	pl_metrics_free(metrics);
	pl_metrics_free(NULL);
}

static void *count_up(void *arg)
{
	for (int i = 0; i < ROUNDS; i++) {
		pl_metrics_add(arg, SENT, 0, 1);
		pl_metrics_observe(arg, TOOK, ENDED_WELL, (uint64_t)i % 4000);
	}
	return NULL;
}

static void threads_lose_no_count(void **state)
{
	(void)state;
	struct pl_metrics *metrics = some(ROWS);
	pthread_t threads[THREADS];
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, count_up, metrics), 0);
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	assert_int_equal(pl_metrics_get(metrics, SENT, 0), THREADS * ROUNDS);
	assert_int_equal(pl_metrics_get(metrics, TOOK, ENDED_WELL), THREADS * ROUNDS);
	pl_metrics_free(metrics);
}

/* ---- lag: a loop whose turns work or sleep as long as they are told ---- */

static const struct pl_metric lag_rows[] = {
	{ .name = "t_lag_seconds",
		.help = "How long turns take.",
		.kind = PL_METRIC_HISTOGRAM,
		.scale = 1000000,
		.bounds = pl_lag_bounds,
		.bounds_count = PL_LAG_BOUNDS },
};

static void on_prepare(uv_prepare_t *prepare)
{
	pl_lag_turn(prepare->data);
}

static void work(uv_timer_t *timer)
{
	uint64_t until_ns = uv_hrtime() + 120 * 1000 * 1000;
	while (uv_hrtime() < until_ns)
		;
	uv_close((uv_handle_t *)timer, NULL);
}

static void rest(uv_timer_t *timer)
{
	uv_close((uv_handle_t *)timer, NULL);
}

static uint64_t slower_than_100_ms(void (*on_timer)(uv_timer_t *), uint64_t after_ms)
{
	uv_loop_t loop;
	uv_prepare_t prepare;
	uv_timer_t timer;
	struct pl_lag lag;
	struct pl_metrics *metrics = pl_metrics_new(lag_rows, 1, "api", NULL);
	assert_int_equal(uv_loop_init(&loop), 0);
	pl_lag_init(&lag, &loop, metrics, 0);
	uv_prepare_init(&loop, &prepare);
	prepare.data = &lag;
	uv_prepare_start(&prepare, on_prepare);
	uv_unref((uv_handle_t *)&prepare);
	uv_timer_init(&loop, &timer);
	uv_timer_start(&timer, on_timer, after_ms, 0);
	uv_run(&loop, UV_RUN_DEFAULT);
	pl_lag_turn(&lag); /* the turn of the timer was the last */
	uv_close((uv_handle_t *)&prepare, NULL);
	uv_run(&loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&loop), 0);

	struct pl_buf out;
	pl_buf_init(&out, PL_METRICS_TEXT_MAX);
	assert_int_equal(pl_metrics_write(metrics, &out), PL_OK);
	static const char bucket[] = "{service=\"api\",le=\"0.1\"} ";
	const char *below = strstr(out.data, bucket);
	assert_non_null(below);
	uint64_t count = pl_metrics_get(metrics, 0, 0) - strtoull(below + strlen(bucket), NULL, 10);
	pl_buf_fini(&out);
	pl_metrics_free(metrics);
	return count;
}

static void a_turn_that_works_long_is_seen(void **state)
{
	(void)state;
	assert_int_equal(slower_than_100_ms(work, 1), 1);
}

static void a_turn_that_sleeps_long_is_none(void **state)
{
	(void)state;
	assert_int_equal(slower_than_100_ms(rest, 200), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(counters_are_written_with_their_labels),
		cmocka_unit_test(gauges_go_up_and_down_and_may_be_unknown),
		cmocka_unit_test(a_scale_shows_base_units_exactly),
		cmocka_unit_test(histograms_add_up),
		cmocka_unit_test(what_does_not_fit_is_told),
		cmocka_unit_test(threads_lose_no_count),
		cmocka_unit_test(a_turn_that_works_long_is_seen),
		cmocka_unit_test(a_turn_that_sleeps_long_is_none),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
