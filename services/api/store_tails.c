/*
 * Who follows requests: a list of tails, each asleep in its handler's thread until the loop hears
 * that its request has grown.
 *
 * Nothing is missed: a tail asks Redis to watch its request and then reads it, both over one
 * connection, in this order. What is appended after that is news; what may have been appended while
 * news could not come wakes all of them, and so does a Redis that is back, as it may have forgotten
 * what is watched.
 */
#include <string.h>
#include <utlist.h>

#include "pipeline/mem.h"
#include "store_private.h"

#define WATCH_S 60 /* a tail looks at least once a heartbeat: four times as often */

void store_tails_init(struct store_tails *tails)
{
	int failed = uv_mutex_init(&tails->lock);
	PL_ASSERT(failed == 0);
	tails->first = NULL;
}

void store_tails_fini(struct store_tails *tails)
{
	PL_ASSERT(tails->first == NULL);
	uv_mutex_destroy(&tails->lock);
}

void store_tails_news(struct store_tails *tails, const char *id)
{
	struct store_tail *tail;
	uv_mutex_lock(&tails->lock);
	DL_FOREACH(tails->first, tail)
	{
		if (*id == '\0' || strcmp(tail->id, id) == 0) {
			tail->has_news = true;
			uv_cond_signal(&tail->news);
		}
	}
	uv_mutex_unlock(&tails->lock);
}

void store_tails_wake(struct store *store)
{
	store_tails_news(&store->tails, "");
}

void store_tail_open(struct store *store, const char *id, struct store_tail *tail)
{
	*tail = (struct store_tail) { .id = id };
	int failed = uv_cond_init(&tail->news);
	PL_ASSERT(failed == 0);
	uv_mutex_lock(&store->tails.lock);
	DL_APPEND(store->tails.first, tail);
	uv_mutex_unlock(&store->tails.lock);
}

void store_tail_close(struct store *store, struct store_tail *tail)
{
	uv_mutex_lock(&store->tails.lock);
	DL_DELETE(store->tails.first, tail);
	uv_mutex_unlock(&store->tails.lock);
	uv_cond_destroy(&tail->news);
}

enum pl_err store_tail_find(struct store *store, struct store_tail *tail, struct store_found *out)
{
	uv_mutex_lock(&store->tails.lock);
	tail->has_news = false; /* before the look: news that come meanwhile stay news */
	uv_mutex_unlock(&store->tails.lock);
	return store_find_watched(store, tail->id, WATCH_S, out);
}

bool store_tail_wait(struct store *store, struct store_tail *tail, uint64_t ms)
{
	uint64_t until_ns = uv_hrtime() + ms * 1000000, now_ns;
	uv_mutex_lock(&store->tails.lock);
	while (!tail->has_news && (now_ns = uv_hrtime()) < until_ns)
		(void)uv_cond_timedwait(&tail->news, &store->tails.lock, until_ns - now_ns);
	bool has_news = tail->has_news;
	uv_mutex_unlock(&store->tails.lock);
	return has_news;
}
