#include "http.h"

#include <string.h>
#include <strings.h>

/* The value of a header line "Name: value", or NULL when the line is another header's. */
static const char *header_value(const char *line, size_t len, const char *name, size_t name_len)
{
	if (len <= name_len || line[name_len] != ':' || strncasecmp(line, name, name_len) != 0)
		return NULL;
	const char *value = line + name_len + 1;
	while (*value == ' ')
		value++;
	return value;
}
#define HEADER_VALUE(line, len, name) header_value(line, len, name, sizeof name - 1)

static bool parse_length(const char *digits, size_t max, size_t *out)
{
	size_t value = 0;

	if (*digits < '0' || *digits > '9')
		return false;
	for (; *digits >= '0' && *digits <= '9'; digits++) {
		value = value * 10 + (size_t)(*digits - '0');
		if (value > max)
			return false;
	}
	*out = value;
	return *digits == '\r';
}

enum http_state http_parse(const char *data, size_t len, size_t body_max, struct http_message *out)
{
	const char *end = memmem(data, len, "\r\n\r\n", 4);
	size_t length = 0;
	bool close = false;

	if (!end)
		return len > HTTP_HEAD_MAX ? HTTP_BAD : HTTP_MORE;
	const char *line = memchr(data, '\r', len);
	while (line < end) {
		line += 2;
		const char *line_end = memchr(line, '\r', len - (size_t)(line - data));
		size_t line_len = (size_t)(line_end - line);
		const char *value;
		/* Only two names matter; their first letter keeps the common line cheap. */
		switch (*line | 0x20) {
		case 'c':
			if ((value = HEADER_VALUE(line, line_len, "Content-Length"))) {
				if (!parse_length(value, body_max, &length))
					return HTTP_BAD;
			} else if ((value = HEADER_VALUE(line, line_len, "Connection"))) {
				close = strncasecmp(value, "close", 5) == 0;
			}
			break;
		case 't':
			if (HEADER_VALUE(line, line_len, "Transfer-Encoding"))
				return HTTP_BAD;
			break;
		default:
			break;
		}
		line = line_end;
	}
	size_t head_len = (size_t)(end - data) + 4;
	if (len - head_len < length)
		return HTTP_MORE;
	*out = (struct http_message) { .head = data,
		.head_len = head_len,
		.body = data + head_len,
		.body_len = length,
		.whole = head_len + length,
		.close = close };
	return HTTP_WHOLE;
}
