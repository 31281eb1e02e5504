/*
 * http_watch: a thread that ends what blocks for too long on the server's connections.
 *
 *   thread of the server   arm -> blocking read or write -> disarm: was it cut?
 *   watch                  sleeps until the earliest deadline; cuts the socket that missed its own
 *
 * It also keeps one address from taking every thread with connections that say nothing: while more
 * are open than one address may have, and some of them have not sent a request yet, it counts the
 * process' sockets ten times a second and cuts the surplus among the silent ones.
 *
 * civetweb does not tell whose connection a thread has before its first request is whole. While
 * some have sent none, the watch looks through the process' sockets for such newcomers, and cuts
 * those that it has known for head_ms; one with unread bytes waits for a thread, and that is no
 * fault of its client's.
 * Threads  every call locks; none blocks for longer than a look through the descriptors.
 */
#ifndef PIPELINE_HTTP_WATCH_H
#define PIPELINE_HTTP_WATCH_H

#include <netinet/in.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct http_watched { /* one thread's connection; guarded by the watch's lock */
	struct http_watched *next;
	bool is_known; /* has sent a request, has its place */
	bool is_late;  /* was cut */
	int how;       /* of shutdown(2) */
	struct sockaddr_in peer;
	uint64_t deadline_ms;
};

struct http_watch {
	pthread_mutex_t lock;
	pthread_cond_t wake;
	pthread_t thread;
	unsigned port;
	uint64_t head_ms;
	unsigned per_address; /* 0: any number */
	unsigned threads;
	unsigned open;    /* connections on threads now */
	unsigned known;   /* of these, such as have sent a request */
	uint64_t wake_ms; /* when the watch looks next */
	bool ends;
	struct http_watched *first;
	struct http_socket *found; /* room for one look */
	size_t found_max;
	/* As many: of this look, and of the last. */
	struct http_newcomer *newcomers, *newcomers_before;
	size_t newcomers_count;
};

/* 0, or errno. queue: connections that may wait for a thread. */
int http_watch_start(struct http_watch *watch, uint64_t head_ms, unsigned per_address,
	unsigned threads, unsigned queue);
/* No thread of the server may be left. */
void http_watch_stop(struct http_watch *watch);
void http_watch_set_port(struct http_watch *watch, unsigned port);

void http_watch_add(struct http_watch *watch, struct http_watched *watched);
void http_watch_remove(struct http_watch *watch, struct http_watched *watched);

void http_watch_opened(struct http_watch *watch);
/* Its first request; false when its address has as many connections as it may. */
bool http_watch_admit(
	struct http_watch *watch, struct http_watched *watched, const struct sockaddr_in *peer);
void http_watch_closed(struct http_watch *watch, struct http_watched *watched);

void http_watch_arm(struct http_watch *watch, struct http_watched *watched, uint64_t ms, int how);
bool http_watch_disarm(struct http_watch *watch, struct http_watched *watched);

/* Every socket of the server, the listening ones too. */
void http_watch_cut_all(struct http_watch *watch);

/* A pthread_cond_t that counts in pl_clock_mono_ms, and the wait on it. */
void http_cond_init(pthread_cond_t *cond);
void http_cond_wait(pthread_cond_t *cond, pthread_mutex_t *lock, uint64_t until_ms);

#endif
