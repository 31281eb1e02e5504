/*
 * secret: signing as Standard Webhooks 1.0 has it.
 *
 *   signed text   <webhook-id>.<webhook-timestamp>.<body>
 *   secret        whsec_<base64 of 24 to 64 bytes>
 *   header        v1,<base64 HMAC-SHA256>, one for each secret, with a space between
 *
 * Threads  a pl_secrets is read-only once parsed; signing uses no shared state.
 */
#ifndef PIPELINE_SECRET_H
#define PIPELINE_SECRET_H

#include <stdbool.h>
#include <stddef.h>

#include "pipeline/buf.h"

#define PL_SECRETS_MAX     8
#define PL_SECRET_SIZE_MIN 24
#define PL_SECRET_SIZE_MAX 64
#define PL_SIGNATURE_MAX   (PL_SECRETS_MAX * 48) /* of the header's value */

struct pl_secrets { /* newest first */
	struct {
		unsigned char bytes[PL_SECRET_SIZE_MAX];
		size_t len;
	} list[PL_SECRETS_MAX];
	size_t count;
};

/* A comma list of whsec_…; *why is a sentence without the secret, static. */
PL_MUST_CHECK enum pl_err pl_secrets_parse(
	const char *text, size_t len, struct pl_secrets *out, const char **why);
/* Adds the header's value to out. */
PL_MUST_CHECK enum pl_err pl_secrets_sign(const struct pl_secrets *secrets, const char *id,
	const char *timestamp, const char *body, size_t len, struct pl_buf *out);
/* Is one of the header's signatures made with one of the secrets? */
bool pl_secrets_verify(const struct pl_secrets *secrets, const char *id, const char *timestamp,
	const char *body, size_t len, const char *header);

#endif
