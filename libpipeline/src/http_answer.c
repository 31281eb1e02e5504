/*
 * What a server says, line by line and piece by piece, as curl hands it over. These run inside
 * curl: they only write down, and stop curl by not taking what it offers.
 */
#include <string.h>
#include <strings.h>

#include "http_private.h"

#define REFUSE 0 /* fewer bytes taken than offered (never none): curl ends the transfer */

struct field {
	const char *name;
	size_t name_len, offset, size;
};
#define FIELD(text, member)                                                      \
	{                                                                        \
		text, sizeof(text) - 1, offsetof(struct pl_http_answer, member), \
			sizeof(((struct pl_http_answer *)0)->member)             \
	}
static const struct field fields[] = {
	FIELD("content-type", content_type),
	FIELD("retry-after", retry_after),
	FIELD("etag", etag),
	FIELD("last-modified", last_modified),
	FIELD("date", date),
	FIELD("accept-ranges", accept_ranges),
	FIELD("content-range", content_range),
};
#define FIELDS (sizeof(fields) / sizeof(fields[0]))

static void forget_fields(struct pl_http_exchange *x)
{
	for (size_t i = 0; i < FIELDS; i++)
		((char *)&x->answer)[fields[i].offset] = '\0';
	x->answer.content_length = -1;
	x->answer.ended_by_close = false;
	pl_buf_clear(&x->location);
	x->chunked = x->odd_transfer = x->is_gzip = false;
	x->codings = 0;
}

void http_answer_forget(struct pl_http_exchange *x)
{
	http_coding_free(x->coding);
	x->coding = NULL;
}

void http_answer_reset(struct pl_http_exchange *x)
{
	forget_fields(x);
	http_answer_forget(x);
	x->answer.status = 0;
	x->answer.sent_whole = false;
	x->head_bytes = x->dropped = 0;
	x->in_head = x->head_done = x->following = false;
	x->held = x->paused = x->curl_paused = x->stopped = false;
	x->fault = PL_FAULT_NONE;
	x->fault_text = NULL;
}

static size_t fail(struct pl_http_exchange *x, enum pl_fault fault, const char *text)
{
	x->fault = fault;
	x->fault_text = text;
	return REFUSE;
}

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static bool has_name(const char *line, size_t name_len, const char *name)
{
	return strlen(name) == name_len && strncasecmp(line, name, name_len) == 0;
}

struct word { /* of a list with commas */
	const char *text;
	size_t len;
};

/* False behind the last; an empty one is passed over. */
static bool next_word(const char **at, const char *end, struct word *out)
{
	while (*at < end && (**at == ',' || is_space(**at)))
		(*at)++;
	const char *start = *at;
	while (*at < end && **at != ',')
		(*at)++;
	size_t len = (size_t)(*at - start);
	while (len > 0 && is_space(start[len - 1]))
		len--;
	*out = (struct word) { start, len };
	return len > 0;
}

static void take_codings(struct pl_http_exchange *x, const char *at, const char *end)
{
	struct word word;
	while (next_word(&at, end, &word)) {
		if (has_name(word.text, word.len, "identity"))
			continue;
		x->codings++;
		x->is_gzip = x->codings == 1 && (has_name(word.text, word.len, "gzip") ||
							has_name(word.text, word.len, "x-gzip"));
	}
}

/* Any other one curl would undo, unasked, and not see where it stops short. */
static void take_transfer(struct pl_http_exchange *x, const char *at, const char *end)
{
	struct word word;
	while (next_word(&at, end, &word)) {
		x->chunked = has_name(word.text, word.len, "chunked");
		if (!x->chunked && !has_name(word.text, word.len, "identity"))
			x->odd_transfer = true;
	}
}

static void take_field(struct pl_http_exchange *x, const char *line, size_t len)
{
	const char *colon = memchr(line, ':', len);
	if (colon == NULL)
		return;
	size_t name_len = (size_t)(colon - line);
	const char *value = colon + 1, *end = line + len;
	while (value < end && is_space(*value))
		value++;
	while (end > value && is_space(end[-1]))
		end--;
	size_t value_len = (size_t)(end - value);
	for (size_t i = 0; i < FIELDS; i++) {
		const struct field *field = &fields[i];
		if (field->name_len != name_len || strncasecmp(line, field->name, name_len) != 0)
			continue;
		char *out = (char *)&x->answer + field->offset;
		size_t fits = value_len < field->size ? value_len : field->size - 1;
		memcpy(out, value, fits);
		out[fits] = '\0';
		return;
	}
	if (has_name(line, name_len, "transfer-encoding"))
		take_transfer(x, value, end);
	else if (has_name(line, name_len, "content-encoding"))
		take_codings(x, value, end);
	else if (has_name(line, name_len, "location") && x->location.len == 0 &&
		 pl_buf_add(&x->location, value, value_len) != PL_OK)
		pl_buf_clear(&x->location); /* longer than any URL we dial: as if there were none */
}

static bool is_redirect(int status)
{
	return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

static bool has_body(const struct pl_http_exchange *x)
{
	int status = x->answer.status;
	return strcmp(x->method, "HEAD") != 0 && status != 204 && status != 304;
}

/* A part of a coded whole can't be undone, and the body of an answer that is no success says
 * nothing that counts: both are taken as they come. So is what the client has asked for by itself.
 */
static bool choose_coding(struct pl_http_exchange *x)
{
	int status = x->answer.status;
	if (x->codings == 0 || x->options.raw || !has_body(x) || status == 206 || status < 200 ||
		status > 299)
		return true;
	if (x->is_gzip)
		x->coding = http_coding_new();
	return x->is_gzip || x->own_codings;
}

/* The blank line. 1xx announce the real answer, but for 101, which nobody asked for. */
static size_t head_complete(struct pl_http_exchange *x, size_t len)
{
	long status = 0;
	curl_off_t length = -1;
	curl_easy_getinfo(x->easy, CURLINFO_RESPONSE_CODE, &status);
	x->in_head = false;
	if (status >= 100 && status < 200 && status != 101)
		return len;
	curl_easy_getinfo(x->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
	x->head_done = true;
	x->answer.status = (int)status;
	x->answer.content_length = length;
	x->answer.coded = x->codings > 0;
	x->answer.ended_by_close = length < 0 && !x->chunked && has_body(x);
	if (x->odd_transfer)
		return fail(
			x, PL_FAULT_RESET, "the answer has a transfer coding that is not chunked");
	x->following = x->options.redirects_max > 0 && is_redirect(x->answer.status);
	if (x->following)
		return len;
	if (!choose_coding(x))
		return fail(x, PL_FAULT_TRUNCATED,
			"the answer has a content coding that was not asked for");
	if (length >= 0 && (uint64_t)length > x->options.body_max && x->coding == NULL &&
		has_body(x))
		return fail(x, PL_FAULT_TOO_LARGE, NULL);
	if (x->options.on_head == NULL)
		return len;
	enum pl_http_flow flow = x->options.on_head(x->options.arg, &x->answer);
	x->stopped = flow == PL_HTTP_STOP;
	x->held = x->paused = flow == PL_HTTP_PAUSE;
	return x->stopped ? REFUSE : len;
}

size_t http_answer_header(char *line, size_t size, size_t count, void *arg)
{
	struct pl_http_exchange *x = arg;
	size_t len = size * count;
	if (x->cut != PL_FAULT_NONE)
		return REFUSE;
	x->head_bytes += len;
	if (x->head_bytes > PL_HTTP_HEADERS_MAX)
		return fail(x, PL_FAULT_TOO_LARGE, "the answer's headers are too large");
	if (x->head_done) /* trailers */
		return len;
	if (!x->in_head) { /* the status line, after a 1xx one more */
		x->in_head = true;
		forget_fields(x);
		return len;
	}
	if (line[0] == '\r' || line[0] == '\n')
		return head_complete(x, len);
	take_field(x, line, len);
	return len;
}

static size_t drop(struct pl_http_exchange *x, size_t len)
{
	x->dropped += len;
	return x->dropped > PL_HTTP_REDIRECT_BODY_MAX ? REFUSE : len;
}

static size_t wait_for_caller(struct pl_http_exchange *x)
{
	x->paused = x->curl_paused = true;
	return CURL_WRITEFUNC_PAUSE;
}

/* Hands bytes to the caller; STOP: no more of them, for whatever reason. */
static enum pl_http_flow offer(struct pl_http_exchange *x, const char *data, size_t len)
{
	if (len > x->options.body_max - x->answer.body_bytes) {
		fail(x, PL_FAULT_TOO_LARGE, NULL);
		return PL_HTTP_STOP;
	}
	enum pl_http_flow flow = PL_HTTP_GO;
	if (x->options.on_body != NULL)
		flow = x->options.on_body(x->options.arg, data, len);
	if (flow == PL_HTTP_PAUSE)
		return flow;
	x->answer.body_bytes += len;
	x->stopped = flow == PL_HTTP_STOP;
	return flow;
}

static size_t take(struct pl_http_exchange *x, const char *data, size_t len)
{
	enum pl_http_flow flow = offer(x, data, len);
	if (flow == PL_HTTP_PAUSE)
		return wait_for_caller(x);
	return flow == PL_HTTP_STOP ? REFUSE : len;
}

/* What a pause left unread of these bytes curl offers again, and more behind it, maybe. */
static size_t take_coded(struct pl_http_exchange *x, const char *data, size_t len)
{
	for (;;) {
		const char *piece;
		size_t piece_len;
		if (!http_coding_next(x->coding, data, len, &piece, &piece_len))
			return fail(x, PL_FAULT_TRUNCATED, "the answer's gzip is broken");
		if (piece_len == 0)
			return len;
		enum pl_http_flow flow = offer(x, piece, piece_len);
		if (flow == PL_HTTP_PAUSE) {
			http_coding_again(x->coding);
			return wait_for_caller(x);
		}
		if (flow == PL_HTTP_STOP || x->cut != PL_FAULT_NONE)
			return REFUSE;
	}
}

size_t http_answer_body(char *data, size_t size, size_t count, void *arg)
{
	struct pl_http_exchange *x = arg;
	size_t len = size * count;
	if (x->cut != PL_FAULT_NONE || x->stopped)
		return REFUSE;
	if (x->following)
		return drop(x, len);
	if (x->held)
		return wait_for_caller(x);
	return x->coding != NULL ? take_coded(x, data, len) : take(x, data, len);
}

bool http_answer_is_whole(const struct pl_http_exchange *x)
{
	return x->coding == NULL || http_coding_is_whole(x->coding);
}
