/*
 * child: one process that shall run, from the first fork to the last exit.
 *
 *              BEGIN            READY
 *      DOWN ---------> STARTING ------> UP
 *                        ^  |            |
 *                 TIMER  |  '-- EXITED --'
 *                     WAITING <--'            STOP from any of them -> STOPPING --EXITED--> GONE
 *
 * Restart  after 0.1 s, doubling up to delay_max_ms, back to 0.1 s for one that lived 10 s. An
 *          exit with 100 (a wrong setting) is not tried again: GONE, and `refused`.
 * Ready    it writes READY to the descriptor that READY_FD names, or `probe` finds it working.
 * Death    each is the leader of a process group of its own, so that a terminal's Ctrl-C reaches
 *          us alone; it dies with us however we die; what it forked dies with it.
 * Memory   struct and spec live until the child's handles are closed (child_close).
 */
#ifndef CLI_CHILD_H
#define CLI_CHILD_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <uv.h>

#include "output.h"

#define CHILD_DELAY_MIN_MS  100
#define CHILD_LIVED_MS      10000 /* a life of this length clears the record */
#define CHILD_SLOW_START_MS 10000 /* not ready after this long: say so, wait on */

enum child_state {
	CHILD_DOWN,
	CHILD_STARTING,
	CHILD_UP,
	CHILD_WAITING,
	CHILD_STOPPING,
	CHILD_GONE,
	CHILD_STATES,
};

enum child_event {
	CHILD_BEGIN,
	CHILD_READY,
	CHILD_EXITED,
	CHILD_TIMER,
	CHILD_STOP, /* once to stop, a second time to hurry, a third to kill */
	CHILD_EVENTS,
};

struct child_spec {
	char name[OUTPUT_NAME_MAX + 1]; /* "consumer-2" */
	const char *const *argv;        /* argv[0] is the program's path */
	const char *const *env; /* names and values in turn, beside our environment; NULL ends */
	const char *folder;     /* to work in; NULL: ours */
	bool (*probe)(const void *arg); /* is it working? May take 100 ms; NULL: READY_FD tells */
	const void *probe_arg;
	uint64_t delay_max_ms;
	uint64_t stop_max_ms; /* from SIGTERM until SIGKILL */
};

struct child {
	const struct child_spec *spec;
	enum child_state state;
	bool refused;
	bool was_up; /* has been ready once: what follows is a restart */
	pid_t pid;   /* 0: none */
	int exit_status;
	unsigned stops;
	uint64_t delay_ms; /* before the next restart */
	uint64_t born_ms;
	uint64_t probe_ms;    /* until the next look at it */
	uint64_t patience_ms; /* the age at which a start is next called slow */
	struct output_source output;
	uv_timer_t timer;
	uv_pipe_t ready;
	int ready_writer;
	int keep_fd;                /* stays open in the child (the folder's lock); -1: none */
	void (*changed)(void *arg); /* after every step; it may step other children */
	void *arg;
};

/* Returns 0 or a uv error. */
int child_init(struct child *child, const struct child_spec *spec, struct output *output,
	int keep_fd, void (*changed)(void *arg), void *arg);
void child_event(struct child *child, enum child_event event);
/* After a SIGCHLD: was it this one? */
void child_reap(struct child *child);
/* Of a child that is GONE, or was never begun; its output ends by itself. */
void child_close(struct child *child);

#endif
