/*
 * pages: a listing of the api's, newest first, page after page.
 */
#ifndef CLI_PAGES_H
#define CLI_PAGES_H

#include <jansson.h>
#include <stdint.h>

#include "filters.h"
#include "raw_json.h"

#define PAGES_ALL SIZE_MAX

/* Gives each page's requests (an array, and its text; borrowed) to on_page until most of them were
 * given, there are no more, or on_page returns something else than COMMAND_OK, which is then the
 * answer. *more: there are. Otherwise as ask. */
int pages_walk(const struct arguments *arguments, const struct filters *filters, size_t most,
	int (*on_page)(void *arg, const json_t *requests, struct raw_json text), void *arg,
	bool *more);

#endif
