#include "arguments.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pipeline/uuid.h"

/* --name VALUE or --name=VALUE; *at is left on the last word used. */
static bool take_value(int argc, char **argv, int *at, const char *name, const char **value)
{
	size_t len = strlen(name);

	if (strncmp(argv[*at], name, len) != 0)
		return false;
	if (argv[*at][len] == '=')
		*value = argv[*at] + len + 1;
	else if (argv[*at][len] == '\0' && *at + 1 < argc)
		*value = argv[++*at];
	else
		return false;
	return true;
}

static bool take_flag(int argc, char **argv, int *at, const struct argument_flag *flags)
{
	for (const struct argument_flag *flag = flags; flag != NULL && flag->name != NULL; flag++) {
		if (flag->is_given == NULL) {
			if (take_value(argc, argv, at, flag->name, flag->value))
				return true;
		} else if (strcmp(argv[*at], flag->name) == 0 ||
			   (flag->letter != NULL && strcmp(argv[*at], flag->letter) == 0)) {
			*flag->is_given = true;
			return true;
		}
	}
	return false;
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

bool arguments_read(int argc, char **argv, const struct argument_flag *flags, size_t words_min,
	size_t words_max, struct arguments *out)
{
	bool only_words = false; /* after -- */

	*out = (struct arguments) { .api = NULL };
	for (int at = 1; at < argc; at++) {
		if (only_words || argv[at][0] != '-') {
			if (out->words_count == words_max)
				return wrong(argv[0], "too many words: ", argv[at]);
			out->words[out->words_count++] = argv[at];
		} else if (strcmp(argv[at], "--") == 0) {
			only_words = true;
		} else if (strcmp(argv[at], "--json") == 0) {
			out->json = true;
		} else if (!take_value(argc, argv, &at, "--api", &out->api) &&
			   !take_flag(argc, argv, &at, flags)) {
			return wrong(argv[0], "no such flag, or no value for ", argv[at]);
		}
	}
	if (out->words_count < words_min)
		return wrong(argv[0], "something is missing", "");
	api_default(out);
	return true;
}

bool arguments_read_id(
	int argc, char **argv, const struct argument_flag *flags, struct arguments *out)
{
	if (!arguments_read(argc, argv, flags, 1, 1, out))
		return false;
	if (!pl_uuid_valid(out->words[0], strlen(out->words[0])))
		return wrong(argv[0], "this is no request's id: ", out->words[0]);
	return true;
}
