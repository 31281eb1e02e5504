/*
 * requests: showing a record, telling its log.
 */
#include "handlers.h"
#include "problem.h"
#include "record_json.h"

bool requests_find(
	struct api *api, struct pl_http_call *call, const char *id, struct store_found *found)
{
	enum pl_err err = store_find(api->store, id, found);
	if (err == PL_OK) {
		if (caller_may_see(caller_of(call), found->record->request.owner))
			return true;
		store_found_fini(found);
		err = PL_ENOTFOUND; /* and not 403: whether it is there is nobody's business */
	}
	if (err == PL_ENOTFOUND)
		problem_say(call, 404, "There is no request with this id.");
	else if (err == PL_EINVAL)
		problem_say(call, 500, "What is stored of this request can't be read.");
	else
		problem_no_redis(call);
	return false;
}

void requests_show(struct api *api, struct pl_http_call *call, const char *id)
{
	struct store_found found;
	if (!requests_find(api, call, id, &found))
		return;
	struct pl_buf *body = pl_http_call_scratch(call);
	if (record_json(&found, body) == PL_OK)
		pl_http_call_answer(call, 200, "application/json", NULL, body->data, body->len);
	else
		problem_say(call, 500, "The record can't be shown.");
	store_found_fini(&found);
}

static bool has_parameter(const struct pl_http_call *call, const char *name)
{
	struct pl_buf value;
	pl_buf_init(&value, 0);
	enum pl_err err = pl_http_query_get(pl_http_call_query(call), name, &value);
	pl_buf_fini(&value);
	return err != PL_ENOTFOUND;
}

void requests_log(struct api *api, struct pl_http_call *call, const char *id)
{
	if (has_parameter(call, "follow")) {
		tails_follow(api, call, id);
		return;
	}
	struct store_found found;
	if (!requests_find(api, call, id, &found))
		return;
	struct pl_buf *body = pl_http_call_scratch(call);
	if (record_json_log(found.record, body) == PL_OK)
		pl_http_call_answer(call, 200, "application/x-ndjson", NULL, body->data, body->len);
	else
		problem_say(call, 500, "The log can't be shown.");
	store_found_fini(&found);
}
