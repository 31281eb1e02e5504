/*
 * http_threads: the server's threads come to work as connections need them.
 *
 *   civetweb starts all --> wait at the door --enter--> serve one connection after another
 *
 * civetweb starts every thread at once, and a thread that has begun to serve holds a connection, a
 * buffer and a worker of ours for good, whether it ever gets a connection or not. Behind the door
 * it holds its stack alone. A few more than have a connection are inside, so that no newcomer waits
 * for a thread to wake; who is inside stays.
 * Threads  every call locks, once a connection; enter blocks until there is work or the end.
 */
#ifndef PIPELINE_HTTP_THREADS_H
#define PIPELINE_HTTP_THREADS_H

#include <pthread.h>
#include <stdbool.h>

/* Inside without a connection: a burst meets them while others wake. */
#define HTTP_THREADS_SPARE 4

struct http_threads { /* guarded by lock */
	pthread_mutex_t lock;
	pthread_cond_t door;
	unsigned at_door;
	unsigned inside;
	unsigned wanted; /* inside; never falls */
	unsigned busy;   /* with a connection */
	bool is_open;    /* everybody may enter */
};

void http_threads_init(struct http_threads *threads);
/* Nobody may wait at the door. */
void http_threads_fini(struct http_threads *threads);

void http_threads_enter(struct http_threads *threads);
void http_threads_busy(struct http_threads *threads);
void http_threads_idle(struct http_threads *threads);
/* For the end: civetweb joins its threads, and only who is inside can be told. */
void http_threads_open(struct http_threads *threads);

#endif
