#include "http_watch.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>

#include "http_sockets.h"
#include "pipeline/clock.h"
#include "pipeline/err.h"
#include "pipeline/mem.h"

#define NEVER    UINT64_MAX
#define SWEEP_MS 100 /* between two counts of a crowd */
#define LOOKS    8   /* for newcomers, in the time that a head may take */
/* Beside the threads' and the queue's: what listens, what comes or goes. */
#define SOCKETS_SPARE 16

struct http_newcomer { /* has sent no whole request yet */
	struct sockaddr_in peer;
	uint64_t since_ms;
};

void http_cond_init(pthread_cond_t *cond)
{
	pthread_condattr_t attr;
	PL_ASSERT(pthread_condattr_init(&attr) == 0);
	PL_ASSERT(pthread_condattr_setclock(&attr, CLOCK_MONOTONIC) == 0);
	PL_ASSERT(pthread_cond_init(cond, &attr) == 0);
	(void)pthread_condattr_destroy(&attr);
}

void http_cond_wait(pthread_cond_t *cond, pthread_mutex_t *lock, uint64_t until_ms)
{
	if (until_ms == NEVER) {
		(void)pthread_cond_wait(cond, lock);
		return;
	}
	struct timespec until = {
		.tv_sec = (time_t)(until_ms / 1000),
		.tv_nsec = (long)(until_ms % 1000) * 1000000,
	};
	(void)pthread_cond_timedwait(cond, lock, &until); /* the caller looks at its clock */
}

static void wake_by(struct http_watch *watch, uint64_t when_ms)
{
	if (when_ms >= watch->wake_ms)
		return;
	watch->wake_ms = when_ms;
	(void)pthread_cond_signal(&watch->wake);
}

/* With all threads taken, newcomers wait in civetweb's queue, where only a look can find them. */
static bool is_crowded(const struct http_watch *watch)
{
	return watch->per_address > 0 && watch->open > watch->per_address &&
	       (watch->known < watch->open || watch->open == watch->threads);
}

static bool is_known(const struct http_watch *watch, const struct sockaddr_in *peer)
{
	for (const struct http_watched *w = watch->first; w != NULL; w = w->next)
		if (w->is_known && http_same_peer(&w->peer, peer))
			return true;
	return false;
}

static unsigned known_of_address(const struct http_watch *watch, in_addr_t address)
{
	unsigned count = 0;
	for (const struct http_watched *w = watch->first; w != NULL; w = w->next)
		count += w->is_known && w->peer.sin_addr.s_addr == address;
	return count;
}

/* Drops from found what has its place or listens, so that only silent newcomers are left. */
static size_t keep_newcomers(const struct http_watch *watch, size_t count)
{
	size_t kept = 0;
	for (size_t i = 0; i < count; i++) {
		const struct http_socket *s = &watch->found[i];
		if (s->peer.sin_port != 0 && !is_known(watch, &s->peer))
			watch->found[kept++] = *s;
	}
	return kept;
}

static void cut_surplus(struct http_watch *watch)
{
	size_t count = http_sockets_find(watch->port, watch->found, watch->found_max);
	count = keep_newcomers(watch, count);
	for (size_t i = 0; i < count; i++) {
		in_addr_t address = watch->found[i].peer.sin_addr.s_addr;
		unsigned before = known_of_address(watch, address);
		for (size_t k = 0; k < i; k++)
			before += watch->found[k].peer.sin_addr.s_addr == address;
		if (before >= watch->per_address)
			http_socket_cut(&watch->found[i], watch->port, SHUT_RDWR);
	}
}

static void cut_one(struct http_watch *watch, const struct sockaddr_in *peer, int how)
{
	if (peer->sin_port == 0) /* never sent a request: cut_silent sees to it */
		return;
	size_t count = http_sockets_find(watch->port, watch->found, watch->found_max);
	for (size_t i = 0; i < count; i++)
		if (http_same_peer(&watch->found[i].peer, peer))
			http_socket_cut(&watch->found[i], watch->port, how);
}

/* Returns the earliest deadline that is left. */
static uint64_t cut_late(struct http_watch *watch, uint64_t now)
{
	uint64_t next = NEVER;
	for (struct http_watched *w = watch->first; w != NULL; w = w->next) {
		if (w->deadline_ms <= now) {
			w->is_late = true;
			w->deadline_ms = NEVER;
			cut_one(watch, &w->peer, w->how);
		}
		if (w->deadline_ms < next)
			next = w->deadline_ms;
	}
	return next;
}

static uint64_t look_ms(const struct http_watch *watch)
{
	return watch->head_ms / LOOKS;
}

static bool has_unread(int fd)
{
	int unread = 0;
	return ioctl(fd, FIONREAD, &unread) == 0 && unread > 0;
}

/* Since when the watch knows it. */
static uint64_t since_of(
	const struct http_watch *watch, size_t before, const struct sockaddr_in *peer, uint64_t now)
{
	for (size_t i = 0; i < before; i++)
		if (http_same_peer(&watch->newcomers_before[i].peer, peer))
			return watch->newcomers_before[i].since_ms;
	return now;
}

/* Only reading ends: who has sent something is told. */
static void cut_silent(struct http_watch *watch, uint64_t now)
{
	size_t before = watch->newcomers_count;
	struct http_newcomer *last = watch->newcomers;
	watch->newcomers = watch->newcomers_before;
	watch->newcomers_before = last;
	size_t count = http_sockets_find(watch->port, watch->found, watch->found_max);
	count = keep_newcomers(watch, count);
	for (size_t i = 0; i < count; i++) {
		const struct http_socket *s = &watch->found[i];
		uint64_t since_ms = since_of(watch, before, &s->peer, now);
		watch->newcomers[i] = (struct http_newcomer) { s->peer, since_ms };
		if (since_ms + watch->head_ms <= now && !has_unread(s->fd))
			http_socket_cut(s, watch->port, SHUT_RD);
	}
	watch->newcomers_count = count;
}

static void *run(void *arg)
{
	struct http_watch *watch = arg;
	(void)pthread_mutex_lock(&watch->lock);
	while (!watch->ends) {
		uint64_t now = pl_clock_mono_ms();
		uint64_t next = cut_late(watch, now);
		if (is_crowded(watch)) {
			cut_surplus(watch);
			if (next > now + SWEEP_MS)
				next = now + SWEEP_MS;
		}
		if (watch->known < watch->open) {
			cut_silent(watch, now);
			if (next > now + look_ms(watch))
				next = now + look_ms(watch);
		} else {
			watch->newcomers_count = 0;
		}
		watch->wake_ms = next;
		http_cond_wait(&watch->wake, &watch->lock, next);
	}
	(void)pthread_mutex_unlock(&watch->lock);
	return NULL;
}

static void free_room(struct http_watch *watch)
{
	free(watch->found);
	free(watch->newcomers);
	free(watch->newcomers_before);
}

int http_watch_start(struct http_watch *watch, uint64_t head_ms, unsigned per_address,
	unsigned threads, unsigned queue)
{
	size_t sockets = threads + queue + SOCKETS_SPARE;
	PL_ASSERT(head_ms >= LOOKS);
	*watch = (struct http_watch) {
		.head_ms = head_ms,
		.per_address = per_address,
		.threads = threads,
		.wake_ms = NEVER,
		.found = pl_calloc(sockets, sizeof(*watch->found)),
		.found_max = sockets,
		.newcomers = pl_calloc(sockets, sizeof(*watch->newcomers)),
		.newcomers_before = pl_calloc(sockets, sizeof(*watch->newcomers)),
	};
	PL_ASSERT(pthread_mutex_init(&watch->lock, NULL) == 0);
	http_cond_init(&watch->wake);
	int error = pthread_create(&watch->thread, NULL, run, watch);
	if (error != 0)
		free_room(watch);
	return error;
}

void http_watch_stop(struct http_watch *watch)
{
	(void)pthread_mutex_lock(&watch->lock);
	PL_ASSERT(watch->first == NULL);
	watch->ends = true;
	(void)pthread_cond_signal(&watch->wake);
	(void)pthread_mutex_unlock(&watch->lock);
	(void)pthread_join(watch->thread, NULL);
	(void)pthread_cond_destroy(&watch->wake);
	(void)pthread_mutex_destroy(&watch->lock);
	free_room(watch);
}

void http_watch_set_port(struct http_watch *watch, unsigned port)
{
	(void)pthread_mutex_lock(&watch->lock);
	watch->port = port;
	(void)pthread_mutex_unlock(&watch->lock);
}

void http_watch_add(struct http_watch *watch, struct http_watched *watched)
{
	(void)pthread_mutex_lock(&watch->lock);
	*watched = (struct http_watched) { .next = watch->first, .deadline_ms = NEVER };
	watch->first = watched;
	(void)pthread_mutex_unlock(&watch->lock);
}

void http_watch_remove(struct http_watch *watch, struct http_watched *watched)
{
	(void)pthread_mutex_lock(&watch->lock);
	struct http_watched **at = &watch->first;
	while (*at != watched)
		at = &(*at)->next;
	*at = watched->next;
	(void)pthread_mutex_unlock(&watch->lock);
}

void http_watch_opened(struct http_watch *watch)
{
	uint64_t now = pl_clock_mono_ms();
	(void)pthread_mutex_lock(&watch->lock);
	watch->open++;
	wake_by(watch, now + look_ms(watch));
	if (is_crowded(watch))
		wake_by(watch, now + SWEEP_MS);
	(void)pthread_mutex_unlock(&watch->lock);
}

bool http_watch_admit(
	struct http_watch *watch, struct http_watched *watched, const struct sockaddr_in *peer)
{
	(void)pthread_mutex_lock(&watch->lock);
	bool has_room = watch->per_address == 0 ||
			known_of_address(watch, peer->sin_addr.s_addr) < watch->per_address;
	watched->peer = *peer;
	watched->is_known = has_room;
	watch->known += has_room;
	(void)pthread_mutex_unlock(&watch->lock);
	return has_room;
}

void http_watch_closed(struct http_watch *watch, struct http_watched *watched)
{
	(void)pthread_mutex_lock(&watch->lock);
	watch->open--;
	watch->known -= watched->is_known;
	watched->is_known = false;
	watched->peer = (struct sockaddr_in) { 0 };
	(void)pthread_mutex_unlock(&watch->lock);
}

void http_watch_arm(struct http_watch *watch, struct http_watched *watched, uint64_t ms, int how)
{
	uint64_t deadline_ms = pl_clock_mono_ms() + ms;
	(void)pthread_mutex_lock(&watch->lock);
	watched->deadline_ms = deadline_ms;
	watched->how = how;
	watched->is_late = false;
	wake_by(watch, deadline_ms);
	(void)pthread_mutex_unlock(&watch->lock);
}

bool http_watch_disarm(struct http_watch *watch, struct http_watched *watched)
{
	(void)pthread_mutex_lock(&watch->lock);
	watched->deadline_ms = NEVER;
	bool was_late = watched->is_late;
	(void)pthread_mutex_unlock(&watch->lock);
	return was_late;
}

void http_watch_cut_all(struct http_watch *watch)
{
	(void)pthread_mutex_lock(&watch->lock);
	size_t count = http_sockets_find(watch->port, watch->found, watch->found_max);
	for (size_t i = 0; i < count; i++)
		http_socket_cut(&watch->found[i], watch->port, SHUT_RDWR);
	(void)pthread_mutex_unlock(&watch->lock);
}
