/*
 * logs: the story of a request, a line per event.
 */
#include <string.h>

#include "ask.h"
#include "command.h"

#define PATH_SIZE 64 /* /requests/, an id, /logs */

static void logs_help(FILE *out)
{
	fputs("usage: fetchback logs ID [--api URL] [--json]\n\n"
	      "Tells what has happened to a request, a line per event.\n\n" ARGUMENTS_HELP,
		out);
}

static void event_print(const json_t *event)
{
	const json_t *attempt = json_object_get(event, "attempt");

	printf("%-24s %-5s %-9s ", ask_text(event, "time"), ask_text(event, "level"),
		ask_text(event, "service"));
	ask_print(stdout, ask_text(event, "event"));
	if (*ask_text(event, "stage") != '\0') {
		fputs(", ", stdout);
		ask_print(stdout, ask_text(event, "stage"));
	}
	if (json_integer_value(attempt) > 0)
		printf(" attempt %" JSON_INTEGER_FORMAT, json_integer_value(attempt));
	if (*ask_text(event, "reason") != '\0') {
		fputs(": ", stdout);
		ask_print(stdout, ask_text(event, "reason"));
	}
	putchar('\n');
}

/* NDJSON: each line is an object of its own. */
static int events_print(const struct arguments *arguments, const struct pl_buf *answer)
{
	const char *line = answer->len > 0 ? answer->data : "";

	while (*line != '\0') {
		size_t len = strcspn(line, "\n");
		json_t *event = json_loadb(line, len, 0, NULL);

		if (event == NULL)
			return ask_strange(arguments);
		event_print(event);
		json_decref(event);
		line += len + (line[len] == '\n');
	}
	return COMMAND_OK;
}

static int logs_run(int argc, char **argv)
{
	struct arguments arguments;
	struct pl_buf answer;
	char path[PATH_SIZE];
	int code;

	if (!arguments_read_id(argc, argv, &arguments))
		return COMMAND_USAGE;
	snprintf(path, sizeof(path), "/requests/%s/logs", arguments.words[0]);
	code = ask(&arguments, path, NULL, &answer);
	if (code == COMMAND_OK && arguments.json)
		fwrite(answer.data, 1, answer.len, stdout);
	else if (code == COMMAND_OK)
		code = events_print(&arguments, &answer);
	pl_buf_fini(&answer);
	return code;
}

const struct command command_logs = {
	.name = "logs",
	.summary = "what has happened to a request, a line per event",
	.help = logs_help,
	.run = logs_run,
};
