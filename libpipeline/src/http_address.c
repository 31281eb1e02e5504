/*
 * Which addresses are dialled. The policy is asked three times: for all answers of a name before
 * anything, at each socket, and before each request, since a reused connection opens no socket.
 * That last moment is the caller's, too: whether the request may still be sent.
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "http_private.h"

/* Each exchange brings the addresses it was judged by and curl reads them at once, so its cache
 * needs no memory; two seconds, since it counts in whole ones. */
#define PIN_S 2L

bool http_address_allowed(const struct pl_http_exchange *x, const struct sockaddr *address)
{
	const char *name = x->is_literal ? NULL : pl_url_host(x->url);
	return pl_netpolicy_judge(x->http->policy, address, name, NULL) == PL_OK;
}

static curl_socket_t open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *address)
{
	(void)purpose;
	struct pl_http_exchange *x = arg;
	x->active_ms = 0; /* curl tries again when a reused connection was dead */
	if (!http_address_allowed(x, &address->addr)) {
		x->fault = PL_FAULT_ADDRESS_BLOCKED;
		return CURL_SOCKET_BAD;
	}
	int type = address->socktype | SOCK_CLOEXEC;
	curl_socket_t fd = socket(address->family, type, address->protocol);
	http_loop_opened(x->http, fd);
	return fd;
}

static bool read_address(const char *ip, int port, struct sockaddr_storage *out)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)out;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)out;
	memset(out, 0, sizeof(*out));
	if (inet_pton(AF_INET, ip, &v4->sin_addr) == 1) {
		v4->sin_family = AF_INET;
		v4->sin_port = htons((uint16_t)port);
		return true;
	}
	v6->sin6_family = AF_INET6;
	v6->sin6_port = htons((uint16_t)port);
	return inet_pton(AF_INET6, ip, &v6->sin6_addr) == 1;
}

/* Connecting takes its time, in which the caller's right to ask may have ended. */
static bool may_send(const struct pl_http_exchange *x)
{
	const struct pl_http_options *options = &x->options;
	bool may = options->may_send == NULL || options->may_send(options->arg);
	return may && x->cut == PL_FAULT_NONE; /* cut in this very turn, too */
}

static int before_request(void *arg, char *peer_ip, char *local_ip, int peer_port, int local_port)
{
	(void)local_ip;
	(void)local_port;
	struct pl_http_exchange *x = arg;
	struct sockaddr_storage peer;
	if (!read_address(peer_ip, peer_port, &peer) ||
		!http_address_allowed(x, (struct sockaddr *)&peer)) {
		x->fault = PL_FAULT_ADDRESS_BLOCKED;
		return CURL_PREREQFUNC_ABORT;
	}
	if (!may_send(x)) {
		x->fault = PL_FAULT_CANCELLED;
		return CURL_PREREQFUNC_ABORT;
	}
	http_exchange_talk(x);
	return CURL_PREREQFUNC_OK;
}

/* Curl looks for its own answer only where our pin did not reach it, and must not have one. */
static int before_resolve(void *resolver, void *reserved, void *arg)
{
	(void)resolver;
	(void)reserved;
	const struct pl_http_exchange *x = arg;
	return x->is_literal ? 0 : 1;
}

/* "+": forgotten by itself after PIN_S. A pin replaces the name's older one in curl's
 * cache, and curl reads it in the same call, so an exchange dials only what was judged for it. */
void http_address_pin(
	struct pl_http_exchange *x, const struct sockaddr_storage *addresses, size_t count)
{
	int len = snprintf(
		x->pin, sizeof(x->pin), "+%s:%u:", pl_url_host(x->url), pl_url_port(x->url));
	for (size_t i = 0; i < count; i++) {
		char ip[INET6_ADDRSTRLEN];
		const void *binary = &((const struct sockaddr_in *)&addresses[i])->sin_addr;
		bool v6 = addresses[i].ss_family == AF_INET6;
		if (v6)
			binary = &((const struct sockaddr_in6 *)&addresses[i])->sin6_addr;
		PL_ASSERT(inet_ntop(addresses[i].ss_family, binary, ip, sizeof(ip)) != NULL);
		len += snprintf(x->pin + len, sizeof(x->pin) - (size_t)len, v6 ? "%s[%s]" : "%s%s",
			i > 0 ? "," : "", ip);
		PL_ASSERT((size_t)len < sizeof(x->pin));
	}
	x->pin_node = (struct curl_slist) { .data = x->pin };
}

void http_address_set_for_life(struct pl_http_exchange *x)
{
	curl_easy_setopt(x->easy, CURLOPT_PROXY, ""); /* else http_proxy would hide every address */
	curl_easy_setopt(x->easy, CURLOPT_DNS_CACHE_TIMEOUT, PIN_S);
	curl_easy_setopt(x->easy, CURLOPT_RESOLVER_START_FUNCTION, before_resolve);
	curl_easy_setopt(x->easy, CURLOPT_RESOLVER_START_DATA, x);
	curl_easy_setopt(x->easy, CURLOPT_OPENSOCKETFUNCTION, open_socket);
	curl_easy_setopt(x->easy, CURLOPT_OPENSOCKETDATA, x);
	/* A connection outlives the exchange that opened it: the engine closes it. */
	curl_easy_setopt(x->easy, CURLOPT_CLOSESOCKETFUNCTION, http_loop_close_socket);
	curl_easy_setopt(x->easy, CURLOPT_CLOSESOCKETDATA, x->http);
	curl_easy_setopt(x->easy, CURLOPT_PREREQFUNCTION, before_request);
	curl_easy_setopt(x->easy, CURLOPT_PREREQDATA, x);
}
