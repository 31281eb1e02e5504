#include "filters.h"

#include <curl/curl.h>
#include <stdio.h>
#include <string.h>

#include "pipeline/clock.h"

bool filters_any(const struct filters *filters)
{
	return filters->state != NULL || filters->host != NULL || filters->label != NULL ||
	       filters->since != NULL || filters->until != NULL;
}

/* "2h", so long ago, as a time; anything else is for the api to judge. */
static const char *time_of(const char *text, char time[PL_TIME_SIZE])
{
	size_t len = text != NULL ? strlen(text) : 0;
	uint64_t now = pl_clock_wall_ms(), ago;

	if (len == 0 || strchr("smhd", text[len - 1]) == NULL ||
		pl_duration_parse(text, len, &ago) != PL_OK)
		return text;
	pl_time_format(ago < now ? now - ago : 0, time);
	return time;
}

static bool is_time(const char *text)
{
	char time[PL_TIME_SIZE];
	uint64_t ms;

	return text == NULL || *text == '\0' || time_of(text, time) == time ||
	       pl_time_parse(text, strlen(text), &ms) == PL_OK;
}

bool filters_check(const char *command, const struct filters *filters)
{
	const char *name = !is_time(filters->since)   ? "--since"
			   : !is_time(filters->until) ? "--until"
						      : NULL;

	if (name != NULL)
		fprintf(stderr,
			"fetchback %s: %s takes a time, 2026-12-01T08:00:00Z, or 2h for two hours "
			"ago\n",
			command, name);
	return name == NULL;
}

static enum pl_err parameter_add(struct pl_buf *out, const char *name, const char *value)
{
	const char *before = strchr(out->data, '?') != NULL ? "&" : "?";
	enum pl_err err = PL_OK;

	if (value == NULL || *value == '\0')
		return PL_OK;
	char *escaped = curl_easy_escape(NULL, value, 0);
	if (escaped != NULL)
		err = pl_buf_format(out, "%s%s=%s", before, name, escaped);
	curl_free(escaped);
	return escaped != NULL ? err : PL_ELIMIT;
}

bool filters_path(const struct filters *filters, const char *path, size_t limit, const char *cursor,
	struct pl_buf *out)
{
	char since[PL_TIME_SIZE], until[PL_TIME_SIZE], number[24];
	const struct {
		const char *name, *value;
	} parameters[] = {
		{ "state", filters->state },
		{ "host", filters->host },
		{ "label", filters->label },
		{ "since", time_of(filters->since, since) },
		{ "until", time_of(filters->until, until) },
		{ "limit", limit > 0 ? number : NULL },
		{ "cursor", cursor },
	};
	enum pl_err err = pl_buf_text(out, path);

	snprintf(number, sizeof(number), "%zu", limit);
	for (size_t i = 0; err == PL_OK && i < sizeof(parameters) / sizeof(parameters[0]); i++)
		err = parameter_add(out, parameters[i].name, parameters[i].value);
	if (err != PL_OK)
		fputs("fetchback: the filters are too long\n", stderr);
	return err == PL_OK;
}
