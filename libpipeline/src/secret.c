#include "pipeline/secret.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <pthread.h>
#include <string.h>

#include "pipeline/text.h"

#define PREFIX      "whsec_"
#define VERSION     "v1,"
#define DIGEST_SIZE 32
#define BASE64_SIZE 44 /* of a digest */

static EVP_MAC *hmac; /* fetched once: four times as quick as fetching for each signature */

static void fetch_hmac(void)
{
	hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);
}

static enum pl_err parse_one(const char *text, size_t len, struct pl_secrets *out, const char **why)
{
	struct pl_buf bytes;
	enum pl_err err = PL_EINVAL;
	pl_buf_init(&bytes, 4 * PL_SECRET_SIZE_MAX);
	if (out->count == PL_SECRETS_MAX)
		*why = "there are more than 8 secrets";
	else if (len < strlen(PREFIX) || memcmp(text, PREFIX, strlen(PREFIX)) != 0)
		*why = "a secret begins with whsec_";
	else if (pl_base64_decode(text + strlen(PREFIX), len - strlen(PREFIX), &bytes) != PL_OK)
		*why = "what follows whsec_ must be base64";
	else if (bytes.len < PL_SECRET_SIZE_MIN || bytes.len > PL_SECRET_SIZE_MAX)
		*why = "a secret has 24 to 64 bytes";
	else
		err = PL_OK;
	if (err == PL_OK) {
		memcpy(out->list[out->count].bytes, bytes.data, bytes.len);
		out->list[out->count++].len = bytes.len;
	}
	pl_buf_fini(&bytes);
	return err;
}

enum pl_err pl_secrets_parse(const char *text, size_t len, struct pl_secrets *out, const char **why)
{
	struct pl_secrets secrets = { .count = 0 };
	const char *end = text + len;
	for (;;) {
		const char *comma = memchr(text, ',', (size_t)(end - text));
		const char *stop = comma != NULL ? comma : end;
		while (text < stop && *text == ' ')
			text++;
		enum pl_err err = parse_one(text, (size_t)(stop - text), &secrets, why);
		if (err != PL_OK)
			return err;
		if (comma == NULL)
			break;
		text = comma + 1;
	}
	*out = secrets;
	return PL_OK;
}

static void digest(const struct pl_secrets *secrets, size_t which, const char *id,
	const char *timestamp, const char *body, size_t len, unsigned char out[DIGEST_SIZE])
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	pthread_once(&once, fetch_hmac);
	char name[] = "SHA256";
	const OSSL_PARAM params[] = { OSSL_PARAM_construct_utf8_string(
					      OSSL_MAC_PARAM_DIGEST, name, 0),
		OSSL_PARAM_construct_end() };
	EVP_MAC_CTX *context = EVP_MAC_CTX_new(hmac);
	size_t written = 0;
	bool ok =
		context != NULL &&
		EVP_MAC_init(context, secrets->list[which].bytes, secrets->list[which].len,
			params) == 1 &&
		EVP_MAC_update(context, (const unsigned char *)id, strlen(id)) == 1 &&
		EVP_MAC_update(context, (const unsigned char *)".", 1) == 1 &&
		EVP_MAC_update(context, (const unsigned char *)timestamp, strlen(timestamp)) == 1 &&
		EVP_MAC_update(context, (const unsigned char *)".", 1) == 1 &&
		EVP_MAC_update(context, (const unsigned char *)body, len) == 1 &&
		EVP_MAC_final(context, out, &written, DIGEST_SIZE) == 1;
	EVP_MAC_CTX_free(context);
	PL_ASSERT(ok && written == DIGEST_SIZE);
}

enum pl_err pl_secrets_sign(const struct pl_secrets *secrets, const char *id, const char *timestamp,
	const char *body, size_t len, struct pl_buf *out)
{
	enum pl_err err = PL_OK;
	for (size_t i = 0; err == PL_OK && i < secrets->count; i++) {
		unsigned char mac[DIGEST_SIZE];
		digest(secrets, i, id, timestamp, body, len, mac);
		err = pl_buf_text(out, i > 0 ? " " VERSION : VERSION);
		if (err == PL_OK)
			err = pl_base64_add(out, mac, sizeof mac);
	}
	return err;
}

static bool is_made_with(const struct pl_secrets *secrets, size_t which, const char *id,
	const char *timestamp, const char *body, size_t len, const char *signature)
{
	unsigned char mac[DIGEST_SIZE];
	struct pl_buf want;
	digest(secrets, which, id, timestamp, body, len, mac);
	pl_buf_init(&want, 2 * BASE64_SIZE);
	bool same = pl_base64_add(&want, mac, sizeof mac) == PL_OK && want.len == BASE64_SIZE &&
		    pl_equal_constant_time(want.data, signature, BASE64_SIZE);
	pl_buf_fini(&want);
	return same;
}

bool pl_secrets_verify(const struct pl_secrets *secrets, const char *id, const char *timestamp,
	const char *body, size_t len, const char *header)
{
	bool verified = false;
	while (*header != '\0') {
		size_t word = strcspn(header, " ");
		bool fits = word == strlen(VERSION) + BASE64_SIZE &&
			    memcmp(header, VERSION, strlen(VERSION)) == 0;
		for (size_t i = 0; fits && i < secrets->count; i++)
			verified |= is_made_with(
				secrets, i, id, timestamp, body, len, header + strlen(VERSION));
		header += word;
		header += strspn(header, " ");
	}
	return verified;
}
