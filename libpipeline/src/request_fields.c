/*
 * The fields of a request: one function each says what it may hold, one table says which there
 * are. Clients and records are read by the same.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "pipeline/clock.h"
#include "pipeline/mem.h"
#include "request_reader.h"

static void take_provider(struct reader *r, json_t *value)
{
	r->request->provider = reader_url(r, value, r->request->fetch_lane);
}

static void take_callback_url(struct reader *r, json_t *value)
{
	r->request->callback_url = reader_url(r, value, r->request->deliver_lane);
}

static void take_failure_callback_url(struct reader *r, json_t *value)
{
	r->request->failure_callback_url = reader_url(r, value, NULL);
}

/* --- what one stage may be told --- */

static void take_method(struct reader *r, json_t *value)
{
	static const char *const methods[] = { "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE",
		"OPTIONS" };
	int i = reader_choice(r, value, methods, sizeof methods / sizeof *methods,
		"GET, HEAD, POST, PUT, PATCH, DELETE or OPTIONS");
	if (i >= 0)
		r->stage->method = methods[i];
}

static void take_body(struct reader *r, json_t *value)
{
	r->stage->body = reader_text(r, value, PL_FETCH_BODY_MAX);
	r->stage->body_len = r->stage->body != NULL ? json_string_length(value) : 0;
}

static void take_timeout(struct reader *r, json_t *value)
{
	(void)reader_duration(r, value, 1, PL_TIMEOUT_MAX_MS, &r->stage->timeout_ms);
}

static void take_retries(struct reader *r, json_t *value)
{
	double retries = json_is_number(value) ? json_number_value(value) : -1.0;
	if (retries < 0.0 || retries > PL_REQUEST_RETRIES_MAX || retries != floor(retries))
		FAULT(r, "must be a whole number from 0 to %d", PL_REQUEST_RETRIES_MAX);
	else
		r->stage->retries = (int)retries;
}

static void take_schedule(struct reader *r, json_t *value)
{
	size_t count = json_array_size(value);
	if (!json_is_array(value) || count == 0 || count > PL_SCHEDULE_MAX) {
		FAULT(r, "must be an array of 1 to %d durations", PL_SCHEDULE_MAX);
		return;
	}
	struct pl_schedule *schedule = pl_alloc(sizeof *schedule);
	schedule->count = count;
	for (size_t i = 0; i < count; i++) {
		size_t before = reader_enter_index(r, i);
		(void)reader_duration(
			r, json_array_get(value, i), 0, PL_DELAY_MAX_MS, &schedule->delay_ms[i]);
		reader_leave(r, before);
	}
	r->stage->schedule = schedule;
}

static bool is_token(const char *name)
{
	static const char *const others = "!#$%&'*+-.^_`|~";
	for (const char *c = name; *c != '\0'; c++) {
		bool letter = (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z');
		bool digit = *c >= '0' && *c <= '9';
		if (!letter && !digit && strchr(others, *c) == NULL)
			return false;
	}
	return name[0] != '\0';
}

/* NULL ends names; a '-' at the end of one means all that begin so. */
static bool is_one_of(const char *name, const char *const *names)
{
	for (; *names != NULL; names++) {
		size_t len = strlen(*names);
		bool family = (*names)[len - 1] == '-';
		if (strncasecmp(name, *names, len) == 0 && (family || name[len] == '\0'))
			return true;
	}
	return false;
}

/* Names that belong to the connection, to the framing or to us. */
static bool is_ours(const char *name, bool callback)
{
	static const char *const always[] = { "Connection", "Keep-Alive", "Proxy-", "TE", "Trailer",
		"Transfer-Encoding", "Upgrade", "Host", "Content-Length", "Expect", "Webhook-",
		NULL };
	static const char *const with_callback[] = { "Content-Type", "Fetchback-", NULL };
	return is_one_of(name, always) || (callback && is_one_of(name, with_callback));
}

static bool is_field_value(const char *value)
{
	for (const char *c = value; *c != '\0'; c++)
		if (((unsigned char)*c < 0x20 && *c != '\t') || *c == 0x7f)
			return false;
	return true;
}

static void read_header(struct reader *r, const char *name, const json_t *value)
{
	struct pl_stage_options *stage = r->stage;
	bool callback = stage == &r->request->stage[PL_STAGE_DELIVER];
	const char *text = reader_text(r, value, PL_HEADERS_SIZE_MAX);
	if (!is_token(name))
		FAULT(r, "is no header name");
	else if (r->rules->now_ms > 0 && is_ours(name, callback)) /* a record stays readable */
		FAULT(r, "is a header that can't be set");
	for (size_t i = 0; i < stage->headers_count; i++)
		if (strcasecmp(stage->headers[i].name, name) == 0)
			FAULT(r, "is given twice, as %s", stage->headers[i].name);
	if (text != NULL && !is_field_value(text))
		FAULT(r, "holds a control character");
	/* Kept even when faulty, so that its double is seen. */
	stage->headers[stage->headers_count++] =
		(struct pl_http_header) { .name = name, .value = text };
}

static void take_headers(struct reader *r, json_t *value)
{
	const char *name;
	json_t *text;
	if (!json_is_object(value)) {
		FAULT(r, "must be an object of strings");
		return;
	}
	size_t count = json_object_size(value);
	if (count > PL_REQUEST_HEADERS_MAX) {
		FAULT(r, "holds more than %d headers", PL_REQUEST_HEADERS_MAX);
		return;
	}
	if (count == 0)
		return;
	size_t size = 0;
	r->stage->headers = pl_calloc(count, sizeof *r->stage->headers);
	json_object_foreach(value, name, text)
	{
		size_t before = reader_enter(r, name);
		read_header(r, name, text);
		reader_leave(r, before);
		size += strlen(name) + json_string_length(text);
	}
	if (size > PL_HEADERS_SIZE_MAX)
		FAULT(r, "holds more than %d bytes", PL_HEADERS_SIZE_MAX);
}

static void check_stage(struct reader *r)
{
	const struct pl_stage_options *stage = r->stage;
	bool bodiless = stage->method == NULL || strcmp(stage->method, "GET") == 0 ||
			strcmp(stage->method, "HEAD") == 0;
	if (stage->body == NULL || !bodiless)
		return;
	size_t before = reader_enter(r, "body");
	FAULT(r, "needs a method other than GET and HEAD");
	reader_leave(r, before);
}

static const struct field fetch_fields[] = {
	{ "method", take_method },
	{ "headers", take_headers },
	{ "body", take_body },
	{ "timeout", take_timeout },
	{ "retries", take_retries },
	{ "schedule", take_schedule },
	{ 0 },
};

static const struct field callback_fields[] = {
	{ "headers", take_headers },
	{ "timeout", take_timeout },
	{ "retries", take_retries },
	{ "schedule", take_schedule },
	{ 0 },
};

static void take_fetch(struct reader *r, json_t *value)
{
	r->stage = &r->request->stage[PL_STAGE_FETCH];
	reader_fields(r, value, fetch_fields);
	check_stage(r);
}

static void take_callback(struct reader *r, json_t *value)
{
	r->stage = &r->request->stage[PL_STAGE_DELIVER];
	reader_fields(r, value, callback_fields);
}

/* --- the rest --- */

static void take_priority(struct reader *r, json_t *value)
{
	static const char *const names[PL_PRIORITIES] = { "high", "default", "low" };
	int i = reader_choice(r, value, names, PL_PRIORITIES, "high, default or low");
	if (i >= 0)
		r->request->priority = (enum pl_priority)i;
}

static void take_delay(struct reader *r, json_t *value)
{
	(void)reader_duration(r, value, 0, PL_DELAY_MAX_MS, &r->request->delay_ms);
}

static void take_not_before(struct reader *r, json_t *value)
{
	uint64_t at = 0;
	if (!json_is_string(value) ||
		pl_time_parse(json_string_value(value), json_string_length(value), &at) != PL_OK)
		FAULT(r, "must be a time like \"2026-12-01T08:00:00Z\"");
	else if (r->rules->now_ms > 0 && at > r->rules->now_ms + PL_DELAY_MAX_MS)
		FAULT(r, "is more than 365 days ahead");
	else
		r->request->not_before_ms = at;
}

static void take_expires_after(struct reader *r, json_t *value)
{
	(void)reader_duration(r, value, 1, PL_DELAY_MAX_MS, &r->request->expires_after_ms);
}

static void take_dedupe_key(struct reader *r, json_t *value)
{
	r->request->dedupe_key = reader_word(r, value, PL_KEY_MAX);
}

static void take_dedupe_window(struct reader *r, json_t *value)
{
	(void)reader_duration(r, value, 1, PL_DELAY_MAX_MS, &r->request->dedupe_window_ms);
}

static const char *const dedupe_modes[] = { "drop", "join", "latest" };

const char *pl_stage_name(enum pl_stage stage)
{
	return stage == PL_STAGE_FETCH ? "fetch" : "deliver";
}

const char *pl_priority_name(enum pl_priority priority)
{
	static const char *const names[] = { "high", "default", "low" };
	return names[priority];
}

const char *pl_dedupe_mode_name(enum pl_dedupe_mode mode)
{
	return dedupe_modes[mode];
}

static void take_dedupe_mode(struct reader *r, json_t *value)
{
	int i = reader_choice(r, value, dedupe_modes, sizeof dedupe_modes / sizeof *dedupe_modes,
		"drop, join or latest");
	if (i >= 0)
		r->request->dedupe_mode = (enum pl_dedupe_mode)i;
}

static void read_label(struct reader *r, const json_t *value)
{
	struct pl_request *request = r->request;
	const char *label = reader_word(r, value, PL_LABEL_SIZE_MAX);
	if (label == NULL)
		return;
	for (size_t i = 0; i < request->labels_count; i++)
		if (strcmp(request->labels[i], label) == 0) {
			FAULT(r, "is given twice");
			return;
		}
	request->labels[request->labels_count++] = label;
}

static void take_labels(struct reader *r, json_t *value)
{
	if (!json_is_array(value) || json_array_size(value) > PL_LABELS_MAX) {
		FAULT(r, "must be an array of at most %d strings", PL_LABELS_MAX);
		return;
	}
	for (size_t i = 0; i < json_array_size(value); i++) {
		size_t before = reader_enter_index(r, i);
		read_label(r, json_array_get(value, i));
		reader_leave(r, before);
	}
}

/* Depth is at most PL_REQUEST_DEPTH_MAX: pl_request_load saw to it. */
static bool holds_nul(json_t *value)
{
	const char *name;
	json_t *inner;
	size_t i;
	if (json_is_string(value))
		return strlen(json_string_value(value)) != json_string_length(value);
	json_object_foreach(value, name, inner) if (holds_nul(inner)) return true;
	json_array_foreach(value, i, inner) if (holds_nul(inner)) return true;
	return false;
}

/* JSON without the white space between its tokens; the number of bytes written. */
static size_t compact(const char *json, size_t len, char *out)
{
	size_t count = 0;
	bool in_string = false;
	for (size_t i = 0; i < len; i++) {
		char c = json[i];
		if (!in_string && (c == ' ' || c == '\t' || c == '\r' || c == '\n'))
			continue;
		out[count++] = c;
		if (c == '"')
			in_string = !in_string;
		else if (c == '\\' && in_string && i + 1 < len)
			out[count++] = json[++i];
	}
	return count;
}

/* Kept as it was written: a number read and written again would not be the same text. */
static void take_meta(struct reader *r, json_t *value)
{
	const struct document *document = r->document;
	if (document->meta == NULL) {
		FAULT(r, "must have its name written without escapes");
		return;
	}
	if (holds_nul(value)) {
		FAULT(r, "holds a NUL");
		return;
	}
	char *text = pl_alloc(document->meta_len);
	size_t len = compact(document->meta, document->meta_len, text);
	if (len > PL_META_MAX) {
		FAULT(r, "is longer than %d bytes", PL_META_MAX);
	} else {
		json_t *kept = json_stringn_nocheck(text, len);
		PL_ASSERT(json_array_append_new(r->keeper, kept) == 0);
		r->request->meta = json_string_value(kept);
	}
	free(text);
}

const struct field request_fields[] = {
	{ "provider", take_provider },
	{ "callbackUrl", take_callback_url },
	{ "failureCallbackUrl", take_failure_callback_url },
	{ "fetch", take_fetch },
	{ "callback", take_callback },
	{ "priority", take_priority },
	{ "delay", take_delay },
	{ "notBefore", take_not_before },
	{ "expiresAfter", take_expires_after },
	{ "dedupeKey", take_dedupe_key },
	{ "dedupeWindow", take_dedupe_window },
	{ "dedupeMode", take_dedupe_mode },
	{ "labels", take_labels },
	{ "meta", take_meta },
	{ 0 },
};

static void require(struct reader *r, const json_t *object, const char *name)
{
	if (json_object_get(object, name) != NULL)
		return;
	size_t before = reader_enter(r, name);
	FAULT(r, "is required");
	reader_leave(r, before);
}

void request_require_urls(struct reader *r, const json_t *object)
{
	require(r, object, "provider");
	require(r, object, "callbackUrl");
}

/* A member that only makes sense beside another, or only without it. */
static void check_pair(struct reader *r, const json_t *object, const char *name, const char *other,
	bool together, const char *sentence)
{
	if (json_object_get(object, name) == NULL ||
		(json_object_get(object, other) != NULL) == together)
		return;
	size_t before = reader_enter(r, name);
	FAULT(r, "%s", sentence);
	reader_leave(r, before);
}

void request_check_members(struct reader *r, const json_t *object)
{
	check_pair(r, object, "notBefore", "delay", false, "can't be given together with delay");
	check_pair(r, object, "dedupeWindow", "dedupeKey", true, "needs a dedupeKey");
	check_pair(r, object, "dedupeMode", "dedupeKey", true, "needs a dedupeKey");
}
