/*
 * http_precheck: the framing of a request, judged before a byte of its body is read (RFC 9112).
 *
 * civetweb is lax: it stops at 64 headers and at the first line it does not understand, takes the
 * first of two lengths, reads "2abc" as 2 and any line end as one. Whatever it overlooks becomes
 * the start of a second request that nobody in front of us has seen. So the lines must follow
 * each other without a gap, and what frames the body must be there once and in its one spelling.
 *
 * Pure     reads the request info and the text it points into, and writes one byte there: civetweb
 *          cuts that text in place, so the bytes between the parts tell what it skipped.
 */
#ifndef PIPELINE_HTTP_PRECHECK_H
#define PIPELINE_HTTP_PRECHECK_H

#include <civetweb.h>
#include <stdbool.h>
#include <stddef.h>

#define HTTP_TARGET_FAULT  "The request target must be a path that starts with '/'."
#define HTTP_HEADERS_MAX   62          /* civetweb stops at 64 without a word */
#define HTTP_HEAD_MAX      (15 * 1024) /* bytes of request line and headers */
#define HTTP_HEAD_BUFFER   (16 * 1024) /* what civetweb reads into: room behind the head's end */
#define HTTP_LENGTH_DIGITS 8           /* of a Content-Length; every ceiling of ours is smaller */

/* NULL when sound; else a sentence for the client (static), and the connection must be closed. Once:
 * it overwrites what told it that the head ended well. */
const char *http_precheck(const struct mg_request_info *info);

/* civetweb passes over white space in front of a request, which leaves no trace but the place where
 * the request begins in the buffer that a thread has for all its life: from malloc, so aligned, and
 * the lowest that was seen. Only of a thread's first request it can't be told whether a multiple of
 * that alignment is in front. *start: that place, the thread's own to keep; NULL at first. */
bool http_precheck_start(const struct mg_request_info *info, const char **start);

/* The body shows what the head could not. After an empty line in front of a request civetweb 1.15
 * reads that line as the whole head, but the request behind it as what it says: the body it then
 * hands out is the request's own head, as cut, with the white space in front of it, and what follows
 * the head is taken for the next request. And a head that ended with two bare LF looks sound when CR
 * and NUL follow it; the body begins with NUL then, as none of ours does. False: either has happened,
 * and the connection must be closed. */
bool http_precheck_body(const struct mg_request_info *info, const char *body, size_t len);

#endif
