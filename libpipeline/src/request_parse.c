/*
 * A client's JSON becomes a request: one table says which fields there are, one function a field
 * says what it may hold. Every fault is named, so reading goes on after each.
 */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pipeline/clock.h"
#include "pipeline/mem.h"
#include "request_private.h"

#define POINTER_SIZE sizeof((struct pl_faults *)NULL)->list[0].pointer

/* A client's text, read. Numbers are real ones throughout, so that no integer is too big. */
struct document {
	json_t *value;
	const char *meta; /* the value of the outermost member "meta", as written; or NULL */
	size_t meta_len;
};

struct reader {
	const struct pl_request_rules *rules;
	struct pl_request *request;
	struct pl_stage_options *stage; /* whose members are being read */
	struct pl_faults *faults;
	const struct document *document;
	json_t *keeper;             /* owns what the request borrows */
	bool blocked;               /* an address was refused */
	bool faulty;                /* something else was */
	char pointer[POINTER_SIZE]; /* to the value being read; cut to its size */
	size_t pointer_len;
};

typedef void (*take_member)(struct reader *reader, json_t *value);

struct field {
	const char *name;
	bool offered; /* false: unknown to clients until the product acts on it */
	take_member take;
};

#define FAULT(reader, ...)                                                       \
	do {                                                                     \
		(reader)->faulty = true;                                         \
		pl_faults_add((reader)->faults, (reader)->pointer, __VA_ARGS__); \
	} while (0)

static void point_byte(struct reader *r, char byte)
{
	if (r->pointer_len + 1 < sizeof r->pointer)
		r->pointer[r->pointer_len++] = byte;
}

/* One step down, RFC 6901 escapes; the result takes it back. */
static size_t point_at(struct reader *r, const char *name)
{
	size_t before = r->pointer_len;
	point_byte(r, '/');
	for (; *name != '\0'; name++) {
		if (*name == '~' || *name == '/') {
			point_byte(r, '~');
			point_byte(r, *name == '~' ? '0' : '1');
		} else {
			point_byte(r, *name);
		}
	}
	r->pointer[r->pointer_len] = '\0';
	return before;
}

static size_t point_at_index(struct reader *r, size_t index)
{
	char text[24];
	snprintf(text, sizeof text, "%zu", index);
	return point_at(r, text);
}

static void point_back(struct reader *r, size_t before)
{
	r->pointer_len = before;
	r->pointer[before] = '\0';
}

static void read_fields(struct reader *r, json_t *object, const struct field *fields)
{
	const char *name;
	json_t *value;
	if (!json_is_object(object)) {
		FAULT(r, "must be an object");
		return;
	}
	json_object_foreach(object, name, value)
	{
		const struct field *field = fields;
		while (field->name != NULL && strcmp(field->name, name) != 0)
			field++;
		size_t before = point_at(r, name);
		if (field->name == NULL || (!field->offered && !r->rules->every_field))
			FAULT(r, "is not a known field");
		else
			field->take(r, value);
		point_back(r, before);
	}
}

/* The text of a string of at most max bytes without NUL; NULL after a fault. */
static const char *text_of(struct reader *r, const json_t *value, size_t max)
{
	if (!json_is_string(value)) {
		FAULT(r, "must be a string");
		return NULL;
	}
	const char *text = json_string_value(value);
	size_t len = json_string_length(value);
	if (len > max) {
		FAULT(r, "is longer than %zu bytes", max);
		return NULL;
	}
	if (strlen(text) != len) {
		FAULT(r, "holds a NUL");
		return NULL;
	}
	return text;
}

/* A word for indexes and tables: neither empty nor with control characters. */
static const char *word_of(struct reader *r, const json_t *value, size_t max)
{
	const char *text = text_of(r, value, max);
	if (text == NULL)
		return NULL;
	if (text[0] == '\0') {
		FAULT(r, "is empty");
		return NULL;
	}
	for (const char *c = text; *c != '\0'; c++)
		if ((unsigned char)*c < 0x20 || *c == 0x7f) {
			FAULT(r, "holds a control character");
			return NULL;
		}
	return text;
}

/* One of the choices; its place among them, or -1 after a fault. */
static int choice_of(struct reader *r, const json_t *value, const char *const *choices,
	size_t count, const char *sentence)
{
	const char *text = json_string_value(value);
	for (size_t i = 0; text != NULL && i < count; i++)
		if (strcmp(text, choices[i]) == 0 && strlen(text) == json_string_length(value))
			return (int)i;
	FAULT(r, "must be %s", sentence);
	return -1;
}

/* Rounded up, as pl_duration_parse does: what is more than nothing never becomes nothing. */
static enum pl_err seconds_to_ms(const json_t *value, uint64_t max, uint64_t *ms)
{
	double exact = ceil(json_number_value(value) * 1000.0);
	if (exact < 0.0)
		return PL_EINVAL;
	if (exact > (double)max)
		return PL_ELIMIT;
	*ms = (uint64_t)exact;
	return PL_OK;
}

/* From min to max milliseconds; false after a fault. */
static bool duration_of(
	struct reader *r, const json_t *value, uint64_t min, uint64_t max, uint64_t *ms)
{
	char limit[32];
	uint64_t read = 0;
	enum pl_err err = PL_EINVAL;
	if (json_is_number(value))
		err = seconds_to_ms(value, max, &read);
	else if (json_is_string(value))
		err = pl_duration_parse(json_string_value(value), json_string_length(value), &read);
	if (err == PL_OK && read >= min && read <= max) {
		*ms = read;
		return true;
	}
	pl_duration_format(max, limit, sizeof limit);
	if (err == PL_EINVAL)
		FAULT(r, "must be a duration like \"250ms\", \"10s\" or \"1h30m\", or a number of "
			 "seconds");
	else if (err == PL_OK && read < min)
		FAULT(r, "must be more than 0");
	else
		FAULT(r, "is longer than %s", limit);
	return false;
}

/* --- URLs --- */

/* lane may be NULL. */
static const char *url_of(struct reader *r, const json_t *value, char lane[PL_LANE_MAX])
{
	if (!json_is_string(value)) {
		FAULT(r, "must be a string");
		return NULL;
	}
	struct pl_url *url;
	struct sockaddr_storage address;
	const char *why;
	if (pl_url_parse(json_string_value(value), json_string_length(value), &url, &why) !=
		PL_OK) {
		FAULT(r, "%s", why);
		return NULL;
	}
	if (r->rules->policy != NULL && pl_url_literal(url, &address) &&
		pl_netpolicy_judge(
			r->rules->policy, (const struct sockaddr *)&address, NULL, NULL) != PL_OK) {
		r->blocked = true;
		pl_faults_add(r->faults, r->pointer,
			"address_blocked: this address is not open to requests");
	}
	if (lane != NULL)
		memcpy(lane, pl_url_lane(url), strlen(pl_url_lane(url)) + 1);
	pl_url_free(url);
	return json_string_value(value);
}

static void take_provider(struct reader *r, json_t *value)
{
	r->request->provider = url_of(r, value, r->request->fetch_lane);
}

static void take_callback_url(struct reader *r, json_t *value)
{
	r->request->callback_url = url_of(r, value, r->request->deliver_lane);
}

static void take_failure_callback_url(struct reader *r, json_t *value)
{
	r->request->failure_callback_url = url_of(r, value, NULL);
}

/* --- what one stage may be told --- */

static void take_method(struct reader *r, json_t *value)
{
	static const char *const methods[] = { "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE",
		"OPTIONS" };
	int i = choice_of(r, value, methods, sizeof methods / sizeof *methods,
		"GET, HEAD, POST, PUT, PATCH, DELETE or OPTIONS");
	if (i >= 0)
		r->stage->method = methods[i];
}

static void take_body(struct reader *r, json_t *value)
{
	r->stage->body = text_of(r, value, PL_FETCH_BODY_MAX);
	r->stage->body_len = r->stage->body != NULL ? json_string_length(value) : 0;
}

static void take_timeout(struct reader *r, json_t *value)
{
	(void)duration_of(r, value, 1, PL_TIMEOUT_MAX_MS, &r->stage->timeout_ms);
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
		size_t before = point_at_index(r, i);
		(void)duration_of(
			r, json_array_get(value, i), 0, PL_DELAY_MAX_MS, &schedule->delay_ms[i]);
		point_back(r, before);
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

/* Names that belong to the connection, to the framing or to us; a '-' at the end means all that
 * begin so. */
static bool is_ours(const char *name)
{
	static const char *const names[] = { "Connection", "Keep-Alive", "Proxy-", "TE", "Trailer",
		"Transfer-Encoding", "Upgrade", "Host", "Content-Length", "Webhook-",
		"Fetchback-" };
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		size_t len = strlen(names[i]);
		bool family = names[i][len - 1] == '-';
		if (strncasecmp(name, names[i], len) == 0 && (family || name[len] == '\0'))
			return true;
	}
	return false;
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
	const char *text = text_of(r, value, PL_HEADERS_SIZE_MAX);
	if (!is_token(name))
		FAULT(r, "is no header name");
	else if (is_ours(name) || (callback && strcasecmp(name, "Content-Type") == 0))
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
		size_t before = point_at(r, name);
		read_header(r, name, text);
		point_back(r, before);
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
	size_t before = point_at(r, "body");
	FAULT(r, "needs a method other than GET and HEAD");
	point_back(r, before);
}

static const struct field fetch_fields[] = {
	{ "method", true, take_method },
	{ "headers", true, take_headers },
	{ "body", true, take_body },
	{ "timeout", true, take_timeout },
	{ "retries", true, take_retries },
	{ "schedule", true, take_schedule },
	{ 0 },
};

static const struct field callback_fields[] = {
	{ "headers", true, take_headers },
	{ "timeout", true, take_timeout },
	{ "retries", true, take_retries },
	{ "schedule", true, take_schedule },
	{ 0 },
};

static void take_fetch(struct reader *r, json_t *value)
{
	r->stage = &r->request->stage[PL_STAGE_FETCH];
	read_fields(r, value, fetch_fields);
	check_stage(r);
}

static void take_callback(struct reader *r, json_t *value)
{
	r->stage = &r->request->stage[PL_STAGE_DELIVER];
	read_fields(r, value, callback_fields);
}

/* --- the rest --- */

static void take_priority(struct reader *r, json_t *value)
{
	static const char *const names[PL_PRIORITIES] = { "high", "default", "low" };
	int i = choice_of(r, value, names, PL_PRIORITIES, "high, default or low");
	if (i >= 0)
		r->request->priority = (enum pl_priority)i;
}

static void take_delay(struct reader *r, json_t *value)
{
	(void)duration_of(r, value, 0, PL_DELAY_MAX_MS, &r->request->delay_ms);
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
	(void)duration_of(r, value, 1, PL_DELAY_MAX_MS, &r->request->expires_after_ms);
}

static void take_dedupe_key(struct reader *r, json_t *value)
{
	r->request->dedupe_key = word_of(r, value, PL_KEY_MAX);
}

static void take_dedupe_window(struct reader *r, json_t *value)
{
	(void)duration_of(r, value, 1, PL_DELAY_MAX_MS, &r->request->dedupe_window_ms);
}

static const char *const dedupe_modes[] = { "drop", "join", "latest" };

const char *pl_dedupe_mode_name(enum pl_dedupe_mode mode)
{
	return dedupe_modes[mode];
}

static void take_dedupe_mode(struct reader *r, json_t *value)
{
	int i = choice_of(r, value, dedupe_modes, sizeof dedupe_modes / sizeof *dedupe_modes,
		"drop, join or latest");
	if (i >= 0)
		r->request->dedupe_mode = (enum pl_dedupe_mode)i;
}

static void read_label(struct reader *r, const json_t *value)
{
	struct pl_request *request = r->request;
	const char *label = word_of(r, value, PL_LABEL_SIZE_MAX);
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
		size_t before = point_at_index(r, i);
		read_label(r, json_array_get(value, i));
		point_back(r, before);
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

/* The one place that says what clients are offered. */
static const struct field request_fields[] = {
	{ "provider", true, take_provider },
	{ "callbackUrl", true, take_callback_url },
	{ "failureCallbackUrl", false, take_failure_callback_url },
	{ "fetch", true, take_fetch },
	{ "callback", true, take_callback },
	{ "priority", true, take_priority },
	{ "delay", true, take_delay },
	{ "notBefore", true, take_not_before },
	{ "expiresAfter", false, take_expires_after },
	{ "dedupeKey", false, take_dedupe_key },
	{ "dedupeWindow", false, take_dedupe_window },
	{ "dedupeMode", false, take_dedupe_mode },
	{ "labels", true, take_labels },
	{ "meta", true, take_meta },
	{ 0 },
};

static void require(struct reader *r, const json_t *object, const char *name)
{
	if (json_object_get(object, name) != NULL)
		return;
	size_t before = point_at(r, name);
	FAULT(r, "is required");
	point_back(r, before);
}

/* A member that only makes sense beside another, or only without it. */
static void check_pair(struct reader *r, const json_t *object, const char *name, const char *other,
	bool together, const char *sentence)
{
	if (json_object_get(object, name) == NULL ||
		(json_object_get(object, other) != NULL) == together)
		return;
	size_t before = point_at(r, name);
	FAULT(r, "%s", sentence);
	point_back(r, before);
}

static void check_members(struct reader *r, const json_t *object)
{
	check_pair(r, object, "notBefore", "delay", false, "can't be given together with delay");
	if (r->rules->every_field) {
		check_pair(r, object, "dedupeWindow", "dedupeKey", true, "needs a dedupeKey");
		check_pair(r, object, "dedupeMode", "dedupeKey", true, "needs a dedupeKey");
	}
}

static void start_reading(struct reader *r, const struct document *document, const char *pointer,
	const struct pl_request_rules *rules, struct pl_request *request, struct pl_faults *faults)
{
	r->rules = rules;
	r->request = request;
	r->faults = faults;
	r->document = document;
	r->stage = NULL;
	r->keeper = NULL;
	r->blocked = false;
	r->faulty = false;
	r->pointer_len = (size_t)snprintf(r->pointer, sizeof r->pointer, "%s", pointer);
	if (r->pointer_len >= sizeof r->pointer)
		r->pointer_len = sizeof r->pointer - 1;
}

static enum pl_err verdict(const struct reader *r)
{
	if (r->faulty)
		return PL_EINVAL;
	return r->blocked ? PL_EBLOCKED : PL_OK;
}

/* What was read lives as long as the request that borrows from it. */
static void keep(struct reader *r)
{
	r->keeper = json_array();
	PL_ASSERT(r->keeper != NULL && json_array_append(r->keeper, r->document->value) == 0);
	r->request->options = r->keeper;
}

/* The request in one block with copies of its URLs, so that the usual one costs one allocation
 * and keeps no JSON. */
static struct pl_request *settle_in_one_block(const struct pl_request *read)
{
	size_t provider = strlen(read->provider) + 1;
	size_t callback = strlen(read->callback_url) + 1;
	struct pl_request *request = pl_alloc(sizeof *request + provider + callback);
	char *texts = (char *)(request + 1);
	*request = *read;
	request->provider = memcpy(texts, read->provider, provider);
	request->callback_url = memcpy(texts + provider, read->callback_url, callback);
	return request;
}

static bool holds_only_urls(const json_t *object)
{
	return json_object_size(object) == 2 && json_object_get(object, "provider") != NULL &&
	       json_object_get(object, "callbackUrl") != NULL;
}

static enum pl_err read_document(const struct document *document, const char *pointer,
	const struct pl_request_rules *rules, struct pl_request **out, struct pl_faults *faults)
{
	struct pl_request read;
	struct reader r;
	read.id[0] = '\0';
	read.provider = NULL;
	read.callback_url = NULL;
	read.owner = "";
	read.parent = NULL;
	read.starts_in = PL_STAGE_FETCH;
	pl_request_blank(&read);
	start_reading(&r, document, pointer, rules, &read, faults);
	if (!holds_only_urls(document->value))
		keep(&r);
	read_fields(&r, document->value, request_fields);
	if (json_is_object(document->value)) {
		require(&r, document->value, "provider");
		require(&r, document->value, "callbackUrl");
		check_members(&r, document->value);
	}
	enum pl_err err = verdict(&r);
	if (err == PL_OK)
		*out = settle_in_one_block(&read);
	else
		pl_request_clear(&read);
	return err;
}

/* What can be seen without reading: how deep the text goes (jansson recurses, so nesting is
 * bounded before), and where the outermost "meta" stands. Of a text that is not JSON it says
 * something or other; jansson refuses it then. */
static bool outline(const char *json, size_t len, struct document *document)
{
	static const char meta[] = "\"meta\"";
	unsigned depth = 0;
	size_t string = 0; /* where the last one began, quotes included, and where it ended */
	size_t string_end = 0;
	for (size_t i = 0; i < len; i++) {
		char c = json[i];
		if (c == '"') {
			string = i;
			for (i++; i < len && json[i] != '"'; i++)
				if (json[i] == '\\')
					i++;
			string_end = i + 1;
		} else if (c == '{' || c == '[') {
			if (++depth > PL_REQUEST_DEPTH_MAX)
				return false;
		} else if (depth == 1 && c == ':' && string_end - string == sizeof meta - 1 &&
			   memcmp(json + string, meta, sizeof meta - 1) == 0) {
			document->meta = json + i + 1;
		} else if (c == '}' || c == ']' || c == ',') {
			if (depth == 1 && document->meta != NULL && document->meta_len == 0)
				document->meta_len = (size_t)(json + i - document->meta);
			if (c != ',' && depth > 0)
				depth--;
		}
	}
	return true;
}

/* What jansson refuses though it is JSON is a fault of content, not of form. */
static bool is_malformed(const json_error_t *error)
{
	switch (json_error_code(error)) {
	case json_error_duplicate_key:
	case json_error_null_byte_in_key:
	case json_error_numeric_overflow:
		return false;
	default:
		return true;
	}
}

/* False after a fault; else the value is the caller's to give back. */
static bool load(const char *json, size_t len, const char *pointer, struct document *document,
	struct pl_faults *faults)
{
	json_error_t error;
	*document = (struct document) { 0 };
	if (!outline(json, len, document)) {
		pl_faults_add(
			faults, pointer, "is nested deeper than %d levels", PL_REQUEST_DEPTH_MAX);
		return false;
	}
	document->value = json_loadb(json, len,
		JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | JSON_DECODE_INT_AS_REAL | JSON_ALLOW_NUL,
		&error);
	if (document->value == NULL) {
		faults->malformed = is_malformed(&error);
		pl_faults_add(faults, pointer, "%s (line %d, column %d)", error.text, error.line,
			error.column);
	}
	return document->value != NULL;
}

enum pl_err pl_request_read(const char *json, size_t len, const char *pointer,
	const struct pl_request_rules *rules, struct pl_request **out, struct pl_faults *faults)
{
	struct document document;
	if (len > PL_REQUEST_BODY_MAX) {
		pl_faults_add(faults, pointer, "is longer than %d bytes", PL_REQUEST_BODY_MAX);
		return PL_ELIMIT;
	}
	if (!load(json, len, pointer, &document, faults))
		return PL_EINVAL;
	enum pl_err err = read_document(&document, pointer, rules, out, faults);
	json_decref(document.value);
	return err;
}

enum pl_err pl_request_parse(const char *json, size_t len, const struct pl_netpolicy *policy,
	struct pl_request **out, struct pl_faults *faults)
{
	return pl_request_parse_member(json, len, "", policy, out, faults);
}

enum pl_err pl_request_parse_member(const char *json, size_t len, const char *pointer,
	const struct pl_netpolicy *policy, struct pl_request **out, struct pl_faults *faults)
{
	const struct pl_request_rules rules = { .policy = policy, .now_ms = pl_clock_wall_ms() };
	return pl_request_read(json, len, pointer, &rules, out, faults);
}

enum pl_err pl_request_options_decode(struct pl_request *request, const char *options, size_t len)
{
	static const struct pl_request_rules rules = { .every_field = true };
	struct pl_request read = *request;
	struct pl_faults faults; /* told to nobody: a record is ours, and whole or not */
	struct document document;
	struct reader r;
	pl_request_blank(&read);
	if (len > 0) {
		pl_faults_init(&faults);
		if (!load(options, len, "", &document, &faults))
			return PL_EINVAL;
		start_reading(&r, &document, "", &rules, &read, &faults);
		keep(&r);
		read_fields(&r, document.value, request_fields);
		json_decref(document.value);
		if (verdict(&r) != PL_OK) {
			pl_request_clear(&read);
			return PL_EINVAL;
		}
	}
	*request = read;
	return PL_OK;
}
