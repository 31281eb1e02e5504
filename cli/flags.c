#include "flags.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAME_SIZE 64 /* of a setting, with its NUL */

struct flag {
	char name[NAME_SIZE];
	const char *value;
};

/* --host-concurrency -> HOST_CONCURRENCY; false for what can't be a setting's name. */
static bool name_of_flag(const char *flag, size_t len, char name[NAME_SIZE])
{
	if (len < 3 || len - 2 >= NAME_SIZE || strncmp(flag, "--", 2) != 0)
		return false;
	for (size_t i = 2; i < len; i++) {
		char letter = flag[i];

		if (letter >= 'a' && letter <= 'z')
			letter = (char)(letter - 'a' + 'A');
		else if (letter == '-')
			letter = '_';
		else if (letter < '0' || letter > '9')
			return false;
		name[i - 2] = letter;
	}
	name[len - 2] = '\0';
	return true;
}

/* The flag at argv[*at]; moves *at behind it. Says what is wrong. */
static bool flag_next(int argc, char **argv, int *at, struct flag *flag)
{
	const char *word = argv[*at];
	size_t len = strcspn(word, "=");

	if (!name_of_flag(word, len, flag->name)) {
		fprintf(stderr, "fetchback up: \"%s\" is not a flag of the form --setting\n", word);
		return false;
	}
	*at += 1;
	if (word[len] == '=') {
		flag->value = word + len + 1;
		return true;
	}
	if (*at == argc) {
		fprintf(stderr, "fetchback up: %s needs a value\n", word);
		return false;
	}
	flag->value = argv[(*at)++];
	return true;
}

bool flags_take(int argc, char **argv)
{
	struct flag flag;

	for (int at = 1; at < argc;)
		if (!flag_next(argc, argv, &at, &flag) || setenv(flag.name, flag.value, 1) != 0)
			return false;
	return true;
}

bool flags_judge(
	int argc, char **argv, bool (*is_known)(const void *arg, const char *name), const void *arg)
{
	struct flag flag;
	bool known = true;

	for (int at = 1; at < argc && flag_next(argc, argv, &at, &flag);) {
		if (is_known(arg, flag.name))
			continue;
		fprintf(stderr, "fetchback up: there is no setting %s\n", flag.name);
		known = false;
	}
	return known;
}
