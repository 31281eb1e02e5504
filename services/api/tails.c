#include "tails.h"

#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "event_stream.h"
#include "handlers.h"
#include "pipeline/clock.h"
#include "pipeline/mem.h"
#include "problem.h"

#define STREAM_HEADERS "Cache-Control: no-store\r\nX-Accel-Buffering: no\r\n" /* nginx' word */
#define RETRY_LATER    "Retry-After: 5\r\n" /* until one of the others has come to its end */

struct tail {
	struct tail *prev, *next; /* in tails */
	struct api *api;
	struct pl_http_call *call;
	struct store_tail follows;
	unsigned seen; /* number of the last event that was told */
	uint64_t told_ms;
};

void tails_init(struct tails *tails, unsigned max)
{
	*tails = (struct tails) { .max = max };
	int failed = uv_mutex_init(&tails->lock);
	PL_ASSERT(failed == 0);
}

void tails_fini(struct tails *tails)
{
	PL_ASSERT(tails->first == NULL);
	uv_mutex_destroy(&tails->lock);
}

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

/* Under the lock. Without keys nobody has a name, and whoever comes first is served. */
static bool has_share(const struct tails *tails, const char *name)
{
	unsigned open = 0;
	for (const struct tail *tail = tails->first; tail != NULL; tail = tail->next)
		open += strcmp(caller_of(tail->call)->name, name) == 0;
	return *name == '\0' || open < tails->max - tails->max / 2;
}

static void refuse_place(struct pl_http_call *call, bool is_full)
{
	static const char full[] = "As many logs are followed as may be (TAILS_MAX).";
	static const char share[] = "Your key follows half of the logs that may be followed "
				    "(TAILS_MAX); the others are for other keys.";
	problem_answer(call, &(struct problem) {
				     .status = is_full ? 503 : 429,
				     .detail = is_full ? full : share,
				     .headers = RETRY_LATER,
			     });
}

static bool take_place(struct tail *tail)
{
	struct tails *tails = &tail->api->tails;
	uv_mutex_lock(&tails->lock);
	bool is_full = tails->open >= tails->max;
	bool may = !is_full && has_share(tails, caller_of(tail->call)->name);
	if (may) {
		DL_APPEND(tails->first, tail);
		tails->open++;
	}
	uv_mutex_unlock(&tails->lock);
	if (may)
		pl_metrics_add(tail->api->metrics.counts, API_TAILS, 0, 1);
	else
		refuse_place(tail->call, is_full);
	return may;
}

static void give_place(struct tail *tail)
{
	struct tails *tails = &tail->api->tails;
	uv_mutex_lock(&tails->lock);
	DL_DELETE(tails->first, tail);
	tails->open--;
	uv_mutex_unlock(&tails->lock);
	pl_metrics_sub(tail->api->metrics.counts, API_TAILS, 0, 1);
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

static void follow(struct tail *tail, const char *id)
{
	pl_http_call_begin(
		tail->call, 200, EVENT_STREAM_TYPE, STREAM_HEADERS, PL_HTTP_LENGTH_UNKNOWN);
	if (strcmp(pl_http_call_method(tail->call), "HEAD") == 0)
		return;
	tail->told_ms = pl_clock_mono_ms();
	store_tail_open(tail->api->store, id, &tail->follows);
	while (look(tail) && wait_for_news(tail))
		;
	store_tail_close(tail->api->store, &tail->follows);
}

void tails_follow(struct api *api, struct pl_http_call *call, const char *id)
{
	struct tail tail = { .api = api, .call = call };
	struct store_found found;
	if (!read_call(call, &tail.seen) || !take_place(&tail))
		return;
	if (requests_find(api, call, id, &found)) {
		store_found_fini(&found); /* it is there: what it says is read once it is watched */
		follow(&tail, id);
	}
	give_place(&tail);
}
