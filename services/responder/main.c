/* responder: delivers what was fetched to the callbacks. */
#include "deliver.h"
#include "pipeline/worker.h"

static int start(struct pl_service_run *run, void **state)
{
	return pl_worker_start(run, &deliver_work, state);
}

static const struct pl_setting *const settings[] = { pl_settings_shared, pl_settings_worker,
	pl_settings_keys, deliver_settings, NULL };

static const struct pl_service responder = {
	.name = "responder",
	.purpose = "delivers what was fetched to the callbacks",
	.settings = settings,
	.start = start,
	.drain = pl_worker_drain,
	.stop = pl_worker_stop,
	.reload = pl_worker_reload,
};

int main(int argc, char **argv)
{
	return pl_service_main(&responder, argc, argv);
}
