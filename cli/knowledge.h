/*
 * knowledge: what the services' programs say about their settings when asked with --check.
 *
 * So `up` needs no table of theirs: it takes every flag that one of them knows, tells all their
 * mistakes before anything is started, and reads the values in force from their answers.
 */
#ifndef CLI_KNOWLEDGE_H
#define CLI_KNOWLEDGE_H

#include <stdbool.h>

#include "pipeline/buf.h"

#define KNOWLEDGE_MAX (256u * 1024) /* bytes of all answers */

struct knowledge {
	struct pl_buf values;   /* "NAME=value\n" of every setting of every program asked */
	struct pl_buf mistakes; /* sentences, one a line, none twice */
};

void knowledge_init(struct knowledge *knowledge);
void knowledge_fini(struct knowledge *knowledge);
/* Runs `program --check` in our environment. Returns 0, or PL_EXIT_SYSTEM having said why. */
int knowledge_ask(struct knowledge *knowledge, const char *program);
/* Sentences of someone else's, one a line. */
void knowledge_add_mistakes(struct knowledge *knowledge, const char *lines);
/* Does any of them have a setting of this name (or a secret whose NAME_FILE this is)? */
bool knowledge_has(const struct knowledge *knowledge, const char *name);
/* The value in force, "" where unset or unknown; to free(). */
char *knowledge_value(const struct knowledge *knowledge, const char *name);

#endif
