/*
 * manual: the man page and the completion for bash, made from the subcommands' own help.
 */
#ifndef CLI_MANUAL_H
#define CLI_MANUAL_H

#include "command.h"

/* The help of one, its example included. */
void manual_help(FILE *out, const struct command *command);
void manual_page(FILE *out, const struct command *const *commands, size_t count);
void manual_completion(FILE *out, const struct command *const *commands, size_t count);

#endif
