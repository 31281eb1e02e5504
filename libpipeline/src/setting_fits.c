#include "setting_fits.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/x509_vfy.h>
#include <stdio.h>
#include <string.h>

#include "pipeline/err.h"
#include "pipeline/mem.h"
#include "pipeline/settings.h"
#include "pipeline/text.h"
#include "pipeline/url.h"

#define SERVER_SIZE (INET6_ADDRSTRLEN + 8) /* brackets, colon, port */
#define PORT_MAX    65535

static _Thread_local char complaint[256];

static bool is_address(int family, const char *text)
{
	unsigned char address[sizeof(struct in6_addr)];
	return inet_pton(family, text, address) == 1;
}

/* ---- BIND ---- */

bool pl_setting_fits_ipv4(const char *text, const char **why)
{
	*why = "it must be an IPv4 address, such as 127.0.0.1, or 0.0.0.0 for all";
	return is_address(AF_INET, text);
}

/* ---- PUBLIC_URL ---- */

bool pl_setting_fits_base_url(const char *text, const char **why)
{
	struct pl_url *url;
	const char *fault;
	if (pl_url_parse(text, strlen(text), &url, &fault) != PL_OK) {
		snprintf(complaint, sizeof complaint, "it %s", fault);
		*why = complaint;
		return false;
	}
	pl_url_free(url);
	*why = "paths are added to it, so it may have neither a query nor a fragment";
	return strpbrk(text, "?#") == NULL;
}

/* ---- DNS_SERVERS ---- */

static bool is_port(const char *text)
{
	uint64_t port;
	return pl_number_parse(text, strlen(text), PORT_MAX, &port) == PL_OK && port > 0;
}

/* "address", "IPv4:port" or "[IPv6]:port"; cuts the text. */
static bool is_server(char *text)
{
	bool is_bracketed = text[0] == '[';
	if (is_address(AF_INET, text) || is_address(AF_INET6, text))
		return true;
	char *end = strchr(text, is_bracketed ? ']' : ':');
	if (end == NULL || (is_bracketed && end[1] != ':'))
		return false;
	*end = '\0';
	return is_address(is_bracketed ? AF_INET6 : AF_INET, text + is_bracketed) &&
	       is_port(end + 1 + is_bracketed);
}

bool setting_fits_name_servers(const char *text, const char **why)
{
	*why = "it must be addresses, such as 9.9.9.9,127.0.0.1:5353,[::1]:53, without spaces";
	for (;;) {
		char server[SERVER_SIZE];
		size_t len = strcspn(text, ",");
		if (len >= sizeof server)
			return false;
		memcpy(server, text, len);
		server[len] = '\0';
		if (!is_server(server))
			return false;
		if (text[len] == '\0')
			return true;
		text += len + 1;
	}
}

/* ---- CA_FILE ---- */

/* The first that went wrong is what is behind the rest. */
static const char *authorities_fault(void)
{
	unsigned long code = ERR_peek_error();
	if (ERR_SYSTEM_ERROR(code))
		return strerror(ERR_GET_REASON(code));
	return "it holds no certificates in PEM";
}

/* By the loader of OpenSSL, which curl will ask at each connection, and tell nobody why not. */
bool setting_fits_authorities(const char *path, const char **why)
{
	X509_STORE *store = X509_STORE_new();
	PL_ASSERT(store != NULL);
	ERR_clear_error();
	bool fits = X509_STORE_load_locations(store, path, NULL) == 1;
	if (!fits) {
		snprintf(complaint, sizeof complaint, "can't read %.160s: %s", path,
			authorities_fault());
		*why = complaint;
	}
	ERR_clear_error();
	X509_STORE_free(store);
	return fits;
}
