/*
 * HOSTS_FILE: read at start and on SIGHUP, told to Redis at each connect, so that the scripts that
 * give out slots know it. All workers of an installation should have the same one: the last to tell
 * wins.
 */
#include <stdlib.h>

#include "pipeline/hosts_file.h"
#include "pipeline/log.h"
#include "worker_private.h"

enum pl_err worker_hosts_read(struct pl_worker *worker, const char **why)
{
	const char *path = pl_settings_text(pl_service_settings(worker->run), "HOSTS_FILE");
	struct pl_host_limit *limits;
	size_t count;
	if (path == NULL)
		return PL_OK;
	enum pl_err err = pl_hosts_file_read(path, &limits, &count, why);
	if (err != PL_OK)
		return err;
	free(worker->limits);
	worker->limits = limits;
	worker->limits_count = count;
	return PL_OK;
}

static void on_told(void *arg, enum pl_err err, const char *why)
{
	(void)arg;
	if (err != PL_OK)
		pl_log(PL_LOG_WARN, NULL, "hosts_untold", "%s",
			why); /* told again at the next connect */
}

void worker_hosts_tell(struct pl_worker *worker)
{
	if (pl_settings_text(pl_service_settings(worker->run), "HOSTS_FILE") != NULL)
		pl_queue_limits(
			worker->queue, worker->limits, worker->limits_count, on_told, worker);
}

void pl_worker_reload(void *state)
{
	struct pl_worker *worker = state;
	const char *why;
	if (worker_hosts_read(worker, &why) != PL_OK)
		pl_log(PL_LOG_ERROR, NULL, "hosts_refused", "HOSTS_FILE: %s; the old limits stand",
			why);
	else if (pl_queue_is_ready(worker->queue))
		worker_hosts_tell(worker);
	if (worker->work->reload != NULL && worker->stage_state != NULL)
		worker->work->reload(worker->stage_state);
}
