/*
 * bulk: what people do to all requests that a listing's filters select, a thousand a call.
 *
 *   {"matched": 950, "changed": 940, "refused": 10, "cursor": "…"}      no cursor: that was all
 *
 * A page is selected first and changed as a whole after that: a change moves requests, and a walk
 * among them could meet one twice.
 */
#include <stdlib.h>
#include <string.h>

#include "handlers.h"
#include "json_writer.h"
#include "list.h"
#include "pipeline/mem.h"
#include "problem.h"

struct selection {
	char (*ids)[PL_UUID_SIZE];
	const char **pointers; /* to each */
	struct store_altered *altered;
	size_t count;
};

static void selection_init(struct selection *selection, size_t limit)
{
	selection->ids = pl_alloc(limit * sizeof(*selection->ids));
	selection->pointers = pl_alloc(limit * sizeof(*selection->pointers));
	selection->altered = pl_alloc(limit * sizeof(*selection->altered));
	selection->count = 0;
}

static void selection_fini(struct selection *selection)
{
	free(selection->ids);
	free(selection->pointers);
	free(selection->altered);
}

static void select_page(struct list_walk *walk, struct selection *selection)
{
	struct store_found found;
	while (selection->count < walk->filter->limit && list_walk_next(walk, &found)) {
		char *id = selection->ids[selection->count];
		memcpy(id, found.record->request.id, PL_UUID_SIZE);
		selection->pointers[selection->count++] = id;
		store_found_fini(&found);
	}
}

static bool has_changed(const struct store_altered *altered)
{
	return altered->err == PL_OK &&
	       (altered->answer == PL_ALTERED || altered->answer == PL_ALTERED_HELD ||
		       altered->answer == PL_ALTERED_SAME);
}

/* Redis went away in the middle. */
static bool is_unanswered(const struct store_altered *altered)
{
	return altered->err != PL_OK && altered->err != PL_ENOTFOUND && altered->err != PL_ELIMIT;
}

/* What all have met alike, or that nobody knows what came of the whole. */
static enum pl_err err_of(const struct selection *selection)
{
	enum pl_err err = selection->altered[0].err;
	for (size_t i = 1; i < selection->count; i++)
		if (selection->altered[i].err != err)
			err = PL_EUNKNOWN;
	return err;
}

static void answer(
	struct pl_http_call *call, const struct list_walk *walk, const struct selection *selection)
{
	size_t changed = 0;
	bool is_cut = false, held = false;
	for (size_t i = 0; i < selection->count; i++) {
		changed += has_changed(&selection->altered[i]);
		is_cut |= is_unanswered(&selection->altered[i]);
		held |= selection->altered[i].still_held;
	}
	if (is_cut) {
		problem_no_change(call, err_of(selection));
		return;
	}
	struct json_writer w = { .out = pl_http_call_scratch(call) };
	json_open(&w, NULL, '{');
	json_number(&w, "matched", selection->count);
	json_number(&w, "changed", changed);
	json_number(&w, "refused", selection->count - changed);
	if (held)
		json_bool(&w, "cancelling", true);
	list_write_cursor(&w, walk);
	json_close(&w, '}');
	PL_ASSERT(w.err == PL_OK);
	pl_http_call_answer(
		call, held ? 202 : 200, "application/json", NULL, w.out->data, w.out->len);
}

static void change(struct api *api, struct pl_http_call *call, enum pl_alter verb)
{
	struct list_filter filter;
	struct list_walk walk;
	struct selection selection;
	if (!list_read_filter(api, call, LIST_LIMIT_MAX, &filter))
		return;
	selection_init(&selection, filter.limit);
	list_walk_begin(api->store, &filter, &walk);
	select_page(&walk, &selection);
	if (walk.err == PL_OK) {
		store_alter_all(api->store, verb, selection.pointers, selection.count, filter.owner,
			selection.altered);
		answer(call, &walk, &selection);
	} else {
		problem_no_change(call, PL_EREDIS); /* none was asked for yet */
	}
	list_walk_end(&walk);
	selection_fini(&selection);
}

void bulk_cancel(struct api *api, struct pl_http_call *call, const char *id)
{
	(void)id;
	change(api, call, PL_ALTER_CANCEL);
}

void bulk_redeliver(struct api *api, struct pl_http_call *call, const char *id)
{
	(void)id;
	change(api, call, PL_ALTER_REDELIVER);
}

void bulk_refetch(struct api *api, struct pl_http_call *call, const char *id)
{
	(void)id;
	change(api, call, PL_ALTER_REFETCH);
}
