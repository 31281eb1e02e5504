/*
 * list: many requests, newest first, a page at a time.
 */
#include "list.h"
#include "accept.h"
#include "handlers.h"
#include "json_writer.h"
#include "problem.h"
#include "record_json.h"

/* A page ends early above it: a record may be large, and a thousand of them are. */
#define PAGE_BYTES (4 * 1024 * 1024)

bool list_read_filter(
	struct api *api, struct pl_http_call *call, size_t limit, struct list_filter *filter)
{
	struct pl_faults *faults = accept_take_faults(api);
	enum pl_err err = list_filter_read(
		pl_http_call_query(call), limit, caller_scope(caller_of(call)), filter, faults);
	if (err != PL_OK)
		problem_query(call, faults);
	accept_give_faults(api, faults);
	return err == PL_OK;
}

void list_write_cursor(struct json_writer *w, const struct list_walk *walk)
{
	char cursor[LIST_CURSOR_SIZE];
	if (walk->place.slot < 0)
		return;
	list_filter_cursor(walk->filter, &walk->place, cursor);
	json_text(w, "cursor", cursor);
}

static void write_page(struct json_writer *w, struct list_walk *walk)
{
	struct store_found found;
	size_t shown = 0;
	json_open(w, "requests", '[');
	while (shown < walk->filter->limit && w->out->len < PAGE_BYTES &&
		list_walk_next(walk, &found)) {
		if (w->err == PL_OK)
			w->err = record_json(&found, w->out);
		store_found_fini(&found);
		shown++;
	}
	json_close(w, ']');
}

void list_show(struct api *api, struct pl_http_call *call, const char *id)
{
	(void)id;
	struct list_filter filter;
	struct list_walk walk;
	if (!list_read_filter(api, call, LIST_LIMIT, &filter))
		return;
	struct json_writer w = { .out = pl_http_call_scratch(call) };
	list_walk_begin(api->store, &filter, &walk);
	json_open(&w, NULL, '{');
	write_page(&w, &walk);
	list_write_cursor(&w, &walk);
	json_close(&w, '}');
	if (walk.err != PL_OK)
		problem_no_redis(call);
	else if (w.err != PL_OK)
		problem_say(call, 500, "The list can't be shown.");
	else
		pl_http_call_answer(call, 200, "application/json", NULL, w.out->data, w.out->len);
	list_walk_end(&walk);
}
