#include "pipeline/lag.h"

const uint64_t pl_lag_bounds[PL_LAG_BOUNDS] = { 100, 250, 500, 1000, 2500, 5000, 10000, 25000,
	50000, 100000, 250000, 500000, 1000000 };

void pl_lag_init(struct pl_lag *lag, uv_loop_t *loop, struct pl_metrics *metrics, size_t row)
{
	int failed = uv_loop_configure(loop, UV_METRICS_IDLE_TIME);
	PL_ASSERT(failed == 0); /* it knows the option since 1.39 */
	*lag = (struct pl_lag) { loop, metrics, row, uv_hrtime(), uv_metrics_idle_time(loop) };
}

void pl_lag_turn(struct pl_lag *lag)
{
	uint64_t now_ns = uv_hrtime(), slept_ns = uv_metrics_idle_time(lag->loop);
	uint64_t took_ns = now_ns - lag->turned_ns, idle_ns = slept_ns - lag->slept_ns;
	lag->turned_ns = now_ns;
	lag->slept_ns = slept_ns;
	/* the two clocks are read one after the other */
	pl_metrics_observe(
		lag->metrics, lag->row, 0, took_ns > idle_ns ? (took_ns - idle_ns) / 1000 : 0);
}
