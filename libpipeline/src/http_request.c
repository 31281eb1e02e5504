/*
 * What curl is told. Handles are pooled without curl_easy_reset: what never varies is set once
 * for a handle's life, and all that does vary is set for each hop, so nothing of one exchange can
 * reach the next. A handle holds no credentials, cookies or certificates of clients at all.
 */
#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "http_private.h"
#include "pipeline/mem.h"

/* Servers commonly close what rests for 60 s; a request must not meet that close. */
#define CONNECTION_REST_S 50L

void http_request_set_for_life(struct pl_http_exchange *x)
{
	CURL *easy = x->easy;
	const struct pl_http *http = x->http;
	http_address_set_for_life(x);
	curl_easy_setopt(easy, CURLOPT_PRIVATE, (char *)x);
	curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
	curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(easy, CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
	curl_easy_setopt(easy, CURLOPT_NOPROXY, "*"); /* else each request asks the environment */
	curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(easy, CURLOPT_DISALLOW_USERNAME_IN_URL, 1L);
	curl_easy_setopt(easy, CURLOPT_MAXAGE_CONN, CONNECTION_REST_S);
	curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 1L);
	curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 2L);
	if (http->ca_file != NULL)
		curl_easy_setopt(easy, CURLOPT_CAINFO, http->ca_file);
	/* With a folder of authorities curl would read them all for every handshake. */
	curl_easy_setopt(easy, CURLOPT_CAPATH, NULL);
	curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, http_answer_header);
	curl_easy_setopt(easy, CURLOPT_HEADERDATA, x);
	curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, http_answer_body);
	curl_easy_setopt(easy, CURLOPT_WRITEDATA, x);
}

static void set_method(struct pl_http_exchange *x)
{
	bool post = strcmp(x->method, "POST") == 0;
	bool head = strcmp(x->method, "HEAD") == 0;
	if (x->with_body || post || strcmp(x->method, "PUT") == 0 ||
		strcmp(x->method, "PATCH") == 0) {
		curl_easy_setopt(x->easy, CURLOPT_POST, 1L);
		curl_easy_setopt(x->easy, CURLOPT_POSTFIELDS, x->with_body ? x->options.body : "");
		curl_easy_setopt(x->easy, CURLOPT_POSTFIELDSIZE_LARGE,
			(curl_off_t)(x->with_body ? x->options.body_len : 0));
	} else {
		curl_easy_setopt(x->easy, CURLOPT_HTTPGET, 1L); /* also undoes NOBODY */
		if (head)
			curl_easy_setopt(x->easy, CURLOPT_NOBODY, 1L);
		post = head || strcmp(x->method, "GET") == 0;
	}
	curl_easy_setopt(x->easy, CURLOPT_CUSTOMREQUEST, post ? NULL : x->method);
}

static bool is_token(const char *text)
{
	const char *at = text;
	while (isalnum((unsigned char)*at) ||
		(*at != '\0' && strchr("-!#$%&'*+.^_`|~", *at) != NULL))
		at++;
	return at > text && *at == '\0';
}

/* curl sends line ends inside a value as they are. */
static bool is_sendable(const struct pl_http_header *header)
{
	return is_token(header->name) && strpbrk(header->value, "\r\n") == NULL;
}

static bool is_named(const struct pl_http_header *header, const char *name)
{
	return strcasecmp(header->name, name) == 0;
}

static bool is_sent(const struct pl_http_exchange *x, const struct pl_http_header *header)
{
	if (is_named(header, "Expect")) /* curl would not wait for the answer to it */
		return false;
	if (x->options.identity && is_named(header, "Accept-Encoding"))
		return false;
	return x->with_body || x->options.body == NULL ||
	       strncasecmp(header->name, "Content-", 8) != 0;
}

static void add_node(struct pl_http_exchange *x, size_t *count, char *line)
{
	struct curl_slist *node = &x->nodes[*count];
	*node = (struct curl_slist) { .data = line };
	if (*count > 0)
		x->nodes[*count - 1].next = node;
	(*count)++;
}

static bool is_blank(const char *text)
{
	while (*text == ' ' || *text == '\t')
		text++;
	return *text == '\0';
}

/* The room was reserved before, so the line stays where it is. */
static char *add_line(struct pl_buf *lines, const struct pl_http_header *header)
{
	size_t name_len = strlen(header->name), value_len = strlen(header->value);
	/* "Name:" with nothing behind would make curl drop the header; ';' means an empty one. */
	bool empty = is_blank(header->value);
	size_t len = empty ? name_len + 1 : name_len + 2 + value_len;
	char *line = pl_buf_reserve(lines, len + 1);
	memcpy(line, header->name, name_len);
	memcpy(line + name_len, empty ? ";" : ": ", empty ? 1 : 2);
	if (!empty)
		memcpy(line + name_len + 2, header->value, value_len);
	line[len] = '\0';
	pl_buf_wrote(lines, len + 1);
	return line;
}

#define OWN_NODES 4 /* ours: the agent, no type, no Expect, a coding */

static bool set_headers(struct pl_http_exchange *x)
{
	static char no_type[] = "Content-Type:", no_expect[] = "Expect:";
	static char identity[] = "Accept-Encoding: identity", gzip[] = "Accept-Encoding: gzip";
	const struct pl_http_options *options = &x->options;
	/* Among the others: from CURLOPT_USERAGENT curl would format it twice for each request. */
	const struct pl_http_header agent = { "User-Agent", x->http->user_agent };
	size_t own = x->own_words ? options->headers_count : 0, count = 0;
	size_t bytes = strlen(agent.name) + strlen(agent.value) + 4;
	bool typed = false, own_agent = false;
	x->own_codings = false;
	for (size_t i = 0; i < own; i++) {
		if (!is_sendable(&options->headers[i]))
			return false;
		bytes += strlen(options->headers[i].name) + strlen(options->headers[i].value) + 4;
	}
	pl_buf_clear(&x->lines);
	if (pl_buf_reserve(&x->lines, bytes) == NULL)
		return false;
	if (own + OWN_NODES > x->nodes_room) {
		x->nodes_room = own + OWN_NODES;
		x->nodes = pl_realloc(x->nodes, x->nodes_room * sizeof(*x->nodes));
	}
	for (size_t i = 0; i < own; i++) {
		if (!is_sent(x, &options->headers[i]))
			continue;
		typed = typed || is_named(&options->headers[i], "Content-Type");
		own_agent = own_agent || is_named(&options->headers[i], agent.name);
		x->own_codings =
			x->own_codings || is_named(&options->headers[i], "Accept-Encoding");
		add_node(x, &count, add_line(&x->lines, &options->headers[i]));
	}
	if (!own_agent)
		add_node(x, &count, add_line(&x->lines, &agent));
	if (!typed)
		add_node(x, &count, no_type); /* curl's own guess would be a form */
	add_node(x, &count, no_expect);       /* a second trip for nothing */
	if (options->identity)
		add_node(x, &count, identity);
	else if (!options->raw && !x->own_codings) /* curl is not told: it would undo it badly */
		add_node(x, &count, gzip);
	curl_easy_setopt(x->easy, CURLOPT_HTTPHEADER, x->nodes);
	return true;
}

bool http_request_set_for_hop(struct pl_http_exchange *x)
{
	curl_easy_setopt(x->easy, CURLOPT_CURLU, pl_url_handle(x->url));
	curl_easy_setopt(x->easy, CURLOPT_RESOLVE, x->is_literal ? NULL : &x->pin_node);
	curl_easy_setopt(x->easy, CURLOPT_CONNECTTIMEOUT_MS, (long)x->options.connect_ms);
	set_method(x);
	return set_headers(x);
}
