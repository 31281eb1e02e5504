/*
 * arguments: the command line of a subcommand that talks to an api: WORD... [--api URL] [--json].
 */
#ifndef CLI_ARGUMENTS_H
#define CLI_ARGUMENTS_H

#include <stdbool.h>
#include <stddef.h>

#define ARGUMENTS_WORDS_MAX 2
#define ARGUMENTS_API       "http://127.0.0.1:3001"
/* The end of every such command's help. */
#define ARGUMENTS_HELP                                                                             \
	"  --api URL   the api's address (else FETCHBACK_API, else " ARGUMENTS_API ")\n"           \
	"  --json      what the api said, as it said it\n\n"                                       \
	"Exit code: 0 done, 1 the api refused or does not know it, 2 this command line makes no\n" \
	"sense, 69 no api answered.\n"

/* A flag of one command alone; a table of them ends with a name that is NULL. */
struct argument_flag {
	const char *name;   /* "--follow" */
	const char *letter; /* "-f", or NULL */
	bool *is_given;     /* a switch; NULL: it takes a value */
	const char **value;
};

struct arguments {
	const char *api; /* without a slash at the end; borrowed from argv or the environment */
	size_t api_len;
	bool json;
	const char *words[ARGUMENTS_WORDS_MAX];
	size_t words_count;
};

/* flags: or NULL. Says what is wrong. */
bool arguments_read(int argc, char **argv, const struct argument_flag *flags, size_t words_min,
	size_t words_max, struct arguments *out);
/* The same for one word that is a request's id. */
bool arguments_read_id(
	int argc, char **argv, const struct argument_flag *flags, struct arguments *out);

#endif
