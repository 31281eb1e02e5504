#include "lookup.h"

#include <string.h>

struct lookup_run {
	uv_loop_t loop;
	struct pl_resolver *resolver;
	size_t pending;
};

static void on_closed(void *arg)
{
	(void)arg; /* the loop ends by itself */
}

static void on_found(
	void *arg, enum pl_err err, const struct sockaddr_storage *addresses, size_t count)
{
	struct lookup *lookup = arg;
	lookup->err = err;
	if (err == PL_OK) {
		memcpy(lookup->addresses, addresses, count * sizeof(*addresses));
		lookup->count = count;
	}
	if (--lookup->run->pending == 0)
		pl_resolver_close(lookup->run->resolver, on_closed, NULL);
}

void lookup_all(const char *servers, struct lookup *lookups, size_t count)
{
	struct lookup_run run = { .pending = 0 };
	const struct pl_resolver_options options = { .servers = servers };
	for (size_t i = 0; i < count; i++)
		lookups[i].err = lookups[i].count > 0 ? PL_OK : PL_ESYS;
	if (uv_loop_init(&run.loop) != 0)
		return;
	if (pl_resolver_new(&run.loop, &options, &run.resolver) == PL_OK) {
		for (size_t i = 0; i < count; i++) {
			if (lookups[i].count > 0)
				continue;
			lookups[i].run = &run;
			run.pending++;
			(void)pl_resolver_find(run.resolver, lookups[i].host,
				(uint16_t)lookups[i].port, on_found, &lookups[i]);
		}
		if (run.pending == 0)
			pl_resolver_close(run.resolver, on_closed, NULL);
		uv_run(&run.loop, UV_RUN_DEFAULT);
	}
	int left = uv_loop_close(&run.loop);
	PL_ASSERT(left == 0);
}
