/*
 * http_precheck: the framing of a request, judged before a byte of its body is read (RFC 9112).
 *
 * civetweb is lax: it stops at 64 headers and at the first line it does not understand, takes the
 * first of two lengths, reads "2abc" as 2 and any line end as one. Whatever it overlooks becomes
 * the start of a second request that nobody in front of us has seen. So the lines must follow
 * each other without a gap, and what frames the body must be there once and in its one spelling.
 *
 * Pure     reads the request info and the text it points into (only forget writes there): civetweb
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

/* NULL when sound; else a sentence for the client (static), and the connection must be closed. */
const char *http_precheck(const struct mg_request_info *info);

/* civetweb passes over white space in front of a request, which leaves no trace but the place where
 * the request begins in the buffer that a thread has for all its life: from malloc, so aligned, and
 * the lowest that was seen. *start: that place, the thread's own to keep; NULL at first. */
bool http_precheck_start(const struct mg_request_info *info, const char **start);

/* The body shows what the head could not. After an empty line in front of a request civetweb 1.15
 * reads that line as the whole head, but the request behind it as what it says: the body it then
 * hands out is the request's own head, as cut, and what follows the head is taken for the next
 * request. And a head that ended with two bare LF looks sound when CR and NUL follow it, with which
 * no body of ours begins. False: either has happened, and the connection must be closed. */
bool http_precheck_body(const struct mg_request_info *info, const char *body, size_t len);

/* After a sound request: takes away the CR that told that its head ended well. A shorter head that
 * comes over the same connection and ends with two bare LF would find it behind its own end. */
void http_precheck_forget(const struct mg_request_info *info);

#endif
