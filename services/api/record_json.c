#include "record_json.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

#include "json_writer.h"
#include "pipeline/text.h"
#include "pipeline/url.h"

#define SHA256_BYTES ((RECORD_SHA256_SIZE - 1) / 2)
#define STATUS_SIZE  32

static void write_url(struct json_writer *w, const char *key, const char *url)
{
	struct pl_buf shown;
	pl_buf_init(&shown, PL_URL_MAX + sizeof("?…"));
	if (w->err == PL_OK)
		w->err = pl_url_show(url, strlen(url), &shown);
	json_text(w, key, shown.data != NULL ? shown.data : "");
	pl_buf_fini(&shown);
}

static void write_error(struct json_writer *w, const struct pl_event *event)
{
	json_open(w, "error", '{');
	json_text(w, "code", pl_fault_name(event->fault));
	json_text(w, "message", event->message);
	json_close(w, '}');
}

static void write_attempt(struct json_writer *w, const struct pl_event *event)
{
	json_open(w, NULL, '{');
	if (event->stage >= 0)
		json_text(w, "stage", pl_stage_name((enum pl_stage)event->stage));
	json_number(w, "n", event->attempt);
	json_time(w, "startedAt", event->time_ms > event->ms ? event->time_ms - event->ms : 0);
	json_number(w, "ms", event->ms);
	if (event->status > 0)
		json_number(w, "status", (uint64_t)event->status);
	if (event->fault != PL_FAULT_NONE)
		write_error(w, event);
	json_close(w, '}');
}

static void write_attempts(struct json_writer *w, const struct pl_record *record)
{
	size_t made = 0;
	for (size_t i = 0; i < record->events_count; i++)
		made += record->events[i].attempt > 0;
	size_t skip = made > PL_ATTEMPTS_KEPT ? made - PL_ATTEMPTS_KEPT : 0;
	json_open(w, "attempts", '[');
	for (size_t i = 0; i < record->events_count; i++) {
		if (record->events[i].attempt == 0)
			continue;
		if (skip > 0)
			skip--;
		else
			write_attempt(w, &record->events[i]);
	}
	json_close(w, ']');
}

static void write_labels(struct json_writer *w, const struct pl_request *request)
{
	if (request->labels_count == 0)
		return;
	json_open(w, "labels", '[');
	for (size_t i = 0; i < request->labels_count; i++)
		json_text(w, NULL, request->labels[i]);
	json_close(w, ']');
}

static void write_waiting(struct json_writer *w, const struct store_waiting *waiting)
{
	if (waiting->reason == NULL || waiting->reason[0] == '\0')
		return;
	json_open(w, "waiting", '{');
	json_text(w, "reason", waiting->reason);
	if (waiting->until_ms > 0)
		json_time(w, "until", waiting->until_ms);
	if (waiting->ahead >= 0)
		json_number(w, "ahead", (uint64_t)waiting->ahead);
	json_close(w, '}');
}

void record_sha256(const struct pl_data *data, char hex[RECORD_SHA256_SIZE])
{
	if (data->chunks > 0) {
		(void)snprintf(hex, RECORD_SHA256_SIZE, "%s", data->sha256);
		return;
	}
	unsigned char digest[SHA256_BYTES];
	PL_ASSERT(
		EVP_Digest(data->inline_bytes, data->bytes, digest, NULL, EVP_sha256(), NULL) == 1);
	pl_hex(digest, sizeof(digest), hex);
}

static void write_data(struct json_writer *w, const struct pl_data *data, uint64_t expires_ms)
{
	if (data->kind == PL_DATA_NONE)
		return;
	json_open(w, "data", '{');
	json_number(w, "bytes", data->bytes);
	if (data->content_type[0] != '\0')
		json_text(w, "contentType", data->content_type);
	char sha256[RECORD_SHA256_SIZE];
	record_sha256(data, sha256);
	json_text(w, "sha256", sha256);
	if (expires_ms > 0)
		json_time(w, "expiresAt", expires_ms);
	json_close(w, '}');
}

/* Why it ended without delivery: the last event that names a fault. */
static void write_end_error(struct json_writer *w, const struct store_found *found)
{
	const struct pl_record *record = found->record;
	if (found->state != PL_STATE_FAILED && found->state != PL_STATE_CANCELLED)
		return;
	for (size_t i = record->events_count; i-- > 0;) {
		if (record->events[i].fault == PL_FAULT_NONE)
			continue;
		write_error(w, &record->events[i]);
		return;
	}
}

/* A callback that was cut: the queue's word, at the beginning of the event's message. */
static bool may_have_arrived(const struct pl_record *record)
{
	static const char word[] = "mayHaveArrived";
	const struct pl_event *last = record->last;
	return last->state == PL_STATE_CANCELLED && last->stage == PL_STAGE_DELIVER &&
	       strncmp(last->message, word, sizeof(word) - 1) == 0;
}

enum pl_err record_json(const struct store_found *found, struct pl_buf *out)
{
	const struct pl_record *record = found->record;
	const struct pl_request *request = &record->request;
	struct json_writer w = { .out = out };
	json_open(&w, NULL, '{');
	json_text(&w, "requestId", request->id);
	json_text(&w, "state", pl_state_name(found->state));
	json_bool(&w, "paused", record->last->paused);
	if (found->cancelling)
		json_bool(&w, "cancelling", true);
	if (may_have_arrived(record))
		json_bool(&w, "mayHaveArrived", true);
	write_url(&w, "provider", request->provider);
	write_url(&w, "callbackUrl", request->callback_url);
	json_text(&w, "priority", pl_priority_name(request->priority));
	write_labels(&w, request);
	if (request->meta != NULL)
		json_raw(&w, "meta", request->meta);
	if (request->owner != NULL && request->owner[0] != '\0')
		json_text(&w, "owner", request->owner);
	json_time(&w, "createdAt", record->created_ms);
	json_time(&w, "updatedAt", record->last->time_ms);
	if (pl_state_is_final(found->state))
		json_time(&w, "finishedAt", record->last->time_ms);
	write_attempts(&w, record);
	write_waiting(&w, &found->waiting);
	write_data(&w, &record->data, found->data_expires_ms);
	write_end_error(&w, found);
	if (request->parent != NULL && request->parent[0] != '\0')
		json_text(&w, "parent", request->parent);
	json_close(&w, '}');
	return w.err;
}

static void write_reason(struct json_writer *w, const struct pl_event *event)
{
	if (event->message != NULL && event->message[0] != '\0') {
		json_text(w, "reason", event->message);
	} else if (event->fault != PL_FAULT_NONE) {
		json_text(w, "reason", pl_fault_name(event->fault));
	} else if (event->status > 0) {
		char text[STATUS_SIZE];
		(void)snprintf(text, sizeof(text), "answered %d", event->status);
		json_text(w, "reason", text);
	}
}

enum pl_err record_json_event(
	const struct pl_record *record, const struct pl_event *event, struct pl_buf *out)
{
	struct json_writer w = { .out = out, .start = out->len };
	json_open(&w, NULL, '{');
	json_number(&w, "n", event->n);
	json_time(&w, "time", event->time_ms);
	json_text(&w, "level", pl_log_level_name(event->level));
	json_text(&w, "service", pl_service_letter_name(event->service));
	json_text(&w, "requestId", record->request.id);
	json_text(&w, "event", event->name);
	if (event->stage >= 0)
		json_text(&w, "stage", pl_stage_name((enum pl_stage)event->stage));
	if (event->attempt > 0)
		json_number(&w, "attempt", event->attempt);
	write_reason(&w, event);
	json_close(&w, '}');
	return w.err;
}

enum pl_err record_json_log(const struct pl_record *record, struct pl_buf *out)
{
	enum pl_err err = PL_OK;
	for (size_t i = 0; err == PL_OK && i < record->events_count; i++) {
		err = record_json_event(record, &record->events[i], out);
		if (err == PL_OK)
			err = pl_buf_text(out, "\n");
	}
	return err;
}
