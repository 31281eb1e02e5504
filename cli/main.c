/*
 * fetchback: one row per subcommand, one file per row.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "command.h"
#include "manual.h"
#include "pipeline/text.h"

static const struct command *const commands[] = {
	&command_up,
	&command_send,
	&command_status,
	&command_list,
	&command_logs,
	&command_listen,
	&command_verify,
	&command_cancel,
	&command_pause,
	&command_resume,
	&command_redeliver,
	&command_refetch,
	&command_delete,
	&command_queues,
	&command_doctor,
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

/* The one that was meant: at most two letters off, and fewer than its length. */
static const char *nearest(const char *word)
{
	const char *found = NULL;
	size_t least = 3;

	for (size_t i = 0; i < COMMANDS; i++) {
		const char *name = commands[i]->name;
		size_t off = pl_edits_between(word, strlen(word), name);

		if (off < least && off < strlen(name)) {
			least = off;
			found = name;
		}
	}
	return found;
}

static int unknown(const char *name)
{
	const char *meant = nearest(name);

	fprintf(stderr, "fetchback: there is no command \"%s\"", name);
	if (meant != NULL)
		fprintf(stderr, "; did you mean %s? See fetchback --help\n", meant);
	else
		fputs("; see fetchback --help\n", stderr);
	return COMMAND_USAGE;
}

/* `fetchback help`, `help COMMAND`, and what is installed beside the program. */
static int help(const char *what)
{
	const struct command *command = what != NULL ? find(what) : NULL;

	if (what == NULL)
		help_print(stdout);
	else if (strcmp(what, "--man") == 0)
		manual_page(stdout, commands, COMMANDS);
	else if (strcmp(what, "--completion") == 0)
		manual_completion(stdout, commands, COMMANDS);
	else if (command != NULL)
		manual_help(stdout, command);
	else
		return unknown(what);
	return COMMAND_OK;
}

static int run(int argc, char **argv)
{
	const struct command *command;

	if (argc < 2) {
		help_print(stderr);
		return COMMAND_USAGE;
	}
	if (is_help(argv[1]))
		return help(NULL);
	if (strcmp(argv[1], "help") == 0)
		return help(argv[2]);
	if (strcmp(argv[1], "--version") == 0) {
		printf("fetchback %s\n", FETCHBACK_VERSION);
		return COMMAND_OK;
	}
	command = find(argv[1]);
	if (command == NULL)
		return unknown(argv[1]);
	for (int i = 2; i < argc; i++)
		if (is_help(argv[i])) {
			manual_help(stdout, command);
			return COMMAND_OK;
		}
	return command->run(argc - 1, argv + 1);
}

/* One that was given to us closed would be the next socket's, which then gets what we print. These
 * fail instead. */
static void standard_files_hold(void)
{
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		if (fcntl(fd, F_GETFD) < 0)
			(void)open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY);
}

/* An export that was cut short must not look whole. */
static int output_check(int code)
{
	errno = 0;
	if (fflush(stdout) == 0 && ferror(stdout) == 0)
		return code;
	fprintf(stderr, "fetchback: not all of the output could be written%s%s\n",
		errno != 0 ? ": " : "", errno != 0 ? strerror(errno) : "");
	return code == COMMAND_OK ? COMMAND_FAILED : code;
}

int main(int argc, char **argv)
{
	standard_files_hold();
	return output_check(run(argc, argv));
}
