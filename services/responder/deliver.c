/*
 * One delivery is a chain of steps:
 *
 *   begin -> (memory) -> loading chunk after chunk -> composed -> posting -> settled
 *              ^    '-- data above PAYLOAD_INLINE_MAX: the signing key, then composed as dataUrl
 *              '-- the body needs more than there was taken
 */
#include "deliver.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "payload.h"
#include "pipeline/clock.h"
#include "pipeline/keys.h"
#include "pipeline/log.h"
#include "pipeline/mem.h"
#include "pipeline/secret.h"
#include "pipeline/text.h"
#include "verdict.h"

#define CONNECT_MS  5000
#define ANSWER_MAX  (64 * 1024) /* read of a callback's answer, then closed */
#define HEADERS_OWN 7
#define KEY_SIZE    32

static bool fits_secrets(const char *text, const char **why)
{
	struct pl_secrets secrets;
	return pl_secrets_parse(text, strlen(text), &secrets, why) == PL_OK;
}

const struct pl_setting deliver_settings[] = {
	{ .name = "CALLBACK_TIMEOUT",
		.type = PL_SETTING_DURATION,
		.fallback = "30s",
		.min = 1,
		.max = PL_TIMEOUT_MAX_MS,
		.help = "How long one delivery may take." },
	{ .name = "CALLBACK_SCHEDULE",
		.type = PL_SETTING_SCHEDULE,
		.fallback = "5s,5m,30m,2h,5h,10h,14h,20h,24h",
		.help = "The waits before each further delivery." },
	{ .name = "SIGNING_SECRET",
		.type = PL_SETTING_SECRET,
		.fits = fits_secrets,
		.help = "Signs callbacks (Standard Webhooks): whsec_…, several with commas "
			"between, "
			"the newest first." },
	{ .name = NULL },
};

struct deliverer { /* the responder's state */
	struct pl_worker *worker;
	const char *public_url;
	const char *keys_path;     /* API_KEYS; NULL: none */
	struct pl_keys *keys;      /* NULL: none */
	struct pl_secrets secrets; /* SIGNING_SECRET; none: count is 0 */
	uint64_t data_url_ms; /* a dataUrl is good for as long as data is kept once delivered */
};

struct delivery {
	struct deliverer *deliverer;
	struct pl_job *job;
	struct pl_http_exchange *exchange; /* NULL before it began and after it ended */
	struct pl_memory_wait memory;
	bool unproven; /* as the job, which goes first */
	size_t taken;  /* body memory that is ours */
	bool loading;  /* a call to Redis is under way */
	unsigned next_chunk;
	struct pl_buf data; /* chunks so far */
	struct pl_buf body;
	struct pl_http_header *headers;
	char *signature; /* NULL: nobody signs */
	uint64_t answer_bytes;
	char id[PL_UUID_SIZE + PL_NUMBER_SIZE];
	char timestamp[PL_NUMBER_SIZE], attempt[PL_NUMBER_SIZE], status[PL_NUMBER_SIZE];
};

static void deliver_reload(void *state)
{
	struct deliverer *deliverer = state;
	struct pl_keys *keys;
	const char *why;
	if (deliverer->keys_path == NULL)
		return;
	if (pl_keys_read(deliverer->keys_path, &keys, &why) != PL_OK) {
		pl_log(PL_LOG_ERROR, NULL, "keys_refused", "API_KEYS: %s; the old keys stand", why);
		return;
	}
	pl_keys_free(deliverer->keys);
	deliverer->keys = keys;
}

static void *deliver_open(struct pl_worker *worker, const struct pl_settings *settings)
{
	struct deliverer *deliverer = pl_calloc(1, sizeof *deliverer);
	deliverer->worker = worker;
	deliverer->public_url = pl_settings_text(settings, "PUBLIC_URL");
	deliverer->data_url_ms = pl_settings_data_ms(settings);
	const char *secrets = pl_settings_text(settings, "SIGNING_SECRET"), *why;
	if (secrets != NULL &&
		pl_secrets_parse(secrets, strlen(secrets), &deliverer->secrets, &why) != PL_OK)
		PL_ASSERT(false); /* fits_secrets has seen it */
	deliverer->keys_path = pl_settings_text(settings, "API_KEYS");
	deliver_reload(deliverer);
	return deliverer;
}

static void deliver_close(void *state)
{
	struct deliverer *deliverer = state;
	pl_keys_free(deliverer->keys);
	free(deliverer);
}

static void settle(struct delivery *delivery, const struct pl_verdict *verdict)
{
	struct pl_worker *worker = delivery->deliverer->worker;
	pl_job_settle(delivery->job, verdict);
	pl_worker_memory_unwait(worker, &delivery->memory);
	if (delivery->taken > 0)
		pl_worker_memory_give(worker, delivery->unproven, delivery->taken);
	pl_buf_fini(&delivery->data);
	pl_buf_fini(&delivery->body);
	free(delivery->headers);
	free(delivery->signature);
	free(delivery);
}

static void settle_back(struct delivery *delivery)
{
	settle(delivery, &(struct pl_verdict) { .kind = PL_VERDICT_BACK });
}

/* ---- posting ---- */

/* What a receiver says in its answer is read to a ceiling, for the connection's sake, and dropped.
 */
static enum pl_http_flow on_body(void *arg, const char *data, size_t len)
{
	struct delivery *delivery = arg;
	(void)data;
	delivery->answer_bytes += len;
	return delivery->answer_bytes > ANSWER_MAX ? PL_HTTP_STOP : PL_HTTP_GO;
}

/* A lease that ran out while we connected: by now the request may be another's, or cancelled. */
static bool may_send(void *arg)
{
	const struct delivery *delivery = arg;
	return pl_worker_may_act(delivery->deliverer->worker);
}

static void on_done(void *arg, const struct pl_http_answer *answer)
{
	struct delivery *delivery = arg;
	delivery->exchange = NULL;
	if (answer->fault == PL_FAULT_CANCELLED) { /* cut, or never sent */
		settle_back(delivery);
		return;
	}
	struct pl_verdict verdict = deliver_verdict(answer, pl_clock_wall_ms());
	char message[PL_EVENT_MESSAGE_MAX];
	verdict.message = answer->message;
	if (verdict.fault == PL_FAULT_HTTP_STATUS) {
		snprintf(message, sizeof message, "the callback answered %d", answer->status);
		verdict.message = message;
	} else if (verdict.fault == PL_FAULT_TRUNCATED && answer->fault == PL_FAULT_NONE) {
		verdict.message = "the callback answered before it had read the whole request";
	}
	settle(delivery, &verdict);
}

/* The headers of Standard Webhooks 1.0, and what the provider said. */
static size_t own_headers(struct delivery *delivery, struct pl_http_header *out)
{
	const struct pl_record *record = delivery->job->record;
	unsigned refetch = record->last->refetch;
	size_t count = 0;
	memcpy(delivery->id, record->request.id, PL_UUID_SIZE);
	if (refetch > 0) {
		char *end = delivery->id + PL_UUID_SIZE - 1;
		*end = '-';
		pl_number_write(refetch, end + 1);
	}
	pl_number_write(pl_clock_wall_ms() / 1000, delivery->timestamp);
	pl_number_write(delivery->job->attempt, delivery->attempt);
	pl_signed_write(record->data.status, delivery->status);
	out[count++] = (struct pl_http_header) { "Content-Type", "application/json" };
	out[count++] = (struct pl_http_header) { "webhook-id", delivery->id };
	out[count++] = (struct pl_http_header) { "webhook-timestamp", delivery->timestamp };
	out[count++] = (struct pl_http_header) { "webhook-attempt", delivery->attempt };
	if (record->data.status > 0)
		out[count++] = (struct pl_http_header) { "fetchback-status", delivery->status };
	if (record->data.content_type != NULL && record->data.content_type[0] != '\0')
		out[count++] = (struct pl_http_header) { "fetchback-content-type",
			record->data.content_type };
	return count;
}

/* The owner's own secrets where the keys file has some, else the operator's. */
static void sign(struct delivery *delivery)
{
	const struct deliverer *deliverer = delivery->deliverer;
	const struct pl_secrets *secrets = NULL;
	if (deliverer->keys != NULL)
		secrets = pl_keys_secrets(deliverer->keys, delivery->job->record->request.owner);
	if (secrets == NULL)
		secrets = &deliverer->secrets;
	if (secrets->count == 0)
		return;
	struct pl_buf signature;
	pl_buf_init(&signature, PL_SIGNATURE_MAX);
	enum pl_err err = pl_secrets_sign(secrets, delivery->id, delivery->timestamp,
		delivery->body.data, delivery->body.len, &signature);
	PL_ASSERT(err == PL_OK); /* PL_SIGNATURE_MAX covers the most secrets */
	delivery->signature = pl_buf_take(&signature, NULL);
}

static void post(struct delivery *delivery)
{
	if (!pl_worker_may_act(delivery->deliverer->worker)) { /* it waited for too long */
		settle_back(delivery);
		return;
	}
	const struct pl_request *request = &delivery->job->record->request;
	const struct pl_stage_options *own = &request->stage[PL_STAGE_DELIVER];
	delivery->headers =
		pl_alloc((HEADERS_OWN + own->headers_count) * sizeof *delivery->headers);
	size_t count = own_headers(delivery, delivery->headers);
	sign(delivery);
	if (delivery->signature != NULL)
		delivery->headers[count++] =
			(struct pl_http_header) { "webhook-signature", delivery->signature };
	for (size_t i = 0; i < own->headers_count; i++)
		delivery->headers[count++] = own->headers[i];
	const struct pl_http_options options = {
		.method = "POST",
		.url = request->callback_url,
		.headers = delivery->headers,
		.headers_count = count,
		.body = delivery->body.data,
		.body_len = delivery->body.len,
		.connect_ms = CONNECT_MS,
		.total_ms = pl_job_timeout_ms(delivery->job),
		.body_max = UINT64_MAX, /* on_body stops earlier */
		.raw = true,
		.may_send = may_send,
		.on_body = on_body,
		.on_done = on_done,
		.arg = delivery,
	};
	delivery->exchange = pl_http_start(pl_worker_http(delivery->deliverer->worker), &options);
}

static void settle_gone(struct delivery *delivery)
{
	settle(delivery, &(struct pl_verdict) { .kind = PL_VERDICT_FAIL,
				 .outcome = PL_OUTCOME_NONE,
				 .fault = PL_FAULT_DATA_EXPIRED,
				 .message = "the fetched data is gone" });
}

/* ---- composing ---- */

static void begin_with(struct delivery *delivery, size_t bytes);

static bool has_room(struct delivery *delivery, size_t bytes)
{
	if (bytes > delivery->taken && pl_worker_memory_take(delivery->deliverer->worker,
					       delivery->unproven, bytes - delivery->taken))
		delivery->taken = bytes;
	return bytes <= delivery->taken;
}

/* Gives all back and comes again with what it needs: nobody waits for somebody who waits. */
static void come_again(struct delivery *delivery, size_t bytes)
{
	size_t taken = delivery->taken;
	delivery->taken = 0;
	delivery->next_chunk = 0;
	pl_buf_fini(&delivery->data);
	pl_worker_memory_give(delivery->deliverer->worker, delivery->unproven, taken);
	begin_with(delivery, bytes);
}

static void keep_only(struct delivery *delivery, size_t bytes)
{
	size_t rest = delivery->taken - bytes;
	delivery->taken = bytes;
	pl_worker_memory_give(delivery->deliverer->worker, delivery->unproven, rest);
}

static void compose_and_post(struct delivery *delivery)
{
	const struct pl_record *record = delivery->job->record;
	if (record->data.chunks > 0 && delivery->data.len != record->data.bytes) {
		settle_gone(delivery);
		return;
	}
	const char *bytes =
		record->data.chunks > 0 ? delivery->data.data : record->data.inline_bytes;
	size_t len = payload_length(record, bytes), need = delivery->data.room + len + 1;
	if (!has_room(delivery, need)) {
		come_again(delivery, need);
		return;
	}
	pl_buf_reserve(&delivery->body, len); /* now, else it would double what it needs */
	enum pl_err err = payload_compose(record, bytes, &delivery->body);
	PL_ASSERT(err == PL_OK); /* PAYLOAD_MAX covers the longest */
	pl_buf_fini(&delivery->data);
	keep_only(delivery, len + 1);
	post(delivery);
}

static void compose_url_and_post(struct delivery *delivery, const unsigned char key[KEY_SIZE])
{
	struct deliverer *deliverer = delivery->deliverer;
	struct pl_buf url;
	pl_buf_init(&url, 2 * PL_URL_MAX);
	uint64_t expires_s = (pl_clock_wall_ms() + deliverer->data_url_ms) / 1000 + 1;
	enum pl_err err =
		payload_data_url(deliverer->public_url, delivery->job->id, expires_s, key, &url);
	if (err == PL_OK)
		err = payload_compose_url(delivery->job->record, url.data, &delivery->body);
	pl_buf_fini(&url);
	PL_ASSERT(err == PL_OK);
	post(delivery);
}

/* ---- loading ---- */

static void load_next(struct delivery *delivery);

static void on_chunk(void *arg, enum pl_err err, const char *bytes, size_t len)
{
	struct delivery *delivery = arg;
	delivery->loading = false;
	if (err == PL_OK)
		err = pl_buf_add(&delivery->data, bytes, len);
	if (err == PL_ENOTFOUND || err == PL_ELIMIT)
		settle_gone(delivery);
	else if (err != PL_OK || delivery->job->is_cut)
		settle_back(delivery);
	else
		load_next(delivery);
}

static void load_next(struct delivery *delivery)
{
	const struct pl_data *data = &delivery->job->record->data;
	if (delivery->next_chunk == data->chunks) {
		compose_and_post(delivery);
		return;
	}
	delivery->loading = true;
	pl_queue_chunk_get(pl_worker_queue(delivery->deliverer->worker), data->token,
		delivery->next_chunk++, on_chunk, delivery);
}

static void on_key(void *arg, enum pl_err err, const char *bytes, size_t len)
{
	struct delivery *delivery = arg;
	delivery->loading = false;
	if (err != PL_OK || len != KEY_SIZE || delivery->job->is_cut)
		settle_back(delivery);
	else
		compose_url_and_post(delivery, (const unsigned char *)bytes);
}

static void load(struct delivery *delivery)
{
	const struct pl_data *data = &delivery->job->record->data;
	if (data->bytes <= PAYLOAD_INLINE_MAX) {
		if (data->chunks > 0)
			pl_buf_reserve(&delivery->data, (size_t)data->bytes);
		load_next(delivery);
	} else {
		delivery->loading = true;
		pl_queue_data_key(pl_worker_queue(delivery->deliverer->worker), on_key, delivery);
	}
}

static void on_memory(struct pl_memory_wait *wait)
{
	struct delivery *delivery =
		(struct delivery *)((char *)wait - offsetof(struct delivery, memory));
	delivery->taken = wait->bytes;
	load(delivery);
}

/* What loading and composing take, as far as it is known. In chunks: the data, and a body half as
 * long again, which base64 and most text are within; has_room asks for the rest. */
static size_t memory_for(const struct pl_record *record)
{
	size_t bytes = (size_t)record->data.bytes;
	if (record->data.bytes > PAYLOAD_INLINE_MAX)
		return PL_META_MAX;
	if (record->data.chunks == 0)
		return payload_length(record, record->data.inline_bytes) + 1;
	return bytes + bytes / 2 * 3 + PL_META_MAX;
}

static void begin_with(struct delivery *delivery, size_t bytes)
{
	struct pl_worker *worker = delivery->deliverer->worker;
	if (!pl_worker_memory_take(worker, delivery->unproven, bytes)) {
		pl_worker_memory_wait(
			worker, &delivery->memory, delivery->unproven, bytes, on_memory);
		return;
	}
	delivery->taken = bytes;
	load(delivery);
}

static void deliver_begin(void *state, struct pl_job *job)
{
	struct deliverer *deliverer = state;
	struct delivery *delivery = pl_calloc(1, sizeof *delivery);
	delivery->deliverer = deliverer;
	delivery->job = job;
	delivery->unproven = job->unproven;
	job->own = delivery;
	pl_buf_init(&delivery->data, PAYLOAD_INLINE_MAX);
	pl_buf_init(&delivery->body, PAYLOAD_MAX);
	begin_with(delivery, memory_for(job->record));
}

static void deliver_cut(struct pl_job *job)
{
	struct delivery *delivery = job->own;
	if (delivery->exchange != NULL)
		pl_http_cut(delivery->exchange, PL_FAULT_CANCELLED);
	else if (!delivery->loading)
		settle_back(delivery); /* it waits for memory */
}

const struct pl_work deliver_work = {
	.stage = PL_STAGE_DELIVER,
	.letter = 'r',
	.done = "delivered",
	.schedule = "CALLBACK_SCHEDULE",
	.timeout = "CALLBACK_TIMEOUT",
	.open = deliver_open,
	.close = deliver_close,
	.reload = deliver_reload,
	.begin = deliver_begin,
	.cut = deliver_cut,
};
