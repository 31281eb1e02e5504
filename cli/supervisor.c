#include "supervisor.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "pipeline/clock.h"
#include "pipeline/log.h"
#include "pipeline/mem.h"
#include "pipeline/service.h"

#define LAST_WORDS_MS 1000 /* for stdout's reader to take what is left */
#define SIGNALS       4
#define ONE_PRESS_MS  300 /* wrappers (timeout, npm) and terminals both pass one Ctrl-C on */

struct supervisor {
	const struct supervisor_plan *plan;
	uv_loop_t loop;
	struct output output;
	struct output_source own; /* our own lines */
	uv_signal_t signals[SIGNALS];
	struct child *redis; /* NULL: none */
	struct child *services;
	size_t services_count;
	bool stopping, announced, ended;
	uint64_t told_ms; /* when the last request to stop was heeded */
	int exit_code;
};

static void services_event(struct supervisor *supervisor, enum child_event event)
{
	for (size_t i = 0; i < supervisor->services_count; i++)
		child_event(&supervisor->services[i], event);
}

static bool services_are(const struct supervisor *supervisor, enum child_state state)
{
	for (size_t i = 0; i < supervisor->services_count; i++)
		if (supervisor->services[i].state != state)
			return false;
	return true;
}

static void end(struct supervisor *supervisor)
{
	if (supervisor->ended)
		return;
	supervisor->ended = true;
	for (int i = 0; i < SIGNALS; i++)
		uv_close((uv_handle_t *)&supervisor->signals[i], NULL);
	for (size_t i = 0; i < supervisor->services_count; i++)
		child_close(&supervisor->services[i]);
	if (supervisor->redis != NULL)
		child_close(supervisor->redis);
}

/* Redis goes last: a service that drains still settles. */
static void stop_next(struct supervisor *supervisor)
{
	if (!services_are(supervisor, CHILD_GONE))
		return;
	if (supervisor->redis == NULL || supervisor->redis->state == CHILD_GONE)
		end(supervisor);
	else if (supervisor->redis->state != CHILD_STOPPING)
		child_event(supervisor->redis, CHILD_STOP);
}

static void stop(struct supervisor *supervisor, const char *why)
{
	pl_log(PL_LOG_INFO, NULL, "stopping", "%s", why);
	supervisor->stopping = true;
	services_event(supervisor, CHILD_STOP);
	stop_next(supervisor);
}

static void hurry(struct supervisor *supervisor)
{
	bool services = !services_are(supervisor, CHILD_GONE);

	pl_log(PL_LOG_WARN, NULL, "hurrying", NULL);
	if (services)
		services_event(supervisor, CHILD_STOP);
	else if (supervisor->redis != NULL)
		child_event(supervisor->redis, CHILD_STOP);
}

static const struct child *find_refused(const struct supervisor *supervisor)
{
	if (supervisor->redis != NULL && supervisor->redis->refused)
		return supervisor->redis;
	for (size_t i = 0; i < supervisor->services_count; i++)
		if (supervisor->services[i].refused)
			return &supervisor->services[i];
	return NULL;
}

static void start_next(struct supervisor *supervisor)
{
	if (supervisor->redis != NULL && !supervisor->redis->was_up)
		return;
	services_event(supervisor, CHILD_BEGIN); /* nothing for those begun before */
	if (supervisor->announced || !services_are(supervisor, CHILD_UP))
		return;
	supervisor->announced = true;
	supervisor->plan->announce(&supervisor->output, supervisor->plan->arg);
}

/* After every step of any child: is there something to do now? */
static void on_changed(void *arg)
{
	struct supervisor *supervisor = arg;
	const struct child *refused = find_refused(supervisor);

	if (supervisor->stopping) {
		stop_next(supervisor);
	} else if (refused != NULL) {
		supervisor->exit_code = PL_EXIT_SETTING;
		stop(supervisor, refused->spec->name);
	} else {
		start_next(supervisor);
	}
}

static void reap_all(struct supervisor *supervisor)
{
	for (size_t i = 0; i < supervisor->services_count; i++)
		child_reap(&supervisor->services[i]);
	if (supervisor->redis != NULL)
		child_reap(supervisor->redis);
}

static void reload_all(const struct supervisor *supervisor)
{
	for (size_t i = 0; i < supervisor->services_count; i++)
		if (supervisor->services[i].state == CHILD_UP)
			kill(supervisor->services[i].pid, SIGHUP);
}

static void on_stop_signal(struct supervisor *supervisor, int number)
{
	uint64_t now_ms = pl_clock_mono_ms();

	if (now_ms - supervisor->told_ms < ONE_PRESS_MS)
		return;
	supervisor->told_ms = now_ms;
	if (supervisor->stopping)
		hurry(supervisor);
	else
		stop(supervisor, strsignal(number));
}

static void on_signal(uv_signal_t *handle, int number)
{
	struct supervisor *supervisor = handle->data;

	if (number == SIGCHLD)
		reap_all(supervisor);
	else if (number == SIGHUP && !supervisor->output.is_terminal)
		reload_all(supervisor);
	else
		on_stop_signal(supervisor, number);
}

static int signals_open(struct supervisor *supervisor)
{
	static const int numbers[SIGNALS] = { SIGCHLD, SIGINT, SIGTERM, SIGHUP };
	int failed = 0;

	signal(SIGPIPE, SIG_IGN);
	for (int i = 0; failed == 0 && i < SIGNALS; i++) {
		uv_signal_init(&supervisor->loop, &supervisor->signals[i]);
		supervisor->signals[i].data = supervisor;
		failed = uv_signal_start(&supervisor->signals[i], on_signal, numbers[i]);
	}
	return failed;
}

static int children_open(struct supervisor *supervisor)
{
	const struct supervisor_plan *plan = supervisor->plan;
	int failed = 0;

	supervisor->services_count = plan->services_count;
	supervisor->services = pl_calloc(plan->services_count, sizeof(struct child));
	if (plan->redis != NULL) {
		supervisor->redis = pl_calloc(1, sizeof(struct child));
		failed = child_init(supervisor->redis, plan->redis, &supervisor->output, plan->lock,
			on_changed, supervisor);
	}
	for (size_t i = 0; failed == 0 && i < plan->services_count; i++)
		failed = child_init(&supervisor->services[i], &plan->services[i],
			&supervisor->output, plan->lock, on_changed, supervisor);
	return failed;
}

static int supervisor_open(struct supervisor *supervisor)
{
	int failed = uv_loop_init(&supervisor->loop);

	if (failed == 0)
		failed =
			output_open(&supervisor->output, &supervisor->loop, supervisor->plan->json);
	if (failed == 0)
		failed = signals_open(supervisor);
	if (failed == 0)
		failed = children_open(supervisor);
	return failed;
}

int supervisor_run(const struct supervisor_plan *plan)
{
	struct supervisor supervisor = { .plan = plan };
	int failed = supervisor_open(&supervisor);

	if (failed != 0) {
		fprintf(stderr, "fetchback up: event loop: %s\n", uv_strerror(failed));
		return PL_EXIT_SYSTEM;
	}
	pl_log_init("up", PL_LOG_INFO, plan->json, STDOUT_FILENO);
	output_own_open(&supervisor.own, &supervisor.output, "up");
	plan->greet(&supervisor.output, plan->arg);
	if (supervisor.redis != NULL)
		child_event(supervisor.redis, CHILD_BEGIN);
	else
		start_next(&supervisor);
	uv_run(&supervisor.loop, UV_RUN_DEFAULT);
	pl_log(PL_LOG_INFO, NULL, "stopped", "exit code %d", supervisor.exit_code);
	output_close(&supervisor.output, LAST_WORDS_MS);
	(void)uv_loop_close(&supervisor.loop); /* busy only where stdout's reader never came back */
	free(supervisor.services);
	free(supervisor.redis);
	return supervisor.exit_code;
}
