#include "lookup.h"

#include <string.h>
#include <utlist.h>

static void on_found(
	void *arg, enum pl_err err, const struct sockaddr_storage *addresses, size_t count)
{
	struct lookup *lookup = arg;
	lookup->err = err;
	if (err == PL_OK) {
		memcpy(lookup->addresses, addresses, count * sizeof(*addresses));
		lookup->count = count;
	}
	uv_sem_post(lookup->done); /* the handler goes on: lookup is not ours any more */
}

static struct lookup *take_waiting(struct lookups *lookups, bool stay_open)
{
	uv_mutex_lock(&lookups->lock);
	struct lookup *waiting = lookups->waiting;
	lookups->waiting = NULL;
	lookups->is_open = lookups->is_open && stay_open;
	uv_mutex_unlock(&lookups->lock);
	return waiting;
}

static void on_asked(uv_async_t *async)
{
	struct lookups *lookups = async->data;
	struct lookup *lookup = take_waiting(lookups, true), *next;
	for (; lookup != NULL; lookup = next) {
		next = lookup->next;
		(void)pl_resolver_find(
			lookups->resolver, lookup->host, (uint16_t)lookup->port, on_found, lookup);
	}
}

enum pl_err lookups_init(struct lookups *lookups, uv_loop_t *loop, const char *servers)
{
	const struct pl_resolver_options options = { .servers = servers };
	enum pl_err err = pl_resolver_new(loop, &options, &lookups->resolver);
	if (err != PL_OK)
		return err;
	PL_ASSERT(uv_mutex_init(&lookups->lock) == 0);
	PL_ASSERT(uv_async_init(loop, &lookups->asked, on_asked) == 0);
	lookups->asked.data = lookups;
	lookups->has_lock = lookups->is_open = true;
	return PL_OK;
}

/* How many of them are the loop's now: those post done. Sent under the lock, since a handle that
 * is being closed must not be sent to. */
static size_t ask(struct lookups *lookups, struct lookup *wanted, size_t count, uv_sem_t *done)
{
	size_t asked = 0;
	uv_mutex_lock(&lookups->lock);
	for (size_t i = 0; i < count; i++) {
		wanted[i].err = PL_OK;
		if (wanted[i].count > 0)
			continue;
		wanted[i].err = PL_ECLOSED;
		if (!lookups->is_open)
			continue;
		wanted[i].done = done;
		LL_PREPEND(lookups->waiting, &wanted[i]);
		asked++;
	}
	if (asked > 0)
		uv_async_send(&lookups->asked);
	uv_mutex_unlock(&lookups->lock);
	return asked;
}

void lookups_run(struct lookups *lookups, struct lookup *wanted, size_t count)
{
	uv_sem_t done;
	PL_ASSERT(uv_sem_init(&done, 0) == 0);
	for (size_t asked = ask(lookups, wanted, count, &done); asked > 0; asked--)
		uv_sem_wait(&done); /* the resolver's ceiling is this one's */
	uv_sem_destroy(&done);
}

static void on_async_closed(uv_handle_t *handle)
{
	struct lookups *lookups = handle->data;
	lookups->closed(lookups->closed_arg);
}

static void on_resolver_closed(void *arg)
{
	struct lookups *lookups = arg;
	uv_close((uv_handle_t *)&lookups->asked, on_async_closed);
}

void lookups_close(struct lookups *lookups, void (*closed)(void *arg), void *arg)
{
	struct lookup *lookup = take_waiting(lookups, false), *next;
	for (; lookup != NULL; lookup = next) {
		next = lookup->next;
		on_found(lookup, PL_ECLOSED, NULL, 0);
	}
	lookups->closed = closed;
	lookups->closed_arg = arg;
	pl_resolver_close(lookups->resolver, on_resolver_closed, lookups);
}

void lookups_fini(struct lookups *lookups)
{
	if (lookups->has_lock)
		uv_mutex_destroy(&lookups->lock);
}
