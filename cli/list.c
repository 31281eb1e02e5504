/*
 * list: many requests, newest first: a table for people, whole exports for programs.
 */
#include <stdlib.h>
#include <string.h>

#include "ask.h"
#include "command.h"
#include "pages.h"
#include "pipeline/clock.h"
#include "pipeline/mem.h"
#include "pipeline/text.h"
#include "terminal.h"

#define LIMIT     100
#define LIMIT_MAX 1000000000
#define HOST_MAX  320

#define STATE_WIDTH 10
#define HOST_WIDTH  28

static void list_help(FILE *out)
{
	fputs("usage: fetchback list [FILTER]... [--limit N] [--watch | --csv | --ndjson | "
	      "--json]\n"
	      "                      [--cursor C] [--api URL]\n\n"
	      "Lists requests, the newest first: where each is, its age, its attempts to fetch and "
	      "to\n"
	      "deliver, the host it is with, and why it waits or what went wrong.\n\n" FILTERS_HELP
	      "  --limit N       at most so many (100; exports: all)\n"
	      "  --watch         again every 2 s\n"
	      "  --csv, --ndjson exports all of them, one a line; ndjson: as the api says it; "
	      "csv:\n"
	      "                  labels as JSON\n"
	      "  --cursor C      with --json: goes on where a page has ended\n" ARGUMENTS_HELP,
		out);
}

struct list {
	struct arguments arguments;
	struct filters filters;
	const char *limit_text, *cursor;
	bool watches, csv, ndjson;
	size_t limit; /* 0: not given */
	FILE *out;
	bool is_headed; /* nothing is written before the api has answered */
};

/* ---- what a row tells ---- */

static const json_t *last_attempt(const json_t *request, const char *stage)
{
	const json_t *attempts = json_object_get(request, "attempts");

	for (size_t i = json_array_size(attempts); i-- > 0;)
		if (strcmp(ask_text(json_array_get(attempts, i), "stage"), stage) == 0)
			return json_array_get(attempts, i);
	return NULL;
}

static json_int_t attempts_of(const json_t *request, const char *stage)
{
	return ask_number(last_attempt(request, stage), "n");
}

/* The host it is with: the provider's until there is something to deliver. */
static void host_of(const json_t *request, char host[HOST_MAX])
{
	static const char *const delivers[] = { "fetched", "delivering", "delivered" };
	bool is_delivery = last_attempt(request, "deliver") != NULL;
	const char *url;

	for (size_t i = 0; i < sizeof(delivers) / sizeof(delivers[0]); i++)
		is_delivery |= strcmp(ask_text(request, "state"), delivers[i]) == 0;
	url = ask_text(request, is_delivery ? "callbackUrl" : "provider");
	url = strstr(url, "://") != NULL ? strstr(url, "://") + 3 : url;
	snprintf(host, HOST_MAX, "%.*s", (int)strcspn(url, "/?#"), url);
}

/* "45s", "3m", "2h", "4d": the two digits that matter. */
static void age_of(const json_t *request, char *out, size_t size)
{
	static const struct {
		uint64_t ms;
		char unit;
	} units[] = { { 24 * 60 * 60 * 1000, 'd' }, { 60 * 60 * 1000, 'h' }, { 60 * 1000, 'm' },
		{ 1000, 's' } };
	const char *created = ask_text(request, "createdAt");
	uint64_t now = pl_clock_wall_ms(), then, age;
	size_t i = 0;

	if (pl_time_parse(created, strlen(created), &then) != PL_OK)
		then = now;
	age = now > then ? now - then : 0;
	while (i + 1 < sizeof(units) / sizeof(units[0]) && age < units[i].ms)
		i++;
	snprintf(out, size, "%u%c", (unsigned)(age / units[i].ms), units[i].unit);
}

/* Why it does not move, or why it came to a bad end. */
static const char *reason_of(const json_t *request)
{
	const char *waits = ask_text(json_object_get(request, "waiting"), "reason");

	return *waits != '\0' ? waits : ask_text(json_object_get(request, "error"), "code");
}

/* ---- a table ---- */

static void row_print(FILE *out, const json_t *request)
{
	const char *state = ask_text(request, "state");
	const char *until = ask_text(json_object_get(request, "waiting"), "until");
	char age[24], attempts[48], host[HOST_MAX];

	if (json_is_true(json_object_get(request, "paused")))
		state = "paused";
	age_of(request, age, sizeof(age));
	host_of(request, host);
	snprintf(attempts, sizeof(attempts), "%" JSON_INTEGER_FORMAT "/%" JSON_INTEGER_FORMAT,
		attempts_of(request, "fetch"), attempts_of(request, "deliver"));
	ask_print(out, ask_text(request, "requestId"));
	fprintf(out, "  %s", terminal_state_color(state));
	ask_print_padded(out, state, STATE_WIDTH);
	fprintf(out, "%s  %4s  %8s  ", terminal_plain(), age, attempts);
	ask_print_padded(out, host, HOST_WIDTH);
	fputs("  ", out);
	ask_print(out, *reason_of(request) != '\0' ? reason_of(request) : "-");
	if (*until != '\0') {
		fputs(" until ", out);
		ask_print(out, until);
	}
	fputc('\n', out);
}

static int on_rows(void *arg, const json_t *requests, struct raw_json text)
{
	struct list *list = arg;
	size_t i;
	json_t *request;

	(void)text;
	if (!list->is_headed)
		fprintf(list->out, "%-36s  %-*s  %4s  %8s  %-*s  %s\n", "request", STATE_WIDTH,
			"state", "age", "attempts", HOST_WIDTH, "host", "waiting");
	list->is_headed = true;
	json_array_foreach(requests, i, request)
	{
		row_print(list->out, request);
	}
	fflush(list->out);
	return COMMAND_OK;
}

static int table(struct list *list)
{
	bool more = false;
	int code = pages_walk(&list->arguments, &list->filters,
		list->limit > 0 ? list->limit : LIMIT, on_rows, list, &more);

	if (code == COMMAND_OK && more && list->limit == 0)
		fprintf(stderr, "the newest %d; --limit N shows more\n", LIMIT);
	return code;
}

/* ---- exports ---- */

/* RFC 4180. A cell that a spreadsheet would take for a formula is made text. */
static void cell_print(FILE *out, const char *text, bool is_last)
{
	bool is_formula = *text != '\0' && strchr("=+-@", *text) != NULL;
	const char *quote = is_formula || strpbrk(text, ",\"") != NULL ? "\"" : "";

	fprintf(out, "%s%s", quote, is_formula ? "'" : "");
	while (*text != '\0') {
		if (*text == '"')
			fputc('"', out);
		text += ask_print_one(out, text);
	}
	fprintf(out, "%s%s", quote, is_last ? "\r\n" : ",");
}

static const char *const columns[] = { "requestId", "state", "paused", "createdAt", "updatedAt",
	"finishedAt", "provider", "callbackUrl", "priority", "labels", "fetchAttempts",
	"deliverAttempts", "bytes", "waiting", "waitingUntil", "error", "errorMessage" };
#define COLUMNS (sizeof(columns) / sizeof(columns[0]))

/* As JSON, since a label may hold whatever could part two of them; free it. */
static char *labels_text(const json_t *request)
{
	const json_t *labels = json_object_get(request, "labels");
	char *text = json_array_size(labels) > 0 ? json_dumps(labels, JSON_COMPACT) : NULL;

	return text != NULL ? text : pl_strdup("");
}

static void record_print(FILE *out, const json_t *request)
{
	const json_t *data = json_object_get(request, "data");
	const json_t *waiting = json_object_get(request, "waiting");
	const json_t *error = json_object_get(request, "error");
	char *labels = labels_text(request), fetches[24], deliveries[24], size[24] = "";

	snprintf(fetches, sizeof(fetches), "%" JSON_INTEGER_FORMAT, attempts_of(request, "fetch"));
	snprintf(deliveries, sizeof(deliveries), "%" JSON_INTEGER_FORMAT,
		attempts_of(request, "deliver"));
	if (json_is_number(json_object_get(data, "bytes")))
		snprintf(size, sizeof(size), "%" JSON_INTEGER_FORMAT, ask_number(data, "bytes"));
	const char *const cells[COLUMNS] = {
		ask_text(request, "requestId"),
		ask_text(request, "state"),
		json_is_true(json_object_get(request, "paused")) ? "true" : "false",
		ask_text(request, "createdAt"),
		ask_text(request, "updatedAt"),
		ask_text(request, "finishedAt"),
		ask_text(request, "provider"),
		ask_text(request, "callbackUrl"),
		ask_text(request, "priority"),
		labels,
		fetches,
		deliveries,
		size,
		ask_text(waiting, "reason"),
		ask_text(waiting, "until"),
		ask_text(error, "code"),
		ask_text(error, "message"),
	};
	for (size_t i = 0; i < COLUMNS; i++)
		cell_print(out, cells[i], i + 1 == COLUMNS);
	free(labels);
}

static int on_export(void *arg, const json_t *requests, struct raw_json text)
{
	struct list *list = arg;
	struct raw_json element;
	size_t i;
	json_t *request;

	for (i = 0; list->csv && !list->is_headed && i < COLUMNS; i++)
		cell_print(list->out, columns[i], i + 1 == COLUMNS);
	list->is_headed = true;
	json_array_foreach(requests, i, request)
	{
		if (list->csv)
			record_print(list->out, request);
		else if (raw_json_element(&text, &element))
			raw_json_print(list->out, element);
	}
	fflush(list->out);
	return COMMAND_OK;
}

static int export(struct list *list)
{
	bool more;

	return pages_walk(&list->arguments, &list->filters,
		list->limit > 0 ? list->limit : PAGES_ALL, on_export, list, &more);
}

/* ---- one page, as the api says it ---- */

static int page(struct list *list)
{
	struct pl_buf path, answer;
	int code = COMMAND_USAGE;

	pl_buf_init(&path, FILTERS_PATH_MAX);
	if (filters_path(&list->filters, "/requests", list->limit, list->cursor, &path)) {
		code = ask(&list->arguments, path.data, NULL, &answer);
		if (code == COMMAND_OK)
			fprintf(list->out, "%s\n", answer.len > 0 ? answer.data : "");
		pl_buf_fini(&answer);
	}
	pl_buf_fini(&path);
	return code;
}

static int frame(void *arg, FILE *out)
{
	struct list *list = arg;
	size_t lines = terminal_lines();
	size_t most = list->limit > 0 ? list->limit : LIMIT;
	bool more;

	list->out = out;
	list->is_headed = false;
	if (list->arguments.json)
		return page(list);
	if (lines > 0) /* the heading, and the line where the cursor comes to rest */
		most = most + 2 < lines ? most : lines > 3 ? lines - 2 : 1;
	return pages_walk(&list->arguments, &list->filters, most, on_rows, list, &more);
}

/* ---- the command line ---- */

static int usage(const char *what)
{
	fprintf(stderr, "fetchback list: %s; see fetchback list --help\n", what);
	return COMMAND_USAGE;
}

static int check(struct list *list)
{
	uint64_t limit = 0;

	if (list->limit_text != NULL && (pl_number_parse(list->limit_text, strlen(list->limit_text),
						 LIMIT_MAX, &limit) != PL_OK ||
						limit == 0))
		return usage("--limit takes a number from 1 on");
	if (list->csv + list->ndjson + list->arguments.json > 1)
		return usage("--csv, --ndjson and --json: one of them");
	if (list->watches && (list->csv || list->ndjson))
		return usage("an export can't be watched");
	if (list->cursor != NULL && (!list->arguments.json || list->watches))
		return usage("--cursor goes with --json");
	list->limit = (size_t)limit;
	return COMMAND_OK;
}

static int list_run(int argc, char **argv)
{
	struct list list = { .out = stdout };
	const struct argument_flag flags[] = {
		FILTERS_FLAGS(list.filters),
		{ .name = "--limit", .value = &list.limit_text },
		{ .name = "--cursor", .value = &list.cursor },
		{ .name = "--watch", .is_given = &list.watches },
		{ .name = "--csv", .is_given = &list.csv },
		{ .name = "--ndjson", .is_given = &list.ndjson },
		{ .name = NULL },
	};
	int code;

	if (!arguments_read(argc, argv, flags, NULL, 0, &list.arguments))
		return COMMAND_USAGE;
	if (!filters_check("list", &list.filters))
		return COMMAND_USAGE;
	code = check(&list);
	if (code != COMMAND_OK)
		return code;
	if (list.watches)
		return terminal_watch(frame, &list);
	if (list.csv || list.ndjson)
		return export(&list);
	return list.arguments.json ? page(&list) : table(&list);
}

const struct command command_list = {
	.name = "list",
	.summary = "many requests, with filters; exports as CSV and NDJSON",
	.example = "fetchback list --state failed --since 2h --host api.example",
	.help = list_help,
	.run = list_run,
};
