/*
 * batch: many requests in one call. Not atomic: each is accepted or refused for itself, in order.
 *
 *   {"items": [{"status": 202, "requestId": "…"}, {"status": 422, "problem": {…}}]}
 */
#include <stdio.h>
#include <stdlib.h>

#include "accept.h"
#include "batch_text.h"
#include "handlers.h"
#include "pipeline/clock.h"
#include "pipeline/mem.h"

#define GROUP        64                /* items in memory at a time, parsed and being stored */
#define NAMING_MAX   (8 * 1024 * 1024) /* of an answer: beyond, faults are not named any more */
#define PROBLEM_MAX  (8 * sizeof(struct pl_faults)) /* escapes make names longer */
#define POINTER_SIZE 32

struct group {
	struct pl_request *requests[GROUP]; /* NULL: refused */
	struct store_pushed pushed[GROUP];
	struct store_pushing pushing[GROUP];
	struct pl_buf problems[GROUP]; /* of those that were refused unread */
	size_t count, pushes;
};

/* false: the reader's problem is in out. */
static bool read_item(struct api *api, const struct batch_item *item, size_t number,
	struct pl_request **out, struct pl_buf *refusal)
{
	char pointer[POINTER_SIZE];
	struct pl_faults *faults = accept_take_faults(api);
	(void)snprintf(pointer, sizeof(pointer), "/items/%zu", number);
	enum pl_err err =
		pl_request_parse_member(item->text, item->len, pointer, api->policy, out, faults);
	if (err != PL_OK) {
		const struct problem problem = {
			.status = 422,
			.detail = "Some of what was sent is wrong; errors names each.",
			.faults = faults,
		};
		api_metrics_unread(&api->metrics, err, faults);
		PL_ASSERT(problem_write(&problem, refusal) == PL_OK);
	}
	accept_give_faults(api, faults);
	return err == PL_OK;
}

static void store_group(struct api *api, const char *owner, const struct batch_item *items,
	size_t first, struct group *group)
{
	group->pushes = 0;
	for (size_t i = 0; i < group->count; i++) {
		group->requests[i] = NULL;
		pl_buf_init(&group->problems[i], PROBLEM_MAX);
		if (!read_item(api, &items[i], first + i, &group->requests[i], &group->problems[i]))
			continue;
		pl_uuid_new(group->requests[i]->id, 0);
		group->requests[i]->owner = owner;
		group->pushing[group->pushes++] = (struct store_pushing) {
			.request = group->requests[i],
			.out = &group->pushed[i],
		};
	}
	uint64_t begun_us = pl_clock_mono_us();
	store_push_all(api->store, group->pushing, group->pushes);
	uint64_t took_us = pl_clock_mono_us() - begun_us;
	for (size_t i = 0; i < group->count; i++)
		if (group->requests[i] != NULL)
			api_metrics_pushed(&api->metrics, group->pushed[i].err,
				group->pushed[i].word, took_us);
}

static void write_problem(struct json_writer *w, int status, const char *problem)
{
	static const char short_of[] =
		"{\"type\":\"about:blank\",\"title\":\"Unprocessable Content\",\"status\":422,"
		"\"detail\":\"It is wrong; so are so many that the faults can't all be named.\"}";
	json_number(w, "status", (uint64_t)status);
	json_raw(w, "problem", status == 422 && w->out->len > NAMING_MAX ? short_of : problem);
}

static void write_stored(struct api *api, const struct pl_request *request,
	const struct store_pushed *pushed, struct json_writer *w)
{
	struct problem problem;
	if (!accept_refusal(api, request, pushed, &problem)) {
		json_number(w, "status", 202);
		accept_write(api, pushed, w);
		return;
	}
	struct pl_buf text;
	pl_buf_init(&text, PROBLEM_MAX);
	PL_ASSERT(problem_write(&problem, &text) == PL_OK);
	write_problem(w, problem.status, text.data);
	pl_buf_fini(&text);
}

static void write_group(struct api *api, struct group *group, struct json_writer *w)
{
	for (size_t i = 0; i < group->count; i++) {
		json_open(w, NULL, '{');
		if (group->requests[i] != NULL)
			write_stored(api, group->requests[i], &group->pushed[i], w);
		else
			write_problem(w, 422, group->problems[i].data);
		json_close(w, '}');
		pl_request_free(group->requests[i]);
		pl_buf_fini(&group->problems[i]);
	}
}

static void accept_items(
	struct api *api, struct pl_http_call *call, const struct batch_item *items, size_t count)
{
	struct group *group = pl_alloc(sizeof(*group));
	struct json_writer w = { .out = pl_http_call_scratch(call) };
	json_open(&w, NULL, '{');
	json_open(&w, "items", '[');
	for (size_t first = 0; first < count; first += GROUP) {
		group->count = count - first < GROUP ? count - first : GROUP;
		store_group(api, caller_of(call)->name, items + first, first, group);
		write_group(api, group, &w);
	}
	json_close(&w, ']');
	json_close(&w, '}');
	free(group);
	if (w.err == PL_OK)
		pl_http_call_answer(call, 200, "application/json", NULL, w.out->data, w.out->len);
	else
		problem_say(call, 500,
			"The items were accepted or refused, but the answer is too "
			"long.");
}

void batch_accept(struct api *api, struct pl_http_call *call, const char *id)
{
	(void)id;
	size_t len, count = 0;
	const char *body = pl_http_call_body(call, &len);
	if (pl_http_call_header(call, "Idempotency-Key") != NULL) {
		problem_say(call, 422,
			"An Idempotency-Key stands for one request; give each item a dedupeKey.");
		return;
	}
	struct batch_item *items = pl_alloc(BATCH_ITEMS_MAX * sizeof(*items));
	struct pl_faults *faults = accept_take_faults(api);
	enum pl_err err = batch_split(body, len, items, &count, faults);
	if (err != PL_OK) {
		api_metrics_unread(&api->metrics, err, faults);
		problem_input(call, err, faults);
	}
	accept_give_faults(api, faults);
	if (err == PL_OK)
		accept_items(api, call, items, count);
	free(items);
}
