#include "child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "pipeline/clock.h"
#include "pipeline/log.h"
#include "pipeline/service.h"

#define PROBE_MIN_MS 10
#define PROBE_MAX_MS 200

_Noreturn static void child_die(const char *what)
{
	/* One line on its own output; there is nobody else to tell. */
	dprintf(STDERR_FILENO, "can't start: %s: %s\n", what, strerror(errno));
	_exit(PL_EXIT_SYSTEM);
}

static void signals_default(void)
{
	static const int changed[] = { SIGINT, SIGTERM, SIGHUP, SIGCHLD, SIGPIPE };
	sigset_t none;

	for (size_t i = 0; i < sizeof(changed) / sizeof(changed[0]); i++)
		signal(changed[i], SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

static void descriptors_take(const struct child *child)
{
	char number[16];
	int nothing = open("/dev/null", O_RDONLY);

	if (nothing < 0 || dup2(nothing, STDIN_FILENO) < 0 ||
		dup2(child->output.writer, STDOUT_FILENO) < 0 ||
		dup2(child->output.writer, STDERR_FILENO) < 0 ||
		(child->keep_fd >= 0 && fcntl(child->keep_fd, F_SETFD, 0) != 0))
		child_die("descriptors");
	close(nothing);
	if (child->spec->probe != NULL)
		return;
	snprintf(number, sizeof(number), "%d", child->ready_writer);
	if (fcntl(child->ready_writer, F_SETFD, 0) != 0 || setenv(PL_READY_FD_NAME, number, 1) != 0)
		child_die(PL_READY_FD_NAME);
}

_Noreturn static void child_become(const struct child *child, pid_t parent)
{
	const struct child_spec *spec = child->spec;

	/* Asked for before we look who our parent is: if it died in between, the look tells. */
	if (setpgid(0, 0) != 0 || prctl(PR_SET_PDEATHSIG, SIGKILL) != 0)
		child_die("process group");
	if (getppid() != parent)
		_exit(PL_EXIT_SYSTEM);
	descriptors_take(child);
	for (const char *const *pair = spec->env; *pair != NULL; pair += 2)
		if (setenv(pair[0], pair[1], 1) != 0)
			child_die(pair[0]);
	if (spec->folder != NULL && chdir(spec->folder) != 0)
		child_die(spec->folder);
	signals_default();
	execv(spec->argv[0], (char *const *)spec->argv); /* exec copies them, it writes nothing */
	child_die(spec->argv[0]);
}

/* Signals are held back over the fork: a handler of ours in the child would write to our loop. */
static pid_t child_fork(const struct child *child)
{
	sigset_t all, before;
	pid_t parent = getpid(), pid;

	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &before);
	pid = fork();
	if (pid == 0)
		child_become(child, parent);
	sigprocmask(SIG_SETMASK, &before, NULL);
	return pid;
}

static void on_timer(uv_timer_t *timer)
{
	child_event(timer->data, CHILD_TIMER);
}

static void timer_set(struct child *child, uint64_t ms)
{
	uv_update_time(child->timer.loop); /* a fork may have taken long since this turn began */
	uv_timer_start(&child->timer, on_timer, ms, 0);
}

static enum child_state step_delay(struct child *child, const char *what)
{
	pl_log(PL_LOG_WARN, NULL, "restarts", "%s %s, again in %llu ms", child->spec->name, what,
		(unsigned long long)child->delay_ms);
	timer_set(child, child->delay_ms);
	child->delay_ms *= 2;
	if (child->delay_ms > child->spec->delay_max_ms)
		child->delay_ms = child->spec->delay_max_ms;
	return CHILD_WAITING;
}

static enum child_state step_spawn(struct child *child)
{
	output_source_break(&child->output);
	child->pid = child_fork(child);
	if (child->pid < 0) {
		child->pid = 0;
		return step_delay(child, strerror(errno));
	}
	child->born_ms = pl_clock_mono_ms();
	child->probe_ms = PROBE_MIN_MS;
	child->patience_ms = CHILD_SLOW_START_MS;
	child->output.hears_complaints = true;
	child->output.complaint[0] = '\0';
	pl_log(PL_LOG_INFO, NULL, "starts", "%s, pid %d", child->spec->name, (int)child->pid);
	timer_set(child, child->spec->probe != NULL ? PROBE_MIN_MS : CHILD_SLOW_START_MS);
	return CHILD_STARTING;
}

static enum child_state step_up(struct child *child)
{
	uv_timer_stop(&child->timer);
	child->output.hears_complaints = false;
	if (child->was_up)
		pl_log(PL_LOG_INFO, NULL, "works_again", "%s", child->spec->name);
	child->was_up = true;
	return CHILD_UP;
}

/* A start that takes long is worth a line now and then, never a reason to give up. */
static void slowness_tell(struct child *child)
{
	uint64_t age_ms = pl_clock_mono_ms() - child->born_ms;
	const char *why = child->output.complaint;

	if (age_ms < child->patience_ms)
		return;
	pl_log(PL_LOG_WARN, NULL, "not_ready", "%s, after %llu s%s%s", child->spec->name,
		(unsigned long long)(age_ms / 1000), *why != '\0' ? ": " : "", why);
	child->patience_ms += CHILD_SLOW_START_MS;
}

static enum child_state step_look(struct child *child)
{
	slowness_tell(child);
	if (child->spec->probe == NULL) {
		timer_set(child, CHILD_SLOW_START_MS);
		return CHILD_STARTING;
	}
	if (child->spec->probe(child->spec->probe_arg))
		return step_up(child);
	timer_set(child, child->probe_ms);
	child->probe_ms *= 2;
	if (child->probe_ms > PROBE_MAX_MS)
		child->probe_ms = PROBE_MAX_MS;
	return CHILD_STARTING;
}

static enum child_state step_died(struct child *child)
{
	char how[64];
	int status = child->exit_status;

	if (WIFEXITED(status) && WEXITSTATUS(status) == PL_EXIT_SETTING) {
		child->refused = true;
		return CHILD_GONE;
	}
	if (WIFSIGNALED(status))
		snprintf(how, sizeof(how), "was ended by signal %d (%s)", WTERMSIG(status),
			strsignal(WTERMSIG(status)));
	else
		snprintf(how, sizeof(how), "ended with exit code %d", WEXITSTATUS(status));
	if (pl_clock_mono_ms() - child->born_ms >= CHILD_LIVED_MS)
		child->delay_ms = CHILD_DELAY_MIN_MS;
	return step_delay(child, how);
}

static enum child_state step_stop(struct child *child)
{
	child->stops = 1;
	kill(child->pid, SIGTERM);
	timer_set(child, child->spec->stop_max_ms);
	return CHILD_STOPPING;
}

static enum child_state step_kill(struct child *child)
{
	pl_log(PL_LOG_WARN, NULL, "kills", "%s, which did not stop", child->spec->name);
	kill(-child->pid, SIGKILL);
	return CHILD_STOPPING;
}

static enum child_state step_hurry(struct child *child)
{
	child->stops++;
	if (child->stops > 2)
		return step_kill(child);
	kill(child->pid, SIGTERM); /* the second one tells a service to stop at once */
	return CHILD_STOPPING;
}

static enum child_state step_end(struct child *child)
{
	uv_timer_stop(&child->timer);
	return CHILD_GONE;
}

typedef enum child_state step(struct child *child);

static step *const steps[CHILD_STATES][CHILD_EVENTS] = {
	[CHILD_DOWN] = { [CHILD_BEGIN] = step_spawn, [CHILD_STOP] = step_end },
	[CHILD_STARTING] = { [CHILD_READY] = step_up,
		[CHILD_EXITED] = step_died,
		[CHILD_TIMER] = step_look,
		[CHILD_STOP] = step_stop },
	[CHILD_UP] = { [CHILD_EXITED] = step_died, [CHILD_STOP] = step_stop },
	[CHILD_WAITING] = { [CHILD_TIMER] = step_spawn, [CHILD_STOP] = step_end },
	[CHILD_STOPPING] = { [CHILD_EXITED] = step_end,
		[CHILD_TIMER] = step_kill,
		[CHILD_STOP] = step_hurry },
};

void child_event(struct child *child, enum child_event event)
{
	step *next = steps[child->state][event];

	if (next == NULL)
		return; /* late news, such as the READY of one that has died since */
	child->state = next(child);
	child->changed(child->arg);
}

void child_reap(struct child *child)
{
	siginfo_t info = { .si_pid = 0 };

	if (child->pid == 0 ||
		waitid(P_PID, (id_t)child->pid, &info, WEXITED | WNOHANG | WNOWAIT) != 0 ||
		info.si_pid == 0)
		return;
	/* While it is not reaped its number can't be another's: end what it forked (a rewrite). */
	kill(-child->pid, SIGKILL);
	waitpid(child->pid, &child->exit_status, 0);
	child->pid = 0;
	child_event(child, CHILD_EXITED);
}

static void alloc_cb(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
	static char word[sizeof(PL_READY_TEXT) - 1];

	(void)handle, (void)suggested;
	*buf = uv_buf_init(word, sizeof(word));
}

/* Six bytes go through a pipe in one piece, so anything at all is the whole word. */
static void on_ready(uv_stream_t *stream, ssize_t count, const uv_buf_t *buf)
{
	(void)buf;
	if (count > 0)
		child_event(stream->data, CHILD_READY);
}

int child_init(struct child *child, const struct child_spec *spec, struct output *output,
	int keep_fd, void (*changed)(void *arg), void *arg)
{
	int ends[2];
	int failed;

	*child = (struct child) { .spec = spec,
		.keep_fd = keep_fd,
		.delay_ms = CHILD_DELAY_MIN_MS,
		.changed = changed,
		.arg = arg };
	failed = output_source_open(&child->output, output, spec->name);
	if (failed != 0)
		return failed;
	if (pipe2(ends, O_CLOEXEC) != 0)
		return uv_translate_sys_error(errno);
	child->ready_writer = ends[1];
	uv_timer_init(output->loop, &child->timer);
	child->timer.data = child;
	uv_pipe_init(output->loop, &child->ready, 0);
	child->ready.data = child;
	(void)uv_pipe_open(&child->ready, ends[0]); /* can't fail for a fresh pipe */
	return uv_read_start((uv_stream_t *)&child->ready, alloc_cb, on_ready);
}

void child_close(struct child *child)
{
	close(child->ready_writer);
	uv_close((uv_handle_t *)&child->ready, NULL);
	uv_close((uv_handle_t *)&child->timer, NULL);
	output_source_end(&child->output);
}
