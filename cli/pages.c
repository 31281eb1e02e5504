#include "pages.h"

#include <stdlib.h>

#include "ask.h"
#include "command.h"
#include "pipeline/mem.h"

static int page_ask(const struct arguments *arguments, const struct filters *filters, size_t limit,
	const char *cursor, json_t **page)
{
	struct pl_buf path, answer;
	int code = COMMAND_USAGE;

	*page = NULL;
	pl_buf_init(&path, FILTERS_PATH_MAX);
	if (filters_path(filters, "/requests", limit, cursor, &path)) {
		code = ask(arguments, path.data, NULL, &answer);
		if (code == COMMAND_OK)
			*page = json_loadb(answer.len > 0 ? answer.data : "", answer.len, 0, NULL);
		if (code == COMMAND_OK && !json_is_array(json_object_get(*page, "requests")))
			code = ask_strange(arguments);
		pl_buf_fini(&answer);
	}
	pl_buf_fini(&path);
	return code;
}

int pages_walk(const struct arguments *arguments, const struct filters *filters, size_t most,
	int (*on_page)(void *arg, const json_t *requests), void *arg, bool *more)
{
	char *cursor = pl_strdup("");
	int code = COMMAND_OK;

	do {
		json_t *page;

		code = page_ask(arguments, filters, most < FILTERS_PAGE ? most : FILTERS_PAGE,
			cursor, &page);
		const json_t *requests = json_object_get(page, "requests");
		free(cursor);
		cursor = pl_strdup(ask_text(page, "cursor"));
		if (code == COMMAND_OK)
			code = on_page(arg, requests);
		if (most != PAGES_ALL)
			most -= json_array_size(requests) < most ? json_array_size(requests) : most;
		json_decref(page);
	} while (code == COMMAND_OK && *cursor != '\0' && most > 0);
	*more = *cursor != '\0';
	free(cursor);
	return code;
}
