/*
 * logs: the story of a request, a line per event.
 */
#include "logs.h"

#include <string.h>

#include "ask.h"
#include "command.h"
#include "follow.h"

#define PATH_SIZE 64 /* /requests/, an id, /logs */

static void logs_help(FILE *out)
{
	fputs("usage: fetchback logs ID [-f] [--api URL] [--json]\n\n"
	      "Tells what has happened to a request, a line per event.\n\n"
	      "  -f, --follow\n"
	      "              goes on until the request has come to its end, over restarts of the "
	      "api\n"
	      "              and of Redis\n" ARGUMENTS_FOLLOW_HELP,
		out);
}

static void event_print(const json_t *event)
{
	const json_t *attempt = json_object_get(event, "attempt");

	ask_print_padded(stdout, ask_text(event, "time"), 25);
	ask_print_padded(stdout, ask_text(event, "level"), 6);
	ask_print_padded(stdout, ask_text(event, "service"), 10);
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

/* {"from":21,"to":70}: for people a line of the story; programs see it by the numbers. */
static void gap_print(const char *data)
{
	json_t *gap = json_loads(data, 0, NULL);

	fprintf(stderr,
		"events %" JSON_INTEGER_FORMAT " to %" JSON_INTEGER_FORMAT " are not kept\n",
		json_integer_value(json_object_get(gap, "from")),
		json_integer_value(json_object_get(gap, "to")));
	json_decref(gap);
}

static void followed_print(void *arg, const struct event *event)
{
	const struct arguments *arguments = arg;

	if (strcmp(event->name, "gap") == 0) {
		gap_print(event->data);
		return;
	}
	flockfile(stdout); /* what arrives at a receiver is told by other threads */
	if (arguments->json) {
		puts(event->data);
	} else {
		json_t *object = json_loads(event->data, 0, NULL);

		event_print(object);
		json_decref(object);
	}
	fflush(stdout);
	funlockfile(stdout);
}

int logs_follow(const struct arguments *arguments, const char *id)
{
	return follow(arguments, id, followed_print, (void *)arguments);
}

static int logs_tell(const struct arguments *arguments, const char *id)
{
	struct pl_buf answer;
	char path[PATH_SIZE];
	int code;

	snprintf(path, sizeof(path), "/requests/%s/logs", id);
	code = ask(arguments, path, NULL, &answer);
	if (code == COMMAND_OK && arguments->json)
		fwrite(answer.data, 1, answer.len, stdout);
	else if (code == COMMAND_OK)
		code = events_print(arguments, &answer);
	pl_buf_fini(&answer);
	return code;
}

static int logs_run(int argc, char **argv)
{
	bool follows = false;
	const struct argument_flag flags[] = {
		{ .name = "--follow", .letter = "-f", .is_given = &follows },
		{ .name = NULL },
	};
	struct arguments arguments;

	if (!arguments_read_id(argc, argv, flags, &arguments))
		return COMMAND_USAGE;
	return (follows ? logs_follow : logs_tell)(&arguments, arguments.words[0]);
}

const struct command command_logs = {
	.name = "logs",
	.summary = "what has happened to a request, a line per event",
	.example = "fetchback logs -f 01890a5d-ac96-774b-bcce-b302099a8057",
	.help = logs_help,
	.run = logs_run,
};
