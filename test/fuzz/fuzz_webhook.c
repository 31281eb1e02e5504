/*
 * Any header, id, timestamp and body before our verification of Standard Webhooks: it says yes
 * exactly when one word of the header is the signature that OpenSSL's one-call HMAC makes.
 */
#include <openssl/hmac.h>
#include <stdio.h>

#include "input.h"
#include "pipeline/secret.h"
#include "pipeline/text.h"

static const struct pl_secrets secrets = {
	.list = { { .bytes = "the newer one of the two", .len = 24 },
		{ .bytes = "the older one, of more bytes than that", .len = 38 } },
	.count = 2,
};

static void signature(
	size_t which, const char *id, const char *timestamp, const char *body, struct pl_buf *out)
{
	struct pl_buf text;
	unsigned char mac[EVP_MAX_MD_SIZE];
	unsigned len = 0;
	pl_buf_init(&text, strlen(id) + strlen(timestamp) + strlen(body) + 8);
	PL_ASSERT(pl_buf_format(&text, "%s.%s.%s", id, timestamp, body) == PL_OK);
	PL_ASSERT(HMAC(EVP_sha256(), secrets.list[which].bytes, (int)secrets.list[which].len,
			  (const unsigned char *)text.data, text.len, mac, &len) != NULL);
	PL_ASSERT(pl_buf_text(out, "v1,") == PL_OK && pl_base64_add(out, mac, len) == PL_OK);
	pl_buf_fini(&text);
}

static bool has_word(const char *header, const char *word)
{
	size_t len = strlen(word);
	while (*header != '\0') {
		size_t span = strcspn(header, " ");
		if (span == len && memcmp(header, word, len) == 0)
			return true;
		header += span + (header[span] == ' ');
	}
	return false;
}

static void judged(const char *header, const char *id, const char *timestamp, const char *body)
{
	bool wanted = false;
	for (size_t which = 0; which < secrets.count; which++) {
		struct pl_buf word;
		pl_buf_init(&word, PL_SIGNATURE_MAX);
		signature(which, id, timestamp, body, &word);
		wanted |= has_word(header, word.data);
		pl_buf_fini(&word);
	}
	PL_ASSERT(pl_secrets_verify(&secrets, id, timestamp, body, strlen(body), header) == wanted);
}

/* The true header among whatever else the input says. */
static void among(const char *other, const char *id, const char *timestamp, const char *body)
{
	struct pl_buf header;
	pl_buf_init(&header, 2 * strlen(other) + PL_SIGNATURE_MAX + 2);
	PL_ASSERT(pl_buf_format(&header, "%s ", other) == PL_OK);
	PL_ASSERT(pl_secrets_sign(&secrets, id, timestamp, body, strlen(body), &header) == PL_OK);
	PL_ASSERT(pl_buf_format(&header, " %s", other) == PL_OK);
	PL_ASSERT(pl_secrets_verify(&secrets, id, timestamp, body, strlen(body), header.data));
	judged(header.data, id, timestamp, body);
	pl_buf_fini(&header);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = input_of(data, size);
	char *header = input_text(&in), *id = input_text(&in);
	char *timestamp = input_text(&in), *body = input_text(&in);
	judged(header, id, timestamp, body);
	among(header, id, timestamp, body);
	free(header);
	free(id);
	free(timestamp);
	free(body);
	return 0;
}
