/*
 * http_server: civetweb behind an interface of ours.
 *
 *   connection -> strict pre-check (RFC 9112 framing; docs/PIPELINE.md "HTTP") -> body read to its end
 *              -> handler(call) on a thread of the server -> one answer, head and body in one write
 *
 * Threads  handlers run on the server's threads, one per connection, and may block (bounded!).
 *          A stack is 100 KiB: no big arrays.
 * Memory   what a call holds is borrowed until the handler returns.
 * Failure  what breaks the framing is answered 400 and closed before a handler sees it.
 */
#ifndef PIPELINE_HTTP_SERVER_H
#define PIPELINE_HTTP_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pipeline/buf.h"

struct pl_http_server;
struct pl_http_call;

struct pl_http_server_options {
	const char *bind; /* address */
	unsigned port;    /* 0: any, see pl_http_server_port */
	unsigned threads;
	unsigned connections_per_address; /* 0: off */
	size_t body_max;                  /* beyond: 413 */
	uint64_t body_ms;                 /* total deadline for one body: 408 and close */
	uint64_t idle_ms;                 /* keep-alive */
	void (*handler)(void *arg, struct pl_http_call *call);
	/* The body ceiling for a method and path; NULL: body_max for all. */
	size_t (*body_limit)(void *arg, const char *method, const char *path);
	void *arg;
};

/* *why: a sentence ("port 3001 is taken by another program"), static or per thread. */
PL_MUST_CHECK enum pl_err pl_http_server_start(const struct pl_http_server_options *options,
	struct pl_http_server **out, const char **why);
unsigned pl_http_server_port(const struct pl_http_server *server);
/* Takes no new connection, answers with Connection: close from now on. */
void pl_http_server_drain(struct pl_http_server *server);
/* Waits for handlers (deadline_ms at most, in a watched thread: mg_stop can hang), then frees. */
void pl_http_server_stop(struct pl_http_server *server, uint64_t deadline_ms);
bool pl_http_server_stopping(const struct pl_http_server *server);

const char *pl_http_call_method(const struct pl_http_call *call);
const char *pl_http_call_path(const struct pl_http_call *call);  /* without query, not decoded */
const char *pl_http_call_query(const struct pl_http_call *call); /* "" for none, not decoded */
const char *pl_http_call_header(const struct pl_http_call *call, const char *name); /* or NULL */
const char *pl_http_call_body(const struct pl_http_call *call, size_t *len);
const char *pl_http_call_peer(const struct pl_http_call *call); /* address text */
void *pl_http_call_arg(const struct pl_http_call *call);

/* The one answer. headers: whole lines "Name: value\r\n", or NULL. Content-Length, Date and
 * Connection are added; content_type NULL for none. */
void pl_http_call_answer(struct pl_http_call *call, int status, const char *content_type,
	const char *headers, const void *body, size_t len);
/* A streamed answer instead (SSE): begin, write until false (client gone), end. The call's
 * connection is closed afterwards. */
void pl_http_call_begin(struct pl_http_call *call, int status, const char *content_type,
	const char *headers);
bool pl_http_call_write(struct pl_http_call *call, const void *data, size_t len);

/* Percent-decodes the value of a query parameter; PL_ENOTFOUND, PL_EINVAL (bad escape), PL_ELIMIT. */
PL_MUST_CHECK enum pl_err pl_http_query_get(const char *query, const char *name, struct pl_buf *out);

#endif
