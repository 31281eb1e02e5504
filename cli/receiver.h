/*
 * receiver: a place for callbacks to arrive at, for trying out: it prints them and answers as told.
 *
 * Threads  it prints from threads of its own, each arrival whole (flockfile).
 */
#ifndef CLI_RECEIVER_H
#define CLI_RECEIVER_H

#include <stdbool.h>

#include "arguments.h"
#include "signature.h"

#define RECEIVER_BODY_MAX   (16u * 1024 * 1024) /* 1 MiB of data, escaped six times, and meta */
#define RECEIVER_SCRIPT_MAX 100

struct receiver;

struct receiver_words { /* the flags as given, NULL for none */
	const char *bind, *port, *status, *script, *body, *delay;
	struct signature_words signing;
};
/* Rows for a table of flags; words is what they write to. */
#define RECEIVER_FLAGS(words)                                     \
	{ .name = "--port", .value = &(words).port },             \
		{ .name = "--status", .value = &(words).status }, \
		{ .name = "--script", .value = &(words).script }, \
		{ .name = "--body", .value = &(words).body },     \
		{ .name = "--delay", .value = &(words).delay }, SIGNATURE_FLAGS((words).signing)
#define RECEIVER_HELP                                                                          \
	"  --port N         the port to listen on (any that is free)\n"                        \
	"  --status N       what to answer (200)\n"                                            \
	"  --script N,N,... what to answer one after the other; the last one goes on: "        \
	"503,503,200\n"                                                                        \
	"  --body TEXT      what each answer says (nothing); so it can be the provider, too\n" \
	"  --delay TIME     how long to wait before each answer, such as 500ms or "            \
	"2s\n" SIGNATURE_HELP                                                                  \
	"                   With a secret each arrival is verified; the answer is the same.\n"

/* Says on stderr what is wrong: COMMAND_USAGE, or COMMAND_FAILED when nobody can listen there. */
int receiver_start(
	const char *command, const struct receiver_words *words, bool json, struct receiver **out);
/* http://BIND:PORT/ */
const char *receiver_url(const struct receiver *receiver);
/* Answers what is under way, at once, and ends. */
void receiver_stop(struct receiver *receiver);

#endif
