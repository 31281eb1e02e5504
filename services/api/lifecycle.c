/*
 * lifecycle: what people do to one request. Each call answers the record as it is afterwards.
 */
#include <stdio.h>

#include "handlers.h"
#include "problem.h"
#include "record_json.h"

#define DETAIL_SIZE 200

/* Why a state forbids it. */
static const char *rule(enum pl_alter verb)
{
	switch (verb) {
	case PL_ALTER_REDELIVER:
		return "only one that has ended, or that waits for its next delivery, can be "
		       "delivered again";
	case PL_ALTER_REFETCH:
		return "only one that has ended can be fetched again";
	default:
		return "it has ended";
	}
}

static void refuse_state(struct pl_http_call *call, enum pl_alter verb, enum pl_state state)
{
	char detail[DETAIL_SIZE];
	if (pl_state_is_final(state) && (verb == PL_ALTER_REDELIVER || verb == PL_ALTER_REFETCH))
		(void)snprintf(detail, sizeof(detail),
			"The request is %s, but a worker has not let go of it yet.",
			pl_state_name(state));
	else
		(void)snprintf(detail, sizeof(detail), "The request is %s: %s.",
			pl_state_name(state), rule(verb));
	problem_say(call, 409, detail);
}

static void tell(struct api *api, enum pl_alter verb, const char *id, bool still_held)
{
	static const char *const events[] = {
		[PL_ALTER_CANCEL] = "cancelled",
		[PL_ALTER_PAUSE] = "paused",
		[PL_ALTER_RESUME] = "resumed",
		[PL_ALTER_REDELIVER] = "redeliver",
		[PL_ALTER_DELETE] = "deleted",
		[PL_ALTER_REFETCH] = "refetch",
	};
	pl_log(PL_LOG_INFO, &(struct pl_log_about) { .request_id = id }, events[verb], "%s",
		still_held ? "on request; its worker has not let go yet" : "on request");
	api_logged(api);
}

/* The change stands, whatever comes of the look at what it has made. */
static bool find_changed(
	struct api *api, struct pl_http_call *call, const char *id, struct store_found *found)
{
	enum pl_err err = store_find(api->store, id, found);
	if (err == PL_ENOTFOUND)
		problem_say(call, 404, "This was done, and the request is gone since.");
	else if (err == PL_EINVAL)
		problem_say(call, 500,
			"This was done, but what is stored of the request can't be read.");
	else if (err != PL_OK)
		problem_answer(call,
			&(struct problem) {
				.status = 503,
				.detail = "This was done, but Redis can't be asked for the record "
					  "now.",
				.headers = PROBLEM_RETRY_SOON,
			});
	return err == PL_OK;
}

/* still_held: the change is written, and its promise holds from the end of the worker's lease. */
static void answer_record(struct api *api, struct pl_http_call *call, const char *id,
	bool still_held, bool cancelling)
{
	struct store_found found;
	if (!find_changed(api, call, id, &found))
		return;
	found.cancelling = cancelling;
	struct pl_buf *body = pl_http_call_scratch(call);
	if (record_json(&found, body) == PL_OK)
		pl_http_call_answer(call, still_held ? 202 : 200, "application/json", NULL,
			body->data, body->len);
	else
		problem_say(call, 500, "The record can't be shown.");
	store_found_fini(&found);
}

static void answer_deleted(struct pl_http_call *call, const char *id, bool still_held)
{
	if (!still_held) {
		pl_http_call_answer(call, 204, NULL, NULL, NULL, 0);
		return;
	}
	struct pl_buf *body = pl_http_call_scratch(call);
	PL_ASSERT(pl_buf_format(body, "{\"requestId\":\"%s\",\"cancelling\":true}", id) == PL_OK);
	pl_http_call_answer(call, 202, "application/json", NULL, body->data, body->len);
}

static void refuse_change(
	struct api *api, struct pl_http_call *call, const char *id, enum pl_alter verb)
{
	struct store_found found;
	if (!requests_find(api, call, id, &found))
		return;
	refuse_state(call, verb, found.state);
	store_found_fini(&found);
}

static void refuse_dataless(struct api *api, struct pl_http_call *call, const char *id)
{
	struct store_found found;
	if (!requests_find(api, call, id, &found))
		return;
	bool fetched = false;
	for (size_t i = 0; i < found.record->events_count; i++)
		fetched |= found.record->events[i].state == PL_STATE_FETCHED;
	problem_say(call, 409,
		fetched ? "data_expired: the data of this request is gone; it can be fetched again."
			: "There is no data to deliver: nothing was fetched.");
	store_found_fini(&found);
}

static void refuse_full(struct pl_http_call *call, const char *detail)
{
	problem_answer(call, &(struct problem) {
				     .status = 503,
				     .detail = detail,
				     .headers = PROBLEM_RETRY_LATER,
			     });
}

static void change(struct api *api, struct pl_http_call *call, const char *id, enum pl_alter verb)
{
	struct store_altered altered;
	store_alter(api->store, verb, id, caller_scope(caller_of(call)), &altered);
	if (altered.err == PL_ENOTFOUND) {
		problem_say(call, 404, "There is no request with this id.");
		return;
	}
	if (altered.err == PL_ELIMIT) {
		refuse_full(call, "Redis is at its memory limit.");
		return;
	}
	if (altered.err != PL_OK) {
		problem_no_change(call, altered.err);
		return;
	}
	switch (altered.answer) {
	case PL_ALTERED:
	case PL_ALTERED_HELD:
		tell(api, verb, id, altered.still_held);
		break;
	case PL_ALTERED_SAME:
		break;
	case PL_ALTERED_NOT:
		refuse_change(api, call, id, verb);
		return;
	case PL_ALTERED_GONE:
		refuse_dataless(api, call, id);
		return;
	case PL_ALTERED_FULL:
		refuse_full(call, "The backlog is full.");
		return;
	}
	if (verb == PL_ALTER_DELETE)
		answer_deleted(call, id, altered.still_held);
	else
		answer_record(api, call, id, altered.still_held,
			altered.still_held && verb == PL_ALTER_CANCEL);
}

void lifecycle_cancel(struct api *api, struct pl_http_call *call, const char *id)
{
	change(api, call, id, PL_ALTER_CANCEL);
}

void lifecycle_pause(struct api *api, struct pl_http_call *call, const char *id)
{
	change(api, call, id, PL_ALTER_PAUSE);
}

void lifecycle_resume(struct api *api, struct pl_http_call *call, const char *id)
{
	change(api, call, id, PL_ALTER_RESUME);
}

void lifecycle_redeliver(struct api *api, struct pl_http_call *call, const char *id)
{
	change(api, call, id, PL_ALTER_REDELIVER);
}

void lifecycle_refetch(struct api *api, struct pl_http_call *call, const char *id)
{
	change(api, call, id, PL_ALTER_REFETCH);
}

void lifecycle_delete(struct api *api, struct pl_http_call *call, const char *id)
{
	change(api, call, id, PL_ALTER_DELETE);
}
