/*
 * arguments: the command line of a subcommand that talks to an api: WORD... [--api URL]
 * [--api-key KEY] [--json].
 */
#ifndef CLI_ARGUMENTS_H
#define CLI_ARGUMENTS_H

#include <stdbool.h>
#include <stddef.h>

#define ARGUMENTS_KEY_MAX 512
#define ARGUMENT_LIST_MAX 64
#define ARGUMENTS_API     "http://127.0.0.1:3001"
/* The end of every such command's help. */
#define ARGUMENTS_FLAGS_HELP                                                             \
	"  --api URL   the api's address (else FETCHBACK_API, else " ARGUMENTS_API ")\n" \
	"  --api-key-file FILE, --api-key KEY\n"                                         \
	"              the API key to send (else FETCHBACK_API_KEY, else "               \
	"FETCHBACK_API_KEY_FILE;\n"                                                      \
	"              others can see a flag in the list of processes)\n"                \
	"  --json      what the api said, as it said it; a refusal too (RFC 9457)\n\n"
#define ARGUMENTS_HELP                                                                         \
	ARGUMENTS_FLAGS_HELP                                                                   \
	"Exit code: 0 done, 1 the api refused or does not know it, 2 wrong usage, 69 no api\n" \
	"answered.\n"
/* ... of one that may follow a request. */
#define ARGUMENTS_FOLLOW_HELP                                                                \
	ARGUMENTS_FLAGS_HELP                                                                 \
	"Exit code: 0 done (followed: delivered), 1 the api refused or does not know it, 2 " \
	"wrong\n"                                                                            \
	"usage, 3 followed: failed or cancelled, 69 no api answered.\n"

struct argument_list {
	const char *items[ARGUMENT_LIST_MAX]; /* borrowed */
	size_t count;                         /* above ARGUMENT_LIST_MAX: so many were given */
};
/* A flag of one command alone; a table of them ends with a name that is NULL. */
struct argument_flag {
	const char *name;   /* "--follow" */
	const char *letter; /* "-f", or NULL */
	bool *is_given;     /* a switch; NULL: it takes a value */
	const char **value;
	struct argument_list *list; /* of its values, where it may be given again; else NULL */
};

struct arguments {
	const char *api; /* without a slash at the end; borrowed from argv or the environment */
	size_t api_len;
	char key[ARGUMENTS_KEY_MAX + 1]; /* "": none */
	bool json;
	char **words; /* argv's own storage, the flags taken out */
	size_t words_count;
};

/* flags: or NULL. needs: what the first word must be ("a URL"); NULL: there may be none. Says what
 * is wrong. */
bool arguments_read(int argc, char **argv, const struct argument_flag *flags, const char *needs,
	size_t words_max, struct arguments *out);
/* The same for one word that is a request's id. */
bool arguments_read_id(
	int argc, char **argv, const struct argument_flag *flags, struct arguments *out);
/* NULL: not set, or empty. */
const char *arguments_environment(const char *name);

#endif
