/*
 * A text becomes a request: its outline, its JSON, its fields (request_fields.c), and then one
 * block of memory; and a record's options become one again.
 */
#include <stdlib.h>
#include <string.h>

#include "pipeline/clock.h"
#include "pipeline/mem.h"
#include "request_reader.h"

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
	r->pointer_len = strnlen(pointer, sizeof r->pointer - 1);
	memcpy(r->pointer, pointer, r->pointer_len);
	r->pointer[r->pointer_len] = '\0';
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
static struct pl_request *put_in_one_block(const struct pl_request *read,
	const struct request_text *provider, const struct request_text *callback)
{
	struct pl_request *request =
		pl_alloc(sizeof *request + provider->len + 1 + callback->len + 1);
	char *texts = (char *)(request + 1);
	*request = *read;
	request->provider = memcpy(texts, provider->bytes, provider->len);
	texts += provider->len;
	*texts++ = '\0';
	request->callback_url = memcpy(texts, callback->bytes, callback->len);
	texts[callback->len] = '\0';
	return request;
}

static struct request_text text_of(const char *text)
{
	return (struct request_text) { text, strlen(text) };
}

/* Nothing read yet. */
static void begin_request(struct pl_request *read)
{
	read->id[0] = '\0';
	read->provider = NULL;
	read->callback_url = NULL;
	read->owner = "";
	read->parent = NULL;
	read->starts_in = PL_STAGE_FETCH;
	pl_request_blank(read);
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
	begin_request(&read);
	start_reading(&r, document, pointer, rules, &read, faults);
	if (!holds_only_urls(document->value))
		keep(&r);
	reader_fields(&r, document->value, request_fields);
	if (json_is_object(document->value)) {
		request_require_urls(&r, document->value);
		request_check_members(&r, document->value);
	}
	enum pl_err err = verdict(&r);
	if (err == PL_OK) {
		const struct request_text provider = text_of(read.provider);
		const struct request_text callback = text_of(read.callback_url);
		*out = put_in_one_block(&read, &provider, &callback);
	} else {
		pl_request_clear(&read);
	}
	return err;
}

/* As read_document would read the same. */
static enum pl_err read_usual(const struct request_url urls[2], const char *pointer,
	const struct pl_request_rules *rules, struct pl_request **out, struct pl_faults *faults)
{
	struct pl_request read;
	struct reader r;
	begin_request(&read);
	start_reading(&r, NULL, pointer, rules, &read, faults);
	for (size_t i = 0; i < 2; i++) {
		bool is_callback = urls[i].is_callback;
		size_t before = reader_enter(&r, is_callback ? "callbackUrl" : "provider");
		(void)reader_url_text(&r, urls[i].text.bytes, urls[i].text.len,
			is_callback ? read.deliver_lane : read.fetch_lane);
		reader_leave(&r, before);
	}
	enum pl_err err = verdict(&r);
	size_t provider = urls[0].is_callback ? 1 : 0;
	if (err == PL_OK)
		*out = put_in_one_block(&read, &urls[provider].text, &urls[1 - provider].text);
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

/* jansson passes over a NUL that follows a number. */
static bool refuse_nul(const char *json, size_t len, const char *pointer, struct pl_faults *faults)
{
	const char *nul = len > 0 ? memchr(json, '\0', len) : NULL;
	if (nul == NULL)
		return false;
	faults->malformed = true;
	pl_faults_add(faults, pointer, "has a NUL at byte %zu", (size_t)(nul - json));
	return true;
}

/* False after a fault; else the value is the caller's to give back. */
static bool load(const char *json, size_t len, const char *pointer, struct document *document,
	struct pl_faults *faults)
{
	json_error_t error;
	*document = (struct document) { 0 };
	if (refuse_nul(json, len, pointer, faults))
		return false;
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
	struct request_url urls[2];
	if (len > PL_REQUEST_BODY_MAX) {
		pl_faults_add(faults, pointer, "is longer than %d bytes", PL_REQUEST_BODY_MAX);
		return PL_ELIMIT;
	}
	if (request_is_usual(json, len, urls))
		return read_usual(urls, pointer, rules, out, faults);
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
	static const struct pl_request_rules rules = { 0 };
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
		reader_fields(&r, document.value, request_fields);
		json_decref(document.value);
		if (verdict(&r) != PL_OK) {
			pl_request_clear(&read);
			return PL_EINVAL;
		}
	}
	*request = read;
	return PL_OK;
}
