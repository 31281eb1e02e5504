/*
 * data: what the provider said, as it came.
 *
 * It is somebody else's content under our name: a browser must neither guess its type nor run it.
 */
#include <string.h>

#include "data_signature.h"
#include "handlers.h"
#include "pipeline/clock.h"
#include "pipeline/queue.h"
#include "problem.h"

#define PARAMETER_MAX 128
#define SAFE_HEADERS                                               \
	"X-Content-Type-Options: nosniff\r\n"                      \
	"Content-Security-Policy: sandbox; default-src 'none'\r\n" \
	"Cache-Control: private\r\n"
#define RETRY_SOON "Retry-After: 1\r\n"

/* ---- the right to it ---- */

/* What can't be decoded is given all the same, and can't match. */
static bool is_given(struct pl_http_call *call, const char *name, struct pl_buf *out)
{
	pl_buf_init(out, PARAMETER_MAX);
	return pl_http_query_get(pl_http_call_query(call), name, out) != PL_ENOTFOUND;
}

static const char *text_of(const struct pl_buf *buf)
{
	return buf->data != NULL ? buf->data : "";
}

static void refuse_unavailable(struct pl_http_call *call)
{
	problem_answer(call, &(struct problem) {
				     .status = 503,
				     .detail = "Redis can't be asked now.",
				     .headers = RETRY_SOON,
			     });
}

static bool check_signature(struct api *api, struct pl_http_call *call, const char *id,
	const char *expires, const char *signature)
{
	unsigned char key[SIGNATURE_KEY_BYTES];
	if (store_data_key(api->store, key) != PL_OK) {
		refuse_unavailable(call);
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

/* False: refused already. Unsigned calls need no right: there are no API keys. */
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

static void refuse_chunk(struct pl_http_call *call, enum pl_err err)
{
	if (err == PL_ENOTFOUND)
		problem_say(call, 404, "The data of this request is gone.");
	else
		refuse_unavailable(call);
}

/* One chunk in memory at a time. Once the head is out, a chunk that can't be had cuts the answer
 * short: its length tells the client. */
static void send_chunks(struct api *api, struct pl_http_call *call, const struct pl_record *record)
{
	const struct pl_data *data = &record->data;
	struct pl_buf chunk;
	pl_buf_init(&chunk, PL_CHUNK_MAX);
	enum pl_err err = store_chunk(api->store, record, 0, &chunk);
	if (err != PL_OK) {
		refuse_chunk(call, err);
	} else {
		pl_http_call_begin(call, 200, content_type(data), SAFE_HEADERS, data->bytes);
		bool goes_on = pl_http_call_write(call, chunk.data, chunk.len);
		for (unsigned k = 1; goes_on && k < data->chunks; k++) {
			pl_buf_clear(&chunk);
			goes_on = store_chunk(api->store, record, k, &chunk) == PL_OK &&
				  pl_http_call_write(call, chunk.data, chunk.len);
		}
	}
	pl_buf_fini(&chunk);
}

void data_send(struct api *api, struct pl_http_call *call, const char *id)
{
	struct store_found found;
	if (!may_read(api, call, id) || !requests_find(api, call, id, &found))
		return;
	const struct pl_data *data = &found.record->data;
	if (data->kind == PL_DATA_NONE)
		problem_say(call, 404, "This request has no data: not yet, or no longer.");
	else if (data->chunks > 0)
		send_chunks(api, call, found.record);
	else
		pl_http_call_answer(call, 200, content_type(data), SAFE_HEADERS, data->inline_bytes,
			data->bytes);
	store_found_fini(&found);
}
