#include "http_threads.h"

#include "pipeline/err.h"

void http_threads_init(struct http_threads *threads)
{
	*threads = (struct http_threads) { .wanted = HTTP_THREADS_SPARE };
	PL_ASSERT(pthread_mutex_init(&threads->lock, NULL) == 0);
	PL_ASSERT(pthread_cond_init(&threads->door, NULL) == 0);
}

void http_threads_fini(struct http_threads *threads)
{
	(void)pthread_cond_destroy(&threads->door);
	(void)pthread_mutex_destroy(&threads->lock);
}

void http_threads_enter(struct http_threads *threads)
{
	(void)pthread_mutex_lock(&threads->lock);
	threads->at_door++;
	while (threads->inside >= threads->wanted && !threads->is_open)
		(void)pthread_cond_wait(&threads->door, &threads->lock);
	threads->at_door--;
	threads->inside++;
	(void)pthread_mutex_unlock(&threads->lock);
}

void http_threads_busy(struct http_threads *threads)
{
	(void)pthread_mutex_lock(&threads->lock);
	threads->busy++;
	if (threads->busy + HTTP_THREADS_SPARE > threads->wanted) {
		threads->wanted = threads->busy + HTTP_THREADS_SPARE;
		(void)pthread_cond_signal(&threads->door);
	}
	(void)pthread_mutex_unlock(&threads->lock);
}

void http_threads_idle(struct http_threads *threads)
{
	(void)pthread_mutex_lock(&threads->lock);
	threads->busy--;
	(void)pthread_mutex_unlock(&threads->lock);
}

void http_threads_open(struct http_threads *threads)
{
	(void)pthread_mutex_lock(&threads->lock);
	threads->is_open = true;
	(void)pthread_cond_broadcast(&threads->door);
	(void)pthread_mutex_unlock(&threads->lock);
}
