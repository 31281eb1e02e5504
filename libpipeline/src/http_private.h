/*
 * http, inside: one engine (http.c) owns a curl_multi on the loop (http_loop.c) and exchanges that
 * walk their steps (http_exchange.c): what is asked (http_request.c), of whom (http_address.c),
 * what is answered (http_answer.c, http_coding.c), what went wrong (http_fault.c).
 *
 * Nothing ends from inside a callback of curl: those only set marks (`fault`, `stopped`, …) and
 * make curl give up; the exchange ends when curl's message about it is read, outside.
 */
#ifndef HTTP_PRIVATE_H
#define HTTP_PRIVATE_H

#include <curl/curl.h>
#include <netinet/in.h>
#include <sys/queue.h>

#include "http_coding.h"
#include "pipeline/buf.h"
#include "pipeline/http.h"
#include "pipeline/resolver.h"
#include "pipeline/url.h"

/* A redirect's own body is read to keep the connection, but no further than this. */
#define PL_HTTP_REDIRECT_BODY_MAX (16 * 1024)
/* All header lines of one request: 64 headers and what bodies may hold of them. */
#define PL_HTTP_REQUEST_HEADERS_MAX (1024 * 1024)
/* "+host:port:" and an IPv6 address in brackets with a comma for each answer. */
#define PL_HTTP_PIN_MAX (1 + 256 + 7 + PL_RESOLVER_ANSWERS_MAX * (INET6_ADDRSTRLEN + 3))

struct http_socket;
TAILQ_HEAD(http_exchanges, pl_http_exchange);

struct pl_http {
	uv_loop_t *loop;
	const struct pl_netpolicy *policy;
	struct pl_resolver *resolver;
	CURLM *multi;
	char *ca_file, *user_agent;

	uv_timer_t timer;             /* curl's wishes above 0 ms */
	uv_idle_t idle;               /* curl's wishes of 0 ms, and `woken` */
	bool kick;                    /* curl wants to be called at once */
	struct http_socket **sockets; /* by descriptor */
	size_t sockets_room;

	struct http_exchanges live, woken, pool;
	size_t in_flight, woken_count, pooled, pool_max;

	bool closing, torn_down;
	unsigned handles; /* uv handles and the resolver, not closed yet */
	void (*closed)(void *arg);
	void *closed_arg;
};

enum http_step {
	HTTP_POOLED,
	HTTP_STARTED,   /* waits for its first turn */
	HTTP_RESOLVING, /* `lookup` is under way */
	HTTP_CURL,      /* in the multi */
};

struct pl_http_exchange {
	struct pl_http *http;
	TAILQ_ENTRY(pl_http_exchange) link;       /* live or pool */
	TAILQ_ENTRY(pl_http_exchange) woken_link; /* while is_woken */
	CURL *easy;                               /* lives as long as this, see http_request.c */
	uv_timer_t timer;                         /* total and idle; curl has the connect timeout */
	uint64_t timer_at_ms;

	enum http_step step;
	bool is_woken;
	struct pl_http_options options;
	struct pl_http_answer answer;
	uint64_t started_ms;
	enum pl_fault cut; /* by pl_http_cut */
	bool lost_address;
	bool resumed; /* by pl_http_resume, acted on when woken */

	/* one hop */
	struct pl_url *url;
	bool is_literal;
	struct pl_resolver_lookup *lookup;
	const char *method;
	bool own_words; /* headers and body of the client go along */
	bool with_body;
	uint64_t active_ms; /* bytes last moved; 0 until the request is under way */
	size_t head_bytes;
	size_t dropped; /* bytes of a redirect's body */
	bool in_head, head_done, chunked;
	bool odd_transfer;          /* a transfer coding but chunked */
	unsigned codings;           /* content codings, without identity */
	bool is_gzip;               /* that one is gzip */
	bool own_codings;           /* the client has said which it takes */
	struct http_coding *coding; /* what undoes it; NULL: the body is taken as it comes */
	bool following;             /* the answer is a redirect that is followed */
	bool held;                  /* on_head said pause: the first body bytes wait */
	bool paused;                /* the caller's pause: idle time does not count */
	bool curl_paused;           /* curl keeps bytes for us */
	bool stopped;
	enum pl_fault fault; /* found inside a curl callback */
	const char *fault_text;
	struct pl_buf location;

	/* what curl borrows while the hop runs; kept for the next one */
	struct pl_buf lines;
	struct curl_slist *nodes;
	size_t nodes_room;
	char pin[PL_HTTP_PIN_MAX];
	struct curl_slist pin_node;
};

/* http_exchange.c */
struct pl_http_exchange *http_exchange_new(struct pl_http *http);
void http_exchange_free(struct pl_http_exchange *x);
void http_exchange_begin(struct pl_http_exchange *x, const struct pl_http_options *options);
void http_exchange_wake(struct pl_http_exchange *x);
/* curl is done with the hop. */
void http_exchange_curl_done(struct pl_http_exchange *x, CURLcode code);
/* Bytes moved. */
void http_exchange_active(struct pl_http_exchange *x);
/* The request goes out: from now on silence counts. */
void http_exchange_talk(struct pl_http_exchange *x);
/* An attempt to connect is over, one way or the other. */
void http_exchange_lost_address(struct pl_http_exchange *x);
bool http_exchange_is_talking(const struct pl_http_exchange *x);

/* http_request.c */
void http_request_set_for_life(struct pl_http_exchange *x);
/* False: a header cannot be sent. */
PL_MUST_CHECK bool http_request_set_for_hop(struct pl_http_exchange *x);

/* http_address.c */
void http_address_set_for_life(struct pl_http_exchange *x);
bool http_address_allowed(const struct pl_http_exchange *x, const struct sockaddr *address);
void http_address_pin(
	struct pl_http_exchange *x, const struct sockaddr_storage *addresses, size_t count);

/* http_answer.c: what curl calls while bytes come in */
size_t http_answer_header(char *line, size_t size, size_t count, void *arg);
size_t http_answer_body(char *data, size_t size, size_t count, void *arg);
void http_answer_reset(struct pl_http_exchange *x);
/* Curl has seen it whole: has what undoes its coding, too? */
bool http_answer_is_whole(const struct pl_http_exchange *x);
/* What a hop needed beside the answer itself. */
void http_answer_forget(struct pl_http_exchange *x);

/* http_fault.c */
enum pl_fault http_fault_of(CURLcode code);
const char *http_fault_text(enum pl_fault fault);

/* http_loop.c */
void http_loop_init(struct pl_http *http, size_t connections_max);
void http_loop_wake(struct pl_http_exchange *x);
void http_loop_sleep(struct pl_http_exchange *x); /* undoes it */
void http_loop_turn(struct pl_http *http);        /* one more turn, for the engine itself */
void http_loop_opened(struct pl_http *http, curl_socket_t fd);
int http_loop_close_socket(void *http, curl_socket_t fd);
void http_loop_fini(struct pl_http *http);

/* http.c */
void http_leave(struct pl_http_exchange *x); /* no longer in flight; on_done comes next */
void http_pool(struct pl_http_exchange *x);  /* after on_done: kept for the next start */
void http_tear_down(struct pl_http *http);
void http_handle_gone(struct pl_http *http); /* one of its handles is closed */

#endif
