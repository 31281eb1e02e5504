#include "arguments.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pipeline/uuid.h"

/* Matches --api URL and --api=URL; *at is left on the last word used. */
static bool api_take(int argc, char **argv, int *at, struct arguments *out)
{
	if (strncmp(argv[*at], "--api=", 6) == 0)
		out->api = argv[*at] + 6;
	else if (strcmp(argv[*at], "--api") == 0 && *at + 1 < argc)
		out->api = argv[++*at];
	else
		return false;
	return true;
}

static void api_default(struct arguments *out)
{
	if (out->api == NULL)
		out->api = getenv("FETCHBACK_API");
	if (out->api == NULL || out->api[0] == '\0')
		out->api = ARGUMENTS_API;
	out->api_len = strlen(out->api);
	while (out->api_len > 0 && out->api[out->api_len - 1] == '/')
		out->api_len--;
}

static bool wrong(const char *command, const char *what, const char *word)
{
	fprintf(stderr, "fetchback %s: %s%s; see fetchback %s --help\n", command, what, word,
		command);
	return false;
}

bool arguments_read(int argc, char **argv, size_t words, struct arguments *out)
{
	size_t count = 0;
	bool only_words = false; /* after -- */

	*out = (struct arguments) { .api = NULL };
	for (int at = 1; at < argc; at++) {
		if (only_words || argv[at][0] != '-') {
			if (count == words)
				return wrong(argv[0], "too many words: ", argv[at]);
			out->words[count++] = argv[at];
		} else if (strcmp(argv[at], "--") == 0) {
			only_words = true;
		} else if (strcmp(argv[at], "--json") == 0) {
			out->json = true;
		} else if (!api_take(argc, argv, &at, out)) {
			return wrong(argv[0], "no such flag, or no value for ", argv[at]);
		}
	}
	if (count < words)
		return wrong(argv[0], "something is missing", "");
	api_default(out);
	return true;
}

bool arguments_read_id(int argc, char **argv, struct arguments *out)
{
	if (!arguments_read(argc, argv, 1, out))
		return false;
	if (!pl_uuid_valid(out->words[0], strlen(out->words[0])))
		return wrong(argv[0], "this is no request's id: ", out->words[0]);
	return true;
}
