/*
 * One thread, one loop, one connection. Handlers put their calls on a list and sleep; the loop
 * takes the whole list, sends all pushes of it as one script call and wakes each caller with its
 * part of the answer. While PUSHES_UNDERWAY_MAX such calls are out, the next ones gather and the
 * loop sleeps on: the slower the disk, the larger the group that shares one sync.
 */
#include "store_private.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>
#include <uv.h>

#include "metrics.h"
#include "pipeline/clock.h"
#include "pipeline/lag.h"
#include "pipeline/log.h"
#include "pipeline/mem.h"
#include "pipeline/queue.h"
#include "pipeline/text.h"

#define PUSHES_UNDERWAY_MAX   2
#define MEMORY_CHECK_MS       1000 /* INFO memory at most so often, and only while there are pushes */
#define MEMORY_PERCENT_MAX    75   /* of maxmemory: above it nothing is accepted */
#define KEY_HASH_SIZE         33   /* 128 bits of SHA-256, in hex: no accident makes two the same */
#define IDEMPOTENCY_WINDOW_MS (24ull * 60 * 60 * 1000)
#define LABELS_SIZE           (PL_LABELS_MAX * (PL_LABEL_SIZE_MAX + 1) + 1)
/* Text of clients' may grow six times when it is escaped ("\u007f"). */
#define PUSH_TEXT_MAX  (6 * (PL_FETCH_BODY_MAX + 2 * PL_HEADERS_SIZE_MAX + PL_META_MAX) + 256 * 1024)
#define PUSH_BYTES_MAX (8 * 1024 * 1024) /* of one script call */

struct push_wait {
	struct store_wait wait;
	struct pl_push item;
	struct store_pushed *out;
	struct pl_buf text;
	char labels[LABELS_SIZE];
	char hash[KEY_HASH_SIZE];
};

struct find_wait {
	struct store_wait wait;
	const char *id;
	unsigned watch_s;      /* 0: no */
	struct pl_found found; /* kept */
};

struct bytes_wait {
	struct store_wait wait;
	const char *token;
	unsigned number;
	struct pl_buf *out;
};

struct batch { /* the pushes of one script call */
	struct store *store;
	struct push_wait *waits[PL_PUSH_MAX];
	size_t count;
};

/* ---- between the threads ---- */

/* By hand: twice a push, and "" nearly always. */
static void copy_why(char out[STORE_WHY_SIZE], const char *why)
{
	size_t len = strnlen(why, STORE_WHY_SIZE - 1);
	memcpy(out, why, len);
	out[len] = '\0';
}

void store_finish(struct store_wait *wait, enum pl_err err, const char *why)
{
	wait->err = err;
	copy_why(wait->why, why);
	uv_sem_post(&wait->done); /* the handler goes on: wait is not ours any more */
}

static void begin_push(struct store_wait *wait)
{
	DL_APPEND(wait->store->pushes, wait);
}

/* Under the lock. A push that can only gather needs no turn of the loop for that: the answer to one
 * that is out takes it along. */
static bool must_wake(struct store *store, const struct store_wait *wait)
{
	if (store->is_woken || (store->is_full && wait->begin == begin_push))
		return false;
	store->is_woken = true;
	return true;
}

/* False: it never came to the loop, its err is set. */
static bool submit(struct store *store, struct store_wait *wait)
{
	wait->store = store;
	uv_mutex_lock(&store->lock);
	bool ready = store->ready;
	bool wakes = ready && must_wake(store, wait);
	if (ready) {
		int made = uv_sem_init(&wait->done, 0);
		PL_ASSERT(made == 0);
		DL_APPEND(store->calls, wait);
	} else {
		wait->err = PL_EREDIS;
		copy_why(wait->why, store->why);
	}
	uv_mutex_unlock(&store->lock);
	if (wakes)
		uv_async_send(&store->wake);
	return ready;
}

static void await(struct store_wait *wait)
{
	uv_sem_wait(&wait->done);
	uv_sem_destroy(&wait->done);
}

enum pl_err store_call(struct store *store, struct store_wait *wait)
{
	if (submit(store, wait))
		await(wait);
	return wait->err;
}

static void set_ready(struct store *store, bool ready, const char *why)
{
	uv_mutex_lock(&store->lock);
	bool news = store->ready != ready || strcmp(store->why, why) != 0;
	store->ready = ready;
	snprintf(store->why, sizeof store->why, "%s", why);
	if (news && store->changed != NULL) /* under the lock: once told to stop, nobody hears it */
		store->changed(store->changed_arg, ready, why);
	uv_mutex_unlock(&store->lock);
}

bool store_is_ready(struct store *store, char *why, size_t size)
{
	uv_mutex_lock(&store->lock);
	bool ready = store->ready;
	if (why != NULL)
		snprintf(why, size, "%s", store->why);
	uv_mutex_unlock(&store->lock);
	return ready;
}

bool store_redis(struct store *store, struct sockaddr_storage *out)
{
	uv_mutex_lock(&store->lock);
	bool has_met = store->has_met;
	*out = store->redis;
	uv_mutex_unlock(&store->lock);
	return has_met;
}

static void meet(struct store *store)
{
	struct sockaddr_storage redis = { .ss_family = AF_UNSPEC };
	(void)pl_queue_address(store->queue, &redis); /* a unix socket has none */
	uv_mutex_lock(&store->lock);
	store->has_met = true;
	store->redis = redis;
	uv_mutex_unlock(&store->lock);
}

/* What handlers have put on the list begins. */
static void take_calls(struct store *store)
{
	uv_mutex_lock(&store->lock);
	struct store_wait *calls = store->calls;
	store->calls = NULL;
	store->is_woken = false;
	store->is_full = store->pushes_underway >= PUSHES_UNDERWAY_MAX;
	uv_mutex_unlock(&store->lock);
	struct store_wait *wait, *next;
	DL_FOREACH_SAFE(calls, wait, next)
	{
		DL_DELETE(calls, wait);
		if (store->closing)
			store_finish(wait, PL_ECLOSED, "the service is stopping");
		else
			wait->begin(wait);
	}
}

/* ---- pushing ---- */

static void flush(struct store *store);

static void finish_push(struct push_wait *push, const struct pl_push_answer *answer)
{
	struct store_pushed *out = push->out;
	out->word = answer->word;
	if (answer->word == PL_PUSHED_EARLIER)
		snprintf(out->id, sizeof out->id, "%s", answer->id);
	store_finish(&push->wait, PL_OK, "");
}

static void on_pushed(
	void *arg, enum pl_err err, const struct pl_push_answer *answers, const char *why)
{
	struct batch *batch = arg;
	struct store *store = batch->store;
	store->pushes_underway--;
	for (size_t i = 0; i < batch->count; i++) {
		if (err != PL_OK)
			store_finish(&batch->waits[i]->wait, err, why);
		else
			finish_push(batch->waits[i], &answers[i]);
	}
	free(batch);
	take_calls(store);
	flush(store);
}

static void on_memory(void *arg, enum pl_err err, uint64_t used, uint64_t maxmemory)
{
	struct store *store = arg;
	if (err == PL_OK)
		store->memory_full = maxmemory > 0 && used / MEMORY_PERCENT_MAX > maxmemory / 100;
}

static void check_memory(struct store *store)
{
	uint64_t now = pl_clock_mono_ms();
	if (store->memory_checked_ms + MEMORY_CHECK_MS > now)
		return;
	store->memory_checked_ms = now;
	pl_queue_memory(store->queue, on_memory, store);
}

static void refuse_all(struct store *store, enum pl_err err, const char *why)
{
	struct store_wait *wait;
	while ((wait = store->pushes) != NULL) {
		DL_DELETE(store->pushes, wait);
		store_finish(wait, err, why);
	}
}

static void set_full(struct store *store)
{
	uv_mutex_lock(&store->lock);
	store->is_full = true;
	uv_mutex_unlock(&store->lock);
}

static void flush(struct store *store)
{
	if (store->pushes == NULL || store->pushes_underway >= PUSHES_UNDERWAY_MAX)
		return;
	check_memory(store);
	if (store->memory_full) {
		refuse_all(store, PL_ELIMIT, "Redis is above its share of memory");
		return;
	}
	struct pl_push items[PL_PUSH_MAX];
	struct batch *batch = pl_alloc(sizeof *batch);
	batch->store = store;
	batch->count = 0;
	struct push_wait *push;
	size_t bytes = 0;
	while ((push = (struct push_wait *)store->pushes) != NULL && batch->count < PL_PUSH_MAX &&
		(bytes == 0 || bytes + push->item.text_len <= PUSH_BYTES_MAX)) {
		bytes += push->item.text_len;
		DL_DELETE(store->pushes, &push->wait);
		items[batch->count] = push->item;
		batch->waits[batch->count++] = push;
	}
	if (++store->pushes_underway == PUSHES_UNDERWAY_MAX)
		set_full(store);
	pl_queue_push(store->queue, items, batch->count, store->queue_max, store->queue_max / 2,
		on_pushed, batch);
}

static uint64_t scaled(const struct store *store, uint64_t ms)
{
	return (ms + store->time_scale - 1) / store->time_scale;
}

/* When it may start: 0 for at once. */
static uint64_t delay_of(const struct store *store, const struct pl_request *request, uint64_t now)
{
	uint64_t delay = request->delay_ms;
	if (request->not_before_ms > now)
		delay = request->not_before_ms - now;
	return scaled(store, delay);
}

static enum pl_err first_text(
	const struct pl_request *request, uint64_t now, uint64_t delay_ms, struct pl_buf *out)
{
	enum pl_state start =
		request->starts_in == PL_STAGE_FETCH ? PL_STATE_QUEUED : PL_STATE_FETCHED;
	const struct pl_event accepted = {
		.n = 1,
		.time_ms = now,
		.state = delay_ms > 0 ? PL_STATE_SCHEDULED : start,
		.level = PL_LOG_INFO,
		.service = 'a',
		.name = "accepted",
		.stage = -1,
		.message = "",
		.until_ms = delay_ms > 0 ? now + delay_ms : 0,
	};
	enum pl_err err = pl_record_head(request, out);
	if (err == PL_OK)
		err = pl_event_encode(&accepted, pl_uuid_time_ms(request->id), out);
	return err;
}

struct part {
	const char *bytes;
	size_t len;
};

static struct part text_part(const char *text)
{
	return (struct part) { text, strlen(text) };
}

static void join_labels(const struct pl_request *request, char out[LABELS_SIZE])
{
	size_t at = 0;
	for (size_t i = 0; i < request->labels_count; i++)
		at += (size_t)snprintf(
			out + at, LABELS_SIZE - at, "%s%s", i > 0 ? "\t" : "", request->labels[i]);
	out[at] = '\0';
}

/* SHA-256 over parts, each with its length before it, in hex. */
static void hash_parts(const struct part *parts, size_t count, char out[KEY_HASH_SIZE])
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned len = 0;
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	bool ok = context != NULL && EVP_DigestInit_ex(context, EVP_sha256(), NULL) == 1;
	for (size_t i = 0; ok && i < count; i++)
		ok = EVP_DigestUpdate(context, &parts[i].len, sizeof parts[i].len) == 1 &&
		     EVP_DigestUpdate(context, parts[i].bytes, parts[i].len) == 1;
	ok = ok && EVP_DigestFinal_ex(context, digest, &len) == 1;
	PL_ASSERT(ok);
	EVP_MD_CTX_free(context);
	pl_hex(digest, (KEY_HASH_SIZE - 1) / 2, out);
}

/* What must be the same under one dedupeKey: provider, method, headers and body of the fetch. */
static void hash_fetch(const struct pl_request *request, char out[KEY_HASH_SIZE])
{
	const struct pl_stage_options *fetch = &request->stage[PL_STAGE_FETCH];
	struct part parts[3 + 2 * PL_REQUEST_HEADERS_MAX];
	size_t count = 0;
	parts[count++] = text_part(request->provider);
	parts[count++] = text_part(fetch->method != NULL ? fetch->method : "GET");
	parts[count++] = (struct part) { fetch->body != NULL ? fetch->body : "", fetch->body_len };
	for (size_t i = 0; i < fetch->headers_count; i++) {
		parts[count++] = text_part(fetch->headers[i].name);
		parts[count++] = text_part(fetch->headers[i].value);
	}
	hash_parts(parts, count, out);
}

static void set_key(const struct store *store, struct pl_push *push,
	const struct pl_request *request, const char *idempotency_key, const struct part *body,
	char hash[KEY_HASH_SIZE])
{
	static const enum pl_key_kind kinds[] = { PL_KEY_DROP, PL_KEY_JOIN, PL_KEY_LATEST };
	uint64_t window = IDEMPOTENCY_WINDOW_MS;
	if (idempotency_key != NULL) {
		hash_parts(body, 1, hash);
		push->key_kind = PL_KEY_IDEMPOTENCY;
		push->key = idempotency_key;
	} else if (request->dedupe_key != NULL) {
		hash_fetch(request, hash);
		push->key_kind = kinds[request->dedupe_mode];
		push->key = request->dedupe_key;
		window = request->dedupe_window_ms > 0 ? request->dedupe_window_ms
						       : store->dedupe_window_ms;
	} else {
		return;
	}
	push->key_hash = hash;
	push->key_window_ms = (window + store->time_scale - 1) / store->time_scale;
}

static void prepare_push(
	const struct store *store, const struct store_pushing *pushing, struct push_wait *push)
{
	const struct pl_request *request = pushing->request;
	uint64_t now = pl_clock_wall_ms(), delay_ms = delay_of(store, request, now);
	pl_buf_init(&push->text, PUSH_TEXT_MAX);
	enum pl_err err = first_text(request, now, delay_ms, &push->text);
	PL_ASSERT(err == PL_OK); /* a request's parts have smaller ceilings together */
	join_labels(request, push->labels);
	push->wait.begin = begin_push;
	push->out = pushing->out;
	*push->out = (struct store_pushed) { .word = PL_PUSHED };
	memcpy(push->out->id, request->id, sizeof push->out->id);
	push->item = (struct pl_push) {
		.id = request->id,
		.stage = request->starts_in,
		.priority = request->priority,
		.lane = request->starts_in == PL_STAGE_FETCH ? request->fetch_lane
							     : request->deliver_lane,
		.delay_ms = delay_ms,
		.lasts_ms = scaled(store, request->expires_after_ms),
		.labels = push->labels,
		.owner = request->owner != NULL ? request->owner : "",
		.text = push->text.data,
		.text_len = push->text.len,
	};
	const struct part body = { pushing->body, pushing->body_len };
	set_key(store, &push->item, request, pushing->idempotency_key, &body, push->hash);
}

static void end_push(struct push_wait *push)
{
	push->out->err = push->wait.err;
	copy_why(push->out->why, push->wait.why);
	pl_buf_fini(&push->text);
}

void store_push(struct store *store, const struct store_pushing *pushing)
{
	struct push_wait push;
	prepare_push(store, pushing, &push);
	if (submit(store, &push.wait))
		await(&push.wait);
	end_push(&push);
}

void store_push_all(struct store *store, const struct store_pushing *pushing, size_t count)
{
	struct push_wait *pushes = pl_alloc((count + 1) * sizeof *pushes);
	bool *submitted = pl_alloc((count + 1) * sizeof *submitted);
	for (size_t i = 0; i < count; i++) {
		prepare_push(store, &pushing[i], &pushes[i]);
		submitted[i] = submit(store, &pushes[i].wait);
	}
	for (size_t i = 0; i < count; i++) {
		if (submitted[i])
			await(&pushes[i].wait);
		end_push(&pushes[i]);
	}
	free(submitted);
	free(pushes);
}

/* ---- reading ---- */

struct pl_found store_keep(const struct pl_found *found)
{
	struct pl_found kept = *found;
	kept.text = pl_strndup(found->text, found->text_len);
	kept.reason = pl_strdup(found->reason);
	return kept;
}

static void on_found(void *arg, enum pl_err err, const struct pl_found *found)
{
	struct find_wait *find = arg;
	if (err == PL_OK)
		find->found = store_keep(found);
	store_finish(&find->wait, err, pl_err_name(err));
}

static void begin_find(struct store_wait *wait)
{
	struct find_wait *find = (struct find_wait *)wait;
	if (find->watch_s > 0)
		pl_queue_watch(wait->store->queue, find->id, find->watch_s);
	pl_queue_find(wait->store->queue, find->id, on_found, find);
}

static enum pl_state state_of(const struct pl_record *record, const struct pl_found *found)
{
	enum pl_state state = record->last->state;
	if (found->held)
		return state == PL_STATE_FETCHED ? PL_STATE_DELIVERING : PL_STATE_FETCHING;
	bool is_ahead = record->last->until_ms > pl_clock_wall_ms(); /* also while it is paused */
	if (state == PL_STATE_SCHEDULED && strcmp(found->reason, "scheduled") != 0 && !is_ahead)
		return PL_STATE_QUEUED; /* its time has come, nothing was written for that */
	return state;
}

/* Retention counts from the final state; a failed request keeps its data longer. */
static uint64_t data_expires_ms(const struct store *store, const struct pl_record *record)
{
	const struct pl_event *last = record->last;
	if (record->data.kind == PL_DATA_NONE || !pl_state_is_final(last->state))
		return 0;
	return last->time_ms +
	       (last->state == PL_STATE_FAILED ? store->keep_dead_ms : store->keep_data_ms);
}

enum pl_err store_read(
	const struct store *store, const char *id, struct pl_found *kept, struct store_found *out)
{
	struct pl_record *record;
	enum pl_err err = pl_record_decode(id, kept->text, kept->text_len, &record);
	if (err == PL_OK) {
		*out = (struct store_found) {
			.record = record,
			.state = state_of(record, kept),
			.waiting = { .until_ms = kept->until_ms, .ahead = kept->ahead },
			.data_expires_ms = data_expires_ms(store, record),
		};
		if (*kept->reason != '\0')
			out->waiting.reason = pl_strdup(kept->reason);
	}
	free((void *)kept->text); /* our copies, const by their type only */
	free((void *)kept->reason);
	return err;
}

enum pl_err store_find_watched(
	struct store *store, const char *id, unsigned watch_s, struct store_found *out)
{
	struct find_wait find = { .wait.begin = begin_find, .id = id, .watch_s = watch_s };
	enum pl_err err = store_call(store, &find.wait);
	if (err != PL_OK)
		return err;
	return store_read(store, id, &find.found, out);
}

enum pl_err store_find(struct store *store, const char *id, struct store_found *out)
{
	return store_find_watched(store, id, 0, out);
}

void store_found_fini(struct store_found *found)
{
	pl_record_free(found->record);
	free((void *)found->waiting.reason);
	*found = (struct store_found) { 0 };
}

static void on_bytes(void *arg, enum pl_err err, const char *bytes, size_t len)
{
	struct bytes_wait *read = arg;
	if (err == PL_OK)
		err = pl_buf_add(read->out, bytes, len);
	store_finish(&read->wait, err, pl_err_name(err));
}

static void begin_chunk(struct store_wait *wait)
{
	struct bytes_wait *read = (struct bytes_wait *)wait;
	pl_queue_chunk_get(wait->store->queue, read->token, read->number, on_bytes, read);
}

enum pl_err store_chunk(
	struct store *store, const struct pl_record *record, unsigned k, struct pl_buf *out)
{
	struct bytes_wait read = {
		.wait.begin = begin_chunk,
		.token = record->data.token,
		.number = k,
		.out = out,
	};
	return store_call(store, &read.wait);
}

static void begin_key(struct store_wait *wait)
{
	pl_queue_data_key(wait->store->queue, on_bytes, wait);
}

enum pl_err store_data_key(struct store *store, unsigned char key[32])
{
	struct pl_buf bytes;
	pl_buf_init(&bytes, 64);
	struct bytes_wait read = { .wait.begin = begin_key, .out = &bytes };
	enum pl_err err = store_call(store, &read.wait);
	if (err == PL_OK && bytes.len != 32)
		err = PL_EREDIS;
	if (err == PL_OK)
		memcpy(key, bytes.data, 32);
	pl_buf_fini(&bytes);
	return err;
}

/* ---- the thread ---- */

static void on_redis_ready(void *arg, const struct pl_queue_redis *redis)
{
	struct store *store = arg;
	store->memory_full = false;
	meet(store);
	pl_metrics_set(store->counts, API_RECONNECTS, 0, pl_queue_reconnects(store->queue));
	set_ready(store, redis->durable || store->relaxed, redis->why);
	store_tails_wake(store); /* this Redis may have forgotten what is watched */
}

static void on_redis_lost(void *arg, const char *why)
{
	struct store *store = arg;
	char sentence[STORE_WHY_SIZE];
	snprintf(sentence, sizeof sentence, "Redis is away: %s", why);
	set_ready(store, false, sentence);
	take_calls(store);
	refuse_all(store, PL_EREDIS, sentence); /* gathered, never sent: nothing happened */
}

static void on_news(void *arg, enum pl_news news, const char *id)
{
	struct store *store = arg;
	if (news != PL_NEWS_LET_GO)
		store_tails_news(&store->tails, id);
	if (news != PL_NEWS_GREW)
		store_let_go(store, id);
}

static void close_handles(struct store *store)
{
	store_control_end(store);
	uv_close((uv_handle_t *)&store->wake, NULL);
	uv_close((uv_handle_t *)&store->turn, NULL);
}

static void on_queue_closed(void *arg)
{
	struct store *store = arg;
	take_calls(store);
	refuse_all(store, PL_ECLOSED, "the service is stopping");
	close_handles(store);
}

static void end_if_told(struct store *store)
{
	uv_mutex_lock(&store->lock);
	bool stop = store->stop;
	uv_mutex_unlock(&store->lock);
	if (!stop || store->closing)
		return;
	store->closing = true;
	set_ready(store, false, "the service is stopping");
	pl_queue_close(store->queue, on_queue_closed, store);
}

static void on_wake(uv_async_t *async)
{
	struct store *store = async->data;
	take_calls(store);
	flush(store);
	end_if_told(store);
}

static void on_turn(uv_prepare_t *turn)
{
	struct store *store = turn->data;
	pl_lag_turn(&store->lag);
}

static void measure_turns(struct store *store)
{
	pl_lag_init(&store->lag, &store->loop, store->counts, API_LAG);
	uv_prepare_init(&store->loop, &store->turn);
	store->turn.data = store;
	uv_prepare_start(&store->turn, on_turn);
}

static void run(void *arg)
{
	struct store *store = arg;
	uv_run(&store->loop, UV_RUN_DEFAULT);
	uv_mutex_lock(&store->lock);
	store->has_ended = true;
	uv_cond_signal(&store->ended);
	uv_mutex_unlock(&store->lock);
}

static void store_fini(struct store *store)
{
	store_tails_fini(&store->tails);
	uv_cond_destroy(&store->ended);
	uv_mutex_destroy(&store->lock);
	free(store);
}

enum pl_err store_new(const struct pl_settings *settings,
	void (*changed)(void *arg, bool ready, const char *why), void *arg,
	struct pl_metrics *counts, struct store **out, const char **why)
{
	struct store *store = pl_calloc(1, sizeof *store);
	store->changed = changed;
	store->changed_arg = arg;
	store->counts = counts;
	store->relaxed = strcmp(pl_settings_text(settings, "DURABILITY"), "relaxed") == 0;
	store->queue_max = pl_settings_number(settings, "QUEUE_MAX");
	store->time_scale = pl_settings_number(settings, "TIME_SCALE");
	store->keep_data_ms = pl_settings_data_ms(settings);
	store->keep_dead_ms = pl_settings_number(settings, "RETENTION_DEAD") / store->time_scale;
	store->dedupe_window_ms = pl_settings_number(settings, "DEDUPE_WINDOW");
	snprintf(store->why, sizeof store->why, "not connected to Redis yet");
	if (uv_loop_init(&store->loop) != 0 || uv_mutex_init(&store->lock) != 0 ||
		uv_cond_init(&store->ended) != 0 ||
		uv_async_init(&store->loop, &store->wake, on_wake) != 0) {
		*why = "no event loop for Redis";
		free(store);
		return PL_ESYS;
	}
	store->wake.data = store;
	store_tails_init(&store->tails);
	measure_turns(store);
	store_control_init(store);
	const struct pl_queue_options options = {
		.redis_url = pl_settings_text(settings, "REDIS_URL"),
		.host_concurrency = (unsigned)pl_settings_number(settings, "HOST_CONCURRENCY"),
		.host_rate = pl_settings_number(settings, "HOST_RATE"),
		.breaker_ms = PL_BREAKER_MS / store->time_scale,
		.on_ready = on_redis_ready,
		.on_lost = on_redis_lost,
		.on_news = on_news,
		.arg = store,
	};
	enum pl_err err = pl_queue_new(&store->loop, &options, &store->queue, why);
	if (err == PL_OK && uv_thread_create(&store->thread, run, store) != 0) {
		*why = "no thread for Redis";
		err = PL_ESYS;
	}
	if (err != PL_OK) {
		close_handles(store);
		uv_run(&store->loop, UV_RUN_DEFAULT);
		uv_loop_close(&store->loop);
		store_fini(store);
		return err;
	}
	*out = store;
	return PL_OK;
}

static bool stop_thread(struct store *store, uint64_t wait_ms)
{
	uint64_t until_ns = uv_hrtime() + wait_ms * 1000000, now_ns;
	uv_mutex_lock(&store->lock);
	store->stop = true;
	store->changed = NULL;
	uv_async_send(&store->wake);
	while (!store->has_ended && (now_ns = uv_hrtime()) < until_ns)
		(void)uv_cond_timedwait(&store->ended, &store->lock, until_ns - now_ns);
	bool has_ended = store->has_ended;
	uv_mutex_unlock(&store->lock);
	return has_ended;
}

bool store_free(struct store *store, uint64_t wait_ms)
{
	if (store == NULL)
		return true;
	if (!stop_thread(store, wait_ms)) {
		(void)pthread_detach(store->thread);
		return false;
	}
	uv_thread_join(&store->thread);
	int left = uv_loop_close(&store->loop);
	PL_ASSERT(left == 0);
	store_fini(store);
	return true;
}
