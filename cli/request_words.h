/*
 * request_words: a request as a command line says it: two URLs, a few flags, or a file of JSON.
 */
#ifndef CLI_REQUEST_WORDS_H
#define CLI_REQUEST_WORDS_H

#include "arguments.h"
#include "pipeline/buf.h"

struct request_words { /* NULL: not given */
	const char *provider, *callback;
	const char *file, *after, *priority;
	struct argument_list headers, labels;
};
/* Rows of a command's table of flags. */
#define REQUEST_WORDS_FLAGS(words)                                    \
	{ .name = "--header", .list = &(words).headers },             \
		{ .name = "--label", .list = &(words).labels },       \
		{ .name = "--priority", .value = &(words).priority }, \
		{ .name = "--after", .value = &(words).after },       \
	{                                                             \
		.name = "--file", .value = &(words).file              \
	}
#define REQUEST_WORDS_HELP                                                                       \
	"  --header 'NAME: VALUE'\n"                                                             \
	"                   goes with the fetch; as often as needed\n"                           \
	"  --label LABEL    to list it by; as often as needed\n"                                 \
	"  --priority P     high, default or low\n"                                              \
	"  --after TIME     begins so much later, such as 10s or 2h\n"                           \
	"  --file FILE      the request as the api takes it, from a file (-: stdin), with all\n" \
	"                   that it can say; what the line says as well stands instead of it\n"

/* The request as JSON in *out. Says what is wrong: COMMAND_USAGE. */
int request_words_compose(const struct request_words *words, struct pl_buf *out);

#endif
