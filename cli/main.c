/*
 * fetchback: one row per subcommand, one file per row.
 */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "command.h"

static const struct command *const commands[] = {
	&command_up,
	&command_send,
	&command_status,
	&command_logs,
	&command_listen,
	&command_verify,
	&command_health,
};
#define COMMANDS (sizeof(commands) / sizeof(commands[0]))

static void help_print(FILE *out)
{
	fputs("fetchback: send two URLs, get an id; what the first says is delivered to the "
	      "second\n\n"
	      "usage: fetchback COMMAND [ARGUMENT]...\n\n",
		out);
	for (size_t i = 0; i < COMMANDS; i++)
		fprintf(out, "  %-10s %s\n", commands[i]->name, commands[i]->summary);
	fputs("\n`fetchback COMMAND --help` tells more; --version tells which this is.\n", out);
}

static bool is_help(const char *word)
{
	return strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0;
}

static const struct command *find(const char *name)
{
	for (size_t i = 0; i < COMMANDS; i++)
		if (strcmp(commands[i]->name, name) == 0)
			return commands[i];
	return NULL;
}

int main(int argc, char **argv)
{
	const struct command *command;

	if (argc < 2) {
		help_print(stderr);
		return COMMAND_USAGE;
	}
	if (is_help(argv[1]) || strcmp(argv[1], "help") == 0) {
		help_print(stdout);
		return COMMAND_OK;
	}
	if (strcmp(argv[1], "--version") == 0) {
		printf("fetchback %s\n", FETCHBACK_VERSION);
		return COMMAND_OK;
	}
	command = find(argv[1]);
	if (command == NULL) {
		fprintf(stderr, "fetchback: there is no command \"%s\"; see fetchback --help\n",
			argv[1]);
		return COMMAND_USAGE;
	}
	for (int i = 2; i < argc; i++)
		if (is_help(argv[i])) {
			command->help(stdout);
			return COMMAND_OK;
		}
	return command->run(argc - 1, argv + 1);
}
