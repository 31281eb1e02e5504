/*
 * queues: how the two stand, and holding a whole one.
 */
#include <string.h>

#include "ask.h"
#include "command.h"
#include "pipeline/clock.h"
#include "terminal.h"

#define PATH_SIZE 40
#define AGE_SIZE  32

static void queues_help(FILE *out)
{
	fputs("usage: fetchback queues [--watch] [--api URL] [--json]\n"
	      "       fetchback queues pause|resume requests|responses [--api URL] [--json]\n\n"
	      "Tells how many requests wait to be fetched (requests) and to be delivered "
	      "(responses),\n"
	      "since when the oldest one waits, how many are delayed or held by workers; or holds\n"
	      "one of the two, or lets it go on: what runs, finishes, and it outlasts restarts.\n\n"
	      "  --watch     again every 2 s\n" ARGUMENTS_HELP,
		out);
}

static void oldest_age(const json_t *queue, char age[AGE_SIZE])
{
	const char *since = ask_text(queue, "oldest");
	uint64_t now = pl_clock_wall_ms(), then;

	snprintf(age, AGE_SIZE, "-");
	if (pl_time_parse(since, strlen(since), &then) == PL_OK)
		pl_duration_format((now > then ? now - then : 0) / 1000 * 1000, age, AGE_SIZE);
}

static void queue_print(FILE *out, const char *name, const json_t *queue)
{
	bool is_paused = json_is_true(json_object_get(queue, "paused"));
	char age[AGE_SIZE];

	oldest_age(queue, age);
	fprintf(out,
		"%-9s  %8" JSON_INTEGER_FORMAT "  %10s  %8" JSON_INTEGER_FORMAT
		"  %8" JSON_INTEGER_FORMAT "  %8" JSON_INTEGER_FORMAT "  ",
		name, ask_number(queue, "depth"), age, ask_number(queue, "delayed"),
		ask_number(queue, "leased"), ask_number(queue, "workers"));
	if (is_paused)
		fprintf(out, "%spaused%s\n", terminal_state_color("paused"), terminal_plain());
	else
		fputs(ask_number(queue, "workers") == 0 ? "no worker\n" : "runs\n", out);
}

static void table_print(FILE *out, const json_t *queues)
{
	fprintf(out, "%-9s  %8s  %10s  %8s  %8s  %8s  %s\n", "queue", "depth", "oldest", "delayed",
		"leased", "workers", "state");
	queue_print(out, "requests", json_object_get(queues, "requests"));
	queue_print(out, "responses", json_object_get(queues, "responses"));
	fprintf(out,
		"\n%" JSON_INTEGER_FORMAT " live, %" JSON_INTEGER_FORMAT
		" dead letter%s, %" JSON_INTEGER_FORMAT " bytes to deliver\n",
		ask_number(queues, "live"), ask_number(queues, "dead"),
		ask_number(queues, "dead") == 1 ? "" : "s", ask_number(queues, "undeliveredBytes"));
}

static int show(const struct arguments *arguments, const char *path, const char *body, FILE *out)
{
	struct pl_buf answer;
	int code = ask(arguments, path, body, &answer);
	json_t *queues = ask_json(&answer);

	if (code == COMMAND_OK && !json_is_object(json_object_get(queues, "requests")))
		code = ask_strange(arguments);
	else if (code == COMMAND_OK && arguments->json)
		fprintf(out, "%s\n", answer.data);
	else if (code == COMMAND_OK)
		table_print(out, queues);
	json_decref(queues);
	pl_buf_fini(&answer);
	return code;
}

static int frame(void *arg, FILE *out)
{
	return show(arg, "/queues", NULL, out);
}

static bool is_one_of(const char *word, const char *one, const char *other)
{
	return strcmp(word, one) == 0 || strcmp(word, other) == 0;
}

static int hold(const struct arguments *arguments)
{
	char path[PATH_SIZE];

	snprintf(path, sizeof(path), "/queues/%s/%s", arguments->words[1], arguments->words[0]);
	return show(arguments, path, "", stdout);
}

static int queues_run(int argc, char **argv)
{
	bool watches = false;
	const struct argument_flag flags[] = {
		{ .name = "--watch", .is_given = &watches },
		{ .name = NULL },
	};
	struct arguments arguments;

	if (!arguments_read(argc, argv, flags, NULL, 2, &arguments))
		return COMMAND_USAGE;
	if (arguments.words_count == 0)
		return watches ? terminal_watch(frame, &arguments) : frame(&arguments, stdout);
	if (arguments.words_count == 2 && !watches &&
		is_one_of(arguments.words[0], "pause", "resume") &&
		is_one_of(arguments.words[1], "requests", "responses"))
		return hold(&arguments);
	fputs("fetchback queues: pause or resume, then requests or responses; see fetchback queues "
	      "--help\n",
		stderr);
	return COMMAND_USAGE;
}

const struct command command_queues = {
	.name = "queues",
	.summary = "how the two queues stand; pause or resume one",
	.example = "fetchback queues pause responses",
	.help = queues_help,
	.run = queues_run,
};
