#include "http_precheck.h"

#include <ctype.h>
#include <stdalign.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>

static bool is_token(const char *text)
{
	static const char others[] = "!#$%&'*+-.^_`|~";
	if (*text == '\0')
		return false;
	for (; *text != '\0'; text++) {
		char c = *text;
		bool alnum =
			(c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
		if (!alnum && strchr(others, c) == NULL)
			return false;
	}
	return true;
}

static bool is_length(const char *text)
{
	size_t digits = strspn(text, "0123456789");
	return digits >= 1 && digits <= HTTP_LENGTH_DIGITS && text[digits] == '\0';
}

/* Where the text of a part ends: its NUL lies on the byte that ended it. */
static const char *end_of(const char *part)
{
	return part + strlen(part);
}

static const char *check_request_line(const struct mg_request_info *info, const char **end)
{
	if (info->request_uri[0] != '/')
		return HTTP_TARGET_FAULT;
	if (info->request_uri != end_of(info->request_method) + 1)
		return "One space must follow the method.";
	const char *target_end =
		end_of(info->query_string != NULL ? info->query_string : info->request_uri);
	if (info->http_version != target_end + 1 + strlen("HTTP/"))
		return "One space must follow the request target.";
	if (strcmp(info->http_version, "1.1") != 0 && strcmp(info->http_version, "1.0") != 0)
		return "Only HTTP/1.1 and HTTP/1.0 are spoken here.";
	*end = end_of(info->http_version);
	return NULL;
}

/* before: the end of the line in front. */
static const char *check_header_line(const struct mg_header *header, const char *before)
{
	if (header->name != before + strlen("\r\n"))
		return "Every line must end with CR LF, and no header may be folded.";
	if (!is_token(header->name))
		return "A header name must be a token.";
	for (const char *gap = end_of(header->name) + 1; gap < header->value; gap++)
		if (*gap != ' ' && *gap != '\t')
			return "No space may stand between a header name and its colon.";
	return NULL;
}

/* Behind the last header civetweb has seen there must be the empty line, else it overlooked one.
 * It has cut the CR and the LF that ended the header and the very last LF. The look goes two bytes
 * behind a lone "\n\n", which HTTP_HEAD_MAX keeps inside the buffer. */
static bool is_last_line(const char *end)
{
	return end[1] == '\0' && end[2] == '\r' && end[3] == '\0';
}

/* Left in the thread's buffer, a shorter head that ends with two bare LF would find it behind its own
 * end. The text is civetweb's, which has no more use for this byte; only if the head ended just so,
 * it was the first of the body. */
static void forget_last_line(const char *end)
{
	((char *)end)[2] = '\0';
}

static const char *check_lines(const struct mg_request_info *info)
{
	const char *end = NULL;
	const char *fault = check_request_line(info, &end);
	for (int i = 0; fault == NULL && i < info->num_headers; i++) {
		fault = check_header_line(&info->http_headers[i], end);
		end = end_of(info->http_headers[i].value);
	}
	if (fault != NULL)
		return fault;
	if (end - info->request_method > HTTP_HEAD_MAX)
		return "The request line and headers are too long.";
	if (info->num_headers == 0)
		return "There must be exactly one Host header.";
	if (!is_last_line(end))
		return "The headers must end with an empty line, and each must start with a token.";
	forget_last_line(end);
	return NULL;
}

static const char *check_body_framing(const struct mg_request_info *info)
{
	int hosts = 0, lengths = 0, codings = 0;
	for (int i = 0; i < info->num_headers; i++) {
		const struct mg_header *header = &info->http_headers[i];
		if (strcasecmp(header->name, "Host") == 0) {
			hosts++;
		} else if (strcasecmp(header->name, "Content-Length") == 0) {
			lengths++;
			if (!is_length(header->value))
				return "Content-Length must be a plain number of at most 8 digits.";
		} else if (strcasecmp(header->name, "Transfer-Encoding") == 0) {
			codings++;
			if (strcasecmp(header->value, "chunked") != 0)
				return "The only Transfer-Encoding taken is chunked.";
		}
	}
	if (hosts != 1)
		return "There must be exactly one Host header.";
	if (lengths > 1)
		return "There must be at most one Content-Length header.";
	if (codings > 1)
		return "There must be at most one Transfer-Encoding header.";
	if (codings == 1 && lengths == 1)
		return "Content-Length and Transfer-Encoding exclude each other.";
	if (codings == 1 && strcmp(info->http_version, "1.1") != 0)
		return "Transfer-Encoding needs HTTP/1.1.";
	return NULL;
}

const char *http_precheck(const struct mg_request_info *info)
{
	if (info->num_headers > HTTP_HEADERS_MAX)
		return "There are more than 62 headers.";
	const char *fault = check_lines(info);
	return fault != NULL ? fault : check_body_framing(info);
}

bool http_precheck_start(const struct mg_request_info *info, const char **start)
{
	const char *method = info->request_method;
	if ((uintptr_t)method % alignof(max_align_t) != 0)
		return false;
	if (*start == NULL || method < *start)
		*start = method;
	return method == *start;
}

bool http_precheck_body(const struct mg_request_info *info, const char *body, size_t len)
{
	size_t method_len = strlen(info->request_method) + 1; /* the NUL of the cut */
	size_t space = 0;
	while (space < len && isspace((unsigned char)body[space]))
		space++;
	bool is_head = len - space >= method_len &&
		       memcmp(body + space, info->request_method, method_len) == 0;
	return !is_head && (len == 0 || body[0] != '\0'); /* see forget_last_line */
}
