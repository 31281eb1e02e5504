#include "loop.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define EXIT_SYSTEM    111
#define EVENTS_MAX     256
#define ACCEPTS_A_TURN 64
#define IN_ROOM_FIRST  2048 /* holds a 256-byte exchange; 10,000 held connections stay at 20 MB */
#define BACKLOG        4096

void fail(const char *what)
{
	fprintf(stderr, "fetchback-load: %s: %s\n", what, strerror(errno));
	exit(EXIT_SYSTEM);
}

void *allocate(size_t count, size_t size)
{
	void *memory = calloc(count, size);

	if (!memory)
		fail("memory");
	return memory;
}

static void grow(char **data, size_t *room, size_t need)
{
	if (need <= *room)
		return;
	size_t bigger = *room ? *room : IN_ROOM_FIRST;
	while (bigger < need)
		bigger *= 2;
	char *moved = realloc(*data, bigger);
	if (!moved)
		fail("memory");
	*data = moved;
	*room = bigger;
}

uint64_t loop_clock(struct loop *loop)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	loop->now_ns = (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
	return loop->now_ns;
}

static void watch_add(struct loop *loop, struct watch *watch, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.ptr = watch };

	if (epoll_ctl(loop->epoll, EPOLL_CTL_ADD, watch->fd, &event) != 0)
		fail("epoll_ctl");
}

static void watch_change(struct loop *loop, struct watch *watch, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.ptr = watch };

	if (epoll_ctl(loop->epoll, EPOLL_CTL_MOD, watch->fd, &event) != 0)
		fail("epoll_ctl");
}

static void conn_list(struct conn **list, struct conn *conn)
{
	conn->next = *list;
	conn->link = list;
	if (conn->next)
		conn->next->link = &conn->next;
	*list = conn;
}

static void conn_unlist(struct conn *conn)
{
	*conn->link = conn->next;
	if (conn->next)
		conn->next->link = conn->link;
}

static void conn_free(struct conn *conn)
{
	conn_unlist(conn);
	free(conn->in);
	free(conn->out);
	free(conn);
}

/* A held one is still known to its holder. */
static void bury_dead(struct loop *loop, bool held_too)
{
	for (struct conn *conn = loop->dead, *next; conn; conn = next) {
		next = conn->next;
		if (held_too || !conn->held)
			conn_free(conn);
	}
}

void loop_init(struct loop *loop)
{
	*loop = (struct loop) { .epoll = epoll_create1(EPOLL_CLOEXEC) };
	if (loop->epoll < 0)
		fail("epoll_create1");
	loop_clock(loop);
}

void loop_fini(struct loop *loop)
{
	while (loop->live)
		conn_close(loop->live);
	bury_dead(loop, true);
	close(loop->epoll);
}

void loop_turn(struct loop *loop, uint64_t due_ns)
{
	struct epoll_event events[EVENTS_MAX];
	uint64_t wait_ns = due_ns > loop->now_ns ? due_ns - loop->now_ns : 0;
	struct timespec wait = { .tv_sec = (time_t)(wait_ns / NS_PER_S),
		.tv_nsec = (long)(wait_ns % NS_PER_S) };

	int count = epoll_pwait2(loop->epoll, events, EVENTS_MAX, &wait, NULL);
	if (count < 0 && errno != EINTR)
		fail("epoll_pwait2");
	loop_clock(loop);
	for (int i = 0; i < count; i++) {
		struct watch *watch = events[i].data.ptr;
		watch->ready(watch, events[i].events);
		loop_clock(loop);
	}
	bury_dead(loop, false);
}

void conn_close(struct conn *conn)
{
	if (conn->dead)
		return;
	conn->dead = true;
	close(conn->watch.fd);
	if (conn->events->closed)
		conn->events->closed(conn);
	conn_unlist(conn);
	conn_list(&conn->loop->dead, conn);
}

static void conn_messages(struct conn *conn)
{
	size_t at = 0;

	while (!conn->dead && !conn->held && at < conn->in_len) {
		struct http_message message;
		enum http_state state =
			http_parse(conn->in + at, conn->in_len - at, conn->body_max, &message);
		if (state == HTTP_MORE)
			break;
		if (state == HTTP_BAD) {
			conn_close(conn);
			return;
		}
		at += message.whole;
		conn->events->message(conn, &message);
		if (message.close && !conn->held)
			conn_close(conn);
	}
	if (at > 0) {
		conn->in_len -= at;
		memmove(conn->in, conn->in + at, conn->in_len);
	}
}

static void conn_read(struct conn *conn)
{
	if (conn->in_len + IN_ROOM_FIRST / 2 > conn->in_room)
		grow(&conn->in, &conn->in_room, conn->in_len + IN_ROOM_FIRST);
	ssize_t got =
		recv(conn->watch.fd, conn->in + conn->in_len, conn->in_room - conn->in_len, 0);
	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (got <= 0) {
		conn_close(conn);
		return;
	}
	conn->in_len += (size_t)got;
	conn_messages(conn);
}

static void conn_flush(struct conn *conn)
{
	ssize_t sent = send(conn->watch.fd, conn->out, conn->out_len, MSG_NOSIGNAL);

	if (sent < 0 && errno != EAGAIN && errno != EINTR) {
		conn_close(conn);
		return;
	}
	if (sent > 0) {
		conn->out_len -= (size_t)sent;
		memmove(conn->out, conn->out + sent, conn->out_len);
	}
	if (conn->out_len == 0)
		watch_change(conn->loop, &conn->watch, EPOLLIN);
}

static void conn_connected(struct conn *conn)
{
	int error = 0;
	socklen_t len = sizeof error;

	getsockopt(conn->watch.fd, SOL_SOCKET, SO_ERROR, &error, &len);
	if (error) {
		conn_close(conn);
		return;
	}
	conn->connecting = false;
	watch_change(conn->loop, &conn->watch, EPOLLIN);
	if (conn->events->opened)
		conn->events->opened(conn);
}

static void conn_ready(struct watch *watch, uint32_t events)
{
	struct conn *conn = (struct conn *)watch; /* its first member */

	if (conn->dead)
		return;
	if (conn->connecting) {
		conn_connected(conn);
		return;
	}
	if (events & EPOLLOUT)
		conn_flush(conn);
	if (!conn->dead && (events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
		conn_read(conn);
}

static struct conn *conn_new(
	struct loop *loop, int fd, const struct conn_events *events, void *owner, size_t body_max)
{
	struct conn *conn = allocate(1, sizeof *conn);

	*conn = (struct conn) { .watch = { .ready = conn_ready, .fd = fd },
		.loop = loop,
		.events = events,
		.owner = owner,
		.body_max = body_max };
	conn_list(&loop->live, conn);
	return conn;
}

static void no_delay(int fd)
{
	int on = 1;

	if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) != 0)
		fail("TCP_NODELAY");
}

struct conn *conn_connect(struct loop *loop, const struct sockaddr_in *address,
	const struct conn_events *events, void *owner, size_t body_max)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		fail("socket");
	no_delay(fd);
	struct conn *conn = conn_new(loop, fd, events, owner, body_max);
	conn->connecting = true;
	/* Whatever connect says at once, SO_ERROR says again when epoll wakes us. */
	(void)connect(fd, (const struct sockaddr *)address, sizeof *address);
	watch_add(loop, &conn->watch, EPOLLOUT);
	return conn;
}

void conn_send(struct conn *conn, const char *data, size_t len)
{
	if (conn->dead)
		return;
	if (conn->out_len == 0) {
		ssize_t sent = send(conn->watch.fd, data, len, MSG_NOSIGNAL);
		if (sent == (ssize_t)len)
			return;
		if (sent < 0 && errno != EAGAIN && errno != EINTR) {
			conn_close(conn);
			return;
		}
		if (sent > 0) {
			data += sent;
			len -= (size_t)sent;
		}
		watch_change(conn->loop, &conn->watch, EPOLLIN | EPOLLOUT);
	}
	grow(&conn->out, &conn->out_room, conn->out_len + len);
	memcpy(conn->out + conn->out_len, data, len);
	conn->out_len += len;
}

void conn_hold(struct conn *conn)
{
	conn->held = true;
}

void conn_unhold(struct conn *conn)
{
	conn->held = false;
	if (!conn->dead)
		conn_messages(conn);
}

static void listener_ready(struct watch *watch, uint32_t events)
{
	struct listener *listener = (struct listener *)watch; /* its first member */

	(void)events; /* a listener has only one kind */
	for (int i = 0; i < ACCEPTS_A_TURN; i++) {
		int fd = accept4(watch->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd < 0 && (errno == EAGAIN || errno == ECONNABORTED || errno == EINTR))
			return;
		if (fd < 0)
			fail("accept");
		struct conn *conn = conn_new(
			listener->loop, fd, listener->events, listener->owner, listener->body_max);
		watch_add(listener->loop, &conn->watch, EPOLLIN);
	}
}

void listener_open(struct listener *listener, struct loop *loop, const struct conn_events *events,
	void *owner, size_t body_max)
{
	struct sockaddr_in address = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof address;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		fail("socket");
	no_delay(fd); /* accepted sockets inherit it */
	if (bind(fd, (struct sockaddr *)&address, sizeof address) != 0 ||
		listen(fd, BACKLOG) != 0 || getsockname(fd, (struct sockaddr *)&address, &len) != 0)
		fail("listen");
	*listener = (struct listener) { .watch = { .ready = listener_ready, .fd = fd },
		.loop = loop,
		.events = events,
		.owner = owner,
		.body_max = body_max,
		.port = ntohs(address.sin_port) };
	watch_add(loop, &listener->watch, EPOLLIN);
}

void listener_close(struct listener *listener)
{
	close(listener->watch.fd);
}
