/*
 * lag: how long the turns of a loop take, and so how long an event may have to wait for its own.
 *
 * A turn runs from the end of one `prepare` to the end of the next, less the time the loop slept
 * in between. Call pl_lag_turn as the last thing of the loop's `prepare` callbacks.
 * Loop     the loop's thread; the metrics may be read by any.
 */
#ifndef PIPELINE_LAG_H
#define PIPELINE_LAG_H

#include <uv.h>

#include "pipeline/metrics.h"

/* us; a histogram's bounds for it, with scale 1000000. */
#define PL_LAG_BOUNDS 13
extern const uint64_t pl_lag_bounds[PL_LAG_BOUNDS];

struct pl_lag {
	uv_loop_t *loop;
	struct pl_metrics *metrics;
	size_t row;
	uint64_t turned_ns, slept_ns; /* as of the last turn's end */
};

/* Before the loop runs: makes it keep its idle time. */
void pl_lag_init(struct pl_lag *lag, uv_loop_t *loop, struct pl_metrics *metrics, size_t row);
void pl_lag_turn(struct pl_lag *lag);

#endif
