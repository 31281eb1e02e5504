#include "arguments.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pipeline/file.h"
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

static void keep(const struct argument_flag *flag, const char *value)
{
	if (flag->list == NULL)
		*flag->value = value;
	else if (flag->list->count++ < ARGUMENT_LIST_MAX)
		flag->list->items[flag->list->count - 1] = value;
}

static bool take_flag(int argc, char **argv, int *at, const struct argument_flag *flags)
{
	const char *value;

	for (const struct argument_flag *flag = flags; flag != NULL && flag->name != NULL; flag++) {
		if (flag->is_given == NULL) {
			if (take_value(argc, argv, at, flag->name, &value)) {
				keep(flag, value);
				return true;
			}
		} else if (strcmp(argv[*at], flag->name) == 0 ||
			   (flag->letter != NULL && strcmp(argv[*at], flag->letter) == 0)) {
			*flag->is_given = true;
			return true;
		}
	}
	return false;
}

static bool wrong(const char *command, const char *what, const char *word)
{
	fprintf(stderr, "fetchback %s: %s%s; see fetchback %s --help\n", command, what, word,
		command);
	return false;
}

static bool is_flag(const struct argument_flag *flags, const char *word)
{
	for (const struct argument_flag *flag = flags; flag != NULL && flag->name != NULL; flag++)
		if (strcmp(word, flag->name) == 0)
			return true;
	return false;
}

/* What a header can carry: anything else is a mistake, such as a file of something else. */
static bool key_take(const char *command, const char *text, size_t len, struct arguments *out)
{
	if (len == 0 || len > ARGUMENTS_KEY_MAX)
		return wrong(command, "an API key has 1 to 512 characters", "");
	for (size_t i = 0; i < len; i++)
		if (text[i] <= ' ' || text[i] >= 0x7f)
			return wrong(command, "an API key is printable ASCII without spaces", "");
	memcpy(out->key, text, len);
	out->key[len] = '\0';
	return true;
}

static bool key_read(const char *command, const char *path, struct arguments *out)
{
	struct pl_buf text;
	bool is_taken;

	pl_buf_init(&text, ARGUMENTS_KEY_MAX + 2); /* with the end of its line */
	if (pl_file_read(path, &text) != PL_OK)
		is_taken = wrong(command, "no API key can be read from ", path);
	else
		is_taken = key_take(
			command, text.data, text.len > 0 ? strcspn(text.data, "\r\n") : 0, out);
	pl_buf_fini(&text);
	return is_taken;
}

const char *arguments_environment(const char *name)
{
	const char *text = getenv(name);

	return text != NULL && text[0] != '\0' ? text : NULL;
}

/* A flag wins over the environment. */
static bool key_default(
	const char *command, const char *key, const char *key_file, struct arguments *out)
{
	if (key == NULL && key_file == NULL) {
		key = arguments_environment("FETCHBACK_API_KEY");
		key_file = arguments_environment("FETCHBACK_API_KEY_FILE");
	}
	if (key != NULL)
		return key_take(command, key, strlen(key), out);
	return key_file == NULL || key_read(command, key_file, out);
}

static void api_default(struct arguments *out)
{
	if (out->api == NULL)
		out->api = arguments_environment("FETCHBACK_API");
	if (out->api == NULL || out->api[0] == '\0')
		out->api = ARGUMENTS_API;
	out->api_len = strlen(out->api);
	while (out->api_len > 0 && out->api[out->api_len - 1] == '/')
		out->api_len--;
}

bool arguments_read(int argc, char **argv, const struct argument_flag *flags, const char *needs,
	size_t words_max, struct arguments *out)
{
	bool only_words = false; /* after -- */
	const char *key = NULL, *key_file = NULL;
	const struct argument_flag common[] = { { .name = "--api", .value = &out->api },
		{ .name = "--api-key", .value = &key },
		{ .name = "--api-key-file", .value = &key_file },
		{ .name = "--json", .is_given = &out->json }, { .name = NULL } };

	*out = (struct arguments) { .words = argv + 1 };
	for (int at = 1; at < argc; at++) {
		if (only_words || argv[at][0] != '-') {
			if (out->words_count == words_max)
				return wrong(argv[0], "too many words: ", argv[at]);
			out->words[out->words_count++] = argv[at];
		} else if (strcmp(argv[at], "--") == 0) {
			only_words = true;
		} else if (!take_flag(argc, argv, &at, common) &&
			   !take_flag(argc, argv, &at, flags)) {
			bool is_known = is_flag(common, argv[at]) || is_flag(flags, argv[at]);
			return wrong(argv[0], is_known ? "a value is missing after " : "no flag ",
				argv[at]);
		}
	}
	if (needs != NULL && out->words_count == 0)
		return wrong(argv[0], "it needs ", needs);
	api_default(out);
	return key_default(argv[0], key, key_file, out);
}

bool arguments_read_id(
	int argc, char **argv, const struct argument_flag *flags, struct arguments *out)
{
	if (!arguments_read(argc, argv, flags, "a request's id", 1, out))
		return false;
	if (!pl_uuid_valid(out->words[0], strlen(out->words[0])))
		return wrong(argv[0], "this is no request's id: ", out->words[0]);
	return true;
}
