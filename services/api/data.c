/*
 * data: what the provider said, as it came.
 *
 * It is somebody else's content under our name: a browser must neither guess its type nor run it.
 */
#include <stdio.h>
#include <string.h>

#include "data_signature.h"
#include "handlers.h"
#include "pipeline/clock.h"
#include "pipeline/queue.h"
#include "problem.h"
#include "range.h"
#include "record_json.h"

#define PARAMETER_MAX 128
#define HEADERS_MAX   1024
#define ETAG_SIZE     (RECORD_SHA256_SIZE + 2) /* in quotes */
#define SAFE_HEADERS                                               \
	"X-Content-Type-Options: nosniff\r\n"                      \
	"Content-Security-Policy: sandbox; default-src 'none'\r\n" \
	"Cache-Control: private\r\n"

/* ---- the right to it ---- */

/* What can't be decoded is given all the same, and can't match. */
static bool is_given(struct pl_http_call *call, const char *name, struct pl_buf *out)
{
	pl_buf_init(out, PARAMETER_MAX);
	return pl_http_query_get(pl_http_call_query(call), name, out) != PL_ENOTFOUND;
}

bool data_has_signature(struct pl_http_call *call)
{
	struct pl_buf expires, signature;
	bool has_expires = is_given(call, "expires", &expires);
	bool has_signature = is_given(call, "signature", &signature);
	pl_buf_fini(&expires);
	pl_buf_fini(&signature);
	return has_expires || has_signature;
}

static const char *text_of(const struct pl_buf *buf)
{
	return buf->data != NULL ? buf->data : "";
}

static bool check_signature(struct api *api, struct pl_http_call *call, const char *id,
	const char *expires, const char *signature)
{
	unsigned char key[SIGNATURE_KEY_BYTES];
	if (store_data_key(api->store, key) != PL_OK) {
		problem_no_redis(call);
		return false;
	}
	switch (data_signature_check(key, id, expires, signature, pl_clock_wall_ms())) {
	case SIGNATURE_GOOD:
		return true;
	case SIGNATURE_EXPIRED:
		problem_say(call, 403, "This link has expired.");
		return false;
	case SIGNATURE_WRONG:
		break;
	}
	problem_say(call, 403, "The signature is not that of this request and date.");
	return false;
}

/* False: refused already. Unsigned calls have the right of whoever asks. */
static bool may_read(struct api *api, struct pl_http_call *call, const char *id)
{
	struct pl_buf expires, signature;
	bool has_expires = is_given(call, "expires", &expires);
	bool has_signature = is_given(call, "signature", &signature);
	bool may = (!has_expires && !has_signature) ||
		   check_signature(api, call, id, text_of(&expires), text_of(&signature));
	pl_buf_fini(&expires);
	pl_buf_fini(&signature);
	return may;
}

/* ---- sending it ---- */

/* The provider's own word, unless it could break our head. */
static const char *content_type(const struct pl_data *data)
{
	for (const char *c = data->content_type; *c != '\0'; c++)
		if ((unsigned char)*c < 0x20 || *c == 0x7f)
			return "application/octet-stream";
	return data->content_type[0] != '\0' ? data->content_type : "application/octet-stream";
}

/* One answer: what is sent of which data. */
struct sending {
	struct api *api;
	struct pl_http_call *call;
	const struct pl_record *record;
	int status; /* 200 or 206 */
	struct range_part part;
	const char *headers;
};

static void refuse_chunk(struct pl_http_call *call, enum pl_err err)
{
	if (err == PL_ENOTFOUND)
		problem_say(call, 404, "The data of this request is gone.");
	else
		problem_no_redis(call);
}

/* What of a chunk, whose first byte is the data's at-th, belongs to the part. */
static struct range_part overlap(const struct range_part *part, uint64_t at, size_t len)
{
	uint64_t from = part->from > at ? part->from - at : 0, end = part->from + part->length;
	if (end <= at || from >= len)
		return (struct range_part) { 0, 0 };
	return (struct range_part) { from, (end - at < len ? end - at : len) - from };
}

/* One chunk in memory at a time. Chunks have no common size, so that those in front of the part are
 * read too. Once the head is out, a chunk that can't be had cuts the answer short: its length tells
 * the client. */
static void send_chunks(const struct sending *sending)
{
	const struct pl_data *data = &sending->record->data;
	uint64_t at = 0, end = sending->part.from + sending->part.length;
	bool is_begun = false, goes_on = true;
	struct pl_buf chunk;
	pl_buf_init(&chunk, PL_CHUNK_MAX);
	for (unsigned k = 0; goes_on && k < data->chunks && at < end; k++) {
		pl_buf_clear(&chunk);
		enum pl_err err = store_chunk(sending->api->store, sending->record, k, &chunk);
		if (err != PL_OK && !is_begun)
			refuse_chunk(sending->call, err);
		goes_on = err == PL_OK;
		struct range_part wanted = overlap(&sending->part, at, chunk.len);
		at += chunk.len;
		if (!goes_on || wanted.length == 0)
			continue;
		if (!is_begun)
			pl_http_call_begin(sending->call, sending->status, content_type(data),
				sending->headers, sending->part.length);
		is_begun = true;
		goes_on =
			pl_http_call_write(sending->call, chunk.data + wanted.from, wanted.length);
	}
	pl_buf_fini(&chunk);
}

static void send_part(const struct sending *sending)
{
	const struct pl_data *data = &sending->record->data;
	if (data->chunks > 0)
		send_chunks(sending);
	else
		pl_http_call_answer(sending->call, sending->status, content_type(data),
			sending->headers,
			data->inline_bytes != NULL ? data->inline_bytes + sending->part.from : NULL,
			sending->part.length);
}

static void write_etag(const struct pl_data *data, char etag[ETAG_SIZE])
{
	char sha256[RECORD_SHA256_SIZE];
	record_sha256(data, sha256);
	(void)snprintf(etag, ETAG_SIZE, "\"%s\"", sha256);
}

/* A range is for GET alone: HEAD tells of the whole (RFC 9110 14.2). */
static enum range_verdict judge(
	struct pl_http_call *call, const char *etag, uint64_t length, struct range_part *part)
{
	bool is_get = strcmp(pl_http_call_method(call), "GET") == 0;
	const struct range_ask ask = {
		.range = is_get ? pl_http_call_header(call, "Range") : NULL,
		.if_range = pl_http_call_header(call, "If-Range"),
		.if_match = pl_http_call_header(call, "If-Match"),
		.if_none_match = pl_http_call_header(call, "If-None-Match"),
	};
	return range_judge(&ask, etag, length, part);
}

static void refuse_range(struct pl_http_call *call, uint64_t length)
{
	char header[HEADERS_MAX];
	(void)snprintf(header, sizeof(header), "Content-Range: bytes */%ju\r\n", (uintmax_t)length);
	problem_answer(call, &(struct problem) {
				     .status = 416,
				     .detail = "The data ends before this range begins.",
				     .headers = header,
			     });
}

/* The whole says that parts can be had; a part, which one it is. */
static void write_headers(
	const struct sending *sending, const char *etag, char headers[HEADERS_MAX])
{
	const struct range_part *part = &sending->part;
	int len = snprintf(
		headers, HEADERS_MAX, SAFE_HEADERS "Accept-Ranges: bytes\r\nETag: %s\r\n", etag);
	if (sending->status == 206)
		(void)snprintf(headers + len, HEADERS_MAX - (size_t)len,
			"Content-Range: bytes %ju-%ju/%ju\r\n", (uintmax_t)part->from,
			(uintmax_t)(part->from + part->length - 1),
			(uintmax_t)sending->record->data.bytes);
}

static void answer(struct api *api, struct pl_http_call *call, const struct pl_record *record)
{
	char etag[ETAG_SIZE], headers[HEADERS_MAX];
	struct sending sending = { api, call, record, 200, { 0, 0 }, headers };
	write_etag(&record->data, etag);
	enum range_verdict verdict = judge(call, etag, record->data.bytes, &sending.part);
	if (verdict == RANGE_PART)
		sending.status = 206;
	write_headers(&sending, etag, headers);
	switch (verdict) {
	case RANGE_WHOLE:
	case RANGE_PART:
		send_part(&sending);
		return;
	case RANGE_OUTSIDE:
		refuse_range(call, record->data.bytes);
		return;
	case RANGE_UNCHANGED:
		pl_http_call_answer(call, 304, NULL, headers, NULL, 0);
		return;
	case RANGE_OTHER:
		problem_say(call, 412, "The data is not the one that If-Match names.");
		return;
	}
}

void data_send(struct api *api, struct pl_http_call *call, const char *id)
{
	struct store_found found;
	if (!may_read(api, call, id) || !requests_find(api, call, id, &found))
		return;
	if (found.record->data.kind == PL_DATA_NONE)
		problem_say(call, 404, "This request has no data: not yet, or no longer.");
	else
		answer(api, call, found.record);
	store_found_fini(&found);
}
