/*
 * A failure callback: a request of its own that starts in deliver and carries, as its data, the
 * body that its receiver gets.
 */
#include <stdlib.h>
#include <string.h>

#include "pipeline/clock.h"
#include "pipeline/json.h"
#include "pipeline/mem.h"
#include "pipeline/url.h"
#include "worker_private.h"

#define BODY_MAX 2048 /* ids, a code, a message of PL_EVENT_MESSAGE_MAX, escaped */
#define TEXT_MAX (2 * PL_URL_MAX + 4096)

static enum pl_err compose_body(
	const struct pl_job *job, const struct pl_event *failed, struct pl_buf *out)
{
	enum pl_err err = pl_buf_format(out,
		"{\"requestId\":\"%s\",\"error\":{\"code\":\"%s\",\"message\":", job->id,
		pl_fault_name(failed->fault));
	if (err == PL_OK)
		err = pl_json_string(out, failed->message, strlen(failed->message));
	if (err == PL_OK)
		err = pl_buf_format(out, "},\"attempts\":{\"fetch\":%u,\"deliver\":%u}}",
			failed->attempts[PL_STAGE_FETCH], failed->attempts[PL_STAGE_DELIVER]);
	return err;
}

static enum pl_err compose_record(
	const struct pl_request *request, const struct pl_buf *body, struct pl_buf *out)
{
	const struct pl_data data = {
		.kind = PL_DATA_JSON,
		.bytes = body->len,
		.content_type = "application/json",
		.inline_bytes = body->data,
	};
	const struct pl_event accepted = {
		.n = 1,
		.time_ms = pl_clock_wall_ms(),
		.state = PL_STATE_FETCHED,
		.level = PL_LOG_INFO,
		.service = 'q',
		.name = "accepted",
		.stage = -1,
		.message = "tells of a failure",
		.data = &data,
	};
	enum pl_err err = pl_record_head(request, out);
	if (err == PL_OK)
		err = pl_event_encode(&accepted, pl_uuid_time_ms(request->id), out);
	return err;
}

bool failure_compose(
	const struct pl_job *job, const struct pl_event *failed, struct pl_failure_text *out)
{
	const struct pl_request *of = &job->record->request;
	const char *why;
	struct pl_url *url;
	if (of->failure_callback_url == NULL ||
		pl_url_parse(of->failure_callback_url, strlen(of->failure_callback_url), &url,
			&why) != PL_OK)
		return false;
	struct pl_request request = {
		.provider = of->provider,
		.callback_url = of->failure_callback_url,
		.priority = of->priority,
		.owner = of->owner,
		.parent = job->id,
		.starts_in = PL_STAGE_DELIVER,
		.stage = { { .retries = -1 }, { .retries = -1 } },
	};
	memcpy(request.fetch_lane, of->fetch_lane, sizeof request.fetch_lane);
	memcpy(request.deliver_lane, pl_url_lane(url), strlen(pl_url_lane(url)) + 1);
	pl_url_free(url);
	pl_uuid_new(request.id, pl_uuid_shard(job->id));

	struct pl_buf body;
	pl_buf_init(&body, BODY_MAX);
	pl_buf_init(&out->text, TEXT_MAX);
	enum pl_err err = compose_body(job, failed, &body);
	if (err == PL_OK)
		err = compose_record(&request, &body, &out->text);
	PL_ASSERT(err == PL_OK); /* the ceilings cover the longest */
	pl_buf_fini(&body);
	memcpy(out->id, request.id, sizeof out->id);
	memcpy(out->lane, request.deliver_lane, sizeof out->lane);
	out->push = (struct pl_failure) {
		.id = out->id,
		.priority = request.priority,
		.lane = out->lane,
		.text = out->text.data,
		.text_len = out->text.len,
	};
	return true;
}

void failure_free(struct pl_failure_text *failure)
{
	if (failure != NULL)
		pl_buf_fini(&failure->text);
	free(failure);
}
