#include "redis_url.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/un.h>

#include "pipeline/mem.h"
#include "pipeline/redis.h"
#include "pipeline/text.h"

#define DB_MAX   1000000 /* far above any `databases` setting: catches a port in the wrong place */
#define HOST_MAX 255     /* of a name in DNS; a literal address is shorter */

struct span {
	const char *at;
	size_t len;
};

static const char *find(struct span in, char what)
{
	return in.len > 0 ? memchr(in.at, what, in.len) : NULL;
}

/* Splits at `at`, which belongs to *in: returns what precedes it, leaves what follows it. */
static struct span cut_head(struct span *in, const char *at)
{
	struct span head = { in->at, (size_t)(at - in->at) };
	in->at = at + 1;
	in->len -= head.len + 1;
	return head;
}

static int hex_digit(char c)
{
	static const char digits[] = "0123456789abcdef0123456789ABCDEF";
	const char *at = c != '\0' ? strchr(digits, c) : NULL;
	return at != NULL ? (int)((at - digits) % 16) : -1;
}

/* NULL when a % form is wrong or hides a NUL. */
static char *percent_decode(struct span in)
{
	char *out = pl_alloc(in.len + 1);
	size_t len = 0;
	for (size_t i = 0; i < in.len; i++) {
		char c = in.at[i];
		if (c == '%') {
			int high = in.len - i > 2 ? hex_digit(in.at[i + 1]) : -1;
			int low = high >= 0 ? hex_digit(in.at[i + 2]) : -1;
			c = low >= 0 ? (char)(high * 16 + low) : '\0';
			i += 2;
		}
		if (c == '\0') {
			free(out);
			return NULL;
		}
		out[len++] = c;
	}
	out[len] = '\0';
	return out;
}

static const char *parse_db(struct span text, struct pl_redis_url *url)
{
	uint64_t db;
	if (pl_number_parse(text.at, text.len, DB_MAX, &db) != PL_OK)
		return "the database of a Redis URL is a number: /0, or ?db=0 for a unix socket";
	url->db = (unsigned)db;
	return NULL;
}

static const char *parse_credentials(struct span text, struct pl_redis_url *url)
{
	const char *colon = find(text, ':');
	if (colon == NULL)
		return "the credentials of a Redis URL are user:password@, or :password@";
	struct span user = cut_head(&text, colon);
	if (text.len == 0)
		return "the password of a Redis URL is empty";
	if (user.len > 0)
		url->user = percent_decode(user);
	url->password = percent_decode(text);
	if (url->password == NULL || (user.len > 0 && url->user == NULL))
		return "the credentials of a Redis URL are not correctly percent-encoded";
	return NULL;
}

static bool is_literal6(struct span host)
{
	char text[INET6_ADDRSTRLEN];
	struct in6_addr address;
	if (host.len >= sizeof text)
		return false;
	memcpy(text, host.at, host.len);
	text[host.len] = '\0';
	return inet_pton(AF_INET6, text, &address) == 1;
}

static bool is_name(struct span host)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyz"
				      "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._";
	return host.len > 0 && host.len <= HOST_MAX && strspn(host.at, allowed) >= host.len;
}

static const char *parse_host(struct span text, struct pl_redis_url *url)
{
	struct span host = text;
	struct span port = { NULL, 0 };
	const char *colon;
	if (text.len > 0 && text.at[0] == '[') {
		const char *close = find(text, ']');
		if (close == NULL)
			return "the [ of an IPv6 address in a Redis URL is never closed";
		cut_head(&text, text.at);
		host = cut_head(&text, close);
		if (!is_literal6(host) || (text.len > 0 && text.at[0] != ':'))
			return "the host of a Redis URL is no IPv6 address";
		colon = text.len > 0 ? text.at : NULL;
	} else {
		colon = find(text, ':');
		if (colon != NULL)
			host.len = (size_t)(colon - text.at);
		if (!is_name(host))
			return "the host of a Redis URL is neither a name nor an address";
	}
	if (colon != NULL) {
		cut_head(&text, colon);
		port = text;
		uint64_t number;
		if (pl_number_parse(port.at, port.len, UINT16_MAX, &number) != PL_OK || number == 0)
			return "the port of a Redis URL is a number from 1 to 65535";
		url->port = (uint16_t)number;
	}
	url->host = pl_strndup(host.at, host.len);
	return NULL;
}

/* The @ of credentials is the last one: a password may hold one that was not encoded. */
static const char *parse_network(struct span rest, struct pl_redis_url *url)
{
	const char *slash = find(rest, '/');
	struct span authority = slash != NULL ? cut_head(&rest, slash) : rest;
	const char *at = authority.len > 0 ? memrchr(authority.at, '@', authority.len) : NULL;
	const char *fault = NULL;
	if (at != NULL)
		fault = parse_credentials(cut_head(&authority, at), url);
	if (fault == NULL)
		fault = parse_host(authority, url);
	if (fault == NULL && slash != NULL && rest.len > 0)
		fault = parse_db(rest, url);
	return fault;
}

static const char *parse_unix(struct span rest, struct pl_redis_url *url)
{
	if (rest.len >= 3 && memcmp(rest.at, "///", 3) == 0)
		rest = (struct span) { rest.at + 2, rest.len - 2 };
	const char *query = find(rest, '?');
	struct span path = query != NULL ? cut_head(&rest, query) : rest;
	if (path.len < 2 || path.at[0] != '/' || path.at[1] == '/')
		return "a unix: Redis URL names an absolute path";
	if (path.len >= sizeof((struct sockaddr_un *)0)->sun_path)
		return "the path of a unix: Redis URL is longer than a socket's may be (107 bytes)";
	url->path = pl_strndup(path.at, path.len);
	if (query == NULL)
		return NULL;
	if (rest.len < 3 || memcmp(rest.at, "db=", 3) != 0)
		return "a unix: Redis URL takes ?db=n and nothing else";
	return parse_db((struct span) { rest.at + 3, rest.len - 3 }, url);
}

static bool has_scheme(struct span *text, const char *scheme)
{
	size_t len = strlen(scheme);
	if (text->len < len || strncasecmp(text->at, scheme, len) != 0)
		return false;
	*text = (struct span) { text->at + len, text->len - len };
	return true;
}

enum pl_err pl_redis_url_parse(const char *text, struct pl_redis_url *out, const char **why)
{
	struct pl_redis_url url = { .port = PL_REDIS_PORT };
	struct span rest = { text, strlen(text) };
	const char *fault;
	if (rest.len > PL_REDIS_URL_MAX)
		fault = "a Redis URL of more than 4096 bytes";
	else if (has_scheme(&rest, "unix:"))
		fault = parse_unix(rest, &url);
	else if (has_scheme(&rest, "redis://"))
		fault = parse_network(rest, &url);
	else if (has_scheme(&rest, "rediss://")) {
		url.tls = true;
		fault = parse_network(rest, &url);
	} else {
		fault = "a Redis URL begins with redis://, rediss:// or unix:/";
	}
	if (fault != NULL) {
		pl_redis_url_fini(&url);
		*why = fault;
		return PL_EINVAL;
	}
	*out = url;
	return PL_OK;
}

void pl_redis_url_fini(struct pl_redis_url *url)
{
	free(url->path);
	free(url->host);
	free(url->user);
	if (url->password != NULL)
		explicit_bzero(url->password, strlen(url->password));
	free(url->password);
	*url = (struct pl_redis_url) { 0 };
}

static bool is_loopback(const char *host)
{
	struct in_addr v4;
	struct in6_addr v6;
	if (inet_pton(AF_INET, host, &v4) == 1)
		return ntohl(v4.s_addr) >> 24 == 127;
	if (inet_pton(AF_INET6, host, &v6) == 1)
		return IN6_IS_ADDR_LOOPBACK(&v6);
	return strcasecmp(host, "localhost") == 0;
}

bool pl_redis_url_is_local(const char *text)
{
	struct pl_redis_url url;
	const char *why;
	if (pl_redis_url_parse(text, &url, &why) != PL_OK)
		return false;
	bool local = url.path != NULL || is_loopback(url.host);
	pl_redis_url_fini(&url);
	return local;
}
