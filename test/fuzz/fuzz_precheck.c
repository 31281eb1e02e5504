/*
 * Any bytes as the head of a request: cut as civetweb cuts it, then judged by our pre-check. What
 * passes must be, byte for byte, the message that a strict reader (RFC 9112, and no more of it
 * than we speak) sees: the same end of the head, the same headers, the same length of the body.
 * Where the two differ, a proxy in front of us and we would take different bytes for the next
 * request. One difference is known: civetweb overwrites the end of the request line, whatever two
 * bytes of white space it was, before we can look.
 */
#include <ctype.h>
#include <strings.h>

#include "http_precheck.h"
#include "input.h"

/* ---- civetweb's way ------------------------------------------------------------------------ */

/* Where its search for the empty line ends; 0: nowhere. */
static size_t head_end(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)text[i];
		if (c < 0x80 && c != '\r' && c != '\n' && !isprint(c))
			return 0;
		if (len - i >= 2 && memcmp(text + i, "\n\n", 2) == 0)
			return i + 2;
		if (len - i >= 4 && memcmp(text + i, "\r\n\r\n", 4) == 0)
			return i + 4;
	}
	return 0;
}

/* A word of the request line; the white space behind it is overwritten. NULL: no word. */
static char *cut_word(char **at, bool last)
{
	char *word = *at;
	while (isgraph((unsigned char)**at))
		(*at)++;
	if (last ? **at != '\r' && **at != '\n' : **at != ' ')
		return NULL;
	do
		*(*at)++ = '\0';
	while (isspace((unsigned char)**at));
	return last || isgraph((unsigned char)**at) ? word : NULL;
}

/* It has a list of them, all of this form. */
static bool is_method(const char *word)
{
	return *word != '\0' && word[strspn(word, "ABCDEFGHIJKLMNOPQRSTUVWXYZ")] == '\0';
}

enum cut { CUT_MORE, CUT_LAST, CUT_NONE, CUT_WRONG };

static enum cut cut_header(char **from, struct mg_header *header)
{
	char *at = *from;
	while (*at != ':' && *at > ' ' && *at < 0x7f)
		at++;
	if (at == *from)
		return CUT_NONE;
	while (*at == ' ')
		*at++ = '\0';
	if (*at != ':')
		return CUT_WRONG;
	*at++ = '\0';
	header->name = *from;
	at += strspn(at, " \t");
	header->value = at;
	at += strcspn(at, "\r\n");
	if (*at == '\r') {
		*at++ = '\0';
		if (*at != '\n')
			return CUT_WRONG;
	}
	if (*at == '\0')
		return CUT_LAST;
	*at++ = '\0';
	*from = at;
	return *at == '\r' || *at == '\n' ? CUT_LAST : CUT_MORE;
}

/* Cuts text in place; the length of the head, 0 when civetweb refuses it by itself, or when the head
 * it sees is white space alone: that is for http_precheck_body to find out. */
static size_t cut(char *text, size_t len, struct mg_request_info *info)
{
	size_t head = head_end(text, len);
	char *at = text;
	while (at < text + head && isspace((unsigned char)*at))
		at++;
	if (at == text + head || iscntrl((unsigned char)*at))
		return 0;
	text[head - 1] = '\0';
	info->request_method = cut_word(&at, false);
	info->request_uri = info->request_method != NULL ? cut_word(&at, false) : NULL;
	info->http_version = info->request_uri != NULL ? cut_word(&at, true) : NULL;
	if (info->http_version == NULL || strncmp(info->http_version, "HTTP/", 5) != 0 ||
		!is_method(info->request_method))
		return 0;
	info->http_version += 5;
	enum cut went = CUT_MORE;
	while (went == CUT_MORE && info->num_headers < MG_MAX_HEADERS) {
		went = cut_header(&at, &info->http_headers[info->num_headers]);
		info->num_headers += went == CUT_MORE || went == CUT_LAST;
	}
	char *query = strchr(info->request_uri, '?');
	if (query != NULL) {
		*query = '\0';
		info->query_string = query + 1;
	}
	return went == CUT_WRONG ? 0 : head;
}

/* ---- a strict reader ----------------------------------------------------------------------- */

struct strict {
	const char *at, *end;
	int headers, hosts, lengths, codings;
	bool is_1_1, sound;
};

static bool is_token_char(char c)
{
	return isalnum((unsigned char)c) || (c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

/* Passes over what fits; false when there is none. */
static bool take_some(struct strict *in, bool (*fits)(char c))
{
	const char *start = in->at;
	while (in->at < in->end && fits(*in->at))
		in->at++;
	return in->at > start;
}

static bool take(struct strict *in, const char *text)
{
	size_t len = strlen(text);
	if ((size_t)(in->end - in->at) < len || memcmp(in->at, text, len) != 0)
		return false;
	in->at += len;
	return true;
}

/* CR LF, or what can't be told from it. */
static bool take_first_end(struct strict *in)
{
	if (in->end - in->at < 2 || (in->at[0] != '\r' && in->at[0] != '\n') ||
		!isspace((unsigned char)in->at[1]))
		return false;
	in->at += 2;
	return true;
}

static bool is_visible(char c)
{
	return c > ' ' && c < 0x7f;
}

static bool is_value_char(char c)
{
	return (unsigned char)c >= ' ' && c != 0x7f;
}

static bool same_name(const char *name, size_t len, const char *wanted)
{
	return len == strlen(wanted) && strncasecmp(name, wanted, len) == 0;
}

/* What frames the body may be there once, in one spelling. */
static bool read_framing(
	struct strict *in, const char *name, size_t name_len, const char *value, size_t len)
{
	if (same_name(name, name_len, "Host"))
		in->hosts++;
	if (same_name(name, name_len, "Transfer-Encoding")) {
		in->codings++;
		return same_name(value, len, "chunked");
	}
	if (!same_name(name, name_len, "Content-Length"))
		return true;
	in->lengths++;
	size_t digits = 0;
	while (digits < len && isdigit((unsigned char)value[digits]))
		digits++;
	return digits == len && len >= 1 && len <= HTTP_LENGTH_DIGITS;
}

static bool read_header(struct strict *in)
{
	const char *name = in->at;
	if (!take_some(in, is_token_char))
		return false;
	size_t name_len = (size_t)(in->at - name);
	if (!take(in, ":"))
		return false;
	while (in->at < in->end && *in->at == ' ')
		in->at++;
	const char *value = in->at;
	take_some(in, is_value_char); /* may be empty */
	size_t len = (size_t)(in->at - value);
	in->headers++;
	return take(in, "\r\n") && read_framing(in, name, name_len, value, len);
}

static struct strict read_strictly(const char *text, size_t len)
{
	struct strict in = { .at = text, .end = text + len };
	bool sound = take_some(&in, is_token_char) && take(&in, " ") && in.at < in.end &&
		     *in.at == '/' && take_some(&in, is_visible) && take(&in, " ");
	in.is_1_1 = sound && take(&in, "HTTP/1.1");
	sound = sound && (in.is_1_1 || take(&in, "HTTP/1.0")) && take_first_end(&in);
	while (sound && !take(&in, "\r\n"))
		sound = read_header(&in);
	in.sound = sound && in.hosts == 1 && in.lengths <= 1 && in.codings <= 1 &&
		   in.lengths + in.codings <= 1 && (in.codings == 0 || in.is_1_1);
	return in;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct mg_request_info info = { 0 };
	if (size > HTTP_HEAD_BUFFER)
		return 0;
	/* What is read behind the head's end: the pre-check may look two bytes further. */
	char *text = pl_calloc(1, size + 2);
	memcpy(text, data, size);
	size_t head = cut(text, size, &info);
	/* A body is what follows; without one, what follows is no start of a request. */
	const char *body = text + head, *start = text;
	if (head > 0 && http_precheck_start(&info, &start) && http_precheck(&info) == NULL &&
		http_precheck_body(&info, body, size - head)) {
		struct strict strict = read_strictly((const char *)data, size);
		PL_ASSERT(strict.sound);
		PL_ASSERT(strict.at == (const char *)data + head);
		PL_ASSERT(strict.headers == info.num_headers);
		PL_ASSERT(http_precheck(&info) != NULL);
	}
	free(text);
	return 0;
}
