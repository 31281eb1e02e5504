/* api: accepts requests and tells what has become of them. */
#include "api.h"

static const struct pl_setting *const settings[] = { pl_settings_shared, pl_settings_keys,
	api_settings, NULL };

static const struct pl_service api = {
	.name = "api",
	.purpose = "accepts requests over HTTP and tells what has become of them",
	.settings = settings,
	.start = api_start,
	.drain = api_drain,
	.stop = api_stop,
	.reload = api_reload,
	.remark = api_remark,
};

int main(int argc, char **argv)
{
	return pl_service_main(&api, argc, argv);
}
