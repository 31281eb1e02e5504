/*
 * The options of a request as one line of JSON, for a record's head. Reading them back is
 * request_parse.c's: the same table reads what clients send.
 */
#include <stdio.h>
#include <string.h>

#include "pipeline/clock.h"
#include "pipeline/json.h"
#include "request_private.h"

#define DURATION_SIZE 32

struct writer {
	struct pl_buf *out;
	enum pl_err err; /* the first; nothing is written after it */
	bool open;       /* the object at hand has a member, so it has begun */
};

static void put(struct writer *w, const char *text)
{
	if (w->err == PL_OK)
		w->err = pl_buf_text(w->out, text);
}

static void put_string(struct writer *w, const char *text, size_t len)
{
	if (w->err == PL_OK)
		w->err = pl_json_string(w->out, text, len);
}

static void put_duration(struct writer *w, uint64_t ms)
{
	char text[DURATION_SIZE];
	pl_duration_format(ms, text, sizeof text);
	put_string(w, text, strlen(text));
}

static void member(struct writer *w, const char *name)
{
	put(w, w->open ? ",\"" : "{\"");
	put(w, name);
	put(w, "\":");
	w->open = true;
}

static void text_member(struct writer *w, const char *name, const char *text)
{
	if (text == NULL)
		return;
	member(w, name);
	put_string(w, text, strlen(text));
}

static void duration_member(struct writer *w, const char *name, uint64_t ms)
{
	if (ms == 0)
		return;
	member(w, name);
	put_duration(w, ms);
}

static void headers_member(struct writer *w, const struct pl_stage_options *stage)
{
	if (stage->headers_count == 0)
		return;
	member(w, "headers");
	for (size_t i = 0; i < stage->headers_count; i++) {
		const struct pl_http_header *header = &stage->headers[i];
		put(w, i > 0 ? "," : "{");
		put_string(w, header->name, strlen(header->name));
		put(w, ":");
		put_string(w, header->value, strlen(header->value));
	}
	put(w, "}");
}

static void schedule_member(struct writer *w, const struct pl_schedule *schedule)
{
	if (schedule == NULL)
		return;
	member(w, "schedule");
	for (size_t i = 0; i < schedule->count; i++) {
		put(w, i > 0 ? "," : "[");
		put_duration(w, schedule->delay_ms[i]);
	}
	put(w, "]");
}

static bool is_set(const struct pl_stage_options *stage)
{
	return stage->method != NULL || stage->headers_count > 0 || stage->body != NULL ||
	       stage->timeout_ms > 0 || stage->retries >= 0 || stage->schedule != NULL;
}

static void stage_member(struct writer *w, const char *name, const struct pl_stage_options *stage)
{
	if (!is_set(stage))
		return;
	member(w, name);
	w->open = false;
	text_member(w, "method", stage->method);
	headers_member(w, stage);
	if (stage->body != NULL) {
		member(w, "body");
		put_string(w, stage->body, stage->body_len);
	}
	duration_member(w, "timeout", stage->timeout_ms);
	if (stage->retries >= 0) {
		char number[12];
		snprintf(number, sizeof number, "%d", stage->retries);
		member(w, "retries");
		put(w, number);
	}
	schedule_member(w, stage->schedule);
	put(w, "}");
	w->open = true;
}

static void time_member(struct writer *w, const char *name, uint64_t unix_ms)
{
	char text[PL_TIME_SIZE];
	if (unix_ms == 0)
		return;
	pl_time_format(unix_ms, text);
	text_member(w, name, text);
}

static void labels_member(struct writer *w, const struct pl_request *request)
{
	if (request->labels_count == 0)
		return;
	member(w, "labels");
	for (size_t i = 0; i < request->labels_count; i++) {
		put(w, i > 0 ? "," : "[");
		put_string(w, request->labels[i], strlen(request->labels[i]));
	}
	put(w, "]");
}

enum pl_err pl_request_options_encode(const struct pl_request *request, struct pl_buf *out)
{
	size_t before = out->len;
	struct writer w = { .out = out };
	text_member(&w, "failureCallbackUrl", request->failure_callback_url);
	stage_member(&w, "fetch", &request->stage[PL_STAGE_FETCH]);
	stage_member(&w, "callback", &request->stage[PL_STAGE_DELIVER]);
	if (request->priority != PL_PRIORITY_DEFAULT)
		text_member(&w, "priority", pl_priority_name(request->priority));
	duration_member(&w, "delay", request->delay_ms);
	time_member(&w, "notBefore", request->not_before_ms);
	duration_member(&w, "expiresAfter", request->expires_after_ms);
	text_member(&w, "dedupeKey", request->dedupe_key);
	duration_member(&w, "dedupeWindow", request->dedupe_window_ms);
	if (request->dedupe_mode != PL_DEDUPE_DROP)
		text_member(&w, "dedupeMode", pl_dedupe_mode_name(request->dedupe_mode));
	labels_member(&w, request);
	if (request->meta != NULL) {
		member(&w, "meta");
		put(&w, request->meta);
	}
	if (w.open)
		put(&w, "}");
	if (w.err != PL_OK && out->data != NULL) {
		out->len = before;
		out->data[before] = '\0';
	}
	return w.err;
}
