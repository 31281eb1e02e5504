/*
 * A URL is read twice: once byte by byte for what is refused whatever a parser makes of it, and
 * once by libcurl, whose reading is the one that will be dialled. Where the two readings could
 * differ (user info, escapes in the host, backslashes) the text is refused, not interpreted.
 */
#include "pipeline/url.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "pipeline/mem.h"

#define HOST_MAX  253 /* RFC 1035 2.3.4, as text without the last dot */
#define LABEL_MAX 63
#define PORT_MAX  65535

struct pl_url {
	CURLU *handle;
	char *text; /* NULL until asked for */
	unsigned port;
	bool https;
	bool is_literal;
	char host[HOST_MAX + 1];
	char lane[PL_LANE_MAX];
	struct sockaddr_storage literal;
};

/* The part between the slashes and the path, where curl looks for it. *len is 0 without one. */
static const char *authority_of(const char *text, size_t *len)
{
	const char *at = strchr(text, ':');
	*len = 0;
	if (at == NULL)
		return text;
	at++;
	at += strspn(at, "/");
	*len = strcspn(at, "/?#");
	return at;
}

/* What is refused before any parser has a say; NULL when nothing is. */
static const char *fault_in_bytes(const char *text, size_t len)
{
	if (len == 0)
		return "is empty";
	if (len > PL_URL_MAX)
		return "is longer than 8 KiB";
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)text[i];
		if (c < 0x21 || c == 0x7f)
			return "holds white space or a control character";
		if (c == '\\')
			return "holds a backslash";
	}
	return NULL;
}

static const char *fault_in_authority(const char *text)
{
	size_t len;
	const char *authority = authority_of(text, &len);
	for (size_t i = 0; i < len; i++) {
		if (authority[i] == '@')
			return "holds user information";
		if (authority[i] == '%')
			return "holds an escape or a zone in its host";
		if ((unsigned char)authority[i] >= 0x80)
			return "holds a byte beyond ASCII in its host: write the name in punycode";
	}
	return NULL;
}

static const char *fault_of_curl(CURLUcode code)
{
	switch (code) {
	case CURLUE_BAD_SLASHES:
		return "must begin with http:// or https://";
	case CURLUE_NO_HOST:
		return "has no host";
	case CURLUE_BAD_PORT_NUMBER:
		return "has a port that is no number from 1 to 65535";
	case CURLUE_BAD_HOSTNAME:
	case CURLUE_BAD_IPV6:
		return "has a host that is neither a name nor an address";
	default:
		return "is not a valid URL";
	}
}

/* curl's own text of one part, or NULL where there is none. Give it back with curl_free. */
static char *part_of(CURLU *handle, CURLUPart part, unsigned flags)
{
	char *value = NULL;
	return curl_url_get(handle, part, &value, flags) == CURLUE_OK ? value : NULL;
}

static bool has_part(CURLU *handle, CURLUPart part)
{
	char *value = part_of(handle, part, 0);
	curl_free(value);
	return value != NULL;
}

/* The last label is a number, as inet_aton spells them. No name ends so (RFC 3696 2), and
 * whoever dials it means an address. */
static bool ends_in_number(const char *host)
{
	const char *dot = strrchr(host, '.');
	const char *label = dot != NULL ? dot + 1 : host;
	if (label[0] == '0' && label[1] == 'x')
		return label[2 + strspn(label + 2, "0123456789abcdef")] == '\0';
	size_t digits = strspn(label, "0123456789");
	return digits > 0 && label[digits] == '\0';
}

static const char *fault_in_labels(const char *host)
{
	for (const char *label = host;; label++) {
		size_t len = strcspn(label, ".");
		if (len == 0)
			return "has a host with an empty label";
		if (len > LABEL_MAX)
			return "has a host with a label of more than 63 bytes";
		label += len;
		if (*label == '\0')
			return NULL;
	}
}

static const char *read_ipv6(struct pl_url *url)
{
	struct sockaddr_in6 *address = (struct sockaddr_in6 *)&url->literal;
	if (inet_pton(AF_INET6, url->host, &address->sin6_addr) != 1)
		return "has a host that is no IPv6 address";
	address->sin6_family = AF_INET6;
	address->sin6_port = htons((uint16_t)url->port);
	inet_ntop(AF_INET6, &address->sin6_addr, url->host, sizeof url->host);
	url->is_literal = true;
	return NULL;
}

static const char *read_ipv4(struct pl_url *url)
{
	struct sockaddr_in *address = (struct sockaddr_in *)&url->literal;
	if (inet_pton(AF_INET, url->host, &address->sin_addr) !=
		1) { /* not in the usual spelling */
		if (inet_aton(url->host, &address->sin_addr) != 1)
			return "has a host that looks like a number but is no address";
		inet_ntop(AF_INET, &address->sin_addr, url->host, sizeof url->host);
	}
	address->sin_family = AF_INET;
	address->sin_port = htons((uint16_t)url->port);
	url->is_literal = true;
	return NULL;
}

/* Takes curl's host apart: lower case, brackets and the dot of the root gone, addresses in
 * their one spelling. Where that changed what is dialled, curl's handle learns it too. */
static const char *read_host(struct pl_url *url, const char *host)
{
	size_t len = strlen(host);
	bool bracketed = host[0] == '[';
	if (bracketed) {
		host++;
		len -= 2;
	}
	bool rooted = !bracketed && len > 1 && host[len - 1] == '.';
	if (rooted)
		len--;
	if (len == 0)
		return "has no host";
	if (len > HOST_MAX)
		return "has a host of more than 253 bytes";
	for (size_t i = 0; i < len; i++)
		url->host[i] = (char)(host[i] >= 'A' && host[i] <= 'Z' ? host[i] | 0x20 : host[i]);
	if (bracketed)
		return read_ipv6(url);
	const char *fault = ends_in_number(url->host) ? read_ipv4(url) : fault_in_labels(url->host);
	if (fault == NULL && rooted)
		PL_ASSERT(curl_url_set(url->handle, CURLUPART_HOST, url->host, 0) == CURLUE_OK);
	return fault;
}

static const char *read_port(struct pl_url *url)
{
	char *port = part_of(url->handle, CURLUPART_PORT, CURLU_DEFAULT_PORT);
	if (port != NULL)
		url->port = (unsigned)strtoul(port, NULL, 10);
	curl_free(port);
	if (url->port == 0 || url->port > PORT_MAX)
		return "has a port that is no number from 1 to 65535";
	return NULL;
}

/* Before curl is asked: it knows many schemes, has a guess where there is none, and takes one slash
 * or three for two. */
static const char *read_scheme(struct pl_url *url, const char *text)
{
	url->https = strncasecmp(text, "https://", 8) == 0;
	if (!url->https && strncasecmp(text, "http://", 7) != 0)
		return "must begin with http:// or https://";
	return text[url->https ? 8 : 7] == '/' ? "has no host" : NULL;
}

static void write_lane(struct pl_url *url)
{
	size_t len = strlen(url->host);
	bool ipv6 = url->literal.ss_family == AF_INET6;
	char *at = url->lane;
	if (ipv6)
		*at++ = '[';
	memcpy(at, url->host, len);
	at += len;
	if (ipv6)
		*at++ = ']';
	*at++ = ':';
	char digits[6];
	size_t count = 0;
	for (unsigned left = url->port; left > 0; left /= 10)
		digits[count++] = (char)('0' + left % 10);
	while (count > 0)
		*at++ = digits[--count];
	*at = '\0';
}

/* Everything curl has to say, then what we ask beyond it. */
static const char *read_parts(struct pl_url *url, const char *text)
{
	const char *fault = read_scheme(url, text);
	if (fault != NULL)
		return fault;
	/* Encoding leaves nothing beyond ASCII in what is sent; escapes that are there stay. */
	CURLUcode code = curl_url_set(url->handle, CURLUPART_URL, text, CURLU_URLENCODE);
	if (code != CURLUE_OK)
		return fault_of_curl(code);
	fault = read_port(url);
	if (fault != NULL)
		return fault;
	if (has_part(url->handle, CURLUPART_USER) || has_part(url->handle, CURLUPART_PASSWORD) ||
		has_part(url->handle, CURLUPART_OPTIONS))
		return "holds user information";
	if (has_part(url->handle, CURLUPART_ZONEID))
		return "holds an escape or a zone in its host";
	char *host = part_of(url->handle, CURLUPART_HOST, 0);
	fault = host == NULL ? "has no host" : read_host(url, host);
	curl_free(host);
	if (fault != NULL)
		return fault;
	if (strchr(text, '#') != NULL)
		PL_ASSERT(curl_url_set(url->handle, CURLUPART_FRAGMENT, NULL, 0) == CURLUE_OK);
	write_lane(url);
	return NULL;
}

static CURLU *new_handle(void)
{
	CURLU *handle = curl_url();
	if (handle == NULL)
		abort(); /* curl has no memory left: as pl_alloc */
	return handle;
}

enum pl_err pl_url_parse(const char *text, size_t len, struct pl_url **out, const char **why)
{
	*why = fault_in_bytes(text, len);
	if (*why != NULL)
		return PL_EINVAL;
	struct pl_url *url = pl_calloc(1, sizeof *url);
	char *copy = pl_strndup(text, len);
	url->handle = new_handle();
	const char *fault = fault_in_authority(copy);
	if (fault == NULL)
		fault = read_parts(url, copy);
	free(copy);
	if (fault != NULL) {
		pl_url_free(url);
		*why = fault;
		return PL_EINVAL;
	}
	*out = url;
	return PL_OK;
}

void pl_url_free(struct pl_url *url)
{
	if (url == NULL)
		return;
	curl_url_cleanup(url->handle);
	curl_free(url->text);
	free(url);
}

const char *pl_url_host(const struct pl_url *url)
{
	return url->host;
}

const char *pl_url_lane(const struct pl_url *url)
{
	return url->lane;
}

unsigned pl_url_port(const struct pl_url *url)
{
	return url->port;
}

bool pl_url_is_https(const struct pl_url *url)
{
	return url->https;
}

bool pl_url_literal(const struct pl_url *url, struct sockaddr_storage *out)
{
	if (url->is_literal)
		*out = url->literal;
	return url->is_literal;
}

CURLU *pl_url_handle(const struct pl_url *url)
{
	return url->handle;
}

const char *pl_url_text(const struct pl_url *url)
{
	if (url->text == NULL) {
		/* Written when first asked for: at accept nobody asks, and it costs a quarter of
		 * the parsing. No pl_url is born const. */
		struct pl_url *owned = (struct pl_url *)(uintptr_t)url;
		owned->text = part_of(url->handle, CURLUPART_URL, 0);
		PL_ASSERT(owned->text != NULL);
	}
	return url->text;
}

bool pl_url_same_origin(const struct pl_url *a, const struct pl_url *b)
{
	return a->https == b->https && strcmp(a->lane, b->lane) == 0;
}

static bool has_scheme(const char *text)
{
	return text[strcspn(text, ":/?#")] == ':';
}

/* The relative forms, by curl, on a copy of the base; the result is judged like any URL. */
static enum pl_err resolve_relative(
	const struct pl_url *base, const char *location, struct pl_url **out, const char **why)
{
	CURLU *handle = curl_url_dup(base->handle);
	if (handle == NULL)
		abort(); /* as in new_handle */
	CURLUcode code = curl_url_set(handle, CURLUPART_URL, location, CURLU_URLENCODE);
	char *text = code == CURLUE_OK ? part_of(handle, CURLUPART_URL, 0) : NULL;
	enum pl_err err = PL_EINVAL;
	if (text == NULL)
		*why = fault_of_curl(code);
	else
		err = pl_url_parse(text, strlen(text), out, why);
	curl_free(text);
	curl_url_cleanup(handle);
	return err;
}

enum pl_err pl_url_resolve(
	const struct pl_url *base, const char *location, struct pl_url **out, const char **why)
{
	size_t len = strlen(location);
	*why = fault_in_bytes(location, len);
	if (*why != NULL)
		return PL_EINVAL;
	if (has_scheme(location))
		return pl_url_parse(location, len, out, why);
	if (location[0] == '#') /* curl 7.88 would drop the last segment of the path */
		return pl_url_parse(pl_url_text(base), strlen(pl_url_text(base)), out, why);
	if (strncmp(location, "//", 2) != 0)
		return resolve_relative(base, location, out, why);
	/* With a host of its own: spelled out, so that the bytes of that host are judged too. */
	struct pl_buf text;
	pl_buf_init(&text, PL_URL_MAX + sizeof "https:");
	enum pl_err err = pl_buf_text(&text, base->https ? "https:" : "http:");
	if (err == PL_OK)
		err = pl_buf_add(&text, location, len);
	PL_ASSERT(err == PL_OK);
	err = pl_url_parse(text.data, text.len, out, why);
	pl_buf_fini(&text);
	return err;
}

/* Where the authority begins in a text that may be anything: behind "scheme:/" and slashes. */
static size_t authority_at(const char *text, size_t len)
{
	size_t scheme = 0;
	while (scheme < len && memchr(":/?#@", text[scheme], 5) == NULL)
		scheme++;
	size_t at =
		scheme + 1 < len && text[scheme] == ':' && text[scheme + 1] == '/' ? scheme + 1 : 0;
	while (at < len && text[at] == '/')
		at++;
	return at;
}

enum pl_err pl_url_show(const char *text, size_t len, struct pl_buf *out)
{
	size_t start = authority_at(text, len);
	size_t host = start; /* behind the last '@' of the authority */
	size_t end = start;
	bool in_authority = true;
	for (; end < len && text[end] != '?' && text[end] != '#'; end++) {
		if (text[end] == '/')
			in_authority = false;
		if (text[end] == '@' && in_authority)
			host = end + 1;
	}
	enum pl_err err = pl_buf_add(out, text, start);
	if (err == PL_OK)
		err = pl_buf_add(out, text + host, end - host);
	if (err == PL_OK && end < len && text[end] == '?')
		err = pl_buf_text(out, "?\u2026");
	return err;
}
