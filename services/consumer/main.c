/* consumer: asks providers on behalf of queued requests. */
#include "fetch.h"
#include "pipeline/worker.h"

static int start(struct pl_service_run *run, void **state)
{
	return pl_worker_start(run, &fetch_work, state);
}

static const struct pl_setting *const settings[] = { pl_settings_shared, pl_settings_worker,
	fetch_settings, NULL };

static const struct pl_service consumer = {
	.name = "consumer",
	.purpose = "asks providers on behalf of queued requests",
	.settings = settings,
	.start = start,
	.drain = pl_worker_drain,
	.stop = pl_worker_stop,
	.reload = pl_worker_reload,
};

int main(int argc, char **argv)
{
	return pl_service_main(&consumer, argc, argv);
}
