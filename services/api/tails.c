#include "tails.h"

#include <stdlib.h>
#include <string.h>

#include "event_stream.h"
#include "handlers.h"
#include "pipeline/clock.h"
#include "pipeline/mem.h"
#include "problem.h"

#define STREAM_HEADERS "Cache-Control: no-store\r\nX-Accel-Buffering: no\r\n" /* nginx' word */
#define RETRY_LATER    "Retry-After: 5\r\n" /* until one of the others has come to its end */

struct tail {
	struct api *api;
	struct pl_http_call *call;
	struct store_tail follows;
	unsigned seen; /* number of the last event that was told */
	uint64_t told_ms;
};

static void refuse_input(struct pl_http_call *call, const char *name, const char *detail)
{
	struct pl_faults *faults = pl_alloc(sizeof(*faults));
	pl_faults_init(faults);
	pl_faults_add(faults, name, "%s", detail);
	problem_answer(call, &(struct problem) {
				     .status = 422,
				     .detail = "Some of what was sent is wrong; errors names each.",
				     .faults = faults,
			     });
	free(faults);
}

/* follow=1 and a Last-Event-ID that is one of ours. False: refused. */
static bool read_call(struct pl_http_call *call, unsigned *seen)
{
	struct pl_buf value;
	pl_buf_init(&value, sizeof("1"));
	enum pl_err err = pl_http_query_get(pl_http_call_query(call), "follow", &value);
	bool is_one = err == PL_OK && value.len == 1 && value.data[0] == '1';
	pl_buf_fini(&value);
	if (!is_one)
		refuse_input(call, "follow", "must be 1, or not be there");
	else if (event_stream_resume(pl_http_call_header(call, "Last-Event-ID"), seen) != PL_OK)
		refuse_input(call, "Last-Event-ID", "must be the number of an event");
	else
		return true;
	return false;
}

static bool take_place(struct api *api, struct pl_http_call *call)
{
	struct tails *tails = &api->tails;
	if (atomic_fetch_add(&tails->open, 1) < tails->max) {
		pl_metrics_add(api->metrics.counts, API_TAILS, 0, 1);
		return true;
	}
	atomic_fetch_sub(&tails->open, 1);
	problem_answer(call, &(struct problem) {
				     .status = 503,
				     .detail = "As many logs are followed as may be (TAILS_MAX).",
				     .headers = RETRY_LATER,
			     });
	return false;
}

static void give_place(struct api *api)
{
	atomic_fetch_sub(&api->tails.open, 1);
	pl_metrics_sub(api->metrics.counts, API_TAILS, 0, 1);
}

static bool tell(struct tail *tail, const char *text, size_t len)
{
	if (len == 0)
		return true;
	bool is_told = pl_http_call_write(tail->call, text, len);
	tail->told_ms = pl_clock_mono_ms(); /* from its end: the reader may be slow */
	return is_told;
}

/* False: nothing more will be told. */
static bool tell_new(struct tail *tail, struct store_found *found)
{
	struct pl_buf *text = pl_http_call_scratch(tail->call);
	bool is_over = pl_state_is_final(found->state);
	enum pl_err err = event_stream_add(found->record, &tail->seen, text);
	if (err == PL_OK && is_over)
		err = event_stream_end(found->state, text);
	store_found_fini(found); /* a slow reader shall not hold it */
	return err == PL_OK && tell(tail, text->data, text->len) && !is_over;
}

/* While Redis can't be asked the tail stays: whatever happens then is told when it is back. */
static bool look(struct tail *tail)
{
	struct store_found found;
	enum pl_err err = store_tail_find(tail->api->store, &tail->follows, &found);
	if (err == PL_OK)
		return tell_new(tail, &found);
	return err != PL_ENOTFOUND && err != PL_EINVAL;
}

static bool wait_for_news(struct tail *tail)
{
	uint64_t silent_ms = pl_clock_mono_ms() - tail->told_ms;
	bool is_news =
		silent_ms < TAILS_HEARTBEAT_MS &&
		store_tail_wait(tail->api->store, &tail->follows, TAILS_HEARTBEAT_MS - silent_ms);
	if (pl_http_call_stopping(tail->call))
		return false; /* without an end: the reader comes back */
	return is_news || tell(tail, EVENT_STREAM_BEAT, sizeof(EVENT_STREAM_BEAT) - 1);
}

static void follow(struct api *api, struct pl_http_call *call, const char *id, unsigned seen)
{
	struct tail tail = { .api = api, .call = call, .seen = seen };
	pl_http_call_begin(call, 200, EVENT_STREAM_TYPE, STREAM_HEADERS, PL_HTTP_LENGTH_UNKNOWN);
	if (strcmp(pl_http_call_method(call), "HEAD") == 0)
		return;
	tail.told_ms = pl_clock_mono_ms();
	store_tail_open(api->store, id, &tail.follows);
	while (look(&tail) && wait_for_news(&tail))
		;
	store_tail_close(api->store, &tail.follows);
}

void tails_follow(struct api *api, struct pl_http_call *call, const char *id)
{
	unsigned seen;
	struct store_found found;
	if (!read_call(call, &seen) || !take_place(api, call))
		return;
	if (requests_find(api, call, id, &found)) {
		store_found_fini(&found); /* it is there: what it says is read once it is watched */
		follow(api, call, id, seen);
	}
	give_place(api);
}
