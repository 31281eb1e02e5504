/*
 * redis_tls: TLS between bytes and bytes; whoever owns the socket carries them.
 *
 *   from the peer --feed--> [ TLS ] --read--> clear text
 *   to the peer  <--sealed-- [ TLS ] <--write-- clear text
 *
 * TLS 1.2 or newer, the certificate and its name are always verified, against the system's
 * authorities (SSL_CERT_FILE and SSL_CERT_DIR name others).
 */
#ifndef PIPELINE_REDIS_TLS_H
#define PIPELINE_REDIS_TLS_H

#include <openssl/ssl.h>
#include <stddef.h>

#include "pipeline/err.h"

struct pl_redis_tls;

/* NULL with a static *why. Made once: reading the authorities takes milliseconds. */
SSL_CTX *pl_redis_tls_context(const char **why);

struct pl_redis_tls *pl_redis_tls_new(SSL_CTX *context, const char *host);
void pl_redis_tls_free(struct pl_redis_tls *tls);

void pl_redis_tls_feed(struct pl_redis_tls *tls, const char *data, size_t len);
enum pl_redis_tls_step { PL_REDIS_TLS_WAIT, PL_REDIS_TLS_DONE, PL_REDIS_TLS_OVER };
/* Goes on with the handshake; OVER: pl_redis_tls_why says why. */
enum pl_redis_tls_step pl_redis_tls_shake(struct pl_redis_tls *tls);
/* DONE: *len bytes were read; WAIT: no more until fed; OVER: closed or broken. */
enum pl_redis_tls_step pl_redis_tls_read(
	struct pl_redis_tls *tls, char *out, size_t size, size_t *len);
PL_MUST_CHECK enum pl_err pl_redis_tls_write(
	struct pl_redis_tls *tls, const char *data, size_t len);
/* What must go to the peer; pl_redis_tls_sent says that it has gone (or was copied). */
size_t pl_redis_tls_sealed(struct pl_redis_tls *tls, char **data);
void pl_redis_tls_sent(struct pl_redis_tls *tls);
const char *pl_redis_tls_why(const struct pl_redis_tls *tls);

#endif
