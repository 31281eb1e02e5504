/*
 * supervisor: Redis and the services as one thing that starts, heals and stops.
 *
 *   Redis up -> services -> all ready (announce) -> ... -> Ctrl-C, SIGTERM, or one that refuses
 *        -> services stopped -> Redis stopped -> end
 *
 * Signals  SIGINT and SIGTERM stop; again: hurry; a third time: kill. SIGHUP reaches the services,
 *          unless stdout is a terminal, which has then gone: stop.
 * Exit     0, or PL_EXIT_SETTING when a child has refused its settings.
 */
#ifndef CLI_SUPERVISOR_H
#define CLI_SUPERVISOR_H

#include "child.h"

struct supervisor_plan {
	const struct child_spec *redis;    /* NULL: it is someone else's */
	const struct child_spec *services; /* none is begun before Redis is up */
	size_t services_count;
	int lock; /* stays open in every child; -1: none */
	bool json;
	/* What to say first, and once all are ready. */
	void (*greet)(struct output *output, void *arg);
	void (*announce)(struct output *output, void *arg);
	void *arg;
};

int supervisor_run(const struct supervisor_plan *plan);

#endif
