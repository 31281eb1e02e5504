/*
 * http_call: what the server's threads do with one request, between civetweb and the handler.
 */
#ifndef PIPELINE_HTTP_CALL_H
#define PIPELINE_HTTP_CALL_H

#include <civetweb.h>
#include <stdatomic.h>
#include <time.h>

#include "http_threads.h"
#include "http_watch.h"
#include "pipeline/http_server.h"

#define HTTP_DATE_SIZE 30 /* "Sun, 06 Nov 1994 08:49:37 GMT" and its NUL */

struct pl_http_server {
	struct pl_http_server_options options;
	struct mg_context *context;
	struct http_watch watch;
	struct http_threads threads;
	unsigned port;
	atomic_bool draining;
	atomic_uint active; /* calls under way */
	atomic_uint large;  /* of these, with a body above body_max */
	pthread_mutex_t lock;
	pthread_cond_t changed; /* active fell to 0 while draining, or mg_stop has ended */
	bool stopped;           /* mg_stop has ended; guarded by lock */
};

struct http_worker { /* a thread of the server; one connection at a time is its own */
	struct pl_http_server *server;
	struct http_watched watched;
	const char *head;                    /* where civetweb's buffer begins, once known */
	struct pl_buf body, answer, scratch; /* kept from call to call while they are small */
	bool has_refused; /* this connection's last call, which civetweb could not read */
	time_t date_at;
	char date[HTTP_DATE_SIZE];
};

struct http_worker *http_worker_new(struct pl_http_server *server);
void http_worker_free(struct http_worker *worker);

/* civetweb's callbacks of the same name. */
int http_begin_request(struct mg_connection *conn);
int http_error(struct mg_connection *conn, int status, const char *message);
/* When a connection begins, and before it is closed. */
void http_connection_begin(struct http_worker *worker);
void http_connection_end(struct http_worker *worker, struct mg_connection *conn);

#endif
