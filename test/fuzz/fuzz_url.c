/*
 * Any bytes as a URL, as a Location and as something to show. What is taken is what curl itself
 * makes of the same bytes, and the same again when spelled out; the address that is judged is the
 * one curl dials, and what is not judged as an address is none.
 */
#include <arpa/inet.h>
#include <netdb.h>

#include "input.h"
#include "pipeline/url.h"

/* ---- against curl and the system ----------------------------------------------------------- */

static char *part(CURLU *handle, CURLUPart which, unsigned flags)
{
	char *text = NULL;
	return curl_url_get(handle, which, &text, flags) == CURLUE_OK ? text : NULL;
}

/* curl's host without the brackets. */
static char *host_of(CURLU *handle)
{
	char *host = part(handle, CURLUPART_HOST, 0);
	PL_ASSERT(host != NULL);
	size_t len = strlen(host);
	char *bare = host[0] == '[' ? pl_strndup(host + 1, len - 2) : pl_strndup(host, len);
	curl_free(host);
	return bare;
}

static bool same_address(const struct sockaddr *a, const struct sockaddr *b)
{
	if (a->sa_family != b->sa_family)
		return false;
	const struct sockaddr_in *a4 = (const void *)a, *b4 = (const void *)b;
	const struct sockaddr_in6 *a6 = (const void *)a, *b6 = (const void *)b;
	return a->sa_family == AF_INET
		       ? a4->sin_port == b4->sin_port && a4->sin_addr.s_addr == b4->sin_addr.s_addr
		       : a6->sin6_port == b6->sin6_port && a6->sin6_scope_id == 0 &&
				 memcmp(&a6->sin6_addr, &b6->sin6_addr, sizeof a6->sin6_addr) == 0;
}

/* Is it an address to the system, and then the one that was judged? */
static void against_system(const struct pl_url *url, const char *host)
{
	static const struct addrinfo numeric = { .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV,
		.ai_socktype = SOCK_STREAM };
	struct sockaddr_storage literal;
	struct addrinfo *found = NULL;
	const char *port = strrchr(pl_url_lane(url), ':') + 1;
	bool is_address = getaddrinfo(host, port, &numeric, &found) == 0;
	PL_ASSERT(is_address == pl_url_literal(url, &literal));
	if (is_address) {
		PL_ASSERT(same_address(found->ai_addr, (const struct sockaddr *)&literal));
		freeaddrinfo(found);
	}
}

struct dialled {
	struct sockaddr_storage address;
	unsigned times;
};

static curl_socket_t note_and_refuse(void *arg, curlsocktype purpose, struct curl_sockaddr *address)
{
	struct dialled *dialled = arg;
	(void)purpose;
	PL_ASSERT(address->addrlen <= sizeof dialled->address);
	memcpy(&dialled->address, &address->addr, address->addrlen);
	dialled->times++;
	return CURL_SOCKET_BAD;
}

/* Where curl goes with the handle that the fetcher will give it. Addresses only: a name would be
 * looked up. */
static void against_dialling(const struct pl_url *url)
{
	static CURL *easy;
	struct sockaddr_storage literal;
	struct dialled dialled = { .times = 0 };
	if (!pl_url_literal(url, &literal))
		return;
	if (easy == NULL)
		easy = curl_easy_init();
	PL_ASSERT(easy != NULL);
	curl_easy_setopt(easy, CURLOPT_PROXY, "");
	curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, note_and_refuse);
	curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, &dialled);
	curl_easy_setopt(easy, CURLOPT_CURLU, pl_url_handle(url));
	PL_ASSERT(curl_easy_perform(easy) == CURLE_COULDNT_CONNECT);
	PL_ASSERT(dialled.times > 0);
	PL_ASSERT(same_address(
		(const struct sockaddr *)&dialled.address, (const struct sockaddr *)&literal));
}

/* The text as curl alone reads it, without our refusals: same scheme, host and port. */
static void against_curl(const struct pl_url *url, const char *text)
{
	CURLU *plain = curl_url();
	PL_ASSERT(plain != NULL);
	PL_ASSERT(curl_url_set(plain, CURLUPART_URL, text, CURLU_URLENCODE) == CURLUE_OK);
	char *scheme = part(plain, CURLUPART_SCHEME, 0);
	char *port = part(plain, CURLUPART_PORT, CURLU_DEFAULT_PORT);
	char *theirs = host_of(plain), *ours = host_of(pl_url_handle(url));
	size_t len = strlen(theirs);
	if (len > 1 && theirs[len - 1] == '.')
		theirs[len - 1] = '\0';
	PL_ASSERT(strcmp(scheme, pl_url_is_https(url) ? "https" : "http") == 0);
	PL_ASSERT(strtoul(port, NULL, 10) == pl_url_port(url));
	PL_ASSERT(part(plain, CURLUPART_USER, 0) == NULL);
	struct sockaddr_storage literal; /* of which both may have a spelling */
	PL_ASSERT(pl_url_literal(url, &literal) || strcasecmp(theirs, ours) == 0);
	against_system(url, theirs);
	against_system(url, ours);
	free(theirs);
	free(ours);
	curl_free(scheme);
	curl_free(port);
	curl_url_cleanup(plain);
}

/* ---- against itself ------------------------------------------------------------------------ */

static void same_again(const struct pl_url *url)
{
	const char *text = pl_url_text(url), *why;
	struct pl_url *again;
	if (strlen(text) > PL_URL_MAX) /* escapes made it longer than a client may write */
		return;
	PL_ASSERT(pl_url_parse(text, strlen(text), &again, &why) == PL_OK);
	PL_ASSERT(strcmp(pl_url_lane(url), pl_url_lane(again)) == 0);
	PL_ASSERT(strcmp(text, pl_url_text(again)) == 0);
	PL_ASSERT(pl_url_same_origin(url, again));
	pl_url_free(again);
}

static void resolve(const char *location)
{
	static const char base_text[] = "http://a.example/b/c;d?e";
	struct pl_url *base, *target;
	const char *why;
	PL_ASSERT(pl_url_parse(base_text, sizeof base_text - 1, &base, &why) == PL_OK);
	if (pl_url_resolve(base, location, &target, &why) == PL_OK) {
		same_again(target);
		against_curl(target, pl_url_text(target));
		pl_url_free(target);
	}
	pl_url_free(base);
}

/* What people see of a URL has no user information and no query. */
static void shown(const char *text, size_t len)
{
	struct pl_buf out;
	pl_buf_init(&out, len + 8);
	PL_ASSERT(pl_url_show(text, len, &out) == PL_OK);
	const char *query = out.len > 0 ? memchr(out.data, '?', out.len) : NULL;
	PL_ASSERT(query == NULL || strcmp(query, "?\u2026") == 0);
	PL_ASSERT(out.len == 0 || memchr(out.data, '#', out.len) == NULL);
	pl_buf_fini(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct pl_url *url;
	const char *why;
	char *text = pl_strndup((const char *)data, size);
	if (pl_url_parse(text, size, &url, &why) == PL_OK) {
		PL_ASSERT(strlen(text) == size);
		against_curl(url, text);
		against_dialling(url);
		same_again(url);
		pl_url_free(url);
	}
	resolve(text);
	shown(text, size);
	free(text);
	return 0;
}
