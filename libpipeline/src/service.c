/*
 * service: a run moves through four phases, and never back.
 *
 *   STARTING --start ok--> RUNNING --SIGTERM--> DRAINING --drained, DRAIN_TIMEOUT--> STOPPING
 *       '------------------- failure, second signal: straight to STOPPING -----------^
 *
 * One timer decides the end: while draining it is DRAIN_TIMEOUT, "stop now" makes it due on the
 * next turn (so that no service is freed beneath its own feet), and once stopping it guards the
 * loop against a handle that nobody closes.
 */
#include "pipeline/service.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "pipeline/buf.h"
#include "pipeline/clock.h"
#include "pipeline/log.h"
#include "pipeline/redis.h"
#include "pipeline/text.h"

#define FILES_MAX       65536u /* descriptors asked for: 10,000 slow exchanges and room to spare */
#define SETTINGS_MAX    (PL_LOG_LINE_MAX / 2)
#define CHECK_MAX       (1024u * 1024) /* bytes of an answer to --check */
#define REASON_MAX      512
#define STOP_SIGNALS    2
#define READY_FD_UNUSED (-1)

enum phase { STARTING, RUNNING, DRAINING, STOPPING };

struct pl_service_run {
	const struct pl_service *service;
	struct pl_settings *settings;
	void *state; /* the service's own, from start until stop */
	enum phase phase;
	int exit_code;
	int ready_fd;
	bool is_left; /* threads go on: see pl_service_leave */
	bool is_open; /* the handles below are initialised */
	uv_loop_t loop;
	uv_timer_t end; /* see the head of the file */
	uv_prepare_t flush;
	uv_signal_t stop_signals[STOP_SIGNALS];
	uv_signal_t reload_signal;
};

uv_loop_t *pl_service_loop(struct pl_service_run *run)
{
	return &run->loop;
}

const struct pl_settings *pl_service_settings(struct pl_service_run *run)
{
	return run->settings;
}

/* The descriptor is ours alone: a child of a service must not hold it open or speak for it. */
static bool ready_adopt(struct pl_service_run *run)
{
	const char *text = getenv(PL_READY_FD_NAME);
	uint64_t fd;

	run->ready_fd = READY_FD_UNUSED;
	if (text == NULL)
		return true;
	if (pl_number_parse(text, strlen(text), FILES_MAX, &fd) != PL_OK ||
		fcntl((int)fd, F_SETFD, FD_CLOEXEC) != 0) {
		fprintf(stderr, PL_READY_FD_NAME ": \"%s\" is not an open descriptor\n", text);
		return false;
	}
	run->ready_fd = (int)fd;
	(void)unsetenv(PL_READY_FD_NAME); /* fails only for a malformed name */
	return true;
}

void pl_service_ready(struct pl_service_run *run)
{
	ssize_t wrote;

	pl_log(PL_LOG_INFO, NULL, "ready", NULL);
	if (run->ready_fd == READY_FD_UNUSED)
		return;
	pl_log_flush(); /* who waits for READY has then seen the way there */
	do
		wrote = write(run->ready_fd, PL_READY_TEXT, strlen(PL_READY_TEXT));
	while (wrote < 0 && errno == EINTR);
	if (wrote < 0)
		pl_log(PL_LOG_WARN, NULL, "ready_unheard", "%s", strerror(errno));
	close(run->ready_fd);
	run->ready_fd = READY_FD_UNUSED;
}

static void run_close(struct pl_service_run *run)
{
	uv_close((uv_handle_t *)&run->flush, NULL);
	for (int i = 0; i < STOP_SIGNALS; i++)
		uv_close((uv_handle_t *)&run->stop_signals[i], NULL);
	uv_close((uv_handle_t *)&run->reload_signal, NULL);
}

void pl_service_leave(struct pl_service_run *run)
{
	run->is_left = true;
}

static void on_stuck(uv_timer_t *timer)
{
	struct pl_service_run *run = timer->data;

	pl_log(PL_LOG_ERROR, NULL, "stop_overdue", "something was still open after %d ms",
		PL_SERVICE_STOP_MS);
	pl_service_leave(run);
	uv_stop(&run->loop);
}

static void run_stop(struct pl_service_run *run)
{
	if (run->phase == STOPPING)
		return;
	run->phase = STOPPING;
	run_close(run);
	if (run->state != NULL)
		run->service->stop(run->state);
	run->state = NULL;
	uv_timer_start(&run->end, on_stuck, PL_SERVICE_STOP_MS, 0);
	uv_unref((uv_handle_t *)&run->end); /* an empty loop ends without waiting for it */
}

static void on_stop_now(uv_timer_t *timer)
{
	run_stop(timer->data);
}

static void run_stop_soon(struct pl_service_run *run)
{
	if (run->phase != STOPPING)
		uv_timer_start(&run->end, on_stop_now, 0, 0);
}

static void on_drain_timeout(uv_timer_t *timer)
{
	struct pl_service_run *run = timer->data;

	pl_log(PL_LOG_WARN, NULL, "drain_overdue", "%s",
		"what is still running is left to its lease");
	run_stop(run);
}

static void on_stop_signal(uv_signal_t *handle, int number)
{
	struct pl_service_run *run = handle->data;

	if (run->phase != RUNNING) {
		pl_log(PL_LOG_WARN, NULL, "hurry", "second %s", strsignal(number));
		run_stop_soon(run);
		return;
	}
	run->phase = DRAINING;
	pl_log(PL_LOG_INFO, NULL, "draining", "%s", strsignal(number));
	uv_timer_start(
		&run->end, on_drain_timeout, pl_settings_number(run->settings, "DRAIN_TIMEOUT"), 0);
	run->service->drain(run->state);
}

static void on_reload_signal(uv_signal_t *handle, int number)
{
	struct pl_service_run *run = handle->data;

	(void)number; /* the handle watches SIGHUP alone */
	if (run->service->reload == NULL || run->phase != RUNNING)
		return;
	pl_log(PL_LOG_INFO, NULL, "reloading", NULL);
	run->service->reload(run->state);
}

void pl_service_drained(struct pl_service_run *run)
{
	run_stop_soon(run);
}

void pl_service_fail(struct pl_service_run *run, int exit_code, const char *format, ...)
{
	char reason[REASON_MAX];
	va_list args;

	va_start(args, format);
	vsnprintf(reason, sizeof(reason), format, args);
	va_end(args);
	pl_log(PL_LOG_ERROR, NULL, "service_failed", "%s", reason);
	if (run->exit_code == 0)
		run->exit_code = exit_code;
	run_stop_soon(run);
}

/* prepare runs when a turn's work is done and before the wait for the next: one write a turn. */
static void on_turn_end(uv_prepare_t *handle)
{
	(void)handle; /* the log is the process's */
	pl_log_flush();
}

static int run_open(struct pl_service_run *run)
{
	static const int numbers[STOP_SIGNALS] = { SIGTERM, SIGINT };
	int failed = uv_loop_init(&run->loop);

	if (failed != 0)
		return failed;
	/* On a loop that exists none of these can fail, save uv_signal_start. */
	uv_timer_init(&run->loop, &run->end);
	run->end.data = run;
	uv_prepare_init(&run->loop, &run->flush);
	uv_prepare_start(&run->flush, on_turn_end);
	uv_unref((uv_handle_t *)&run->flush);
	uv_signal_init(&run->loop, &run->reload_signal);
	run->reload_signal.data = run;
	for (int i = 0; i < STOP_SIGNALS; i++) {
		uv_signal_init(&run->loop, &run->stop_signals[i]);
		run->stop_signals[i].data = run;
	}
	run->is_open = true;
	failed = uv_signal_start(&run->reload_signal, on_reload_signal, SIGHUP);
	for (int i = 0; failed == 0 && i < STOP_SIGNALS; i++)
		failed = uv_signal_start(&run->stop_signals[i], on_stop_signal, numbers[i]);
	return failed;
}

static void run_until_stopped(struct pl_service_run *run)
{
	pl_log_buffered(true);
	uv_run(&run->loop, UV_RUN_DEFAULT);
	pl_log_buffered(false);
	pl_log_flush();
}

static void run_start(struct pl_service_run *run)
{
	int code = run->service->start(run, &run->state);

	if (code == 0 && run->exit_code == 0) {
		run->phase = RUNNING;
		return;
	}
	if (run->exit_code == 0)
		run->exit_code = code;
	run_stop_soon(run);
}

static void run_end(struct pl_service_run *run)
{
	if (run->is_open && !uv_is_closing((uv_handle_t *)&run->end)) {
		uv_close((uv_handle_t *)&run->end, NULL);
		uv_run(&run->loop, UV_RUN_NOWAIT);
		/* A loop that is not empty was left by on_stuck, which has told. */
		(void)uv_loop_close(&run->loop);
	}
	if (run->ready_fd != READY_FD_UNUSED)
		close(run->ready_fd);
	pl_settings_free(run->settings);
}

static enum pl_log_level log_level(const char *name)
{
	enum pl_log_level level = PL_LOG_ERROR;

	while (level > PL_LOG_DEBUG && strcmp(pl_log_level_name(level), name) != 0)
		level--;
	return level;
}

static void log_open(const struct pl_service_run *run)
{
	bool json = strcmp(pl_settings_text(run->settings, "LOG_FORMAT"), "json") == 0;

	pl_log_init(run->service->name, log_level(pl_settings_text(run->settings, "LOG_LEVEL")),
		json, STDOUT_FILENO);
}

/* NAME=value, for `fetchback up`. A secret, or a URL with a password, shows only that it is there.
 */
static enum pl_err setting_show(
	const struct pl_settings *settings, const struct pl_setting *row, struct pl_buf *out)
{
	char duration[32];
	const char *text;

	switch (row->type) {
	case PL_SETTING_TEXT:
	case PL_SETTING_CHOICE:
		text = pl_settings_text(settings, row->name);
		if (text != NULL && strchr(text, '@') != NULL)
			break;
		return pl_buf_format(out, "%s=%s", row->name, text != NULL ? text : "");
	case PL_SETTING_DURATION:
		pl_duration_format(
			pl_settings_number(settings, row->name), duration, sizeof(duration));
		return pl_buf_format(out, "%s=%s", row->name, duration);
	case PL_SETTING_NUMBER:
	case PL_SETTING_BYTES:
		return pl_buf_format(
			out, "%s=%" PRIu64, row->name, pl_settings_number(settings, row->name));
	case PL_SETTING_SECRET:
	case PL_SETTING_SCHEDULE:
		break;
	}
	return pl_buf_format(
		out, "%s=%s", row->name, pl_settings_given(settings, row->name) ? "(set)" : "");
}

static enum pl_err settings_show(const struct pl_service_run *run, struct pl_buf *out)
{
	enum pl_err err = PL_OK;

	for (const struct pl_setting *const *table = run->service->settings; *table != NULL;
		table++)
		for (const struct pl_setting *row = *table; row->name != NULL; row++) {
			if (err == PL_OK)
				err = setting_show(run->settings, row, out);
			if (err == PL_OK)
				err = pl_buf_text(out, "\n");
		}
	return err;
}

/* What differs from the defaults, for whoever reads the log later. */
static void settings_log(const struct pl_service_run *run)
{
	const struct pl_service *service = run->service;
	const char *remark = service->remark != NULL ? service->remark(run->settings) : NULL;
	const char *changes = "";
	struct pl_buf text;

	pl_buf_init(&text, SETTINGS_MAX);
	if (pl_settings_changes(run->settings, &text) != PL_OK)
		changes = "more settings than fit a line";
	else if (text.len > 0)
		changes = text.data;
	pl_log(PL_LOG_INFO, NULL, "starting", "version %s%s%s%s%s", FETCHBACK_VERSION,
		remark != NULL ? ", " : "", remark != NULL ? remark : "",
		changes[0] != '\0' ? ": " : "", changes);
	pl_buf_fini(&text);
}

/* Each exchange holds a descriptor, and 1,024, the usual soft limit, is meant for select(2). */
static void files_raise(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= FILES_MAX)
		return;
	limit.rlim_cur = limit.rlim_max < FILES_MAX ? limit.rlim_max : FILES_MAX;
	(void)setrlimit(RLIMIT_NOFILE, &limit); /* up to the hard limit it can't be refused */
}

static void help_print(const struct pl_service *service)
{
	printf("fetchback-%s: %s\n\n"
	       "usage: fetchback-%s [--SETTING VALUE]...\n\n"
	       "A setting is a flag or an environment variable of the same name (--drain-timeout "
	       "3s,\n"
	       "DRAIN_TIMEOUT=3s); the flag wins.\n\n",
		service->name, service->purpose, service->name);
	pl_settings_print(service->settings, stdout, false);
	printf("\n  --help, --version, --print-settings (as Markdown), --check (read them, then "
	       "leave)\n\n"
	       "SIGTERM and SIGINT drain, a second one stops at once. Exit code: 0 after a drain,\n"
	       "%d wrong setting, %d the system failed.\n",
		PL_EXIT_SETTING, PL_EXIT_SYSTEM);
}

/* Flags that answer and leave; a setting's value is never one of them, as it follows its flag. */
static bool answered(const struct pl_service *service, const char *flag)
{
	if (strcmp(flag, "--help") == 0 || strcmp(flag, "-h") == 0)
		help_print(service);
	else if (strcmp(flag, "--version") == 0)
		printf("fetchback-%s %s\n", service->name, FETCHBACK_VERSION);
	else if (strcmp(flag, "--print-settings") == 0)
		pl_settings_print(service->settings, stdout, true);
	else
		return false;
	return true;
}

/* Time that runs faster is for tests; a Redis on this machine is the sign that this is one. */
static bool settings_agree(const struct pl_settings *settings)
{
	if (pl_settings_number(settings, "TIME_SCALE") == 1 ||
		pl_redis_url_is_local(pl_settings_text(settings, "REDIS_URL")))
		return true;
	fputs("TIME_SCALE may be set only while REDIS_URL is a unix socket or loopback.\n", stderr);
	return false;
}

static int settings_open(struct pl_service_run *run, int argc, char **argv)
{
	char *errors = NULL;

	if (pl_settings_read(run->service->settings, argc, argv, &run->settings, &errors) == PL_OK)
		return settings_agree(run->settings) ? 0 : PL_EXIT_SETTING;
	fputs(errors, stderr);
	free(errors);
	return PL_EXIT_SETTING;
}

/* Names without values where a mistake leaves no values to show. */
static void names_print(const struct pl_service *service)
{
	for (const struct pl_setting *const *table = service->settings; *table != NULL; table++)
		for (const struct pl_setting *row = *table; row->name != NULL; row++)
			printf("%s=\n", row->name);
}

static int check(const struct pl_service *service, int argc, char **argv)
{
	struct pl_service_run run = { .service = service };
	struct pl_buf text;
	int code = settings_open(&run, argc - 1, argv + 1);

	pl_buf_init(&text, CHECK_MAX);
	if (code != 0 || settings_show(&run, &text) != PL_OK)
		names_print(service);
	else
		fputs(text.data, stdout);
	pl_buf_fini(&text);
	pl_settings_free(run.settings);
	return code;
}

int pl_service_main(const struct pl_service *service, int argc, char **argv)
{
	struct pl_service_run run = { .service = service };
	int failed;

	if (argc > 1 && answered(service, argv[1]))
		return 0;
	if (argc > 1 && strcmp(argv[1], "--check") == 0)
		return check(service, argc, argv);
	if (!ready_adopt(&run) || settings_open(&run, argc, argv) != 0) {
		run.exit_code = PL_EXIT_SETTING;
		goto out;
	}
	log_open(&run);
	files_raise();
	signal(SIGPIPE, SIG_IGN);
	settings_log(&run);
	failed = run_open(&run);
	if (failed != 0) {
		pl_log(PL_LOG_ERROR, NULL, "service_failed", "event loop: %s", uv_strerror(failed));
		run.exit_code = PL_EXIT_SYSTEM;
		goto out;
	}
	run_start(&run);
	run_until_stopped(&run);
	pl_log(PL_LOG_INFO, NULL, "stopped", "exit code %d", run.exit_code);
out:
	run_end(&run);
	if (run.is_left)
		_exit(run.exit_code);
	return run.exit_code;
}
