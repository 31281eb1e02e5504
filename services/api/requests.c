/*
 * requests: accepting one, showing its record, telling its log.
 */
#include <stdlib.h>
#include <string.h>

#include "handlers.h"
#include "pipeline/clock.h"
#include "pipeline/mem.h"
#include "problem.h"
#include "record_json.h"

/* The id is written over its place: this is every accepted request's answer. */
#define ID_PLACE    "00000000-0000-0000-0000-000000000000"
#define LOCATION    "Location: /requests/" ID_PLACE "\r\n"
#define LOCATION_ID (sizeof("Location: /requests/") - 1)
#define ANSWER      "{\"requestId\":\"" ID_PLACE "\"}"
#define EARLIER     "{\"requestId\":\"" ID_PLACE "\",\"deduplicated\":true}"
#define ANSWER_ID   (sizeof("{\"requestId\":\"") - 1)
#define RETRY_SOON  "Retry-After: 1\r\n" /* Redis heals, or not: that takes a second or two */
#define RETRY_LATER "Retry-After: 5\r\n" /* a backlog takes its time */

/* ---- accept ---- */

static void refuse_input(struct pl_http_call *call, enum pl_err err, const struct pl_faults *faults)
{
	if (err == PL_ELIMIT && faults->count == 0)
		problem_say(call, 413, "The body is larger than 1 MiB.");
	else if (faults->malformed)
		problem_answer(call, &(struct problem) {
					     .status = 400,
					     .detail = "The body is not valid JSON.",
					     .faults = faults,
				     });
	else
		problem_answer(call,
			&(struct problem) {
				.status = 422,
				.detail = "Some of what was sent is wrong; errors names each.",
				.faults = faults,
			});
}

/* They are a quarter of a thread's stack, and too large for malloc to be quick: one is kept. */
static struct pl_faults *take_faults(struct api *api)
{
	struct pl_faults *faults = atomic_exchange(&api->spare_faults, NULL);
	if (faults == NULL)
		faults = pl_alloc(sizeof(*faults));
	pl_faults_init(faults);
	return faults;
}

static void give_faults(struct api *api, struct pl_faults *faults)
{
	free(atomic_exchange(&api->spare_faults, faults));
}

/* On failure it has been answered, and *out is untouched. */
static bool read_request(struct api *api, struct pl_http_call *call, struct pl_request **out)
{
	size_t len;
	const char *body = pl_http_call_body(call, &len);
	struct pl_faults *faults = take_faults(api);
	enum pl_err err = pl_request_parse(body, len, api->policy, out, faults);
	if (err != PL_OK) {
		api_metrics_unread(&api->metrics, err, faults);
		refuse_input(call, err, faults);
	}
	give_faults(api, faults);
	return err == PL_OK;
}

static void answer_accepted(
	struct api *api, struct pl_http_call *call, const struct pl_request *request)
{
	char location[] = LOCATION, answer[] = ANSWER;
	memcpy(location + LOCATION_ID, request->id, PL_UUID_SIZE - 1);
	memcpy(answer + ANSWER_ID, request->id, PL_UUID_SIZE - 1);
	pl_log(PL_LOG_INFO, &(struct pl_log_about) { .request_id = request->id }, "accepted",
		"from %s to %s", request->fetch_lane, request->deliver_lane);
	api_logged(api);
	pl_http_call_answer(call, 202, "application/json", location, answer, sizeof(answer) - 1);
}

static void answer_not_stored(
	struct pl_http_call *call, const char *id, enum pl_err err, const char *why)
{
	bool is_known = err == PL_EREDIS || err == PL_ELIMIT || err == PL_ECLOSED;
	if (!is_known)
		pl_log(PL_LOG_WARN, &(struct pl_log_about) { .request_id = id }, "outcome_unknown",
			"%s", why);
	problem_answer(call, &(struct problem) {
				     .status = 503,
				     .detail = why,
				     .headers = err == PL_ELIMIT ? RETRY_LATER : RETRY_SOON,
				     .request_id = is_known ? NULL : id,
			     });
}

static void answer_earlier(struct pl_http_call *call, const struct store_pushed *pushed)
{
	char location[] = LOCATION, answer[] = EARLIER;
	memcpy(location + LOCATION_ID, pushed->id, PL_UUID_SIZE - 1);
	memcpy(answer + ANSWER_ID, pushed->id, PL_UUID_SIZE - 1);
	pl_http_call_answer(call, 202, "application/json", location, answer, sizeof(answer) - 1);
}

/* What Redis made of it; all but the first is no fault of ours or of Redis'. */
static void answer_pushed(struct api *api, struct pl_http_call *call,
	const struct pl_request *request, const struct store_pushed *pushed)
{
	switch (pushed->word) {
	case PL_PUSHED:
		answer_accepted(api, call, request);
		return;
	case PL_PUSHED_EARLIER:
		answer_earlier(call, pushed);
		return;
	case PL_PUSHED_CONFLICT:
		problem_say(call, 422, "The key stands for a request with other content.");
		return;
	case PL_PUSHED_FULL:
		answer_not_stored(call, request->id, PL_ELIMIT, "The backlog is full.");
		return;
	case PL_PUSHED_SHARE:
		problem_answer(call, &(struct problem) {
					     .status = 429,
					     .detail = "Your share of the backlog is used up.",
					     .headers = RETRY_LATER,
				     });
		return;
	}
}

static bool key_is_fit(const char *key)
{
	size_t len = strlen(key);
	if (len == 0 || len > PL_KEY_MAX)
		return false;
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)key[i] < 0x20 || key[i] == 0x7f)
			return false;
	return true;
}

/* On failure it has been answered. */
static bool read_key(struct pl_http_call *call, const struct pl_request *request, const char **key)
{
	*key = pl_http_call_header(call, "Idempotency-Key");
	if (*key == NULL)
		return true;
	if (!key_is_fit(*key))
		problem_say(call, 422,
			"Idempotency-Key must have 1 to 255 characters, none of them a control.");
	else if (request->dedupe_key != NULL)
		problem_say(call, 422, "An Idempotency-Key and a dedupeKey exclude each other.");
	else
		return true;
	return false;
}

void requests_accept(struct api *api, struct pl_http_call *call, const char *id)
{
	(void)id;
	struct pl_request *request;
	struct store_pushed pushed;
	const char *key;
	size_t len;
	const char *body = pl_http_call_body(call, &len);
	if (!read_request(api, call, &request))
		return;
	pl_uuid_new(request->id, 0);
	if (read_key(call, request, &key)) {
		uint64_t begun_us = pl_clock_mono_us();
		const struct store_pushing pushing = { request, key, body, len, &pushed };
		store_push(api->store, &pushing);
		api_metrics_pushed(
			&api->metrics, pushed.err, pushed.word, pl_clock_mono_us() - begun_us);
		if (pushed.err == PL_OK)
			answer_pushed(api, call, request, &pushed);
		else
			answer_not_stored(call, request->id, pushed.err, pushed.why);
	} else {
		api_metrics_refused(&api->metrics, API_REFUSED_INVALID);
	}
	pl_request_free(request);
}

/* ---- show ---- */

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
		problem_answer(call, &(struct problem) {
					     .status = 503,
					     .detail = "Redis can't be asked now.",
					     .headers = RETRY_SOON,
				     });
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
