/*
 * peer_http: an HTTP server on the test's own loop, on 127.0.0.1 and a free port. It reads whole
 * requests and hands each to the test's `serve`, which says what it likes, in pieces if it likes.
 */
#ifndef PEER_HTTP_H
#define PEER_HTTP_H

#include <arpa/inet.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "pipeline/mem.h"

#define PEER_HTTP_REQUEST_MAX (8 * 1024 * 1024)

struct peer_http;

struct peer_conn {
	uv_tcp_t tcp;
	uv_timer_t later;
	unsigned handles;
	struct peer_http *server;
	char *in; /* what has come, NUL-terminated */
	size_t in_len, in_room;
	size_t request_len; /* bytes of the request being served, head and body */
	unsigned served;
	bool ended; /* reads no more */
	void (*then)(struct peer_conn *conn);
	size_t said; /* for `then`: where it is */
};

struct peer_http {
	uv_tcp_t tcp;
	uv_loop_t *loop;
	unsigned port;
	void (*serve)(struct peer_conn *conn); /* a whole request is in conn->in */
	bool early;                            /* serve as soon as the head is there */
	unsigned connections, requests, open;
	char last[4096]; /* the last request's head, and what of its body fits */
	void *arg;
};

static inline void peer_on_closed(uv_handle_t *handle)
{
	struct peer_conn *conn = handle->data;
	if (--conn->handles > 0)
		return;
	conn->server->open--;
	free(conn->in);
	free(conn);
}

static inline void peer_close(struct peer_conn *conn)
{
	if (uv_is_closing((uv_handle_t *)&conn->tcp))
		return;
	uv_close((uv_handle_t *)&conn->tcp, peer_on_closed);
	uv_close((uv_handle_t *)&conn->later, peer_on_closed);
}

/* RST instead of FIN. */
static inline void peer_reset(struct peer_conn *conn)
{
	if (uv_tcp_close_reset(&conn->tcp, peer_on_closed) == 0)
		uv_close((uv_handle_t *)&conn->later, peer_on_closed);
}

static inline void peer_on_written(uv_write_t *write, int status)
{
	(void)status;
	free(write);
}

static inline void peer_say_bytes(struct peer_conn *conn, const void *data, size_t len)
{
	uv_write_t *write = pl_alloc(sizeof(*write) + len);
	if (len > 0)
		memcpy(write + 1, data, len);
	uv_buf_t buf = uv_buf_init((char *)(write + 1), (unsigned)len);
	if (uv_write(write, (uv_stream_t *)&conn->tcp, &buf, 1, peer_on_written) != 0)
		free(write);
}

static inline void peer_say(struct peer_conn *conn, const char *text)
{
	peer_say_bytes(conn, text, strlen(text));
}

static inline void peer_on_shutdown(uv_shutdown_t *shutdown, int status)
{
	(void)status;
	peer_close(shutdown->handle->data);
	free(shutdown);
}

/* What was said goes out, then the connection ends. */
static inline void peer_end(struct peer_conn *conn)
{
	uv_shutdown_t *shutdown = pl_alloc(sizeof(*shutdown));
	conn->ended = true;
	if (uv_shutdown(shutdown, (uv_stream_t *)&conn->tcp, peer_on_shutdown) != 0) {
		free(shutdown);
		peer_close(conn);
	}
}

static inline void peer_on_later(uv_timer_t *timer)
{
	struct peer_conn *conn = timer->data;
	conn->then(conn);
}

static inline void peer_later(struct peer_conn *conn, uint64_t ms, void (*then)(struct peer_conn *))
{
	conn->then = then;
	uv_timer_start(&conn->later, peer_on_later, ms, 0);
}

static inline void peer_room(uv_handle_t *handle, size_t size, uv_buf_t *out)
{
	struct peer_conn *conn = handle->data;
	if (conn->in_room - conn->in_len < size + 1) {
		conn->in_room = (conn->in_room + size) * 2;
		conn->in = pl_realloc(conn->in, conn->in_room);
	}
	*out = uv_buf_init(conn->in + conn->in_len, (unsigned)size);
}

/* Bytes of the first whole request in conn->in, or 0. */
static inline size_t peer_request_len(const struct peer_conn *conn)
{
	const char *end = strstr(conn->in, "\r\n\r\n");
	if (end == NULL)
		return 0;
	size_t head = (size_t)(end - conn->in) + 4;
	const char *length = strstr(conn->in, "\r\nContent-Length: ");
	if (length == NULL || length > end || conn->server->early)
		return head;
	size_t whole = head + (size_t)strtoul(length + 18, NULL, 10);
	return conn->in_len >= whole ? whole : 0;
}

static inline void peer_on_read(uv_stream_t *stream, ssize_t got, const uv_buf_t *buf)
{
	(void)buf;
	struct peer_conn *conn = stream->data;
	if (got < 0 || conn->in_len > PEER_HTTP_REQUEST_MAX) {
		peer_close(conn);
		return;
	}
	conn->in_len += (size_t)got;
	conn->in[conn->in_len] = '\0';
	while (!conn->ended && !uv_is_closing((uv_handle_t *)stream) &&
		(conn->request_len = peer_request_len(conn)) > 0) {
		conn->served++;
		conn->server->requests++;
		snprintf(conn->server->last, sizeof(conn->server->last), "%.*s",
			(int)conn->request_len, conn->in);
		conn->server->serve(conn);
		memmove(conn->in, conn->in + conn->request_len, conn->in_len - conn->request_len);
		conn->in_len -= conn->request_len;
		conn->in[conn->in_len] = '\0';
		if (conn->server->early)
			conn->in_len = 0;
	}
}

static inline void peer_on_connection(uv_stream_t *listener, int status)
{
	(void)status;
	struct peer_http *server = listener->data;
	struct peer_conn *conn = pl_calloc(1, sizeof(*conn));
	conn->server = server;
	conn->handles = 2;
	uv_tcp_init(server->loop, &conn->tcp);
	uv_timer_init(server->loop, &conn->later);
	conn->tcp.data = conn->later.data = conn;
	server->connections++;
	server->open++;
	if (uv_accept(listener, (uv_stream_t *)&conn->tcp) != 0) {
		peer_close(conn);
		return;
	}
	uv_tcp_nodelay(&conn->tcp, 1);
	uv_read_start((uv_stream_t *)&conn->tcp, peer_room, peer_on_read);
}

static inline void peer_http_open(
	struct peer_http *server, uv_loop_t *loop, void (*serve)(struct peer_conn *conn))
{
	struct sockaddr_in any;
	int size = sizeof(any);
	memset(server, 0, sizeof(*server));
	server->loop = loop;
	server->serve = serve;
	uv_tcp_init(loop, &server->tcp);
	server->tcp.data = server;
	uv_ip4_addr("127.0.0.1", 0, &any);
	uv_tcp_bind(&server->tcp, (struct sockaddr *)&any, 0);
	uv_tcp_getsockname(&server->tcp, (struct sockaddr *)&any, &size);
	server->port = ntohs(any.sin_port);
	uv_listen((uv_stream_t *)&server->tcp, 1024, peer_on_connection);
}

#endif
