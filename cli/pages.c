#include "pages.h"

#include <stdlib.h>

#include "ask.h"
#include "command.h"
#include "pipeline/mem.h"

struct page {
	struct pl_buf answer;
	json_t *json;
	const json_t *requests; /* its own */
	struct raw_json text;   /* what is inside of them */
};

static void page_read(struct page *page)
{
	const struct raw_json answer = { page->answer.data, page->answer.len };
	struct raw_json requests;

	page->json = ask_json(&page->answer);
	page->requests = json_object_get(page->json, "requests");
	if (json_is_array(page->requests) && raw_json_find(answer, "requests", &requests))
		page->text = raw_json_inside(requests);
}

/* page_fini it in any case. */
static int page_ask(const struct arguments *arguments, const struct filters *filters, size_t limit,
	const char *cursor, struct page *page)
{
	struct pl_buf path;
	int code = COMMAND_USAGE;

	*page = (struct page) { .json = NULL };
	pl_buf_init(&page->answer, 0);
	pl_buf_init(&path, FILTERS_PATH_MAX);
	if (filters_path(filters, "/requests", limit, cursor, &path)) {
		code = ask(arguments, path.data, NULL, &page->answer);
		if (code == COMMAND_OK)
			page_read(page);
		if (code == COMMAND_OK && page->text.text == NULL)
			code = ask_strange(arguments);
	}
	pl_buf_fini(&path);
	return code;
}

static void page_fini(struct page *page)
{
	json_decref(page->json);
	pl_buf_fini(&page->answer);
}

int pages_walk(const struct arguments *arguments, const struct filters *filters, size_t most,
	int (*on_page)(void *arg, const json_t *requests, struct raw_json text), void *arg,
	bool *more)
{
	char *cursor = pl_strdup("");
	int code = COMMAND_OK;

	do {
		struct page page;

		code = page_ask(arguments, filters, most < FILTERS_PAGE ? most : FILTERS_PAGE,
			cursor, &page);
		free(cursor);
		cursor = pl_strdup(ask_text(page.json, "cursor"));
		if (code == COMMAND_OK)
			code = on_page(arg, page.requests, page.text);
		if (most != PAGES_ALL) {
			size_t count = json_array_size(page.requests);
			most -= count < most ? count : most;
		}
		page_fini(&page);
	} while (code == COMMAND_OK && *cursor != '\0' && most > 0);
	*more = *cursor != '\0';
	free(cursor);
	return code;
}
