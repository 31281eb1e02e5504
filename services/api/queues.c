/*
 * queues: how the two stand, and holding a whole one. What runs, finishes; what is held stays in
 * Redis, whoever restarts.
 */
#include "handlers.h"
#include "json_writer.h"
#include "pipeline/clock.h"
#include "problem.h"

static void write_queue(
	struct json_writer *w, const char *name, const struct pl_queue_figures *figures)
{
	json_open(w, name, '{');
	json_bool(w, "paused", figures->paused);
	json_number(w, "depth", figures->ready);
	if (figures->oldest_ms >= 0) {
		uint64_t now = pl_clock_wall_ms(), age = (uint64_t)figures->oldest_ms;
		json_time(w, "oldest", now > age ? now - age : 0);
	}
	json_number(w, "delayed", figures->delayed);
	json_number(w, "leased", figures->leased);
	json_number(w, "workers", figures->workers);
	json_close(w, '}');
}

void queues_show(struct api *api, struct pl_http_call *call, const char *id)
{
	(void)id;
	struct pl_queues queues;
	if (store_queues(api->store, &queues) != PL_OK) {
		problem_no_redis(call);
		return;
	}
	struct json_writer w = { .out = pl_http_call_scratch(call) };
	json_open(&w, NULL, '{');
	write_queue(&w, "requests", &queues.stage[PL_STAGE_FETCH]);
	write_queue(&w, "responses", &queues.stage[PL_STAGE_DELIVER]);
	json_number(&w, "live", queues.live);
	json_number(&w, "dead", queues.dead);
	json_number(&w, "undeliveredBytes", queues.undelivered_bytes);
	json_close(&w, '}');
	PL_ASSERT(w.err == PL_OK);
	pl_http_call_answer(call, 200, "application/json", NULL, w.out->data, w.out->len);
}

static void hold(struct api *api, struct pl_http_call *call, enum pl_stage stage, bool on)
{
	enum pl_err err = store_hold(api->store, stage, on);
	if (err != PL_OK) {
		problem_no_change(call, err);
		return;
	}
	pl_log(PL_LOG_INFO, &(struct pl_log_about) { .stage = pl_stage_name(stage) },
		on ? "queue_paused" : "queue_resumed", "on request");
	api_logged(api);
	queues_show(api, call, NULL);
}

void queues_pause_requests(struct api *api, struct pl_http_call *call, const char *id)
{
	(void)id;
	hold(api, call, PL_STAGE_FETCH, true);
}

void queues_resume_requests(struct api *api, struct pl_http_call *call, const char *id)
{
	(void)id;
	hold(api, call, PL_STAGE_FETCH, false);
}

void queues_pause_responses(struct api *api, struct pl_http_call *call, const char *id)
{
	(void)id;
	hold(api, call, PL_STAGE_DELIVER, true);
}

void queues_resume_responses(struct api *api, struct pl_http_call *call, const char *id)
{
	(void)id;
	hold(api, call, PL_STAGE_DELIVER, false);
}
