/*
 * status: where a request is and why.
 */
#include <stdlib.h>
#include <string.h>

#include "ask.h"
#include "command.h"
#include "pipeline/mem.h"
#include "raw_json.h"

#define PATH_SIZE 64 /* /requests/ and an id */

static void status_help(FILE *out)
{
	fputs("usage: fetchback status ID [--api URL] [--json]\n\n"
	      "Shows where a request is, why it waits, and every attempt so "
	      "far.\n\n" ARGUMENTS_HELP,
		out);
}

static void row(const char *name, const char *text)
{
	if (text == NULL || *text == '\0')
		return;
	printf("%-10s ", name);
	ask_print(stdout, text);
	putchar('\n');
}

/* "backoff, until 2026-…" or "queue, at most 12 ahead"; nothing while it moves. */
static void waiting_print(const json_t *waiting)
{
	const char *until = ask_text(waiting, "until");

	if (*ask_text(waiting, "reason") == '\0')
		return;
	printf("%-10s ", "waiting");
	ask_print(stdout, ask_text(waiting, "reason"));
	if (*until != '\0') {
		fputs(", until ", stdout);
		ask_print(stdout, until);
	}
	if (json_is_number(json_object_get(waiting, "ahead")))
		printf(", at most %" JSON_INTEGER_FORMAT " ahead", ask_number(waiting, "ahead"));
	putchar('\n');
}

/* "http_status: 503 Service Unavailable" */
static void error_print(const json_t *error)
{
	ask_print(stdout, ask_text(error, "code"));
	if (*ask_text(error, "message") != '\0') {
		fputs(": ", stdout);
		ask_print(stdout, ask_text(error, "message"));
	}
}

static void data_print(const json_t *data)
{
	if (!json_is_number(json_object_get(data, "bytes")))
		return;
	printf("%-10s %" JSON_INTEGER_FORMAT " bytes", "data", ask_number(data, "bytes"));
	if (*ask_text(data, "contentType") != '\0') {
		fputs(", ", stdout);
		ask_print(stdout, ask_text(data, "contentType"));
	}
	putchar('\n');
}

static void attempt_print(const json_t *attempt)
{
	const json_t *error = json_object_get(attempt, "error");

	ask_print_padded(stdout, ask_text(attempt, "stage"), 8);
	printf(" %3" JSON_INTEGER_FORMAT "  ", ask_number(attempt, "n"));
	ask_print_padded(stdout, ask_text(attempt, "startedAt"), 24);
	printf(" %8" JSON_INTEGER_FORMAT "  ", ask_number(attempt, "ms"));
	if (ask_number(attempt, "status") > 0)
		printf("%6" JSON_INTEGER_FORMAT "  ", ask_number(attempt, "status"));
	else
		printf("%6s  ", "-");
	if (json_is_object(error))
		error_print(error);
	else
		fputs("-", stdout);
	putchar('\n');
}

static void attempts_print(const json_t *attempts)
{
	size_t i;
	json_t *attempt;

	if (json_array_size(attempts) == 0)
		return;
	printf("\n%-8s %3s  %-24s %8s  %6s  %s\n", "stage", "n", "started", "ms", "status",
		"error");
	json_array_foreach(attempts, i, attempt)
	{
		attempt_print(attempt);
	}
}

static void labels_print(const json_t *labels)
{
	size_t i;
	json_t *label;

	json_array_foreach(labels, i, label) row(i == 0 ? "labels" : "", json_string_value(label));
}

/* As it was written. */
static void meta_print(const struct pl_buf *answer)
{
	struct raw_json meta;

	if (!raw_json_find((struct raw_json) { answer->data, answer->len }, "meta", &meta))
		return;
	char *text = pl_strndup(meta.text, meta.len);
	row("meta", text);
	free(text);
}

static void record_print(const json_t *record, const struct pl_buf *answer)
{
	const char *priority = ask_text(record, "priority");
	const json_t *error = json_object_get(record, "error");

	row("request", ask_text(record, "requestId"));
	printf("%-10s ", "state");
	ask_print(stdout, ask_text(record, "state"));
	puts(json_is_true(json_object_get(record, "paused")) ? ", paused" : "");
	waiting_print(json_object_get(record, "waiting"));
	if (json_is_object(error)) {
		printf("%-10s ", "error");
		error_print(error);
		putchar('\n');
	}
	row("provider", ask_text(record, "provider"));
	row("callback", ask_text(record, "callbackUrl"));
	row("priority", strcmp(priority, "default") != 0 ? priority : "");
	labels_print(json_object_get(record, "labels"));
	meta_print(answer);
	row("owner", ask_text(record, "owner"));
	row("parent", ask_text(record, "parent"));
	row("created", ask_text(record, "createdAt"));
	row("updated", ask_text(record, "updatedAt"));
	row("finished", ask_text(record, "finishedAt"));
	data_print(json_object_get(record, "data"));
	attempts_print(json_object_get(record, "attempts"));
}

static int answer_print(const struct arguments *arguments, const struct pl_buf *answer)
{
	json_t *record = ask_json(answer);
	int code = COMMAND_OK;

	if (*ask_text(record, "state") == '\0')
		code = ask_strange(arguments);
	else if (arguments->json)
		printf("%s\n", answer->data);
	else
		record_print(record, answer);
	json_decref(record);
	return code;
}

static int status_run(int argc, char **argv)
{
	struct arguments arguments;
	struct pl_buf answer;
	char path[PATH_SIZE];
	int code;

	if (!arguments_read_id(argc, argv, NULL, &arguments))
		return COMMAND_USAGE;
	snprintf(path, sizeof(path), "/requests/%s", arguments.words[0]);
	code = ask(&arguments, path, NULL, &answer);
	if (code == COMMAND_OK)
		code = answer_print(&arguments, &answer);
	pl_buf_fini(&answer);
	return code;
}

const struct command command_status = {
	.name = "status",
	.summary = "where a request is, why, and every attempt",
	.example = "fetchback status 01890a5d-ac96-774b-bcce-b302099a8057",
	.help = status_help,
	.run = status_run,
};
