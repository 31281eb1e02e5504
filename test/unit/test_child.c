/* A child of `up` with a clock, a timer and a kernel of our own: nobody is forked, nobody waits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>
#include <uv.h>

#include "../../cli/output.h"
#include "pipeline/clock.h"
#include "pipeline/log.h"
#include "pipeline/service.h"

#define PID     4242
#define NO_WAIT UINT64_MAX

static uint64_t now_ms, wait_ms; /* wait_ms: what the timer was set to; NO_WAIT: it is not */
static unsigned forks;
static bool no_forks, works;
static pid_t killed;
static int killed_by;

static uint64_t clock_now(void)
{
	return now_ms;
}

static int timer_start(uv_timer_t *timer, uv_timer_cb cb, uint64_t ms, uint64_t repeat)
{
	(void)timer, (void)cb;
	assert_int_equal(repeat, 0);
	wait_ms = ms;
	return 0;
}

static int timer_stop(uv_timer_t *timer)
{
	(void)timer;
	wait_ms = NO_WAIT;
	return 0;
}

static pid_t fork_counted(void)
{
	errno = EAGAIN;
	if (no_forks)
		return -1;
	forks++;
	return PID;
}

static int kill_noted(pid_t pid, int number)
{
	killed = pid;
	killed_by = number;
	return 0;
}

int output_source_open(struct output_source *source, struct output *output, const char *name)
{
	(void)source, (void)output, (void)name;
	return 0;
}

void output_source_break(struct output_source *source)
{
	(void)source;
}

void output_source_end(struct output_source *source)
{
	(void)source;
}

#define pl_clock_mono_ms clock_now
#define uv_timer_start   timer_start
#define uv_timer_stop    timer_stop
#define fork             fork_counted
#define kill             kill_noted
#include "../../cli/child.c"

static bool probe(const void *arg)
{
	(void)arg;
	return works;
}

static void changed(void *arg)
{
	(void)arg;
}

static struct child_spec spec;
static struct output output;
static struct child child;

static int set_up(void **state)
{
	static uv_loop_t loop;

	(void)state;
	pl_log_divert(NULL, NULL);
	now_ms = 1000000;
	wait_ms = NO_WAIT;
	forks = 0;
	no_forks = works = false;
	killed = 0;
	spec = (struct child_spec) {
		.name = "consumer", .delay_max_ms = 5000, .stop_max_ms = 7000
	};
	output.loop = &loop;
	return uv_loop_init(&loop) != 0 ||
	       child_init(&child, &spec, &output, -1, changed, NULL) != 0;
}

static int tear_down(void **state)
{
	(void)state;
	child_close(&child);
	uv_run(output.loop, UV_RUN_DEFAULT);
	return uv_loop_close(output.loop);
}

/* It ends after so long, as reaping tells; returns the wait before the next start. */
static uint64_t wait_after(uint64_t life_ms, int status)
{
	wait_ms = NO_WAIT;
	now_ms += life_ms;
	child.pid = 0;
	child.exit_status = status;
	child_event(&child, CHILD_EXITED);
	return wait_ms;
}

static uint64_t wait_after_crash(uint64_t life_ms)
{
	return wait_after(life_ms, SIGSEGV);
}

static void start_again(void)
{
	unsigned before = forks;

	assert_int_equal(child.state, CHILD_WAITING);
	child_event(&child, CHILD_TIMER);
	assert_int_equal(child.state, CHILD_STARTING);
	assert_int_equal(forks, before + 1);
}

static void test_the_wait_doubles_up_to_its_ceiling(void **state)
{
	(void)state;
	static const uint64_t waits[] = { 100, 200, 400, 800, 1600, 3200, 5000, 5000, 5000 };

	child_event(&child, CHILD_BEGIN);
	for (size_t i = 0; i < sizeof(waits) / sizeof(waits[0]); i++) {
		assert_int_equal(wait_after_crash(i), waits[i]);
		start_again();
	}
}

static void test_a_ceiling_of_its_own(void **state)
{
	(void)state;
	static const uint64_t waits[] = { 100, 200, 400, 800, 1000, 1000 };

	spec.delay_max_ms = 1000;
	child_event(&child, CHILD_BEGIN);
	for (size_t i = 0; i < sizeof(waits) / sizeof(waits[0]); i++) {
		assert_int_equal(wait_after_crash(0), waits[i]);
		start_again();
	}
}

static void test_ten_seconds_of_life_clear_the_record(void **state)
{
	(void)state;
	child_event(&child, CHILD_BEGIN);
	assert_int_equal(wait_after_crash(0), 100);
	start_again();
	assert_int_equal(wait_after_crash(9999), 200);
	start_again();
	child_event(&child, CHILD_READY);
	assert_int_equal(wait_after(10000, 0), 100);
	start_again();
	assert_int_equal(wait_after_crash(0), 200);
}

static void test_a_fork_that_fails_is_tried_again(void **state)
{
	(void)state;
	no_forks = true;
	child_event(&child, CHILD_BEGIN);
	assert_int_equal(wait_ms, 100);
	child_event(&child, CHILD_TIMER);
	assert_int_equal(wait_ms, 200);
	no_forks = false;
	start_again();
}

static void test_a_wrong_setting_is_not_tried_again(void **state)
{
	(void)state;
	child_event(&child, CHILD_BEGIN);
	assert_int_equal(wait_after(0, PL_EXIT_SETTING << 8), NO_WAIT);
	assert_true(child.refused);
	assert_int_equal(child.state, CHILD_GONE);
	child_event(&child, CHILD_TIMER);
	child_event(&child, CHILD_BEGIN);
	assert_int_equal(forks, 1);
}

static void test_late_news_change_nothing(void **state)
{
	(void)state;
	child_event(&child, CHILD_BEGIN);
	(void)wait_after_crash(0);
	child_event(&child, CHILD_READY);
	assert_int_equal(child.state, CHILD_WAITING);
	assert_int_equal(wait_ms, 100);
	child_event(&child, CHILD_STOP);
	assert_int_equal(child.state, CHILD_GONE);
	assert_int_equal(wait_ms, NO_WAIT);
}

static void test_a_probe_is_tried_less_and_less_often(void **state)
{
	(void)state;
	static const uint64_t waits[] = { 10, 10, 20, 40, 80, 160, 200, 200 };

	spec.probe = probe;
	child_event(&child, CHILD_BEGIN);
	for (size_t i = 0; i < sizeof(waits) / sizeof(waits[0]); i++) {
		assert_int_equal(wait_ms, waits[i]);
		child_event(&child, CHILD_TIMER);
		assert_int_equal(child.state, CHILD_STARTING);
	}
	works = true;
	child_event(&child, CHILD_TIMER);
	assert_int_equal(child.state, CHILD_UP);
	assert_int_equal(wait_ms, NO_WAIT);
}

static void test_stop_asks_twice_and_then_kills(void **state)
{
	(void)state;
	child_event(&child, CHILD_BEGIN);
	child_event(&child, CHILD_READY);
	for (int i = 0; i < 2; i++) {
		killed = 0;
		child_event(&child, CHILD_STOP);
		assert_int_equal(killed, PID);
		assert_int_equal(killed_by, SIGTERM);
		assert_int_equal(wait_ms, 7000);
	}
	child_event(&child, CHILD_STOP);
	assert_int_equal(killed, -PID);
	assert_int_equal(killed_by, SIGKILL);
	assert_int_equal(wait_after(0, SIGKILL), NO_WAIT);
	assert_int_equal(child.state, CHILD_GONE);
}

static void test_who_does_not_stop_in_time_is_killed(void **state)
{
	(void)state;
	child_event(&child, CHILD_BEGIN);
	child_event(&child, CHILD_STOP);
	assert_int_equal(killed_by, SIGTERM);
	child_event(&child, CHILD_TIMER);
	assert_int_equal(killed, -PID);
	assert_int_equal(killed_by, SIGKILL);
	assert_int_equal(child.state, CHILD_STOPPING);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
		TEST(test_the_wait_doubles_up_to_its_ceiling),
		TEST(test_a_ceiling_of_its_own),
		TEST(test_ten_seconds_of_life_clear_the_record),
		TEST(test_a_fork_that_fails_is_tried_again),
		TEST(test_a_wrong_setting_is_not_tried_again),
		TEST(test_late_news_change_nothing),
		TEST(test_a_probe_is_tried_less_and_less_often),
		TEST(test_stop_asks_twice_and_then_kills),
		TEST(test_who_does_not_stop_in_time_is_killed),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
