/*
 * http: as much HTTP/1.1 as a peer that we trust speaks: a head, Content-Length, a body.
 *
 * Nothing here is meant for hostile input; whatever is not of this form ends the connection and
 * is counted, so that it can't pass for a success.
 */
#ifndef LOAD_HTTP_H
#define LOAD_HTTP_H

#include <stdbool.h>
#include <stddef.h>

#define HTTP_HEAD_MAX (16 * 1024)

enum http_state {
	HTTP_MORE,  /* not whole yet */
	HTTP_WHOLE, /* one message, `whole` bytes long */
	HTTP_BAD,
};

struct http_message {
	const char *head; /* the start line and all headers, up to the empty line */
	size_t head_len;
	const char *body;
	size_t body_len;
	size_t whole;
	bool close; /* the peer ends the connection after it */
};

enum http_state http_parse(const char *data, size_t len, size_t body_max, struct http_message *out);

#endif
