/*
 * service: each test runs one in a child of its own and talks to it as a supervisor does, through
 * READY_FD, signals and the exit code.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "pipeline/buf.h"
#include "pipeline/mem.h"
#include "pipeline/service.h"

#define PATIENCE_MS 20000 /* only a test that is about to fail waits so long */
#define SAID_MAX    (64u * 1024)
#define FLAGS_MAX   4

struct thing {
	struct pl_service_run *run;
	uv_timer_t busy; /* keeps the loop's attention until stop */
	uv_work_t stuck;
};

static bool stubborn, failing, half_built;
static enum { NOWHERE, ON_ITS_LOOP, ON_ANOTHER_LOOP } hangs;

/* The guard of stop is due at once where there is work for it. */
int uv_timer_start(uv_timer_t *timer, uv_timer_cb cb, uint64_t timeout_ms, uint64_t repeat_ms)
{
	int (*real)(uv_timer_t *, uv_timer_cb, uint64_t, uint64_t);
	*(void **)&real = dlsym(RTLD_NEXT, "uv_timer_start");
	if (timeout_ms == PL_SERVICE_STOP_MS && hangs == ON_ITS_LOOP)
		timeout_ms = 0;
	return real(timer, cb, timeout_ms, repeat_ms);
}

static void say(const char *word)
{
	dprintf(STDOUT_FILENO, "<%s>", word);
}

static void on_busy(uv_timer_t *timer)
{
	(void)timer;
}

static void thing_build(struct pl_service_run *run, void **state)
{
	struct thing *thing = pl_calloc(1, sizeof(*thing));

	thing->run = run;
	uv_timer_init(pl_service_loop(run), &thing->busy);
	thing->busy.data = thing;
	uv_timer_start(&thing->busy, on_busy, PATIENCE_MS, PATIENCE_MS);
	*state = thing;
}

/* As asking for a name does that nobody answers. */
static void wait_for_nobody(uv_work_t *work)
{
	(void)work;
	for (;;)
		pause();
}

static void on_nobody_came(uv_work_t *work, int status)
{
	(void)work, (void)status;
	abort();
}

static void thing_hang(struct thing *thing)
{
	static uv_loop_t another;
	uv_loop_t *loop = pl_service_loop(thing->run);

	if (hangs == ON_ANOTHER_LOOP) {
		uv_loop_init(&another);
		loop = &another;
	}
	uv_queue_work(loop, &thing->stuck, wait_for_nobody, on_nobody_came);
}

static int thing_start(struct pl_service_run *run, void **state)
{
	say("start");
	if (failing) {
		if (half_built)
			thing_build(run, state);
		pl_service_fail(run, PL_EXIT_SYSTEM, "no %s", "luck");
		return PL_EXIT_SYSTEM;
	}
	thing_build(run, state);
	if (hangs != NOWHERE)
		thing_hang(*state);
	pl_service_ready(run);
	return 0;
}

static void thing_drain(void *state)
{
	struct thing *thing = state;

	say("drain");
	if (!stubborn)
		pl_service_drained(thing->run);
	say("drain returns");
}

static void on_closed(uv_handle_t *handle)
{
	if (hangs == NOWHERE)
		free(handle->data);
}

static void thing_stop(void *state)
{
	struct thing *thing = state;

	say("stop");
	if (hangs == ON_ANOTHER_LOOP)
		pl_service_leave(thing->run);
	uv_close((uv_handle_t *)&thing->busy, on_closed);
}

static void thing_reload(void *state)
{
	struct thing *thing = state;

	say("reload");
	pl_service_fail(thing->run, PL_EXIT_SETTING, "the file is wrong");
}

static const struct pl_setting *const tables[] = { pl_settings_shared, NULL };
static const struct pl_service thing_service = {
	.name = "thing",
	.purpose = "is tested",
	.settings = tables,
	.start = thing_start,
	.drain = thing_drain,
	.stop = thing_stop,
	.reload = thing_reload,
};

struct run {
	pid_t pid;
	int output, ready;
	struct pl_buf said;
};

_Noreturn static void run_as_child(int output, int ready, const char *const *flags)
{
	char *argv[FLAGS_MAX + 2] = { (char *)"fetchback-thing" };
	char number[16];
	int argc = 1;

	for (; flags[argc - 1] != NULL; argc++)
		argv[argc] = (char *)flags[argc - 1];
	snprintf(number, sizeof(number), "%d", ready);
	setenv(PL_READY_FD_NAME, number, 1);
	dup2(output, STDOUT_FILENO);
	dup2(output, STDERR_FILENO);
	exit(pl_service_main(&thing_service, argc, argv));
}

static void run_begin(struct run *run, const char *const flags[FLAGS_MAX])
{
	int output[2], ready[2];

	assert_int_equal(pipe2(output, O_CLOEXEC), 0);
	assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
	fflush(stdout);
	run->pid = fork();
	assert_true(run->pid >= 0);
	if (run->pid == 0)
		run_as_child(output[1], ready[1], flags);
	close(output[1]);
	close(ready[1]);
	run->output = output[0];
	run->ready = ready[0];
	pl_buf_init(&run->said, SAID_MAX);
}

/* What comes next, at most; 0 at the end. */
static ssize_t next(int from, char *to, size_t room)
{
	struct pollfd some = { .fd = from, .events = POLLIN };

	assert_int_equal(poll(&some, 1, PATIENCE_MS), 1);
	return read(from, to, room);
}

static bool is_ready(struct run *run)
{
	char word[16];
	ssize_t len = next(run->ready, word, sizeof(word));

	return len == (ssize_t)strlen(PL_READY_TEXT) &&
	       memcmp(word, PL_READY_TEXT, (size_t)len) == 0;
}

static bool has_said(const struct run *run, const char *words)
{
	return run->said.data != NULL && strstr(run->said.data, words) != NULL;
}

/* Reads on until it has said this, or has no more to say. */
static bool says(struct run *run, const char *words)
{
	char block[4096];
	ssize_t len = 1;

	while (!has_said(run, words) && len > 0) {
		len = next(run->output, block, sizeof(block));
		assert_true(len >= 0);
		assert_int_equal(pl_buf_add(&run->said, block, (size_t)len), PL_OK);
	}
	return has_said(run, words);
}

/* Its exit code, -1 if it has none; all it said is in run->said. */
static int run_end(struct run *run)
{
	int status;

	(void)says(run, "\x01"); /* never said: all of it */
	while (waitpid(run->pid, &status, 0) < 0)
		assert_int_equal(errno, EINTR);
	close(run->output);
	close(run->ready);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static int whole_run(struct run *run, const char *const flags[FLAGS_MAX])
{
	run_begin(run, flags);
	return run_end(run);
}

#define FLAGS(...) ((const char *const[FLAGS_MAX]) { __VA_ARGS__ })
#define NO_FLAGS   FLAGS(NULL)

static int setup(void **state)
{
	(void)state;
	stubborn = failing = half_built = false;
	hangs = NOWHERE;
	return 0;
}

static void test_drains_and_stops(void **state)
{
	struct run run;
	(void)state;

	run_begin(&run, NO_FLAGS);
	assert_true(is_ready(&run));
	kill(run.pid, SIGTERM);
	assert_int_equal(run_end(&run), 0);
	/* stop follows drain, and never from within it */
	assert_non_null(strstr(run.said.data, "<drain><drain returns><stop>"));
	pl_buf_fini(&run.said);
}

static void test_a_drain_has_an_end(void **state)
{
	struct run run;
	(void)state;

	stubborn = true;
	run_begin(&run, FLAGS("--drain-timeout=1ms"));
	assert_true(is_ready(&run));
	kill(run.pid, SIGINT);
	assert_int_equal(run_end(&run), 0);
	assert_true(has_said(&run, "drain_overdue"));
	assert_true(has_said(&run, "<stop>"));
	pl_buf_fini(&run.said);
}

static void test_a_second_signal_stops_at_once(void **state)
{
	struct run run;
	(void)state;

	stubborn = true;
	run_begin(&run, FLAGS("--drain-timeout=1h"));
	assert_true(is_ready(&run));
	kill(run.pid, SIGTERM);
	assert_true(says(&run, "<drain returns>"));
	kill(run.pid, SIGTERM);
	assert_int_equal(run_end(&run), 0);
	assert_true(has_said(&run, "<stop>"));
	pl_buf_fini(&run.said);
}

static void test_what_hangs_is_left_behind(void **state)
{
	struct run run;
	(void)state;

	for (hangs = ON_ITS_LOOP; hangs <= ON_ANOTHER_LOOP; hangs++) {
		run_begin(&run, NO_FLAGS);
		assert_true(is_ready(&run));
		kill(run.pid, SIGTERM);
		assert_int_equal(run_end(&run), 0);
		assert_int_equal(has_said(&run, "stop_overdue"), hangs == ON_ITS_LOOP);
		assert_true(has_said(&run, "exit code 0"));
		pl_buf_fini(&run.said);
	}
}

static void test_a_failed_start_ends_with_its_code(void **state)
{
	struct run run;
	(void)state;

	failing = true;
	assert_int_equal(whole_run(&run, NO_FLAGS), PL_EXIT_SYSTEM);
	assert_true(has_said(&run, "no luck"));
	assert_false(has_said(&run, "<stop>"));
	pl_buf_fini(&run.said);
}

static void test_what_a_failed_start_built_is_stopped(void **state)
{
	struct run run;
	(void)state;

	failing = half_built = true;
	assert_int_equal(whole_run(&run, NO_FLAGS), PL_EXIT_SYSTEM);
	assert_true(has_said(&run, "<stop>"));
	pl_buf_fini(&run.said);
}

static void test_a_failure_while_it_runs(void **state)
{
	struct run run;
	(void)state;

	run_begin(&run, NO_FLAGS);
	assert_true(is_ready(&run));
	kill(run.pid, SIGHUP);
	assert_int_equal(run_end(&run), PL_EXIT_SETTING);
	assert_true(has_said(&run, "<reload>"));
	assert_true(has_said(&run, "the file is wrong"));
	assert_true(has_said(&run, "<stop>"));
	assert_false(has_said(&run, "<drain>"));
	pl_buf_fini(&run.said);
}

static void test_every_mistake_before_anything_begins(void **state)
{
	struct run run;
	(void)state;

	assert_int_equal(
		whole_run(&run, FLAGS("--lease=soon", "--log-level", "loud")), PL_EXIT_SETTING);
	assert_true(has_said(&run, "LEASE"));
	assert_true(has_said(&run, "LOG_LEVEL"));
	assert_false(has_said(&run, "<start>"));
	pl_buf_fini(&run.said);
}

static void test_fast_time_needs_a_redis_of_this_machine(void **state)
{
	struct run run;
	(void)state;

	assert_int_equal(whole_run(&run, FLAGS("--time-scale=2", "--redis-url=redis://192.0.2.1")),
		PL_EXIT_SETTING);
	assert_true(has_said(&run, "TIME_SCALE"));
	pl_buf_fini(&run.said);
	assert_int_equal(whole_run(&run, FLAGS("--check", "--time-scale=2")), 0);
	pl_buf_fini(&run.said);
}

static void test_check_tells_values_and_leaves(void **state)
{
	struct run run;
	(void)state;

	assert_int_equal(whole_run(&run, FLAGS("--check", "--lease=7s",
						 "--redis-url=redis://:word@127.0.0.1")),
		0);
	assert_true(has_said(&run, "LEASE=7s\n"));
	assert_true(has_said(&run, "ALLOW_NETWORKS=\n"));
	assert_false(has_said(&run, "word"));
	assert_false(has_said(&run, "<start>"));
	pl_buf_fini(&run.said);
}

static void test_check_tells_names_beside_mistakes(void **state)
{
	struct run run;
	(void)state;

	assert_int_equal(whole_run(&run, FLAGS("--check", "--lease=soon")), PL_EXIT_SETTING);
	assert_true(has_said(&run, "LEASE=\n"));
	assert_true(has_said(&run, "LEASE is"));
	pl_buf_fini(&run.said);
}

static void test_a_wrong_ready_fd(void **state)
{
	char *argv[] = { (char *)"fetchback-thing", NULL };
	(void)state;

	setenv(PL_READY_FD_NAME, "soon", 1);
	assert_int_equal(pl_service_main(&thing_service, 1, argv), PL_EXIT_SETTING);
	setenv(PL_READY_FD_NAME, "60000", 1); /* not open */
	assert_int_equal(pl_service_main(&thing_service, 1, argv), PL_EXIT_SETTING);
	unsetenv(PL_READY_FD_NAME);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_drains_and_stops, setup),
		cmocka_unit_test_setup(test_a_drain_has_an_end, setup),
		cmocka_unit_test_setup(test_a_second_signal_stops_at_once, setup),
		cmocka_unit_test_setup(test_what_hangs_is_left_behind, setup),
		cmocka_unit_test_setup(test_a_failed_start_ends_with_its_code, setup),
		cmocka_unit_test_setup(test_what_a_failed_start_built_is_stopped, setup),
		cmocka_unit_test_setup(test_a_failure_while_it_runs, setup),
		cmocka_unit_test_setup(test_every_mistake_before_anything_begins, setup),
		cmocka_unit_test_setup(test_fast_time_needs_a_redis_of_this_machine, setup),
		cmocka_unit_test_setup(test_check_tells_values_and_leaves, setup),
		cmocka_unit_test_setup(test_check_tells_names_beside_mistakes, setup),
		cmocka_unit_test_setup(test_a_wrong_ready_fd, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
