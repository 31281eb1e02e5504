/*
 * logs: the story of a request as it goes on, for whoever has sent it.
 */
#ifndef CLI_LOGS_H
#define CLI_LOGS_H

#include "arguments.h"

/* Prints each event as it comes; an exit code by the request's end. */
int logs_follow(const struct arguments *arguments, const char *id);

#endif
