#include "payload.h"

#include <inttypes.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <string.h>

#include "pipeline/json.h"
#include "pipeline/text.h"

static const char DATA[] = ",\"data\":", NULL_DATA[] = ",\"data\":null";
static const char BASE64[] = ",\"dataBase64\":\"", META[] = ",\"meta\":";

static enum pl_err begin(const struct pl_record *record, struct pl_buf *out)
{
	enum pl_err err = pl_buf_text(out, "{\"requestId\":\"");
	if (err == PL_OK)
		err = pl_buf_text(out, record->request.id);
	return err == PL_OK ? pl_buf_text(out, "\"") : err;
}

static enum pl_err end(const struct pl_record *record, struct pl_buf *out)
{
	const char *meta = record->request.meta;
	enum pl_err err = PL_OK;
	if (meta != NULL)
		err = pl_buf_format(out, "%s%s", META, meta);
	return err == PL_OK ? pl_buf_text(out, "}") : err;
}

static enum pl_err add_base64(struct pl_buf *out, const char *bytes, size_t len)
{
	enum pl_err err = pl_buf_text(out, BASE64);
	if (err == PL_OK)
		err = pl_base64_add(out, bytes, len);
	return err == PL_OK ? pl_buf_text(out, "\"") : err;
}

static enum pl_err add_data(const struct pl_data *data, const char *bytes, struct pl_buf *out)
{
	size_t len = (size_t)data->bytes;
	enum pl_err err;
	switch (data->kind) {
	case PL_DATA_JSON: /* never parsed again: the bytes as they came */
		err = pl_buf_text(out, DATA);
		return err == PL_OK ? pl_buf_add(out, bytes, len) : err;
	case PL_DATA_TEXT:
		err = pl_buf_text(out, DATA);
		return err == PL_OK ? pl_json_string(out, bytes, len) : err;
	case PL_DATA_BINARY:
		return add_base64(out, bytes, len);
	default:
		return pl_buf_text(out, NULL_DATA);
	}
}

static size_t data_length(const struct pl_data *data, const char *bytes)
{
	size_t len = (size_t)data->bytes, used;
	switch (data->kind) {
	case PL_DATA_JSON:
		return strlen(DATA) + len;
	case PL_DATA_TEXT:
		return strlen(DATA) + pl_json_escape(bytes, len, NULL, SIZE_MAX, &used) + 2;
	case PL_DATA_BINARY:
		return strlen(BASE64) + (len + 2) / 3 * 4 + 1;
	default:
		return strlen(NULL_DATA);
	}
}

size_t payload_length(const struct pl_record *record, const char *bytes)
{
	const char *meta = record->request.meta;
	if (record->request.parent != NULL)
		return (size_t)record->data.bytes;
	return strlen("{\"requestId\":\"\"}") + strlen(record->request.id) +
	       data_length(&record->data, bytes) + (meta != NULL ? strlen(META) + strlen(meta) : 0);
}

enum pl_err payload_compose(const struct pl_record *record, const char *bytes, struct pl_buf *out)
{
	if (record->request.parent != NULL) /* a failure callback: its data is the whole body */
		return pl_buf_add(out, bytes, (size_t)record->data.bytes);
	enum pl_err err = begin(record, out);
	if (err == PL_OK)
		err = add_data(&record->data, bytes, out);
	return err == PL_OK ? end(record, out) : err;
}

enum pl_err payload_compose_url(const struct pl_record *record, const char *url, struct pl_buf *out)
{
	enum pl_err err = begin(record, out);
	if (err == PL_OK)
		err = pl_buf_text(out, ",\"dataUrl\":");
	if (err == PL_OK)
		err = pl_json_string(out, url, strlen(url));
	if (err == PL_OK)
		err = pl_buf_format(out, ",\"bytes\":%" PRIu64 ",\"sha256\":\"%s\"",
			record->data.bytes, record->data.sha256);
	return err == PL_OK ? end(record, out) : err;
}

enum pl_err payload_data_url(const char *public_url, const char *id, uint64_t expires_s,
	const unsigned char key[32], struct pl_buf *out)
{
	char message[PL_UUID_SIZE + 24], hex[2 * EVP_MAX_MD_SIZE + 1];
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned digest_len;
	int len = snprintf(message, sizeof message, "%s.%" PRIu64, id, expires_s);
	if (HMAC(EVP_sha256(), key, 32, (const unsigned char *)message, (size_t)len, digest,
		    &digest_len) == NULL)
		return PL_ESYS;
	pl_hex(digest, digest_len, hex);
	size_t base = strlen(public_url);
	while (base > 0 && public_url[base - 1] == '/')
		base--;
	return pl_buf_format(out, "%.*s/requests/%s/data?expires=%" PRIu64 "&signature=%s",
		(int)base, public_url, id, expires_s, hex);
}
