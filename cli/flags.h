/*
 * flags: --setting VALUE on the command line of a program whose children know the settings.
 */
#ifndef CLI_FLAGS_H
#define CLI_FLAGS_H

#include <stdbool.h>

/* Puts each into our environment, which every child gets. Says what is wrong. */
bool flags_take(int argc, char **argv);
/* Says which of them nobody knows. */
bool flags_judge(int argc, char **argv, bool (*is_known)(const void *arg, const char *name),
	const void *arg);

#endif
