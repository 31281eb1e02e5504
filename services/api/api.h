/*
 * api: the pipeline's front: HTTP threads before, the store's thread behind, a loop that only
 * listens for signals and what the store has to tell.
 *
 *   client --HTTP--> [ routes -> a handler ] --store--> Redis
 *
 * Threads  handlers share a struct api and only read it; each file of handlers says what it does.
 */
#ifndef API_API_H
#define API_API_H

#include <stdatomic.h>
#include <uv.h>

#include "callers.h"
#include "hosts.h"
#include "lookup.h"
#include "metrics.h"
#include "pipeline/http_server.h"
#include "pipeline/netpolicy.h"
#include "pipeline/service.h"
#include "rate.h"
#include "store.h"
#include "tails.h"

struct api {
	/* what handlers use: set before the first call, never changed but as said */
	struct store *store;
	_Atomic(struct pl_netpolicy *) policy; /* the last of policies; set once more, api.c */
	struct hosts hosts;
	struct lookups lookups;                   /* its list has a lock */
	struct callers callers;                   /* its keys change: locks */
	struct api_metrics metrics;               /* its values change: atomics */
	_Atomic(struct pl_faults *) spare_faults; /* or NULL; accept.c */
	struct rate validations;
	struct tails tails; /* tails.c */

	/* the loop's own */
	struct pl_service_run *run;
	struct pl_http_server *http;
	struct pl_netpolicy *policies[2]; /* until Redis was met, from then on */
	uint64_t drain_ms;
	bool is_ready;            /* as last told */
	char why[STORE_WHY_SIZE]; /* ... and why not; "": not told yet */
	bool was_ready;           /* READY has been said */
	bool is_ending;           /* the server is being stopped on a thread of uv's pool */
	bool has_ended;           /* ... and that came back */
	bool is_gone;             /* ... with every handler out */
	bool is_store_left;       /* its thread did not end in time */
	bool is_stopped;          /* the service wants us to be freed */
	unsigned open_handles;
	uv_async_t told;      /* by the store: look at its readiness */
	uv_async_t logged;    /* by handlers: a line waits to be written */
	uv_timer_t log_flush; /* so that lines have company */
	uv_work_t ending;
	atomic_bool log_waits;
};

extern const struct pl_setting api_settings[];

int api_start(struct pl_service_run *run, void **state);
void api_drain(void *state);
void api_stop(void *state);
void api_reload(void *state);
const char *api_remark(const struct pl_settings *settings);

/* From any thread, after a line below warning: it is written soon, with others. */
void api_logged(struct api *api);

#endif
