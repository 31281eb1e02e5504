/*
 * http_server: civetweb behind an interface of ours.
 *
 *   connection -> strict pre-check (RFC 9112 framing; docs/PIPELINE.md "HTTP")
 *              -> body read to its end
 *              -> handler(call) on a thread of the server -> one answer, head and body in one write
 *
 * Threads  handlers run on the server's threads, one per connection, and may block (bounded!).
 *          A stack is 100 KiB, 22 of them gone on entry: no big arrays, no deep recursion.
 * Memory   what a call holds is borrowed until the handler returns.
 * Bounds   threads; connections of one address, idle ones included; bytes of head and body; one
 *          deadline for a whole head, one for a body, one for each write of an answer.
 * Failure  what breaks the framing is answered 400 and closed before a handler sees it. So is every
 *          400 of a handler: what follows a message we could not read is not read as a new one.
 *          Answers the server gives by itself are application/problem+json (RFC 9457).
 */
#ifndef PIPELINE_HTTP_SERVER_H
#define PIPELINE_HTTP_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pipeline/buf.h"

#define PL_HTTP_LARGE_BODIES_MAX 4 /* held at a time; further ones are answered 503 */

struct pl_http_server;
struct pl_http_call;

struct pl_http_server_options {
	const char *bind; /* an IPv4 address: Debian's civetweb knows no other */
	unsigned port;    /* 0: any, see pl_http_server_port */
	unsigned threads;
	unsigned connections_per_address; /* 0: off */
	size_t body_max;                  /* beyond: 413 */
	uint64_t head_ms; /* total deadline for the first head of a connection: 400 and close, or
			     nothing to who has said nothing */
	uint64_t body_ms; /* total deadline for one body: 408 and close; also for one write of an
			     answer */
	uint64_t idle_ms; /* keep-alive: until the next head is whole */
	void (*handler)(void *arg, struct pl_http_call *call);
	/* Asked while nothing of the body is read; false: it has answered, and the connection ends
	 * if a body was to come. NULL: all may. */
	bool (*admit)(void *arg, struct pl_http_call *call);
	/* The body ceiling for a method and path; NULL: body_max for all. Of bodies above body_max
	 * PL_HTTP_LARGE_BODIES_MAX are held at a time. */
	size_t (*body_limit)(void *arg, const char *method, const char *path);
	/* A call by a method that is none of HTTP's, with its method and path alone; answers it, and
	 * the connection ends. NULL: 501. */
	void (*unknown_method)(void *arg, struct pl_http_call *call);
	/* Told of each call that the server answers by itself, on its threads; may be NULL. */
	void (*refused)(void *arg, int status);
	void *arg;
};

/* *why: a sentence ("port 3001 is taken by another program"), static or per thread. */
PL_MUST_CHECK enum pl_err pl_http_server_start(const struct pl_http_server_options *options,
	struct pl_http_server **out, const char **why);
unsigned pl_http_server_port(const struct pl_http_server *server);
/* New connections are answered 503; known ones are served, and each answer closes its own. */
void pl_http_server_drain(struct pl_http_server *server);
/* Waits for the handlers, closes every connection, ends the threads and frees the server: at most
 * deadline_ms, since mg_stop can hang. False when a handler still runs: then the server is left as
 * it is, and what its handlers use must not be freed either. */
bool pl_http_server_stop(struct pl_http_server *server, uint64_t deadline_ms);

const char *pl_http_call_method(const struct pl_http_call *call);
const char *pl_http_call_path(const struct pl_http_call *call);  /* without query, not decoded */
const char *pl_http_call_query(const struct pl_http_call *call); /* "" for none, not decoded */
const char *pl_http_call_header(const struct pl_http_call *call, const char *name); /* or NULL */
/* The i-th as sent, from 0; false behind the last. */
bool pl_http_call_header_at(
	const struct pl_http_call *call, size_t i, const char **name, const char **value);
/* Of len bytes; one that begins with NUL was refused. */
const char *pl_http_call_body(const struct pl_http_call *call, size_t *len);
const char *pl_http_call_peer(const struct pl_http_call *call); /* address text */
void *pl_http_call_arg(const struct pl_http_call *call);
/* Whether the server it came to is being drained. A call may come before pl_http_server_start has
 * returned: its handler can't know the server by *out. */
bool pl_http_call_stopping(const struct pl_http_call *call);
/* So many bytes of your own beside the call, zero before admit. */
#define PL_HTTP_CALL_OWN 256
void *pl_http_call_own(const struct pl_http_call *call);
/* Lines that the answer has beside its own, whoever gives it; borrowed until then. */
void pl_http_call_add_headers(struct pl_http_call *call, const char *headers);
/* An empty buffer of the thread's own to make the answer's body in; answering from it is fine. */
struct pl_buf *pl_http_call_scratch(struct pl_http_call *call);

/* The one answer. headers: whole lines "Name: value\r\n", or NULL. Content-Length, Date and
 * Connection are added; content_type NULL for none. HEAD is answered without the body. */
void pl_http_call_answer(struct pl_http_call *call, int status, const char *content_type,
	const char *headers, const void *body, size_t len);

/* An answer in pieces instead: begin, write until false (client gone, slow, or server stopping).
 * With a length the connection lives on if all of it was written; PL_HTTP_LENGTH_UNKNOWN (SSE):
 * its end is the connection's. */
#define PL_HTTP_LENGTH_UNKNOWN UINT64_MAX
void pl_http_call_begin(struct pl_http_call *call, int status, const char *content_type,
	const char *headers, uint64_t length);
bool pl_http_call_write(struct pl_http_call *call, const void *data, size_t len);

const char *pl_http_status_phrase(int status); /* "Not Found"; "Unknown" for strange ones */

/* Percent-decodes the value of a query parameter and adds it to out; PL_ENOTFOUND, PL_EINVAL (bad
 * escape, or one that hides a NUL), PL_ELIMIT. */
PL_MUST_CHECK enum pl_err pl_http_query_get(
	const char *query, const char *name, struct pl_buf *out);

#endif
