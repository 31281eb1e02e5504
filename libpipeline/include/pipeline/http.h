/*
 * http: curl_multi on a uv loop. Start an exchange, get exactly one answer.
 *
 *   start -> [resolve -> judge all answers -> pin -> connect -> send -> read]* -> on_done
 *                 ^------------- redirect, judged like a new URL -----------'
 *
 * Loop     everything on one loop; on_done never comes before pl_http_start has returned, also
 *          when the exchange is cut or the engine closes. No callback follows on_done.
 * Memory   url, headers and body of the options are borrowed until on_done; the answer is valid
 *          during the call only.
 * Address  every address is judged by the policy before it is dialled (all answers of a name, at
 *          the socket, and once more before a request is sent on a reused connection).
 */
#ifndef PIPELINE_HTTP_H
#define PIPELINE_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "pipeline/err.h"
#include "pipeline/fault.h"
#include "pipeline/netpolicy.h"

#define PL_HTTP_HEADERS_MAX (64 * 1024) /* bytes of an answer's headers, all lines together */

struct pl_http;
struct pl_http_exchange;

struct pl_http_header {
	const char *name, *value;
};

struct pl_http_answer {
	enum pl_fault fault; /* PL_FAULT_NONE: a whole answer was read, whatever its status */
	char message[160];   /* a sentence on the fault, safe to show a client; "" for none */
	int status;          /* of the last hop; 0 when none came */
	uint64_t body_bytes; /* decoded bytes handed to on_body */
	bool sent_whole;     /* the request went out to the end of its body (last hop) */
	bool ended_by_close; /* neither length nor chunks: completeness can't be checked */
	bool coded;          /* it came with a content coding, undone or not */
	unsigned redirects;  /* hops followed */
	uint64_t ms;         /* from start to now */
	/* "" when absent; the last hop's, cut to their size */
	char content_type[256];
	char retry_after[64];
	char etag[256];
	char last_modified[64];
	char date[64];
	char accept_ranges[32];
	char content_range[128];
	int64_t content_length; /* as announced, -1 when not; before decoding */
};

enum pl_http_flow {
	PL_HTTP_GO,    /* taken */
	PL_HTTP_PAUSE, /* not taken: the same bytes are offered again after pl_http_resume; from
			* on_head: the body waits (an answer without one may still end) */
	PL_HTTP_STOP,  /* enough: close; the answer counts as whole */
};

struct pl_http_options {
	const char *method;
	const char *url;
	const struct pl_http_header *headers;
	size_t headers_count;
	const char *body; /* NULL: none */
	size_t body_len;
	uint64_t connect_ms, idle_ms, total_ms; /* total: body and redirects included; 0 = none */
	unsigned redirects_max;                 /* 0: a 3xx is the answer */
	uint64_t body_max;                      /* decoded bytes; one more is PL_FAULT_TOO_LARGE */
	bool identity;                          /* ask for no content coding (ranges) */
	bool raw; /* say nothing of codings and undo none: of an answer whose body nobody reads */
	/* May be NULL. Asked once the connection stands (TLS too), right before the first byte of a
	 * request: of each hop, and again when a reused connection turns out to be dead. False: not
	 * a byte is sent, the exchange ends with PL_FAULT_CANCELLED. */
	bool (*may_send)(void *arg);
	/* Both may be NULL. on_head: once, headers of the last hop complete, before any on_body. */
	enum pl_http_flow (*on_head)(void *arg, const struct pl_http_answer *so_far);
	enum pl_http_flow (*on_body)(void *arg, const char *data, size_t len);
	void (*on_done)(void *arg, const struct pl_http_answer *answer);
	void *arg;
};

struct pl_http_engine_options {
	const struct pl_netpolicy *policy; /* borrowed until closed */
	size_t connections_max;            /* kept open for reuse: 1.5 x what is in flight */
	const char *ca_file;               /* NULL: the system's authorities */
	const char *dns_servers;           /* NULL: the system's */
	const char *user_agent;
};

PL_MUST_CHECK enum pl_err pl_http_new(
	uv_loop_t *loop, const struct pl_http_engine_options *options, struct pl_http **out);
/* A URL that does not parse or is blocked, and a header that would break its line, still end in
 * on_done (PL_FAULT_ADDRESS_BLOCKED, a later loop turn). Expect is not sent, nor a Content-Type of
 * curl's own. Redirects: 303 becomes a GET; 301 and 302 are followed for GET and HEAD only, 307
 * and 308 with a body within the origin only; another origin gets none of headers and body.
 *
 * gzip is offered, unless the headers have an Accept-Encoding of their own, and is undone in a
 * success: one member or several, whole, with nothing behind, else PL_FAULT_TRUNCATED. So is any
 * other content coding, but for what an Accept-Encoding of the caller's has asked for: that is
 * handed over as it comes, like parts (206) and answers that are no success. */
struct pl_http_exchange *pl_http_start(struct pl_http *http, const struct pl_http_options *options);
/* No callback comes from inside it. The idle time does not run during a pause, the total does. */
void pl_http_resume(struct pl_http_exchange *exchange);
/* Ends it with this fault; on_done comes on a later loop turn. Idempotent. */
void pl_http_cut(struct pl_http_exchange *exchange, enum pl_fault fault);
size_t pl_http_in_flight(const struct pl_http *http);
/* Cuts what runs (PL_FAULT_CANCELLED), then calls closed, when no callback can come any more. */
void pl_http_close(struct pl_http *http, void (*closed)(void *arg), void *arg);

#endif
