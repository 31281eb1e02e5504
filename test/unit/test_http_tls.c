/*
 * https: whom the engine trusts, and what it says when it does not. The server is a thread of its
 * own (OpenSSL on blocking sockets), with certificates made here.
 */
#include "http_rig.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <unistd.h>

struct signer {
	EVP_PKEY *key;
	X509 *cert;
};

struct tls_server {
	SSL_CTX *context; /* NULL: speaks no TLS at all */
	const char *reply;
	int listener;
	unsigned port;
	unsigned served;
	pthread_t thread;
};

static struct signer authority, stranger, pretender;
static char ca_file[] = "/tmp/fetchback-test-ca-XXXXXX";

static void add_extension(X509 *cert, int nid, const char *value)
{
	X509V3_CTX context;
	X509V3_set_ctx_nodb(&context);
	X509V3_set_ctx(&context, cert, cert, NULL, NULL, 0);
	X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
	assert_non_null(extension);
	X509_add_ext(cert, extension, -1);
	X509_EXTENSION_free(extension);
}

/* names: "DNS:a.test,IP:127.0.0.1"; NULL makes an authority. by NULL: signed by itself. */
static struct signer make_cert(
	const char *subject_name, const char *names, const struct signer *by, long valid_s)
{
	static long serial = 1;
	struct signer made = { .key = EVP_EC_gen("P-256"), .cert = X509_new() };
	X509_set_version(made.cert, X509_VERSION_3);
	ASN1_INTEGER_set(X509_get_serialNumber(made.cert), serial++);
	X509_gmtime_adj(X509_getm_notBefore(made.cert), -7200);
	X509_gmtime_adj(X509_getm_notAfter(made.cert), valid_s);
	X509_set_pubkey(made.cert, made.key);
	X509_NAME *subject = X509_get_subject_name(made.cert);
	X509_NAME_add_entry_by_txt(
		subject, "CN", MBSTRING_ASC, (const unsigned char *)subject_name, -1, -1, 0);
	X509_set_issuer_name(made.cert, by != NULL ? X509_get_subject_name(by->cert) : subject);
	if (names == NULL)
		add_extension(made.cert, NID_basic_constraints, "critical,CA:TRUE");
	else
		add_extension(made.cert, NID_subject_alt_name, names);
	assert_true(X509_sign(made.cert, by != NULL ? by->key : made.key, EVP_sha256()) > 0);
	return made;
}

static void free_cert(struct signer *cert)
{
	EVP_PKEY_free(cert->key);
	X509_free(cert->cert);
}

/* True when a whole request came over TLS. */
static bool read_request(SSL *ssl)
{
	char in[8192];
	size_t len = 0;
	int got;
	while (len < sizeof(in) - 1 &&
		(got = SSL_read(ssl, in + len, (int)(sizeof(in) - 1 - len))) > 0) {
		len += (size_t)got;
		in[len] = '\0';
		if (strstr(in, "\r\n\r\n") != NULL)
			return true;
	}
	return false;
}

static void serve_tls(struct tls_server *server, int fd)
{
	SSL *ssl = SSL_new(server->context);
	SSL_set_fd(ssl, fd);
	if (SSL_accept(ssl) == 1 && read_request(ssl)) {
		server->served++;
		SSL_write(ssl, server->reply, (int)strlen(server->reply));
		SSL_shutdown(ssl);
	}
	SSL_free(ssl);
}

static void serve_plain(const struct tls_server *server, int fd)
{
	char in[1024];
	(void)!read(fd, in, sizeof(in));
	(void)!write(fd, server->reply, strlen(server->reply));
}

static void *serve_all(void *arg)
{
	struct tls_server *server = arg;
	int fd;
	while ((fd = accept4(server->listener, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
		if (server->context != NULL)
			serve_tls(server, fd);
		else
			serve_plain(server, fd);
		close(fd);
	}
	return NULL;
}

static void server_open(struct tls_server *server, const struct signer *cert, const char *reply)
{
	struct sockaddr_in any = { .sin_family = AF_INET };
	socklen_t size = sizeof(any);
	*server = (struct tls_server) { .reply = reply };
	any.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	server->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(server->listener, (struct sockaddr *)&any, size), 0);
	assert_int_equal(listen(server->listener, 16), 0);
	assert_int_equal(getsockname(server->listener, (struct sockaddr *)&any, &size), 0);
	server->port = ntohs(any.sin_port);
	if (cert != NULL) {
		server->context = SSL_CTX_new(TLS_server_method());
		assert_int_equal(SSL_CTX_use_certificate(server->context, cert->cert), 1);
		assert_int_equal(SSL_CTX_use_PrivateKey(server->context, cert->key), 1);
	}
	assert_int_equal(pthread_create(&server->thread, NULL, serve_all, server), 0);
}

static void server_close(struct tls_server *server)
{
	shutdown(server->listener, SHUT_RDWR); /* accept returns */
	pthread_join(server->thread, NULL);
	close(server->listener);
	SSL_CTX_free(server->context);
}

#define OK_REPLY "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok"

static void try_cert(struct rig *rig, const struct signer *cert, const char *host,
	enum pl_fault fault, const char *message)
{
	struct tls_server server;
	struct story story;
	char url[128];
	server_open(&server, cert, OK_REPLY);
	snprintf(url, sizeof(url), "https://%s:%u/", host, server.port);
	story_init(&story, rig, url);
	story_tell(&story);
	story_is(&story, fault, fault == PL_FAULT_NONE ? 200 : 0,
		fault == PL_FAULT_NONE ? "ok" : "");
	assert_string_equal(story.answer.message, message);
	story_fini(&story);
	server_close(&server);
	assert_int_equal(server.served, fault == PL_FAULT_NONE ? 1 : 0);
}

static void certificates_are_checked(void **state)
{
	static const char good_names[] = "DNS:a.test,IP:127.0.0.1";
	struct signer good = make_cert("good", good_names, &authority, 3600);
	struct signer old = make_cert("old", good_names, &authority, -3600);
	struct signer foreign = make_cert("foreign", good_names, &stranger, 3600);
	struct signer forged = make_cert("forged", good_names, &pretender, 3600);
	struct signer own = make_cert("own", good_names, NULL, 3600);
	try_cert(*state, &good, "a.test", PL_FAULT_NONE, "");
	try_cert(*state, &good, "127.0.0.1", PL_FAULT_NONE, "");
	try_cert(*state, &good, "b.test", PL_FAULT_TLS, "the certificate is not for this name");
	try_cert(*state, &old, "a.test", PL_FAULT_TLS,
		"the certificate does not verify: certificate has expired");
	try_cert(*state, &foreign, "a.test", PL_FAULT_TLS,
		"the certificate does not verify: unable to get local issuer certificate");
	try_cert(*state, &forged, "a.test", PL_FAULT_TLS, "no TLS connection");
	try_cert(*state, &own, "a.test", PL_FAULT_TLS,
		"the certificate does not verify: self-signed certificate");
	try_cert(*state, &good, "a.test", PL_FAULT_NONE, "");
	free_cert(&good);
	free_cert(&old);
	free_cert(&foreign);
	free_cert(&forged);
	free_cert(&own);
}

static void what_speaks_no_tls_is_a_tls_fault(void **state)
{
	struct tls_server server;
	struct story story;
	char url[128];
	server_open(&server, NULL, "HTTP/1.1 400 Bad Request\r\n\r\n");
	snprintf(url, sizeof(url), "https://127.0.0.1:%u/", server.port);
	story_init(&story, *state, url);
	story_tell(&story);
	story_is(&story, PL_FAULT_TLS, 0, "");
	story_fini(&story);
	server_close(&server);
}

static void a_redirect_does_not_leave_tls(void **state)
{
	struct signer good = make_cert("good", "DNS:a.test", &authority, 3600);
	struct tls_server server;
	struct story story;
	char url[128];
	server_open(&server, &good,
		"HTTP/1.1 302 Go\r\nConnection: close\r\nLocation: http://a.test/\r\n"
		"Content-Length: 0\r\n\r\n");
	snprintf(url, sizeof(url), "https://a.test:%u/", server.port);
	story_init(&story, *state, url);
	story.options.redirects_max = 5;
	story_tell(&story);
	story_is(&story, PL_FAULT_REDIRECT, 302, "");
	assert_string_equal(story.answer.message, "a redirect from https to http is not followed");
	story_fini(&story);
	server_close(&server);
	free_cert(&good);
}

static int open_tls(void **state)
{
	const struct pl_netpolicy_options allowed = { .allow_networks = "127.0.0.0/8" };
	*state = rig_new(&allowed, ca_file);
	return 0;
}

static int make_authorities(void **state)
{
	(void)state;
	authority = make_cert("authority", NULL, NULL, 3600);
	stranger = make_cert("stranger", NULL, NULL, 3600);
	pretender = make_cert("authority", NULL, NULL, 3600);
	int fd = mkstemp(ca_file);
	FILE *file = fd >= 0 ? fdopen(fd, "w") : NULL;
	assert_non_null(file);
	assert_int_equal(PEM_write_X509(file, authority.cert), 1);
	return fclose(file);
}

static int forget_authorities(void **state)
{
	(void)state;
	free_cert(&authority);
	free_cert(&stranger);
	free_cert(&pretender);
	return unlink(ca_file);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_tls, rig_close)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(certificates_are_checked),
		TEST(what_speaks_no_tls_is_a_tls_fault),
		TEST(a_redirect_does_not_leave_tls),
	};
	return cmocka_run_group_tests(tests, make_authorities, forget_authorities);
}
