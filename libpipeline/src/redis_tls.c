#include "redis_tls.h"

#include <arpa/inet.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "pipeline/mem.h"

struct pl_redis_tls {
	SSL *ssl;
	BIO *from_peer; /* both belong to ssl */
	BIO *to_peer;
	char why[200];
};

SSL_CTX *pl_redis_tls_context(const char **why)
{
	SSL_CTX *context = SSL_CTX_new(TLS_client_method());
	PL_ASSERT(context != NULL);
	SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
	SSL_CTX_set_options(
		context, SSL_OP_NO_RENEGOTIATION); /* so that a write never waits for a read */
	SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
	if (SSL_CTX_set_default_verify_paths(context) != 1) {
		ERR_clear_error();
		SSL_CTX_free(context);
		*why = "the system's certificate authorities cannot be read";
		return NULL;
	}
	return context;
}

/* A literal address is looked for among the certificate's addresses, and is no name to announce. */
static void expect_host(SSL *ssl, const char *host)
{
	unsigned char address[sizeof(struct in6_addr)];
	bool literal =
		inet_pton(AF_INET, host, address) == 1 || inet_pton(AF_INET6, host, address) == 1;
	int ok =
		literal ? X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host)
			: SSL_set1_host(ssl, host) == 1 && SSL_set_tlsext_host_name(ssl, host) == 1;
	PL_ASSERT(ok == 1);
}

struct pl_redis_tls *pl_redis_tls_new(SSL_CTX *context, const char *host)
{
	struct pl_redis_tls *tls = pl_calloc(1, sizeof *tls);
	tls->ssl = SSL_new(context);
	tls->from_peer = BIO_new(BIO_s_mem());
	tls->to_peer = BIO_new(BIO_s_mem());
	PL_ASSERT(tls->ssl != NULL && tls->from_peer != NULL && tls->to_peer != NULL);
	SSL_set_bio(tls->ssl, tls->from_peer, tls->to_peer);
	SSL_set_connect_state(tls->ssl);
	expect_host(tls->ssl, host);
	return tls;
}

void pl_redis_tls_free(struct pl_redis_tls *tls)
{
	if (tls == NULL)
		return;
	SSL_free(tls->ssl);
	free(tls);
}

void pl_redis_tls_feed(struct pl_redis_tls *tls, const char *data, size_t len)
{
	size_t written = 0;
	int ok = BIO_write_ex(tls->from_peer, data, len, &written);
	PL_ASSERT(ok == 1 && written == len); /* a memory BIO takes all, or memory is out */
}

static void note_why(struct pl_redis_tls *tls)
{
	long verdict = SSL_get_verify_result(tls->ssl);
	unsigned long code = ERR_get_error();
	const char *reason = verdict != X509_V_OK ? X509_verify_cert_error_string(verdict)
			     : code != 0          ? ERR_reason_error_string(code)
						  : "closed by Redis";
	snprintf(tls->why, sizeof tls->why, "TLS: %s", reason != NULL ? reason : "failed");
	ERR_clear_error();
}

static enum pl_redis_tls_step judge(struct pl_redis_tls *tls, int result)
{
	if (result == 1)
		return PL_REDIS_TLS_DONE;
	int error = SSL_get_error(tls->ssl, result);
	if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE)
		return PL_REDIS_TLS_WAIT;
	note_why(tls);
	return PL_REDIS_TLS_OVER;
}

enum pl_redis_tls_step pl_redis_tls_shake(struct pl_redis_tls *tls)
{
	ERR_clear_error(); /* the queue is the thread's: another's leftover would be read as ours */
	return judge(tls, SSL_do_handshake(tls->ssl));
}

enum pl_redis_tls_step pl_redis_tls_read(
	struct pl_redis_tls *tls, char *out, size_t size, size_t *len)
{
	ERR_clear_error();
	return judge(tls, SSL_read_ex(tls->ssl, out, size, len));
}

enum pl_err pl_redis_tls_write(struct pl_redis_tls *tls, const char *data, size_t len)
{
	size_t written = 0;
	ERR_clear_error();
	if (SSL_write_ex(tls->ssl, data, len, &written) == 1 && written == len)
		return PL_OK;
	note_why(tls);
	return PL_EREDIS;
}

size_t pl_redis_tls_sealed(struct pl_redis_tls *tls, char **data)
{
	long len = BIO_get_mem_data(tls->to_peer, data);
	return len > 0 ? (size_t)len : 0;
}

void pl_redis_tls_sent(struct pl_redis_tls *tls)
{
	(void)BIO_reset(tls->to_peer);
}

const char *pl_redis_tls_why(const struct pl_redis_tls *tls)
{
	return tls->why;
}
