#include "accept.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "handlers.h"
#include "pipeline/clock.h"
#include "pipeline/mem.h"

#define KEY_HEADER "Idempotency-Key"

/* The id is written over its place: this is every accepted request's answer. */
#define ID_PLACE    "00000000-0000-0000-0000-000000000000"
#define LOCATION    "Location: /requests/" ID_PLACE "\r\n"
#define LOCATION_ID (sizeof("Location: /requests/") - 1)
#define ANSWER      "{\"requestId\":\"" ID_PLACE "\"}"
#define ANSWER_ID   (sizeof("{\"requestId\":\"") - 1)

/* ---- reading ---- */

struct pl_faults *accept_take_faults(struct api *api)
{
	struct pl_faults *faults = atomic_exchange(&api->spare_faults, NULL);
	if (faults == NULL)
		faults = pl_alloc(sizeof(*faults));
	pl_faults_init(faults);
	return faults;
}

void accept_give_faults(struct api *api, struct pl_faults *faults)
{
	free(atomic_exchange(&api->spare_faults, faults));
}

/* On failure it has been answered, and *out is untouched. */
static bool read_request(struct api *api, struct pl_http_call *call, struct pl_request **out)
{
	size_t len;
	const char *body = pl_http_call_body(call, &len);
	struct pl_faults *faults = accept_take_faults(api);
	enum pl_err err = pl_request_parse(body, len, api->policy, out, faults);
	if (err != PL_OK) {
		api_metrics_unread(&api->metrics, err, faults);
		problem_input(call, err, faults);
	}
	accept_give_faults(api, faults);
	return err == PL_OK;
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

static size_t count_headers(const struct pl_http_call *call, const char *wanted)
{
	const char *name, *value;
	size_t count = 0;
	for (size_t i = 0; pl_http_call_header_at(call, i, &name, &value); i++)
		count += strcasecmp(name, wanted) == 0;
	return count;
}

/* On failure it has been answered. */
static bool read_key(struct pl_http_call *call, const struct pl_request *request, const char **key)
{
	*key = pl_http_call_header(call, KEY_HEADER);
	if (*key == NULL)
		return true;
	if (count_headers(call, KEY_HEADER) > 1)
		problem_say(call, 400, "There must be at most one Idempotency-Key header.");
	else if (!key_is_fit(*key))
		problem_say(call, 422,
			"Idempotency-Key must have 1 to 255 characters, none of them a control.");
	else if (request->dedupe_key != NULL)
		problem_say(call, 422, "An Idempotency-Key and a dedupeKey exclude each other.");
	else
		return true;
	return false;
}

/* ---- what came of it ---- */

static void refuse_not_stored(const char *id, enum pl_err err, const char *why, struct problem *out)
{
	bool is_known = err == PL_EREDIS || err == PL_ELIMIT || err == PL_ECLOSED;
	if (!is_known)
		pl_log(PL_LOG_WARN, &(struct pl_log_about) { .request_id = id }, "outcome_unknown",
			"%s", why);
	*out = (struct problem) {
		.status = 503,
		.detail = why,
		.headers = err == PL_ELIMIT ? PROBLEM_RETRY_LATER : PROBLEM_RETRY_SOON,
		.request_id = is_known ? NULL : id,
	};
}

bool accept_refusal(struct api *api, const struct pl_request *request,
	const struct store_pushed *pushed, struct problem *out)
{
	if (pushed->err != PL_OK) {
		refuse_not_stored(request->id, pushed->err, pushed->why, out);
		return true;
	}
	switch (pushed->word) {
	case PL_PUSHED:
		pl_log(PL_LOG_INFO, &(struct pl_log_about) { .request_id = request->id },
			"accepted", "from %s to %s", request->fetch_lane, request->deliver_lane);
		api_logged(api);
		return false;
	case PL_PUSHED_EARLIER:
		return false;
	case PL_PUSHED_CONFLICT:
		*out = (struct problem) {
			.status = 422,
			.detail = "The key stands for a request with other content.",
		};
		return true;
	case PL_PUSHED_FULL:
		refuse_not_stored(request->id, PL_ELIMIT, "The backlog is full.", out);
		return true;
	case PL_PUSHED_SHARE:
		*out = (struct problem) {
			.status = 429,
			.detail = "Your share of the backlog is used up.",
			.headers = PROBLEM_RETRY_LATER,
		};
		return true;
	}
	return false;
}

/* Its static name; NULL: deleted meanwhile, or Redis does not tell. */
static const char *state_of(struct api *api, const char *id)
{
	struct store_found found;
	if (store_find(api->store, id, &found) != PL_OK)
		return NULL;
	enum pl_state state = found.state;
	store_found_fini(&found);
	return pl_state_name(state);
}

void accept_write(struct api *api, const struct store_pushed *pushed, struct json_writer *w)
{
	json_text(w, "requestId", pushed->id);
	if (pushed->word != PL_PUSHED_EARLIER)
		return;
	const char *state = state_of(api, pushed->id);
	if (state != NULL)
		json_text(w, "state", state);
	json_bool(w, "deduplicated", true);
}

static void answer_accepted(struct pl_http_call *call, const char *id)
{
	char location[] = LOCATION, answer[] = ANSWER;
	memcpy(location + LOCATION_ID, id, PL_UUID_SIZE - 1);
	memcpy(answer + ANSWER_ID, id, PL_UUID_SIZE - 1);
	pl_http_call_answer(call, 202, "application/json", location, answer, sizeof(answer) - 1);
}

static void answer_earlier(
	struct api *api, struct pl_http_call *call, const struct store_pushed *pushed)
{
	char location[] = LOCATION;
	memcpy(location + LOCATION_ID, pushed->id, PL_UUID_SIZE - 1);
	struct json_writer w = { .out = pl_http_call_scratch(call) };
	json_open(&w, NULL, '{');
	accept_write(api, pushed, &w);
	json_close(&w, '}');
	PL_ASSERT(w.err == PL_OK);
	pl_http_call_answer(call, 202, "application/json", location, w.out->data, w.out->len);
}

void accept_one(struct api *api, struct pl_http_call *call, const char *id)
{
	(void)id;
	struct pl_request *request;
	struct store_pushed pushed;
	struct problem problem;
	const char *key;
	size_t len;
	const char *body = pl_http_call_body(call, &len);
	if (!read_request(api, call, &request))
		return;
	pl_uuid_new(request->id, 0);
	request->owner = caller_of(call)->name;
	if (read_key(call, request, &key)) {
		uint64_t begun_us = pl_clock_mono_us();
		const struct store_pushing pushing = { request, key, body, len, &pushed };
		store_push(api->store, &pushing);
		api_metrics_pushed(
			&api->metrics, pushed.err, pushed.word, pl_clock_mono_us() - begun_us);
		if (accept_refusal(api, request, &pushed, &problem))
			problem_answer(call, &problem);
		else if (pushed.word == PL_PUSHED_EARLIER)
			answer_earlier(api, call, &pushed);
		else
			answer_accepted(call, pushed.id);
	} else {
		api_metrics_refused(&api->metrics, API_REFUSED_INVALID);
	}
	pl_request_free(request);
}
