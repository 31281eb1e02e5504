/*
 * What people do to requests and queues.
 *
 * A change to a request that a worker holds is written at once, and the worker is told; the change
 * then waits until that worker has let go. News of it is only a hint: it makes the store look
 * again, and what the queue says then is the answer. So news of an older hold, or news that a lost
 * connection swallowed, makes nobody believe what is not so.
 *
 *   ASKED --HELD--> HELD --news--> LOOKING --SAME--> OVER
 *     '--any other answer--> OVER     '--HELD--> HELD --STORE_LET_GO_MS--> OVER, still held
 */
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "pipeline/clock.h"
#include "pipeline/mem.h"
#include "store_private.h"

#define ALTERS_UNDERWAY_MAX 64 /* of one call: others' calls come in between */

enum change_step { CHANGE_ASKED, CHANGE_HELD, CHANGE_LOOKING, CHANGE_OVER };

struct change_item {
	struct store_change *change;
	const char *id;
	struct store_altered *out;
	enum change_step step;
	bool heard; /* news came while an answer was awaited */
};

struct store_change {
	struct store_wait wait;
	struct store_change *prev, *next;
	struct pl_alteration alteration; /* of each item, but for its id */
	struct change_item *items;
	size_t count, begun, underway, open; /* open: not OVER yet */
	uint64_t deadline_ms;                /* monotonic; of what is held */
};

static void watch_patience(struct store *store);

static void end_item(struct change_item *item)
{
	struct store_change *change = item->change;
	struct store *store = change->wait.store;
	item->step = CHANGE_OVER;
	if (--change->open > 0)
		return;
	DL_DELETE(store->changes, change);
	store_finish(&change->wait, PL_OK, "");
}

static void look(struct change_item *item);

static void on_looked(void *arg, enum pl_err err, enum pl_altered answer)
{
	struct change_item *item = arg;
	struct store *store = item->change->wait.store;
	item->step = CHANGE_HELD;
	item->out->still_held = err != PL_OK || answer == PL_ALTERED_HELD;
	if (!item->out->still_held || pl_clock_mono_ms() >= item->change->deadline_ms)
		end_item(item);
	else if (item->heard)
		look(item);
	else
		watch_patience(store);
}

static void look(struct change_item *item)
{
	item->step = CHANGE_LOOKING;
	item->heard = false;
	const struct pl_alteration look = { .verb = PL_ALTER_LOOK, .id = item->id, .owner = "" };
	pl_queue_alter(item->change->wait.store->queue, &look, on_looked, item);
}

static void ask_next(struct store_change *change);

static void on_altered(void *arg, enum pl_err err, enum pl_altered answer)
{
	struct change_item *item = arg;
	struct store_change *change = item->change;
	change->underway--;
	ask_next(change);
	item->out->err = err;
	item->out->answer = answer;
	if (err != PL_OK || answer != PL_ALTERED_HELD) {
		end_item(item);
		return;
	}
	change->deadline_ms = pl_clock_mono_ms() + STORE_LET_GO_MS;
	item->step = CHANGE_HELD;
	item->out->still_held = true;
	if (item->heard)
		look(item);
	else
		watch_patience(change->wait.store);
}

static void ask_next(struct store_change *change)
{
	struct store *store = change->wait.store;
	while (change->begun < change->count && change->underway < ALTERS_UNDERWAY_MAX) {
		struct change_item *item = &change->items[change->begun++];
		change->underway++;
		change->alteration.id = item->id;
		pl_queue_alter(store->queue, &change->alteration, on_altered, item);
	}
}

static void begin_change(struct store_wait *wait)
{
	struct store_change *change = (struct store_change *)wait;
	DL_APPEND(wait->store->changes, change);
	ask_next(change);
}

/* Calls back with every item of every change; a change may end on the way. */
static void each_item(struct store *store, void (*visit)(struct change_item *item, const void *arg),
	const void *arg)
{
	struct store_change *change, *next;
	DL_FOREACH_SAFE(store->changes, change, next)
	{
		size_t left = change->open;
		for (size_t i = 0; left > 0 && i < change->begun; i++) {
			if (change->items[i].step == CHANGE_OVER)
				continue;
			left--; /* the last visit may end the change, and its memory */
			visit(&change->items[i], arg);
		}
	}
}

static void hear(struct change_item *item, const void *arg)
{
	const char *id = arg;
	if (*id != '\0' && strcmp(id, item->id) != 0)
		return;
	if (item->step == CHANGE_HELD)
		look(item);
	else
		item->heard = true;
}

void store_let_go(struct store *store, const char *id)
{
	each_item(store, hear, id);
}

static void give_up_late(struct change_item *item, const void *arg)
{
	const uint64_t *now = arg;
	if (item->step == CHANGE_HELD && *now >= item->change->deadline_ms)
		end_item(item);
}

static void on_patience(uv_timer_t *timer)
{
	struct store *store = timer->data;
	uint64_t now = pl_clock_mono_ms();
	each_item(store, give_up_late, &now);
	watch_patience(store);
}

static void find_earliest(struct change_item *item, const void *arg)
{
	uint64_t *const *earliest = arg;
	if (item->step == CHANGE_HELD && item->change->deadline_ms < **earliest)
		**earliest = item->change->deadline_ms;
}

/* Until the earliest deadline; there is none while nothing is held. */
static void watch_patience(struct store *store)
{
	uint64_t earliest = UINT64_MAX, now = pl_clock_mono_ms(), *at = &earliest;
	each_item(store, find_earliest, &at);
	if (earliest == UINT64_MAX)
		uv_timer_stop(&store->patience);
	else
		uv_timer_start(
			&store->patience, on_patience, earliest > now ? earliest - now : 0, 0);
}

void store_control_init(struct store *store)
{
	uv_timer_init(&store->loop, &store->patience);
	store->patience.data = store;
}

static void give_up(struct change_item *item, const void *arg)
{
	(void)arg;
	end_item(item);
}

void store_control_end(struct store *store)
{
	each_item(store, give_up, NULL);
	uv_close((uv_handle_t *)&store->patience, NULL);
}

void store_alter_all(struct store *store, enum pl_alter verb, const char *const *ids, size_t count,
	const char *owner, struct store_altered *out)
{
	if (count == 0)
		return;
	struct store_change change = {
		.wait.begin = begin_change,
		.alteration = { .verb = verb, .owner = owner, .queue_max = store->queue_max },
		.items = pl_calloc(count, sizeof *change.items),
		.count = count,
		.open = count,
	};
	for (size_t i = 0; i < count; i++) {
		out[i] = (struct store_altered) { .err = PL_EREDIS, .answer = PL_ALTERED_NOT };
		change.items[i] =
			(struct change_item) { .change = &change, .id = ids[i], .out = &out[i] };
	}
	enum pl_err err = store_call(store, &change.wait);
	for (size_t i = 0; i < count && err != PL_OK; i++)
		out[i].err = err; /* none was asked */
	free(change.items);
}

void store_alter(struct store *store, enum pl_alter verb, const char *id, const char *owner,
	struct store_altered *out)
{
	store_alter_all(store, verb, &id, 1, owner, out);
}

/* ---- queues ---- */

struct hold_wait {
	struct store_wait wait;
	enum pl_stage stage;
	bool hold;
};

static void on_held(void *arg, enum pl_err err, const char *why)
{
	struct hold_wait *hold = arg;
	store_finish(&hold->wait, err, why);
}

static void begin_hold(struct store_wait *wait)
{
	struct hold_wait *hold = (struct hold_wait *)wait;
	pl_queue_hold(wait->store->queue, hold->stage, hold->hold, on_held, hold);
}

enum pl_err store_hold(struct store *store, enum pl_stage stage, bool hold)
{
	struct hold_wait wait = { .wait.begin = begin_hold, .stage = stage, .hold = hold };
	return store_call(store, &wait.wait);
}

struct queues_wait {
	struct store_wait wait;
	struct pl_queues *out;
};

static void on_queues(void *arg, enum pl_err err, const struct pl_queues *queues)
{
	struct queues_wait *wait = arg;
	if (err == PL_OK)
		*wait->out = *queues;
	store_finish(&wait->wait, err, pl_err_name(err));
}

static void begin_queues(struct store_wait *wait)
{
	pl_queue_queues(wait->store->queue, on_queues, wait);
}

enum pl_err store_queues(struct store *store, struct pl_queues *out)
{
	struct queues_wait wait = { .wait.begin = begin_queues, .out = out };
	return store_call(store, &wait.wait);
}

/* ---- listing ---- */

struct list_wait {
	struct store_wait wait;
	const char *index, *owner;
	const struct pl_list_place *place;
	struct store_listed *out;
	struct pl_found kept[PL_LIST_MAX]; /* of out's places */
	size_t count;
};

static void on_list(void *arg, enum pl_err err, const struct pl_list_place *next,
	const struct pl_listed *items, size_t count)
{
	struct list_wait *list = arg;
	struct store_listed *out = list->out;
	out->next = *next;
	for (size_t i = 0; err == PL_OK && i < count; i++) {
		out->places[i] = items[i].place;
		list->kept[list->count++] = store_keep(&items[i].found);
	}
	store_finish(&list->wait, err, pl_err_name(err));
}

static void begin_list(struct store_wait *wait)
{
	struct list_wait *list = (struct list_wait *)wait;
	pl_queue_list(wait->store->queue, list->index, list->owner, list->place, on_list, list);
}

enum pl_err store_list(struct store *store, const char *index, const char *owner,
	const struct pl_list_place *place, struct store_listed *out)
{
	struct list_wait list = {
		.wait.begin = begin_list,
		.index = index,
		.owner = owner,
		.place = place,
		.out = out,
	};
	out->count = out->bytes = 0;
	enum pl_err err = store_call(store, &list.wait);
	for (size_t i = 0; i < list.count; i++) {
		const struct pl_list_place at = out->places[i];
		out->bytes += list.kept[i].text_len;
		if (store_read(store, at.id, &list.kept[i], &out->items[out->count]) == PL_OK)
			out->places[out->count++] = at;
	}
	return err;
}
