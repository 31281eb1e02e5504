/*
 * loop: sockets on one epoll, one thread. A conn hands over whole HTTP messages and takes bytes.
 *
 *   accept or connect -> opened -> [message -> conn_send]* -> closed, exactly once -> freed
 *
 * Memory   a message is borrowed until its handler returns. A conn lives until the end of the loop
 *          turn in which it was closed or, if it is held then, unheld.
 * Failure  any socket error closes the conn. What needs the system itself (epoll, memory) ends the
 *          process with 111: a judge that stumbles must not give a verdict.
 */
#ifndef LOAD_LOOP_H
#define LOAD_LOOP_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "http.h"

#define NS_PER_MS 1000000ull
#define NS_PER_S  1000000000ull
#define NEVER     UINT64_MAX

struct conn;
struct loop;

struct conn_events {
	void (*opened)(struct conn *conn); /* may be NULL */
	void (*message)(struct conn *conn, const struct http_message *message);
	void (*closed)(struct conn *conn); /* may be NULL */
};

/* What epoll points at. */
struct watch {
	void (*ready)(struct watch *watch, uint32_t events);
	int fd;
};

struct conn {
	struct watch watch;
	struct loop *loop;
	const struct conn_events *events;
	void *owner;  /* the role it works for */
	uint64_t tag; /* the role's own: which request it carries */
	char *in, *out;
	size_t in_len, in_room, out_len, out_room;
	size_t body_max;
	struct conn *next, **link; /* among the loop's live ones, later its dead ones */
	bool connecting, dead;
	bool held; /* messages and the memory wait until conn_unhold */
};

struct listener {
	struct watch watch;
	struct loop *loop;
	const struct conn_events *events;
	void *owner;
	size_t body_max;
	uint16_t port;
};

struct loop {
	int epoll;
	uint64_t now_ns; /* CLOCK_MONOTONIC, read once per event */
	struct conn *live, *dead;
};

void loop_init(struct loop *loop);
void loop_fini(struct loop *loop);
/* Waits for events until due_ns at the latest and handles them. */
void loop_turn(struct loop *loop, uint64_t due_ns);
uint64_t loop_clock(struct loop *loop); /* reads the clock into now_ns */

/* A port of the system's choice on 127.0.0.1. The listener must not move afterwards. */
void listener_open(struct listener *listener, struct loop *loop, const struct conn_events *events,
	void *owner, size_t body_max);
void listener_close(struct listener *listener);

struct conn *conn_connect(struct loop *loop, const struct sockaddr_in *address,
	const struct conn_events *events, void *owner, size_t body_max);
void conn_send(struct conn *conn, const char *data, size_t len);
void conn_close(struct conn *conn);
/* Keeps its memory beyond a close, and its messages waiting, until conn_unhold. */
void conn_hold(struct conn *conn);
void conn_unhold(struct conn *conn); /* handles what has come meanwhile */

_Noreturn void fail(const char *what);     /* says why (errno), exit 111 */
void *allocate(size_t count, size_t size); /* cleared, never NULL */

#endif
