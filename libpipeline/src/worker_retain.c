/*
 * Retention: after each beat a worker takes a little of what is old away, and goes on in small
 * calls while there is more. Any worker may; the script does each thing once.
 */
#include "worker_private.h"

#define MEMORY_SHARE 2 /* finished requests may use half of maxmemory unless told otherwise */

void worker_retain_read(struct pl_worker *worker, const struct pl_settings *settings)
{
	uint64_t scale = worker->time_scale;
	worker->retention = (struct pl_retention) {
		.data_ms = pl_settings_data_ms(settings),
		.record_ms = pl_settings_number(settings, "RETENTION_RECORD") / scale,
		.dead_ms = pl_settings_number(settings, "RETENTION_DEAD") / scale,
		.bytes_max = pl_settings_number(settings, "RETENTION_MEMORY"),
	};
}

static void on_retained(void *arg, enum pl_err err, bool more)
{
	struct pl_worker *worker = arg;
	worker->retain_underway = false;
	if (err == PL_OK && more)
		worker_retain(worker);
}

void worker_retain(struct pl_worker *worker)
{
	if (worker->retain_underway || worker->phase != WORKER_SERVING)
		return;
	struct pl_retention retention = worker->retention;
	if (retention.bytes_max == 0)
		retention.bytes_max = worker->maxmemory / MEMORY_SHARE;
	worker->retain_underway = true;
	pl_queue_retain(worker->queue, &retention, on_retained, worker);
}
